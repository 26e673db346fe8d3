//! What no broker takes: bindings to nothing, flow, properties that mean nothing; and, in modules of their own, wrong
//! arguments and wrong frames.

mod arguments;
mod frames;

use amqp_connector::{
    BasicPublish, Channel, ExchangeDeclare, ExchangeDelete, FieldTable, FieldValue, QueueBind,
    QueueDeclare, QueueDelete, ShortStr, basic, protocol::channel as channel_methods,
};

use super::side::{Side, await_depth, closed, connection_closed, declare, drain, publish, recv};

contract! {
    what_is_not_there_is_not_found,
    stopping_the_flow_is_not_implemented,
    no_queue_before_an_empty_name_is_not_found,
    an_expiration_is_a_number_that_is_not_too_large,
    copies_are_named_in_an_array,
    what_every_broker_has_is_not_deleted,
    a_queue_that_is_filled_is_told_before_one_that_is_used,
}

async fn what_is_not_there_is_not_found(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let none = side.name("none");
    channel.queue_bind(QueueBind::new(&queue, &none, "k")).await.unwrap_err();
    let no_exchange = format!("NOT_FOUND - no exchange '{none}' in vhost '/'");
    assert_eq!(closed(&channel).await, (404, no_exchange.clone()));
    let channel = connection.channel_open().await.unwrap();
    channel.queue_bind(QueueBind::new(&none, "amq.direct", "k")).await.unwrap_err();
    let no_queue = format!("NOT_FOUND - no queue '{none}' in vhost '/'");
    assert_eq!(closed(&channel).await, (404, no_queue.clone()));
    // Of both the exchange is told.
    let channel = connection.channel_open().await.unwrap();
    channel.queue_bind(QueueBind::new(&none, &none, "k")).await.unwrap_err();
    assert_eq!(closed(&channel).await, (404, no_exchange.clone()));
    let channel = connection.channel_open().await.unwrap();
    channel.queue_purge(&none).await.unwrap_err();
    assert_eq!(closed(&channel).await, (404, no_queue.clone()));
    let channel = connection.channel_open().await.unwrap();
    channel.queue_declare(QueueDeclare::new(&none).passive(true)).await.unwrap_err();
    assert_eq!(closed(&channel).await, (404, no_queue));
    let channel = connection.channel_open().await.unwrap();
    let passive = ExchangeDeclare::new(&none, "direct").passive(true);
    channel.exchange_declare(passive).await.unwrap_err();
    assert_eq!(closed(&channel).await, (404, no_exchange));
    connection.close().await;
}

async fn stopping_the_flow_is_not_implemented(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let flow = |active| channel_methods::Flow { active, ..Default::default() };
    assert!(channel.call(flow(true)).await.unwrap().active);
    channel.call(flow(false)).await.unwrap_err();
    let text = "NOT_IMPLEMENTED - active=false".to_owned();
    assert_eq!(connection_closed(&connection).await, (540, text));
}

async fn no_queue_before_an_empty_name_is_not_found(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    channel.queue_purge("").await.unwrap_err();
    let text = "NOT_FOUND - no previously declared queue".to_owned();
    assert_eq!(closed(&channel).await, (404, text));
    // A passive declare means a queue with an empty name, which there is not, whatever was declared.
    let channel = connection.channel_open().await.unwrap();
    declare(&channel, &side.name("q")).await;
    channel.queue_declare(QueueDeclare::new("").passive(true)).await.unwrap_err();
    assert_eq!(closed(&channel).await, (404, "NOT_FOUND - no queue '' in vhost '/'".to_owned()));
    connection.close().await;
}

async fn refused(channel: &Channel, properties: basic::Properties) -> (u16, String) {
    let message = BasicPublish::new("", "nowhere", "a").properties(properties);
    drop(channel.basic_publish(message).await.unwrap());
    closed(channel).await
}

async fn an_expiration_is_a_number_that_is_not_too_large(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    for expiration in ["315360000000", "+60000", "060000"] {
        let expiration = ShortStr::try_from(expiration).ok();
        let properties = basic::Properties { expiration, ..Default::default() };
        let message = BasicPublish::new("", &queue, "a").properties(properties);
        drop(channel.basic_publish(message).await.unwrap());
    }
    assert_eq!(drain(&channel, &queue).await.len(), 3);
    for (expiration, why) in [
        ("", "no_integer"),
        ("soon", "no_integer"),
        (" 5", "no_integer"),
        ("5ms", "{leftover_string,\"ms\"}"),
        ("5.5", "{leftover_string,\".5\"}"),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
    ] {
        let channel = connection.channel_open().await.unwrap();
        let wrong = ShortStr::try_from(expiration).ok();
        let properties = basic::Properties { expiration: wrong, ..Default::default() };
        let text = format!("PRECONDITION_FAILED - invalid expiration '{expiration}': {why}");
        assert_eq!(refused(&channel, properties).await, (406, text));
    }
    connection.close().await;
}

async fn copies_are_named_in_an_array(side: &Side<'_>) {
    let (connection, _channel) = side.open().await;
    for (header, value, kind) in [
        ("CC", FieldValue::from("key"), "longstr"),
        ("BCC", FieldValue::from(1), "signedint"),
        ("CC", FieldValue::Void, "void"),
    ] {
        let channel = connection.channel_open().await.unwrap();
        let headers = FieldTable::new().with(ShortStr::try_from(header).unwrap(), value);
        let properties = basic::Properties { headers: Some(headers), ..Default::default() };
        let text = format!(
            "PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,\"{header}\",{kind}}}"
        );
        assert_eq!(refused(&channel, properties).await, (406, text));
    }
    connection.close().await;
}

async fn what_every_broker_has_is_not_deleted(side: &Side<'_>) {
    let (connection, _channel) = side.open().await;
    for name in ["amq.direct", "amq.none"] {
        let channel = connection.channel_open().await.unwrap();
        channel.exchange_delete(ExchangeDelete::new(name)).await.unwrap_err();
        let text = format!(
            "ACCESS_REFUSED - deletion of system exchange '{name}' in vhost '/' not allowed"
        );
        assert_eq!(closed(&channel).await, (403, text));
    }
    // One of them is for the broker alone.
    let channel = connection.channel_open().await.unwrap();
    let trace = ExchangeDeclare::new("amq.rabbitmq.trace", "topic").passive(true);
    channel.exchange_declare(trace).await.unwrap();
    publish(&channel, "amq.rabbitmq.trace", "k", "a").await;
    let text =
        "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'";
    assert_eq!(closed(&channel).await, (403, text.to_owned()));
    connection.close().await;
}

async fn a_queue_that_is_filled_is_told_before_one_that_is_used(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let consume = amqp_connector::BasicConsume::new(&queue, amqp_connector::Prefetch::Count(1));
    let mut consumer = channel.basic_consume(consume).await.unwrap();
    for _ in 0..2 {
        publish(&channel, "", &queue, "a").await;
    }
    let held = recv(&mut consumer).await;
    await_depth(&channel, &queue, 1).await;
    let other = connection.channel_open().await.unwrap();
    let delete = QueueDelete::new(&queue).if_unused(true).if_empty(true);
    other.queue_delete(delete).await.unwrap_err();
    let text = format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty");
    assert_eq!(closed(&other).await, (406, text));
    drop(held);
    connection.close().await;
}
