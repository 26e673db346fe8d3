//! Arguments of the wrong type or out of bounds, with RabbitMQ's words for each.

use amqp_connector::{
    Connection, ExchangeDeclare, ExchangeDelete, FieldTable, FieldValue, QueueDeclare, ShortStr,
};

use crate::queues::table;
use crate::side::{Side, closed, cut, declare};

contract! {
    a_queue_s_arguments_have_types_and_bounds,
    an_argument_that_differs_is_told_before_one_that_is_invalid,
    an_alternate_is_a_name,
    line_breaks_are_no_part_of_a_name,
}

fn one(key: &str, value: impl Into<FieldValue>) -> FieldTable {
    FieldTable::new().with(ShortStr::try_from(key).unwrap(), value.into())
}

async fn declared(connection: &Connection, queue: &str, arguments: FieldTable) -> (u16, String) {
    let channel = connection.channel_open().await.unwrap();
    let declare = QueueDeclare::new(queue).exclusive(true).arguments(arguments);
    channel.queue_declare(declare).await.unwrap_err();
    closed(&channel).await
}

async fn a_queue_s_arguments_have_types_and_bounds(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let name = side.name("q");
    let what = format!("queue '{name}' in vhost '/'");
    for (key, value, why) in [
        ("x-message-ttl", FieldValue::from("text"), "\"expected integer, got longstr\""),
        ("x-message-ttl", FieldValue::F64(1.5), "\"expected integer, got double\""),
        ("x-message-ttl", FieldValue::from(-1), "{value_negative,-1}"),
        ("x-message-ttl", FieldValue::I64(315_360_000_001), "{value_too_large,315360000001}"),
        ("x-max-length", FieldValue::Bool(true), "\"expected integer, got bool\""),
        ("x-max-length", FieldValue::from(-5), "{value_negative,-5}"),
        ("x-overflow", FieldValue::from("over"), "invalid_overflow"),
        ("x-overflow", FieldValue::from(1), "{unacceptable_type,signedint}"),
        ("x-queue-type", FieldValue::from("odd"), "\"unsupported queue type 'odd'\""),
        ("x-queue-type", FieldValue::Void, "{unacceptable_type,void}"),
    ] {
        let text = format!("PRECONDITION_FAILED - invalid arg '{key}' for {what}: {why}");
        assert_eq!(declared(&connection, &name, one(key, value)).await, (406, cut(&text)));
    }
    let text = format!(
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in {what}"
    );
    let told = declared(&connection, &name, one("x-dead-letter-exchange", 1)).await;
    assert_eq!(told, (406, cut(&text)));
    // A place that cannot be is one that is not there.
    let nowhere = table("x-dead-letter-exchange", "x".repeat(300).as_str());
    let longest = nowhere
        .with(ShortStr::try_from("x-message-ttl").unwrap(), FieldValue::I64(315_360_000_000))
        .with(ShortStr::try_from("x-max-length").unwrap(), FieldValue::I64(i64::MAX));
    let declare = QueueDeclare::new(&name).exclusive(true).arguments(longest);
    channel.queue_declare(declare).await.unwrap();
    connection.close().await;
}

async fn an_argument_that_differs_is_told_before_one_that_is_invalid(side: &Side<'_>) {
    let (connection, _channel, queue) = side.queue().await;
    let what = format!("queue '{queue}' in vhost '/'");
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for {what}: received the value 'text' of type \
         'longstr' but current is none"
    );
    let told = declared(&connection, &queue, table("x-message-ttl", "text")).await;
    assert_eq!(told, (406, cut(&text)));
    connection.close().await;
}

async fn an_alternate_is_a_name(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let name = side.name("x");
    let declare = ExchangeDeclare::new(&name, "direct").arguments(one("alternate-exchange", true));
    channel.exchange_declare(declare).await.unwrap_err();
    let text = format!(
        "PRECONDITION_FAILED - invalid type 'bool' for arg 'alternate-exchange' in exchange '{name}' in vhost '/'"
    );
    assert_eq!(closed(&channel).await, (406, cut(&text)));
    connection.close().await;
}

async fn line_breaks_are_no_part_of_a_name(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, exchange) = (side.name("q"), side.name("x"));
    let broken = QueueDeclare::new(format!("{queue}\r\n")).exclusive(true);
    assert_eq!(channel.queue_declare(broken).await.unwrap().queue, *queue);
    declare(&channel, &queue).await;
    let broken = format!("\n{exchange}");
    channel.exchange_declare(ExchangeDeclare::new(&broken, "direct")).await.unwrap();
    let passive = ExchangeDeclare::new(&exchange, "direct").passive(true);
    channel.exchange_declare(passive).await.unwrap();
    channel.exchange_delete(ExchangeDelete::new(&broken)).await.unwrap();
    connection.close().await;
}
