//! Which part handles which method of class basic, and the small ones: qos and get.
//!
//! Called with the methods of class basic that have no content.

use amqp_types::protocol::Method;
use amqp_types::protocol::basic::{self, Get, Qos};
use amqp_types::{AnyMethod as _, Method as _};

use crate::testing::broker::core::Core;
use crate::testing::broker::core::channel::{Unsettled, Verdict};
use crate::testing::broker::core::fault::{Fault, Handled};

impl Core {
    pub(crate) fn take_basic_method(
        &mut self,
        id: u64,
        number: u16,
        method: basic::Method,
    ) -> Handled {
        match method {
            basic::Method::Qos(qos) => self.qos(id, number, &qos),
            basic::Method::Consume(consume) => self.consume(id, number, consume),
            basic::Method::Cancel(cancel) => self.cancel(id, number, cancel),
            basic::Method::Get(get) => self.get(id, number, &get),
            basic::Method::Ack(ack) => {
                self.settle(id, number, ack.delivery_tag, ack.multiple, Verdict::Ack)
            }
            basic::Method::Reject(reject) => {
                self.settle(id, number, reject.delivery_tag, false, against(reject.requeue))
            }
            basic::Method::Recover(recover) => {
                let reply = amqp_types::if_spec! { basic.recover_ok => {
                    Some(basic::RecoverOk::default().into_any())
                } else { None } };
                self.recover(id, number, recover.requeue, reply)
            }
            other => self.take_further_method(id, number, other),
        }
    }

    fn take_further_method(&mut self, id: u64, number: u16, method: basic::Method) -> Handled {
        let _ = (id, number);
        amqp_types::if_spec! { basic.nack => {
            if let basic::Method::Nack(nack) = method {
                let verdict = against(nack.requeue);
                return self.settle(id, number, nack.delivery_tag, nack.multiple, verdict);
            }
        } else {} }
        amqp_types::if_spec! { basic.recover_async => {
            if let basic::Method::RecoverAsync(recover) = method {
                return self.recover(id, number, recover.requeue, None);
            }
        } else {} }
        let name = Method::Basic(method).info().full_name;
        Err(Fault::not_implemented(format!("the in-memory broker does not take {name}")))
    }

    fn qos(&mut self, id: u64, number: u16, qos: &Qos) -> Handled {
        if qos.prefetch_size != 0 {
            let size = qos.prefetch_size;
            return Err(Fault::not_implemented(format!("prefetch_size!=0 ({size})")));
        }
        let channel = self.channel_mut(id, number)?;
        match qos.global {
            true => channel.shared_prefetch = qos.prefetch_count,
            // RabbitMQ takes one that is not global for the end of the channel's own limit.
            false => {
                channel.prefetch = qos.prefetch_count;
                channel.shared_prefetch = 0;
            }
        }
        self.send(id, number, &basic::QosOk::default().into_any());
        self.pump_channel(id, number);
        Ok(())
    }

    fn get(&mut self, id: u64, number: u16, get: &Get) -> Handled {
        let name = self.meant(id, number, &get.queue)?;
        let queue = self.usable_queue(id, &name)?;
        let Some((position, message)) = queue.ready.pop_first() else {
            self.send(id, number, &basic::GetEmpty::default().into_any());
            return Ok(());
        };
        let message_count = u32::try_from(queue.ready.len()).unwrap_or(u32::MAX);
        if !get.no_ack {
            queue.unacknowledged += 1;
        }
        let channel = self.channel_mut(id, number)?;
        channel.last_tag += 1;
        let delivery_tag = channel.last_tag;
        let ok = basic::GetOk {
            delivery_tag,
            redelivered: message.redelivered,
            exchange: message.exchange.clone(),
            routing_key: message.key.clone(),
            message_count,
            ..Default::default()
        };
        let (properties, body) = (message.properties.clone(), message.body.clone());
        if !get.no_ack {
            let unsettled = Unsettled { queue: name.clone(), position, message, consumer: None };
            channel.unsettled.insert(delivery_tag, unsettled);
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.put_content(number, &ok.into_any(), &properties, &body);
            self.wakers.extend(connection.waker.take());
        }
        let host = self.host_of(id);
        self.expire_queue(&host, &name);
        Ok(())
    }
}

fn against(requeue: bool) -> Verdict {
    if requeue { Verdict::Requeue } else { Verdict::Reject }
}
