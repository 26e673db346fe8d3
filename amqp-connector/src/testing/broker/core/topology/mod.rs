//! What a virtual host holds: exchanges, queues, bindings and the messages in them; and how clients change that.
//!
//! Used by every part of the core. Here are values and look-ups; what a method does stands in the method's module.

pub(crate) mod declare;
mod exchange;
pub(crate) mod policy;
mod routing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use amqp_types::protocol::basic;
use amqp_types::{FieldTable, ShortStr, short_str};
use bytes::Bytes;
use tokio::time::Instant;

/// The end of a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Queue(ShortStr),
    Exchange(ShortStr),
}

/// The four types of exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct,
    Fanout,
    Topic,
    Headers,
}

impl Kind {
    pub(crate) fn by_name(name: &ShortStr) -> Option<Self> {
        let kinds = [Self::Direct, Self::Fanout, Self::Topic, Self::Headers];
        kinds.into_iter().find(|kind| *name == *kind.name())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) kind: Kind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: FieldTable,
    /// Where messages go that no binding takes.
    pub(crate) alternate: Option<ShortStr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Binding {
    pub(crate) source: ShortStr,
    pub(crate) destination: Name,
    pub(crate) key: ShortStr,
    pub(crate) arguments: FieldTable,
}

impl Binding {
    /// With its arguments in the order of their names: in which they were given makes no difference.
    pub(crate) fn new(
        source: ShortStr,
        destination: Name,
        key: ShortStr,
        arguments: &FieldTable,
    ) -> Self {
        let mut pairs: Vec<_> =
            arguments.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        pairs.sort_by_key(|(key, _)| key.clone());
        let arguments = pairs.into_iter().collect();
        Self { source, destination, key, arguments }
    }
}

/// What was published, shared by all queues that have it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) exchange: ShortStr,
    pub(crate) key: ShortStr,
    pub(crate) properties: Arc<basic::Properties>,
    pub(crate) body: Bytes,
    /// Further keys that it goes to, from its headers.
    pub(crate) copies: Vec<ShortStr>,
    pub(crate) redelivered: bool,
    /// How long it lives in a queue, if it says so itself.
    pub(crate) ttl: Option<Duration>,
    pub(crate) expires: Option<Instant>,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overflow {
    #[default]
    DropHead,
    Reject,
    /// The refused message goes to the dead letters, too.
    RejectAndDeadLetter,
}

/// What a queue's arguments say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Policy {
    pub(crate) dead_letter_exchange: Option<ShortStr>,
    pub(crate) dead_letter_key: Option<ShortStr>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) max_length: Option<usize>,
    pub(crate) overflow: Overflow,
}

/// A consumer's name: its connection, its channel, its tag.
pub(crate) type ConsumerId = (u64, u16, ShortStr);

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) durable: bool,
    /// The connection it belongs to.
    pub(crate) owner: Option<u64>,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: FieldTable,
    pub(crate) policy: Policy,
    /// By position, so that what comes back finds its old place.
    pub(crate) ready: BTreeMap<u64, Message>,
    pub(crate) next_position: u64,
    pub(crate) unacknowledged: usize,
    /// The first one is served next.
    pub(crate) consumers: VecDeque<ConsumerId>,
    pub(crate) exclusive_consumer: bool,
}

#[derive(Debug)]
pub(crate) struct VirtualHost {
    pub(crate) exchanges: BTreeMap<ShortStr, Exchange>,
    pub(crate) queues: BTreeMap<ShortStr, Queue>,
    pub(crate) bindings: Vec<Binding>,
}

impl VirtualHost {
    /// With the exchanges that every broker has.
    pub(crate) fn new() -> Self {
        let fixed = [
            (short_str!(""), Kind::Direct),
            (short_str!("amq.direct"), Kind::Direct),
            (short_str!("amq.fanout"), Kind::Fanout),
            (short_str!("amq.topic"), Kind::Topic),
            (short_str!("amq.headers"), Kind::Headers),
            (short_str!("amq.match"), Kind::Headers),
        ];
        let exchange = |kind, internal| Exchange {
            kind,
            durable: true,
            auto_delete: false,
            internal,
            arguments: FieldTable::new(),
            alternate: None,
        };
        let mut exchanges: BTreeMap<_, _> =
            fixed.into_iter().map(|(name, kind)| (name, exchange(kind, false))).collect();
        exchanges.insert(short_str!("amq.rabbitmq.trace"), exchange(Kind::Topic, true));
        Self { exchanges, queues: BTreeMap::new(), bindings: Vec::new() }
    }

    pub(crate) fn holds(&self, name: &Name) -> bool {
        match name {
            Name::Queue(name) => self.queues.contains_key(name),
            Name::Exchange(name) => self.exchanges.contains_key(name),
        }
    }

    /// Takes bindings away, and the exchanges that were there for them only.
    pub(crate) fn unbind_where(&mut self, goes: impl Fn(&Binding) -> bool) {
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

    pub(crate) fn remove_exchange(&mut self, name: &ShortStr) {
        self.exchanges.remove(name);
        self.unbind_where(|binding| {
            binding.source == *name || binding.destination == Name::Exchange(name.clone())
        });
    }
}
