//! Deadlines of what handles wait for, which need no runtime.
//!
//! For closes, shutdowns and sources. Whoever waits on the runtime that the connection was made on has a timer of its own,
//! since the driver may be one that nobody polls now. Elsewhere there may be no runtime, one without timers, or one that ends
//! before the wait does, each of which would make a timer panic. There the driver keeps the time, and the session wakes whoever
//! waits; and since nobody may drive the connection's runtime either, `alarm` does so too. No timer is made before there is
//! something to wait for.

mod alarm;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::shared::Shared;
use alarm::Alarm;

/// An instant to wait for, wherever it is polled.
///
/// # Drop
///
/// Gives its place with the session up.
pub(crate) struct Deadline<'a> {
    shared: &'a Shared,
    at: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    alarm: Option<Alarm>,
    /// Its place with the session.
    held: Option<u64>,
}

impl<'a> Deadline<'a> {
    pub(crate) fn new(shared: &'a Shared, at: Instant) -> Self {
        Self { shared, at, sleep: None, alarm: None, held: None }
    }

    /// Waits for another instant from now on.
    pub(crate) fn reset(&mut self, at: Instant) {
        self.leave();
        self.at = at;
        self.alarm = None;
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(at);
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { shared, at, sleep, alarm, held } = self;
        if shared.is_at_home() {
            *alarm = None;
            let sleep = sleep.get_or_insert_with(|| Box::pin(sleep_until(*at)));
            return sleep.as_mut().poll(cx);
        }
        // The runtime that it is of may be gone.
        *sleep = None;
        if shared.poll(cx, |session, waker| session.poll_alarm(*at, held, waker)).is_ready() {
            return Poll::Ready(());
        }
        alarm.get_or_insert_with(|| Alarm::new(at.into_std())).poll(cx)
    }

    fn leave(&mut self) {
        if let Some(held) = self.held.take() {
            let at = self.at;
            self.shared.with(|session| session.drop_alarm(at, held));
        }
    }
}

impl Drop for Deadline<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What `work` gives, or `None` at the deadline.
pub(crate) async fn until<F: Future>(shared: &Shared, at: Instant, work: F) -> Option<F::Output> {
    let (mut work, mut deadline) = (pin!(work), Deadline::new(shared, at));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => deadline.poll(cx).map(|()| None),
    })
    .await
}
