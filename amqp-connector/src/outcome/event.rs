//! What happens to a connection, as one value for each thing: a plain value that the session fills in and
//! [`Events`](crate::Events) gives out.

use std::fmt;
use std::sync::Arc;

use amqp_types::{DecodeError, ShortStr};

use crate::error::CloseReason;
use crate::outcome::{Alert, Epoch, RecoveryEvent};

/// Something that happened to a connection or to one of its channels; see
/// [`Connection::events`](crate::Connection::events).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The connection is open: the first event of a subscriber, unless it came too late for it.
    Connected,
    /// The broker does not take publishes any more (`connection.blocked`).
    #[non_exhaustive]
    Blocked {
        /// Why, in the broker's words.
        reason: ShortStr,
    },
    /// The broker takes publishes again (`connection.unblocked`).
    Unblocked,
    /// A channel was opened.
    #[non_exhaustive]
    ChannelOpened {
        /// Its number.
        channel: u16,
    },
    /// A channel that had ended was reopened; see [`Channel::reopen`](crate::Channel::reopen).
    #[non_exhaustive]
    ChannelReopened {
        /// Its number, which is another one than before.
        channel: u16,
        /// The incarnation that it is now.
        epoch: Epoch,
    },
    /// A channel ended, by us or by the peer, while the connection lives. Channels that end with their
    /// connection are not told of one by one.
    #[non_exhaustive]
    ChannelClosed {
        /// Its number, which is used again once the peer knows of the end, too.
        channel: u16,
        /// Why.
        reason: Arc<CloseReason>,
    },
    /// The peer has paused publishing on a channel (`channel.flow`).
    #[non_exhaustive]
    FlowPaused {
        /// Its number.
        channel: u16,
    },
    /// Publishing on a channel goes on.
    #[non_exhaustive]
    FlowResumed {
        /// Its number.
        channel: u16,
    },
    /// The peer tells something about a channel that goes on (`channel.alert`). Only 0-8 has it.
    #[non_exhaustive]
    Alerted {
        /// Its number.
        channel: u16,
        /// What it tells.
        alert: Alert,
    },
    /// A message came whose properties cannot be read: they are malformed, or beyond
    /// [`Options::table_limits`](crate::Options::table_limits). It costs nothing but itself. A delivery, and what a
    /// `basic.get` got, is rejected without requeue, so that its queue dead-letters it if it has a dead-letter exchange and
    /// drops it if not: put back it would come again and again. (What a stream has delivered is acknowledged, and stays in
    /// it; with no-ack the broker has forgotten the message already.) The get fails with
    /// [`ErrorKind::Unreadable`](crate::ErrorKind::Unreadable). A returned message makes the outcome of the publishes that it
    /// could mean [`UnknownReason::UnmatchedReturn`](crate::UnknownReason::UnmatchedReturn).
    #[non_exhaustive]
    Unreadable {
        /// The number of the channel that it came on.
        channel: u16,
        /// The method that it came by: `basic.deliver`, `basic.get-ok`, `basic.return`.
        method: &'static str,
        /// The exchange it was published to.
        exchange: ShortStr,
        /// The routing key it was published with.
        routing_key: ShortStr,
        /// What is wrong with its properties.
        error: DecodeError,
    },
    /// The connection was lost, and is being recovered: see [`Recovery`](crate::Recovery). It comes once for each loss, so
    /// once more before the [`Recovered`](RecoveryEvent::Recovered) if the connection is lost again while it is being
    /// restored. One recovery ends all of them; its report has the reason of the first.
    #[non_exhaustive]
    Recovering {
        /// How it was lost.
        reason: Arc<CloseReason>,
    },
    /// How the recovery goes on, to [`RecoveryEvent::Recovered`].
    Recovery(RecoveryEvent),
    /// The connection is being closed by this side: nothing can be done on it any more, unless this side closes it for an
    /// error of the peer's and it has a [`Recovery`](crate::Recovery): then [`Recovering`](Self::Recovering) follows.
    #[non_exhaustive]
    Closing {
        /// Why.
        reason: Arc<CloseReason>,
    },
    /// The connection has ended. The last event.
    #[non_exhaustive]
    Closed {
        /// Why.
        reason: Arc<CloseReason>,
    },
    /// The subscriber did not keep up, and events between the last one and the next are lost.
    #[non_exhaustive]
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Blocked { reason } => write!(f, "publishing blocked: {reason}"),
            Self::Unblocked => f.write_str("publishing unblocked"),
            Self::ChannelOpened { channel } => write!(f, "channel {channel} opened"),
            Self::ChannelReopened { channel, epoch } => {
                write!(f, "channel {channel} reopened as {epoch}")
            }
            Self::ChannelClosed { reason, .. } | Self::Closed { reason } => reason.fmt(f),
            Self::FlowPaused { channel } => write!(f, "publishing paused on channel {channel}"),
            Self::FlowResumed { channel } => write!(f, "publishing resumed on channel {channel}"),
            Self::Alerted { channel, alert } => {
                write!(
                    f,
                    "alert about channel {channel}: {} {}",
                    alert.reply_code, alert.reply_text
                )
            }
            Self::Unreadable { channel, method, exchange, routing_key, error } => write!(
                f,
                "channel {channel}: a message by {method}, of exchange {:?} and routing key {:?}, cannot be read: {error}",
                exchange.to_string_lossy(),
                routing_key.to_string_lossy()
            ),
            Self::Recovering { reason } => write!(f, "lost: {reason}"),
            Self::Recovery(event) => event.fmt(f),
            Self::Closing { reason } => write!(f, "closing: {reason}"),
            Self::Lagged { missed } => write!(f, "{missed} events missed"),
        }
    }
}
