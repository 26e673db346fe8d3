//! Whether, when and how often a lost connection is opened again: plain values that the supervisor asks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amqp_types::protocol::ReplyCode;

use crate::error::ConnectError;
use crate::options::WhileBlocked;
use crate::outcome::Topology;

/// How a connection comes back after it was lost; see [`Connector::recovery`](crate::Connector::recovery).
///
/// Any end but the program's own is a loss: the broker's close, the end of the transport, a silent peer. What was declared
/// on the connection (exchanges, queues, bindings) is declared again; channels come back with
/// prefetch, confirm mode and consumers, under their numbers, but for one that the broker closes on the way; all handles stay what they were, and consumers go on as the same streams.
///
/// What was in flight is never taken for something else: confirmations end as [`Outcome::Unknown`](crate::Outcome::Unknown),
/// calls with the reason, deliveries are [`Stale`](crate::ErrorKind::Stale) when they are settled, and come again. Meanwhile
/// calls fail as [`Recovering`](crate::ErrorKind::Recovering), and publishes wait or fail, as
/// [`publish_while_recovering`](Self::publish_while_recovering) says. A channel with a transaction, or with a streamed
/// publish under way, ends: neither can be continued. A consumer that was started with a
/// [`stream_offset`](crate::BasicConsume::stream_offset) goes on in its stream from where it was; one of a stream that was
/// started without gets what is published from when it is back.
///
/// How it goes on is told by [`Connection::events`](crate::Connection::events), and what came of each step by
/// [`RecoveryReport`](crate::RecoveryReport). Connecting has [`Options::connect_timeout`](crate::Options::connect_timeout) as
/// ever, and each step that restores something [`Options::call_timeout`](crate::Options::call_timeout): a broker that misses
/// that is lost, as [`CallUnanswered`](crate::CloseCause::CallUnanswered), and the next attempt begins.
///
/// ```
/// use amqp_connector::Recovery;
/// use std::time::Duration;
///
/// let recovery = Recovery::new()
///     .backoff(Duration::from_millis(100), Duration::from_secs(10))
///     .max_attempts(20);
/// # let _ = recovery;
/// ```
#[derive(Clone)]
#[must_use = "a policy does nothing until a connector has it"]
pub struct Recovery {
    first: Duration,
    longest: Duration,
    attempts: Option<u32>,
    time: Option<Duration>,
    pauses: Option<Pauses>,
    retries: Option<Retries>,
    edits: Option<Edits>,
    pub(crate) publishes: WhileBlocked,
}

type Pauses = Arc<dyn Fn(u32, Duration) -> Option<Duration> + Send + Sync>;
type Retries = Arc<dyn Fn(&ConnectError) -> bool + Send + Sync>;
type Edits = Arc<dyn Fn(&mut Topology) + Send + Sync>;

impl Default for Recovery {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(30),
            attempts: None,
            time: None,
            pauses: None,
            retries: None,
            edits: None,
            publishes: WhileBlocked::Wait,
        }
    }
}

impl Recovery {
    /// Tries for ever: after 200 ms, then after twice the pause each time up to 30 seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pause before the first attempt, and the longest one. Each is twice the one before, and each is cut by a
    /// random part of up to a half, so that the clients of a broker that went do not come back all at once.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.first, self.longest) = (first, longest.max(first));
        self
    }

    /// How many attempts there are before the connection is given up. Default: no end.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// For how long it is tried before the connection is given up. Default: no end.
    pub fn max_time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// The pause before each attempt, as the program likes: it is asked with the attempt's number, from 1, and the time
    /// that has passed since the loss. `None` gives the connection up. [`backoff`](Self::backoff) has no effect then, and
    /// nothing is cut from the pause by chance; the limits of attempts and time hold all the same.
    ///
    /// It is called outside the library's locks, and may call the library. If it panics, the connection ends as
    /// [`RecoveryPanicked`](crate::CloseCause::RecoveryPanicked).
    ///
    /// ```
    /// use amqp_connector::Recovery;
    /// use std::time::Duration;
    ///
    /// // At once, then each second, for as long as an hour.
    /// let recovery = Recovery::new().pause_by(|attempt, spent| match attempt {
    ///     1 => Some(Duration::ZERO),
    ///     _ => (spent < Duration::from_secs(3600)).then_some(Duration::from_secs(1)),
    /// });
    /// # let _ = recovery;
    /// ```
    pub fn pause_by(
        mut self,
        pauses: impl Fn(u32, Duration) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.pauses = Some(Arc::new(pauses));
        self
    }

    /// After which errors of an attempt there is another one. By default after all but those that another attempt
    /// does not change: refused credentials, a refused virtual host, no mechanism in common, a server that speaks
    /// another version or no AMQP, and what this side cannot send. A broker that refuses because its connections, or those
    /// of the virtual host or the user, are at their limit is asked again: it may not have missed the lost ones yet.
    ///
    /// It is called outside the library's locks, and may call the library. If it panics, the connection ends as
    /// [`RecoveryPanicked`](crate::CloseCause::RecoveryPanicked).
    pub fn retry_if(
        mut self,
        retries: impl Fn(&ConnectError) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.retries = Some(Arc::new(retries));
        self
    }

    /// What is to be declared again, as this leaves it: it may remove, change and add entities. It is called before each
    /// restoring, outside the library's locks, and may call the library. If it panics, the connection ends as
    /// [`RecoveryPanicked`](crate::CloseCause::RecoveryPanicked).
    pub fn edit_topology(mut self, edits: impl Fn(&mut Topology) + Send + Sync + 'static) -> Self {
        self.edits = Some(Arc::new(edits));
        self
    }

    /// What publishes do while the connection is lost: wait until it is restored, or fail with
    /// [`ErrorKind::Recovering`](crate::ErrorKind::Recovering). Default [`WhileBlocked::Wait`].
    pub fn publish_while_recovering(mut self, policy: WhileBlocked) -> Self {
        self.publishes = policy;
        self
    }

    /// The pause before attempt `attempt` (from 1), if there is to be one after `spent` of trying.
    pub(crate) fn pause(&self, attempt: u32, spent: Duration, random: f64) -> Option<Duration> {
        let doublings = attempt.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        let pause = match &self.pauses {
            Some(pauses) => pauses(attempt, spent)?,
            None => whole.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0),
        };
        let in_number = self.attempts.is_none_or(|attempts| attempt <= attempts);
        let in_time = self.time.is_none_or(|time| spent.saturating_add(pause) <= time);
        (in_number && in_time).then_some(pause)
    }

    /// Whether there is another attempt after this error.
    pub(crate) fn retries(&self, error: &ConnectError) -> bool {
        match &self.retries {
            Some(retries) => retries(error),
            None => is_worth_another(error),
        }
    }

    /// Lets the user change what is to be restored.
    pub(crate) fn edit(&self, topology: &mut Topology) {
        if let Some(edits) = &self.edits {
            edits(topology);
        }
    }
}

/// The server has let this client in before: so one that just hangs up is rather going down than refusing it.
fn is_worth_another(error: &ConnectError) -> bool {
    match error {
        ConnectError::CredentialsRefused { reason: None } => true,
        error if is_full(error) => true,
        ConnectError::VirtualHost { reason, .. } => reason.code().is_none_or(|code| {
            ![ReplyCode::ACCESS_REFUSED, ReplyCode::NOT_ALLOWED, ReplyCode::INVALID_PATH]
                .contains(&code)
        }),
        error => error.is_transient(),
    }
}

/// Whether only others stand in the way, or our own lost connection that the server has not missed yet. RabbitMQ has the same
/// code for that as for a virtual host that does not exist, and tells them apart by its words alone.
fn is_full(error: &ConnectError) -> bool {
    error.close_reason().is_some_and(|reason| {
        reason.code() == Some(ReplyCode::NOT_ALLOWED) && reason.text().contains("connection limit")
    })
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("first", &self.first)
            .field("longest", &self.longest)
            .field("attempts", &self.attempts)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_are_cut_by_up_to_a_half() {
        let policy = Recovery::new().backoff(SECOND, 8 * SECOND);
        let pauses = |random| -> Vec<u128> {
            (1..=6)
                .filter_map(|n| policy.pause(n, Duration::ZERO, random))
                .map(|pause| pause.as_millis())
                .collect()
        };
        assert_eq!(pauses(0.0), [1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(pauses(1.0), [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(policy.pause(u32::MAX, Duration::MAX, 0.0), Some(8 * SECOND));
    }

    #[test]
    fn the_program_s_own_pauses_are_taken_as_they_are_and_end_it_too() {
        let policy = Recovery::new()
            .max_attempts(4)
            .pause_by(|attempt, spent| (spent < 9 * SECOND).then_some(attempt * SECOND));
        assert_eq!(policy.pause(3, 2 * SECOND, 0.7), Some(3 * SECOND));
        assert_eq!(policy.pause(3, 9 * SECOND, 0.7), None);
        assert_eq!(policy.pause(5, SECOND, 0.7), None, "the other limits hold");
    }

    #[test]
    fn attempts_and_time_have_an_end_if_one_is_set() {
        let policy = Recovery::new().backoff(SECOND, SECOND).max_attempts(2);
        assert!(policy.pause(2, Duration::ZERO, 0.0).is_some());
        assert!(policy.pause(3, Duration::ZERO, 0.0).is_none());
        let policy = Recovery::new().backoff(SECOND, SECOND).max_time(3 * SECOND);
        assert!(policy.pause(9, 2 * SECOND, 0.0).is_some());
        assert!(policy.pause(1, 3 * SECOND, 0.0).is_none());
    }
}
