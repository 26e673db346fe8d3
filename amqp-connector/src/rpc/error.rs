//! Why a call has no reply, and what a server says of a request that it could not serve.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Reply;
use crate::error::{CloseReason, Error};
use crate::outcome::Returned;
use crate::typed::CodecError;

/// Why a call has no reply. Each tells whether the request may have been served.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The request cannot be encoded. Nothing was sent.
    Encode(CodecError),
    /// The request could not be published: the error tells why. Nothing was sent.
    NotSent(Error),
    /// The client was closed, or the connection has ended, for this reason, before anything was sent.
    Closed(Option<Arc<CloseReason>>),
    /// There is no queue where the request was to go. Nobody has it.
    Unroutable(Box<Returned>),
    /// The broker did not take the request: its queue is full, for instance, and rejects what comes.
    Nacked,
    /// The deadline has passed.
    #[non_exhaustive]
    Timeout {
        /// How long the reply was waited for.
        timeout: Duration,
        /// Whether the request was sent: then it may have been served, or be served still, unless it has expired in its
        /// queue.
        sent: bool,
    },
    /// The client's channel or connection was lost, for this reason, or the client closed, after the request was sent: it
    /// may have been served, or be served still, and its reply is lost. The client goes on if its connection does.
    Interrupted(Option<Arc<CloseReason>>),
    /// The server has answered by an error.
    Failed(Failure),
    /// The server's reply is here, but the codec can make nothing of it.
    #[non_exhaustive]
    Undecodable {
        /// What the codec says of it.
        error: CodecError,
        /// The reply.
        reply: Box<Reply>,
    },
}

impl CallError {
    /// What the server says of it, if it is the server that could not serve the request.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether a server may have the request, or have had it. Where this is false nobody has seen it, and nobody will.
    #[must_use]
    pub fn may_have_been_served(&self) -> bool {
        match self {
            Self::Encode(_)
            | Self::NotSent(_)
            | Self::Closed(_)
            | Self::Unroutable(_)
            | Self::Timeout { sent: false, .. } => false,
            // Of several queues that an exchange has put it in, another may have taken it.
            Self::Nacked
            | Self::Timeout { sent: true, .. }
            | Self::Interrupted(_)
            | Self::Failed(_)
            | Self::Undecodable { .. } => true,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::NotSent(error) => write!(f, "the request was not sent: {error}"),
            Self::Closed(None) => f.write_str("the client is closed"),
            Self::Closed(Some(reason)) => write!(f, "the client is over: {reason}"),
            Self::Unroutable(returned) => {
                let Returned { reply_code, reply_text, exchange, routing_key, .. } = &**returned;
                let (exchange, key) = (exchange.to_string_lossy(), routing_key.to_string_lossy());
                write!(
                    f,
                    "the request to exchange {exchange:?} with key {key:?} came back: {reply_code}: {reply_text}"
                )
            }
            Self::Nacked => f.write_str("the broker did not take the request"),
            Self::Timeout { timeout, sent: true } => write!(f, "no reply came within {timeout:?}"),
            Self::Timeout { timeout, sent: false } => {
                write!(f, "the request could not be sent within {timeout:?}")
            }
            Self::Interrupted(None) => f.write_str("the client was closed before the reply came"),
            Self::Interrupted(Some(reason)) => write!(f, "lost before the reply came: {reason}"),
            Self::Failed(failure) => failure.fmt(f),
            Self::Undecodable { error, .. } => write!(f, "the reply: {error}"),
        }
    }
}

impl StdError for CallError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Encode(error) | Self::Undecodable { error, .. } => Some(error),
            Self::NotSent(error) => Some(error),
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl From<CodecError> for CallError {
    fn from(error: CodecError) -> Self {
        Self::Encode(error)
    }
}

/// What kind of [`Failure`] it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler has returned it.
    Handler,
    /// The handler has panicked.
    Panic,
    /// The server's codec can make nothing of the request.
    Undecodable,
    /// The server's codec can make nothing of what the handler has returned.
    Unencodable,
    /// Another kind, which this version does not know.
    Other,
}

const KINDS: [(FailureKind, &str); 4] = [
    (FailureKind::Handler, "handler"),
    (FailureKind::Panic, "panic"),
    (FailureKind::Undecodable, "undecodable"),
    (FailureKind::Unencodable, "unencodable"),
];

impl FailureKind {
    /// Its name on the wire.
    pub(super) fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("other", |(_, name)| name)
    }

    pub(super) fn of(name: &[u8]) -> Self {
        let known = KINDS.iter().find(|(_, known)| known.as_bytes() == name);
        known.map_or(Self::Other, |(kind, _)| *kind)
    }
}

/// A server's answer to a request that it could not serve: what a handler returns, and what the client's call fails by
/// ([`CallError::Failed`]). It goes over the wire as [the module](super) says.
///
/// ```
/// use amqp_connector::rpc::{Failure, FailureKind};
///
/// let failure = Failure::new("no such customer").code("not-found");
/// assert_eq!((failure.kind(), failure.message()), (FailureKind::Handler, "no such customer"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    code: Option<String>,
    message: String,
}

impl Failure {
    /// Of a handler, in words for people.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of_kind(FailureKind::Handler, message)
    }

    pub(super) fn of_kind(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into() }
    }

    /// It is this handler's, though it may have come to it from elsewhere.
    pub(super) fn of_handler(self) -> Self {
        Self { kind: FailureKind::Handler, ..self }
    }

    /// With a word for programs, by which the client can tell what is to be done.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The word for programs, if the handler has given one.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The words for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server could not serve the request")?;
        match self.kind {
            FailureKind::Handler | FailureKind::Other => {}
            kind => write!(f, " ({})", kind.name())?,
        }
        if let Some(code) = &self.code {
            write!(f, ", {code}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl StdError for Failure {}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}
