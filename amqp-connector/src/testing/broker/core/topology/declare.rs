//! Queues: declared, bound, purged, deleted.
//!
//! Called with the methods of class queue. What a queue does with messages stands in its own module.

use std::collections::{BTreeMap, VecDeque};

use amqp_types::protocol::Method;
use amqp_types::protocol::queue::{self, Bind, Declare, Delete, Purge};
use amqp_types::{AnyMethod as _, Method as _, ShortStr};

use crate::testing::broker::core::Core;
use crate::testing::broker::core::fault::{Fault, Handled};
use crate::testing::broker::core::topology::exchange::check_not_default;
use crate::testing::broker::core::topology::policy::{
    OF_QUEUES, check_known, inequivalent, inequivalent_table,
};
use crate::testing::broker::core::topology::routing::check_headers;
use crate::testing::broker::core::topology::{Binding, Kind, Name, Policy, Queue};

impl Core {
    pub(crate) fn take_queue_method(
        &mut self,
        id: u64,
        number: u16,
        method: queue::Method,
    ) -> Handled {
        match method {
            queue::Method::Declare(declare) => self.queue_declare(id, number, declare),
            queue::Method::Bind(bind) => self.queue_bind(id, number, bind),
            queue::Method::Purge(purge) => self.queue_purge(id, number, &purge),
            queue::Method::Delete(delete) => self.queue_delete(id, number, &delete),
            other => self.take_queue_unbind(id, number, other),
        }
    }

    #[allow(unused_variables, reason = "there are specifications without this method")]
    fn take_queue_unbind(&mut self, id: u64, number: u16, method: queue::Method) -> Handled {
        amqp_types::if_spec! { queue.unbind => {
            if let queue::Method::Unbind(unbind) = method {
                let name = self.meant(id, number, &unbind.queue)?;
                let key = meant_key(&unbind.queue, unbind.routing_key, &name);
                let queue = Name::Queue(name);
                self.unbind(id, &Binding::new(unbind.exchange, queue, key, &unbind.arguments))?;
                self.send(id, number, &queue::UnbindOk::default().into_any());
                return Ok(());
            }
        } else {} }
        let name = Method::Queue(method).info().full_name;
        Err(Fault::not_implemented(format!("the in-memory broker does not have {name}")))
    }

    /// The queue that a name means: an empty one is the channel's last.
    pub(crate) fn meant(&mut self, id: u64, number: u16, name: &ShortStr) -> Handled<ShortStr> {
        check_reply_to(name)?;
        if !name.is_empty() {
            return Ok(name.clone());
        }
        let last = self.channel_mut(id, number)?.last_queue.clone();
        match last.is_empty() {
            true => Err(Fault::not_found("no previously declared queue")),
            false => Ok(last),
        }
    }

    fn queue_declare(&mut self, id: u64, number: u16, declare: Declare) -> Handled {
        let host = self.host_of(id);
        let no_wait = declare.no_wait;
        let name = if declare.passive {
            check_reply_to(&declare.queue)?;
            let name = without_line_breaks(declare.queue);
            self.usable_queue(id, &name)?;
            name
        } else {
            self.declare(id, &host, declare)?
        };
        self.channel_mut(id, number)?.last_queue = name.clone();
        let queue = self.usable_queue(id, &name)?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let ok = queue::DeclareOk {
            message_count: count(queue.ready.len()),
            consumer_count: count(queue.consumers.len()),
            queue: name,
            ..Default::default()
        };
        if !no_wait {
            self.send(id, number, &ok.into_any());
        }
        Ok(())
    }

    fn declare(&mut self, id: u64, host: &str, declare: Declare) -> Handled<ShortStr> {
        let made_up = declare.queue.is_empty();
        let name = match made_up {
            true => self.make_name("amq.gen-"),
            false => without_line_breaks(declare.queue),
        };
        let what = format!("queue '{name}' in vhost '{host}'");
        check_known(&declare.arguments)?;
        // One that goes with its connection cannot outlive a restart.
        let durable = declare.durable && !declare.exclusive;
        let there = self.host_mut(id)?;
        if let Some(current) = there.queues.get(&name) {
            // A queue is exclusive for good or not at all.
            if current.owner != declare.exclusive.then_some(id) {
                return Err(Fault::locked(&name, host));
            }
            for (field, current, wanted) in [
                ("durable", current.durable, durable),
                ("auto_delete", current.auto_delete, declare.auto_delete),
            ] {
                if current != wanted {
                    let (wanted, current) = (wanted.to_string(), current.to_string());
                    return Err(inequivalent(field, &what, &wanted, &current));
                }
            }
            inequivalent_table(&what, &current.arguments, &declare.arguments, &OF_QUEUES)?;
            return Ok(name);
        }
        if !made_up && name.as_bytes().starts_with(b"amq.") {
            let text = format!("queue name '{name}' contains reserved prefix 'amq.*'");
            return Err(Fault::access_refused(text));
        }
        let policy = Policy::parse(&declare.arguments, &what)?;
        let queue = Queue {
            durable,
            owner: declare.exclusive.then_some(id),
            auto_delete: declare.auto_delete,
            arguments: declare.arguments,
            policy,
            ready: BTreeMap::new(),
            next_position: 0,
            unacknowledged: 0,
            consumers: VecDeque::new(),
            exclusive_consumer: false,
        };
        there.queues.insert(name.clone(), queue);
        Ok(name)
    }

    fn queue_bind(&mut self, id: u64, number: u16, bind: Bind) -> Handled {
        let name = self.meant(id, number, &bind.queue)?;
        let key = meant_key(&bind.queue, bind.routing_key, &name);
        self.bind(id, Binding::new(bind.exchange, Name::Queue(name), key, &bind.arguments))?;
        if !bind.no_wait {
            self.send(id, number, &queue::BindOk::default().into_any());
        }
        Ok(())
    }

    pub(crate) fn bind(&mut self, id: u64, binding: Binding) -> Handled {
        check_ends(&binding)?;
        let host_name = self.host_of(id);
        let host = self.host_mut(id)?;
        for name in [&Name::Exchange(binding.source.clone()), &binding.destination] {
            if !host.holds(name) {
                return Err(Fault::missing(name, &host_name));
            }
        }
        if host.exchanges.get(&binding.source).is_some_and(|source| source.kind == Kind::Headers) {
            check_headers(&binding.arguments)?;
        }
        self.check_destination(id, &binding.destination)?;
        let host = self.host_mut(id)?;
        if !host.bindings.contains(&binding) {
            host.bindings.push(binding);
        }
        Ok(())
    }

    #[allow(dead_code, reason = "there are specifications that bind for good")]
    pub(crate) fn unbind(&mut self, id: u64, binding: &Binding) -> Handled {
        check_ends(binding)?;
        let host = self.host_mut(id)?;
        if host.holds(&binding.destination) {
            self.check_destination(id, &binding.destination)?;
        }
        self.host_mut(id)?.unbind_where(|bound| bound == binding);
        Ok(())
    }

    fn check_destination(&mut self, id: u64, destination: &Name) -> Handled {
        match destination {
            Name::Exchange(_) => Ok(()),
            Name::Queue(name) => self.usable_queue(id, name).map(|_| ()),
        }
    }

    fn queue_purge(&mut self, id: u64, number: u16, purge: &Purge) -> Handled {
        let name = self.meant(id, number, &purge.queue)?;
        let ready = std::mem::take(&mut self.usable_queue(id, &name)?.ready);
        if !purge.no_wait {
            let message_count = u32::try_from(ready.len()).unwrap_or(u32::MAX);
            let ok = queue::PurgeOk { message_count, ..Default::default() };
            self.send(id, number, &ok.into_any());
        }
        Ok(())
    }

    fn queue_delete(&mut self, id: u64, number: u16, delete: &Delete) -> Handled {
        let name = self.meant(id, number, &delete.queue)?;
        let host = self.host_of(id);
        let mut message_count = 0;
        if self.host_mut(id)?.queues.contains_key(&name) {
            let queue = self.usable_queue(id, &name)?;
            if delete.if_empty && !queue.ready.is_empty() {
                let text = format!("queue '{name}' in vhost '{host}' not empty");
                return Err(Fault::precondition(text));
            }
            if delete.if_unused && !queue.consumers.is_empty() {
                let text = format!("queue '{name}' in vhost '{host}' in use");
                return Err(Fault::precondition(text));
            }
            message_count = u32::try_from(queue.ready.len()).unwrap_or(u32::MAX);
            self.remove_queue(&host, &name);
        }
        if !delete.no_wait {
            let ok = queue::DeleteOk { message_count, ..Default::default() };
            self.send(id, number, &ok.into_any());
        }
        Ok(())
    }
}

/// The key of a binding: an empty one beside an empty name means the queue's name.
fn meant_key(queue: &ShortStr, key: ShortStr, name: &ShortStr) -> ShortStr {
    if queue.is_empty() && key.is_empty() { name.clone() } else { key }
}

/// A new queue's or exchange's name as RabbitMQ takes it.
pub(crate) fn without_line_breaks(name: ShortStr) -> ShortStr {
    let breaks = |octet: &u8| matches!(octet, b'\r' | b'\n');
    if !name.as_bytes().iter().any(breaks) {
        return name;
    }
    let text = name.to_string_lossy().replace(['\r', '\n'], "");
    ShortStr::try_from(text).unwrap_or_default()
}

/// RabbitMQ's answers without a queue are no queue here, and must not look like one that is missing.
pub(crate) fn check_reply_to(name: &ShortStr) -> Handled {
    match name.as_bytes().starts_with(b"amq.rabbitmq.reply-to") {
        true => Err(Fault::not_implemented("the in-memory broker does not have direct reply-to")),
        false => Ok(()),
    }
}

fn check_ends(binding: &Binding) -> Handled {
    if let Name::Exchange(destination) = &binding.destination {
        check_not_default(destination)?;
    }
    check_not_default(&binding.source)
}
