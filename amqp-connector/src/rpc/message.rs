//! What is sent and what comes back: requests with their deadlines, replies, and how errors go over the wire.

use std::time::Duration;

use amqp_types::protocol::basic;
use amqp_types::{Body, FieldTable, ShortStr, short_str};

use super::calls::Answer;
use super::{CallError, Failure, FailureKind};
use crate::publish::BasicPublish;
use crate::typed::{BodyCodec, CodecError};

/// The header that makes a reply an error; its value is the kind.
const ERROR: ShortStr = short_str!("x-rpc-error");
/// The header with a handler's own word for the error.
const CODE: ShortStr = short_str!("x-rpc-error-code");
/// The content type of what an error says.
const MESSAGE_TYPE: &str = "text/plain; charset=utf-8";

/// A request to be sent by [`Client::request`](super::Client::request) or
/// [`Client::call_with`](super::Client::call_with), with what does not go without saying.
///
/// ```
/// use amqp_connector::BasicPublish;
/// use amqp_connector::rpc::Request;
/// use std::time::Duration;
///
/// let publish = BasicPublish::new("services", "sums.add", "1 2").priority(3);
/// let request = Request::new(publish).within(Duration::from_secs(2)).repeated(true);
/// # let _ = request;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request is sent by a client"]
pub struct Request {
    pub(super) publish: BasicPublish,
    pub(super) timeout: Option<Duration>,
    pub(super) repeated: bool,
}

impl Request {
    /// This message, of which the client sets `reply-to`, `correlation-id` and the flag `mandatory`, and, unless
    /// [told otherwise](super::ClientOptions::expire), `expiration`.
    pub fn new(publish: BasicPublish) -> Self {
        Self { publish, timeout: None, repeated: false }
    }

    /// How long the reply is waited for, in place of [`ClientOptions::timeout`](super::ClientOptions::timeout).
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether the request is sent anew when its channel or connection was lost before the reply came, as long as there is
    /// time. It may then be served twice. Otherwise such a call ends as [`CallError::Interrupted`].
    pub fn repeated(mut self, repeated: bool) -> Self {
        self.repeated = repeated;
        self
    }
}

impl From<BasicPublish> for Request {
    fn from(publish: BasicPublish) -> Self {
        Self::new(publish)
    }
}

/// A reply as it came.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reply {
    /// Its properties.
    pub properties: basic::Properties,
    /// Its body.
    pub body: Body,
}

impl Reply {
    /// The value that its body is.
    ///
    /// # Errors
    ///
    /// What the codec says of a body that is none, or of a content type that is not its own.
    pub fn decode<T, C: BodyCodec<T>>(&self, codec: &C) -> Result<T, CodecError> {
        decode(codec, &self.properties, &self.body)
    }

    /// Whether it is a server's error.
    pub(super) fn into_answer(self) -> Answer {
        match failure(&self) {
            Some(failure) => Err(CallError::Failed(failure)),
            None => Ok(self),
        }
    }
}

/// The value that a message's body is.
pub(super) fn decode<T, C: BodyCodec<T>>(
    codec: &C,
    properties: &basic::Properties,
    body: &Body,
) -> Result<T, CodecError> {
    let content_type = match &properties.content_type {
        // One that is no text is no codec's.
        Some(found) => Some(found.as_str().map_err(CodecError::decode)?),
        None => None,
    };
    codec.decode(body, content_type)
}

fn failure(reply: &Reply) -> Option<Failure> {
    let headers = reply.properties.headers.as_ref()?;
    let kind = FailureKind::of(headers.get_bytes(ERROR.as_bytes())?);
    let message = reply.body.to_bytes();
    let failure = Failure::of_kind(kind, String::from_utf8_lossy(&message));
    Some(match headers.get_bytes(CODE.as_bytes()) {
        Some(code) => failure.code(String::from_utf8_lossy(code)),
        None => failure,
    })
}

/// The reply that says it; where it goes and what it answers is set by the server.
pub(super) fn error_reply(reply_to: ShortStr, failure: &Failure) -> BasicPublish {
    let mut headers = FieldTable::new().with(ERROR, failure.kind().name());
    if let Some(code) = failure.error_code() {
        headers = headers.with(CODE, code);
    }
    BasicPublish::new("", reply_to, failure.message().to_owned())
        .content_type(MESSAGE_TYPE)
        .headers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(failure: &Failure) -> Reply {
        let (_, properties, body) = error_reply(short_str!("r"), failure).into_parts();
        Reply { properties, body: body.into() }
    }

    #[test]
    fn failures_go_there_and_back() {
        let kinds = [FailureKind::Panic, FailureKind::Undecodable, FailureKind::Unencodable];
        let failures = kinds.map(|kind| Failure::of_kind(kind, "Grüße"));
        for told in failures.into_iter().chain([Failure::new("").code("not-found")]) {
            assert_eq!(failure(&sent(&told)), Some(told));
        }
    }

    #[test]
    fn what_anybody_may_answer_is_a_reply_or_a_failure_and_no_panic() {
        let mut reply = sent(&Failure::new("x"));
        reply.body = bytes::Bytes::from_static(b"\xff").into();
        reply.properties.headers = Some(FieldTable::new().with(ERROR, "of tomorrow"));
        let told = failure(&reply).expect("a failure");
        assert_eq!((told.kind(), told.message()), (FailureKind::Other, "\u{fffd}"));
        reply.properties.headers = Some(FieldTable::new().with(ERROR, 7));
        assert_eq!(failure(&reply), None);
        reply.properties.headers = None;
        assert_eq!(failure(&reply), None);
    }
}
