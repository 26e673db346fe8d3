//! What became of things: of a published message, of a consumer, of the connection, of what was declared, and what came
//! unasked.
//!
//! Plain values that the session fills in and the handles give out.

mod epoch;
mod event;
mod recovery;
mod reopened;
mod server;
mod topology;
mod unasked;

use std::fmt;
use std::sync::Arc;

use amqp_types::protocol::{ReplyCode, basic};
use amqp_types::{Body, ShortStr};

pub use epoch::Epoch;
pub use event::Event;
pub use recovery::{Entity, RecoveryEvent, RecoveryFailure, RecoveryReport, RecoveryStep};
pub use reopened::Reopened;
pub use server::{ServerProperties, ServerVersion};
pub use topology::{Binding, DeclaredExchange, DeclaredQueue, Destination, Topology};
pub use unasked::{Alert, IncomingMethod};

use crate::error::CloseReason;

/// What became of a published message.
#[derive(Clone, Debug)]
#[must_use = "the message may have been nacked or returned"]
#[non_exhaustive]
pub enum Outcome {
    /// The broker has taken responsibility for the message.
    Acked,
    /// The broker could not take responsibility for it.
    Nacked,
    /// The broker could not route it and gave it back. Of equal messages as many have this outcome as came back, those
    /// that are acked first after their return; see [`Confirmation`](crate::Confirmation).
    Returned(Box<Returned>),
    /// Nobody can tell: the broker's answer did not come, or did not fit.
    Unknown(UnknownReason),
    /// The message was handed over; the channel is not in confirm mode, or the specification has none.
    Accepted,
    /// It was published again after its connection was lost, as [`ConfirmOptions::republish`](crate::ConfirmOptions::republish)
    /// asks for, and that had this outcome. It may have reached its queues before too, and be there more than once.
    Republished {
        /// How often it was published again.
        times: u16,
        /// What became of it the last time; never `Republished`.
        outcome: Arc<Self>,
    },
}

impl Outcome {
    /// Whether the broker has taken responsibility for the message, at the first time or when it was published again.
    #[must_use]
    pub fn is_acked(&self) -> bool {
        matches!(self.plain(), Self::Acked)
    }

    /// What became of the message when it was published last, whether or not that was the first time.
    ///
    /// ```
    /// use amqp_connector::Outcome;
    ///
    /// let outcome = Outcome::Republished { times: 1, outcome: Outcome::Nacked.into() };
    /// assert!(matches!(outcome.plain(), Outcome::Nacked));
    /// assert!(matches!(Outcome::Acked.plain(), Outcome::Acked));
    /// ```
    #[inline]
    pub fn plain(&self) -> &Self {
        match self {
            Self::Republished { outcome, .. } => outcome,
            outcome => outcome,
        }
    }

    /// How often the message was published again; zero for most.
    #[must_use]
    pub fn republished(&self) -> u16 {
        match self {
            Self::Republished { times, .. } => *times,
            _ => 0,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acked => f.write_str("the broker has taken the message"),
            Self::Nacked => f.write_str("the broker could not take the message"),
            Self::Returned(returned) => {
                let Returned { reply_code, reply_text, .. } = &**returned;
                write!(f, "the broker gave the message back: {reply_code}: {reply_text}")
            }
            Self::Unknown(reason) => write!(f, "the outcome is unknown: {reason}"),
            Self::Accepted => f.write_str("the message was handed over, without confirms"),
            Self::Republished { times: 1, outcome } => write!(f, "published again: {outcome}"),
            Self::Republished { times, outcome } => {
                write!(f, "published again {times} times: {outcome}")
            }
        }
    }
}

/// How many publishes ended in which way; see [`Channel::wait_for_confirms`](crate::Channel::wait_for_confirms).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfirmCounts {
    /// Those of [`Outcome::Acked`].
    pub acked: u64,
    /// Those of [`Outcome::Nacked`].
    pub nacked: u64,
    /// Those of [`Outcome::Returned`].
    pub returned: u64,
    /// Those of [`Outcome::Unknown`].
    pub unknown: u64,
}

impl ConfirmCounts {
    /// Whether none was nacked, returned or is unknown.
    #[must_use]
    pub fn all_acked(&self) -> bool {
        self.nacked == 0 && self.returned == 0 && self.unknown == 0
    }

    /// What came on top of `earlier`.
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            acked: self.acked.saturating_sub(earlier.acked),
            nacked: self.nacked.saturating_sub(earlier.nacked),
            returned: self.returned.saturating_sub(earlier.returned),
            unknown: self.unknown.saturating_sub(earlier.unknown),
        }
    }
}

/// Why the outcome of a publish is unknown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum UnknownReason {
    /// The channel or connection ended before the broker answered.
    Closed(Arc<CloseReason>),
    /// A message came back that may be this one, or another that differs from it: the broker has changed it in a way
    /// that hides which, or it cannot be read ([`Event::Unreadable`]).
    UnmatchedReturn,
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(reason) => reason.fmt(f),
            Self::UnmatchedReturn => f.write_str("a returned message may be this one or another"),
        }
    }
}

/// A message that the broker gave back (`basic.return`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Returned {
    /// Why, as a number: 312 where no queue is bound.
    pub reply_code: ReplyCode,
    /// Why, in the broker's words.
    pub reply_text: ShortStr,
    /// The exchange it was published to.
    pub exchange: ShortStr,
    /// The routing key it was published with.
    pub routing_key: ShortStr,
    /// Its properties.
    pub properties: basic::Properties,
    /// Its body.
    pub body: Body,
}

impl Returned {
    pub(crate) fn new(method: basic::Return, properties: basic::Properties, body: Body) -> Self {
        Self {
            reply_code: ReplyCode(method.reply_code),
            reply_text: method.reply_text,
            exchange: method.exchange,
            routing_key: method.routing_key,
            properties,
            body,
        }
    }
}

/// Why a consumer gives no more deliveries.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConsumerEnd {
    /// It was cancelled by [`Consumer::cancel`](crate::Consumer::cancel).
    Cancelled,
    /// The broker cancelled it, for instance because its queue was deleted.
    CancelledByPeer,
    /// Its channel or connection ended.
    Closed(Arc<CloseReason>),
    /// More deliveries piled up than its budget. It was cancelled; those that were to be acknowledged
    /// went back to their queue. Those of a no-ack consumer can still be read, but what came after is lost, until
    /// the broker had cancelled it.
    Overflow,
    /// Its handle was dropped.
    Dropped,
}

impl PartialEq for ConsumerEnd {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Closed(a), Self::Closed(b)) => Arc::ptr_eq(a, b),
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

impl fmt::Display for ConsumerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the consumer was cancelled"),
            Self::CancelledByPeer => f.write_str("the broker cancelled the consumer"),
            Self::Closed(reason) => reason.fmt(f),
            Self::Overflow => f.write_str("the consumer's queue went over its budget"),
            Self::Dropped => f.write_str("the consumer was dropped"),
        }
    }
}
