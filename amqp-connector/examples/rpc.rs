//! Requests and replies: a server that divides, a client with many calls in flight, and each way a call may end.
//!
//! ```text
//! cargo run --example rpc -- [URI]
//! ```

use std::error::Error;
use std::time::Duration;

use amqp_connector::rpc::{CallError, Client, Failure, Received, Server, ServerOptions};
use amqp_connector::typed::Text;
use amqp_connector::{Connection, QueueDeclare};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("amqp://guest:guest@localhost:5672/%2f")).await
}

/// Starts a server and calls it.
pub async fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    let answering = Connection::open(uri).await?;
    let channel = answering.channel_open().await?;
    let queue = channel.queue_declare(QueueDeclare::new("").exclusive(true)).await?.queue;
    // At most ten requests are served at once; the others wait in their queue.
    let server = Server::start(&answering, ServerOptions::new(&queue, 10), Text, divide).await?;

    let asking = Connection::open(uri).await?;
    let client = Client::open(&asking).await?.codec(Text);
    let mut calls = Vec::new();
    for number in 1..=100 {
        let (client, queue) = (client.clone(), queue.clone());
        calls.push(tokio::spawn(async move {
            let reply: Result<String, _> =
                client.call(queue, &format!("{} {number}", 7 * number)).await;
            reply
        }));
    }
    for call in calls {
        if call.await?? != "7" {
            return Err("one call has got another one's reply".into());
        }
    }

    let fails: Result<String, _> = client.call(&queue, &"1 0".to_owned()).await;
    match fails {
        Err(CallError::Failed(failure)) if failure.error_code() == Some("zero") => {
            println!("{failure}");
        }
        other => return Err(format!("it cannot be: {other:?}").into()),
    }
    let lost: Result<String, _> = client.call("a queue that is not there", &"1 1".to_owned()).await;
    match lost {
        Err(CallError::Unroutable(returned)) => println!("came back: {}", returned.reply_text),
        other => return Err(format!("nobody can have it: {other:?}").into()),
    }

    client.close().await?;
    let report = server.shutdown(Duration::from_secs(5)).await;
    println!("{} requests were answered, and {} failed", report.answered, report.failed);
    asking.close().await;
    answering.close().await;
    Ok(())
}

/// Serves one request. What it returns goes back to who has called, errors and panics as well.
async fn divide(request: Received<String>) -> Result<String, Failure> {
    let mut numbers = request.value.split(' ').map(str::parse::<u32>);
    let (Some(Ok(one)), Some(Ok(other))) = (numbers.next(), numbers.next()) else {
        return Err("two numbers are wanted".into());
    };
    match one.checked_div(other) {
        Some(result) => Ok(result.to_string()),
        None => Err(Failure::new("nobody can divide by zero").code("zero")),
    }
}
