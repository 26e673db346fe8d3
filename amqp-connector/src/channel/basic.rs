//! Class `basic`: quality of service, publish, get and consume, in terms that every specification has.

use std::sync::atomic::{AtomicU64, Ordering};

use amqp_types::protocol::basic;
use amqp_types::{FieldTable, FieldValue, InvalidShortStr, ShortStr, short_str};

use super::Channel;
use crate::arguments::{Entries, StreamOffset, consume_arguments};
use crate::call::{Call, Consume, Get, Recover};
use crate::consumer::ConsumeStreamed;
use crate::consumer::Consumer;
use crate::error::{Error, Result};
use crate::name::{InvalidName, bits, short_str};
use crate::options::Unsettled;
use crate::publish::{BasicPublish, Confirmation, Publish};

/// How many unsettled deliveries the broker may have with a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefetch {
    /// At most this many; at least one.
    Count(u16),
    /// As many as there are. The consumer's memory is then bounded by its budget alone.
    Unlimited,
}

impl Prefetch {
    /// The number on the wire, where zero means no limit.
    fn count(self) -> Result<u16> {
        match self {
            Self::Count(0) => Err(Error::invalid("a prefetch of zero is `Prefetch::Unlimited`")),
            Self::Count(count) => Ok(count),
            Self::Unlimited => Ok(0),
        }
    }
}

/// A consumer to start; see [`Channel::basic_consume`].
#[derive(Clone, Debug)]
#[must_use = "a consumer is started by `Channel::basic_consume`"]
pub struct BasicConsume {
    method: basic::Consume,
    prefetch: Prefetch,
    unsettled: Option<Unsettled>,
    budget: Option<usize>,
    arguments: Entries,
}

impl BasicConsume {
    /// A consumer of `queue` that holds at most `prefetch` unsettled deliveries. It gets a tag of this
    /// library's choice; deliveries are to be acknowledged.
    pub fn new<Q>(queue: Q, prefetch: Prefetch) -> Self
    where
        Q: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut arguments = Entries::default();
        let method =
            basic::Consume { queue: arguments.name("queue's name", queue), ..Default::default() };
        Self { method, prefetch, unsettled: None, budget: None, arguments }
    }

    /// The consumer's tag, unique on its channel: `Invalid` before anything is sent while another consumer has it,
    /// or may get it from a call that was given up and is not answered yet.
    pub fn tag<T>(mut self, tag: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.method.consumer_tag = self.arguments.name("consumer tag", tag);
        self
    }

    bits! {
        /// Whether the broker counts a delivery as settled when it has sent it. A message is lost if its
        /// delivery does not arrive.
        no_ack
        /// Whether messages published on the same connection are left out. RabbitMQ ignores it.
        no_local
        /// Whether no other consumer may read the queue.
        exclusive
    }

    /// Octets of deliveries that may wait unread; otherwise
    /// [`Options::consumer_budget`](crate::Options::consumer_budget) tells. Past it the consumer is ended with
    /// [`ConsumerEnd::Overflow`](crate::ConsumerEnd::Overflow); one delivery alone may be larger. What waits goes back to
    /// the queue; with `no_ack` it can still be read, and what comes until the broker has cancelled the consumer is lost. What a delivery
    /// takes besides its body counts, too: some hundred octets, and its headers.
    pub fn budget(mut self, octets: usize) -> Self {
        self.budget = Some(octets);
        self
    }

    /// What becomes of its deliveries that are dropped unsettled; otherwise
    /// [`Options::unsettled`](crate::Options::unsettled) tells.
    pub fn unsettled(mut self, unsettled: Unsettled) -> Self {
        self.unsettled = Some(unsettled);
        self
    }

    /// Further arguments, for which there is no setter here. They go to the broker as they are; those that
    /// are set by their setters, too, are theirs. Any argument is `Unsupported` where the specification's
    /// `basic.consume` has none (0-8).
    pub fn arguments(mut self, arguments: FieldTable) -> Self {
        self.arguments.set_further(arguments);
        self
    }

    fn put(mut self, key: ShortStr, value: Result<FieldValue>) -> Self {
        self.arguments.put(key, value);
        self
    }

    /// With a tag that is not `taken`, where it has none.
    fn into_parts(self, taken: impl FnMut(&ShortStr) -> bool) -> Result<(basic::Consume, u16)> {
        let Self { mut method, prefetch, arguments, .. } = self;
        if method.consumer_tag.is_empty() {
            method.consumer_tag = fresh_tag(taken);
        }
        put_arguments(&mut method, arguments.into_table()?)?;
        Ok((method, prefetch.count()?))
    }
}

consume_arguments!(BasicConsume);

/// Puts arguments where the specification has a place for them.
fn put_arguments(method: &mut basic::Consume, arguments: FieldTable) -> Result<()> {
    amqp_types::if_spec! { basic.consume.arguments => {
        method.arguments = arguments;
        Ok(())
    } else { amqp_types::if_spec! { basic.consume.filter => {
        method.filter = arguments;
        Ok(())
    } else {
        let _ = method;
        match arguments.is_empty() {
            true => Ok(()),
            false => Err(Error::unsupported("arguments of basic.consume")),
        }
    } } } }
}

/// A tag that no other consumer of the channel has: the program may have `taken` one like it. One that the server chooses would be known only by
/// the reply, and the replies to several consumers may come in any order.
fn fresh_tag(mut taken: impl FnMut(&ShortStr) -> bool) -> ShortStr {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    loop {
        let tag = format!("consumer-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let tag = ShortStr::try_from(tag).unwrap_or_default();
        if !taken(&tag) {
            return tag;
        }
    }
}

/// A message to fetch; see [`Channel::basic_get`].
#[derive(Clone, Debug)]
#[must_use = "a message is fetched by `Channel::basic_get`"]
pub struct BasicGet {
    method: basic::Get,
    unsettled: Option<Unsettled>,
    invalid: Option<InvalidName>,
}

impl BasicGet {
    /// The next message of `queue`, to be acknowledged.
    pub fn new<Q>(queue: Q) -> Self
    where
        Q: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut invalid = None;
        let method = basic::Get {
            queue: short_str("queue's name", queue, &mut invalid),
            ..Default::default()
        };
        Self { method, unsettled: None, invalid }
    }

    /// What becomes of the delivery if it is dropped unsettled; otherwise
    /// [`Options::unsettled`](crate::Options::unsettled) tells.
    pub fn unsettled(mut self, unsettled: Unsettled) -> Self {
        self.unsettled = Some(unsettled);
        self
    }

    bits! {
        /// Whether the broker counts the message as settled when it has sent it.
        no_ack
    }
}

impl Channel {
    /// Limits unsettled deliveries (`basic.qos`): of each new consumer, or with `global` of the whole
    /// channel, on top. [`basic_consume`](Self::basic_consume) sets its consumer's own, and keeps the channel's;
    /// by this with `global` false RabbitMQ takes the channel's limit away, until the next consumer.
    ///
    /// RabbitMQ takes it away for a moment, too, when a consumer of another prefetch than the one before is started,
    /// and may then send more than it allows to those that are consuming. Start consumers before the channel's
    /// limit is set, or give them equal prefetches. It has no such limit for quorum queues: a consumer of one is refused
    /// (540) on a channel that has one.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn basic_qos(&self, prefetch: Prefetch, global: bool) -> Call<basic::Qos> {
        let qos = prefetch.count().map(|prefetch_count| basic::Qos {
            prefetch_count,
            global,
            ..Default::default()
        });
        Call::new(self.handle.clone(), qos)
    }

    /// Has the broker deliver every unsettled message of this channel again (`basic.recover`): to anybody with
    /// `requeue`, otherwise to those who have them. RabbitMQ answers the latter by closing the connection with
    /// 540, and either with 541 where the channel has unsettled deliveries of a stream.
    ///
    /// Deliveries that came before are over, whether they were read or not. They come again under other numbers,
    /// marked as [`redelivered`](crate::Delivery::redelivered); settling an old one is the local error `Stale`. Where
    /// the specification has no answer ([`Recovered::Sent`](crate::Recovered::Sent)), nobody can tell of a
    /// delivery that crosses the request whether it is an old one: settling that may cost the channel (406).
    /// Consumers that hold as many deliveries as their prefetch allows have none under way.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// See [`Recover`].
    #[track_caller]
    pub fn basic_recover(&self, requeue: bool) -> Recover {
        Recover::new(self.handle.clone(), requeue)
    }

    /// Publishes a message (`basic.publish`). Resolves when the message is accepted for sending, which
    /// waits for room in the outbound budget, for the channel's [`pace`](Self::pace) and for the broker's permission; what it resolves to tells
    /// the message's outcome.
    ///
    /// ```no_run
    /// # async fn run(channel: amqp_connector::Channel) -> amqp_connector::Result<()> {
    /// use amqp_connector::{BasicPublish, Outcome};
    ///
    /// channel.confirm_select().await?;
    /// let confirmation = channel.basic_publish(BasicPublish::new("", "jobs", "work")).await?;
    /// match confirmation.await {
    ///     Outcome::Acked => {}
    ///     other => eprintln!("not taken: {other:?}"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Invalid` for a name over 255 octets, and for properties or arguments that do not fit a frame;
    /// `Limit` if the limit is zero; the reason why the channel is closed. The message was not sent in any of these cases.
    ///
    /// # Hangs
    ///
    /// A confirmation that is kept counts in the limit of unconfirmed publishes until it is awaited or dropped, answered or
    /// not, and one whose message came back in [`Options::retained_budget`](crate::Options::retained_budget), too. A task
    /// that keeps as many of them as the limits allow has to await or drop one before it publishes again:
    /// nobody else can make room, and the publish would wait for ever. So would it on a channel that keeps messages
    /// ([`ConfirmOptions::retain`](crate::ConfirmOptions::retain)) and whose budget is used up by failed ones that nobody takes.
    ///
    /// # Cancel safety
    ///
    /// See [`Publish`].
    #[track_caller]
    pub fn basic_publish(&self, publish: BasicPublish) -> Publish {
        Publish::new(self.handle.clone(), publish)
    }

    /// As [`basic_publish`](Self::basic_publish), but fails where that would wait.
    ///
    /// # Errors
    ///
    /// `Blocked` where it would wait for the broker's permission, `Full` where it would for a limit on this side, which
    /// the error's text names; and as [`basic_publish`](Self::basic_publish).
    #[track_caller]
    pub fn try_basic_publish(&self, publish: BasicPublish) -> Result<Confirmation> {
        Publish::new(self.handle.clone(), publish).try_now()
    }

    /// Fetches the next message of a queue (`basic.get`); `None` if it is empty.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). The broker closes the channel if the queue does not exist (404).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, a message that still comes goes back to its queue (and is lost with
    /// `no_ack`).
    #[track_caller]
    pub fn basic_get(&self, get: BasicGet) -> Get {
        let BasicGet { method, unsettled, invalid } = get;
        let request = invalid.map_or(Ok(method), |invalid| Err(invalid.into()));
        Get::new(self.handle.clone(), request, unsettled)
    }

    /// Starts a consumer (`basic.qos`, then `basic.consume`).
    ///
    /// ```no_run
    /// # async fn run(channel: amqp_connector::Channel) -> amqp_connector::Result<()> {
    /// use amqp_connector::{BasicConsume, Prefetch};
    ///
    /// let mut consumer = channel.basic_consume(BasicConsume::new("jobs", Prefetch::Count(100))).await?;
    /// while let Some(delivery) = consumer.recv().await {
    ///     println!("{} octets", delivery.body.len());
    ///     delivery.ack()?;
    /// }
    /// println!("over: {:?}", consumer.end());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Unsupported` for arguments that the specification lacks, and as [`call`](Self::call). The broker
    /// closes the channel if the queue does not exist (404) or is exclusive (403, 405).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the consumer is cancelled once the broker has started it, and what it
    /// received goes back to its queue.
    #[track_caller]
    pub fn basic_consume(&self, consume: BasicConsume) -> Consume {
        let (unsettled, budget) = (consume.unsettled, consume.budget);
        let (shared, key) = (self.handle.shared(), self.handle.key());
        let taken = |tag: &ShortStr| shared.with(|session| session.has_tag(key, tag));
        Consume::new(self.handle.clone(), consume.into_parts(taken), unsettled, budget)
    }

    /// Starts a consumer whose deliveries are given out when their headers have come, with bodies to be read piece
    /// by piece; see [`StreamConsumer`](crate::StreamConsumer). [`Options::body_max`](crate::Options::body_max) does not
    /// hold for it.
    ///
    /// # Errors
    ///
    /// As [`basic_consume`](Self::basic_consume).
    ///
    /// # Cancel safety
    ///
    /// As [`basic_consume`](Self::basic_consume).
    #[track_caller]
    pub fn basic_consume_streamed(&self, consume: BasicConsume) -> ConsumeStreamed {
        ConsumeStreamed::new(self.basic_consume(consume))
    }

    /// The handle of a consumer that was started by [`call`](Self::call) or [`send`](Self::send) with a
    /// `basic.consume` of one's own making. `None` if there is none of this tag, or its handle was given
    /// out before.
    #[must_use]
    pub fn consumer<T: TryInto<ShortStr>>(&self, tag: T) -> Option<Consumer> {
        let tag = tag.try_into().ok()?;
        let claimed = self.handle.shared().with(|session| {
            let key = self.handle.key();
            session.claim_consumer(key, &tag).map(|claimed| (claimed, session.epoch(key)))
        });
        let ((id, no_ack, unread), epoch) = claimed?;
        let unread = (unread, epoch);
        Some(Consumer::new(self.handle.clone(), id, tag, no_ack, None, unread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_tag_passes_over_those_that_are_in_use() {
        let mut taken = Vec::new();
        let tag = fresh_tag(|tag| {
            taken.push(tag.clone());
            taken.len() <= 3
        });
        assert_eq!((taken.len(), taken.last()), (4, Some(&tag)));
        assert!(!taken[..3].contains(&tag));
    }
}
