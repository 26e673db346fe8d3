//! What a server makes of requests of every kind, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::rpc::{Failure, FailureKind, Received, Server, ServerOptions};
use amqp_connector::typed::Text;
use amqp_connector::{
    BasicGet, BasicPublish, Bytes, Channel, ConsumerEnd, FieldValue, QueueDeclare,
};
use amqp_tests::broker_test;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{SOON, WAYS, client, delete, queue, request, serve, shouted};

/// Does what the text says.
async fn obey(request: Received<String>) -> Result<String, Failure> {
    match &*request.value {
        "fail" => Err(Failure::new("as was asked").code("asked")),
        "panic" => panic!("as was asked"),
        text => Ok(text.to_uppercase()),
    }
}

async fn publish(channel: &Channel, publish: BasicPublish) {
    drop(channel.basic_publish(publish).await.unwrap());
}

#[test]
fn errors_and_panics_and_what_is_no_request_are_answered_as_errors_and_the_server_goes_on() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let options = ServerOptions::new(&queue, 1);
        let server = Server::start(&connection, options, Text, obey).await.unwrap();
        for by in WAYS {
            let client = client(&connection, by).await;
            let undecodable = BasicPublish::new("", &queue, Bytes::from_static(b"\xff"));
            for (request, kind, code) in [
                (request(&queue, "fail"), FailureKind::Handler, Some("asked")),
                (request(&queue, "panic"), FailureKind::Panic, None),
                (undecodable.into(), FailureKind::Undecodable, None),
            ] {
                let error = client.request(request).await.unwrap_err();
                let failure = error.failure().expect("the server's");
                assert_eq!((failure.kind(), failure.error_code()), (kind, code), "{failure}");
            }
            shouted(&client, &queue, "still there").await;
        }
        let report = server.shutdown(SOON).await;
        assert_eq!((report.answered, report.failed), (2, 6));
        t.await_messages(&queue, 0, 0).await;
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn replies_go_to_whoever_asks_with_the_id_that_it_gave_and_none_where_it_gave_none() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let replies = t.name("replies");
        channel.queue_declare(QueueDeclare::new(&replies)).await.unwrap();
        let options = ServerOptions::new(&queue, 1);
        let server = Server::start(&connection, options, Text, obey).await.unwrap();
        let ask = |body: &'static str| BasicPublish::new("", &queue, body).reply_to(&*replies);
        publish(&channel, ask("x").correlation_id("mine")).await;
        publish(&channel, ask("fail")).await;
        t.await_messages(&replies, 2, 0).await;
        let get = async || {
            let get = BasicGet::new(&replies).no_ack(true);
            channel.basic_get(get).await.unwrap().expect("a reply")
        };
        let reply = get().await;
        assert_eq!(reply.body.to_bytes(), "X");
        assert_eq!(
            reply.properties.correlation_id.as_ref().map(|id| id.as_bytes()),
            Some(&b"mine"[..])
        );
        assert_eq!(reply.properties.headers, None);
        let error = get().await;
        assert_eq!(error.body.to_bytes(), "as was asked");
        assert_eq!(error.properties.correlation_id, None);
        let headers = error.properties.headers.as_ref().expect("it is told by headers");
        assert_eq!(headers.get("x-rpc-error"), Some(&FieldValue::from("handler")));
        assert_eq!(headers.get("x-rpc-error-code"), Some(&FieldValue::from("asked")));
        drop(server);
        delete(&channel, &queue).await;
        delete(&channel, &replies).await;
        connection.close().await;
    });
}

#[test]
fn whatever_address_a_request_names_costs_the_server_nothing() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let server = serve(&connection, &queue).await;
        let (long, nowhere) = ("x".repeat(255), t.name("nowhere"));
        let addresses = [
            &*nowhere,
            &*long,
            "amq.rabbitmq.reply-to",
            "amq.rabbitmq.reply-to.",
            "amq.rabbitmq.reply-to.!!!",
            "amq.rabbitmq.reply-to.AAAA",
            "amq.rabbitmq.reply-to.!!!.AAAA",
            "amq.rabbitmq.reply-to.AAAA.AAAA",
            "amq.rabbitmq.reply-to.g2gCdwFhYQE=.eHh4",
        ];
        // Not by who serves: RabbitMQ takes the address as it is only if it is not the name of direct reply-to.
        for address in addresses {
            let asking = t.connect().await;
            let from = asking.channel_open().await.unwrap();
            publish(&from, BasicPublish::new("", &queue, "x").reply_to(address)).await;
            asking.close().await;
        }
        let client = client(&connection, WAYS[0]).await;
        for n in 0..10 {
            shouted(&client, &queue, &format!("n{n}")).await;
        }
        t.await_messages(&queue, 0, 0).await;
        assert!(connection.close_reason().is_none());
        let report = server.shutdown(SOON).await;
        println!("{report:?}");
        assert!(report.is_complete(), "{report:?}");
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn no_more_are_served_at_once_than_were_asked_for_and_a_shutdown_finishes_them() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0), Semaphore::new(0)));
        let counting = counts.clone();
        let handler = move |request: Received<String>| {
            let counts = counting.clone();
            async move {
                let now = counts.0.fetch_add(1, Ordering::Relaxed) + 1;
                counts.1.fetch_max(now, Ordering::Relaxed);
                counts.2.acquire().await.expect("open").forget();
                counts.0.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, Failure>(request.value)
            }
        };
        let options = ServerOptions::new(&queue, 4);
        let server = Server::start(&connection, options, Text, handler).await.unwrap();
        let client = client(&connection, WAYS[1]).await;
        let calls: Vec<_> =
            (0..10).map(|_| tokio::spawn(client.request(request(&queue, "x")))).collect();
        t.await_messages(&queue, 6, 4).await;
        let ending = tokio::spawn(server.shutdown(SOON));
        t.await_messages(&queue, 6, 4).await;
        counts.2.add_permits(10);
        let report = ending.await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((report.answered, counts.1.load(Ordering::Relaxed)), (4, 4));
        t.await_messages(&queue, 6, 0).await;
        let server = serve(&connection, &queue).await;
        for call in calls {
            timeout(SOON, call).await.expect("in time").unwrap().unwrap();
        }
        drop(server);
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn what_a_shutdown_cannot_finish_in_time_goes_back_to_its_queue() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let never = |_| std::future::pending::<Result<String, Failure>>();
        let options = ServerOptions::new(&queue, 2);
        let server = Server::start::<String, _, _, _, _, _>(&connection, options, Text, never);
        let server = server.await.unwrap();
        for _ in 0..3 {
            publish(&channel, BasicPublish::new("", &queue, "x")).await;
        }
        t.await_messages(&queue, 1, 2).await;
        let report = server.shutdown(Duration::from_millis(300)).await;
        assert_eq!((report.aborted, report.is_complete()), (2, false), "{report:?}");
        t.await_messages(&queue, 3, 0).await;
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn a_server_whose_queue_is_deleted_tells_so() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let server = serve(&connection, &queue).await;
        delete(&channel, &queue).await;
        let end = timeout(SOON, server.ended()).await.expect("in time");
        if_spec! { basic.nack => {
            assert_eq!(end, ConsumerEnd::CancelledByPeer);
        } else {
            assert!(matches!(end, ConsumerEnd::CancelledByPeer), "{end}");
        } }
        connection.close().await;
    });
}

if_spec! { confirm.select => {
    #[test]
    fn a_full_queue_refuses_requests_and_replies_and_each_is_told() {
        broker_test(async |t| {
            use amqp_connector::arguments::Overflow;
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let [queue, replies, dead] = ["queue", "replies", "dead"].map(|word| t.name(word));
            channel.queue_declare(QueueDeclare::new(&dead)).await.unwrap();
            let full = QueueDeclare::new(&replies).max_length(1).overflow(Overflow::RejectPublish);
            channel.queue_declare(full).await.unwrap();
            let declare = QueueDeclare::new(&queue).max_length(1).overflow(Overflow::RejectPublish);
            let declare = declare.dead_letter_exchange("").dead_letter_routing_key(&*dead);
            channel.queue_declare(declare).await.unwrap();
            publish(&channel, BasicPublish::new("", &queue, "first").reply_to(&*replies)).await;
            t.await_messages(&queue, 1, 0).await;
            let client = client(&connection, WAYS[0]).await;
            let error = client.request(request(&queue, "second")).await.unwrap_err();
            assert!(matches!(error, amqp_connector::rpc::CallError::Nacked), "{error:?}");

            publish(&channel, BasicPublish::new("", &replies, "in the way")).await;
            t.await_messages(&replies, 1, 0).await;
            let server = serve(&connection, &queue).await;
            t.await_messages(&dead, 1, 0).await;
            assert_eq!(server.shutdown(SOON).await.undelivered, 1);
            for queue in [&queue, &replies, &dead] {
                delete(&channel, queue).await;
            }
            connection.close().await;
        });
    }
} else {} }
