//! Calls and how they end, on a connection that lives.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::rpc::{CallError, Client, ClientOptions, DroppedReplies, FailureKind, Request};
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::testing::leftovers;
use amqp_connector::typed::Text;
use amqp_connector::{BasicPublish, ErrorKind, FieldTable, QueueDeclare, QueueDelete, ShortStr};
use tokio::time::Instant;

use super::{Foreign, body, open, open_with, request};
use crate::cancellation::POLLS;
use crate::support::{await_no_tasks, poll_and_drop};

const SECOND: Duration = Duration::from_secs(1);

fn counted(late: u64, unknown: u64) -> impl Fn(DroppedReplies) -> bool {
    move |dropped| (dropped.late, dropped.unknown) == (late, unknown)
}

/// Lets the client's task do what it can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn replies_find_their_calls_in_whatever_order_they_come() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open(&broker).await;
    let calls: Vec<_> = (0..10)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.call::<_, _, String>("q", &n.to_string()).await })
        })
        .collect();
    let mut requests = Vec::new();
    for _ in 0..10 {
        requests.push(server.next().await);
    }
    assert_eq!(client.in_flight(), 10);
    for request in requests.iter().rev() {
        server.reply(request, &format!("{}!", body(request))).await;
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.expect("no panic").expect("a reply"), format!("{n}!"));
    }
    assert_eq!(client.in_flight(), 0);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_says_what_a_server_of_whatever_make_needs_to_know() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open(&broker).await;
    let message = BasicPublish::encoded("", "q", &Text, &"x".to_owned()).expect("text");
    let call = client.call_with::<String>(Request::new(message.priority(3)).within(SECOND));
    let served = async {
        let request = server.next().await;
        let properties = &request.properties;
        let text = |it: &Option<ShortStr>| it.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_eq!(text(&properties.content_type), "text/plain; charset=utf-8");
        assert_eq!(properties.priority, Some(3));
        assert_eq!(text(&properties.expiration), "1000");
        assert!(text(&properties.reply_to).starts_with("rpc.reply."), "{properties:?}");
        assert!(text(&properties.correlation_id).len() >= 32, "{properties:?}");
        server.reply(&request, "y").await;
    };
    let (reply, ()) = tokio::join!(call, served);
    assert_eq!(reply.expect("a reply"), "y");

    let options = ClientOptions::new().expire(false);
    let (another, client) = open_with(&broker, options).await;
    let call = client.call::<_, _, String>("q", &"x".to_owned());
    let served = async {
        let request = server.next().await;
        assert_eq!(request.properties.expiration, None);
        server.reply(&request, "y").await;
    };
    let _ = tokio::join!(call, served);
    another.close().await;
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_no_queue_takes_fails_its_own_call_at_once() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open(&broker).await;
    let begun = Instant::now();
    let lost = async {
        let error = client.call::<_, _, String>("nowhere", &"x".to_owned()).await.unwrap_err();
        assert!(matches!(&error, CallError::Unroutable(back) if back.routing_key == "nowhere"));
        assert!(!error.may_have_been_served());
    };
    let served = async {
        let request = server.next().await;
        server.reply(&request, "served").await;
    };
    let (reply, (), ()) = tokio::join!(client.request(request("q", "x")), served, lost);
    assert_eq!(reply.expect("a reply").body.to_bytes(), "served");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_reply_ends_at_its_deadline_and_its_reply_is_late() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open_with(&broker, ClientOptions::new().timeout(3 * SECOND)).await;
    let begun = Instant::now();
    let error = client.request(request("q", "x").within(2 * SECOND)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { sent: true, .. }), "{error:?}");
    assert_eq!(begun.elapsed(), 2 * SECOND);
    let error = client.request(request("q", "x")).await.unwrap_err();
    assert_eq!(error.to_string(), "no reply came within 3s");
    assert_eq!((begun.elapsed(), client.in_flight()), (5 * SECOND, 0));

    let late = server.next().await;
    server.reply(&late, "late").await;
    let (reply_to, id) = (late.properties.reply_to.clone().expect("an address"), "elsewhere");
    server.publish(reply_to.clone(), ShortStr::try_from(id).ok(), "not ours").await;
    server.publish(reply_to, None, "of nothing").await;
    settle().await;
    assert!(counted(1, 2)(client.dropped_replies()), "{:?}", client.dropped_replies());
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_expires_with_its_deadline_and_is_not_served_late() {
    let broker = MemoryBroker::start();
    let (connection, client) = open(&broker).await;
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
    let error = client.request(request("q", "dead").within(SECOND)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { sent: true, .. }), "{error:?}");
    let mut server = Foreign::of(&broker, "q").await;
    let served = async {
        let request = server.next().await;
        assert_eq!(body(&request), "alive");
        server.reply(&request, "").await;
    };
    let (reply, ()) = tokio::join!(client.request(request("q", "alive")), served);
    reply.expect("a reply");
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_reply_to_the_same_call_is_dropped() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open(&broker).await;
    let served = async {
        let request = server.next().await;
        for body in ["one", "two", "three"] {
            server.reply(&request, body).await;
        }
    };
    let (reply, ()) = tokio::join!(client.request(request("q", "x")), served);
    assert_eq!(reply.expect("a reply").body.to_bytes(), "one");
    settle().await;
    assert!(counted(2, 0)(client.dropped_replies()), "{:?}", client.dropped_replies());
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_servers_error_is_no_reply_and_an_undecodable_reply_is_handed_over() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open(&broker).await;
    let served = async {
        let request = server.next().await;
        let short = |text: &str| ShortStr::try_from(text).expect("short");
        let headers = FieldTable::new()
            .with(short("x-rpc-error"), "handler")
            .with(short("x-rpc-error-code"), "not-found");
        let reply_to = request.properties.reply_to.clone().expect("an address");
        let id = request.properties.correlation_id.clone().expect("an id");
        let reply = BasicPublish::new("", reply_to, "no such thing");
        let reply = reply.correlation_id(id).headers(headers);
        drop(server.channel.basic_publish(reply).await.expect("accepted"));
    };
    let call = client.call::<_, _, String>("q", &"x".to_owned());
    let (failed, ()) = tokio::join!(call, served);
    let error = failed.unwrap_err();
    let failure = error.failure().expect("the server's");
    assert_eq!((failure.kind(), failure.error_code()), (FailureKind::Handler, Some("not-found")));
    assert_eq!(failure.message(), "no such thing");

    let served = async {
        let request = server.next().await;
        let reply_to = request.properties.reply_to.clone().expect("an address");
        let id = request.properties.correlation_id.clone().expect("an id");
        let reply = BasicPublish::new("", reply_to, "{}").content_type("application/json");
        drop(server.channel.basic_publish(reply.correlation_id(id)).await.expect("accepted"));
    };
    let call = client.call::<_, _, String>("q", &"x".to_owned());
    let (undecodable, ()) = tokio::join!(call, served);
    match undecodable.unwrap_err() {
        CallError::Undecodable { reply, error, .. } => {
            assert!(error.is_content_type());
            assert_eq!(reply.body.to_bytes(), "{}");
        }
        other => panic!("{other:?}"),
    }
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_fails_before_anything_is_sent() {
    let broker = MemoryBroker::start();
    let (connection, client) = open(&broker).await;
    let error = client.call::<_, _, String>("q".repeat(300), &"x".to_owned()).await.unwrap_err();
    match error {
        CallError::NotSent(error) => assert_eq!(error.kind(), ErrorKind::Invalid),
        other => panic!("{other:?}"),
    }
    connection.close().await;
}

if_spec! { connection.blocked => {
    #[tokio::test(start_paused = true)]
    async fn a_block_that_outlasts_the_deadline_leaves_the_request_unsent() {
        let broker = MemoryBroker::start();
        let (connection, client) = open(&broker).await;
        broker.block("no room");
        // The broker tells whoever publishes.
        let error = client.request(request("nowhere", "x")).await.unwrap_err();
        assert!(matches!(error, CallError::Timeout { sent: true, .. }), "{error:?}");
        assert!(connection.is_blocked());
        let error = client.request(request("nowhere", "x").within(SECOND)).await.unwrap_err();
        assert!(matches!(error, CallError::Timeout { sent: false, .. }), "{error:?}");
        broker.unblock();
        let error = client.request(request("nowhere", "x")).await.unwrap_err();
        assert!(matches!(error, CallError::Unroutable(_)), "{error:?}");
        connection.close().await;
    }
} else {} }

#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped() {
    for polls in 0..POLLS {
        let broker = MemoryBroker::start();
        let mut server = Foreign::of(&broker, "q").await;
        let (connection, client) = open(&broker).await;
        assert!(poll_and_drop(polls, client.request(request("q", "x"))).await.is_none());
        assert!(
            poll_and_drop(polls, client.call_with::<String>(request("q", "x"))).await.is_none()
        );
        let call = client.call::<_, _, String>("q", &"x".to_owned());
        assert!(poll_and_drop(polls, call).await.is_none());
        assert_eq!(client.in_flight(), 0, "{polls}");
        // Another call on the same client is not disturbed.
        let served = async {
            loop {
                let request = server.next().await;
                server.reply(&request, &body(&request)).await;
                if body(&request) == "last" {
                    return;
                }
            }
        };
        let (reply, ()) = tokio::join!(client.request(request("q", "last")), served);
        assert_eq!(reply.expect("a reply").body.to_bytes(), "last", "{polls}");
        connection.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn opening_a_client_can_be_dropped_and_leaves_nothing() {
    for polls in 0..4 * POLLS {
        let broker = MemoryBroker::start();
        let connection = broker.connect().await.expect("a connection");
        let opened = poll_and_drop(polls, Client::open(&connection)).await;
        drop(opened);
        settle().await;
        assert_eq!(connection.channel_count(), 0, "{polls}");
        assert!(broker.queues().is_empty(), "{polls}: {:?}", broker.queues());
        drop(poll_and_drop(polls, Client::open_with(&connection, ClientOptions::new())).await);
        settle().await;
        assert!(broker.queues().is_empty(), "{polls}: {:?}", broker.queues());
        connection.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_client_that_is_dropped() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open(&broker).await;
    let calling = tokio::spawn(client.request(request("q", "x")));
    let asked = server.next().await;
    drop(client);
    settle().await;
    // The call keeps what it needs.
    server.reply(&asked, "y").await;
    assert_eq!(calling.await.expect("no panic").expect("a reply").body.to_bytes(), "y");
    settle().await;
    assert_eq!(connection.channel_count(), 0);
    assert_eq!(broker.queues().len(), 1, "the server's");
    drop(server);
    connection.close().await;
    assert_eq!(leftovers(&connection).channels, 0);
    await_no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn closing_a_client_ends_its_calls_and_leaves_nothing() {
    for polls in [None, Some(0), Some(1), Some(3), Some(30)] {
        let broker = MemoryBroker::start();
        let mut server = Foreign::of(&broker, "q").await;
        let (connection, client) = open(&broker).await;
        let calling = tokio::spawn(client.request(request("q", "x")));
        drop(server.next().await);
        match polls {
            None => client.close().await.expect("closed"),
            Some(0) => {
                assert!(poll_and_drop(0, client.close()).await.is_none());
                client.close().await.expect("closed");
            }
            Some(polls) => drop(poll_and_drop(polls, client.close()).await),
        }
        let error = calling.await.expect("no panic").unwrap_err();
        assert!(matches!(error, CallError::Interrupted(None)), "{polls:?}: {error:?}");
        let error = client.request(request("q", "x")).await.unwrap_err();
        assert!(matches!(error, CallError::Closed(_)), "{polls:?}: {error:?}");
        assert!(!error.may_have_been_served());
        client.close().await.expect("closed again");
        settle().await;
        assert_eq!(connection.channel_count(), 0);
        assert_eq!(broker.queues().len(), 1, "{polls:?}");
        connection.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_queue_that_somebody_deletes_costs_the_calls_in_flight_and_is_made_anew() {
    let broker = MemoryBroker::start();
    let mut server = Foreign::of(&broker, "q").await;
    let (connection, client) = open(&broker).await;
    let calling = tokio::spawn(client.request(request("q", "x")));
    let asked = server.next().await;
    let address = asked.properties.reply_to.clone().expect("an address");
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_delete(QueueDelete::new(&address)).await.expect("deleted");
    let error = calling.await.expect("no panic").unwrap_err();
    assert!(matches!(error, CallError::Interrupted(None)), "{error:?}");
    let served = async {
        let request = server.next().await;
        assert_ne!(request.properties.reply_to, Some(address));
        server.reply(&request, "y").await;
    };
    let (reply, ()) = tokio::join!(client.request(request("q", "x")), served);
    assert_eq!(reply.expect("a reply").body.to_bytes(), "y");
    connection.close().await;
}
