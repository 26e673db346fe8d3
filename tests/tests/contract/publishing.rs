//! Publishing: outcomes, returns, transactions, large bodies, and what is refused.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicGet, BasicPublish, Channel, FieldTable, Outcome, QueueDeclare, ShortStr, basic,
};

use super::queues::table;
use super::side::{Side, await_depth, closed, connection_closed, depth, drain, get, publish, text};

contract! {
    a_publish_is_acked_returned_or_nacked,
    a_returned_message_comes_back_as_it_was,
    properties_and_large_bodies_arrive_as_they_were,
    a_transaction_counts_as_a_whole,
    a_transaction_s_messages_go_where_they_would_have_when_they_were_published,
    a_transaction_that_is_refused_in_part_closes_the_channel,
    confirms_and_transactions_do_not_mix,
    publishing_to_no_exchange_closes_the_channel,
    immediate_is_not_implemented,
    another_s_user_id_is_refused,
    a_full_queue_drops_its_oldest_or_refuses,
}

/// Confirms, where the specification has them.
async fn confirm_select(channel: &Channel) {
    if_spec! { confirm.select => { channel.confirm_select().await.unwrap(); } else { let _ = channel; } }
}

async fn outcome(channel: &Channel, message: BasicPublish) -> Outcome {
    channel.basic_publish(message).await.unwrap().await
}

fn is_taken(outcome: &Outcome) -> bool {
    let taken = if_spec! { confirm.select => { Outcome::Acked } else { Outcome::Accepted } };
    format!("{outcome:?}") == format!("{taken:?}")
}

async fn a_publish_is_acked_returned_or_nacked(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    confirm_select(&channel).await;
    let queue = side.name("q");
    let arguments =
        table("x-max-length", 1).with(ShortStr::try_from("x-overflow").unwrap(), "reject-publish");
    let declare = QueueDeclare::new(&queue).exclusive(true).arguments(arguments);
    channel.queue_declare(declare).await.unwrap();
    let message = |key: &str| BasicPublish::new("", key, "a");
    let taken = outcome(&channel, message(&queue).mandatory(true)).await;
    assert!(is_taken(&taken), "{taken:?}");
    let unrouted = outcome(&channel, message("nowhere")).await;
    assert!(is_taken(&unrouted), "{unrouted:?}");
    if_spec! { confirm.select => {
        let full = outcome(&channel, message(&queue)).await;
        assert!(matches!(full, Outcome::Nacked), "{full:?}");
        let returned = outcome(&channel, message("nowhere").mandatory(true)).await;
        let Outcome::Returned(returned) = returned else { panic!("{returned:?}") };
        assert_eq!((returned.reply_code.0, &*returned.reply_text.to_string()), (312, "NO_ROUTE"));
    } else {} }
    await_depth(&channel, &queue, 1).await;
    connection.close().await;
}

async fn a_returned_message_comes_back_as_it_was(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let mut returns = channel.returns();
    let message = BasicPublish::new("amq.direct", "nowhere", "x".repeat(200_000)).mandatory(true);
    let message = message.header("a", 1).message_id("m");
    drop(channel.basic_publish(message).await.unwrap());
    let returned = tokio::time::timeout(super::side::SOON, returns.recv()).await.unwrap().unwrap();
    assert_eq!((returned.reply_code.0, &*returned.exchange.to_string()), (312, "amq.direct"));
    assert_eq!(returned.properties.message_id, ShortStr::try_from("m").ok());
    assert_eq!(returned.body.len(), 200_000);
    connection.close().await;
}

async fn properties_and_large_bodies_arrive_as_they_were(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let properties = basic::Properties {
        content_type: "text/plain".try_into().ok(),
        headers: Some(FieldTable::new().with(ShortStr::try_from("h").unwrap(), 5)),
        delivery_mode: Some(2),
        priority: Some(3),
        correlation_id: "c".try_into().ok(),
        ..Default::default()
    };
    for size in [0, 1, 131_064, 131_065, 400_000] {
        let message =
            BasicPublish::new("", &queue, vec![b'x'; size]).properties(properties.clone());
        drop(channel.basic_publish(message).await.unwrap());
        let got = get(&channel, &queue).await;
        assert_eq!((got.body.len(), &got.properties), (size, &properties));
        assert_eq!((got.redelivered, got.message_count()), (false, Some(0)));
        got.ack().unwrap();
    }
    connection.close().await;
}

async fn a_transaction_counts_as_a_whole(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    if_spec! { tx.select => {
        let other = connection.channel_open().await.unwrap();
        channel.tx_select().await.unwrap();
        publish(&channel, "", &queue, "rolled back").await;
        channel.tx_rollback().await.unwrap();
        publish(&channel, "", &queue, "a").await;
        publish(&channel, "", &queue, "b").await;
        // Behind them, on their own channel.
        assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
        channel.tx_commit().await.unwrap();
        assert_eq!(depth(&other, &queue).await, 2);
        // Settlements, too.
        get(&channel, &queue).await.ack().unwrap();
        channel.tx_rollback().await.unwrap();
        channel.close().await.unwrap();
        side.await_left(&other, &queue, 2).await;
        other.tx_select().await.unwrap();
        get(&other, &queue).await.ack().unwrap();
        other.tx_commit().await.unwrap();
        let last = connection.channel_open().await.unwrap();
        other.close().await.unwrap();
        side.await_left(&last, &queue, 1).await;
        assert_eq!(drain(&last, &queue).await, ["b"]);
    } else { let _ = (&channel, &queue); } }
    connection.close().await;
}

async fn a_transaction_s_messages_go_where_they_would_have_when_they_were_published(
    side: &Side<'_>,
) {
    let (connection, channel, queue) = side.queue().await;
    if_spec! { tx.select => {
        let key = side.name("key");
        channel.tx_select().await.unwrap();
        publish(&channel, "amq.direct", &key, "before").await;
        channel.queue_bind(amqp_connector::QueueBind::new(&queue, "amq.direct", &key)).await.unwrap();
        publish(&channel, "amq.direct", &key, "behind").await;
        channel.tx_commit().await.unwrap();
        let other = connection.channel_open().await.unwrap();
        assert_eq!(drain(&other, &queue).await, ["behind"]);
    } else { let _ = (&channel, &queue); } }
    connection.close().await;
}

async fn a_transaction_that_is_refused_in_part_closes_the_channel(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    if_spec! { tx.select => {
        let (full, open) = (side.name("full"), side.name("open"));
        let arguments = table("x-max-length", 0)
            .with(ShortStr::try_from("x-overflow").unwrap(), "reject-publish");
        let declare = QueueDeclare::new(&full).exclusive(true).arguments(arguments);
        channel.queue_declare(declare).await.unwrap();
        super::side::declare(&channel, &open).await;
        channel.tx_select().await.unwrap();
        publish(&channel, "", &open, "a").await;
        publish(&channel, "", &full, "b").await;
        channel.tx_commit().await.unwrap_err();
        let text = "PRECONDITION_FAILED - partial tx completion".to_owned();
        assert_eq!(closed(&channel).await, (406, text));
        let other = connection.channel_open().await.unwrap();
        assert_eq!(drain(&other, &open).await, ["a"]);
    } else { let _ = channel; } }
    connection.close().await;
}

async fn confirms_and_transactions_do_not_mix(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    if_spec! { tx.select => {
        use amqp_connector::protocol::tx;
        channel.call(tx::Commit::default()).await.unwrap_err();
        let text = "PRECONDITION_FAILED - channel is not transactional".to_owned();
        assert_eq!(closed(&channel).await, (406, text));
    } else {} }
    if_spec! { confirm.select => {
        use amqp_connector::protocol::confirm;
        let channel = connection.channel_open().await.unwrap();
        channel.confirm_select().await.unwrap();
        channel.call(tx::Select::default()).await.unwrap_err();
        if let Some(reason) = channel.close_reason() {
            let text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode".to_owned();
            assert_eq!(super::side::told(&reason), (406, text));
        }
        let channel = connection.channel_open().await.unwrap();
        channel.tx_select().await.unwrap();
        channel.call(confirm::Select::default()).await.unwrap_err();
        if let Some(reason) = channel.close_reason() {
            let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode".to_owned();
            assert_eq!(super::side::told(&reason), (406, text));
        }
    } else {} }
    let _ = channel;
    connection.close().await;
}

async fn publishing_to_no_exchange_closes_the_channel(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    publish(&channel, "nowhere", "k", "a").await;
    let text = "NOT_FOUND - no exchange 'nowhere' in vhost '/'".to_owned();
    assert_eq!(closed(&channel).await, (404, text));
    connection.close().await;
}

async fn immediate_is_not_implemented(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let message = BasicPublish::new("", &queue, "a").immediate(true);
    drop(channel.basic_publish(message).await.unwrap());
    let text = "NOT_IMPLEMENTED - immediate=true".to_owned();
    assert_eq!(connection_closed(&connection).await, (540, text));
}

async fn another_s_user_id_is_refused(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let message = BasicPublish::new("", &queue, "a");
    drop(channel.basic_publish(message.clone().user_id("guest")).await.unwrap());
    assert_eq!(text(&get(&channel, &queue).await.body), "a");
    drop(channel.basic_publish(message.user_id("root")).await.unwrap());
    let text =
        "PRECONDITION_FAILED - user_id property set to 'root' but authenticated user was 'guest'";
    assert_eq!(closed(&channel).await, (406, text.to_owned()));
    connection.close().await;
}

async fn a_full_queue_drops_its_oldest_or_refuses(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    for (word, overflow, left) in
        [("drop", "drop-head", ["2", "3"]), ("refuse", "reject-publish", ["1", "2"])]
    {
        let queue = side.name(word);
        let arguments =
            table("x-max-length", 2).with(ShortStr::try_from("x-overflow").unwrap(), overflow);
        let declare = QueueDeclare::new(&queue).exclusive(true).arguments(arguments);
        channel.queue_declare(declare).await.unwrap();
        for body in ["1", "2", "3"] {
            publish(&channel, "", &queue, body).await;
        }
        await_depth(&channel, &queue, 2).await;
        for body in left {
            let got = get(&channel, &queue).await;
            assert_eq!(text(&got.body), body, "{overflow}");
            got.ack().unwrap();
        }
    }
    connection.close().await;
}
