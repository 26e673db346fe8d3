//! Exchanges, queues with arguments, and bindings: what nobody handles in time goes to another queue.
//!
//! ```text
//! cargo run --example topology -- [URI]
//! ```

use std::error::Error;
use std::time::Duration;

use amqp_connector::arguments::{ExchangeType, Overflow};
use amqp_connector::{
    BasicConsume, BasicPublish, Connection, ErrorKind, ExchangeDeclare, ExchangeDelete, Prefetch,
    QueueBind, QueueDeclare, QueueUnbind,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("amqp://guest:guest@localhost:5672/%2f")).await
}

/// Declares, binds, sends an order and gets it from where it went in the end.
pub async fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    let connection = Connection::open(uri).await?;
    let channel = connection.channel_open().await?;
    let exchange = format!("example-topology-{}", std::process::id());

    channel.exchange_declare(ExchangeDeclare::new(&exchange, ExchangeType::Topic)).await?;
    let late = channel.queue_declare(QueueDeclare::new("").exclusive(true)).await?.queue;
    let declare = QueueDeclare::new("")
        .exclusive(true)
        .message_ttl(Duration::from_millis(10))
        .max_length(1000)
        .overflow(Overflow::DropHead)
        .dead_letter_exchange("")
        .dead_letter_routing_key(&late);
    let orders = channel.queue_declare(declare).await?.queue;
    channel.queue_bind(QueueBind::new(&orders, &exchange, "order.*")).await?;

    let _confirmation =
        channel.basic_publish(BasicPublish::new(&exchange, "order.new", "an order")).await?;
    let mut consumer = channel.basic_consume(BasicConsume::new(&late, Prefetch::Count(10))).await?;
    let delivery = consumer.recv().await.ok_or("the consumer has ended")?;
    println!("nobody took {:?} in time", delivery.body.to_bytes());
    delivery.ack()?;

    match channel.queue_unbind(QueueUnbind::new(&orders, &exchange, "order.*")).await {
        Ok(()) => println!("unbound"),
        // It goes with its queue, then.
        Err(error) if error.kind() == ErrorKind::Unsupported => println!("{error}"),
        Err(error) => return Err(error.into()),
    }
    channel.exchange_delete(ExchangeDelete::new(&exchange)).await?;
    connection.close().await;
    Ok(())
}
