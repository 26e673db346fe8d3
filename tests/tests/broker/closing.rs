//! How connections end: by us, by the broker, by dropping everything. Nothing is ever left.

use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicPublish, ConsumerEnd, ErrorKind, Initiator, Prefetch, QueueDeclare, Scope,
    protocol,
};
use amqp_tests::broker_test;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn close_is_idempotent_and_gives_the_first_reason() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let reason = connection.close().await;
        assert_eq!(reason.initiator(), Initiator::Application);
        assert_eq!(reason.scope(), Scope::Connection);
        let again = connection.close().await;
        assert!(std::sync::Arc::ptr_eq(&reason, &again));
        let error = channel.queue_declare(QueueDeclare::new("")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        assert_eq!(
            connection.channel_open().await.unwrap_err().kind(),
            ErrorKind::ConnectionClosed
        );
    });
}

#[test]
fn everything_published_before_close_arrives() {
    broker_test(async |t| {
        let queue = t.name("queue");
        let keeper = t.connect().await;
        let channel = keeper.channel_open().await.unwrap();
        channel.queue_declare(QueueDeclare::new(&queue).durable(true)).await.unwrap();

        let connection = t.connect().await;
        let publisher = connection.channel_open().await.unwrap();
        for _ in 0..500 {
            let message = BasicPublish::new("", &queue, vec![7; 2000]);
            drop(publisher.basic_publish(message).await.unwrap());
        }
        connection.close_within(SOON).await;
        let deleted = channel.queue_delete(amqp_connector::QueueDelete::new(&queue)).await.unwrap();
        assert_eq!(deleted.message_count, 500);
        keeper.close().await;
    });
}

#[test]
fn dropping_every_handle_closes_the_connection() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let consumer =
            channel.basic_consume(BasicConsume::new(&queue, Prefetch::Count(1))).await.unwrap();
        drop(connection);
        drop(channel);
        drop(consumer);
        // The fixture sees to it that no task, socket or connection is left.
    });
}

#[test]
fn channel_keeps_its_connection() {
    broker_test(async |t| {
        let channel = t.connect().await.channel_open().await.unwrap();
        channel.queue_declare(QueueDeclare::new("").exclusive(true)).await.unwrap();
    });
}

#[test]
fn dropping_the_steps_before_a_connection_leaves_nothing() {
    broker_test(async |t| {
        drop(t.connector().connect());
        drop(t.connector().connect().await.unwrap());
        let greeted = t.connector().connect().await.unwrap();
        // Given up midway, and it may be anywhere.
        for micros in [0, 200, 1000, 3000] {
            let connecting = async {
                let greeted = t.connector().connect().await.unwrap();
                greeted.authenticate("guest", "guest").await.unwrap()
            };
            drop(timeout(Duration::from_micros(micros), connecting).await);
        }
        drop(greeted);
    });
}

#[test]
fn abort_leaves_nothing() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        connection.abort();
        let reason = connection.closed().await;
        assert_eq!(reason.initiator(), Initiator::Application);
        assert_eq!(channel.close().await.ok(), Some(()));
    });
}

#[test]
fn broker_that_closes_the_connection_tells_every_waiter_why() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let mut consumer =
            channel.basic_consume(BasicConsume::new(&queue, Prefetch::Count(1))).await.unwrap();
        t.close_connections("time to go").await.unwrap();
        let reason = timeout(SOON, connection.closed()).await.unwrap();
        assert_eq!(reason.code().map(|code| code.0), Some(320), "{reason}");
        assert_eq!(reason.initiator(), Initiator::Peer);
        assert!(reason.text().contains("time to go"), "{reason}");

        assert!(timeout(SOON, consumer.recv()).await.unwrap().is_none());
        assert!(matches!(consumer.end(), Some(ConsumerEnd::Closed(_))), "{consumer:?}");
        let error = channel.queue_declare(QueueDeclare::new("")).await.unwrap_err();
        assert_eq!(error.close_reason().unwrap().code().map(|code| code.0), Some(320));
        assert!(error.is_transient());
    });
}

#[test]
fn hard_error_closes_the_connection_and_names_the_method() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        // RabbitMQ does not do `immediate` (540).
        let message = BasicPublish::new("", t.name("any"), "x").immediate(true);
        drop(channel.basic_publish(message).await.unwrap());
        let reason = timeout(SOON, connection.closed()).await.unwrap();
        assert_eq!(reason.code(), Some(protocol::ReplyCode::NOT_IMPLEMENTED));
        assert_eq!(reason.method(), Some("basic.publish"));
        assert_eq!(reason.scope(), Scope::Connection);
    });
}

#[test]
fn current_thread_runtime_serves_as_well() {
    broker_test(async |t| {
        let connector = t.connector();
        let other = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let connection = connector
                    .connect()
                    .await
                    .unwrap()
                    .authenticate("guest", "guest")
                    .await
                    .unwrap();
                let channel = connection.channel_open().await.unwrap();
                channel.queue_declare(QueueDeclare::new("").exclusive(true)).await.unwrap();
                connection.close().await;
            });
        });
        tokio::task::spawn_blocking(|| other.join().unwrap()).await.unwrap();
    });
}

#[test]
fn runtime_that_ends_first_takes_the_socket_along() {
    broker_test(async |t| {
        let connector = t.connector();
        let other = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let connection = runtime.block_on(async {
                connector.connect().await.unwrap().authenticate("guest", "guest").await.unwrap()
            });
            drop(runtime);
            // A handle outside any runtime, of a connection whose driver is gone.
            assert!(connection.close_reason().is_some());
            drop(connection);
        });
        tokio::task::spawn_blocking(|| other.join().unwrap()).await.unwrap();
    });
}

/// Runs a future on this thread, with no runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn thread_without_a_runtime_can_end_everything_and_deadlines_hold_there() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let consume = || BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume()).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new("", &queue, "held")).await.unwrap());
        let held = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        let mut other = channel.basic_consume(consume()).await.unwrap();
        let ended = tokio::task::spawn_blocking(move || {
            let thread = std::thread::spawn(move || {
                block_on(async move {
                    let report = consumer.shutdown(Duration::from_secs(3)).await;
                    assert_eq!((report.held, report.cancelled), (1, true), "{report:?}");
                    held.ack().unwrap();
                    other.cancel().await.unwrap();
                    channel.close().await.unwrap();
                    connection.close_within(SOON).await
                })
            });
            thread.join().unwrap()
        });
        let reason = timeout(2 * SOON, ended).await.unwrap().unwrap();
        assert_eq!(reason.initiator(), Initiator::Application);
    });
}
