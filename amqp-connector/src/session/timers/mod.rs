//! Time: heartbeats both ways, deadlines of calls, the pause of reading, held acks and paces, the deadline of a close,
//! and alarms of handles that have no clock.
//!
//! The clock is the caller's; this module only compares instants.

mod alarms;
mod heartbeat;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Level;

pub(super) use self::alarms::Alarms;
pub(super) use self::heartbeat::Heartbeat;

use crate::error::CloseReason;
use crate::session::{ChannelKey, Session};

/// Buffers of a burst are freed when hardly anything moved for about this long: heartbeats and a few messages
/// need no more than one.
const IDLE: Duration = Duration::from_secs(1);
const QUIET: usize = 64 << 10;

/// A deadline that far away; one beyond what the clock can tell is as good as none.
pub(crate) fn after(now: Instant, timeout: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    now.checked_add(timeout.min(FAR)).unwrap_or(now)
}

/// The one that comes first.
#[inline]
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Session {
    /// The driver looks at the connection at `now`, possibly much later than it had asked for. To be told
    /// before anything else of the same look, since what is found then may be due to that. `quiet` says that there
    /// was nothing (more) to be read.
    pub(crate) fn handle_look(&mut self, now: Instant, quiet: bool) {
        self.look_at_clock(now);
        if quiet {
            self.heartbeat.looked(now);
        }
    }

    /// So many octets came from the peer; any count as a sign of life.
    pub(crate) fn handle_received(&mut self, octets: usize, now: Instant) {
        self.heartbeat.received(now);
        self.note_moved(octets, now);
    }

    /// Octets moved: there may be buffers to free when it is quiet again.
    pub(super) fn note_moved(&mut self, octets: usize, now: Instant) {
        self.moved = self.moved.saturating_add(octets);
        if self.tidy_at.is_none() {
            self.tidy_at = Some(now + IDLE);
        }
    }

    /// Frees the buffers that a burst left behind, unless much moved since the last look.
    fn tidy(&mut self, now: Instant) {
        if std::mem::take(&mut self.moved) > QUIET {
            self.tidy_at = Some(now + IDLE);
        } else {
            self.tidy_at = None;
            self.outbox.tidy();
            self.crowd.tidy();
            self.idle = true;
        }
    }

    /// Whether the driver should free its buffers, told once each time the connection has become idle.
    pub(crate) fn take_idle(&mut self) -> bool {
        std::mem::take(&mut self.idle)
    }

    /// When [`Session::handle_timeout`] wants to be called next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_closed() || self.is_lost() {
            return self.close_deadline;
        }
        let call = match self.blocked {
            None if self.overdue.is_empty() => first(&self.deadlines),
            None => earlier(first(&self.deadlines), first(&self.overdue)),
            // The time of the others stands still.
            Some(_) => first(&self.deadlines).filter(|_| !self.calls_pause()),
        };
        let mut due = earlier(self.heartbeat.due(), earlier(call, self.tidy_at));
        due = earlier(due, earlier(self.pause, self.soon));
        due = earlier(due, earlier(self.close_deadline, self.alarms.next()));
        if !self.holds.is_empty() {
            due = earlier(due, self.next_hold());
        }
        match self.is_draining() {
            true => earlier(due, self.next_drain()),
            false => due,
        }
    }

    /// Finds out whether the driver has lacked its turn.
    #[cold]
    fn look_at_clock(&mut self, now: Instant) {
        if let Some(late) = self.heartbeat.look(now) {
            self.effects.log(Level::WARN, move || {
                tracing::warn!(?late, "the connection's driver was not polled in time");
            });
        }
    }

    /// Does whatever is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.alarms.next().is_some_and(|at| at <= now) {
            self.ring_alarms(now);
        }
        if self.is_draining() {
            self.advance_drains(now);
        }
        if !self.holds.is_empty() {
            self.advance_holds(now);
        }
        if self.close_deadline.is_some_and(|at| at <= now) {
            self.give_up_closing();
        }
        if self.is_closed() || self.is_lost() {
            return;
        }
        if self.pause.is_some_and(|at| at <= now) {
            self.end_pause(now);
        }
        if self.pause.is_some() != self.heartbeat.is_deaf() {
            self.heartbeat.turn_deaf(self.pause.is_some(), now);
        }
        if let Some(reason) = self.beat(now) {
            return self.terminate(reason);
        }
        if self.tidy_at.is_some_and(|at| at <= now) {
            self.tidy(now);
        }
        if self.unclocked || self.soon.is_some_and(|at| at <= now) {
            self.look_soon(now);
        }
        self.expire_calls(now);
    }

    /// Heartbeats both ways; gives why the peer is given up, if it is.
    #[inline]
    fn beat(&mut self, now: Instant) -> Option<CloseReason> {
        let send = self.heartbeat.is_send_due(now);
        if send {
            self.look_at_clock(now);
        }
        if self.heartbeat.is_check_due(now)
            && let Some(reason) = self.heartbeat.check(now)
        {
            return Some(reason);
        }
        if send {
            // Behind octets that cannot be written it would tell the peer nothing sooner than they do.
            if self.outbox.outstanding() == 0 {
                self.send_heartbeat();
            }
            self.heartbeat.postpone(now);
        }
        None
    }

    /// Acks that are held back, and publishes that wait for their channel's pace.
    fn look_soon(&mut self, now: Instant) {
        self.unclocked = false;
        let acks = self.clock_acks(now);
        self.soon = earlier(acks, self.clock_paces(now));
    }

    /// Whether the socket may be read: not while a consumer that keeps up has a long queue.
    pub(crate) fn wants_read(&self) -> bool {
        self.pause.is_none()
    }

    /// A consumer's queue has grown long: stop reading for a moment, so that it can catch up.
    pub(super) fn begin_pause(&mut self, until: Instant) {
        self.pause = Some(self.pause.map_or(until, |pause| pause.max(until)));
    }

    /// A consumer that reading was paused for has caught up.
    pub(super) fn consumer_caught_up(&mut self) {
        if self.pause.is_none() {
            return;
        }
        let waiting = self.channels.iter_mut().any(|channel| {
            channel.consumers.iter().any(|consumer| consumer.backlog.is_pausing())
                || channel.bodies.as_ref().is_some_and(|bodies| bodies.is_pausing())
        });
        if !waiting && !self.crowd.is_pausing() && self.pause.take().is_some() {
            self.notify_driver();
        }
    }

    /// The moment is over, whether or not the consumers have caught up. For the readers of streamed bodies there may
    /// be another.
    fn end_pause(&mut self, now: Instant) {
        self.pause = None;
        self.crowd.end_pause();
        let (patience, mut more) = (self.patience(), None);
        for channel in self.channels.iter_mut() {
            for consumer in channel.consumers.iter_mut() {
                consumer.backlog.end_pause();
            }
            if let Some(bodies) = &mut channel.bodies {
                more = more.max(bodies.end_pause(now, patience));
            }
        }
        if let Some(more) = more {
            self.begin_pause(now + more);
        }
    }

    /// Calls whose deadline is reached, or the second after it. While the broker blocks us it answers nothing,
    /// so their time stands still; that of the first may be wanted to run.
    fn expire_calls(&mut self, now: Instant) {
        while !self.overdue.is_empty()
            && !self.is_blocked()
            && let Some(((at, id), key)) = first_due(&self.overdue, now)
        {
            if self.put_off_unsent(key, id, now) {
                continue;
            }
            self.overdue.remove(&(at, id));
            self.expire_call(key, id, now);
        }
        while !self.calls_pause()
            && let Some(((at, id), key)) = first_due(&self.deadlines, now)
        {
            if self.put_off_unsent(key, id, now) {
                continue;
            }
            self.deadlines.remove(&(at, id));
            self.expire_call(key, id, now);
        }
    }
}

/// The nearest deadline.
fn first(deadlines: &Deadlines) -> Option<Instant> {
    deadlines.first_key_value().map(|((at, _), _)| *at)
}

type Deadlines = BTreeMap<(Instant, u64), ChannelKey>;

/// The nearest deadline, if it is reached.
fn first_due(deadlines: &Deadlines, now: Instant) -> Option<((Instant, u64), ChannelKey)> {
    let (due, key) = deadlines.first_key_value()?;
    (due.0 <= now).then_some((*due, *key))
}
