//! Exchanges, queues and bindings.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicGet, BasicPublish, Channel, ExchangeBind, ExchangeDeclare, ExchangeDelete, ExchangeUnbind,
    FieldTable, QueueBind, QueueDeclare, QueueDelete, QueueUnbind, ShortStr, basic,
};
use amqp_tests::{Fixture, broker_test};

async fn queue(t: &Fixture, channel: &Channel, word: &str) -> String {
    let queue = t.name(word);
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
    queue
}

/// The bodies of all messages in the queue. One more is sent to it first, to know where they end: a
/// broker's message count may run ahead of the messages on their way to the queue.
async fn drain(channel: &Channel, queue: &str) -> Vec<String> {
    publish(channel, "", queue, "end").await;
    let mut bodies = Vec::new();
    loop {
        let got = channel.basic_get(BasicGet::new(queue).no_ack(true)).await.unwrap();
        match got.map(|got| String::from_utf8(got.body.to_bytes().to_vec()).unwrap()) {
            Some(body) if body == "end" => return bodies,
            Some(body) => bodies.push(body),
            None => tokio::task::yield_now().await,
        }
    }
}

async fn publish(channel: &Channel, exchange: &str, key: &str, body: &'static str) {
    drop(channel.basic_publish(BasicPublish::new(exchange, key, body)).await.unwrap());
}

#[test]
fn direct_fanout_and_topic_route_as_their_names_say() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = queue(t, &channel, "q").await;
        for (kind, binding, hit, miss) in [
            ("direct", "a", "a", Some("b")),
            ("fanout", "", "anything", None),
            ("topic", "log.*", "log.error", Some("log.error.disk")),
        ] {
            let exchange = t.name(kind);
            channel.exchange_declare(ExchangeDeclare::new(&exchange, kind)).await.unwrap();
            channel.queue_bind(QueueBind::new(&queue, &exchange, binding)).await.unwrap();
            if let Some(miss) = miss {
                publish(&channel, &exchange, miss, "miss").await;
            }
            publish(&channel, &exchange, hit, "hit").await;
            assert_eq!(drain(&channel, &queue).await, ["hit"], "{kind}");
            channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        }
        connection.close().await;
    });
}

#[test]
fn headers_exchange_matches_the_binding_s_arguments() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (queue, exchange) = (queue(t, &channel, "q").await, t.name("headers"));
        let colour =
            |value: &str| FieldTable::new().with(ShortStr::try_from("colour").unwrap(), value);
        channel.exchange_declare(ExchangeDeclare::new(&exchange, "headers")).await.unwrap();
        let bind = QueueBind::new(&queue, &exchange, "").arguments(colour("red"));
        channel.queue_bind(bind).await.unwrap();
        for value in ["red", "blue"] {
            let headers = Some(colour(value));
            let properties = basic::Properties { headers, ..Default::default() };
            let message = BasicPublish::new(&exchange, "", value).properties(properties);
            drop(channel.basic_publish(message).await.unwrap());
        }
        assert_eq!(drain(&channel, &queue).await, ["red"]);
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn broker_names_a_queue_that_has_no_name() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let declare = || QueueDeclare::new("").exclusive(true);
        let one = channel.queue_declare(declare()).await.unwrap().queue;
        let two = channel.queue_declare(declare()).await.unwrap().queue;
        assert!(one.to_string().starts_with("amq."), "{one}");
        assert_ne!(one, two);
        connection.close().await;
    });
}

#[test]
fn delete_minds_its_conditions() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = queue(t, &channel, "q").await;
        publish(&channel, "", &queue, "x").await;
        let careful = channel.queue_delete(QueueDelete::new(&queue).if_empty(true)).await;
        let error = careful.unwrap_err();
        assert_eq!(error.close_reason().unwrap().code().map(|code| code.0), Some(406));
        assert_eq!(error.close_reason().unwrap().method(), Some("queue.delete"));

        let channel = connection.channel_open().await.unwrap();
        assert_eq!(channel.queue_delete(QueueDelete::new(&queue)).await.unwrap().message_count, 1);
        connection.close().await;
    });
}

#[test]
fn durable_queue_outlives_its_connection() {
    broker_test(async |t| {
        let queue = t.name("durable");
        for round in 0..2 {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let declare = QueueDeclare::new(&queue).durable(true).passive(round > 0);
            channel.queue_declare(declare).await.unwrap();
            if round > 0 {
                channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
            }
            connection.close().await;
        }
    });
}

if_spec! { exchange.declare.auto_delete => {
    #[test]
    fn auto_delete_exchange_goes_with_its_last_binding() {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let (queue, exchange) = (queue(t, &channel, "q").await, t.name("fleeting"));
            let declare = ExchangeDeclare::new(&exchange, "fanout").auto_delete(true);
            channel.exchange_declare(declare).await.unwrap();
            channel.queue_bind(QueueBind::new(&queue, &exchange, "")).await.unwrap();
            channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
            let passive = ExchangeDeclare::new(&exchange, "fanout").passive(true);
            let error = channel.exchange_declare(passive).await.unwrap_err();
            assert_eq!(error.close_reason().unwrap().code().map(|code| code.0), Some(404));
            connection.close().await;
        });
    }
} else {
    #[test]
    fn auto_delete_exchange_is_unsupported_where_the_field_is_reserved() {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let declare = ExchangeDeclare::new(t.name("fleeting"), "fanout").auto_delete(true);
            let error = channel.exchange_declare(declare).await.unwrap_err();
            assert_eq!(error.kind(), amqp_connector::ErrorKind::Unsupported);
            // Nothing was sent, and the channel lives.
            queue(t, &channel, "q").await;
            connection.close().await;
        });
    }
} }

#[test]
fn unbound_queue_gets_no_more() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (queue, exchange) = (queue(t, &channel, "q").await, t.name("e"));
        channel.exchange_declare(ExchangeDeclare::new(&exchange, "topic")).await.unwrap();
        for key in ["a", "b"] {
            channel.queue_bind(QueueBind::new(&queue, &exchange, key)).await.unwrap();
        }
        let unbound = channel.queue_unbind(QueueUnbind::new(&queue, &exchange, "a")).await;
        publish(&channel, &exchange, "a", "a").await;
        publish(&channel, &exchange, "b", "b").await;
        if_spec! { queue.unbind => {
            unbound.unwrap();
            assert_eq!(drain(&channel, &queue).await, ["b"]);
        } else {
            // Nothing was sent, and the binding holds.
            assert_eq!(unbound.unwrap_err().kind(), amqp_connector::ErrorKind::Unsupported);
            assert_eq!(drain(&channel, &queue).await, ["a", "b"]);
        } }
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn exchange_bound_to_an_exchange_passes_messages_on() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = queue(t, &channel, "q").await;
        let (from, to) = (t.name("from"), t.name("to"));
        for exchange in [&from, &to] {
            channel.exchange_declare(ExchangeDeclare::new(exchange, "fanout")).await.unwrap();
        }
        channel.queue_bind(QueueBind::new(&queue, &to, "")).await.unwrap();
        let bound = channel.exchange_bind(ExchangeBind::new(&to, &from, "")).await;
        publish(&channel, &from, "", "bound").await;
        let unbound = channel.exchange_unbind(ExchangeUnbind::new(&to, &from, "")).await;
        publish(&channel, &from, "", "unbound").await;
        if_spec! { exchange.bind => {
            bound.unwrap();
            unbound.unwrap();
            assert_eq!(drain(&channel, &queue).await, ["bound"]);
        } else {
            for refused in [bound, unbound] {
                assert_eq!(refused.unwrap_err().kind(), amqp_connector::ErrorKind::Unsupported);
            }
            assert!(channel.close_reason().is_none());
        } }
        for exchange in [&from, &to] {
            channel.exchange_delete(ExchangeDelete::new(exchange)).await.unwrap();
        }
        connection.close().await;
    });
}
