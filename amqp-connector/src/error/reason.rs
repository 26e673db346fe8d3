//! How a channel or connection ended: who did it, why, and by which method.
//!
//! Made by the session and the handshake, shared by every handle and waiter. Plain values.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::panic::Location;
use std::time::Duration;

use amqp_types::protocol::ReplyCode;

use super::publishes::{BlamedPublish, Publishes};

/// Who brought an ending about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// The program that uses this library: it called `close`, or dropped the last handle.
    Application,
    /// This library: a broken rule of the protocol, a missed heartbeat, a deadline.
    Library,
    /// The broker, by a close method or by ending the transport.
    Peer,
}

/// The kinds of ending; see [`CloseReason::cause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCause {
    /// The application called `close`.
    Requested,
    /// The application dropped the last handle.
    HandlesDropped,
    /// The application called `abort`.
    Aborted,
    /// The connection's [`Driver`](crate::Driver) was dropped, for instance because its runtime ended.
    DriverDropped,
    /// What the program has given for recovery panicked: a closure of its [`Recovery`](crate::Recovery), or what opens its
    /// transports. [`CloseReason::text`] tells which, and how the connection had been lost.
    RecoveryPanicked,
    /// The peer sent a close method; [`CloseReason::code`] and [`CloseReason::method`] tell what for.
    PeerClosed,
    /// The transport ended without a close method.
    TransportEnded,
    /// The transport failed; [`CloseReason::io_error`] tells how.
    TransportFailed,
    /// No octet came from the peer for two heartbeat intervals. If this process did not look at the connection for
    /// some of that time, it has listened for up to one more interval since, and [`CloseReason::text`] tells so.
    #[non_exhaustive]
    PeerSilent {
        /// How long nothing had come.
        silence: Duration,
    },
    /// The peer has left, and this process did not get to look at the connection before that: the peer had heard
    /// nothing from it for two heartbeat intervals, since the runtime was blocked, starved or suspended.
    #[non_exhaustive]
    RuntimeStalled {
        /// How late the connection's driver was polled: the longest time, or several between which nothing could be
        /// written.
        stall: Duration,
    },
    /// The peer broke a rule of the protocol.
    ProtocolViolation,
    /// The peer left a call unanswered for twice its deadline, so that no later reply could be told apart, or did not
    /// even take it in that time: see [`Options::call_timeout`](crate::Options::call_timeout).
    CallUnanswered,
    /// The body of a streamed publish broke off: its source failed, stalled, gave another length than was
    /// promised, or was dropped. [`CloseReason::text`] tells which, [`CloseReason::place`] who published it.
    StreamBroken,
    /// What the peer sent, or wants of us without reading it, is beyond a limit of ours, such as
    /// [`Options::body_max`](crate::Options::body_max).
    LimitExceeded,
}

impl CloseCause {
    /// Who brings such an ending about.
    #[must_use]
    pub fn initiator(self) -> Initiator {
        match self {
            Self::Requested
            | Self::HandlesDropped
            | Self::Aborted
            | Self::DriverDropped
            | Self::RecoveryPanicked => Initiator::Application,
            Self::PeerClosed | Self::TransportEnded | Self::TransportFailed => Initiator::Peer,
            Self::PeerSilent { .. }
            | Self::RuntimeStalled { .. }
            | Self::ProtocolViolation
            | Self::CallUnanswered
            | Self::StreamBroken
            | Self::LimitExceeded => Initiator::Library,
        }
    }
}

/// What ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole connection.
    Connection,
    /// One channel, by its number.
    Channel(u16),
}

/// Why a channel or a connection ended. One value is shared by every handle and waiter of it.
#[derive(Debug)]
pub struct CloseReason {
    scope: Scope,
    cause: CloseCause,
    code: Option<ReplyCode>,
    text: String,
    method: Option<&'static str>,
    place: Option<&'static Location<'static>>,
    publishes: Option<Box<Publishes>>,
    io: Option<io::Error>,
}

impl CloseReason {
    pub(crate) fn new(scope: Scope, cause: CloseCause, text: impl Into<String>) -> Self {
        Self {
            scope,
            cause,
            code: None,
            text: text.into(),
            method: None,
            place: None,
            publishes: None,
            io: None,
        }
    }

    pub(crate) fn with_code(mut self, code: ReplyCode) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn with_method(mut self, method: Option<&'static str>) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn with_place(mut self, place: Option<&'static Location<'static>>) -> Self {
        self.place = place;
        self
    }

    pub(crate) fn with_publishes(mut self, publishes: Option<Box<Publishes>>) -> Self {
        self.place = self.place.or(publishes.as_ref().and_then(|it| it.blamed.as_ref()?.place));
        self.publishes = publishes;
        self
    }

    pub(crate) fn with_io(mut self, error: io::Error) -> Self {
        self.io = Some(error);
        self
    }

    /// What ended: the connection, or one channel of it.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Who ended it.
    #[must_use]
    pub fn initiator(&self) -> Initiator {
        self.cause.initiator()
    }

    /// The kind of ending, to match on without reading [`text`](Self::text).
    #[must_use]
    pub fn cause(&self) -> CloseCause {
        self.cause
    }

    /// Whether the same may succeed on a new channel or connection, without a change to it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.cause {
            CloseCause::PeerClosed => {
                self.scope == Scope::Connection && self.code == Some(ReplyCode::CONNECTION_FORCED)
            }
            CloseCause::TransportEnded
            | CloseCause::TransportFailed
            | CloseCause::PeerSilent { .. }
            | CloseCause::RuntimeStalled { .. }
            | CloseCause::CallUnanswered
            | CloseCause::StreamBroken => true,
            _ => false,
        }
    }

    /// The reply code of the close method, where one was sent. Codes that the compiled specification
    /// does not name are kept as they came.
    #[must_use]
    pub fn code(&self) -> Option<ReplyCode> {
        self.code
    }

    /// The reply text of the close method, or this library's own words.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the method that the peer blames, such as `queue.declare`.
    #[must_use]
    pub fn method(&self) -> Option<&'static str> {
        self.method
    }

    /// Where in the program the blamed call was made, when one call is to blame.
    #[must_use]
    pub fn place(&self) -> Option<&'static Location<'static>> {
        self.place
    }

    /// The publish that the peer blames, when it closed a channel or the connection because of one.
    #[must_use]
    pub fn publish(&self) -> Option<&BlamedPublish> {
        self.publishes.as_ref()?.blamed.as_ref()
    }

    /// The tags of the publishes that had no answer when the peer closed a channel in confirm mode, or the connection, in
    /// ascending order; see [`Confirmation::delivery_tag`](crate::Confirmation::delivery_tag). Their outcomes are unknown.
    /// Tags are a channel's, so it is empty where the connection was closed and several channels had such:
    /// see [`unconfirmed_on`](Self::unconfirmed_on).
    #[must_use]
    pub fn unconfirmed(&self) -> &[RangeInclusive<u64>] {
        self.publishes.as_ref().map_or(&[], |publishes| publishes.unconfirmed.only())
    }

    /// Like [`unconfirmed`](Self::unconfirmed), of the channel of this number; see [`Channel::id`](crate::Channel::id).
    #[must_use]
    pub fn unconfirmed_on(&self, channel: u16) -> &[RangeInclusive<u64>] {
        self.publishes.as_ref().map_or(&[], |publishes| publishes.unconfirmed.on(channel))
    }

    /// The transport's error, when that ended the connection.
    #[must_use]
    pub fn io_error(&self) -> Option<&io::Error> {
        self.io.as_ref()
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            Scope::Connection => f.write_str("connection closed by ")?,
            Scope::Channel(id) => write!(f, "channel {id} closed by ")?,
        }
        f.write_str(match self.initiator() {
            Initiator::Application => "the application",
            Initiator::Library => "this library",
            Initiator::Peer => "the peer",
        })?;
        if let Some(code) = self.code {
            write!(f, ": {code}")?;
        }
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        if let Some(method) = self.method {
            write!(f, " (caused by {method}")?;
            if let Some(key) = self.publish().and_then(BlamedPublish::routing_key) {
                write!(f, " with routing key {:?}", key.to_string_lossy())?;
            }
            if let Some(place) = self.place {
                write!(f, " at {place}")?;
            }
            if let Some(publish) = self.publish().filter(|publish| publish.count() > 1) {
                write!(f, ", one of {} publishes", publish.count())?;
                if publish.channels() > 1 {
                    write!(f, " on {} channels", publish.channels())?;
                }
            }
            f.write_str(")")?;
        }
        if let Some(io) = &self.io {
            write!(f, ": {io}")?;
        }
        Ok(())
    }
}
