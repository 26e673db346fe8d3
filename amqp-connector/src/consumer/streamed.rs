//! Consuming with bodies as streams: the consumer, its deliveries, and the body that is read piece by piece.
//!
//! A [`StreamConsumer`] is a [`Consumer`] whose deliveries come without their bodies; a [`BodyStream`] is the
//! delivery's number, under which the session has what came of the body.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_types::ShortStr;
use amqp_types::protocol::basic;
use bytes::{Buf as _, Bytes};
use futures_core::Stream;
use futures_core::stream::FusedStream;
use tokio::io::{AsyncRead, ReadBuf};

use crate::call::Consume;
use crate::consumer::{Acker, Consumer, Delivery, ShutdownReport};
use crate::error::Result;
use crate::handle::ChannelHandle;
use crate::outcome::{ConsumerEnd, Epoch};
use crate::turn::{poll_turn, spend};

/// The future of [`Channel::basic_consume_streamed`](crate::Channel::basic_consume_streamed).
///
/// # Cancel safety
///
/// As [`Consume`].
#[must_use = "nothing is sent until this future is awaited"]
pub struct ConsumeStreamed {
    inner: Consume,
}

impl ConsumeStreamed {
    pub(crate) fn new(consume: Consume) -> Self {
        Self { inner: consume.streamed() }
    }

    /// As [`Call::within`](crate::Call::within).
    pub fn within(mut self, timeout: Duration) -> Self {
        self.inner = self.inner.within(timeout);
        self
    }
}

impl Future for ConsumeStreamed {
    type Output = Result<StreamConsumer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = ready!(Pin::new(&mut self.inner).poll(cx))?;
        Poll::Ready(Ok(StreamConsumer { inner }))
    }
}

impl fmt::Debug for ConsumeStreamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumeStreamed").field("inner", &self.inner).finish()
    }
}

/// A consumer whose deliveries are given out when their headers have come, each with its body as a stream.
///
/// AMQP has no way to have the broker wait with a body. What comes and is not read waits, up to the consumer's
/// budget ([`Options::consumer_budget`](crate::Options::consumer_budget); what all streamed consumers of a channel
/// leave unread counts together), and then **the channel is closed**: this consumer ends with
/// [`ConsumerEnd::Overflow`], the body with an error. Before that, reading from the socket pauses for a reader
/// that makes progress, or has made none for no longer than
/// [`Options::reader_patience`](crate::Options::reader_patience); **everything else on the connection waits with it**.
/// So bodies of more than a few MiB want a connection of their own, and a prefetch of 1: others that are sent
/// meanwhile wait unread, too.
///
/// The broker has patience of its own. RabbitMQ resets a connection which has not taken for about 30 seconds what
/// it has to send, and a heartbeat, a reply or a confirm stands behind the rest of the body. So with RabbitMQ a body
/// has to be read within some 30 seconds of the next thing that the broker wants to send. Who reads more slowly wants
/// a connection with nothing else on it and with heartbeats off
/// ([`Options::heartbeat`](crate::Options::heartbeat)), or writes the body to a disk first.
///
/// In particular, do not leave a body unread while a stream is published on the same channel
/// ([`Channel::basic_publish_stream`](crate::Channel::basic_publish_stream)): a channel with a body half sent cannot be
/// closed, so without a transaction **the whole connection is**.
///
/// # Drop
///
/// As [`Consumer`]. Deliveries that were given out stay readable.
#[must_use = "dropping a consumer cancels it"]
pub struct StreamConsumer {
    inner: Consumer,
}

impl StreamConsumer {
    /// As [`Consumer::tag`].
    #[must_use]
    pub fn tag(&self) -> &ShortStr {
        self.inner.tag()
    }

    /// The next delivery, or `None` when the consumer is over; [`end`](Self::end) tells why.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no delivery is lost.
    pub fn recv(&mut self) -> RecvStreamed<'_> {
        RecvStreamed { consumer: self }
    }

    /// As [`Consumer::end`].
    #[must_use]
    pub fn end(&self) -> Option<&ConsumerEnd> {
        self.inner.end()
    }

    /// As [`Consumer::epoch`].
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch()
    }

    /// As [`Consumer::in_flight`].
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }

    /// As [`Consumer::cancel`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::cancel`].
    ///
    /// # Cancel safety
    ///
    /// As [`Consumer::cancel`].
    #[track_caller]
    pub fn cancel(&mut self) -> impl Future<Output = Result<()>> + Send + use<'_> {
        self.inner.cancel()
    }

    /// As [`Consumer::shutdown`]. The bodies of deliveries that are given back are discarded as they come.
    ///
    /// # Cancel safety
    ///
    /// As [`Consumer::shutdown`].
    pub async fn shutdown(self, timeout: Duration) -> ShutdownReport {
        self.inner.shutdown(timeout).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamedDelivery>> {
        let delivery = ready!(Pin::new(&mut self.inner).poll_next(cx));
        Poll::Ready(
            delivery.map(|delivery| StreamedDelivery::new(self.inner.channel().clone(), delivery)),
        )
    }
}

impl Stream for StreamConsumer {
    type Item = StreamedDelivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx)
    }
}

impl FusedStream for StreamConsumer {
    fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }
}

impl fmt::Debug for StreamConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamConsumer").field("inner", &self.inner).finish()
    }
}

/// The future of [`StreamConsumer::recv`].
#[must_use = "nothing is received until this future is awaited"]
#[derive(Debug)]
pub struct RecvStreamed<'a> {
    consumer: &'a mut StreamConsumer,
}

impl Future for RecvStreamed<'_> {
    type Output = Option<StreamedDelivery>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.consumer.poll_recv(cx)
    }
}

/// A message whose body is read piece by piece.
///
/// It may be settled before its body was read, or while it is; taken [apart](Self::into_parts), the two are
/// independent.
///
/// # Drop
///
/// What was not read of the body is discarded as it comes. Dropped unsettled, the same holds as for
/// [`Delivery`].
pub struct StreamedDelivery {
    /// The exchange it was published to.
    pub exchange: ShortStr,
    /// The routing key it was published with.
    pub routing_key: ShortStr,
    /// Whether the broker has delivered it before, to anybody.
    pub redelivered: bool,
    /// Its properties.
    pub properties: basic::Properties,
    /// The length of its body, in octets.
    pub body_len: u64,
    /// Its body.
    pub body: BodyStream,
    acker: Acker,
}

impl StreamedDelivery {
    fn new(channel: Arc<ChannelHandle>, delivery: Delivery) -> Self {
        let tag = delivery.delivery_tag();
        // One that nobody knows any more is found to be broken when it is read.
        let claimed = channel.shared().with(|session| session.claim_body(channel.key(), tag));
        let body_len = claimed.unwrap_or(0);
        let body = BodyStream { channel, tag, over: false, rest: body_len, piece: Bytes::new() };
        let Delivery { exchange, routing_key, redelivered, .. } = &delivery;
        let (exchange, routing_key, redelivered) =
            (exchange.clone(), routing_key.clone(), *redelivered);
        let (properties, _, acker) = delivery.into_parts();
        Self { exchange, routing_key, redelivered, properties, body_len, body, acker }
    }

    /// As [`Delivery::delivery_tag`].
    #[must_use]
    pub fn delivery_tag(&self) -> u64 {
        self.acker.delivery_tag()
    }

    /// As [`Delivery::consumer_tag`].
    #[must_use]
    pub fn consumer_tag(&self) -> Option<&ShortStr> {
        self.acker.consumer_tag()
    }

    /// As [`Delivery::epoch`].
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.acker.epoch()
    }

    /// As [`Delivery::ack`]. What was not read of the body is discarded.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    pub fn ack(self) -> Result<()> {
        self.acker.ack()
    }

    /// As [`Delivery::ack_multiple`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    pub fn ack_multiple(self) -> Result<()> {
        self.acker.ack_multiple()
    }

    /// As [`Delivery::nack`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::nack`].
    pub fn nack(self, requeue: bool) -> Result<()> {
        self.acker.nack(requeue)
    }

    /// As [`Delivery::nack_multiple`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::nack_multiple`].
    pub fn nack_multiple(self, requeue: bool) -> Result<()> {
        self.acker.nack_multiple(requeue)
    }

    /// As [`Delivery::reject`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::reject`].
    pub fn reject(self, requeue: bool) -> Result<()> {
        self.acker.reject(requeue)
    }

    /// The properties, the body and the right to settle it, apart.
    pub fn into_parts(self) -> (basic::Properties, BodyStream, Acker) {
        (self.properties, self.body, self.acker)
    }
}

impl fmt::Debug for StreamedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedDelivery")
            .field("delivery_tag", &self.delivery_tag())
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("redelivered", &self.redelivered)
            .field("body_len", &self.body_len)
            .finish_non_exhaustive()
    }
}

/// The body of a [`StreamedDelivery`]: a [`Stream`] of pieces, or a reader ([`AsyncRead`]).
///
/// It ends well only after as many octets as were announced; where the channel or connection ends before, the last
/// item is an error. It keeps its channel open.
///
/// ```no_run
/// # async fn run(channel: amqp_connector::Channel) -> Result<(), Box<dyn std::error::Error>> {
/// use amqp_connector::{BasicConsume, Prefetch};
///
/// let consume = BasicConsume::new("films", Prefetch::Count(1));
/// let mut films = channel.basic_consume_streamed(consume).await?;
/// while let Some(film) = films.recv().await {
///     let (_, mut body, acker) = film.into_parts();
///     tokio::io::copy(&mut body, &mut tokio::io::sink()).await?;
///     acker.ack()?;
/// }
/// # Ok(()) }
/// ```
///
/// # Drop
///
/// What was not read is discarded as it comes. The message stays to be settled.
pub struct BodyStream {
    channel: Arc<ChannelHandle>,
    tag: u64,
    /// Nothing more is to be had.
    over: bool,
    /// Octets that were not given out.
    rest: u64,
    /// What a reader has left of the last piece.
    piece: Bytes,
}

impl BodyStream {
    /// The next piece, as the broker cut it: up to a frame. `None` at the end.
    ///
    /// # Errors
    ///
    /// The reason why the channel or connection ended in the middle of the body; nothing follows then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing is lost.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_piece(cx)).await.transpose()
    }

    /// How many octets were not given out yet.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.rest
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if !self.piece.is_empty() {
            let piece = std::mem::take(&mut self.piece);
            self.rest = self.rest.saturating_sub(piece.len() as u64);
            return Poll::Ready(Some(Ok(piece)));
        }
        if self.over {
            return Poll::Ready(None);
        }
        ready!(poll_turn(cx));
        let (channel, tag) = (&self.channel, self.tag);
        let polled = channel
            .shared()
            .poll(cx, |session, waker| session.poll_body(channel.key(), tag, waker));
        let item = ready!(polled);
        spend(cx);
        match &item {
            Some(Ok(piece)) => self.rest = self.rest.saturating_sub(piece.len() as u64),
            Some(Err(_)) | None => self.over = true,
        }
        Poll::Ready(item)
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_piece(cx)
    }
}

impl FusedStream for BodyStream {
    fn is_terminated(&self) -> bool {
        self.over && self.piece.is_empty()
    }
}

impl AsyncRead for BodyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut piece = match ready!(self.poll_piece(cx)) {
            None => return Poll::Ready(Ok(())),
            Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            Some(Ok(piece)) => piece,
        };
        let fitting = piece.len().min(buf.remaining());
        buf.put_slice(piece.get(..fitting).unwrap_or_default());
        piece.advance(fitting);
        self.rest = self.rest.saturating_add(piece.len() as u64);
        self.piece = piece;
        Poll::Ready(Ok(()))
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        if !self.over {
            let (channel, tag) = (&self.channel, self.tag);
            channel.shared().with(|session| session.drop_body(channel.key(), tag));
        }
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream").field("remaining", &self.rest).finish_non_exhaustive()
    }
}
