//! Opening again one channel that was closed for an error, for the task that awaits it.
//!
//! The session gives the channel another number and holds its state; here are the steps, and the account of them. Given up
//! on the way, the channel is closed again and can be reopened another time.

use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;

use tokio::time::Instant;

use crate::deadline::{Deadline, until};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::ChannelHandle;
use crate::outcome::{RecoveryFailure, Reopened};
use crate::recovery::channel::{Steps, Stuck, entity, reason_of, restore};
use crate::recovery::restore::{LOCKED_MAX, LOCKED_PAUSE};
use crate::session::{Line, Reopening, Restart, after};
use crate::shared::Ticket;

/// Opens the channel again, unless it is open.
pub(crate) async fn reopen(
    handle: Arc<ChannelHandle>,
    place: &'static Location<'static>,
) -> Result<Reopened> {
    let begun = Instant::now();
    let mut work = Work { handle: &handle, restoring: false };
    let mut report = match work.begin(begun).await? {
        Reopening::Open => Reopened::default(),
        Reopening::Begun(_) => work.restore(place).await?,
    };
    work.restoring = false;
    report.epoch = handle.shared().with(|session| session.epoch(handle.key()));
    report.took = begun.elapsed();
    Ok(report)
}

/// A reopening under way.
struct Work<'a> {
    handle: &'a ChannelHandle,
    /// The channel is this one's to restore.
    restoring: bool,
}

impl Work<'_> {
    /// Begins it, once the broker has answered the close and nobody else is at it.
    async fn begin(&mut self, now: Instant) -> Result<Reopening> {
        let Self { handle, restoring } = self;
        let shared = handle.shared();
        let mut ticket = Ticket::new(shared, Line::ChannelClosed(handle.key()));
        let beginning = poll_fn(|cx| {
            ticket.poll(cx, |session, held, waker| {
                let begun = session.poll_reopen(handle.key(), held, waker);
                if let std::task::Poll::Ready(Ok(Reopening::Begun(key))) = begun {
                    // Under the lock, so that nobody finds the handle without its channel.
                    handle.set_key(key);
                    *restoring = true;
                }
                begun
            })
        });
        match until(shared, after(now, shared.options.call_timeout), beginning).await {
            Some(begun) => begun,
            None => Err(Error::timeout("channel.close")),
        }
    }

    /// Restores it. What the broker closes it for is left out.
    async fn restore(&self, place: &'static Location<'static>) -> Result<Reopened> {
        let (shared, mut report, mut tries) = (self.handle.shared(), Reopened::default(), 0);
        loop {
            let (key, lasting) = shared.with(|session| {
                let key = session.reopen_anew(self.handle.key());
                self.handle.set_key(key);
                (key, session.lasting(key))
            });
            let Some(lasting) = lasting else { return Err(self.ended()) };
            let consumers = lasting.consumers.len();
            let attempt = restore(Steps { shared, place }, key, lasting).await;
            match attempt {
                Ok(_) if shared.with(|session| session.reopened(key)) => {
                    report.consumers = consumers;
                    return Ok(report);
                }
                Ok(_) => return Err(self.ended()),
                Err(stuck) if stuck.may_pass() && tries < LOCKED_MAX => {
                    tries += 1;
                    let mut pause = Deadline::new(shared, after(Instant::now(), LOCKED_PAUSE));
                    poll_fn(|cx| pause.poll(cx)).await;
                }
                Err(Stuck::Consumer(restart, error))
                    if error.kind() == ErrorKind::ChannelClosed =>
                {
                    report.failures.extend(self.lose_consumer(&restart, error));
                }
                // Somebody else has ended it.
                Err(stuck) if stuck.error().kind() == ErrorKind::Stale => return Err(self.ended()),
                Err(stuck) => return Err(stuck.into_error()),
            }
        }
    }

    /// A consumer cannot be restored. One that nobody wants any more has not failed.
    fn lose_consumer(&self, restart: &Restart, error: Error) -> Option<Arc<RecoveryFailure>> {
        let key = self.handle.key();
        let reason = reason_of(&error, key);
        if !self.handle.shared().with(|session| session.end_unrestored(key, restart.id, reason)) {
            return None;
        }
        let entity = entity(key, restart);
        let failure = Arc::new(RecoveryFailure { entity, error });
        tracing::warn!(parent: &self.handle.shared().span, %failure, "a consumer cannot be restored");
        Some(failure)
    }

    /// Why somebody else has ended it meanwhile.
    fn ended(&self) -> Error {
        self.handle.shared().with(|session| session.why_ended(self.handle.key()))
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if self.restoring {
            let handle = self.handle;
            handle.shared().with(|session| session.give_up_reopening(handle.key()));
        }
    }
}
