//! The dialogues of logging in by a challenge, and of a connection that comes back.

use std::sync::Mutex;

use amqp_connector::{
    BasicConsume, BasicPublish, Connection, Event, ExchangeDeclare, Mechanism, Prefetch, QueueBind,
    QueueDeclare, Recovery, RecoveryEvent,
};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;

use super::dialogues::supported;
use super::run::{CALL, CLOSE, CONNECT, Failed, Walk, Walked};
use super::transport::Tap;

/// Answering a challenge, renewing the secret, and closing.
pub(crate) async fn proving(walk: &Walk, tap: Tap) -> Walked {
    let connector = Walk::connector(4096).mechanisms([Mechanism::RabbitCrDemo]);
    let greeted =
        walk.within("Connector::connect_with", CONNECT, connector.connect_with(tap)).await?;
    let authenticate = greeted.authenticate("guest", "guest");
    let connection = walk.within("Greeted::authenticate", CONNECT, authenticate).await?;
    walk.connected(&connection, None);
    for secret in ["renewed", "renewed again"] {
        let updated =
            walk.within("Completion", CALL, connection.update_secret(secret, "it expires"));
        supported(updated.await)?;
        let channel = walk.within("ChannelOpen", CALL, connection.channel_open()).await?;
        walk.within("Call", CALL, channel.queue_declare(QueueDeclare::new("q"))).await?;
        walk.within("Channel::close", CLOSE, channel.close()).await?;
    }
    walk.within("Connection::close", CLOSE, connection.close()).await;
    Ok(())
}

/// Losing a connection that has something of everything, and going on: it is the second transport whose frames are hit.
pub(crate) async fn returning(walk: &Walk, tap: Tap) -> Walked {
    let (first, link) = link(walk.broker.transport());
    let (next, broker) = (Mutex::new(vec![tap, first]), walk.broker.clone());
    let dial = move || {
        let next = next.lock().expect("nobody panics with it").pop();
        let io = next.unwrap_or_else(|| Tap::new(broker.transport(), None).0);
        async move { Ok(io) }
    };
    walk.comes_back.set(true);
    let connector = Walk::connector(4096).recovery(Recovery::new());
    let greeted = walk.within("Connector::connect_by", CONNECT, connector.connect_by(dial)).await?;
    let authenticate = greeted.authenticate("guest", "guest");
    let connection = walk.within("Greeted::authenticate", CONNECT, authenticate).await?;
    walk.connected(&connection, None);
    let channel = walk.within("ChannelOpen", CALL, connection.channel_open()).await?;
    walk.within("Call", CALL, channel.exchange_declare(ExchangeDeclare::new("e", "direct")))
        .await?;
    walk.within("Call", CALL, channel.queue_declare(QueueDeclare::new("q").durable(true))).await?;
    walk.within("Call", CALL, channel.queue_bind(QueueBind::new("q", "e", "k"))).await?;
    supported(walk.within("Completion", CALL, channel.confirm_select()).await)?;
    let consume = BasicConsume::new("q", Prefetch::Count(2));
    let mut consumer = walk.within("Consume", CALL * 2, channel.basic_consume(consume)).await?;

    // Not by the broker: it would cut the second one, too.
    link.abort();
    walk.ends("Events::recv", back(&connection)).await?;
    let published = walk.ends("Publish", channel.basic_publish(BasicPublish::new("e", "k", "x")));
    walk.note("outcome:", walk.ends("Confirmation", published.await?).await);
    let delivery = walk.ends("Recv", consumer.recv()).await.ok_or(Failed::Over)?;
    walk.note("settled:", delivery.ack().is_ok());
    walk.within("Channel::close", CLOSE, channel.close()).await?;
    walk.within("Connection::close", CLOSE, connection.close()).await;
    Ok(())
}

/// A transport that breaks off when its task is aborted.
fn link(mut broker: DuplexStream) -> (Tap, JoinHandle<()>) {
    let (io, mut other) = tokio::io::duplex(1 << 16);
    let link = tokio::spawn(async move {
        let _ = tokio::io::copy_bidirectional(&mut other, &mut broker).await;
    });
    (Tap::new(io, None).0, link)
}

/// Until it is back, or over.
async fn back(connection: &Connection) -> Walked {
    let mut events = connection.events();
    let mut lost = connection.is_recovering();
    while let Some(event) = events.recv().await {
        match event {
            Event::Recovering { .. } => lost = true,
            Event::Recovery(RecoveryEvent::Recovered(_)) if lost => return Ok(()),
            _ => {}
        }
    }
    Err(Failed::Over)
}
