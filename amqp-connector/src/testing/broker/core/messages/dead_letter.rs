//! Dead letters: messages that were rejected, became too old or found no place, sent on with the story of their deaths.
//!
//! Called by queues and settlements. The headers are RabbitMQ's.

use std::sync::Arc;

use amqp_types::{FieldTable, FieldValue, ShortStr, Timestamp, short_str};

use crate::testing::broker::core::Core;
use crate::testing::broker::core::topology::Message;

/// Why a message left its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Rejected,
    Expired,
    MaxLength,
}

impl Death {
    fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
        }
    }
}

const X_DEATH: ShortStr = short_str!("x-death");

impl Core {
    /// Sends a message on to where its queue sends dead letters; without such a place it is gone.
    pub(crate) fn bury(&mut self, host: &str, queue: &ShortStr, message: Message, death: Death) {
        let Some(policy) = self.queue_mut(host, queue).map(|queue| queue.policy.clone()) else {
            return;
        };
        let Some(exchange) = policy.dead_letter_exchange else { return };
        let mut dead = message;
        self.write_death(&mut dead, queue, death);
        if let Some(key) = policy.dead_letter_key {
            dead.key = key;
            dead.copies.clear();
            if let Some(headers) = &mut Arc::make_mut(&mut dead.properties).headers {
                headers.remove("CC");
            }
        }
        dead.exchange = exchange;
        dead.ttl = None;
        dead.expires = None;
        for target in self.queues_for(host, &dead) {
            let goes_round =
                death != Death::Rejected && is_cycle(dead.properties.headers.as_ref(), &target);
            if !goes_round {
                self.enqueue(host, &target, dead.clone());
            }
        }
    }

    fn write_death(&self, message: &mut Message, queue: &ShortStr, death: Death) {
        let (exchange, key) = (message.exchange.clone(), message.key.clone());
        let properties = Arc::make_mut(&mut message.properties);
        let expiration = properties.expiration.take();
        let headers = properties.headers.get_or_insert_with(FieldTable::new);
        let is_first = !headers.contains_key(X_DEATH);
        let (mut others, mut earlier) = (Vec::new(), None);
        for entry in headers.get_array(X_DEATH).into_iter().flat_map(|array| array.iter()) {
            match entry {
                FieldValue::Table(table) if is_of(table, queue, death) => {
                    earlier.get_or_insert_with(|| table.clone());
                }
                other => others.push(other.clone()),
            }
        }
        let entry = match earlier {
            // The story is that of the first such death; only their number grows.
            Some(mut entry) => {
                let count = entry.get_i64("count").unwrap_or(0).saturating_add(1);
                entry.set(short_str!("count"), FieldValue::I64(count));
                entry
            }
            None => {
                let mut keys = vec![text(&key)];
                let copies = headers.get_array("CC").into_iter().flat_map(|array| array.iter());
                keys.extend(copies.filter(|key| key.as_str().is_some()).cloned());
                let mut entry = FieldTable::new()
                    .with(short_str!("count"), FieldValue::I64(1))
                    .with(short_str!("reason"), death.name())
                    .with(short_str!("queue"), text(queue))
                    .with(short_str!("time"), FieldValue::Timestamp(Timestamp(self.now.unix)))
                    .with(short_str!("exchange"), text(&exchange))
                    .with(
                        short_str!("routing-keys"),
                        FieldValue::Array(keys.into_iter().collect()),
                    );
                if let Some(expiration) = expiration {
                    entry.insert(short_str!("original-expiration"), text(&expiration));
                }
                entry
            }
        };
        let deaths = std::iter::once(FieldValue::Table(entry)).chain(others).collect();
        headers.set(X_DEATH, FieldValue::Array(deaths));
        if is_first {
            headers.set(short_str!("x-first-death-exchange"), text(&exchange));
            headers.set(short_str!("x-first-death-queue"), text(queue));
            headers.set(short_str!("x-first-death-reason"), death.name());
        }
    }
}

fn text(text: &ShortStr) -> FieldValue {
    FieldValue::LongString(text.clone().into())
}

fn is_of(entry: &FieldTable, queue: &ShortStr, death: Death) -> bool {
    entry.get_bytes("queue") == Some(queue.as_bytes())
        && entry.get_str("reason") == Some(death.name())
}

/// Whether a message has come back to a queue without anybody having rejected it: it would go round for ever.
fn is_cycle(headers: Option<&FieldTable>, queue: &ShortStr) -> bool {
    let deaths = headers.and_then(|headers| headers.get_array(X_DEATH));
    for entry in deaths.into_iter().flat_map(|array| array.iter()) {
        let FieldValue::Table(entry) = entry else { return false };
        if entry.get_str("reason") == Some(Death::Rejected.name()) {
            return false;
        }
        if entry.get_bytes("queue") == Some(queue.as_bytes()) {
            return true;
        }
    }
    false
}
