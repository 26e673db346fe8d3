//! Serving one request: decode, handle, encode, reply, acknowledge; whatever happens on the way.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use amqp_types::{Body, ShortStr};
use bytes::Bytes;

use super::address::{is_direct, may_be_published_to};
use super::message::{decode, error_reply};
use super::server::{Received, ServerOptions, ServerReport, WithoutReplyTo};
use super::{Failure, FailureKind};
use crate::channel::Channel;
use crate::consumer::{Acker, Delivery};
use crate::error::ErrorKind;
use crate::outcome::{Outcome, UnknownReason};
use crate::publish::BasicPublish;
use crate::typed::{BodyCodec, CodecError};

/// How often a reply is published whose channel is closed each time.
const TRIES: usize = 3;

/// What a server has done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
    one_way: AtomicU64,
    rejected: AtomicU64,
    undelivered: AtomicU64,
}

impl Counts {
    pub(super) fn report(&self) -> ServerReport {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ServerReport {
            answered: read(&self.answered),
            failed: read(&self.failed),
            one_way: read(&self.one_way),
            rejected: read(&self.rejected),
            undelivered: read(&self.undelivered),
            ..ServerReport::default()
        }
    }
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// What a handler makes of a request: a reply.
struct Answer {
    body: Bytes,
    content_type: Option<String>,
}

type Answered = Result<Answer, Failure>;
type Handler =
    dyn Fn(Received<Body>) -> Pin<Box<dyn Future<Output = Answered> + Send>> + Send + Sync;

/// What became of a reply.
enum Replied {
    /// The broker has it.
    Sent,
    /// Its queue is gone.
    Undelivered,
    /// The broker does not take it.
    Refused,
    /// Nobody can tell: the request is to be served again.
    Lost,
}

/// What serving a request needs.
pub(super) struct Answering {
    replies: Channel,
    handler: Box<Handler>,
    without_reply_to: WithoutReplyTo,
    counts: Arc<Counts>,
}

impl Answering {
    pub(super) fn new<Q, R, E, C, F, W>(
        replies: Channel,
        codec: C,
        handler: F,
        options: &ServerOptions,
        counts: Arc<Counts>,
    ) -> Self
    where
        Q: 'static,
        R: 'static,
        E: Into<Failure> + 'static,
        C: BodyCodec<Q> + BodyCodec<R> + Send + Sync + 'static,
        F: Fn(Received<Q>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<R, E>> + Send + 'static,
    {
        let both = Arc::new((codec, handler));
        let handler = move |request| {
            let both = both.clone();
            let answering = async move { answer(&both.0, &both.1, request).await };
            Box::pin(answering) as Pin<Box<dyn Future<Output = Answered> + Send>>
        };
        let without_reply_to = options.without_reply_to;
        Self { replies, handler: Box::new(handler), without_reply_to, counts }
    }

    pub(super) fn replies(&self) -> &Channel {
        &self.replies
    }

    /// Serves a request, and settles its delivery. If that fails, it is settled already, or comes again by itself.
    pub(super) async fn serve(&self, delivery: Delivery) {
        let Delivery { exchange, routing_key, redelivered, .. } = &delivery;
        let (exchange, routing_key) = (exchange.clone(), routing_key.clone());
        let redelivered = *redelivered;
        let (properties, value, acker) = delivery.into_parts();
        let reply_to = properties.reply_to.clone().filter(|name| !name.is_empty());
        let id = properties.correlation_id.clone();
        if reply_to.as_ref().is_some_and(|address| !may_be_published_to(address.as_bytes())) {
            tracing::warn!("a request whose address would cost the connection is rejected");
            return self.reject(acker);
        }
        if reply_to.is_none() && self.without_reply_to == WithoutReplyTo::Reject {
            tracing::warn!("a request without reply-to is rejected");
            return self.reject(acker);
        }
        let request = Received { value, properties, exchange, routing_key, redelivered };
        let answered = self.answer(request).await;
        let Some(reply_to) = reply_to else { return self.settle_one_way(acker, &answered) };
        let is_answer = answered.is_ok();
        // What goes by direct reply-to has no queue, so that it would come back.
        let mandatory = !is_direct(reply_to.as_bytes());
        let mut reply = match answered {
            Ok(answer) => answer.into_reply(reply_to),
            Err(failure) => error_reply(reply_to, &failure),
        };
        reply = reply.mandatory(mandatory);
        if let Some(id) = id {
            reply = reply.correlation_id(id);
        }
        let replied = self.reply(&reply).await;
        match replied {
            Replied::Lost => drop(acker.nack(true)),
            Replied::Refused => drop(acker.reject(false)),
            Replied::Sent | Replied::Undelivered => drop(acker.ack()),
        }
        let Counts { answered, failed, undelivered, .. } = &*self.counts;
        match replied {
            Replied::Lost => return,
            Replied::Undelivered | Replied::Refused => count(undelivered),
            Replied::Sent => {}
        }
        count(if is_answer { answered } else { failed });
    }

    /// Asks the handler, and bears its panic, and the codec's.
    async fn answer(&self, request: Received<Body>) -> Answered {
        let panicked = |what: Box<dyn Any + Send>| {
            let text = what.downcast_ref::<&str>().copied();
            let text = text.or(what.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text.unwrap_or("?"), "a handler of requests has panicked");
            // Its drop could panic again, and it is of no use.
            std::mem::forget(what);
            Failure::of_kind(FailureKind::Panic, "the handler has panicked")
        };
        let mut handling = (self.handler)(request);
        let answered =
            poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(cx))) {
                Ok(polled) => polled,
                Err(what) => Poll::Ready(Err(panicked(what))),
            });
        let answered = answered.await;
        match catch_unwind(AssertUnwindSafe(|| drop(handling))) {
            Ok(()) => answered,
            Err(what) => Err(panicked(what)),
        }
    }

    /// A request that wants no reply: nobody else learns of a failure, so its message is kept where that can be.
    fn settle_one_way(&self, acker: Acker, answered: &Answered) {
        match answered {
            Ok(_) => {
                count(&self.counts.one_way);
                drop(acker.ack());
            }
            Err(failure) => {
                tracing::warn!(%failure, "a request without reply-to is rejected");
                self.reject(acker);
            }
        }
    }

    fn reject(&self, acker: Acker) {
        count(&self.counts.rejected);
        drop(acker.reject(false));
    }

    /// Publishes a reply, and waits until the broker has it. A reply that another one has cost its channel is sent again;
    /// who calls knows a second one by its correlation id.
    async fn reply(&self, reply: &BasicPublish) -> Replied {
        for _ in 0..TRIES {
            let outcome = match self.replies.basic_publish(reply.clone()).await {
                Ok(confirmation) => confirmation.await,
                Err(error) if error.kind() == ErrorKind::Invalid => {
                    tracing::warn!(%error, "a reply cannot be sent");
                    return Replied::Refused;
                }
                Err(_) => {
                    if self.replies.reopen().await.is_err() {
                        return Replied::Lost;
                    }
                    continue;
                }
            };
            match outcome.plain() {
                Outcome::Acked | Outcome::Accepted => return Replied::Sent,
                Outcome::Returned(_) => return Replied::Undelivered,
                Outcome::Nacked => return Replied::Refused,
                // Of equal replies, one has come back.
                Outcome::Unknown(UnknownReason::UnmatchedReturn) => return Replied::Undelivered,
                Outcome::Unknown(UnknownReason::Closed(_)) | Outcome::Republished { .. } => {
                    if self.replies.reopen().await.is_err() {
                        return Replied::Lost;
                    }
                }
            }
        }
        tracing::warn!("a reply costs its channel each time, and is given up");
        Replied::Refused
    }
}

impl Answer {
    fn into_reply(self, reply_to: ShortStr) -> BasicPublish {
        let reply = BasicPublish::new("", reply_to, self.body);
        match self.content_type {
            Some(content_type) => reply.content_type(content_type),
            None => reply,
        }
    }
}

async fn answer<Q, R, E, C, F, W>(codec: &C, handler: &F, request: Received<Body>) -> Answered
where
    E: Into<Failure>,
    C: BodyCodec<Q> + BodyCodec<R>,
    F: Fn(Received<Q>) -> W,
    W: Future<Output = Result<R, E>>,
{
    let Received { value, properties, exchange, routing_key, redelivered } = request;
    let failure = |kind, error: CodecError| Failure::of_kind(kind, error.to_string());
    let value = decode(codec, &properties, &value);
    let value: Q = value.map_err(|error| failure(FailureKind::Undecodable, error))?;
    let request = Received { value, properties, exchange, routing_key, redelivered };
    let result: R = handler(request).await.map_err(|error| error.into().of_handler())?;
    let body = codec.encode(&result);
    let body = body.map_err(|error| failure(FailureKind::Unencodable, error))?;
    let content_type = BodyCodec::<R>::content_type(codec).map(ToOwned::to_owned);
    Ok(Answer { body, content_type })
}
