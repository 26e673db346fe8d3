//! What is lost with a channel or connection, and how a client goes on.

use std::time::Duration;

use amqp_connector::rpc::{CallError, Client, Request};
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{BasicPublish, QueueDeclare, Recovery};

use super::{Foreign, body, open, request};
use crate::recovery::{connect, lost, recovered};

/// A request to an exchange that does not exist, for which the broker closes the channel.
fn misdirected() -> Request {
    Request::new(BasicPublish::new("no-such-exchange", "", "x"))
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_ends_every_call_for_its_reason() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (_connection, client) = open(&broker).await;
    let calls: Vec<_> =
        (0..5).map(|_| tokio::spawn(client.request(request("q", "x").repeated(true)))).collect();
    for _ in 0..5 {
        drop(server.next().await);
    }
    broker.close_connections(320, "for the test");
    for call in calls {
        match call.await.expect("no panic").unwrap_err() {
            CallError::Interrupted(Some(reason)) => assert_eq!(reason.text(), "for the test"),
            other => panic!("{other:?}"),
        }
    }
    match client.request(request("q", "x")).await.unwrap_err() {
        CallError::Closed(Some(reason)) => assert_eq!(reason.text(), "for the test"),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn our_own_close_of_the_connection_ends_every_call() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open(&broker).await;
    let calling = tokio::spawn(client.request(request("q", "x")));
    drop(server.next().await);
    connection.close().await;
    let error = calling.await.expect("no panic").unwrap_err();
    assert!(matches!(error, CallError::Interrupted(_)), "{error:?}");
    let error = client.request(request("q", "x")).await.unwrap_err();
    assert!(matches!(error, CallError::Closed(Some(_))), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_a_mistaken_request_costs_is_opened_anew() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open(&broker).await;
    for _ in 0..3 {
        let calling = tokio::spawn(client.request(request("q", "x")));
        drop(server.next().await);
        let error = client.request(misdirected()).await.unwrap_err();
        assert!(
            matches!(&error, CallError::Interrupted(Some(why)) if why.text().contains("no-such"))
        );
        let error = calling.await.expect("no panic").unwrap_err();
        assert!(matches!(&error, CallError::Interrupted(Some(_))), "{error:?}");

        let served = async {
            let request = server.next().await;
            server.reply(&request, &body(&request)).await;
        };
        let (reply, ()) = tokio::join!(client.request(request("q", "again")), served);
        assert_eq!(reply.expect("a reply").body.to_bytes(), "again");
    }
    assert_eq!(broker.queues().len(), 2, "the old queues are gone");
    connection.close().await;
}

/// What is lost with the connection, and what of it is repeated.
async fn lose(repeated: bool) {
    let broker = MemoryBroker::start();
    let connection = connect(&broker, Recovery::new()).await;
    let mut events = connection.events();
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    let client = Client::open(&connection).await.expect("a client");
    let other = broker.connect().await.expect("a connection");
    let theirs = other.channel_open().await.expect("a channel");
    let calling = tokio::spawn(client.request(request("q", "before").repeated(repeated)));
    while broker.queue("q").is_none_or(|queue| queue.messages_ready == 0) {
        tokio::task::yield_now().await;
    }
    theirs.queue_purge("q").await.expect("purged");
    broker.cut();
    lost(&connection).await;
    // Made while there is no connection: it waits.
    let meanwhile = tokio::spawn(client.request(request("q", "meanwhile")));
    let report = recovered(&mut events).await;
    assert!(report.failures.is_empty(), "{report:?}");

    let mut server = Foreign::on(&broker, "q", true).await;
    for _ in 0..=usize::from(repeated) {
        let request = server.next().await;
        server.reply(&request, &body(&request)).await;
    }
    let before = calling.await.expect("no panic");
    match (repeated, before) {
        (true, Ok(reply)) => assert_eq!(reply.body.to_bytes(), "before"),
        (false, Err(CallError::Interrupted(Some(_)))) => {}
        (_, other) => panic!("{other:?}"),
    }
    let meanwhile = meanwhile.await.expect("no panic").expect("a reply");
    assert_eq!(meanwhile.body.to_bytes(), "meanwhile");
    let served = async {
        let request = server.next().await;
        server.reply(&request, &body(&request)).await;
    };
    let (reply, ()) = tokio::join!(client.request(request("q", "after")), served);
    assert_eq!(reply.expect("a reply").body.to_bytes(), "after");
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_in_flight_at_a_loss_ends_as_such_and_the_client_goes_on() {
    lose(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_to_be_repeated_is_sent_anew_after_a_loss() {
    lose(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_made_during_a_recovery_that_takes_too_long_was_not_sent() {
    let broker = MemoryBroker::start();
    let pause = Duration::from_secs(3600);
    let connection = connect(&broker, Recovery::new().backoff(pause, pause)).await;
    let client = Client::open(&connection).await.expect("a client");
    broker.cut();
    lost(&connection).await;
    let error = client.request(request("q", "x").repeated(true)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { sent: false, .. }), "{error:?}");
    connection.close().await;
}
