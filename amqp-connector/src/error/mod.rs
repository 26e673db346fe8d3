//! What can go wrong once a connection is open, and who ended it.
//!
//! [`Error`] is what every call of a handle returns; [`CloseReason`] is the one immutable account of
//! an ending that all handles of a channel or connection share. Failures while connecting have a type
//! of their own ([`ConnectError`]). Nothing here does I/O or holds a lock.

mod address;
mod connect;
mod publishes;
mod reason;
mod stream;
mod tls;
mod uri;

use std::fmt;
use std::sync::Arc;

pub use address::Address;
pub use connect::{ConnectError, Step};
pub use publishes::BlamedPublish;
pub(crate) use publishes::{Publishes, Tags};
pub use reason::{CloseCause, CloseReason, Initiator, Scope};
pub use stream::{BrokenStream, StreamFault};
pub use tls::TlsError;
pub use uri::UriError;

use amqp_types::{DecodeError, EncodeError, InvalidShortStr};

/// Shorthand for results of the connector's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call on a handle did not give its result. Cheap to clone; ask it with [`Error::kind`].
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    detail: Detail,
}

#[derive(Clone)]
enum Detail {
    Closed(Arc<CloseReason>),
    Stale(Option<Arc<CloseReason>>),
    /// A name that is too long, and what it was to be.
    Name(&'static str, InvalidShortStr),
    ShortStr(InvalidShortStr),
    Encode(EncodeError),
    /// What came by this method.
    Decode(&'static str, DecodeError),
    Text(&'static str),
    Unsupported {
        what: &'static str,
    },
    Broken(Arc<BrokenStream>),
    ChannelMax(u16),
}

/// The classes of [`Error`], to match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The connection is closed; [`Error::close_reason`] says by whom and why.
    ConnectionClosed,
    /// The channel is closed, the connection may live on; see [`Error::close_reason`].
    ChannelClosed,
    /// The connection was lost and is being recovered, see [`Recovery`](crate::Recovery): try again when it is.
    /// [`Error::close_reason`] says how it was lost. Nothing was sent.
    Recovering,
    /// The call's deadline passed before the peer answered.
    Timeout,
    /// The channel incarnation that a delivery came on is over, or `basic.recover` was sent since, so the
    /// broker has taken the message back; nothing was sent. [`Error::close_reason`] says what ended the
    /// channel, while that is known.
    Stale,
    /// The call cannot be made so; nothing was sent by it. An argument cannot be sent, or what was called is not in the
    /// state for it: a future that is polled again after it resolved, a second [`Incoming`](crate::Incoming), a
    /// channel that is not in confirm mode, a delivery that is settled already.
    Invalid,
    /// The specification this build speaks lacks what was asked for; nothing was sent.
    Unsupported,
    /// A bound was reached that waiting does not undo (channels, unawaited confirmations); nothing was sent.
    Limit,
    /// A publish that was told not to wait would have to, not for the peer's permission but for a limit of this
    /// library's or the program's own: [`Options::outbound_budget`](crate::Options::outbound_budget), the limits of
    /// unconfirmed publishes, the channel's [`Pace`](crate::Pace). The text names it. Nothing was sent; it may go in a
    /// moment.
    Full,
    /// The peer has blocked the connection or paused publishing, and the call was told not to wait. A publish was not
    /// sent. A call that waits for a reply was: its deadline passed during the block, and it is carried out
    /// after it; see [`Options::call_while_blocked`](crate::Options::call_while_blocked).
    Blocked,
    /// A streamed publish owns the channel till its body is given; nothing was sent.
    Busy,
    /// The message that came cannot be read; the [source](std::error::Error::source) is the
    /// [`DecodeError`]. See [`Event::Unreadable`](crate::Event::Unreadable) for what became of it.
    Unreadable,
    /// The source of a streamed publish broke its promise; [`Error::broken_stream`] tells how. The message will
    /// never be seen.
    StreamBroken,
}

impl Error {
    pub(crate) fn connection_closed(reason: Arc<CloseReason>) -> Self {
        Self { kind: ErrorKind::ConnectionClosed, detail: Detail::Closed(reason) }
    }

    pub(crate) fn closed(reason: Arc<CloseReason>) -> Self {
        let kind = match reason.scope() {
            Scope::Connection => ErrorKind::ConnectionClosed,
            Scope::Channel(_) => ErrorKind::ChannelClosed,
        };
        Self { kind, detail: Detail::Closed(reason) }
    }

    /// The connection, or a channel of it, is not back yet from its end.
    pub(crate) fn recovering(reason: Arc<CloseReason>) -> Self {
        Self { kind: ErrorKind::Recovering, detail: Detail::Closed(reason) }
    }

    pub(crate) fn invalid(text: &'static str) -> Self {
        Self { kind: ErrorKind::Invalid, detail: Detail::Text(text) }
    }

    /// The message that came by `method` cannot be read.
    pub(crate) fn unreadable(method: &'static str, error: DecodeError) -> Self {
        Self { kind: ErrorKind::Unreadable, detail: Detail::Decode(method, error) }
    }

    pub(crate) fn limit(text: &'static str) -> Self {
        Self { kind: ErrorKind::Limit, detail: Detail::Text(text) }
    }

    pub(crate) fn name(what: &'static str, error: InvalidShortStr) -> Self {
        Self { kind: ErrorKind::Invalid, detail: Detail::Name(what, error) }
    }

    /// Every channel number up to the negotiated channel-max is in use.
    pub(crate) fn channel_max(max: u16) -> Self {
        Self { kind: ErrorKind::Limit, detail: Detail::ChannelMax(max) }
    }

    pub(crate) fn full(text: &'static str) -> Self {
        Self { kind: ErrorKind::Full, detail: Detail::Text(text) }
    }

    pub(crate) fn blocked(text: &'static str) -> Self {
        Self { kind: ErrorKind::Blocked, detail: Detail::Text(text) }
    }

    pub(crate) fn busy() -> Self {
        let text = "a streamed publish owns the channel till its body is given";
        Self { kind: ErrorKind::Busy, detail: Detail::Text(text) }
    }

    pub(crate) fn broken(stream: Arc<BrokenStream>) -> Self {
        Self { kind: ErrorKind::StreamBroken, detail: Detail::Broken(stream) }
    }

    pub(crate) fn timeout(method: &'static str) -> Self {
        Self { kind: ErrorKind::Timeout, detail: Detail::Text(method) }
    }

    pub(crate) fn stale(reason: Option<Arc<CloseReason>>) -> Self {
        Self { kind: ErrorKind::Stale, detail: Detail::Stale(reason) }
    }

    /// A delivery that `basic.recover` has given back.
    pub(crate) fn recovered() -> Self {
        let text =
            "the delivery was given back by basic.recover, and comes again under another number";
        Self { kind: ErrorKind::Stale, detail: Detail::Text(text) }
    }

    pub(crate) fn unsupported(what: &'static str) -> Self {
        Self { kind: ErrorKind::Unsupported, detail: Detail::Unsupported { what } }
    }

    /// The ending that this error tells of.
    pub(crate) fn into_reason(self) -> Option<Arc<CloseReason>> {
        match self.detail {
            Detail::Closed(reason) | Detail::Stale(Some(reason)) => Some(reason),
            _ => None,
        }
    }

    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Who closed the channel or connection and why, where that is the cause.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        match &self.detail {
            Detail::Closed(reason) | Detail::Stale(Some(reason)) => Some(reason),
            _ => None,
        }
    }

    /// How the source of a streamed publish broke its promise, where that is the cause.
    #[must_use]
    pub fn broken_stream(&self) -> Option<&BrokenStream> {
        match &self.detail {
            Detail::Broken(stream) => Some(stream),
            _ => None,
        }
    }

    /// Whether the same call may succeed on a new channel or connection, without a change to it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind {
            ErrorKind::Timeout
            | ErrorKind::Blocked
            | ErrorKind::Full
            | ErrorKind::Recovering
            | ErrorKind::Stale
            | ErrorKind::Busy => true,
            ErrorKind::ConnectionClosed | ErrorKind::ChannelClosed => {
                self.close_reason().is_some_and(CloseReason::is_transient)
            }
            _ => false,
        }
    }
}

impl From<InvalidShortStr> for Error {
    fn from(error: InvalidShortStr) -> Self {
        Self { kind: ErrorKind::Invalid, detail: Detail::ShortStr(error) }
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self { kind: ErrorKind::Invalid, detail: Detail::Encode(error) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.detail, self.kind) {
            (Detail::Closed(reason), ErrorKind::Recovering) => {
                write!(f, "the connection is being recovered ({reason})")
            }
            (Detail::Closed(reason), _) => reason.fmt(f),
            (Detail::Stale(reason), _) => {
                f.write_str("the channel incarnation that this belongs to is over")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            (Detail::Name(what, error), _) => write!(f, "the {what} is too long: {error}"),
            (Detail::ShortStr(error), _) => error.fmt(f),
            (Detail::Encode(error), _) => error.fmt(f),
            (Detail::Decode(method, error), _) => {
                write!(f, "the message of {method} cannot be read: {error}")
            }
            (Detail::Broken(stream), _) => stream.fmt(f),
            (Detail::Unsupported { what }, _) => write!(
                f,
                "{what} does not exist in AMQP specification \"{}\", which this build speaks",
                amqp_types::protocol::NAME
            ),
            (Detail::ChannelMax(max), _) => {
                write!(f, "every channel number up to the negotiated channel-max, {max}, is in use")
            }
            (Detail::Text(method), ErrorKind::Timeout) => {
                write!(f, "the peer did not answer {method} within the call's deadline")
            }
            (Detail::Text(text), _) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.detail {
            Detail::Closed(reason) => {
                reason.io_error().map(|io| io as &(dyn std::error::Error + 'static))
            }
            Detail::Name(_, error) | Detail::ShortStr(error) => Some(error),
            Detail::Encode(error) => Some(error),
            Detail::Decode(_, error) => Some(error),
            Detail::Broken(stream) => stream.source(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use amqp_types::protocol::ReplyCode;

    use super::*;

    #[test]
    fn error_is_small_and_names_the_method() {
        assert!(size_of::<Error>() <= 48, "{}", size_of::<Error>());
        let reason = CloseReason::new(Scope::Channel(3), CloseCause::PeerClosed, "no queue 'x'")
            .with_code(ReplyCode::NOT_FOUND)
            .with_method(Some("queue.bind"));
        let error = Error::closed(Arc::new(reason));
        assert_eq!(error.kind(), ErrorKind::ChannelClosed);
        let shown = error.to_string();
        assert!(shown.contains("channel 3") && shown.contains("404"), "{shown}");
        assert!(shown.contains("no queue 'x'") && shown.contains("queue.bind"), "{shown}");
        assert!(!error.is_transient());
    }

    #[test]
    fn a_forced_close_is_transient_and_our_own_is_not() {
        let forced = CloseReason::new(Scope::Connection, CloseCause::PeerClosed, "shutdown")
            .with_code(ReplyCode::CONNECTION_FORCED);
        assert!(Error::closed(Arc::new(forced)).is_transient());
        let ours = CloseReason::new(Scope::Connection, CloseCause::Requested, "");
        assert!(!Error::closed(Arc::new(ours)).is_transient());
    }
}
