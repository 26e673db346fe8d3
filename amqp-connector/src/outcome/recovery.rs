//! What is told of a recovery: each step as an event, and what came of it as a report.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amqp_types::ShortStr;

use crate::error::{CloseReason, ConnectError, Error};
use crate::outcome::{Binding, Destination};

/// How a recovery goes on, as [`Event::Recovery`](crate::Event::Recovery) tells. It begins with
/// [`Event::Recovering`](crate::Event::Recovering).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RecoveryEvent {
    /// An attempt to connect, which begins after a pause.
    #[non_exhaustive]
    Attempt {
        /// Its number, from 1.
        attempt: u32,
        /// The pause before it.
        pause: Duration,
    },
    /// The attempt has failed. Whether there is another one, the policy says.
    #[non_exhaustive]
    AttemptFailed {
        /// Its number.
        attempt: u32,
        /// Why.
        error: Arc<ConnectError>,
    },
    /// The connection is open again; what was declared, and its channels, are being restored.
    Reconnected,
    /// The broker has given a queue that it names itself another name.
    #[non_exhaustive]
    QueueRenamed {
        /// Its name till now.
        old: ShortStr,
        /// Its name from now on.
        new: ShortStr,
    },
    /// Something could not be restored; the rest is.
    Failed(Arc<RecoveryFailure>),
    /// All that could be restored is, and every consumer's `consume-ok` has come.
    Recovered(Arc<RecoveryReport>),
}

/// Something that could not be restored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecoveryFailure {
    /// What it is.
    pub entity: Entity,
    /// Why.
    pub error: Error,
}

/// Something that is restored.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Entity {
    /// The exchange of this name.
    Exchange(ShortStr),
    /// The queue of this name.
    Queue(ShortStr),
    /// A binding.
    Binding(Binding),
    /// The channel of this number, or its prefetch or confirm mode. It has ended.
    Channel(u16),
    /// A consumer. It has ended.
    #[non_exhaustive]
    Consumer {
        /// Its channel's number.
        channel: u16,
        /// Its tag.
        tag: ShortStr,
        /// Its queue.
        queue: ShortStr,
    },
}

/// Something that was to be restored, what came of it, and how long it took: a line of the log that a report is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecoveryStep {
    /// What it is.
    pub entity: Entity,
    /// How long it took, of which the broker is to blame for most.
    pub took: Duration,
    /// Why it could not be restored; nothing if it was.
    pub error: Option<Error>,
}

/// What came of a recovery. Shown as a line; by `{:#}` as a log, with a line for each step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// How the connection was lost.
    pub reason: Arc<CloseReason>,
    /// How many attempts it took to connect.
    pub attempts: u32,
    /// How long it took from the loss until the connection was open again.
    pub connected_after: Duration,
    /// How long it took from the loss to the end, in all.
    pub took: Duration,
    /// How many exchanges were declared.
    pub exchanges: usize,
    /// How many queues were declared.
    pub queues: usize,
    /// How many bindings were made.
    pub bindings: usize,
    /// How many channels were opened.
    pub channels: usize,
    /// How many consumers were started.
    pub consumers: usize,
    /// How many messages are published again ([`ConfirmOptions::republish`](crate::ConfirmOptions::republish)). They go as
    /// there is room for them, which may take beyond the recovery's end.
    pub republished: usize,
    /// What could not be restored.
    pub failures: Vec<Arc<RecoveryFailure>>,
    /// All that was to be restored, in the order in which it was.
    pub steps: Vec<RecoveryStep>,
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(name) => write!(f, "exchange {:?}", name.to_string_lossy()),
            Self::Queue(name) => write!(f, "queue {:?}", name.to_string_lossy()),
            Self::Binding(Binding { source, destination, .. }) => {
                let (what, name) = match destination {
                    Destination::Queue(name) => ("queue", name),
                    Destination::Exchange(name) => ("exchange", name),
                };
                let (source, name) = (source.to_string_lossy(), name.to_string_lossy());
                write!(f, "binding of {what} {name:?} to exchange {source:?}")
            }
            Self::Channel(id) => write!(f, "channel {id}"),
            Self::Consumer { channel, tag, queue } => {
                let (tag, queue) = (tag.to_string_lossy(), queue.to_string_lossy());
                write!(f, "consumer {tag:?} of queue {queue:?} on channel {channel}")
            }
        }
    }
}

impl fmt::Display for RecoveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was not restored: {}", self.entity, self.error)
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, took, exchanges, queues, bindings, channels, consumers, .. } = self;
        write!(
            f,
            "recovered in {took:?} at attempt {attempts}: {exchanges} exchanges, {queues} queues, {bindings} bindings, \
             {channels} channels, {consumers} consumers; {} failures",
            self.failures.len()
        )?;
        if self.republished > 0 {
            write!(f, "; {} messages are published again", self.republished)?;
        }
        if f.alternate() {
            write!(f, "\n  lost: {}\n  connected after {:?}", self.reason, self.connected_after)?;
            self.steps.iter().try_for_each(|step| write!(f, "\n  {step}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for RecoveryStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entity, took, error } = self;
        match error {
            None => write!(f, "{entity} in {took:?}"),
            Some(error) => write!(f, "{entity} not restored, in {took:?}: {error}"),
        }
    }
}

impl fmt::Display for RecoveryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt { attempt, pause } => {
                write!(f, "attempt {attempt} to connect in {pause:?}")
            }
            Self::AttemptFailed { attempt, error } => {
                write!(f, "attempt {attempt} to connect failed: {error}")
            }
            Self::Reconnected => f.write_str("connected again; restoring"),
            Self::QueueRenamed { old, new } => {
                let (old, new) = (old.to_string_lossy(), new.to_string_lossy());
                write!(f, "queue {old:?} is now {new:?}")
            }
            Self::Failed(failure) => failure.fmt(f),
            Self::Recovered(report) => report.fmt(f),
        }
    }
}
