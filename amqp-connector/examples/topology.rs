//! A topology as a value: exchanges, queues with arguments, and bindings, declared together, compared with what the broker
//! has, and removed. What nobody handles in time goes to another queue.
//!
//! ```text
//! cargo run --example topology -- [URI]
//! ```

use std::error::Error;
use std::time::Duration;

use amqp_connector::arguments::{ExchangeType, Overflow};
use amqp_connector::topology::{Removal, TopologyError};
use amqp_connector::{
    BasicConsume, BasicPublish, Connection, ExchangeDeclare, Prefetch, QueueBind, QueueDeclare,
    Topology,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("amqp://guest:guest@localhost:5672/%2f")).await
}

/// All that orders need on the broker.
fn topology(exchange: &str, orders: &str, late: &str) -> Result<Topology, TopologyError> {
    Topology::default()
        .with_exchange(ExchangeDeclare::new(exchange, ExchangeType::Topic))?
        .with_queue(QueueDeclare::new(late))?
        .with_queue(
            QueueDeclare::new(orders)
                .message_ttl(Duration::from_millis(10))
                .max_length(1000)
                .overflow(Overflow::DropHead)
                .dead_letter_exchange("")
                .dead_letter_routing_key(late),
        )?
        .with_queue_binding(QueueBind::new(orders, exchange, "order.*"))
}

/// Declares, sends an order, gets it from where it went in the end, and removes all again.
pub async fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    let connection = Connection::open(uri).await?;
    let channel = connection.channel_open().await?;
    let exchange = format!("example-topology-{}", std::process::id());
    let (orders, late) = (format!("{exchange}-orders"), format!("{exchange}-late"));
    let topology = topology(&exchange, &orders, &late)?;

    // Whatever the broker refuses is told of each. What was there before and is alike stays as it is.
    let applied = topology.apply(&connection).await?;
    println!("{applied:#}");
    applied.into_result()?;

    let _confirmation =
        channel.basic_publish(BasicPublish::new(&exchange, "order.new", "an order")).await?;
    let mut consumer = channel.basic_consume(BasicConsume::new(&late, Prefetch::Count(10))).await?;
    let delivery = consumer.recv().await.ok_or("the consumer has ended")?;
    println!("nobody took {:?} in time", delivery.body.to_bytes());
    delivery.ack()?;

    // It has a consumer: it stays, and all else goes.
    let removed = topology.remove(&connection, Removal::new().if_unused(true)).await?;
    println!("{removed:#}");
    consumer.cancel().await?;
    println!("{}", topology.compare(&connection).await?);
    removed.topology.remove(&connection, Removal::new()).await?.into_result()?;
    connection.close().await;
    Ok(())
}
