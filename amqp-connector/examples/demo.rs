//! One session with a broker, each step told: connect, authenticate, open a channel, then send messages
//! to a queue and get them back.
//!
//! `cargo xtask demo` starts a broker and runs it. With a broker of your own:
//!
//! ```text
//! cargo run --example demo -- [HOST] [PORT] [USER] [PASSWORD] [VIRTUAL HOST]
//! ```
//!
//! It compiles unchanged for every bundled specification (`AMQP_SPEC=0-8 cargo run --example demo`); what
//! the specification lacks is asked for and found missing at run time, by `ErrorKind::Unsupported`.

use std::error::Error;
use std::process::ExitCode;

use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Connection, Connector, Consumer, ErrorKind, Outcome,
    Prefetch, QueueDeclare, QueueDelete, basic, protocol,
};

const MESSAGES: [&str; 3] = ["one", "two", "three"];

#[tokio::main]
async fn main() -> ExitCode {
    match run(std::env::args().skip(1)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole session, with the broker that the arguments tell.
pub async fn run(arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let [.., a, b, c, d] = protocol::PROTOCOL_HEADER;
    tell("specification", &format!("{} (its greeting is AMQP {a} {b} {c} {d})", protocol::NAME));
    let connection = connect(arguments).await?;
    let channel = connection.channel_open().await?;
    tell("channel_open", &format!("channel {}", channel.id()));

    let queue = format!("amqp-demo-{}", std::process::id());
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await?;
    tell("queue_declare", &queue);
    publish(&channel, &queue).await?;
    consume(&channel, &queue).await?;
    let left = channel.queue_delete(QueueDelete::new(&queue)).await?;
    tell("queue_delete", &format!("{} messages were left in it", left.message_count));

    let reason = connection.close().await;
    tell("close", &reason.to_string());
    Ok(())
}

/// The first two steps. Each has a type of its own, so that none can be forgotten.
async fn connect(
    mut arguments: impl Iterator<Item = String>,
) -> Result<Connection, Box<dyn Error>> {
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let (host, port) = (argument("localhost"), argument("5672").parse()?);
    let (user, password, virtual_host) = (argument("guest"), argument("guest"), argument("/"));

    let connector = Connector::new().host(&host).port(port).virtual_host(virtual_host);
    let greeted = connector.connect().await?;
    let server = greeted.server_properties();
    let property = |name| server.table().get_str(name).unwrap_or("?").to_owned();
    tell("connect", &format!("{} {} at {host}:{port}", property("product"), property("version")));

    let connection = greeted.authenticate(&user, &password).await?;
    let tuning = connection.tuning();
    tell(
        "authenticate",
        &format!(
            "as {user}; frames up to {} octets, heartbeat {} s",
            tuning.frame_max, tuning.heartbeat
        ),
    );
    Ok(connection)
}

async fn publish(channel: &Channel, queue: &str) -> Result<(), Box<dyn Error>> {
    match channel.confirm_select().await {
        Ok(()) => tell("confirm_select", "the broker says of each message whether it has it"),
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            tell("confirm_select", "not in this specification: a message sent is all one knows");
        }
        Err(error) => return Err(error.into()),
    }
    for text in MESSAGES {
        let properties = basic::Properties {
            content_type: "text/plain".try_into().ok(),
            delivery_mode: Some(2), // kept on disk, if the queue is
            ..Default::default()
        };
        let message = BasicPublish::new("", queue, text).mandatory(true).properties(properties);
        // The first await: the message is on its way. The second one: what became of it.
        let outcome = channel.basic_publish(message).await?.await;
        tell("basic_publish", &format!("{text:?}: {outcome:?}"));
        if !matches!(outcome, Outcome::Acked | Outcome::Accepted) {
            return Err("the broker did not take the message".into());
        }
    }
    Ok(())
}

async fn consume(channel: &Channel, queue: &str) -> Result<(), Box<dyn Error>> {
    let mut consumer: Consumer =
        channel.basic_consume(BasicConsume::new(queue, Prefetch::Count(10))).await?;
    tell("basic_consume", &format!("consumer {}", consumer.tag()));
    for expected in MESSAGES {
        let Some(delivery) = consumer.recv().await else {
            return Err(format!("the consumer ended: {:?}", consumer.end()).into());
        };
        let text = String::from_utf8(delivery.body.to_bytes().into())?;
        if text != expected {
            return Err(format!("got {text:?} in place of {expected:?}").into());
        }
        delivery.ack()?;
        tell("basic_ack", &format!("{text:?}"));
    }
    consumer.cancel().await?;
    tell("basic_cancel", "the consumer has ended");
    Ok(())
}

fn tell(step: &str, what: &str) {
    println!("{step:>15}  {what}");
}
