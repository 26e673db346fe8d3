//! What a virtual host holds: exchanges, queues, bindings and the messages in them. Values and look-ups only.
//!
//! Used by every part of the core. What a method does with them stands in the method's own module.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use amqp_types::protocol::basic;
use amqp_types::{FieldTable, ShortStr, short_str};
use bytes::Bytes;
use tokio::time::Instant;

/// The end of a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Queue(ShortStr),
    Exchange(ShortStr),
}

/// The four types of exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl Kind {
    pub(super) fn by_name(name: &ShortStr) -> Option<Self> {
        let kinds = [Self::Direct, Self::Fanout, Self::Topic, Self::Headers];
        kinds.into_iter().find(|kind| *name == *kind.name())
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) kind: Kind,
    pub(super) durable: bool,
    pub(super) auto_delete: bool,
    pub(super) internal: bool,
    pub(super) arguments: FieldTable,
    /// Where messages go that no binding takes.
    pub(super) alternate: Option<ShortStr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Binding {
    pub(super) source: ShortStr,
    pub(super) destination: Name,
    pub(super) key: ShortStr,
    pub(super) arguments: FieldTable,
}

/// What was published, shared by all queues that have it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) exchange: ShortStr,
    pub(super) key: ShortStr,
    pub(super) properties: Arc<basic::Properties>,
    pub(super) body: Bytes,
    pub(super) redelivered: bool,
    pub(super) expires: Option<Instant>,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Overflow {
    #[default]
    DropHead,
    Reject,
    /// The refused message goes to the dead letters, too.
    RejectAndDeadLetter,
}

/// What a queue's arguments say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Policy {
    pub(super) dead_letter_exchange: Option<ShortStr>,
    pub(super) dead_letter_key: Option<ShortStr>,
    pub(super) ttl: Option<Duration>,
    pub(super) max_length: Option<usize>,
    pub(super) overflow: Overflow,
}

/// A consumer's name: its connection, its channel, its tag.
pub(super) type ConsumerId = (u64, u16, ShortStr);

#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) durable: bool,
    /// The connection it belongs to.
    pub(super) owner: Option<u64>,
    pub(super) auto_delete: bool,
    pub(super) arguments: FieldTable,
    pub(super) policy: Policy,
    /// By position, so that what comes back finds its old place.
    pub(super) ready: BTreeMap<u64, Message>,
    pub(super) next_position: u64,
    pub(super) unacknowledged: usize,
    /// The first one is served next.
    pub(super) consumers: VecDeque<ConsumerId>,
    pub(super) exclusive_consumer: bool,
}

#[derive(Debug)]
pub(super) struct VirtualHost {
    pub(super) exchanges: BTreeMap<ShortStr, Exchange>,
    pub(super) queues: BTreeMap<ShortStr, Queue>,
    pub(super) bindings: Vec<Binding>,
}

impl VirtualHost {
    /// With the exchanges that every broker has.
    pub(super) fn new() -> Self {
        let fixed = [
            (short_str!(""), Kind::Direct),
            (short_str!("amq.direct"), Kind::Direct),
            (short_str!("amq.fanout"), Kind::Fanout),
            (short_str!("amq.topic"), Kind::Topic),
            (short_str!("amq.headers"), Kind::Headers),
            (short_str!("amq.match"), Kind::Headers),
        ];
        let exchange = |kind| Exchange {
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: FieldTable::new(),
            alternate: None,
        };
        Self {
            exchanges: fixed.into_iter().map(|(name, kind)| (name, exchange(kind))).collect(),
            queues: BTreeMap::new(),
            bindings: Vec::new(),
        }
    }

    pub(super) fn holds(&self, name: &Name) -> bool {
        match name {
            Name::Queue(name) => self.queues.contains_key(name),
            Name::Exchange(name) => self.exchanges.contains_key(name),
        }
    }

    /// Takes bindings away, and the exchanges that were there for them only.
    pub(super) fn unbind_where(&mut self, goes: impl Fn(&Binding) -> bool) {
        let mut sources = Vec::new();
        self.bindings.retain(|binding| {
            let goes = goes(binding);
            if goes {
                sources.push(binding.source.clone());
            }
            !goes
        });
        for source in sources {
            let unused = !self.bindings.iter().any(|binding| binding.source == source);
            if unused && self.exchanges.get(&source).is_some_and(|exchange| exchange.auto_delete) {
                self.remove_exchange(&source);
            }
        }
    }

    pub(super) fn remove_exchange(&mut self, name: &ShortStr) {
        self.exchanges.remove(name);
        self.unbind_where(|binding| {
            binding.source == *name || binding.destination == Name::Exchange(name.clone())
        });
    }
}
