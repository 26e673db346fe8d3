//! What the broker holds, told to tests.
//!
//! Called by the handle. Changes nothing.

use amqp_types::ShortStr;

use crate::testing::broker::core::Core;
use crate::testing::broker::core::topology::{Name, Queue};
use crate::testing::broker::info::{BindingInfo, ConnectionInfo, ExchangeInfo, QueueInfo};

impl Core {
    pub(crate) fn queues(&self) -> Vec<QueueInfo> {
        let hosts = self.hosts.iter();
        let told = hosts.flat_map(|(host, it)| {
            it.queues.iter().map(move |(name, queue)| queue_info(host, name, queue))
        });
        told.collect()
    }

    pub(crate) fn exchanges(&self) -> Vec<ExchangeInfo> {
        let hosts = self.hosts.iter();
        let told = hosts.flat_map(|(host, it)| {
            it.exchanges.iter().map(move |(name, exchange)| ExchangeInfo {
                virtual_host: host.clone(),
                name: name.to_string(),
                exchange_type: exchange.kind.name().to_owned(),
                durable: exchange.durable,
                auto_delete: exchange.auto_delete,
                internal: exchange.internal,
                arguments: exchange.arguments.clone(),
            })
        });
        told.collect()
    }

    pub(crate) fn bindings(&self) -> Vec<BindingInfo> {
        let hosts = self.hosts.iter();
        let told = hosts.flat_map(|(host, it)| {
            it.bindings.iter().map(move |binding| {
                let (destination, to_exchange) = match &binding.destination {
                    Name::Queue(name) => (name, false),
                    Name::Exchange(name) => (name, true),
                };
                BindingInfo {
                    virtual_host: host.clone(),
                    source: binding.source.to_string(),
                    destination: destination.to_string(),
                    to_exchange,
                    routing_key: binding.key.to_string(),
                    arguments: binding.arguments.clone(),
                }
            })
        });
        told.collect()
    }

    pub(crate) fn connections(&self) -> Vec<ConnectionInfo> {
        let open = self.connections.values().filter(|connection| connection.is_open());
        let told = open.map(|connection| ConnectionInfo {
            virtual_host: connection.host.clone(),
            user: connection.user.clone(),
            name: connection.name.clone(),
            channels: connection.channels.len(),
        });
        told.collect()
    }
}

fn queue_info(host: &str, name: &ShortStr, queue: &Queue) -> QueueInfo {
    QueueInfo {
        virtual_host: host.to_owned(),
        name: name.to_string(),
        messages_ready: queue.ready.len(),
        unacknowledged: queue.unacknowledged,
        consumers: queue.consumers.len(),
        durable: queue.durable,
        exclusive: queue.owner.is_some(),
        auto_delete: queue.auto_delete,
        arguments: queue.arguments.clone(),
    }
}
