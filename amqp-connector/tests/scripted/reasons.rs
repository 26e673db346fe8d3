//! One immutable reason: every handle, waiter and outcome of what ended has the very same value.

use std::sync::Arc;

use amqp_connector::protocol::{Method, basic, channel, queue};
use amqp_connector::testing::{Event, Peer};
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, CloseReason, Confirmation, Connection, ConsumerEnd, Error,
    Outcome, Prefetch, QueueDeclare, Scope, UnknownReason,
};

use crate::support::{channel as open_channel, resolves};

/// Begins one of everything that can wait on a channel, ends it by `end`, and compares what each was told.
async fn everybody_gets_the_same(end: impl AsyncFnOnce(&Connection, &Channel, &mut Peer)) {
    let (connection, channel, mut peer) = open_channel().await;
    let id = channel.id();
    let mut consumer = {
        let consume = channel.basic_consume(BasicConsume::new("q", Prefetch::Count(9)).tag("c"));
        let script = async {
            peer.expect_on::<basic::Qos>(id).await;
            peer.send(id, basic::QosOk::default()).await;
            peer.expect_on::<basic::Consume>(id).await;
            let consumer_tag = "c".try_into().expect("short");
            peer.send(id, basic::ConsumeOk { consumer_tag }).await;
        };
        tokio::join!(consume, script).0.expect("a consumer")
    };
    let confirmation = unconfirmed(&channel, &mut peer).await;
    let calls = [0, 1].map(|_| tokio::spawn(channel.queue_declare(QueueDeclare::new("q"))));
    for _ in &calls {
        peer.expect_on::<queue::Declare>(id).await;
    }
    let returned = tokio::spawn({
        let channel = channel.clone();
        async move { channel.returned().await }
    });
    let closed = tokio::spawn({
        let channel = channel.clone();
        async move { channel.closed().await }
    });
    tokio::task::yield_now().await;

    end(&connection, &channel, &mut peer).await;

    let reason: Arc<CloseReason> = resolves("closed", closed).await.expect("no panic");
    let same = |what: &str, other: &CloseReason| {
        assert!(std::ptr::eq(Arc::as_ptr(&reason), other), "{what}: {other} is not {reason}");
    };
    let error = |what: &str, error: &Error| same(what, error.close_reason().expect(what));
    for call in calls {
        let failed = resolves("a call", call).await.expect("no panic");
        error("a call", &failed.expect_err("closed"));
    }
    let failed = resolves("returned", returned).await.expect("no panic");
    error("returned", &failed.expect_err("closed"));
    assert!(resolves("recv", consumer.recv()).await.is_none());
    match consumer.end() {
        Some(ConsumerEnd::Closed(end)) => same("the consumer", end),
        other => panic!("{other:?}"),
    }
    if let Some(confirmation) = confirmation {
        match resolves("the outcome", confirmation).await {
            Outcome::Unknown(UnknownReason::Closed(end)) => same("the outcome", &end),
            other => panic!("{other:?}"),
        }
    }
    same("the channel", &channel.close_reason().expect("closed"));
    let late = channel.queue_declare(QueueDeclare::new("q")).await;
    error("a late call", &late.expect_err("closed"));
    let late = channel.try_basic_publish(BasicPublish::new("", "q", "x"));
    error("a late publish", &late.expect_err("closed"));
    if reason.scope() == Scope::Connection {
        same("the connection", &connection.close_reason().expect("closed"));
        same("its end", &*resolves("closed", connection.closed()).await);
        error("opening", &connection.channel_open().await.expect_err("closed"));
    } else {
        assert!(connection.close_reason().is_none());
    }
}

/// A publish that is not confirmed, where the specification has confirms.
async fn unconfirmed(channel: &Channel, peer: &mut Peer) -> Option<Confirmation> {
    amqp_connector::amqp_types::if_spec! { confirm.select => {
        use amqp_connector::protocol::confirm;
        let id = channel.id();
        let script = async {
            peer.expect_on::<confirm::Select>(id).await;
            peer.send(id, confirm::SelectOk::default()).await;
        };
        tokio::join!(channel.confirm_select(), script).0.expect("confirm mode");
        let publish = channel.basic_publish(BasicPublish::new("", "q", "x"));
        let confirmation = publish.await.expect("accepted");
        peer.expect_content::<basic::Publish>(id).await;
        Some(confirmation)
    } else {
        let _ = (channel, peer);
        None
    } }
}

#[tokio::test(start_paused = true)]
async fn of_a_channel_that_the_peer_closes() {
    everybody_gets_the_same(async |_, channel, peer| {
        peer.close_channel(channel.id(), 406, "PRECONDITION_FAILED").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn of_a_channel_that_the_user_closes() {
    everybody_gets_the_same(async |_, channel, peer| {
        let close = channel.close();
        tokio::join!(close, answer_close(channel.id(), peer)).0.expect("closed");
    })
    .await;
}

/// Answers the channel's close, whatever comes before it.
async fn answer_close(id: u16, peer: &mut Peer) {
    loop {
        match peer.next().await.expect("frames") {
            Event::Method { method: Method::Channel(channel::Method::Close(_)), .. } => break,
            Event::End => panic!("no close came"),
            _ => {}
        }
    }
    peer.send(id, channel::CloseOk::default()).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_connection_that_the_peer_closes() {
    everybody_gets_the_same(async |_, _, peer| {
        peer.close_connection(320, "CONNECTION_FORCED").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn of_a_connection_that_is_aborted() {
    everybody_gets_the_same(async |connection, _, _| connection.abort()).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_connection_whose_transport_ends() {
    everybody_gets_the_same(async |_, _, peer| {
        let (_, unconnected) = Peer::new();
        std::mem::replace(peer, unconnected).cut();
    })
    .await;
}
