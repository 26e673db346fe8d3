//! When heartbeats are sent, when the peer is given up, and whether that is its doing or our own.
//!
//! A peer is dead when nothing came from it for two intervals in which we listened: while reading pauses for a slow
//! consumer, its octets stay in the socket. If the driver was not polled meanwhile, octets of a living peer may wait
//! there, too, and a peer that heard nothing from us has the right to leave. So a stall of the driver is noted: it
//! postpones the verdict once, until the socket was looked at, and it takes the blame if the peer has left. Plain data,
//! asked and told by [`Session`](crate::session::Session).

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{CloseCause, CloseReason, Scope};

/// Sends before half the interval passed unused; gives the peer up after two of its silence.
pub(in crate::session) struct Heartbeat {
    /// Zero is off.
    interval: Duration,
    half: Duration,
    double: Duration,
    last_sent: Instant,
    last_received: Instant,
    /// When these are due, which every round of the driver asks for.
    send_at: Instant,
    check_at: Instant,
    /// The last stalls, until they can have no consequences any more.
    stall: Option<Stall>,
    /// What the present silence was granted for a stall: once, however many there are. One that was given before the
    /// last octet came is none.
    grace: Option<Grace>,
    /// When the driver last read until there was nothing more, of the times that it was late.
    looked: Option<Instant>,
    /// Since when reading pauses.
    deaf_since: Option<Instant>,
    /// For how long it did, and up to when; of the present silence if that is after the last octet.
    deaf: Option<(Duration, Instant)>,
}

/// The driver was polled so late that the peer's silence, or its leaving, may not be its own fault.
#[derive(Clone, Copy)]
struct Stall {
    /// By how much it was late: the longest, or the sum of those between which nothing could be written.
    late: Duration,
    /// The longest time for which the peer had heard nothing from us because of that.
    mute: Duration,
    /// The sum of those since this, which is when we wrote last.
    sum: Duration,
    sent: Instant,
    noticed: Instant,
}

#[derive(Clone, Copy)]
struct Grace {
    given: Instant,
    /// When the stall that it is for was noticed: the socket has to be looked at after that.
    stalled: Instant,
}

impl Heartbeat {
    pub(in crate::session) fn new(seconds: u16, now: Instant) -> Self {
        let interval = Duration::from_secs(seconds.into());
        let (half, double) = (interval / 2, interval * 2);
        Self {
            interval,
            half,
            double,
            last_sent: now,
            last_received: now,
            send_at: now + half,
            check_at: now + double,
            stall: None,
            grace: None,
            looked: None,
            deaf_since: None,
            deaf: None,
        }
    }

    /// Octets were written.
    pub(in crate::session) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
        self.send_at = now + self.half;
    }

    /// The next is due half an interval from now, whether or not this one gets out.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.send_at = now + self.half;
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
        self.check_at = now + self.double;
    }

    fn is_on(&self) -> bool {
        !self.interval.is_zero()
    }

    /// When something is due next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.is_on().then(|| match self.deaf_since {
            None => self.send_at.min(self.check_at),
            Some(_) => self.send_at,
        })
    }

    pub(super) fn is_send_due(&self, now: Instant) -> bool {
        self.is_on() && self.send_at <= now
    }

    /// Whether the peer has been silent for two intervals, or a grace has ended.
    pub(super) fn is_check_due(&self, now: Instant) -> bool {
        self.is_on() && self.check_at <= now && self.deaf_since.is_none()
    }

    /// Compares the time with the one that the driver had asked for: that is never later than when the next
    /// heartbeat is due, so before that there is nothing to compare. Gives how late it is after a stall.
    #[cold]
    pub(super) fn look(&mut self, now: Instant) -> Option<Duration> {
        if let Some(stall) = self.stall
            && now >= stall.noticed + self.interval
            && self.last_received >= stall.noticed
        {
            self.stall = None;
        }
        let late = now.saturating_duration_since(self.send_at);
        // A shorter one cannot explain a silence of two intervals.
        (self.is_on() && late >= self.half).then(|| self.note_stall(late, now))
    }

    /// The driver has just read until there was nothing more.
    pub(super) fn looked(&mut self, now: Instant) {
        self.looked = Some(now);
    }

    /// Whether the session knows that reading pauses.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf_since.is_some()
    }

    /// Reading pauses, or goes on: the time between does not count as the peer's silence.
    #[cold]
    pub(super) fn turn_deaf(&mut self, deaf: bool, now: Instant) {
        let Some(since) = std::mem::replace(&mut self.deaf_since, deaf.then_some(now)) else {
            return;
        };
        let missed = now.saturating_duration_since(since.max(self.last_received));
        self.check_at += missed;
        self.deaf = Some((self.deaf_for() + missed, now));
    }

    /// How much of the present silence nobody listened.
    fn deaf_for(&self) -> Duration {
        let deaf = self.deaf.filter(|(_, to)| *to > self.last_received);
        deaf.map_or(Duration::ZERO, |(deaf, _)| deaf)
    }

    fn note_stall(&mut self, late: Duration, now: Instant) -> Duration {
        let mut stall = self.stall.unwrap_or(Stall {
            late: Duration::ZERO,
            mute: Duration::ZERO,
            sum: Duration::ZERO,
            sent: self.last_sent,
            noticed: now,
        });
        if stall.sent != self.last_sent {
            (stall.sent, stall.sum) = (self.last_sent, Duration::ZERO);
        }
        stall.sum += late;
        stall.late = stall.late.max(stall.sum);
        // Before each there may have been half an interval in which nothing was due.
        stall.mute = stall.mute.max(stall.sum + self.half);
        stall.noticed = now;
        self.stall = Some(stall);
        // The same delay is not to be counted again by the next who looks.
        self.send_at = now;
        late
    }

    /// A check is due: gives why the peer is given up, or `None` if it is granted more time since we have stalled.
    ///
    /// An interval after the stall octets of a living peer have come up from the socket, if it was looked at.
    #[cold]
    pub(super) fn check(&mut self, now: Instant) -> Option<CloseReason> {
        let Some(stall) = self.stall.filter(|stall| stall.noticed > self.last_received) else {
            return Some(self.verdict(now, None));
        };
        let grace = match self.grace.filter(|grace| grace.given > self.last_received) {
            Some(grace) => grace,
            None => *self.grace.insert(Grace { given: now, stalled: stall.noticed }),
        };
        let until = grace.stalled + self.interval;
        if now < until {
            self.check_at = until;
            return None;
        }
        if self.looked.is_none_or(|looked| looked <= grace.stalled) {
            self.check_at = now + self.half;
            return None;
        }
        Some(self.verdict(now, Some(stall)))
    }

    fn verdict(&self, now: Instant, stall: Option<Stall>) -> CloseReason {
        let interval = self.interval.as_secs();
        let silence = now.saturating_duration_since(self.last_received);
        let silence = silence.saturating_sub(self.deaf_for());
        let mut text = format!(
            "no octet from the peer for {:.1} s, with a heartbeat interval of {interval} s",
            silence.as_secs_f64(),
        );
        if let Some(stall) = stall {
            text += &format!(
                "; this process did not look for {:.1} s of them, but has looked since",
                stall.late.as_secs_f64(),
            );
        }
        CloseReason::new(Scope::Connection, CloseCause::PeerSilent { silence }, text)
    }

    /// Why the transport is gone, if that follows from a stall of ours: the peer had heard nothing for as
    /// long as makes a connection dead.
    pub(in crate::session) fn reason_of_end(&self, error: Option<io::Error>) -> CloseReason {
        let stall = self.stall.filter(|stall| stall.mute >= self.double);
        let (cause, text) = match (stall, &error) {
            (Some(stall), _) => {
                let reason =
                    stall.reason(self.interval.as_secs(), "and the peer has gone meanwhile");
                return with_io(reason, error);
            }
            (None, None) => {
                (CloseCause::TransportEnded, "the peer ended the transport without a close")
            }
            (None, Some(_)) => (CloseCause::TransportFailed, "the transport failed"),
        };
        with_io(CloseReason::new(Scope::Connection, cause, text), error)
    }
}

fn with_io(reason: CloseReason, error: Option<io::Error>) -> CloseReason {
    match error {
        Some(error) => reason.with_io(error),
        None => reason,
    }
}

impl Stall {
    fn reason(self, interval: u64, outcome: &str) -> CloseReason {
        let text = format!(
            "this process did not look at the connection for {:.1} s (its runtime was blocked or starved; the \
             heartbeat interval is {interval} s), {outcome}",
            self.late.as_secs_f64(),
        );
        CloseReason::new(Scope::Connection, CloseCause::RuntimeStalled { stall: self.late }, text)
    }
}
