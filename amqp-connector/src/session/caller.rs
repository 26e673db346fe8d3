//! Whom to wake: the task that polls, as the session sees it.
//!
//! To clone a waker runs the executor's code, as waking and dropping do, so it does not happen under the lock.
//! The session asks for a clone; when there is none yet, [`Shared::poll`](crate::shared::Shared::poll) makes one
//! after the unlock and lets the session look again.

use std::cell::Cell;
use std::task::Waker;

/// The task that polls.
pub(crate) trait Caller {
    /// Whether this waker wakes it, too.
    fn is_woken_by(&self, waker: &Waker) -> bool;

    /// A waker to keep; `None` if the session is to look again.
    fn waker(&self) -> Option<Waker>;
}

/// A task that has made no clone of its waker: it learns whether one is wanted.
pub(crate) struct Asking<'a> {
    waker: &'a Waker,
    wanted: Cell<bool>,
}

impl<'a> Asking<'a> {
    #[inline]
    pub(crate) fn new(waker: &'a Waker) -> Self {
        Self { waker, wanted: Cell::new(false) }
    }

    /// Whether the session is to look again, with a [`Ready`] one.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.get()
    }
}

impl Caller for Asking<'_> {
    fn is_woken_by(&self, waker: &Waker) -> bool {
        waker.will_wake(self.waker)
    }

    fn waker(&self) -> Option<Waker> {
        self.wanted.set(true);
        None
    }
}

/// A task that has made a clone of its waker. Where the session keeps it in two places, it is to look again.
pub(crate) struct Ready<'a> {
    asking: Asking<'a>,
    cloned: Cell<Option<Waker>>,
}

impl<'a> Ready<'a> {
    /// Not to be called under the lock.
    #[inline]
    pub(crate) fn new(waker: &'a Waker) -> Self {
        Self::holding(waker, Some(waker.clone()))
    }

    /// With a clone that was made before, if there is one.
    #[inline]
    pub(crate) fn holding(waker: &'a Waker, cloned: Option<Waker>) -> Self {
        Self { asking: Asking::new(waker), cloned: Cell::new(cloned) }
    }

    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.asking.is_wanted()
    }

    /// The clone, if it was not needed.
    #[inline]
    pub(crate) fn into_spare(self) -> Option<Waker> {
        self.cloned.into_inner()
    }
}

impl Caller for Ready<'_> {
    fn is_woken_by(&self, waker: &Waker) -> bool {
        self.asking.is_woken_by(waker)
    }

    fn waker(&self) -> Option<Waker> {
        self.cloned.take().or_else(|| self.asking.waker())
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
