//! When heartbeats are sent, when the peer is given up, and whether that is its doing or our own.
//!
//! A peer is dead when nothing came from it for two intervals. But if the driver was not polled meanwhile, octets of a
//! living peer may wait in the socket, and a peer that heard nothing from us has the right to leave. So a
//! stall of the driver is noted: it postpones the verdict until the socket was looked at, and it takes the
//! blame for what follows. Plain data, asked and told by [`Session`](crate::session::Session).

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
    /// The last stall, until it can have no consequences any more.
    stall: Option<Stall>,
}

/// The driver was polled so late that the peer's silence, or its leaving, is not its own fault.
#[derive(Clone, Copy)]
struct Stall {
    /// By how much it was late.
    late: Duration,
    /// For how long the peer had heard nothing from us.
    mute: Duration,
    noticed: Instant,
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
        }
    }

    pub(in crate::session) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
        self.send_at = now + self.half;
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
        self.check_at = now + self.double;
        if let Some(stall) = self.stall {
            self.check_at = self.check_at.max(stall.noticed + self.interval);
        }
    }

    fn is_on(&self) -> bool {
        !self.interval.is_zero()
    }

    /// When something is due next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.is_on().then(|| self.send_at.min(self.check_at))
    }

    pub(super) fn is_send_due(&self, now: Instant) -> bool {
        self.is_on() && self.send_at <= now
    }

    /// Whether the peer is given up. After a stall it has one more interval, in which a living one is heard.
    pub(super) fn is_check_due(&self, now: Instant) -> bool {
        self.is_on() && self.check_at <= now
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

    fn note_stall(&mut self, late: Duration, now: Instant) -> Duration {
        let mute = now.saturating_duration_since(self.last_sent);
        let earlier = self.stall.map(|stall| (stall.late, stall.mute)).unwrap_or_default();
        let (late, mute) = (late.max(earlier.0), mute.max(earlier.1));
        self.stall = Some(Stall { late, mute, noticed: now });
        self.check_at = self.check_at.max(now + self.interval);
        late
    }

    /// Why the peer is given up now.
    pub(super) fn verdict(&self, now: Instant) -> CloseReason {
        let interval = self.interval.as_secs();
        if let Some(stall) = self.stall
            && self.last_received < stall.noticed
        {
            return stall.reason(interval, "and nothing has come from the peer since");
        }
        let silence = now.saturating_duration_since(self.last_received);
        let text = format!(
            "no octet from the peer for {:.1} s, two heartbeat intervals of {interval} s",
            silence.as_secs_f64(),
        );
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
