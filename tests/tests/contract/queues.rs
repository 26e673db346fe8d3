//! Queues: declared, counted, emptied, deleted, and whose they are.

use amqp_connector::{
    BasicConsume, Channel, FieldTable, FieldValue, Prefetch, QueueBind, QueueDeclare, QueueDelete,
    ShortStr,
};

use super::side::{Side, await_depth, closed, cut, drain, publish};

contract! {
    the_broker_names_a_queue_without_a_name,
    purging_and_deleting_tell_how_many_messages_went,
    a_queue_that_is_used_or_filled_is_not_deleted_if_that_matters,
    declaring_again_with_other_arguments_is_refused,
    an_exclusive_queue_is_locked_for_others_and_goes_with_its_connection,
    a_queue_that_deletes_itself_goes_with_its_last_consumer,
    deleting_what_is_not_there_succeeds,
    invalid_arguments_are_refused,
    a_queue_type_of_classic_is_taken,
    reserved_names_are_refused,
    unbinding_ends_a_binding,
}

pub(crate) fn table(key: &str, value: impl Into<FieldValue>) -> FieldTable {
    FieldTable::new().with(ShortStr::try_from(key).unwrap(), value)
}

async fn the_broker_names_a_queue_without_a_name(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let declare = QueueDeclare::new("").exclusive(true);
    let one = channel.queue_declare(declare.clone()).await.unwrap().queue.to_string();
    let other = channel.queue_declare(declare).await.unwrap().queue.to_string();
    assert!(one.starts_with("amq.gen-") && other.starts_with("amq.gen-") && one != other);
    // An empty name then means the last one.
    publish(&channel, "", &other, "a").await;
    await_depth(&channel, &other, 1).await;
    assert_eq!(channel.queue_purge("").await.unwrap().message_count, 1);
    connection.close().await;
}

async fn purging_and_deleting_tell_how_many_messages_went(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    for _ in 0..2 {
        publish(&channel, "", &queue, "a").await;
    }
    await_depth(&channel, &queue, 2).await;
    assert_eq!(channel.queue_purge(&queue).await.unwrap().message_count, 2);
    publish(&channel, "", &queue, "a").await;
    await_depth(&channel, &queue, 1).await;
    assert_eq!(channel.queue_delete(QueueDelete::new(&queue)).await.unwrap().message_count, 1);
    connection.close().await;
}

async fn a_queue_that_is_used_or_filled_is_not_deleted_if_that_matters(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    publish(&channel, "", &queue, "a").await;
    await_depth(&channel, &queue, 1).await;
    let other = connection.channel_open().await.unwrap();
    other.queue_delete(QueueDelete::new(&queue).if_empty(true)).await.unwrap_err();
    let text = format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty");
    assert_eq!(closed(&other).await, (406, text));

    let consume = BasicConsume::new(&queue, Prefetch::Count(1));
    let consumer = channel.basic_consume(consume).await.unwrap();
    let other = connection.channel_open().await.unwrap();
    other.queue_delete(QueueDelete::new(&queue).if_unused(true)).await.unwrap_err();
    let text = format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use");
    assert_eq!(closed(&other).await, (406, text));
    drop(consumer);
    connection.close().await;
}

async fn declaring_again_with_other_arguments_is_refused(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let name = side.name("q");
    let first = QueueDeclare::new(&name).exclusive(true).arguments(table("x-message-ttl", 60_000));
    channel.queue_declare(first.clone()).await.unwrap();
    channel.queue_declare(first.clone()).await.unwrap();
    let what = format!("queue '{name}' in vhost '/'");
    let other_ttl = "received '1' but current is '60000'";
    for (declare, field, how) in [
        (first.clone().auto_delete(true), "auto_delete", "received 'true' but current is 'false'"),
        (first.clone().arguments(table("x-message-ttl", 1)), "x-message-ttl", other_ttl),
        (
            first.clone().arguments(FieldTable::new()),
            "x-message-ttl",
            "received none but current is the value '60000' of type 'signedint'",
        ),
    ] {
        let channel = connection.channel_open().await.unwrap();
        channel.queue_declare(declare).await.unwrap_err();
        let text = format!("PRECONDITION_FAILED - inequivalent arg '{field}' for {what}: {how}");
        assert_eq!(closed(&channel).await, (406, cut(&text)));
    }
    // A queue that goes with its connection is not durable, whatever was declared.
    channel.queue_declare(first.durable(true)).await.unwrap();

    let name = side.name("shared");
    channel.queue_declare(QueueDeclare::new(&name)).await.unwrap();
    let other = connection.channel_open().await.unwrap();
    other.queue_declare(QueueDeclare::new(&name).durable(true)).await.unwrap_err();
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{name}' in vhost '/': received 'true' but \
         current is 'false'"
    );
    assert_eq!(closed(&other).await, (406, cut(&text)));
    channel.queue_delete(QueueDelete::new(&name)).await.unwrap();
    connection.close().await;
}

async fn an_exclusive_queue_is_locked_for_others_and_goes_with_its_connection(side: &Side<'_>) {
    let (connection, _channel, queue) = side.queue().await;
    let (other, channel) = side.open().await;
    let passive = QueueDeclare::new(&queue).passive(true);
    channel.queue_declare(passive.clone()).await.unwrap_err();
    let (code, text) = closed(&channel).await;
    let begin = format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'"
    );
    assert!(code == 405 && text.starts_with(&begin), "{code} {text}");
    connection.close().await;
    let channel = other.channel_open().await.unwrap();
    channel.queue_declare(passive).await.unwrap_err();
    let text = format!("NOT_FOUND - no queue '{queue}' in vhost '/'");
    assert_eq!(closed(&channel).await, (404, text));
    other.close().await;
}

async fn is_there(channel: &Channel, queue: &str) -> bool {
    channel.queue_declare(QueueDeclare::new(queue).passive(true)).await.is_ok()
}

async fn a_queue_that_deletes_itself_goes_with_its_last_consumer(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let name = side.name("q");
    channel.queue_declare(QueueDeclare::new(&name).auto_delete(true)).await.unwrap();
    assert!(is_there(&channel, &name).await, "it waits for its first consumer");
    let consume = BasicConsume::new(&name, Prefetch::Count(1));
    let mut one = channel.basic_consume(consume.clone()).await.unwrap();
    let mut other = channel.basic_consume(consume).await.unwrap();
    one.cancel().await.unwrap();
    assert!(is_there(&channel, &name).await);
    other.cancel().await.unwrap();
    assert!(!is_there(&channel, &name).await);
    connection.close().await;
}

async fn deleting_what_is_not_there_succeeds(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let deleted = channel.queue_delete(QueueDelete::new(side.name("none"))).await.unwrap();
    assert_eq!(deleted.message_count, 0);
    connection.close().await;
}

async fn invalid_arguments_are_refused(side: &Side<'_>) {
    let (connection, _channel) = side.open().await;
    let name = side.name("q");
    for (arguments, begin) in [
        (table("x-message-ttl", "text"), "invalid arg 'x-message-ttl' for queue"),
        (table("x-message-ttl", -1), "invalid arg 'x-message-ttl' for queue"),
        (table("x-overflow", "over"), "invalid arg 'x-overflow' for queue"),
        (
            table("x-dead-letter-routing-key", "k"),
            "invalid arg 'x-dead-letter-routing-key' for queue",
        ),
    ] {
        let channel = connection.channel_open().await.unwrap();
        let declare = QueueDeclare::new(&name).exclusive(true).arguments(arguments);
        channel.queue_declare(declare).await.unwrap_err();
        let (code, text) = closed(&channel).await;
        let begin = format!("PRECONDITION_FAILED - {begin}");
        assert!(code == 406 && text.starts_with(&begin), "{code} {text}");
    }
    connection.close().await;
}

async fn a_queue_type_of_classic_is_taken(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let declare = QueueDeclare::new(side.name("q")).exclusive(true);
    channel.queue_declare(declare.arguments(table("x-queue-type", "classic"))).await.unwrap();
    connection.close().await;
}

async fn reserved_names_are_refused(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    channel.queue_declare(QueueDeclare::new("amq.mine").exclusive(true)).await.unwrap_err();
    let text = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'".to_owned();
    assert_eq!(closed(&channel).await, (403, text));
    connection.close().await;
}

async fn unbinding_ends_a_binding(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let key = side.name("key");
    channel.queue_bind(QueueBind::new(&queue, "amq.direct", &key)).await.unwrap();
    // The same twice is one.
    channel.queue_bind(QueueBind::new(&queue, "amq.direct", &key)).await.unwrap();
    publish(&channel, "amq.direct", &key, "bound").await;
    assert_eq!(drain(&channel, &queue).await, ["bound"]);
    amqp_connector::amqp_types::if_spec! { queue.unbind => {
        let unbind = || amqp_connector::QueueUnbind::new(&queue, "amq.direct", &key);
        channel.queue_unbind(unbind()).await.unwrap();
        publish(&channel, "amq.direct", &key, "not bound").await;
        assert_eq!(drain(&channel, &queue).await, Vec::<String>::new());
        // One that is not there is no error.
        channel.queue_unbind(unbind()).await.unwrap();
    } else {} }
    connection.close().await;
}
