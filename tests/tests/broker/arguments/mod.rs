//! The `x-` arguments, by what the broker makes of them; those of streams, and how they are read, in `streams`.

mod streams;

use std::time::Duration;

use amqp_connector::amqp_types::{if_spec, short_str};
use amqp_connector::arguments::{ExchangeType, LeaderLocator, Overflow, QueueMode, QueueType};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Consumer, ErrorKind,
    ExchangeDeclare, ExchangeDelete, FieldTable, Prefetch, QueueBind, QueueDeclare, QueueDelete,
    basic,
};
use amqp_tests::{Fixture, broker_test};

async fn channel(t: &Fixture) -> (Connection, Channel) {
    let connection = t.connect().await;
    let channel = connection.channel_open().await.unwrap();
    (connection, channel)
}

async fn publish(channel: &Channel, queue: &str, body: &'static str) {
    drop(channel.basic_publish(BasicPublish::new("", queue, body)).await.unwrap());
}

async fn text(consumer: &mut Consumer) -> String {
    let delivery = consumer.recv().await.expect("the consumer goes on");
    let text = String::from_utf8(delivery.body.to_bytes().to_vec()).unwrap();
    delivery.ack().unwrap();
    text
}

async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let consume = BasicConsume::new(queue, Prefetch::Count(10));
    channel.basic_consume(consume).await.unwrap()
}

/// The queue's arguments as the broker shows them: `{<<"x-max-length">>,signedint,3}` and the like.
async fn arguments_of(t: &Fixture, queue: &str) -> String {
    let name = format!("rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)");
    t.eval(&format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup({name}), io_lib:format(\"~0p\", [amqqueue:get_arguments(Q)])"
    ))
    .await
    .unwrap()
}

#[test]
fn an_expired_message_goes_to_the_dead_letter_exchange_under_its_new_routing_key() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let (queue, dead) = (t.name("q"), t.name("dead"));
        channel.queue_declare(QueueDeclare::new(&dead).exclusive(true)).await.unwrap();
        let declare = QueueDeclare::new(&queue)
            .exclusive(true)
            .message_ttl(Duration::from_millis(1))
            .dead_letter_exchange("")
            .dead_letter_routing_key(&dead);
        channel.queue_declare(declare).await.unwrap();
        publish(&channel, &queue, "late").await;
        let mut consumer = consume(&channel, &dead).await;
        assert_eq!(text(&mut consumer).await, "late");
        connection.close().await;
    });
}

#[test]
fn an_unused_queue_expires() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let (queue, dead) = (t.name("q"), t.name("dead"));
        channel.queue_declare(QueueDeclare::new(&dead).exclusive(true)).await.unwrap();
        let declare = QueueDeclare::new(&queue).expires(Duration::from_millis(1));
        channel.queue_declare(declare).await.unwrap();
        // Its end is seen by asking for it until it is not there: each answer but the last costs nothing.
        let reason = loop {
            let passive = QueueDeclare::new(&queue).passive(true);
            match channel.queue_declare(passive).await {
                // Asking is using, so the next question waits a little.
                Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => break error,
            }
        };
        assert_eq!(reason.close_reason().unwrap().code().map(|code| code.0), Some(404));
        connection.close().await;
    });
}

#[test]
fn a_full_queue_drops_its_oldest_messages() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let queue = t.name("q");
        let declare =
            QueueDeclare::new(&queue).exclusive(true).max_length(2).overflow(Overflow::DropHead);
        channel.queue_declare(declare).await.unwrap();
        for body in ["one", "two", "three"] {
            publish(&channel, &queue, body).await;
        }
        let mut consumer = consume(&channel, &queue).await;
        assert_eq!(
            (text(&mut consumer).await, text(&mut consumer).await),
            ("two".into(), "three".into())
        );
        connection.close().await;
    });
}

if_spec! { confirm.select => {
    #[test]
    fn a_full_queue_that_rejects_nacks_the_publish() {
        use amqp_connector::Outcome;

        broker_test(async |t| {
            let (connection, channel) = channel(t).await;
            let queue = t.name("q");
            let declare = QueueDeclare::new(&queue)
                .exclusive(true)
                .max_length_bytes(4)
                .overflow(Overflow::RejectPublish);
            channel.queue_declare(declare).await.unwrap();
            channel.confirm_select().await.unwrap();
            // RabbitMQ refuses what comes once the limit is reached.
            let mut refused = 0;
            for _ in 0..3 {
                let publish = BasicPublish::new("", &queue, "four");
                match channel.basic_publish(publish).await.unwrap().await {
                    Outcome::Acked => {}
                    Outcome::Nacked => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            assert!(refused > 0);
            connection.close().await;
        });
    }
} else {} }

#[test]
fn a_priority_queue_gives_the_highest_first() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let queue = t.name("q");
        let declare = QueueDeclare::new(&queue).exclusive(true).max_priority(5);
        channel.queue_declare(declare).await.unwrap();
        for (body, priority) in [("low", 1), ("high", 5), ("middle", 3)] {
            let properties = basic::Properties { priority: Some(priority), ..Default::default() };
            let message = BasicPublish::new("", &queue, body).properties(properties);
            drop(channel.basic_publish(message).await.unwrap());
        }
        let mut bodies = Vec::new();
        while bodies.len() < 3 {
            let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap();
            bodies.extend(got.map(|got| got.body.to_bytes()));
        }
        assert_eq!(bodies, ["high", "middle", "low"]);
        connection.close().await;
    });
}

#[test]
fn a_single_active_consumer_is_followed_by_the_next() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let queue = t.name("q");
        let declare = QueueDeclare::new(&queue).exclusive(true).single_active_consumer(true);
        channel.queue_declare(declare).await.unwrap();
        let mut first = consume(&channel, &queue).await;
        let mut second = consume(&channel, &queue).await;
        for body in ["one", "two"] {
            publish(&channel, &queue, body).await;
            // Both in turn without the argument; the second one gets none as long as there is the first.
            assert_eq!(text(&mut first).await, body);
        }
        first.cancel().await.unwrap();
        publish(&channel, &queue, "three").await;
        assert_eq!(text(&mut second).await, "three");
        connection.close().await;
    });
}

#[test]
fn a_quorum_queue_gives_up_a_message_after_its_delivery_limit() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let (queue, dead) = (t.name("q"), t.name("dead"));
        channel.queue_declare(QueueDeclare::new(&dead).exclusive(true)).await.unwrap();
        let declare = QueueDeclare::new(&queue)
            .durable(true)
            .queue_type(QueueType::Quorum)
            .quorum_initial_group_size(1)
            .delivery_limit(2)
            .dead_letter_exchange("")
            .dead_letter_routing_key(&dead);
        channel.queue_declare(declare).await.unwrap();
        publish(&channel, &queue, "poison").await;
        let mut consumer = consume(&channel, &queue).await;
        for _ in 0..3 {
            consumer.recv().await.expect("delivered").nack(true).unwrap();
        }
        let mut letters = consume(&channel, &dead).await;
        assert_eq!(text(&mut letters).await, "poison");
        channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn every_argument_of_a_queue_arrives_as_the_broker_knows_it() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let (classic, stream) = (t.name("classic"), t.name("stream"));
        let declare = QueueDeclare::new(&classic)
            .exclusive(true)
            .queue_type(QueueType::Classic)
            .queue_mode(QueueMode::Lazy)
            .max_length_bytes(1 << 40)
            .overflow(Overflow::RejectPublishDlx)
            .arguments(FieldTable::new().with(short_str!("x-own"), "kept"));
        channel.queue_declare(declare).await.unwrap();
        let declare = QueueDeclare::new(&stream)
            .durable(true)
            .queue_type(QueueType::Stream)
            .leader_locator(LeaderLocator::ClientLocal)
            .stream_initial_cluster_size(1)
            .stream_max_age(Duration::from_secs(3600))
            .stream_max_segment_size(1 << 20);
        channel.queue_declare(declare).await.unwrap();
        let shown = arguments_of(t, &classic).await;
        for entry in [
            "{<<\"x-queue-type\">>,longstr,<<\"classic\">>}",
            "{<<\"x-queue-mode\">>,longstr,<<\"lazy\">>}",
            "{<<\"x-max-length-bytes\">>,long,1099511627776}",
            "{<<\"x-overflow\">>,longstr,<<\"reject-publish-dlx\">>}",
            "{<<\"x-own\">>,longstr,<<\"kept\">>}",
        ] {
            assert!(shown.contains(entry), "{entry} is not in {shown}");
        }
        let shown = arguments_of(t, &stream).await;
        for entry in [
            "{<<\"x-queue-type\">>,longstr,<<\"stream\">>}",
            "{<<\"x-queue-leader-locator\">>,longstr,<<\"client-local\">>}",
            "{<<\"x-initial-cluster-size\">>,long,1}",
            "{<<\"x-max-age\">>,longstr,<<\"3600s\">>}",
            "{<<\"x-stream-max-segment-size-bytes\">>,long,1048576}",
        ] {
            assert!(shown.contains(entry), "{entry} is not in {shown}");
        }
        channel.queue_delete(QueueDelete::new(&stream)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn quorum_queues_and_streams_that_are_transient_or_exclusive_are_refused_here_as_by_the_broker() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        for queue_type in [QueueType::Quorum, QueueType::Stream] {
            for (durable, exclusive) in [(false, false), (true, true)] {
                let declare =
                    || QueueDeclare::new(t.name("q")).durable(durable).exclusive(exclusive);
                let typed = channel.queue_declare(declare().queue_type(queue_type)).await;
                assert_eq!(typed.unwrap_err().kind(), ErrorKind::Invalid);

                // A plain table is not looked at, and costs a channel.
                let table = FieldTable::new().with(short_str!("x-queue-type"), queue_type);
                let victim = connection.channel_open().await.unwrap();
                let plain = victim.queue_declare(declare().arguments(table)).await.unwrap_err();
                assert_eq!(plain.close_reason().unwrap().code().map(|code| code.0), Some(406));
            }
        }
        assert!(channel.close_reason().is_none());
        connection.close().await;
    });
}

#[test]
fn what_an_exchange_cannot_route_goes_to_its_alternate_exchange() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let (main, other, queue) = (t.name("main"), t.name("other"), t.name("q"));
        let declare = ExchangeDeclare::new(&other, ExchangeType::Fanout);
        channel.exchange_declare(declare).await.unwrap();
        let declare = ExchangeDeclare::new(&main, ExchangeType::Direct).alternate_exchange(&other);
        channel.exchange_declare(declare).await.unwrap();
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        channel.queue_bind(QueueBind::new(&queue, &other, "")).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new(&main, "nowhere", "lost?")).await.unwrap());
        let mut consumer = consume(&channel, &queue).await;
        assert_eq!(text(&mut consumer).await, "lost?");
        for exchange in [&main, &other] {
            channel.exchange_delete(ExchangeDelete::new(exchange)).await.unwrap();
        }
        connection.close().await;
    });
}

/// Whether the specification's `basic.consume` has a place for arguments.
const ARGUMENTS: bool = if_spec! { basic.consume.arguments => { true } else {
    if_spec! { basic.consume.filter => { true } else { false } }
} };

#[test]
fn the_consumer_of_the_higher_priority_gets_what_it_can_take() {
    broker_test(async |t| {
        let (connection, channel) = channel(t).await;
        let queue = t.name("q");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let consume = |priority| BasicConsume::new(&queue, Prefetch::Count(2)).priority(priority);
        if !ARGUMENTS {
            let refused = channel.basic_consume(consume(1)).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unsupported);
            // Nothing was sent, not even the quality of service before it.
            assert!(channel.close_reason().is_none());
            connection.close().await;
            return;
        }
        let mut low = channel.basic_consume(consume(-1)).await.unwrap();
        let mut high = channel.basic_consume(consume(1)).await.unwrap();
        for body in ["one", "two", "three"] {
            publish(&channel, &queue, body).await;
        }
        // Two are what the preferred one may hold unsettled; the rest is for the other.
        let held = [high.recv().await.unwrap(), high.recv().await.unwrap()];
        assert_eq!(text(&mut low).await, "three");
        for delivery in held {
            delivery.ack().unwrap();
        }
        connection.close().await;
    });
}
