//! The requests that declare again what was declared. Plain values; nothing here sends anything.

use amqp_types::protocol::{Method, Spec, exchange, queue};
use amqp_types::{Reply, ShortStr};

use crate::outcome::{Binding, DeclaredExchange, DeclaredQueue, Destination};

/// A request and what answers it.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) accepts: fn(u16, u16) -> bool,
}

fn request<R: amqp_types::Request<Protocol = Spec>>(request: R) -> Request {
    Request { method: request.into_any(), accepts: <R::Reply as Reply>::accepts }
}

pub(super) fn declare_exchange(exchange: &DeclaredExchange) -> Request {
    #[allow(unused_mut, reason = "not every specification has all of it")]
    let mut declare = exchange::Declare {
        exchange: exchange.name.clone(),
        r#type: exchange.kind.clone(),
        durable: exchange.durable,
        arguments: exchange.arguments.clone(),
        ..Default::default()
    };
    amqp_types::if_spec! { exchange.declare.auto_delete => {
        declare.auto_delete = exchange.auto_delete;
    } else {} }
    amqp_types::if_spec! { exchange.declare.internal => {
        declare.internal = exchange.internal;
    } else {} }
    request(declare)
}

pub(super) fn declare_queue(queue: &DeclaredQueue) -> Request {
    request(queue::Declare {
        queue: match queue.server_named {
            true => ShortStr::default(),
            false => queue.name.clone(),
        },
        durable: queue.durable,
        exclusive: queue.exclusive,
        auto_delete: queue.auto_delete,
        arguments: queue.arguments.clone(),
        ..Default::default()
    })
}

pub(super) fn bind(binding: &Binding) -> Option<Request> {
    match &binding.destination {
        Destination::Queue(queue) => Some(request(queue::Bind {
            queue: queue.clone(),
            exchange: binding.source.clone(),
            routing_key: binding.routing_key.clone(),
            arguments: binding.arguments.clone(),
            ..Default::default()
        })),
        Destination::Exchange(destination) => {
            amqp_types::if_spec! { exchange.bind => {
                Some(request(exchange::Bind {
                    destination: destination.clone(),
                    source: binding.source.clone(),
                    routing_key: binding.routing_key.clone(),
                    arguments: binding.arguments.clone(),
                    ..Default::default()
                }))
            } else {
                let _ = destination;
                None
            } }
        }
    }
}
