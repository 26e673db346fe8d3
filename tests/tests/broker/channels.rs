//! Channels: numbers, limits, and soft errors, which end one channel and nothing else.

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, ErrorKind, ExchangeDeclare, Initiator, Options, Prefetch,
    QueueBind, QueueDeclare, QueueDelete, Scope, protocol,
};
use amqp_tests::broker_test;
use tokio::sync::Semaphore;

#[test]
fn soft_error_closes_only_its_channel_and_names_the_method() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let failing = connection.channel_open().await.unwrap();
        let other = connection.channel_open().await.unwrap();

        let missing = QueueDeclare::new(t.name("missing")).passive(true);
        let error = failing.queue_declare(missing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ChannelClosed);
        let reason = error.close_reason().unwrap();
        assert_eq!(reason.code().map(|code| code.0), Some(404));
        assert_eq!(reason.method(), Some("queue.declare"));
        assert_eq!(reason.initiator(), Initiator::Peer);
        assert_eq!(reason.scope(), Scope::Channel(failing.id()));
        assert!(reason.text().contains("missing"), "{reason}");

        let again = failing.queue_declare(QueueDeclare::new("")).await.unwrap_err();
        assert_eq!(again.close_reason().unwrap().code().map(|code| code.0), Some(404));
        let exclusive = QueueDeclare::new(t.name("here")).exclusive(true);
        other.queue_declare(exclusive).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn the_error_of_a_channel_with_a_busy_consumer_leaves_the_others_alone() {
    broker_test(async |t| {
        let feeding = t.connect().await;
        let feeder = feeding.channel_open().await.unwrap();
        let queue = t.name("busy");
        feeder.queue_declare(QueueDeclare::new(&queue).auto_delete(true)).await.unwrap();
        let connection = t.connect().await;
        let innocent = connection.channel_open().await.unwrap();
        // It keeps the queue.
        let keeping = BasicConsume::new(&queue, Prefetch::Count(1));
        let kept = innocent.basic_consume(keeping).await.unwrap();
        // As much as keeps the consumer busy, and no more than the broker can put away in a moment.
        let ahead = Semaphore::new(2000);
        let feed = async {
            loop {
                ahead.acquire_many(50).await.unwrap().forget();
                for _ in 0..50 {
                    drop(feeder.basic_publish(BasicPublish::new("", &queue, "work")).await);
                }
            }
        };
        let fail = async {
            for _ in 0..30 {
                let failing = connection.channel_open().await.unwrap();
                let consume = BasicConsume::new(&queue, Prefetch::Count(100));
                let mut consumer = failing.basic_consume(consume).await.unwrap();
                for _ in 0..20 {
                    consumer.recv().await.unwrap().ack().unwrap();
                    ahead.add_permits(1);
                }
                let missing = QueueDeclare::new(t.name("missing")).passive(true);
                let error = failing.queue_declare(missing).await.unwrap_err();
                assert_refused(&error, 404, "queue.declare");
            }
        };
        tokio::select! { () = fail => {}, () = feed => {} }
        assert!(innocent.close_reason().is_none(), "{:?}", innocent.close_reason());
        drop(kept);
        connection.close().await;
        feeding.close().await;
    });
}

#[test]
fn every_kind_of_refusal_names_its_method() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let owner = connection.channel_open().await.unwrap();
        let (queue, missing) = (t.name("queue"), t.name("missing"));
        owner.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();

        let channel = connection.channel_open().await.unwrap();
        let other = QueueDeclare::new(&queue).exclusive(true).auto_delete(true);
        let error = channel.queue_declare(other).await.unwrap_err();
        assert_refused(&error, 406, "queue.declare");

        let channel = connection.channel_open().await.unwrap();
        let error = channel.queue_bind(QueueBind::new(&queue, &missing, "")).await.unwrap_err();
        assert_refused(&error, 404, "queue.bind");

        let channel = connection.channel_open().await.unwrap();
        let error = channel.basic_get(BasicGet::new(&missing)).await.unwrap_err();
        assert_refused(&error, 404, "basic.get");

        let channel = connection.channel_open().await.unwrap();
        let consume = BasicConsume::new(&missing, Prefetch::Count(1));
        let error = channel.basic_consume(consume).await.unwrap_err();
        assert_refused(&error, 404, "basic.consume");

        let channel = connection.channel_open().await.unwrap();
        let reserved = ExchangeDeclare::new("amq.forbidden", "direct");
        let error = channel.exchange_declare(reserved).await.unwrap_err();
        assert_refused(&error, 403, "exchange.declare");
        connection.close().await;
    });
}

fn assert_refused(error: &amqp_connector::Error, code: u16, method: &str) {
    let reason = error.close_reason().unwrap();
    assert_eq!(reason.code().map(|code| code.0), Some(code), "{reason}");
    assert_eq!(reason.method(), Some(method), "{reason}");
}

#[test]
fn exclusive_queue_of_another_connection_is_locked() {
    broker_test(async |t| {
        let (one, two) = (t.connect().await, t.connect().await);
        let queue = t.name("mine");
        let channel = one.channel_open().await.unwrap();
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let other = two.channel_open().await.unwrap();
        let error = other.basic_get(BasicGet::new(&queue)).await.unwrap_err();
        assert_refused(&error, 405, "basic.get");
        two.close().await;
        one.close().await;
    });
}

#[test]
fn every_waiter_of_a_failed_channel_gets_the_reason() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let missing = QueueDeclare::new(t.name("missing")).passive(true);
        let first = tokio::spawn(channel.queue_declare(missing));
        let closed = {
            let channel = channel.clone();
            tokio::spawn(async move { channel.closed().await })
        };
        let error = first.await.unwrap().unwrap_err();
        let reason = closed.await.unwrap();
        assert_eq!(error.close_reason().unwrap().code(), reason.code());
        assert_eq!(channel.close_reason().unwrap().code(), reason.code());
        connection.close().await;
    });
}

#[test]
fn channels_are_opened_up_to_the_limit_and_reused() {
    broker_test(async |t| {
        let mut options = Options::default();
        options.channel_max = 3;
        let connection = t.connect_as(&t.connector().options(options)).await;
        let mut channels = Vec::new();
        for id in 1..=3 {
            let channel = connection.channel_open().await.unwrap();
            assert_eq!(channel.id(), id);
            channels.push(channel);
        }
        let error = connection.channel_open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);

        channels.remove(1).close().await.unwrap();
        let again = connection.channel_open().await.unwrap();
        assert_eq!(again.id(), 2);
        assert_eq!(connection.channel_count(), 3);
        connection.close().await;
    });
}

#[test]
fn close_of_a_channel_is_idempotent_and_leaves_the_connection() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        channel.close().await.unwrap();
        channel.close().await.unwrap();
        let error = channel.queue_delete(QueueDelete::new("any")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ChannelClosed);
        assert_eq!(error.close_reason().unwrap().initiator(), Initiator::Application);
        connection.channel_open().await.unwrap();
        connection.close().await;
    });
}

#[test]
fn calls_of_one_channel_are_answered_in_order() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let names: Vec<String> = (0..20).map(|n| t.name(&format!("q{n}"))).collect();
        // All are sent before the first reply is awaited.
        let mut calls = tokio::task::JoinSet::new();
        for name in &names {
            let call = channel.queue_declare(QueueDeclare::new(name).exclusive(true));
            let name = name.clone();
            calls.spawn(async move { (name, call.await.unwrap()) });
        }
        while let Some(done) = calls.join_next().await {
            let (name, reply) = done.unwrap();
            assert_eq!(reply.queue, *name);
        }
        connection.close().await;
    });
}

#[test]
fn transactions_are_called_by_the_spec_s_own_methods() {
    use protocol::tx;

    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("tx");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        channel.call(tx::Select::default()).await.unwrap();

        drop(channel.basic_publish(BasicPublish::new("", &queue, "dropped")).await.unwrap());
        channel.call(tx::Rollback::default()).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new("", &queue, "kept")).await.unwrap());
        channel.call(tx::Commit::default()).await.unwrap();

        let kept = channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
        assert_eq!(&kept.body.to_bytes()[..], b"kept");
        kept.ack().unwrap();
        assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
        connection.close().await;
    });
}
