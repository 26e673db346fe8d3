//! A consumer's handle as the session sees it: what it has taken and not given out, and how it is dropped.
//!
//! Does what [`Consumer`](crate::Consumer) does, without a task.

use super::super::*;
use crate::ConsumerEnd;
use crate::session::{Queued, Unread};

pub(super) struct Reader {
    pub(super) key: ChannelKey,
    pub(super) id: u64,
    pub(super) tag: amqp_types::ShortStr,
    pub(super) in_flight: Arc<InFlight>,
    batch: VecDeque<Queued>,
    unread: Arc<Unread>,
    end: Option<ConsumerEnd>,
    /// The last delivery that was given out.
    last: u64,
}

impl Reader {
    pub(super) fn new(
        key: ChannelKey,
        id: u64,
        tag: amqp_types::ShortStr,
        unread: Arc<Unread>,
    ) -> Self {
        let (in_flight, batch) = (Arc::default(), VecDeque::new());
        Self { key, id, tag, in_flight, batch, unread, end: None, last: 0 }
    }

    /// The next delivery, which is later than the last; nothing once the consumer is over.
    pub(super) fn poll(&mut self, bench: &mut Bench, waker: &Waker) -> Poll<Option<Queued>> {
        if (self.batch.is_empty() && self.end.is_none()) || self.unread.is_interrupted() {
            std::task::ready!(self.poll_batch(bench, waker));
        }
        let next = self.batch.pop_front();
        if let Some(next) = &next {
            assert!(next.delivery_tag > self.last, "a delivery comes twice, or out of order");
            assert!(next.body.to_bytes().starts_with(b"d"), "not a consumer's delivery");
            self.last = next.delivery_tag;
            self.unread.set(self.batch.len());
        }
        Poll::Ready(next)
    }

    fn poll_batch(&mut self, bench: &mut Bench, waker: &Waker) -> Poll<()> {
        if self.unread.is_stopped() && !self.batch.is_empty() {
            self.unread.set(0);
            let Self { key, batch, in_flight, unread, .. } = self;
            bench.run(|session| session.give_back(*key, batch, in_flight, unread.keeps()));
        }
        self.batch.clear();
        if self.end.is_some() {
            return Poll::Ready(());
        }
        let Self { key, id, batch, in_flight, .. } = self;
        let polled =
            bench.run(|session| session.poll_deliveries(*key, *id, batch, in_flight, waker));
        self.end = std::task::ready!(polled);
        Poll::Ready(())
    }

    /// The deliveries that nobody has seen.
    pub(super) fn tags(&self, bench: &mut Bench) -> Vec<u64> {
        let mut tags: Vec<u64> = self.batch.iter().map(|queued| queued.delivery_tag).collect();
        let channel = bench.session.channels.get(self.key);
        if let Some(consumer) = channel.and_then(|channel| channel.consumers.by_id(self.id)) {
            tags.extend(consumer.backlog.tags());
        }
        tags
    }

    pub(super) fn drop(mut self, bench: &mut Bench) {
        let Self { key, id, batch, in_flight, .. } = &mut self;
        bench.run(|session| {
            session.put_back(*key, *id, batch, in_flight);
            session.drop_consumer(*key, *id);
        });
    }
}
