//! A transaction: messages that were published and acknowledged together, or not at all.
//!
//! ```text
//! cargo run --example transactions -- [URI]
//! ```

use std::error::Error;

use amqp_connector::{BasicGet, BasicPublish, Channel, Connection, QueueDeclare, ShortStr};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("amqp://guest:guest@localhost:5672/%2f")).await
}

/// Moves a message twice: given up the first time, carried out the second.
pub async fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    let connection = Connection::open(uri).await?;
    let channel = connection.channel_open().await?;
    let from = channel.queue_declare(QueueDeclare::new("").exclusive(true)).await?.queue;
    let to = channel.queue_declare(QueueDeclare::new("").exclusive(true)).await?.queue;
    let _confirmation = channel.basic_publish(BasicPublish::new("", &from, "a coin")).await?;

    channel.tx_select().await?;
    for carry_out in [false, true] {
        move_one(&channel, &from, &to).await?;
        match carry_out {
            true => channel.tx_commit().await?,
            // The message is still in `from`; with the channel, or by a recover, it can be got again.
            false => {
                channel.tx_rollback().await?;
                channel.basic_recover(true).await?;
            }
        }
        let left = channel.queue_declare(QueueDeclare::new(&to).passive(true)).await?;
        println!("carried out: {carry_out}; {} in the other queue", left.message_count);
    }
    connection.close().await;
    Ok(())
}

/// Takes a message from a queue and puts it into another one, all within the transaction.
async fn move_one(channel: &Channel, from: &ShortStr, to: &ShortStr) -> Result<(), Box<dyn Error>> {
    let got = loop {
        if let Some(got) = channel.basic_get(BasicGet::new(from)).await? {
            break got;
        }
        tokio::task::yield_now().await;
    };
    let message = BasicPublish::new("", to, got.body.to_bytes()).properties(got.properties.clone());
    let _confirmation = channel.basic_publish(message).await?;
    got.ack()?;
    Ok(())
}
