//! What a connection has declared, as a value: recorded from its requests and their replies, read and edited by the
//! user, declared again after the connection was lost.
//!
//! Plain data. Fed by the session, read by the supervisor; nothing here sends anything.

use amqp_types::{FieldTable, ShortStr};

/// The exchanges, queues and bindings that were declared on a connection and are to exist after a recovery; see
/// [`Connection::topology`](crate::Connection::topology).
///
/// What was only looked for (`passive`) is not in it, nor what was deleted or has gone by itself.
#[derive(Clone, Debug, Default, PartialEq)]
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
#[non_exhaustive]
pub struct DeclaredExchange {
    /// Its name.
    pub name: ShortStr,
    /// Its type, such as `topic`.
    pub kind: ShortStr,
    /// It survives a restart of the broker.
    pub durable: bool,
    /// It is deleted when the last binding from it is gone.
    pub auto_delete: bool,
    /// Nobody may publish to it.
    pub internal: bool,
    /// Further arguments.
    pub arguments: FieldTable,
}

/// A queue as it was declared.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeclaredQueue {
    /// Its name; of one that the broker has named, its present one.
    pub name: ShortStr,
    /// The broker has named it, and gives it another name each time.
    pub server_named: bool,
    /// It survives a restart of the broker.
    pub durable: bool,
    /// It belongs to this connection, and ends with it.
    pub exclusive: bool,
    /// It is deleted when its last consumer is gone.
    pub auto_delete: bool,
    /// Further arguments.
    pub arguments: FieldTable,
}

/// A binding of a queue, or of an exchange, to an exchange.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: ShortStr,
    /// Where they go.
    pub destination: Destination,
    /// The routing key.
    pub routing_key: ShortStr,
    /// Further arguments.
    pub arguments: FieldTable,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the queue of this name.
    Queue(ShortStr),
    /// To the exchange of this name.
    Exchange(ShortStr),
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
