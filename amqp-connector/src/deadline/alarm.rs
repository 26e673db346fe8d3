//! A clock for where no runtime can be asked for the time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

/// A thread that wakes whoever waits at an instant.
///
/// # Drop
///
/// Ends the thread.
pub(super) struct Alarm {
    at: Instant,
    /// None if there could be no such thread: then the connection's driver alone keeps the time.
    clock: Option<Arc<Clock>>,
}

#[derive(Default)]
struct Clock {
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Default)]
struct State {
    waker: Option<Waker>,
    over: bool,
}

impl Alarm {
    pub(super) fn new(at: Instant) -> Self {
        let clock = Arc::new(Clock::default());
        let kept = clock.clone();
        let thread = thread::Builder::new().name("amqp-deadline".to_owned());
        let started = thread.spawn(move || kept.run(at));
        Self { at, clock: started.is_ok().then_some(clock) }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(clock) = &self.clock {
            let waker = cx.waker().clone();
            let old = clock.lock().waker.replace(waker);
            drop(old);
        }
        // Looked at last: when the thread has woken the waker before, this is over.
        match Instant::now() >= self.at {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(clock) = &self.clock {
            let mut state = clock.lock();
            state.over = true;
            let waker = state.waker.take();
            drop(state);
            clock.over.notify_one();
            drop(waker);
        }
    }
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, at: Instant) {
        let mut state = self.lock();
        while !state.over {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let waker = state.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
                return;
            }
            state = match self.over.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}
