//! Publishing with confirms: what became of each message, also of one that no queue takes.
//!
//! ```text
//! cargo run --example confirms -- [URI]
//! ```

use std::error::Error;

use amqp_connector::{BasicPublish, Connection, ErrorKind, Outcome, QueueDeclare, basic};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("amqp://guest:guest@localhost:5672/%2f")).await
}

/// Publishes, and awaits what becomes of each message.
pub async fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    let connection = Connection::open(uri).await?;
    let channel = connection.channel_open().await?;
    match channel.confirm_select().await {
        Ok(()) => {}
        // Then a message that was handed over is all one knows: `Outcome::Accepted`.
        Err(error) if error.kind() == ErrorKind::Unsupported => println!("no confirms here"),
        Err(error) => return Err(error.into()),
    }
    // An empty name lets the broker choose one.
    let queue = channel.queue_declare(QueueDeclare::new("").exclusive(true)).await?.queue;

    // All are on their way before the first answer is awaited.
    let mut pending = Vec::new();
    for number in 0..100 {
        let properties = basic::Properties { delivery_mode: Some(2), ..Default::default() };
        let message = BasicPublish::new("", &queue, format!("message {number}"));
        pending.push(channel.basic_publish(message.mandatory(true).properties(properties)).await?);
    }
    for confirmation in pending {
        match confirmation.await {
            Outcome::Acked | Outcome::Accepted => {}
            other => return Err(format!("not taken: {other:?}").into()),
        }
    }

    let nowhere = BasicPublish::new("", "a queue that is not there", "lost?").mandatory(true);
    match channel.basic_publish(nowhere).await?.await {
        Outcome::Returned(returned) => println!("came back: {}", returned.reply_text),
        // Without confirms it comes back on its own.
        Outcome::Accepted => println!("came back: {}", channel.returned().await?.reply_text),
        other => return Err(format!("neither taken nor returned: {other:?}").into()),
    }
    connection.close().await;
    Ok(())
}
