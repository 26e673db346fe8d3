//! Serving requests: what is answered, when a request is settled, and how a server ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::rpc::{
    CallError, Client, Failure, FailureKind, Received, Server, ServerOptions, WithoutReplyTo,
};
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::typed::{BodyCodec, CodecError, Text};
use amqp_connector::{
    BasicGet, BasicPublish, Body, Bytes, Channel, Connection, ConsumerEnd, ErrorKind, FieldTable,
    QueueDeclare, QueueDelete, Recovery, ShortStr,
};
use tokio::sync::Semaphore;

use super::{open, request};
use crate::cancellation::POLLS;
use crate::recovery::{connect, wholly_recovered};
use crate::support::{await_no_tasks, poll_and_drop};

const SECOND: Duration = Duration::from_secs(1);

/// A queue whose rejected messages go to another one, with a connection of its server's.
async fn queues(broker: &MemoryBroker) -> (Connection, Channel) {
    let connection = broker.connect().await.expect("a connection");
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("dead")).await.expect("declared");
    let short = |text: &str| ShortStr::try_from(text).expect("short");
    let arguments = FieldTable::new()
        .with(short("x-dead-letter-exchange"), "")
        .with(short("x-dead-letter-routing-key"), "dead");
    channel.queue_declare(QueueDeclare::new("q").arguments(arguments)).await.expect("declared");
    (connection, channel)
}

/// Does what the text says.
async fn obey(request: Received<String>) -> Result<String, Failure> {
    match &*request.value {
        "fail" => Err(Failure::new("as was asked").code("asked")),
        "panic" => panic!("as was asked"),
        text => Ok(text.to_uppercase()),
    }
}

async fn start(connection: &Connection) -> Server {
    Server::start(connection, ServerOptions::new("q", 3), Text, obey).await.expect("started")
}

/// The messages of a queue: ready ones, and unsettled ones.
fn messages(broker: &MemoryBroker, queue: &str) -> (usize, usize) {
    let queue = broker.queue(queue).expect("there");
    (queue.messages_ready, queue.unacknowledged)
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn publish(channel: &Channel, publish: BasicPublish) {
    drop(channel.basic_publish(publish).await.expect("accepted"));
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_and_the_handler_sees_how_they_came() {
    let broker = MemoryBroker::start();
    let (connection, _channel) = queues(&broker).await;
    let handler = |request: Received<String>| async move {
        assert_eq!((&*request.exchange.to_string(), request.redelivered), ("", false));
        let kind = request.properties.r#type.map(|kind| kind.to_string()).unwrap_or_default();
        Ok::<_, Failure>(format!("{} {kind} {}", request.value, request.routing_key))
    };
    let options = ServerOptions::new("q", 3).tag("server");
    let server = Server::start(&connection, options, Text, handler).await.expect("started");
    let (other, client) = open(&broker).await;
    let message = BasicPublish::encoded("", "q", &Text, &"a".to_owned()).expect("text");
    let message = message.message_type("kind");
    let reply = client.request(amqp_connector::rpc::Request::new(message)).await.expect("a reply");
    assert_eq!(reply.decode::<String, _>(&Text).expect("text"), "a kind q");
    let content_type = reply.properties.content_type.expect("the codec's");
    assert_eq!(content_type.as_str(), Ok("text/plain; charset=utf-8"));
    settle().await;
    assert_eq!((messages(&broker, "q"), server.report().answered), ((0, 0), 1));
    other.close().await;
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_and_what_is_no_request_are_answered_as_errors_and_the_server_goes_on() {
    let broker = MemoryBroker::start();
    let (connection, _channel) = queues(&broker).await;
    let server = start(&connection).await;
    let (other, client) = open(&broker).await;
    let undecodable = BasicPublish::new("", "q", Bytes::from_static(b"\xff"));
    for round in 1..=3 {
        for (request, kind, code) in [
            (request("q", "fail"), FailureKind::Handler, Some("asked")),
            (request("q", "panic"), FailureKind::Panic, None),
            (undecodable.clone().into(), FailureKind::Undecodable, None),
        ] {
            let error = client.request(request).await.unwrap_err();
            let failure = error.failure().expect("the server's");
            assert_eq!((failure.kind(), failure.error_code()), (kind, code), "{failure}");
            assert!(error.may_have_been_served());
        }
        let reply: String = client.call("q", &"x".to_owned()).await.expect("a reply");
        let report = server.report();
        assert_eq!((&*reply, report.failed, report.answered), ("X", 3 * round, round));
    }
    settle().await;
    assert_eq!((messages(&broker, "q"), messages(&broker, "dead")), ((0, 0), (0, 0)));
    other.close().await;
    connection.close().await;
}

/// Text that it can read and not write.
struct ReadOnly;

impl BodyCodec<String> for ReadOnly {
    fn content_type(&self) -> Option<&str> {
        None
    }

    fn encode(&self, value: &String) -> Result<Bytes, CodecError> {
        match &**value {
            "PANIC" => panic!("the codec's"),
            _ => Err(CodecError::encode("it is read-only")),
        }
    }

    fn decode(&self, body: &Body, content_type: Option<&str>) -> Result<String, CodecError> {
        Text.decode(body, content_type)
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_codec_cannot_encode_and_a_panic_of_it_are_answered_as_errors() {
    let broker = MemoryBroker::start();
    let (connection, _channel) = queues(&broker).await;
    let upper =
        |request: Received<String>| async move { Ok::<_, Failure>(request.value.to_uppercase()) };
    let options = ServerOptions::new("q", 1);
    let server = Server::start(&connection, options, ReadOnly, upper).await.expect("started");
    let (other, client) = open(&broker).await;
    for (body, kind) in [("x", FailureKind::Unencodable), ("panic", FailureKind::Panic)] {
        let error = client.request(request("q", body)).await.unwrap_err();
        assert_eq!(error.failure().expect("the server's").kind(), kind);
    }
    other.close().await;
    drop(server);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_served_at_once_than_were_asked_for_and_each_is_settled_after_its_reply()
 {
    let broker = MemoryBroker::start();
    let (connection, _channel) = queues(&broker).await;
    let (gate, most) =
        (Arc::new(Semaphore::new(0)), Arc::new((AtomicUsize::new(0), AtomicUsize::new(0))));
    let (doors, counts) = (gate.clone(), most.clone());
    let handler = move |request: Received<String>| {
        let (doors, counts) = (doors.clone(), counts.clone());
        async move {
            let now = counts.0.fetch_add(1, Ordering::Relaxed) + 1;
            counts.1.fetch_max(now, Ordering::Relaxed);
            doors.acquire().await.expect("open").forget();
            counts.0.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, Failure>(request.value)
        }
    };
    let options = ServerOptions::new("q", 3);
    let server = Server::start(&connection, options, Text, handler).await.expect("started");
    let (other, client) = open(&broker).await;
    let calls: Vec<_> =
        (0..10).map(|n| tokio::spawn(client.request(request("q", &n.to_string())))).collect();
    settle().await;
    assert_eq!((messages(&broker, "q"), most.0.load(Ordering::Relaxed)), ((7, 3), 3));
    gate.add_permits(10);
    for (n, call) in calls.into_iter().enumerate() {
        let reply = call.await.expect("no panic").expect("a reply");
        assert_eq!(reply.body.to_bytes(), n.to_string());
    }
    settle().await;
    assert_eq!((messages(&broker, "q"), most.1.load(Ordering::Relaxed)), ((0, 0), 3));
    assert_eq!(server.report().answered, 10);
    other.close().await;
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn requests_without_an_address_are_served_and_rejected_where_that_fails() {
    let broker = MemoryBroker::start();
    let (connection, channel) = queues(&broker).await;
    let server = start(&connection).await;
    for body in [&b"one"[..], b"fail", b"panic", b"\xff", b"two"] {
        publish(&channel, BasicPublish::new("", "q", Bytes::from_static(body))).await;
    }
    publish(&channel, BasicPublish::new("", "q", "three").reply_to("")).await;
    settle().await;
    let report = server.report();
    assert_eq!((report.one_way, report.rejected, report.answered, report.failed), (3, 3, 0, 0));
    assert_eq!((messages(&broker, "q"), messages(&broker, "dead")), ((0, 0), (3, 0)));
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn requests_without_an_address_are_rejected_where_that_is_asked_for() {
    let broker = MemoryBroker::start();
    let (connection, channel) = queues(&broker).await;
    let options = ServerOptions::new("q", 1).without_reply_to(WithoutReplyTo::Reject);
    let server = Server::start(&connection, options, Text, obey).await.expect("started");
    publish(&channel, BasicPublish::new("", "q", "panic")).await;
    settle().await;
    assert_eq!((server.report().rejected, messages(&broker, "dead")), (1, (1, 0)));
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_nobody_gets_costs_the_server_nothing() {
    let broker = MemoryBroker::start();
    let (connection, channel) = queues(&broker).await;
    let server = start(&connection).await;
    publish(&channel, BasicPublish::new("", "q", "x").reply_to("nowhere")).await;
    let (other, client) = open(&broker).await;
    let reply: String = client.call("q", &"x".to_owned()).await.expect("a reply");
    assert_eq!(reply, "X");
    settle().await;
    assert_eq!((server.report().answered, messages(&broker, "q")), (2, (0, 0)));
    if_spec! { confirm.select => {
        assert_eq!(server.report().undelivered, 1);
    } else {} }
    other.close().await;
    connection.close().await;
}

if_spec! { confirm.select => {
    #[tokio::test(start_paused = true)]
    async fn a_request_whose_reply_the_broker_refuses_is_dead_lettered_and_so_is_known() {
        let broker = MemoryBroker::start();
        let (connection, channel) = queues(&broker).await;
        channel.queue_declare(QueueDeclare::new("replies")).await.expect("declared");
        let gate = Arc::new(Semaphore::new(0));
        let doors = gate.clone();
        let handler = move |_: Received<String>| {
            let doors = doors.clone();
            async move {
                doors.acquire().await.expect("open").forget();
                Ok::<_, Failure>(String::new())
            }
        };
        let options = ServerOptions::new("q", 1);
        let server = Server::start(&connection, options, Text, handler).await.expect("started");
        publish(&channel, BasicPublish::new("", "q", "x").reply_to("replies")).await;
        settle().await;
        broker.refuse_publishes();
        gate.add_permits(1);
        settle().await;
        broker.accept_publishes();
        assert_eq!((server.report().undelivered, messages(&broker, "q")), (1, (0, 0)));
        // Where dead letters are taken: the broker refuses these, too, while it refuses all.
        drop(server);
        connection.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_the_broker_refuses_fails_its_call() {
        let broker = MemoryBroker::start();
        let (connection, _channel) = queues(&broker).await;
        let (other, client) = open(&broker).await;
        broker.refuse_publishes();
        let error = client.request(request("q", "x")).await.unwrap_err();
        assert!(matches!(error, CallError::Nacked), "{error:?}");
        broker.accept_publishes();
        other.close().await;
        connection.close().await;
    }
} else {} }

/// A server whose handler waits for ever if it is told so, with three requests taken and two waiting.
async fn busy(broker: &MemoryBroker) -> (Connection, Server, Arc<Semaphore>) {
    let (connection, channel) = queues(broker).await;
    let gate = Arc::new(Semaphore::new(0));
    let doors = gate.clone();
    let handler = move |request: Received<String>| {
        let doors = doors.clone();
        async move {
            doors.acquire().await.expect("open").forget();
            Ok::<_, Failure>(request.value)
        }
    };
    let options = ServerOptions::new("q", 3);
    let server = Server::start(&connection, options, Text, handler).await.expect("started");
    channel.queue_declare(QueueDeclare::new("replies")).await.expect("declared");
    for n in 0..5 {
        let message = BasicPublish::new("", "q", n.to_string()).reply_to("replies");
        publish(&channel, message).await;
    }
    settle().await;
    assert_eq!(messages(broker, "q"), (2, 3));
    (connection, server, gate)
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_finishes_what_was_begun_and_leaves_the_rest() {
    let broker = MemoryBroker::start();
    let (connection, server, gate) = busy(&broker).await;
    let ending = tokio::spawn(server.shutdown(10 * SECOND));
    settle().await;
    gate.add_permits(5);
    let report = ending.await.expect("no panic");
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.answered, report.aborted), (3, 0));
    assert_eq!((messages(&broker, "q"), messages(&broker, "replies")), ((2, 0), (3, 0)));
    assert_eq!(connection.channel_count(), 0);
    connection.close().await;
    await_no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_shutdown_cannot_finish_in_time_goes_back() {
    let broker = MemoryBroker::start();
    let (connection, server, gate) = busy(&broker).await;
    gate.add_permits(1);
    settle().await;
    let report = server.shutdown(2 * SECOND).await;
    assert!(!report.is_complete(), "{report:?}");
    assert_eq!((report.answered, report.aborted), (1, 3));
    settle().await;
    assert_eq!((messages(&broker, "q"), messages(&broker, "replies")), ((4, 0), (1, 0)));
    connection.close().await;
    await_no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_dropped_gives_back_what_it_has_and_leaves_nothing() {
    let broker = MemoryBroker::start();
    let (connection, server, _gate) = busy(&broker).await;
    drop(server);
    settle().await;
    assert_eq!((messages(&broker, "q"), connection.channel_count()), ((5, 0), 0));
    connection.close().await;
    await_no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_tells_of_its_end() {
    let broker = MemoryBroker::start();
    let (connection, channel) = queues(&broker).await;
    let server = start(&connection).await;
    channel.queue_delete(QueueDelete::new("q")).await.expect("deleted");
    assert_eq!(server.ended().await, ConsumerEnd::CancelledByPeer);
    assert!(server.shutdown(SECOND).await.is_complete());

    channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
    let server = start(&connection).await;
    broker.close_connections(320, "for the test");
    match server.ended().await {
        ConsumerEnd::Closed(reason) => assert_eq!(reason.text(), "for the test"),
        other => panic!("{other:?}"),
    }
    let report = server.shutdown(SECOND).await;
    assert!(report.consumer.closed.is_some(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_goes_on_when_its_connection_comes_back() {
    let broker = MemoryBroker::start();
    let connection = connect(&broker, Recovery::new()).await;
    let mut events = connection.events();
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    let server = start(&connection).await;
    for round in 0..3 {
        let (other, client) = open(&broker).await;
        let reply: String = client.call("q", &"x".to_owned()).await.expect("a reply");
        assert_eq!(reply, "X", "{round}");
        other.close().await;
        broker.cut();
        wholly_recovered(&mut events).await;
    }
    assert_eq!(server.report().answered, 3);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_started_leaves_nothing() {
    let broker = MemoryBroker::start();
    let (connection, _channel) = queues(&broker).await;
    let error = Server::start(&connection, ServerOptions::new("q", 0), Text, obey).await;
    assert_eq!(error.expect_err("refused").kind(), ErrorKind::Invalid);
    let error = Server::start(&connection, ServerOptions::new("nowhere", 1), Text, obey).await;
    assert_eq!(error.expect_err("refused").kind(), ErrorKind::ChannelClosed);
    settle().await;
    assert_eq!(connection.channel_count(), 1);
    connection.close().await;
    await_no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn the_futures_of_a_server_can_be_dropped() {
    for polls in 0..4 * POLLS {
        let broker = MemoryBroker::start();
        let (connection, channel) = queues(&broker).await;
        publish(&channel, BasicPublish::new("", "q", "x")).await;
        let options = || ServerOptions::new("q", 1).without_reply_to(WithoutReplyTo::Serve);
        let starting = Server::start(&connection, options(), Text, obey);
        drop(poll_and_drop(polls, starting).await);
        settle().await;
        assert_eq!(connection.channel_count(), 1, "{polls}");

        let server = start(&connection).await;
        assert!(poll_and_drop(polls, server.ended()).await.is_none());
        drop(poll_and_drop(polls, server.shutdown(SECOND)).await);
        settle().await;
        assert_eq!(connection.channel_count(), 1, "{polls}");
        let got = channel.basic_get(BasicGet::new("q").no_ack(true)).await.expect("got");
        assert!(got.is_none() || polls == 0, "{polls}: it was served");
        connection.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_call_others_and_pass_on_what_they_say() {
    let broker = MemoryBroker::start();
    let (connection, channel) = queues(&broker).await;
    channel.queue_declare(QueueDeclare::new("front")).await.expect("declared");
    let back = start(&connection).await;
    let inner = Client::open(&connection).await.expect("a client").codec(Text);
    let handler = move |request: Received<String>| {
        let inner = inner.clone();
        async move {
            let asked: Result<String, CallError> = inner.call("q", &request.value).await;
            asked.map_err(|error| match error {
                CallError::Failed(failure) => failure,
                other => Failure::new(other.to_string()),
            })
        }
    };
    let options = ServerOptions::new("front", 2);
    let front = Server::start(&connection, options, Text, handler).await.expect("started");
    let (other, client) = open(&broker).await;
    let reply: String = client.call("front", &"x".to_owned()).await.expect("a reply");
    assert_eq!(reply, "X");
    let error = client.request(request("front", "panic")).await.unwrap_err();
    // It is the front's own error, wherever it comes from.
    assert_eq!(error.failure().expect("a failure").kind(), FailureKind::Handler);
    other.close().await;
    drop((front, back));
    connection.close().await;
}
