//! Giving back what nobody has read, and by one `basic.nack` where that is exact.
//!
//! A broker puts messages back one by one far more slowly than all at once. But a multiple settles everything up to
//! its tag, whoever it was delivered to. So it goes no further than the first delivery that may be unsettled and is
//! anybody else's: with the user, got, left to its channel, waiting for another consumer. What is behind that, and
//! everything where the specification has no `basic.nack`, goes back one by one.
//!
//! Of a consumer with much to give back, or to which much comes while its cancel is on its way, it is gathered
//! until the peer has confirmed that: from then on nothing can come that would go back alone. While something is
//! with the user it waits for that, too (`hold`). Never waits itself.

use std::collections::VecDeque;

use amqp_types::protocol::{Method, ReplyCode, basic};

use crate::error::CloseCause;
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::consume::backlog::Queued;
use crate::session::consume::consumer::Phase;
use crate::session::consume::in_flight::InFlight;
use crate::session::consume::settle::Settle;
use crate::session::consume::unread::Keeps;

/// Fewer are given back one by one, and at once.
pub(in crate::session) const MANY: usize = 32;

/// So much may go back that nobody has asked for, without the peer reading any of it; and be gathered on a channel.
pub(in crate::session) const SENT_BACK_MAX: usize = 1 << 20;

/// Whether the specification can settle many by one method, but as acked.
const fn has_nack() -> bool {
    amqp_types::if_spec! { basic.nack => { true } else { false } }
}

impl ChannelState {
    /// A delivery is unsettled and will stay so: nobody has it any more, or somebody of whom nothing is known.
    pub(in crate::session) fn note_left(&mut self, tag: u64) {
        if tag > self.settled_to {
            let (first, last) = self.left.unwrap_or((tag, tag));
            self.left = Some((first.min(tag), last.max(tag)));
        }
    }

    /// The first tag that may be unsettled, and is of none that are given back now.
    fn others_from(&self) -> u64 {
        match self.is_with_user() {
            // Which tags those are is with the user.
            true => 0,
            false => self.others_unread_from(),
        }
    }

    /// The same, but for what is with the user.
    pub(in crate::session) fn others_unread_from(&self) -> u64 {
        if self.recovering > 0 || self.tx || self.is_draining() {
            return 0;
        }
        let left = self.left.filter(|(_, last)| *last > self.settled_to).map(|(first, _)| {
            // Which of them were settled by a multiple since is not known.
            if first > self.settled_to { first } else { 0 }
        });
        let waiting =
            self.consumers.iter().filter(|it| !it.no_ack).flat_map(|it| it.backlog.tags());
        let open = waiting.chain(self.giving.iter().copied()).filter(|tag| *tag > self.settled_to);
        open.chain(left).min().unwrap_or(u64::MAX)
    }
}

impl Session {
    /// What a consumer's handle took and the user never saw waits for the consumer again, to be given back with
    /// the rest.
    pub(crate) fn put_back(
        &mut self,
        key: ChannelKey,
        id: u64,
        batch: &mut VecDeque<Queued>,
        in_flight: &InFlight,
    ) {
        self.land(key, batch.iter().map(|queued| queued.delivery_tag), in_flight);
        let consumer = self.channels.get(key).and_then(|channel| channel.consumers.by_id(id));
        if let Some(consumer) = consumer {
            consumer.unread.set(0);
            consumer.backlog.put_back(std::mem::take(batch), &mut self.crowd);
        }
    }

    /// Gives back what a consumer had not read.
    pub(in crate::session) fn give_back_unseen(
        &mut self,
        key: ChannelKey,
        id: u64,
        unseen: &[VecDeque<Queued>],
        keeps: Keeps,
    ) {
        let mut tags = Vec::new();
        for delivery in unseen.iter().flatten() {
            match keeps.or_by(&delivery.properties) {
                Keeps::No => tags.push(delivery.delivery_tag),
                keeps => self.let_go(key, delivery.delivery_tag, keeps),
            }
        }
        if tags.len() >= MANY
            && let Some(channel) = self.gather(key, id)
        {
            return channel.giving.append(&mut tags);
        }
        if tags.len() >= MANY
            && let Some(channel) = self.channels.get(key).filter(|it| has_nack() && it.is_open())
        {
            channel.giving.append(&mut tags);
            return self.give_back_gathered(key);
        }
        self.give_back_tags(key, tags);
    }

    /// Something came for a consumer that is over already.
    #[cold]
    pub(in crate::session) fn give_back_late(
        &mut self,
        key: ChannelKey,
        id: u64,
        tag: u64,
        keeps: Keeps,
    ) {
        let consumer = self.channels.get(key).and_then(|channel| channel.consumers.by_id(id));
        let many = consumer.is_some_and(|it| it.gathers || it.late > MANY);
        let limit = self.sent_back_max;
        if keeps == Keeps::No
            && many
            && let Some(channel) = self.gather(key, id)
            && channel.giving.len() < limit
        {
            return channel.giving.push(tag);
        }
        if self.note_sent_back() {
            self.let_go(key, tag, keeps);
        }
    }

    /// Something goes back, or is rejected, that nobody has asked for. Some is always under way; a peer that sends on and on
    /// and reads nothing of what goes back ends the connection: false then.
    pub(in crate::session) fn note_sent_back(&mut self) -> bool {
        self.sent_back += 1;
        if self.sent_back <= self.sent_back_max {
            return true;
        }
        let text =
            "the peer sends messages for nobody and does not read that they go back".to_owned();
        let (cause, code) = (CloseCause::LimitExceeded, ReplyCode::RESOURCE_ERROR);
        self.close_because(cause, code, text, Some("basic.deliver"));
        false
    }

    /// From now on what is to be given back of a consumer is gathered; not if nothing would end that.
    fn gather(&mut self, key: ChannelKey, id: u64) -> Option<&mut ChannelState> {
        let channel = self.channels.get(key).filter(|it| has_nack() && it.is_open())?;
        let consumer = channel.consumers.by_id(id).filter(|it| it.phase == Phase::Cancelling)?;
        consumer.gathers = true;
        Some(channel)
    }

    /// The peer knows a consumer no more: what was gathered goes back, unless more may come to it.
    pub(in crate::session) fn give_back_gathered(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        if channel.giving.is_empty() || channel.consumers.iter().any(|it| it.gathers) {
            return;
        }
        if !self.hold_back(key) {
            self.give_back_all(key);
        }
    }

    /// Gives back what was gathered, whatever may come.
    pub(in crate::session) fn give_back_all(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        channel.give_by = None;
        let tags = std::mem::take(&mut channel.giving);
        // The close of one that drains gives everything back.
        if channel.is_open() {
            self.give_back_tags(key, tags);
        }
    }

    /// A multiple of the user's is to be sent: what was gathered goes back before, since it would cover that.
    #[cold]
    pub(in crate::session) fn give_back_below(&mut self, key: ChannelKey, tag: u64) {
        let Some(channel) = self.channels.get(key) else { return };
        let (below, above) = channel.giving.iter().partition(|it| **it < tag);
        channel.giving = above;
        let below: Vec<u64> = below;
        for tag in below {
            self.requeue(key, tag);
        }
    }

    /// The same, of a method that the user has put together.
    pub(in crate::session) fn spare_unread(&mut self, key: ChannelKey, method: &Method) {
        match settled_by(method) {
            Some(0) => self.give_back_below(key, u64::MAX),
            Some(tag) => self.give_back_below(key, tag),
            None => {}
        }
    }

    /// It was sent: what it settles is not settled again.
    pub(in crate::session) fn note_settled_raw(&mut self, key: ChannelKey, method: &Method) {
        let Some(tag) = settled_by(method) else { return };
        let last = self.channels.get(key).map_or(0, |channel| channel.last_tag);
        self.note_settled(key, if tag == 0 { last } else { tag.min(last) });
    }

    /// Gives deliveries back to a queue that takes them.
    fn give_back_tags(&mut self, key: ChannelKey, mut tags: Vec<u64>) {
        let Ok(channel) = self.live_channel(key) else { return };
        tags.retain(|tag| *tag > channel.settled_to);
        tags.sort_unstable();
        let mut rest = tags.as_slice();
        if has_nack() && tags.len() >= MANY {
            let others_from = channel.others_from();
            let (exact, others) = tags.split_at(tags.partition_point(|tag| *tag < others_from));
            if let [_, .., last] = exact {
                self.give_back_to(key, *last);
                rest = others;
            }
        }
        for tag in rest {
            self.requeue(key, *tag);
        }
    }

    /// Gives back everything that is unsettled up to `tag`.
    fn give_back_to(&mut self, key: ChannelKey, tag: u64) {
        self.write_acks(key);
        self.note_told(key, |coalescer| coalescer.settle_to(tag));
        self.note_settled(key, tag);
        // Numbers always fit a frame.
        let _ = self.send_settle(key, tag, Settle::Nack { multiple: true, requeue: true });
    }
}

/// Up to which tag a method settles several deliveries; 0 is all of them.
fn settled_by(method: &Method) -> Option<u64> {
    amqp_types::if_spec! { basic.nack => {
        if let Method::Basic(basic::Method::Nack(nack)) = method {
            return nack.multiple.then_some(nack.delivery_tag);
        }
    } else {} }
    match method {
        Method::Basic(basic::Method::Ack(ack)) => ack.multiple.then_some(ack.delivery_tag),
        _ => None,
    }
}
