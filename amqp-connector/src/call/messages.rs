//! The futures of the calls that bring messages: `basic.get` and `basic.consume`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_types::Reply;
use amqp_types::protocol::{self, basic};

use super::RawCall;
use crate::consumer::Consumer;
use crate::consumer::{Delivery, Origin, Source};
use crate::error::{Error, Result};
use crate::handle::ChannelHandle;
use crate::options::Unsettled;
use crate::session::{CallReply, Queued};

/// The future of [`Channel::basic_get`](crate::Channel::basic_get).
///
/// # Cancel safety
///
/// Dropped before it resolves, a message that still comes goes back to its queue (and is lost with `no_ack`).
#[must_use = "nothing is sent until this future is awaited"]
pub struct Get {
    inner: RawCall,
    channel: Arc<ChannelHandle>,
    no_ack: bool,
    unsettled: Option<Unsettled>,
}

impl Get {
    #[track_caller]
    pub(crate) fn new(
        channel: Arc<ChannelHandle>,
        request: Result<basic::Get>,
        unsettled: Option<Unsettled>,
    ) -> Self {
        let no_ack = request.as_ref().is_ok_and(|get| get.no_ack);
        Self { inner: RawCall::new(channel.clone(), request), channel, no_ack, unsettled }
    }

    /// As [`Call::within`](crate::Call::within).
    pub fn within(mut self, timeout: Duration) -> Self {
        self.inner = self.inner.within(timeout);
        self
    }
}

impl Future for Get {
    type Output = Result<Option<Delivery>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { inner, channel, no_ack, unsettled } = &mut *self;
        let mut origin = None;
        let reply = ready!(inner.poll_reply_then(cx, |session, reply| {
            if let protocol::Method::Basic(basic::Method::GetOk(got)) = &reply.method {
                let source = Source::Get(got.message_count);
                let epoch = session.epoch_of(channel.key(), got.delivery_tag);
                let origin = origin.insert(Origin::of(channel, epoch, source, *unsettled));
                // With the user from here on, so that a graceful close waits for it.
                if !*no_ack {
                    session.take_off_got(channel.key(), got.delivery_tag, origin.in_flight());
                }
            }
        }))?;
        Poll::Ready(Ok(origin.and_then(|origin| delivery(origin, *reply, *no_ack))))
    }
}

fn delivery(origin: Arc<Origin>, reply: CallReply, no_ack: bool) -> Option<Delivery> {
    let (Ok(basic::GetReply::Ok(got)), Some((protocol::Properties::Basic(properties), body))) =
        (basic::GetReply::from_any(reply.method), reply.content)
    else {
        return None;
    };
    let queued = Queued {
        delivery_tag: got.delivery_tag,
        redelivered: got.redelivered,
        exchange: got.exchange,
        routing_key: got.routing_key,
        properties,
        body,
    };
    Some(Delivery::new(origin, queued, no_ack, false))
}

impl fmt::Debug for Get {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("channel", &self.channel.key().id).finish_non_exhaustive()
    }
}

/// The future of [`Channel::basic_consume`](crate::Channel::basic_consume).
///
/// # Cancel safety
///
/// Dropped before it resolves, the consumer is cancelled once the broker has started it, and what it received
/// goes back to its queue.
#[must_use = "nothing is sent until this future is awaited"]
pub struct Consume {
    inner: RawCall,
    channel: Arc<ChannelHandle>,
    no_ack: bool,
    unsettled: Option<Unsettled>,
}

impl Consume {
    /// Its consumer is to get bodies as streams.
    pub(crate) fn streamed(mut self) -> Self {
        self.inner = self.inner.streamed();
        self
    }

    /// The consumer, and the prefetch that is set just before it.
    #[track_caller]
    pub(crate) fn new(
        channel: Arc<ChannelHandle>,
        request: Result<(basic::Consume, u16)>,
        unsettled: Option<Unsettled>,
        budget: Option<usize>,
    ) -> Self {
        let prefetch_count = request.as_ref().map_or(0, |(_, prefetch)| *prefetch);
        let no_ack = request.as_ref().is_ok_and(|(consume, _)| consume.no_ack);
        let qos = basic::Qos { prefetch_count, ..Default::default() };
        let consume = request.map(|(consume, _)| consume);
        let call = RawCall::new(channel.clone(), consume);
        let inner = call.starting(qos, budget);
        Self { inner, channel, no_ack, unsettled }
    }

    /// As [`Call::within`](crate::Call::within).
    pub fn within(mut self, timeout: Duration) -> Self {
        self.inner = self.inner.within(timeout);
        self
    }
}

impl Future for Consume {
    type Output = Result<Consumer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(self.inner.poll_reply(cx))?;
        let Some((id, tag)) = reply.consumer else {
            return Poll::Ready(Err(Error::invalid("the reply names no consumer")));
        };
        let (channel, no_ack, unsettled) = (self.channel.clone(), self.no_ack, self.unsettled);
        let unread = channel.shared().with(|session| {
            let key = channel.key();
            (session.mark_claimed(key, id), session.epoch(key))
        });
        Poll::Ready(Ok(Consumer::new(channel, id, tag, no_ack, unsettled, unread)))
    }
}

impl fmt::Debug for Consume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consume").field("channel", &self.channel.key().id).finish_non_exhaustive()
    }
}
