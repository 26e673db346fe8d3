//! The driver's one timer, armed for whatever the session waits for next.

use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::task::coop;
use tokio::time::{Instant, Sleep};

/// A timer that is made when it is needed first: a connection without deadlines has none.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it is known to wake when it fires.
    waker: Option<Waker>,
}

impl Timer {
    /// Arms the timer for `timeout`. True if that is past already.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, timeout: Option<Instant>) -> bool {
        let Some(at) = timeout else { return false };
        let sleep = match &mut self.sleep {
            Some(sleep) => sleep,
            none => none.insert(Box::pin(tokio::time::sleep_until(at))),
        };
        // One that fires too early costs one look; re-arming it on every write, two.
        if sleep.deadline() > at || sleep.is_elapsed() {
            sleep.as_mut().reset(at);
        } else if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            // It is armed, and will wake this very task.
            return false;
        }
        // A task that has used its turn up is told that nothing is ready, and then the waker is not kept.
        let has_turn = coop::has_budget_remaining();
        if sleep.as_mut().poll(cx).is_pending() {
            self.waker = has_turn.then(|| cx.waker().clone());
            return false;
        }
        self.waker = None;
        // It was armed for something earlier: arm it for what is due now.
        if at > Instant::now() {
            sleep.as_mut().reset(at);
            return sleep.as_mut().poll(cx).is_ready();
        }
        true
    }
}
