//! What a session operation leaves to be done after the lock is released.
//!
//! Wakers may run a user's executor and the drop of a `Bytes` may run a user's code, so neither may
//! happen under the session's lock: operations collect both here and
//! [`Shared::with`](crate::shared::Shared::with) runs them once it has unlocked. Never holds state that
//! outlives one operation.

use std::collections::VecDeque;
use std::task::Waker;

use amqp_types::Body;
use amqp_types::protocol;
use bytes::Bytes;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span};

use crate::error::CloseReason;
use crate::measure::Counts;
use crate::outcome::Event;
use crate::session::Caller;
use crate::session::consume::backlog::Queued;
use crate::session::output::chunk::Chunk;
use crate::session::output::outbox::LargeItem;
use crate::session::publish::Message;

/// What operations leave behind.
#[derive(Default)]
pub(crate) struct Effects {
    due: Due,
    /// What is measured. It is taken by the driver, and not when the lock is released.
    pub(in crate::session) counts: Counts,
}

/// Wakers to wake and values to drop, both outside the lock.
#[derive(Default)]
pub(crate) struct Due {
    driver: Option<Waker>,
    first: Option<Waker>,
    wakers: Vec<Waker>,
    garbage: Vec<Garbage>,
    /// Some of the garbage is notes.
    noted: bool,
}

/// Values whose drop may run code of the user's.
#[allow(dead_code, reason = "kept only to be dropped")]
pub(crate) enum Garbage {
    Content(Box<(protocol::Properties, Body)>),
    Deliveries(Vec<VecDeque<Queued>>),
    Messages(Vec<Message>),
    Large(VecDeque<LargeItem>),
    Chunks(VecDeque<Chunk>),
    Inbox(VecDeque<crate::outcome::IncomingMethod>),
    Waker(Waker),
    Events(VecDeque<Event>),
    Pieces(VecDeque<Bytes>),
    /// A reason that is not the first. The error of a transport may hold anything.
    Reason(Box<CloseReason>),
    Io(std::io::Error),
    Note(Note),
}

/// Something to be logged, which is done when it is dropped: a subscriber is the user's code, and may even send its
/// logs over this very connection.
pub(crate) struct Note(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(log) = self.0.take() {
            log();
        }
    }
}

impl Effects {
    /// Whether there is nothing to do.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        let Due { driver, first, wakers, garbage, .. } = &self.due;
        driver.is_none() && first.is_none() && wakers.is_empty() && garbage.is_empty()
    }

    /// What has to be done once the lock is released.
    #[inline]
    pub(crate) fn take_due(&mut self) -> Option<Due> {
        (!self.is_empty()).then(|| std::mem::take(&mut self.due))
    }

    pub(crate) fn wake_driver(&mut self, waker: Waker) {
        self.due.driver = Some(waker);
    }

    #[inline]
    pub(crate) fn wake(&mut self, waker: Option<Waker>) {
        match (waker, &self.due.first) {
            (None, _) => {}
            (waker, None) => self.due.first = waker,
            (Some(waker), Some(_)) => self.due.wakers.push(waker),
        }
    }

    /// Wakes everybody in a line.
    pub(crate) fn wake_all(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        for waker in wakers {
            self.wake(Some(waker));
        }
    }

    /// Has `slot` hold whom to wake; one that it held before is dropped after the unlock.
    #[inline]
    pub(crate) fn keep(&mut self, slot: &mut Option<Waker>, waker: &dyn Caller) {
        if !slot.as_ref().is_some_and(|old| waker.is_woken_by(old))
            && let Some(new) = waker.waker()
        {
            let old = slot.replace(new);
            self.discard_waker(old);
        }
    }

    pub(crate) fn discard(&mut self, garbage: Garbage) {
        self.due.garbage.push(garbage);
    }

    /// Has something logged, if anybody listens at all to what is of this level.
    pub(crate) fn log(&mut self, level: Level, log: impl FnOnce() + Send + 'static) {
        if level <= LevelFilter::current() {
            self.due.noted = true;
            self.discard(Garbage::Note(Note(Some(Box::new(log)))));
        }
    }

    /// Keeps a replaced waker alive until after the unlock.
    pub(crate) fn discard_waker(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.discard(Garbage::Waker(waker));
        }
    }
}

impl Due {
    /// Wakes and drops everything, and logs what is to be logged in the connection's span. Must not be called under
    /// the lock.
    pub(crate) fn run(self, span: &Span) {
        let Self { driver, first, wakers, garbage, noted } = self;
        for waker in driver.into_iter().chain(first).chain(wakers) {
            waker.wake();
        }
        let _within = noted.then(|| span.enter());
        drop(garbage);
    }
}
