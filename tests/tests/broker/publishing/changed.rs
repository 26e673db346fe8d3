//! Messages that RabbitMQ changes before it gives them back are known all the same.

use amqp_connector::amqp_types::FieldArray;
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, ExchangeDeclare, ExchangeDelete, FieldTable, FieldValue,
    Outcome, Prefetch, QueueBind, Returned, ShortStr, basic,
};
use amqp_tests::{Fixture, broker_test};

use super::declare as declare_queue;

/// Publishes all of them and gives what came back, by their numbers.
async fn returned(
    channel: &Channel,
    messages: impl IntoIterator<Item = BasicPublish>,
) -> Vec<Option<Box<Returned>>> {
    let mut pending = Vec::new();
    for message in messages {
        pending.push(channel.basic_publish(message.mandatory(true)).await.unwrap());
    }
    let mut outcomes = Vec::new();
    for confirmation in pending {
        outcomes.push(match confirmation.await {
            Outcome::Acked => None,
            Outcome::Returned(returned) => Some(returned),
            other => panic!("{other:?}"),
        });
    }
    outcomes
}

fn list(key: &str) -> FieldValue {
    FieldValue::Array(FieldArray::from(vec![FieldValue::from(key)]))
}

/// A headers exchange, so that all have one routing key; what is for `queue` is routed.
async fn exchange(t: &Fixture, channel: &Channel) -> String {
    let (exchange, queue) = (t.name("headers"), declare_queue(t, channel).await);
    channel.exchange_declare(ExchangeDeclare::new(&exchange, "headers")).await.unwrap();
    let arguments = FieldTable::new().try_with("to", "queue").unwrap();
    channel.queue_bind(QueueBind::new(&queue, &exchange, "").arguments(arguments)).await.unwrap();
    exchange
}

#[test]
fn a_message_whose_header_bcc_was_taken_out_is_known() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let exchange = exchange(t, &channel).await;
        channel.confirm_select().await.unwrap();
        let messages = (0..700_i32).map(|n| {
            let to = if n % 7 == 0 { "nobody" } else { "queue" };
            let message = BasicPublish::new(exchange.as_str(), "same", "same");
            let message = message.header("n", n).header("BCC", list("nobody")).header("to", to);
            message.header("CC", list("nobody"))
        });
        for (n, returned) in returned(&channel, messages).await.into_iter().enumerate() {
            assert_eq!(returned.is_some(), n % 7 == 0, "message {n}");
            let Some(returned) = returned else { continue };
            let headers = returned.properties.headers.as_ref().unwrap();
            assert_eq!(headers.get_i64("n"), Some(i64::try_from(n).unwrap()));
            assert!(!headers.contains_key("BCC") && headers.contains_key("CC"), "{headers:?}");
        }
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_message_whose_address_for_direct_replies_was_completed_is_known() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let exchange = exchange(t, &channel).await;
        channel.confirm_select().await.unwrap();
        let consume = BasicConsume::new("amq.rabbitmq.reply-to", Prefetch::Unlimited).no_ack(true);
        let mut replies = channel.basic_consume(consume).await.unwrap();
        let messages = (0..700_i32).map(|n| {
            let to = if n % 7 == 0 { "nobody" } else { "queue" };
            let message = BasicPublish::new(exchange.as_str(), "same", "same");
            message.header("n", n).header("to", to).reply_to("amq.rabbitmq.reply-to")
        });
        for (n, returned) in returned(&channel, messages).await.into_iter().enumerate() {
            assert_eq!(returned.is_some(), n % 7 == 0, "message {n}");
            let Some(returned) = returned else { continue };
            let headers = returned.properties.headers.as_ref().unwrap();
            assert_eq!(headers.get_i64("n"), Some(i64::try_from(n).unwrap()));
            let reply_to = returned.properties.reply_to.as_ref().unwrap();
            assert!(reply_to.as_bytes().starts_with(b"amq.rabbitmq.reply-to."), "{reply_to:?}");
        }
        replies.cancel().await.unwrap();
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn every_type_of_header_is_known_again_though_the_broker_wrote_it_anew() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        channel.confirm_select().await.unwrap();
        let nobody = t.name("nobody");
        let values = [
            FieldValue::Bool(true),
            FieldValue::I8(-1),
            FieldValue::U8(200),
            FieldValue::I16(-2),
            FieldValue::U16(60_000),
            FieldValue::I32(-3),
            FieldValue::U32(4_000_000_000),
            FieldValue::I64(-4),
            FieldValue::F32(1.5),
            FieldValue::F64(-2.25),
            FieldValue::from("text"),
            FieldValue::ByteArray(b"\x00\x01".into()),
            FieldValue::Table(FieldTable::new().with(ShortStr::from_static("k"), ())),
            list("x"),
            FieldValue::Void,
        ];
        // With BCC the broker takes the headers apart and writes them again.
        let messages = (0_i32..).zip(&values).map(|(n, value)| {
            let message = BasicPublish::new("", nobody.as_str(), "same").header("n", n);
            message.header("BCC", list("nobody")).header("value", value.clone())
        });
        let all = returned(&channel, messages.collect::<Vec<_>>()).await;
        for (n, (returned, value)) in all.into_iter().zip(&values).enumerate() {
            let returned = returned.unwrap_or_else(|| panic!("message {n} was acked"));
            let headers = returned.properties.headers.as_ref().unwrap();
            assert_eq!(headers.get_i64("n"), Some(i64::try_from(n).unwrap()));
            assert_eq!(headers.get("value"), Some(value));
        }
        connection.close().await;
    });
}

#[test]
fn messages_whose_headers_are_written_alike_are_known_as_equal() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        channel.confirm_select().await.unwrap();
        let nobody = t.name("nobody");
        let messages = (0..70).map(|n| {
            let value = if n % 2 == 0 { FieldValue::I64(7) } else { FieldValue::I64Alt(7) };
            BasicPublish::new("", nobody.as_str(), "same").header("value", value)
        });
        for (n, returned) in returned(&channel, messages).await.into_iter().enumerate() {
            let returned = returned.unwrap_or_else(|| panic!("message {n} was acked"));
            let headers = returned.properties.headers.as_ref().unwrap();
            assert_eq!(headers.get("value"), Some(&FieldValue::I64(7)));
        }
        connection.close().await;
    });
}

#[test]
fn a_message_that_its_alternate_exchange_cannot_route_either_is_known() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (first, second) = (t.name("first"), t.name("second"));
        channel.exchange_declare(ExchangeDeclare::new(&second, "direct")).await.unwrap();
        let arguments = FieldTable::new().try_with("alternate-exchange", second.as_str()).unwrap();
        let declare = ExchangeDeclare::new(&first, "direct").arguments(arguments);
        channel.exchange_declare(declare).await.unwrap();
        let queue = declare_queue(t, &channel).await;
        channel.queue_bind(QueueBind::new(&queue, &second, "known")).await.unwrap();
        channel.confirm_select().await.unwrap();
        let messages = (0..70).map(|n| {
            let key = if n % 7 == 0 { "unknown" } else { "known" };
            BasicPublish::new(first.as_str(), key, n.to_string())
        });
        for (n, returned) in returned(&channel, messages).await.into_iter().enumerate() {
            assert_eq!(returned.is_some(), n % 7 == 0, "message {n}");
            let Some(returned) = returned else { continue };
            assert_eq!(returned.body.to_bytes(), n.to_string());
            assert_eq!(returned.exchange, *first);
        }
        for exchange in [&first, &second] {
            channel.exchange_delete(ExchangeDelete::new(exchange)).await.unwrap();
        }
        connection.close().await;
    });
}

/// One after the other, of which a broker that rewrites what it gives back makes the same.
async fn alternate(channel: &Channel, key: &str, forms: [basic::Properties; 2]) {
    let message = |n: usize| BasicPublish::new("", key, "same").properties(forms[n % 2].clone());
    // What comes back now shows what this broker does.
    let first = channel.basic_publish(message(1).mandatory(true)).await.unwrap().await;
    let Outcome::Returned(first) = first else { panic!("{first:?}") };
    if first.properties != forms[1] {
        println!("this broker rewrites {:?} to {:?}", forms[1], first.properties);
        return;
    }
    for (n, returned) in returned(channel, (0..200).map(message)).await.into_iter().enumerate() {
        assert_eq!(returned.unwrap().properties, forms[n % 2], "message {n}");
    }
}

#[test]
fn messages_that_differ_in_form_only_are_told_apart_where_the_broker_gives_them_back_as_they_were() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let plain = basic::Properties::default();
        let headers = |keys: &[&str]| {
            let keys = keys.iter().map(|key| (ShortStr::try_from(*key).unwrap(), FieldValue::I32(1)));
            basic::Properties::default().with_headers(keys.collect::<FieldTable>())
        };
        let expires = |text: &str| plain.clone().with_expiration(ShortStr::try_from(text).unwrap());
        let key = t.name("nobody");
        for forms in [
            [headers(&["a", "b"]), headers(&["b", "a"])],
            [headers(&["a"]), headers(&["a", "a"])],
            [plain.clone(), headers(&[])],
            [expires("600000"), expires("0600000")],
        ] {
            let channel = connection.channel_open().await.unwrap();
            channel.confirm_select().await.unwrap();
            alternate(&channel, &key, forms).await;
            channel.close().await.unwrap();
        }
        connection.close().await;
    });
}
