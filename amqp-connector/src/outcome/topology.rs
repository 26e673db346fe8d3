//! Exchanges, queues and bindings as a value: recorded from a connection's requests and their replies, or made by the
//! user; read, edited, and declared again after the connection was lost.
//!
//! Plain data. Fed by the session, read by the supervisor; nothing here sends anything. What a user does with one stands
//! in the module `topology`.

use amqp_types::protocol::{exchange, queue};
use amqp_types::{FieldTable, ShortStr};

/// Exchanges, queues and bindings, as a value: put together by a program, to be applied to a broker, compared with it
/// and removed from it, as the module [`topology`](crate::topology) tells; or those that were declared on a connection
/// and are to exist after a recovery, from [`Connection::topology`](crate::Connection::topology). There, what was only
/// looked for (`passive`) is not in it, nor what was deleted or has gone by itself.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Topology {
    /// In the order in which they were declared first.
    pub exchanges: Vec<DeclaredExchange>,
    /// In the order in which they were declared first.
    pub queues: Vec<DeclaredQueue>,
    /// In the order in which they were made.
    pub bindings: Vec<Binding>,
}

/// An exchange as it was declared.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct DeclaredExchange {
    /// Its name.
    pub name: ShortStr,
    /// Its type, such as `topic`.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub kind: ShortStr,
    /// It survives a restart of the broker.
    #[cfg_attr(feature = "serde", serde(default))]
    pub durable: bool,
    /// It is deleted when the last binding from it is gone.
    #[cfg_attr(feature = "serde", serde(default))]
    pub auto_delete: bool,
    /// Nobody may publish to it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub internal: bool,
    /// Further arguments.
    #[cfg_attr(feature = "serde", serde(default))]
    pub arguments: FieldTable,
}

/// A queue as it was declared.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct DeclaredQueue {
    /// Its name; of one that the broker has named, its present one. Of one that it is yet to name, what the bindings here
    /// call it.
    pub name: ShortStr,
    /// The broker has named it, and gives it another name each time.
    #[cfg_attr(feature = "serde", serde(default))]
    pub server_named: bool,
    /// It survives a restart of the broker.
    #[cfg_attr(feature = "serde", serde(default))]
    pub durable: bool,
    /// It belongs to this connection, and ends with it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub exclusive: bool,
    /// It is deleted when its last consumer is gone.
    #[cfg_attr(feature = "serde", serde(default))]
    pub auto_delete: bool,
    /// Further arguments.
    #[cfg_attr(feature = "serde", serde(default))]
    pub arguments: FieldTable,
}

/// A binding of a queue, or of an exchange, to an exchange.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: ShortStr,
    /// Where they go.
    pub destination: Destination,
    /// The routing key.
    #[cfg_attr(feature = "serde", serde(default))]
    pub routing_key: ShortStr,
    /// Further arguments.
    #[cfg_attr(feature = "serde", serde(default))]
    pub arguments: FieldTable,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Destination {
    /// To the queue of this name.
    Queue(ShortStr),
    /// To the exchange of this name.
    Exchange(ShortStr),
}

impl From<exchange::Declare> for DeclaredExchange {
    fn from(declare: exchange::Declare) -> Self {
        Self {
            auto_delete: is_auto_delete(&declare),
            internal: is_internal(&declare),
            name: declare.exchange,
            kind: declare.r#type,
            durable: declare.durable,
            arguments: declare.arguments,
        }
    }
}

fn is_auto_delete(declare: &exchange::Declare) -> bool {
    amqp_types::if_spec! { exchange.declare.auto_delete => { declare.auto_delete } else {
        let _ = declare;
        false
    } }
}

fn is_internal(declare: &exchange::Declare) -> bool {
    amqp_types::if_spec! { exchange.declare.internal => { declare.internal } else {
        let _ = declare;
        false
    } }
}

impl From<queue::Declare> for DeclaredQueue {
    fn from(declare: queue::Declare) -> Self {
        Self {
            server_named: declare.queue.is_empty(),
            name: declare.queue,
            durable: declare.durable,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            arguments: declare.arguments,
        }
    }
}

impl Binding {
    /// A binding of `destination` to the exchange `source`.
    pub fn new(source: ShortStr, destination: Destination, routing_key: ShortStr) -> Self {
        Self { source, destination, routing_key, arguments: FieldTable::new() }
    }
}

impl Topology {
    /// Whether there is nothing to declare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.queues.is_empty() && self.bindings.is_empty()
    }

    /// The queue of this name.
    #[must_use]
    pub fn queue(&self, name: &ShortStr) -> Option<&DeclaredQueue> {
        self.queues.iter().find(|queue| queue.name == *name)
    }

    pub(crate) fn add_exchange(&mut self, exchange: DeclaredExchange) {
        match self.exchanges.iter_mut().find(|it| it.name == exchange.name) {
            Some(known) => *known = exchange,
            None => self.exchanges.push(exchange),
        }
    }

    pub(crate) fn add_queue(&mut self, queue: DeclaredQueue) {
        match self.queues.iter_mut().find(|it| it.name == queue.name) {
            // Declared again by its name, it is still the broker's to name.
            Some(known) => {
                let server_named = known.server_named || queue.server_named;
                *known = DeclaredQueue { server_named, ..queue };
            }
            None => self.queues.push(queue),
        }
    }

    pub(crate) fn add_binding(&mut self, binding: Binding) {
        if !self.bindings.contains(&binding) {
            self.bindings.push(binding);
        }
    }

    #[allow(dead_code, reason = "not every specification can unbind")]
    pub(crate) fn remove_binding(&mut self, binding: &Binding) {
        self.remove_bindings(|it| it == binding);
    }

    pub(crate) fn remove_exchange(&mut self, name: &ShortStr) {
        self.exchanges.retain(|it| it.name != *name);
        self.remove_bindings(|it| {
            it.source == *name || it.destination == Destination::Exchange(name.clone())
        });
    }

    pub(crate) fn remove_queue(&mut self, name: &ShortStr) {
        self.queues.retain(|it| it.name != *name);
        self.remove_bindings(|it| it.destination == Destination::Queue(name.clone()));
    }

    /// An exchange that is deleted with its last binding goes by itself.
    fn remove_bindings(&mut self, goes: impl Fn(&Binding) -> bool) {
        let mut sources: Vec<ShortStr> = Vec::new();
        self.bindings.retain(|it| {
            let gone = goes(it);
            if gone {
                sources.push(it.source.clone());
            }
            !gone
        });
        for source in sources {
            let bound = self.bindings.iter().any(|it| it.source == source);
            let exchange = self.exchanges.iter().find(|it| it.name == source);
            if !bound && exchange.is_some_and(|it| it.auto_delete) {
                self.remove_exchange(&source);
            }
        }
    }

    /// The last consumer of this queue has gone: one that is deleted then is forgotten.
    pub(crate) fn unconsumed(&mut self, queue: &ShortStr) {
        if self.queue(queue).is_some_and(|it| it.auto_delete) {
            self.remove_queue(queue);
        }
    }

    /// The broker has given a queue another name.
    pub(crate) fn rename_queue(&mut self, old: &ShortStr, new: &ShortStr) {
        for queue in self.queues.iter_mut().filter(|it| it.name == *old) {
            queue.name = new.clone();
        }
        for binding in &mut self.bindings {
            if binding.destination == Destination::Queue(old.clone()) {
                binding.destination = Destination::Queue(new.clone());
                // A queue is bound to by its own name, too.
                if binding.routing_key == *old {
                    binding.routing_key = new.clone();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ShortStr {
        ShortStr::try_from(text).unwrap()
    }

    fn exchange(text: &str, auto_delete: bool) -> DeclaredExchange {
        DeclaredExchange { name: name(text), auto_delete, ..Default::default() }
    }

    fn queue(text: &str) -> DeclaredQueue {
        DeclaredQueue { name: name(text), ..Default::default() }
    }

    fn bound(source: &str, queue: &str) -> Binding {
        Binding::new(name(source), Destination::Queue(name(queue)), name("key"))
    }

    #[test]
    fn what_is_declared_again_stays_in_its_place_and_is_there_once() {
        let mut topology = Topology::default();
        topology.add_queue(queue("a"));
        topology.add_queue(queue("b"));
        topology.add_queue(DeclaredQueue { durable: true, ..queue("a") });
        topology.add_binding(bound("x", "a"));
        topology.add_binding(bound("x", "a"));
        let names: Vec<_> = topology.queues.iter().map(|it| it.name.to_string()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(topology.queue(&name("a")).unwrap().durable);
        assert_eq!(topology.bindings.len(), 1);
    }

    #[test]
    fn an_exchange_that_is_deleted_with_its_last_binding_is_forgotten_with_it_and_so_are_those_behind_it()
     {
        let mut topology = Topology::default();
        topology.add_exchange(exchange("first", true));
        topology.add_exchange(exchange("second", true));
        topology.add_exchange(exchange("kept", false));
        let middle = Destination::Exchange(name("second"));
        topology.add_binding(Binding::new(name("first"), middle, name("")));
        topology.add_binding(bound("second", "q"));
        topology.add_binding(bound("kept", "q"));
        topology.remove_queue(&name("q"));
        let left: Vec<_> = topology.exchanges.iter().map(|it| it.name.to_string()).collect();
        assert_eq!(left, ["kept"]);
        assert!(topology.bindings.is_empty());
    }

    #[test]
    fn only_a_queue_that_is_deleted_with_its_last_consumer_is_forgotten_with_it() {
        let mut topology = Topology::default();
        topology.add_queue(DeclaredQueue { auto_delete: true, ..queue("goes") });
        topology.add_queue(queue("stays"));
        topology.add_binding(bound("x", "goes"));
        topology.unconsumed(&name("goes"));
        topology.unconsumed(&name("stays"));
        assert_eq!(topology.queues, [queue("stays")]);
        assert!(topology.bindings.is_empty());
    }

    #[test]
    fn a_queue_s_new_name_stands_in_its_bindings() {
        let mut topology = Topology::default();
        topology.add_queue(DeclaredQueue { server_named: true, ..queue("amq.gen-1") });
        topology.add_binding(bound("x", "amq.gen-1"));
        let own = Destination::Queue(name("amq.gen-1"));
        topology.add_binding(Binding::new(name("y"), own, name("amq.gen-1")));
        topology.rename_queue(&name("amq.gen-1"), &name("amq.gen-2"));
        assert!(topology.queue(&name("amq.gen-2")).unwrap().server_named);
        let new = Destination::Queue(name("amq.gen-2"));
        assert!(topology.bindings.iter().all(|it| it.destination == new));
        assert_eq!(topology.bindings[0].routing_key, name("key"));
        assert_eq!(topology.bindings[1].routing_key, name("amq.gen-2"));
    }
}
