//! What a queue does with messages: takes them, hands them to its consumers, drops them when it is full or they are
//! too old, and goes.
//!
//! Called by publishes, settlements and whatever ends consumers. Everything here is complete when it returns: a
//! message that can be delivered has been.

use amqp_types::protocol::{Method, basic};
use amqp_types::{Method as _, ShortStr};
use tokio::time::Instant;

use crate::testing::broker::core::Core;
use crate::testing::broker::core::channel::Unsettled;
use crate::testing::broker::core::messages::dead_letter::Death;
use crate::testing::broker::core::topology::{ConsumerId, Message, Name, Overflow, Queue};

impl Core {
    pub(crate) fn queue_mut(&mut self, host: &str, name: &ShortStr) -> Option<&mut Queue> {
        self.hosts.get_mut(host)?.queues.get_mut(name)
    }

    /// Puts a message into a queue. False if the queue refuses it.
    pub(crate) fn enqueue(&mut self, host: &str, name: &ShortStr, mut message: Message) -> bool {
        let now = self.now.instant;
        let Some(queue) = self.queue_mut(host, name) else { return true };
        let full = queue.policy.max_length.is_some_and(|most| queue.ready.len() >= most);
        if full && queue.policy.overflow != Overflow::DropHead {
            if queue.policy.overflow == Overflow::RejectAndDeadLetter {
                self.bury(host, name, message, Death::MaxLength);
            }
            return false;
        }
        let ttl = message.ttl.into_iter().chain(queue.policy.ttl).min();
        message.expires = ttl.and_then(|ttl| now.checked_add(ttl));
        message.redelivered = false;
        let position = queue.next_position;
        queue.next_position += 1;
        queue.ready.insert(position, message);
        self.pump(host, name);
        self.drop_excess(host, name);
        self.expire_queue(host, name);
        true
    }

    /// Puts messages back to their places.
    pub(crate) fn requeue(&mut self, host: &str, unsettled: Vec<Unsettled>) {
        let mut queues: Vec<ShortStr> = Vec::new();
        for Unsettled { queue: name, position, mut message, .. } in unsettled {
            let Some(queue) = self.queue_mut(host, &name) else { continue };
            message.redelivered = true;
            queue.unacknowledged = queue.unacknowledged.saturating_sub(1);
            queue.ready.insert(position, message);
            if !queues.contains(&name) {
                queues.push(name);
            }
        }
        // What has become too old, or too much, meanwhile is not delivered again.
        for name in queues {
            self.drop_excess(host, &name);
            self.expire_queue(host, &name);
            self.pump(host, &name);
        }
    }

    /// Delivers what can be delivered; consumers take turns. Nothing too old comes to the front and is delivered.
    pub(crate) fn pump(&mut self, host: &str, name: &ShortStr) {
        while let Some((consumer, no_ack)) = self.next_consumer(host, name) {
            let Some(queue) = self.queue_mut(host, name) else { return };
            let Some((position, message)) = queue.ready.pop_first() else { return };
            if !no_ack {
                queue.unacknowledged += 1;
            }
            self.deliver(&consumer, name, no_ack, position, message);
            self.expire_queue(host, name);
        }
    }

    /// The consumer that gets the next message, if there is a message and one that may have it.
    fn next_consumer(&mut self, host: &str, name: &ShortStr) -> Option<(ConsumerId, bool)> {
        let queue = self.queue_mut(host, name)?;
        if queue.ready.is_empty() {
            return None;
        }
        let connections = &self.connections;
        let mut found = None;
        let queue = self.hosts.get_mut(host)?.queues.get_mut(name)?;
        for (passed, id) in queue.consumers.iter().enumerate() {
            let Some(connection) = connections.get(&id.0).filter(|it| !it.is_full()) else {
                continue;
            };
            let Some(channel) = connection.channels.get(&id.1) else { continue };
            let Some(consumer) = channel.consumers.get(&id.2) else { continue };
            if consumer.no_ack || channel.has_room_for(consumer) {
                found = Some((passed, id.clone(), consumer.no_ack));
                break;
            }
        }
        let (passed, id, no_ack) = found?;
        queue.consumers.rotate_left((passed + 1) % queue.consumers.len().max(1));
        Some((id, no_ack))
    }

    fn deliver(
        &mut self,
        (id, number, consumer_tag): &ConsumerId,
        queue: &ShortStr,
        no_ack: bool,
        position: u64,
        message: Message,
    ) {
        let Ok(channel) = self.channel_mut(*id, *number) else { return };
        channel.last_tag += 1;
        let delivery_tag = channel.last_tag;
        let deliver = basic::Deliver {
            consumer_tag: consumer_tag.clone(),
            delivery_tag,
            redelivered: message.redelivered,
            exchange: message.exchange.clone(),
            routing_key: message.key.clone(),
            ..Default::default()
        };
        let (properties, body) = (message.properties.clone(), message.body.clone());
        if !no_ack {
            if let Some(consumer) = channel.consumers.get_mut(consumer_tag) {
                consumer.unsettled = consumer.unsettled.saturating_add(1);
            }
            let (queue, consumer) = (queue.clone(), Some(consumer_tag.clone()));
            channel
                .unsettled
                .insert(delivery_tag, Unsettled { queue, position, message, consumer });
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.put_content(*number, &deliver.into_any(), &properties, &body);
            self.wakers.extend(connection.waker.take());
        }
    }

    /// Drops from the front what is more than the queue may hold.
    fn drop_excess(&mut self, host: &str, name: &ShortStr) {
        loop {
            let Some(queue) = self.queue_mut(host, name) else { return };
            let Some(most) = queue.policy.max_length else { return };
            if queue.policy.overflow != Overflow::DropHead || queue.ready.len() <= most {
                return;
            }
            let Some((_, message)) = queue.ready.pop_first() else { return };
            self.bury(host, name, message, Death::MaxLength);
        }
    }

    /// Drops from the front what is too old. As in RabbitMQ, a message behind one that stays does too.
    ///
    /// To be called whenever another message may have come to the front.
    pub(crate) fn expire_queue(&mut self, host: &str, name: &ShortStr) {
        let now = self.now.instant;
        loop {
            let Some(queue) = self.queue_mut(host, name) else { return };
            let Some(first) = queue.ready.first_entry() else { return };
            let Some(expires) = first.get().expires else { return };
            if expires > now {
                self.next_expiry = self.next_expiry.into_iter().chain([expires]).min();
                return;
            }
            let message = first.remove();
            self.bury(host, name, message, Death::Expired);
        }
    }

    /// Drops what is too old everywhere, if it can be that something is.
    pub(crate) fn expire(&mut self) {
        if self.next_expiry.is_none_or(|next| next > self.now.instant) {
            return;
        }
        self.next_expiry = None;
        let names: Vec<(String, ShortStr)> = self
            .hosts
            .iter()
            .flat_map(|(host, it)| it.queues.keys().map(|queue| (host.clone(), queue.clone())))
            .collect();
        for (host, queue) in names {
            self.expire_queue(&host, &queue);
        }
    }

    /// When the next message becomes too old, at the earliest.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.next_expiry
    }

    /// A consumer that has ended is served no more.
    pub(crate) fn detach_consumer(&mut self, host: &str, queue: &ShortStr, id: &ConsumerId) {
        if let Some(queue) = self.queue_mut(host, queue) {
            queue.consumers.retain(|consumer| consumer != id);
            queue.exclusive_consumer &= !queue.consumers.is_empty();
        }
    }

    /// A queue that deletes itself goes with its last consumer.
    pub(crate) fn remove_if_unused(&mut self, host: &str, name: &ShortStr) {
        let Some(queue) = self.queue_mut(host, name) else { return };
        if queue.auto_delete && queue.consumers.is_empty() {
            self.remove_queue(host, name);
        }
    }

    /// Deletes a queue with its bindings and messages, and tells its consumers.
    pub(crate) fn remove_queue(&mut self, host: &str, name: &ShortStr) {
        let Some(it) = self.hosts.get_mut(host) else { return };
        let Some(queue) = it.queues.remove(name) else { return };
        it.unbind_where(|binding| binding.destination == Name::Queue(name.clone()));
        for (id, number, tag) in queue.consumers {
            let Ok(channel) = self.channel_mut(id, number) else { continue };
            channel.consumers.remove(&tag);
            if self.connections.get(&id).is_some_and(|connection| connection.takes_cancels) {
                let cancel =
                    basic::Cancel { consumer_tag: tag, no_wait: true, ..Default::default() };
                self.send(id, number, &Method::Basic(basic::Method::Cancel(cancel)));
            }
        }
    }
}
