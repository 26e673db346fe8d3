//! What bindings and messages are compared by: headers of several kinds, and the order of arguments.

use amqp_connector::amqp_types::{Timestamp, if_spec};
use amqp_connector::{
    BasicPublish, Channel, ExchangeDeclare, ExchangeDelete, FieldTable, FieldValue, QueueBind,
    ShortStr, basic,
};

use super::queues::table;
use super::side::{Side, closed, cut, declare, drain, publish};

contract! {
    headers_are_compared_by_value_whatever_their_type,
    names_that_begin_with_x_count_if_the_binding_says_so,
    a_way_of_matching_that_there_is_not_is_refused,
    the_order_of_a_binding_s_arguments_makes_no_difference,
    an_empty_key_beside_no_name_means_the_queue_s_name,
}

async fn headers_exchange(side: &Side<'_>, channel: &Channel) -> String {
    let name = side.name("headers");
    channel.exchange_declare(ExchangeDeclare::new(&name, "headers")).await.unwrap();
    name
}

fn key(text: &str) -> ShortStr {
    ShortStr::try_from(text).unwrap()
}

async fn publish_with(channel: &Channel, exchange: &str, body: &str, headers: FieldTable) {
    let properties = basic::Properties { headers: Some(headers), ..Default::default() };
    let message = BasicPublish::new(exchange, "", body.to_owned()).properties(properties);
    drop(channel.basic_publish(message).await.unwrap());
}

async fn headers_are_compared_by_value_whatever_their_type(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let exchange = headers_exchange(side, &channel).await;
    let inner = |value: FieldValue| FieldTable::new().with(key("k"), value);
    let values = [
        ("int", FieldValue::I32(1)),
        ("long", FieldValue::I64(1)),
        ("octet", FieldValue::U8(1)),
        ("double", FieldValue::F64(1.0)),
        ("float", FieldValue::F32(1.0)),
        ("time", FieldValue::Timestamp(Timestamp(1))),
        ("true", FieldValue::Bool(true)),
        ("text", FieldValue::from("1")),
        ("octets", FieldValue::ByteArray("1".into())),
        ("table", FieldValue::Table(inner(FieldValue::I32(1)))),
        ("table of long", FieldValue::Table(inner(FieldValue::I64(1)))),
        ("void", FieldValue::Void),
    ];
    for (name, value) in &values {
        let queue = declare(&channel, &side.name(name)).await;
        let bind = QueueBind::new(&queue, &exchange, "").arguments(inner(value.clone()));
        channel.queue_bind(bind).await.unwrap();
    }
    for (name, value) in &values {
        publish_with(&channel, &exchange, name, inner(value.clone())).await;
    }
    let all: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    for (name, _) in &values {
        let expected: &[&str] = match *name {
            "true" | "table" | "table of long" => std::slice::from_ref(name),
            "text" | "octets" => &["text", "octets"],
            "void" => &all,
            _ => &["int", "long", "octet", "double", "float", "time"],
        };
        assert_eq!(drain(&channel, &side.name(name)).await, expected, "{name}");
    }
    channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
    connection.close().await;
}

async fn names_that_begin_with_x_count_if_the_binding_says_so(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let exchange = headers_exchange(side, &channel).await;
    let ways = [
        ("all", &["it", "another", "none", "bare"][..]),
        ("any", &[]),
        ("all-with-x", &["it"]),
        ("any-with-x", &["it"]),
    ];
    for (way, _) in ways {
        let queue = declare(&channel, &side.name(way)).await;
        let arguments = table("x-match", way).with(key("x-a"), 1);
        let bind = QueueBind::new(&queue, &exchange, "").arguments(arguments);
        channel.queue_bind(bind).await.unwrap();
    }
    publish_with(&channel, &exchange, "it", table("x-a", 1)).await;
    publish_with(&channel, &exchange, "another", table("x-a", 2)).await;
    publish_with(&channel, &exchange, "none", FieldTable::new()).await;
    publish(&channel, &exchange, "", "bare").await;
    for (way, expected) in ways {
        assert_eq!(drain(&channel, &side.name(way)).await, expected, "{way}");
    }
    channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
    connection.close().await;
}

async fn a_way_of_matching_that_there_is_not_is_refused(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let exchange = headers_exchange(side, &channel).await;
    let ways = "expected all, any, all-with-x, or any-with-x";
    for (way, why) in [
        (FieldValue::from("some"), format!("value <<\"some\">>; {ways}")),
        (FieldValue::from(1), "type signedint (value 1); expected longstr".to_owned()),
        (FieldValue::F64(1.5), "type double (value 1.5); expected longstr".to_owned()),
        (FieldValue::Bool(true), "type bool (value true); expected longstr".to_owned()),
        (FieldValue::Void, "type void (value undefined); expected longstr".to_owned()),
    ] {
        let channel = connection.channel_open().await.unwrap();
        let arguments = FieldTable::new().with(key("x-match"), way);
        let bind = QueueBind::new(&queue, &exchange, "").arguments(arguments.clone());
        channel.queue_bind(bind).await.unwrap_err();
        let text = format!("PRECONDITION_FAILED - Invalid x-match field {why}");
        assert_eq!(closed(&channel).await, (406, cut(&text)));
        // To other exchanges it means nothing.
        let channel = connection.channel_open().await.unwrap();
        let bind = QueueBind::new(&queue, "amq.direct", side.name("k")).arguments(arguments);
        channel.queue_bind(bind).await.unwrap();
    }
    channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
    connection.close().await;
}

async fn the_order_of_a_binding_s_arguments_makes_no_difference(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let exchange = headers_exchange(side, &channel).await;
    let bind = QueueBind::new(&queue, &exchange, "");
    let one = table("a", 1).with(key("b"), 2);
    channel.queue_bind(bind.clone().arguments(one.clone())).await.unwrap();
    if_spec! { queue.unbind => {
        let other = table("b", 2).with(key("a"), 1);
        let unbind = amqp_connector::QueueUnbind::new(&queue, &exchange, "").arguments(other);
        channel.queue_unbind(unbind).await.unwrap();
        publish_with(&channel, &exchange, "a", one).await;
        assert_eq!(drain(&channel, &queue).await, Vec::<String>::new());
    } else { let _ = one; } }
    channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
    connection.close().await;
}

async fn an_empty_key_beside_no_name_means_the_queue_s_name(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    channel.queue_bind(QueueBind::new("", "amq.direct", "")).await.unwrap();
    publish(&channel, "amq.direct", &queue, "bound").await;
    assert_eq!(drain(&channel, &queue).await, ["bound"]);
    if_spec! { queue.unbind => {
        let unbind = amqp_connector::QueueUnbind::new("", "amq.direct", "");
        channel.queue_unbind(unbind).await.unwrap();
        publish(&channel, "amq.direct", &queue, "not bound").await;
        assert_eq!(drain(&channel, &queue).await, Vec::<String>::new());
    } else {} }
    connection.close().await;
}
