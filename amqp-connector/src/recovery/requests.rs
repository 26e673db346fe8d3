//! The requests that declare again what was declared, and copies of that. Plain values; nothing here sends anything.

use amqp_types::protocol::{Method, Spec, exchange, queue};
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod as _, FieldTable, Method as _, Reply, ShortStr};
use bytes::BytesMut;

use crate::error::{Error, Result};
use crate::outcome::{Binding, DeclaredExchange, DeclaredQueue, Destination, Topology};

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

/// A copy that shares no octets with what the user has put in.
pub(crate) fn copied(topology: &Topology) -> Result<Topology> {
    let mut copy = topology.clone();
    for exchange in &mut copy.exchanges {
        (exchange.name, exchange.kind) = (copied_name(&exchange.name), copied_name(&exchange.kind));
        exchange.arguments = copied_table(&exchange.arguments)?;
    }
    for queue in &mut copy.queues {
        queue.name = copied_name(&queue.name);
        queue.arguments = copied_table(&queue.arguments)?;
    }
    for binding in &mut copy.bindings {
        binding.source = copied_name(&binding.source);
        binding.destination = match &binding.destination {
            Destination::Queue(name) => Destination::Queue(copied_name(name)),
            Destination::Exchange(name) => Destination::Exchange(copied_name(name)),
        };
        binding.routing_key = copied_name(&binding.routing_key);
        binding.arguments = copied_table(&binding.arguments)?;
    }
    Ok(copy)
}

fn copied_name(name: &ShortStr) -> ShortStr {
    ShortStr::try_from(name.as_bytes()).unwrap_or_default()
}

/// By writing it and reading it again.
fn copied_table(table: &FieldTable) -> Result<FieldTable> {
    if table.is_empty() {
        return Ok(FieldTable::new());
    }
    let declare = queue::Declare { arguments: table.clone(), ..Default::default() };
    let mut octets = BytesMut::new();
    declare.into_any().encode(&mut Writer::new(&mut octets))?;
    match Method::decode(&octets.freeze()) {
        Ok(Method::Queue(queue::Method::Declare(declare))) => Ok(declare.arguments),
        _ => Err(Error::invalid("arguments of what was declared cannot be written and read again")),
    }
}
