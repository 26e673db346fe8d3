//! The one lock of a connection, and the rule of what may happen under it.
//!
//! Handles and the driver reach the session only through [`Shared::with`], which runs wakers and the
//! drops of users' values after it has unlocked. Nothing awaits while the lock is held.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::runtime::{Handle, Id};
use tracing::Span;

use crate::measure::Instruments;
use crate::options::Options;
use crate::session::{Asking, Caller, Line, Ready, Session};
use crate::turn::{poll_turn, spend};

/// Apart from the counts of references, which other threads change without the lock.
#[repr(align(128))]
struct Apart(Mutex<Session>);

/// What all handles of one connection and its driver share.
pub(crate) struct Shared {
    session: Apart,
    pub(crate) options: Options,
    /// What is logged of the connection is logged within.
    pub(crate) span: Span,
    /// Where what is counted of it is told.
    pub(crate) instruments: Instruments,
    /// Where the connection was made, and so one that has timers.
    runtime: Option<Id>,
}

impl Shared {
    pub(crate) fn new(
        session: Session,
        options: Options,
        span: Span,
        instruments: Instruments,
    ) -> Self {
        let session = Apart(Mutex::new(session));
        Self { session, options, span, instruments, runtime: current_runtime() }
    }

    /// Whether this is polled on the runtime that the connection was made on. Of no other one can be asked whether it has
    /// timers, or will have them when it is polled next.
    pub(crate) fn is_at_home(&self) -> bool {
        self.runtime.is_some() && self.runtime == current_runtime()
    }

    /// Runs one operation on the session, then what it left to be done outside the lock.
    #[inline]
    pub(crate) fn with<R>(&self, operation: impl FnOnce(&mut Session) -> R) -> R {
        // No operation leaves the session half changed, so a panic elsewhere does not spoil it.
        let mut session = self.session.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = operation(&mut session);
        let effects = session.take_effects();
        let counts = session.take_last_counts();
        drop(session);
        if let Some(mut counts) = counts {
            self.instruments.tell(&mut counts);
        }
        if let Some(effects) = effects {
            effects.run(&self.span);
        }
        result
    }

    /// Runs one look of a task that may have to wait. Its waker is cloned where it is not under the lock: the
    /// session then looks a second time.
    #[inline]
    pub(crate) fn poll<R>(
        &self,
        cx: &Context<'_>,
        mut look: impl FnMut(&mut Session, &dyn Caller) -> Poll<R>,
    ) -> Poll<R> {
        let asking = Asking::new(cx.waker());
        let polled = self.with(|session| look(session, &asking));
        match polled.is_pending() && asking.is_wanted() {
            true => self.look_again(cx, &mut look),
            false => polled,
        }
    }

    #[cold]
    fn look_again<R>(
        &self,
        cx: &Context<'_>,
        look: &mut dyn FnMut(&mut Session, &dyn Caller) -> Poll<R>,
    ) -> Poll<R> {
        self.poll_ready(cx, look)
    }

    /// As [`poll`](Self::poll), of a task that is known to have to wait.
    #[inline]
    pub(crate) fn poll_ready<R>(
        &self,
        cx: &Context<'_>,
        mut look: impl FnMut(&mut Session, &dyn Caller) -> Poll<R>,
    ) -> Poll<R> {
        loop {
            let ready = Ready::new(cx.waker());
            let polled = self.with(|session| look(session, &ready));
            if polled.is_ready() || !ready.is_wanted() {
                return polled;
            }
        }
    }
}

fn current_runtime() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// A place in one of the session's lists, left when the wait is over or given up.
pub(crate) struct Ticket<'a> {
    shared: &'a Shared,
    line: Line,
    held: Option<u64>,
}

impl<'a> Ticket<'a> {
    pub(crate) fn new(shared: &'a Shared, line: Line) -> Self {
        Self { shared, line, held: None }
    }

    /// Runs one look of the wait under the lock. What is there at once costs a unit of the task's turn.
    pub(crate) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut look: impl FnMut(&mut Session, &mut Option<u64>, &dyn Caller) -> Poll<R>,
    ) -> Poll<R> {
        ready!(poll_turn(cx));
        let Self { shared, held, .. } = self;
        let found = shared.poll(cx, |session, waker| look(session, held, waker));
        if found.is_ready() {
            spend(cx);
        }
        found
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(held) = self.held {
            self.shared.with(|session| session.leave_line(self.line, held));
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}
