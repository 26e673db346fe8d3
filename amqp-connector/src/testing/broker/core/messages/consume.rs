//! Consumers: begun and cancelled.
//!
//! Called with basic.consume and basic.cancel. Deliveries are the queue's business.

use amqp_types::protocol::basic::{Cancel, CancelOk, Consume, ConsumeOk};
use amqp_types::{FieldTable, Method as _};

use crate::testing::broker::core::Core;
use crate::testing::broker::core::channel::Consumer;
use crate::testing::broker::core::fault::{Fault, Handled};

impl Core {
    pub(crate) fn consume(&mut self, id: u64, number: u16, consume: Consume) -> Handled {
        check_arguments(&consume)?;
        let name = self.meant(id, number, &consume.queue)?;
        let tag = match consume.consumer_tag.is_empty() {
            true => self.make_name("amq.ctag-"),
            false => consume.consumer_tag,
        };
        let channel = self.channel_mut(id, number)?;
        if channel.consumers.contains_key(&tag) {
            return Err(Fault::not_allowed(format!("attempt to reuse consumer tag '{tag}'")));
        }
        let prefetch = channel.prefetch;
        let host = self.host_of(id);
        let queue = self.usable_queue(id, &name)?;
        if queue.exclusive_consumer || (consume.exclusive && !queue.consumers.is_empty()) {
            let text = format!("queue '{name}' in vhost '{host}' in exclusive use");
            return Err(Fault::access_refused(text));
        }
        queue.exclusive_consumer = consume.exclusive;
        queue.consumers.push_back((id, number, tag.clone()));
        let consumer =
            Consumer { queue: name.clone(), no_ack: consume.no_ack, prefetch, unsettled: 0 };
        self.channel_mut(id, number)?.consumers.insert(tag.clone(), consumer);
        if !consume.no_wait {
            let ok = ConsumeOk { consumer_tag: tag, ..Default::default() };
            self.send(id, number, &ok.into_any());
        }
        self.pump(&host, &name);
        Ok(())
    }

    pub(crate) fn cancel(&mut self, id: u64, number: u16, cancel: Cancel) -> Handled {
        let host = self.host_of(id);
        let channel = self.channel_mut(id, number)?;
        let consumer = channel.consumers.remove(&cancel.consumer_tag);
        if !cancel.no_wait {
            let ok = CancelOk { consumer_tag: cancel.consumer_tag.clone(), ..Default::default() };
            self.send(id, number, &ok.into_any());
        }
        if let Some(consumer) = consumer {
            let consumer_id = (id, number, cancel.consumer_tag);
            self.detach_consumer(&host, &consumer.queue, &consumer_id);
            self.remove_if_unused(&host, &consumer.queue);
        }
        Ok(())
    }
}

fn check_arguments(consume: &Consume) -> Handled {
    let none = FieldTable::new();
    let arguments = amqp_types::if_spec! { basic.consume.arguments => { &consume.arguments } else {
        amqp_types::if_spec! { basic.consume.filter => { &consume.filter } else {{
            let _ = consume;
            &none
        }} }
    } };
    let first = arguments.iter().next().or_else(|| none.iter().next());
    match first {
        None => Ok(()),
        Some((name, _)) => {
            let text = format!("the in-memory broker's consumers have no argument '{name}'");
            Err(Fault::not_implemented(text))
        }
    }
}
