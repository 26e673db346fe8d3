//! A consumer whose deliveries are read as values, and what becomes of those that are none.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::{BodyCodec, CodecError};
use crate::consumer::{Consumer, Delivery};

/// What a [`TypedConsumer`] does with a delivery that its codec cannot decode. Neither way puts it back to its queue, where
/// it would come again at once, and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUndecodable {
    /// It is handed over as an error that holds the delivery, to be settled like any other: nothing is lost.
    #[default]
    HandOver,
    /// It is rejected without requeue, so that its queue dead-letters it if it has a dead-letter exchange and drops it if
    /// not. A warning is logged, and it is [counted](TypedConsumer::rejected). One of a stream, which takes nothing back,
    /// is acknowledged and stays there.
    Reject,
}

/// A [`Consumer`] whose deliveries are read as values of `T`, from [`Consumer::typed`].
///
/// # Drop
///
/// As [`Consumer`].
#[must_use = "dropping a consumer cancels it"]
pub struct TypedConsumer<T, C> {
    consumer: Consumer,
    codec: C,
    on_undecodable: OnUndecodable,
    rejected: u64,
    value: PhantomData<fn() -> T>,
}

/// A message that was decoded, and the delivery that it came by, which is to be settled.
///
/// # Drop
///
/// As [`Delivery`].
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedDelivery<T> {
    /// What the body says.
    pub value: T,
    /// Its properties, its body, and the right to settle it.
    pub delivery: Delivery,
}

/// A message that the codec can make nothing of.
///
/// # Drop
///
/// As [`Delivery`]: by default it stays with its channel, counting in the prefetch, until that closes.
pub struct Undecodable(Box<(CodecError, Delivery)>);

impl<T, C: BodyCodec<T>> TypedConsumer<T, C> {
    pub(super) fn new(consumer: Consumer, codec: C) -> Self {
        let on_undecodable = OnUndecodable::default();
        Self { consumer, codec, on_undecodable, rejected: 0, value: PhantomData }
    }

    /// What it does with what cannot be decoded; otherwise that is handed over.
    pub fn on_undecodable(mut self, policy: OnUndecodable) -> Self {
        self.on_undecodable = policy;
        self
    }

    /// The next message, or `None` when the consumer is over: [`Consumer::end`] tells why.
    ///
    /// # Errors
    ///
    /// The delivery, if it cannot be decoded and is to be [handed over](OnUndecodable::HandOver). The consumer goes on.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no delivery is lost.
    pub async fn recv(&mut self) -> Option<Result<TypedDelivery<T>, Undecodable>> {
        loop {
            let delivery = self.consumer.recv().await?;
            if let Some(decoded) = self.decode(delivery) {
                return Some(decoded);
            }
        }
    }

    /// `None` for one that was rejected.
    fn decode(&mut self, delivery: Delivery) -> Option<Result<TypedDelivery<T>, Undecodable>> {
        let error = match delivery.decode(&self.codec) {
            Ok(value) => return Some(Ok(TypedDelivery { value, delivery })),
            Err(error) => error,
        };
        match self.on_undecodable {
            OnUndecodable::HandOver => Some(Err(Undecodable(Box::new((error, delivery))))),
            OnUndecodable::Reject => {
                let queue_tag = self.consumer.tag();
                tracing::warn!(consumer = %queue_tag, %error, "an undecodable message is rejected");
                self.rejected += 1;
                reject(delivery);
                None
            }
        }
    }
}

impl<T, C> TypedConsumer<T, C> {
    /// How many were rejected since they could not be decoded.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The consumer: its tag, its end, what is in flight.
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// The consumer, to cancel it or to read a message as it is.
    pub fn consumer_mut(&mut self) -> &mut Consumer {
        &mut self.consumer
    }

    /// The consumer, to go on without a codec or to [shut it down](Consumer::shutdown). Nothing is lost.
    pub fn into_consumer(self) -> Consumer {
        self.consumer
    }
}

/// What no handler can ever accept. If it fails, the message is settled already or comes again by itself.
pub(crate) fn reject(delivery: Delivery) {
    let headers = delivery.properties.headers.as_ref();
    let of_stream = headers.is_some_and(|headers| headers.get("x-stream-offset").is_some());
    let _ = if of_stream { delivery.ack() } else { delivery.reject(false) };
}

impl<T, C: BodyCodec<T> + Unpin> Stream for TypedConsumer<T, C> {
    type Item = Result<TypedDelivery<T>, Undecodable>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(delivery) = ready!(Pin::new(&mut self.consumer.recv()).poll(cx)) else {
                return Poll::Ready(None);
            };
            if let Some(decoded) = self.decode(delivery) {
                return Poll::Ready(Some(decoded));
            }
        }
    }
}

impl<T, C: BodyCodec<T> + Unpin> FusedStream for TypedConsumer<T, C> {
    fn is_terminated(&self) -> bool {
        self.consumer.is_terminated()
    }
}

impl<T, C> fmt::Debug for TypedConsumer<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedConsumer")
            .field("consumer", &self.consumer)
            .field("on_undecodable", &self.on_undecodable)
            .field("rejected", &self.rejected)
            .finish_non_exhaustive()
    }
}

impl Undecodable {
    /// What the codec says of it.
    #[must_use]
    pub fn error(&self) -> &CodecError {
        &self.0.0
    }

    /// The message.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.0.1
    }

    /// The message, to be settled.
    #[must_use = "a delivery that is not settled stays with its channel, or goes back to its queue"]
    pub fn into_delivery(self) -> Delivery {
        self.0.1
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delivery { exchange, routing_key, .. } = self.delivery();
        let error = self.error();
        write!(f, "the message to exchange {exchange:?} with key {routing_key:?}: {error}")
    }
}

impl fmt::Debug for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delivery = self.delivery();
        f.debug_struct("Undecodable")
            .field("error", self.error())
            .field("delivery", delivery)
            .finish()
    }
}

impl std::error::Error for Undecodable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.error())
    }
}
