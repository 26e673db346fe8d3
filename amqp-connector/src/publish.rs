//! Publishing as the user sees it: the message, the future that gets it accepted, and its outcome.
//!
//! All state is the session's; these types hold a ticket and a handle. Called from [`Channel`](crate::Channel).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use amqp_types::protocol::basic;
use amqp_types::{InvalidShortStr, ShortStr};
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::handle::ChannelHandle;
use crate::outcome::Outcome;
use crate::session::{Accepted, Message, Place};
use crate::turn::{poll_turn, spend};

/// A message and where it goes; see [`Channel::basic_publish`](crate::Channel::basic_publish).
///
/// ```
/// use amqp_connector::{BasicPublish, basic};
///
/// let publish = BasicPublish::new("", "jobs", "the work")
///     .mandatory(true)
///     .properties(basic::Properties { delivery_mode: Some(2), ..Default::default() });
/// # let _ = publish;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a message is sent by `Channel::basic_publish`"]
pub struct BasicPublish {
    message: Message,
    invalid: Option<InvalidShortStr>,
}

impl BasicPublish {
    /// A message to an exchange (`""` is the default one, which routes to the queue named by the
    /// routing key). A name over 255 octets is refused when it is published.
    #[inline]
    pub fn new<E, K>(exchange: E, routing_key: K, body: impl Into<Bytes>) -> Self
    where
        E: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
        K: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut invalid = None;
        let publish = basic::Publish {
            exchange: crate::name::short_str(exchange, &mut invalid),
            routing_key: crate::name::short_str(routing_key, &mut invalid),
            ..Default::default()
        };
        let (properties, body) = (basic::Properties::default(), body.into());
        Self { message: Message { publish, properties, body }, invalid }
    }

    /// Whether the broker gives the message back when it can route it to no queue.
    pub fn mandatory(mut self, mandatory: bool) -> Self {
        self.message.publish.mandatory = mandatory;
        self
    }

    /// Whether the broker gives the message back when no consumer can take it at once. RabbitMQ
    /// refuses this flag by closing the connection with 540.
    pub fn immediate(mut self, immediate: bool) -> Self {
        self.message.publish.immediate = immediate;
        self
    }

    /// The message's properties.
    pub fn properties(mut self, properties: basic::Properties) -> Self {
        self.message.properties = properties;
        self
    }
}

/// The future of [`Channel::basic_publish`](crate::Channel::basic_publish): resolves when the message
/// is accepted for sending, to the [`Confirmation`] of its outcome.
///
/// # Cancel safety
///
/// Dropped before it resolves, nothing was sent and nothing will be. One that has to wait has a place in a
/// line, and later its room: poll it on or drop it, since others of the connection wait behind it. Of several
/// that wait at once, any may be accepted first.
#[must_use = "nothing is published until this future is awaited"]
pub struct Publish {
    channel: Arc<ChannelHandle>,
    publish: BasicPublish,
    place: Place,
}

impl Publish {
    #[inline]
    pub(crate) fn new(channel: Arc<ChannelHandle>, publish: BasicPublish) -> Self {
        Self { channel, publish, place: Place::None }
    }

    /// Encodes the message if it may go at once, and fails with `Blocked` otherwise.
    pub(crate) fn try_now(mut self) -> Result<Confirmation> {
        match self.poll_session(None) {
            Poll::Ready(result) => result,
            // Without a waker the session answers at once.
            Poll::Pending => Err(Error::blocked("the publish would have to wait")),
        }
    }

    fn poll_session(&mut self, cx: Option<&mut Context<'_>>) -> Poll<Result<Confirmation>> {
        let Self { channel, publish: BasicPublish { message, invalid }, place } = self;
        if let Some(invalid) = invalid.take() {
            *place = Place::Gone;
            return Poll::Ready(Err(invalid.into()));
        }
        if matches!(place, Place::Gone) {
            return Poll::Ready(Err(Error::invalid("the publish was completed before")));
        }
        let (key, waker) = (channel.key(), cx.as_ref().map(|cx| cx.waker()));
        let accepted =
            channel.shared().with(|session| session.poll_publish(key, message, place, waker));
        let accepted = ready!(accepted);
        *place = Place::Gone;
        let Accepted { tag, charge } = accepted?;
        if charge && let Some(cx) = cx {
            spend(cx);
        }
        let state = match tag {
            Some(tag) => State::Pending { channel: channel.clone(), tag },
            None => State::Done(Outcome::Accepted),
        };
        Poll::Ready(Ok(Confirmation { state }))
    }
}

impl Future for Publish {
    type Output = Result<Confirmation>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A tight loop of publishes must leave the driver its turns on a current-thread runtime.
        ready!(poll_turn(cx));
        self.poll_session(Some(cx))
    }
}

impl Drop for Publish {
    fn drop(&mut self) {
        if !matches!(self.place, Place::None | Place::Gone) {
            let Self { channel, place, .. } = self;
            let key = channel.key();
            channel.shared().with(|session| session.leave(key, place));
        }
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("channel", &self.channel.key().id).finish_non_exhaustive()
    }
}

/// The outcome of one publish, to await or to drop.
///
/// It resolves exactly once, whatever happens: the end of the channel or connection makes it
/// [`Outcome::Unknown`]. On a channel without confirms it is [`Outcome::Accepted`] at once. Dropping it
/// forgets the outcome; the message is not affected.
///
/// # Cancel safety
///
/// It may be polled again after having been dropped out of a `select!`, by reference.
#[must_use = "the outcome of the publish is known only by awaiting this"]
pub struct Confirmation {
    state: State,
}

enum State {
    Pending {
        channel: Arc<ChannelHandle>,
        tag: u64,
    },
    /// Kept for a second look.
    Done(Outcome),
}

impl Confirmation {
    /// The publish's number on its channel, counted from 1 since confirm mode was selected; `None`
    /// without confirms.
    #[must_use]
    pub fn delivery_tag(&self) -> Option<u64> {
        match &self.state {
            State::Pending { tag, .. } => Some(*tag),
            State::Done(_) => None,
        }
    }
}

impl Future for Confirmation {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        ready!(poll_turn(cx));
        let (channel, tag) = match &self.state {
            State::Pending { channel, tag } => (channel, tag),
            State::Done(outcome) => return Poll::Ready(outcome.clone()),
        };
        let (key, tag) = (channel.key(), *tag);
        let waker = cx.waker();
        let (outcome, charge) =
            ready!(channel.shared().with(|session| session.poll_confirm(key, tag, waker)));
        if charge {
            spend(cx);
        }
        let outcome = outcome.unwrap_or(Outcome::Accepted);
        self.state = State::Done(outcome.clone());
        Poll::Ready(outcome)
    }
}

impl Drop for Confirmation {
    fn drop(&mut self) {
        if let State::Pending { channel, tag } = &self.state {
            let (key, tag) = (channel.key(), *tag);
            // What it gives is dropped here, outside the lock.
            drop(channel.shared().with(|session| session.detach_confirm(key, tag)));
        }
    }
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmation").field("delivery_tag", &self.delivery_tag()).finish()
    }
}
