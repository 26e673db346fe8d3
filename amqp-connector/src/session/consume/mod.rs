//! Deliveries on their way to consumers, and the ends of consumers.
//!
//! What arrives for a consumer that is gone is given back to its queue at the broker. Settling is left to
//! `settle`, counting what is with the user to `in_flight`.

pub(in crate::session) mod backlog;
pub(in crate::session) mod coalesce;
pub(in crate::session) mod consumer;
pub(in crate::session) mod give_back;
pub(in crate::session) mod hold;
pub(in crate::session) mod in_flight;
pub(in crate::session) mod offsets;
mod recover;
pub(in crate::session) mod settle;
pub(in crate::session) mod shutdown;
mod tags;
pub(in crate::session) mod unread;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use amqp_types::content::Content;
use amqp_types::protocol::{self, Spec, basic};
use amqp_types::{Body, Method as _, ShortStr};
use tokio::time::Instant;
use tracing::Level;

use crate::error::Result;
use crate::outcome::{ConsumerEnd, Epoch};
use crate::session::Caller;
use crate::session::channel::{ChannelKey, ChannelPhase};
use crate::session::consume::backlog::{Crowd, Queued};
use crate::session::consume::coalesce::Coalescer;
use crate::session::consume::consumer::{Consumers, Phase};
use crate::session::consume::in_flight::InFlight;
use crate::session::consume::unread::{Keeps, Unread};
use crate::session::{Effects, Garbage, Session};

impl Session {
    /// What follows from a delivery besides its place in its consumer's queue.
    pub(in crate::session) fn handle_delivered(
        &mut self,
        key: ChannelKey,
        delivered: Delivered,
        now: Instant,
    ) {
        match delivered {
            Delivered::Kept => {}
            Delivered::Pause(pause) => self.begin_pause(now + pause),
            Delivered::Overflow(id) => self.overflow(key, id),
            Delivered::Unwanted(tag, id, keeps) => {
                // The close of one that drains gives back whatever still comes.
                if !self.channels.get(key).is_some_and(|channel| channel.is_draining()) {
                    self.give_back_late(key, id, tag, keeps);
                }
            }
        }
    }

    /// A consumer let more pile up than its budget.
    fn overflow(&mut self, key: ChannelKey, id: u64) {
        self.effects.log(Level::WARN, move || {
            tracing::warn!(
                channel = key.id,
                "a consumer's queue is over its budget; the consumer is ended"
            );
        });
        self.finish_consumer(key, id, ConsumerEnd::Overflow, true);
    }

    /// Moves a batch of waiting deliveries to `batch`; when there are none, the end of the consumer or a wait.
    pub(crate) fn poll_deliveries(
        &mut self,
        key: ChannelKey,
        id: u64,
        batch: &mut VecDeque<Queued>,
        in_flight: &InFlight,
        waker: &dyn Caller,
    ) -> Poll<Option<ConsumerEnd>> {
        let Some(consumer) = self.channels.get(key).and_then(|channel| channel.consumers.by_id(id))
        else {
            return Poll::Ready(Some(ConsumerEnd::Dropped));
        };
        if !consumer.backlog.is_empty() {
            let no_ack = consumer.no_ack;
            let thinned = consumer.backlog.take(batch, &mut self.crowd);
            if let Some(first) = batch.front() {
                consumer.unread.look(&first.properties);
            }
            if consumer.is_whole() {
                consumer.unread.renew();
            }
            if !no_ack {
                consumer.unread.set(batch.len());
            }
            if thinned {
                self.consumer_caught_up();
            }
            if !no_ack {
                self.take_off(key, batch.len(), in_flight);
            }
            return Poll::Ready(None);
        }
        if let Some(end) = &consumer.end {
            return Poll::Ready(Some(end.clone()));
        }
        self.effects.keep(&mut consumer.waker, waker);
        Poll::Pending
    }

    /// Which incarnation of the channel the deliveries are of that a consumer takes next.
    pub(crate) fn next_epoch(&mut self, key: ChannelKey, id: u64) -> Option<Epoch> {
        let channel = self.channels.get(key)?;
        let consumer = channel.consumers.by_id(id)?;
        Some(consumer.next_epoch(channel.epoch))
    }

    /// Which incarnation of the channel a delivery of this number is of.
    pub(crate) fn epoch_of(&mut self, key: ChannelKey, tag: u64) -> Epoch {
        self.channels.get(key).map_or(Epoch(key.epoch), |channel| channel.epoch_of(tag))
    }

    /// Which incarnation of the channel this is.
    pub(crate) fn epoch(&mut self, key: ChannelKey) -> Epoch {
        self.epoch_of(key, u64::MAX)
    }

    /// The handle of a consumer is gone: cancel it, and give back what it has not seen.
    pub(crate) fn drop_consumer(&mut self, key: ChannelKey, id: u64) {
        self.finish_consumer(key, id, ConsumerEnd::Dropped, true);
        self.drop_bodies(key, id);
        let mut start = None;
        if let Some(channel) = self.channels.get(key) {
            if let Some(consumer) = channel.consumers.by_id(id) {
                consumer.owned = false;
                if consumer.phase != Phase::Cancelling {
                    start = consumer.start.take();
                }
            }
            channel.consumers.retain(|it| it.owned || it.phase == Phase::Cancelling);
        }
        self.note_unconsumed(start);
    }

    /// Ends a consumer. With `cancel` the peer is told, and deliveries still to come are requeued.
    pub(in crate::session) fn finish_consumer(
        &mut self,
        key: ChannelKey,
        id: u64,
        end: ConsumerEnd,
        cancel: bool,
    ) {
        let Some(channel) = self.channels.get(key) else { return };
        let open = channel.is_live();
        let Some(consumer) = channel.consumers.by_id(id) else { return };
        let give_back = end != ConsumerEnd::Cancelled;
        consumer.backlog.unpace(&mut self.crowd);
        if consumer.end.is_none() {
            consumer.end = Some(end);
        }
        self.effects.wake(consumer.waker.take());
        self.effects.counts.touch();
        let mut unseen = Vec::new();
        if give_back && (!consumer.no_ack || !consumer.owned) {
            unseen = consumer.backlog.clear(&mut self.crowd);
        }
        let cancel = cancel && open && consumer.phase == Phase::Active;
        if cancel {
            consumer.phase = Phase::Cancelling;
        }
        let (tag, no_ack) = (consumer.tag.clone(), consumer.no_ack);
        let keeps = consumer.unread.keeps();
        channel.keeps |= consumer.unread.looks_kept();
        if cancel {
            self.send_cancel(key, tag);
        }
        if open && !no_ack {
            self.give_back_unseen(key, id, &unseen, keeps);
        }
        self.drop_unseen_bodies(key, id, &unseen);
        self.effects.discard(Garbage::Deliveries(unseen));
        self.consumer_caught_up();
    }

    /// Cancels with nobody waiting: the answer only marks the end of what may still come.
    pub(in crate::session) fn send_cancel(&mut self, key: ChannelKey, consumer_tag: ShortStr) {
        let cancel = basic::Cancel { consumer_tag, ..Default::default() }.into_any();
        self.send_unawaited::<basic::CancelOk>(key, &cancel, None);
    }

    /// The peer confirmed our cancel, so nothing more comes for this consumer.
    pub(in crate::session) fn consumer_cancelled(&mut self, key: ChannelKey, id: u64) {
        let Some(channel) = self.channels.get(key) else { return };
        let Some(consumer) = channel.consumers.by_id(id) else { return };
        consumer.phase = Phase::Cancelled;
        consumer.gathers = false;
        self.effects.counts.touch();
        let start = consumer.start.take();
        let end = match &channel.phase {
            ChannelPhase::Draining(reason) => ConsumerEnd::Closed(reason.clone()),
            _ => ConsumerEnd::Cancelled,
        };
        consumer.end.get_or_insert(end);
        self.effects.wake(consumer.waker.take());
        // One that nobody has or gets a handle of is of no use to anybody any more.
        let (crowd, mut left, mut keeps) = (&mut self.crowd, Vec::new(), channel.keeps);
        channel.consumers.retain_mut(|it| {
            let kept = it.phase != Phase::Cancelled || (it.owned && (it.claimed || it.awaited));
            if !kept {
                it.backlog.unpace(crowd);
                if !it.no_ack {
                    left.extend(it.backlog.tags());
                    keeps |= it.looks_kept();
                }
            }
            kept
        });
        channel.keeps = keeps;
        for tag in left {
            channel.note_left(tag);
        }
        self.note_unconsumed(start);
        self.give_back_gathered(key);
    }

    /// The peer cancelled the consumer itself, for instance because its queue was deleted.
    pub(in crate::session) fn handle_cancel(
        &mut self,
        key: ChannelKey,
        cancel: &basic::Cancel,
    ) -> Result<()> {
        let Some(channel) = self.channels.get(key) else { return Ok(()) };
        if let Some(consumer) = channel.consumers.by_tag(&cancel.consumer_tag) {
            consumer.end.get_or_insert(ConsumerEnd::CancelledByPeer);
            self.effects.counts.touch();
            // Our own cancel, if it is on its way, is answered all the same.
            let mut start = None;
            if consumer.phase != Phase::Cancelling {
                consumer.phase = Phase::Cancelled;
                start = consumer.start.take();
            }
            self.effects.wake(consumer.waker.take());
            self.note_unconsumed(start);
        }
        self.write_acks(key);
        if cancel.no_wait {
            return Ok(());
        }
        let ok = basic::CancelOk { consumer_tag: cancel.consumer_tag.clone() };
        self.send_answer(key, &ok.into_any())
    }

    /// A consumer that was started by a plain `basic.consume` and has no handle yet.
    pub(crate) fn claim_consumer(
        &mut self,
        key: ChannelKey,
        tag: &ShortStr,
    ) -> Option<(u64, bool, Arc<Unread>)> {
        let consumer = self.channels.get(key)?.consumers.by_tag(tag)?;
        let claimable = consumer.phase == Phase::Active && !consumer.claimed && !consumer.awaited;
        consumer.claimed |= claimable;
        claimable.then(|| (consumer.id, consumer.no_ack, consumer.unread.clone()))
    }

    /// The handle of a consumer is given out; gives what the two share.
    pub(crate) fn mark_claimed(&mut self, key: ChannelKey, id: u64) -> Arc<Unread> {
        match self.channels.get(key).and_then(|channel| channel.consumers.by_id(id)) {
            Some(consumer) => {
                consumer.claimed = true;
                consumer.unread.clone()
            }
            None => Arc::default(),
        }
    }
}

/// Moves a delivery from where it was put together to the queue of the consumer it is for.
#[inline]
pub(in crate::session) fn deliver(
    consumers: &mut Consumers,
    coalescer: Option<&mut Coalescer>,
    deliver: &mut basic::Deliver,
    content: Content<'_, Spec>,
    crowd: &mut Crowd,
    effects: &mut Effects,
) -> Delivered {
    let delivery_tag = deliver.delivery_tag;
    effects.counts.delivered(content.body.len(), deliver.redelivered);
    let mut receiver = consumers.receiver(&deliver.consumer_tag);
    if let Some(coalescer) = coalescer {
        let open = receiver.as_ref().is_none_or(|consumer| !consumer.no_ack);
        coalescer.delivered(delivery_tag, open);
        if let Some(consumer) = &mut receiver {
            consumer.note_offset(delivery_tag, content.properties.as_ref(), coalescer);
        }
    }
    let Some(consumer) = receiver else {
        effects.log(Level::TRACE, move || {
            tracing::trace!(delivery_tag, "a delivery for a consumer that is gone is requeued");
        });
        return Delivered::Unwanted(delivery_tag, 0, forget(content, Keeps::No));
    };
    if consumer.end.is_some() {
        consumer.late += 1;
        let keeps = forget(content, consumer.unread.keeps());
        return match consumer.no_ack {
            true => Delivered::Kept,
            false => Delivered::Unwanted(delivery_tag, consumer.id, keeps),
        };
    }
    // It is of the method's class.
    let Some(protocol::Properties::Basic(properties)) = content.properties.take() else {
        return Delivered::Kept;
    };
    let queued = Queued {
        delivery_tag,
        redelivered: deliver.redelivered,
        exchange: std::mem::take(&mut deliver.exchange),
        routing_key: std::mem::take(&mut deliver.routing_key),
        properties,
        body: std::mem::take(content.body),
    };
    let pause = consumer.backlog.push(queued, crowd);
    effects.wake(consumer.waker.take());
    if consumer.backlog.is_over(consumer.budget) {
        return Delivered::Overflow(consumer.id);
    }
    pause.map_or(Delivered::Kept, Delivered::Pause)
}

/// Lets go of a content that is for nobody: where it was put together it would stay till the next one. Gives
/// what is to become of the delivery.
#[cold]
fn forget(content: Content<'_, Spec>, keeps: Keeps) -> Keeps {
    *content.body = Body::new();
    match content.properties.take() {
        Some(protocol::Properties::Basic(properties)) => keeps.or_by(&properties),
        _ => keeps,
    }
}

/// What follows from a delivery.
pub(in crate::session) enum Delivered {
    Kept,
    /// Reading should pause for so long.
    Pause(Duration),
    /// This consumer has let more pile up than its budget.
    Overflow(u64),
    /// It is for nobody, or for this consumer, which is over; it goes back, unless its queue keeps it.
    Unwanted(u64, u64, Keeps),
}
