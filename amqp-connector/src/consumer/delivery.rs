//! A message from the broker, and settling it.

use std::fmt;
use std::sync::Arc;

use amqp_types::protocol::basic;
use amqp_types::{Body, ShortStr};

use crate::error::{Error, Result};
use crate::handle::ChannelHandle;
use crate::options::Unsettled;
use crate::outcome::Epoch;
use crate::session::{ChannelKey, InFlight, Keeps, Queued, Settle, Unread};
use crate::shared::Shared;

/// A message delivered to a consumer, or fetched by `basic.get`.
///
/// Settle it by [`ack`](Self::ack), [`nack`](Self::nack) or [`reject`](Self::reject), each of which takes
/// it apart from its content, and none of which has to be awaited:
///
/// ```
/// fn settle(delivery: amqp_connector::Delivery, good: bool) -> amqp_connector::Result<()> {
///     if good { delivery.ack() } else { delivery.nack(true) }
/// }
/// ```
///
/// It can be settled once only. This does not compile, since the delivery has moved:
///
/// ```compile_fail,E0382
/// fn settle(delivery: amqp_connector::Delivery) -> amqp_connector::Result<()> {
///     delivery.ack()?;
///     delivery.nack(true)
/// }
/// ```
///
/// # Drop
///
/// What becomes of one that is dropped unsettled is told by its consumer or `basic.get`, see [`Unsettled`]. By
/// default it stays with its channel, and goes back to its queue when that closes. Dropping needs no runtime.
pub struct Delivery {
    /// The exchange it was published to.
    pub exchange: ShortStr,
    /// The routing key it was published with.
    pub routing_key: ShortStr,
    /// Whether the broker has delivered it before, to anybody.
    pub redelivered: bool,
    /// Its properties.
    pub properties: basic::Properties,
    /// Its body.
    pub body: Body,
    acker: Acker,
}

/// The right to settle one delivery.
///
/// # Drop
///
/// As [`Delivery`].
#[must_use = "a delivery that is not settled stays with its channel, or goes back to its queue"]
pub struct Acker {
    origin: Arc<Origin>,
    delivery_tag: u64,
    /// The broker considers it settled since it was sent.
    settled: bool,
    /// It carries a stream's offset, and so do the others of its consumer.
    kept: bool,
}

/// What the deliveries of one consumer have in common: the channel that they came on, which they do not keep
/// open. Each counts a reference to it, on another cache line than the one where the connection's lock is.
pub(crate) struct Origin {
    shared: Arc<Shared>,
    channel: ChannelKey,
    /// Which incarnation of the channel they came on.
    epoch: Epoch,
    source: Source,
    /// What becomes of those that are dropped.
    unsettled: Unsettled,
    in_flight: InFlight,
}

/// What deliveries come from.
pub(crate) enum Source {
    /// A consumer of this tag, and what is known of its queue.
    Consumer(ShortStr, Arc<Unread>),
    /// A `basic.get`, which left so many messages in the queue.
    Get(u32),
}

impl Origin {
    /// `None` for what the connection's options say.
    pub(crate) fn of(
        channel: &ChannelHandle,
        epoch: Epoch,
        source: Source,
        unsettled: Option<Unsettled>,
    ) -> Arc<Self> {
        let (shared, channel) = (channel.shared().clone(), channel.key());
        let (unsettled, in_flight) =
            (unsettled.unwrap_or(shared.options.unsettled), InFlight::default());
        Arc::new(Self { shared, channel, epoch, source, unsettled, in_flight })
    }

    /// The same for what came on another incarnation.
    pub(crate) fn renewed(&self, channel: &ChannelHandle, epoch: Epoch) -> Arc<Self> {
        let source = match &self.source {
            Source::Consumer(tag, unread) => Source::Consumer(tag.clone(), unread.clone()),
            Source::Get(left) => Source::Get(*left),
        };
        Self::of(channel, epoch, source, Some(self.unsettled))
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What is known of the queue of a delivery, of which this is known.
    fn keeps(&self, kept: bool) -> Keeps {
        match &self.source {
            Source::Consumer(_, unread) if unread.keeps() == Keeps::Yes => Keeps::Yes,
            Source::Consumer(..) if kept => Keeps::Perhaps,
            Source::Consumer(..) | Source::Get(_) => Keeps::No,
        }
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }
}

impl Delivery {
    #[inline]
    pub(crate) fn new(origin: Arc<Origin>, queued: Queued, no_ack: bool, kept: bool) -> Self {
        let Queued { delivery_tag, redelivered, exchange, routing_key, properties, body } = queued;
        let acker = Acker { origin, delivery_tag, settled: no_ack, kept };
        Self { exchange, routing_key, redelivered, properties, body, acker }
    }

    /// The delivery's number on its channel.
    #[must_use]
    pub fn delivery_tag(&self) -> u64 {
        self.acker.delivery_tag
    }

    /// The tag of the consumer that it came to; `None` for one fetched by `basic.get`.
    #[must_use]
    pub fn consumer_tag(&self) -> Option<&ShortStr> {
        self.acker.consumer_tag()
    }

    /// The incarnation of its channel that it came on.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.acker.epoch()
    }

    /// How many messages were left in the queue, for one fetched by `basic.get`.
    #[must_use]
    pub fn message_count(&self) -> Option<u32> {
        match &self.acker.origin.source {
            Source::Consumer(..) => None,
            Source::Get(left) => Some(*left),
        }
    }

    /// Tells the broker that the message was handled (`basic.ack`). Encodes at once and never waits;
    /// [`Channel::flush`](crate::Channel::flush) tells when it is written.
    ///
    /// # Errors
    ///
    /// `Stale` if the channel incarnation that it came on is over: then the broker delivers the message
    /// again. `Invalid` for a delivery of a no-ack consumer, and for one that a later one's
    /// [`ack_multiple`](Self::ack_multiple) or [`nack_multiple`](Self::nack_multiple) has settled.
    pub fn ack(self) -> Result<()> {
        self.acker.ack()
    }

    /// As [`ack`](Self::ack), for this delivery and every unsettled one before it on the channel.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack).
    pub fn ack_multiple(self) -> Result<()> {
        self.acker.settle(Settle::Ack { multiple: true })
    }

    /// Tells the broker that the message was not handled (`basic.nack`; `basic.reject` where the
    /// specification has no nack): it goes back to its queue, or is dropped or dead-lettered.
    ///
    /// A stream takes nothing back, and RabbitMQ closes the connection (540) on who tries. A consumer that was started
    /// with an `x-stream-offset` is known to read one; without, its deliveries tell by their header of that name.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack), and `Invalid` for a delivery of a stream: nothing is sent, and it is dropped
    /// unsettled. That acknowledges it if its consumer has said an offset and does not [leave](Unsettled::Leave) what is
    /// dropped; otherwise it stays with its channel.
    pub fn nack(self, requeue: bool) -> Result<()> {
        self.acker.settle(Settle::Nack { multiple: false, requeue })
    }

    /// As [`nack`](Self::nack), for this delivery and every unsettled one before it on the channel.
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack), and `Unsupported` where the specification has no `basic.nack`, and `Invalid` on a
    /// channel that a stream was read on, of which it could mean a delivery: then it is dropped unsettled.
    pub fn nack_multiple(self, requeue: bool) -> Result<()> {
        self.acker.settle(Settle::Nack { multiple: true, requeue })
    }

    /// Tells the broker that the message was not handled (`basic.reject`).
    ///
    /// # Errors
    ///
    /// As [`nack`](Self::nack).
    pub fn reject(self, requeue: bool) -> Result<()> {
        self.acker.settle(Settle::Reject { requeue })
    }

    /// The content and the right to settle it, apart: the body can move on while the settling waits.
    pub fn into_parts(self) -> (basic::Properties, Body, Acker) {
        (self.properties, self.body, self.acker)
    }
}

impl Acker {
    /// As [`Delivery::delivery_tag`].
    #[must_use]
    pub fn delivery_tag(&self) -> u64 {
        self.delivery_tag
    }

    /// As [`Delivery::epoch`].
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.origin.epoch
    }

    pub(super) fn consumer_tag(&self) -> Option<&ShortStr> {
        match &self.origin.source {
            Source::Consumer(tag, _) => Some(tag),
            Source::Get(_) => None,
        }
    }

    /// As [`Delivery::ack_multiple`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    pub fn ack_multiple(self) -> Result<()> {
        self.settle(Settle::Ack { multiple: true })
    }

    /// As [`Delivery::ack`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    pub fn ack(self) -> Result<()> {
        self.settle(Settle::Ack { multiple: false })
    }

    /// As [`Delivery::nack_multiple`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::nack_multiple`].
    pub fn nack_multiple(self, requeue: bool) -> Result<()> {
        self.settle(Settle::Nack { multiple: true, requeue })
    }

    /// As [`Delivery::nack`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    pub fn nack(self, requeue: bool) -> Result<()> {
        self.settle(Settle::Nack { multiple: false, requeue })
    }

    /// As [`Delivery::reject`].
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    pub fn reject(self, requeue: bool) -> Result<()> {
        self.settle(Settle::Reject { requeue })
    }

    #[inline]
    fn settle(mut self, settle: Settle) -> Result<()> {
        if self.settled {
            return Err(Error::invalid("a delivery of a no-ack consumer is settled already"));
        }
        settle.check()?;
        settle.check_for(|| self.origin.keeps(self.kept))?;
        let Origin { shared, channel, in_flight, .. } = &*self.origin;
        if settle.is_nack_multiple() {
            shared.with(|session| session.check_nack_multiple(*channel))?;
        }
        self.settled = true;
        shared.with(|session| session.settle(*channel, self.delivery_tag, settle, in_flight))
    }

    #[cold]
    fn drop_unsettled(&self) {
        let Origin { shared, channel, unsettled, in_flight, .. } = &*self.origin;
        let (key, tag) = (*channel, self.delivery_tag);
        let keeps = self.origin.keeps(self.kept);
        let left =
            shared.with(|session| session.drop_unsettled(key, tag, *unsettled, in_flight, keeps));
        if left {
            let channel = channel.id;
            tracing::warn!(
                parent: &shared.span,
                channel,
                delivery_tag = tag,
                "a delivery was dropped unsettled: it stays with its channel"
            );
        }
    }
}

impl Drop for Acker {
    #[inline]
    fn drop(&mut self) {
        if !self.settled {
            self.drop_unsettled();
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("delivery_tag", &self.acker.delivery_tag)
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("redelivered", &self.redelivered)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Acker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acker").field("delivery_tag", &self.delivery_tag).finish_non_exhaustive()
    }
}
