//! Whom to wake: the task that polls, as the session sees it.
//!
//! To clone a waker runs the executor's code, as waking and dropping do, so it does not happen under the lock.
//! The session asks for a clone; when there is none yet, [`Shared::poll`](crate::shared::Shared::poll) makes one
//! after the unlock and lets the session look again.

use std::cell::{Cell, RefCell};
use std::task::Waker;

/// The task that polls.
pub(crate) trait Caller {
    /// Whether this waker wakes it, too.
    fn is_woken_by(&self, waker: &Waker) -> bool;

    /// A waker to keep; `None` if the session is to look again.
    fn waker(&self) -> Option<Waker>;
}

/// A task whose waker is cloned when it is needed.
pub(crate) struct Polling<'a> {
    waker: &'a Waker,
    cloned: RefCell<Option<Waker>>,
    wanted: Cell<bool>,
}

impl<'a> Polling<'a> {
    pub(crate) fn new(waker: &'a Waker) -> Self {
        Self { waker, cloned: RefCell::new(None), wanted: Cell::new(false) }
    }

    /// With a clone made ahead, for one who is nearly always to be kept.
    pub(crate) fn prepared(waker: &'a Waker) -> Self {
        let this = Self::new(waker);
        *this.cloned.borrow_mut() = Some(waker.clone());
        this
    }

    /// Makes the clone that was asked for; false if none was. Not to be called under the lock.
    pub(crate) fn prepare(&self) -> bool {
        let wanted = self.wanted.take();
        if wanted {
            *self.cloned.borrow_mut() = Some(self.waker.clone());
        }
        wanted
    }
}

impl Caller for Polling<'_> {
    fn is_woken_by(&self, waker: &Waker) -> bool {
        waker.will_wake(self.waker)
    }

    fn waker(&self) -> Option<Waker> {
        let cloned = self.cloned.borrow_mut().take();
        self.wanted.set(cloned.is_none());
        cloned
    }
}

/// For those who are not under the lock: tests of the session alone.
impl Caller for Waker {
    fn is_woken_by(&self, waker: &Waker) -> bool {
        waker.will_wake(self)
    }

    fn waker(&self) -> Option<Waker> {
        Some(self.clone())
    }
}
