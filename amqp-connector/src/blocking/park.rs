//! Polling a future on this thread, which sleeps meanwhile.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Wakes a thread, and says that it was this that did.
struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// What the future gives, or nothing at the deadline; one that is past lets it be polled once.
pub(super) fn wait<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    // The thread may be a tokio task's, whose budget is not renewed while it waits here.
    let mut future = pin!(tokio::task::unconstrained(future));
    let unpark = Arc::new(Unpark { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(unpark.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        // A thread may be unparked by anybody, so that alone means nothing.
        while !unpark.woken.swap(false, Ordering::Acquire) {
            match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => return None,
                Some(left) => thread::park_timeout(left),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_ready_is_given_though_the_deadline_is_past() {
        assert_eq!(wait(ready(1), Some(Instant::now())), Some(1));
        assert_eq!(wait(pending::<()>(), Some(Instant::now())), None);
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(wait(pending::<()>(), Some(soon)), None);
        assert!(Instant::now() >= soon);
    }

    #[test]
    fn it_is_polled_again_when_it_is_woken_by_itself_or_from_another_thread() {
        let mut polls = 0;
        let woken = poll_fn(|cx| {
            polls += 1;
            match polls {
                1 => cx.waker().wake_by_ref(),
                2 => {
                    let waker = cx.waker().clone();
                    drop(thread::spawn(move || waker.wake()));
                }
                _ => return Poll::Ready(polls),
            }
            Poll::Pending
        });
        assert_eq!(wait(woken, None), Some(3));
    }

    #[test]
    fn a_thread_that_was_unparked_by_somebody_else_waits_on() {
        thread::current().unpark();
        let mut polls = 0;
        let counted = poll_fn(|_| {
            polls += 1;
            Poll::<()>::Pending
        });
        assert_eq!(wait(counted, Some(Instant::now() + Duration::from_millis(5))), None);
        assert_eq!(polls, 1);
    }
}
