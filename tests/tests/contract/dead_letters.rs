//! Dead letters: the three ways to die, and the story that is written down.

use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Delivery, FieldTable, FieldValue, Prefetch, QueueBind,
    QueueDeclare, ShortStr, basic,
};

use super::queues::table;
use super::side::{Side, declare, drain, get, publish, text};

contract! {
    a_rejected_message_goes_on_with_its_story,
    an_expired_message_goes_on_without_its_expiration,
    a_queue_s_time_to_live_counts_too,
    what_a_full_queue_drops_goes_on,
    what_a_full_queue_refuses_goes_on_if_it_says_so,
    deaths_are_counted_by_queue_and_reason,
    without_an_exchange_to_go_to_it_is_gone,
    the_story_of_deaths_that_are_alike_is_the_first_one_s,
    a_dead_letter_goes_to_the_keys_of_its_copies,
    a_key_of_the_dead_takes_the_place_of_copies,
    what_was_requeued_too_late_is_not_delivered_again,
    what_is_too_old_behind_another_is_not_delivered_after_it,
}

fn key(text: &str) -> ShortStr {
    ShortStr::try_from(text).unwrap()
}

/// A queue whose dead letters go to the queue `dead`.
async fn mortal(side: &Side<'_>, channel: &Channel, further: FieldTable) -> (String, String) {
    let (queue, dead) = (side.name("mortal"), side.name("dead"));
    declare(channel, &dead).await;
    let mut arguments = table("x-dead-letter-exchange", "");
    arguments.insert(key("x-dead-letter-routing-key"), dead.as_str());
    arguments.extend(further);
    let declare = QueueDeclare::new(&queue).exclusive(true).arguments(arguments);
    channel.queue_declare(declare).await.unwrap();
    (queue, dead)
}

/// The story of a message's deaths, without times.
fn story(delivery: &Delivery) -> Vec<(i64, String, String, String, Vec<String>)> {
    let deaths = delivery.properties.headers.as_ref().and_then(|it| it.get_array("x-death"));
    let told = deaths.unwrap().iter().map(|death| {
        let FieldValue::Table(death) = death else { panic!("{death:?}") };
        assert!(death.get_timestamp("time").is_some());
        let keys = death.get_array("routing-keys").unwrap().iter();
        let text = |key: &str| death.get_str(key).unwrap().to_owned();
        (
            death.get_i64("count").unwrap(),
            text("reason"),
            text("queue"),
            text("exchange"),
            keys.map(|key| key.as_str().unwrap().to_owned()).collect(),
        )
    });
    told.collect()
}

fn death(count: i64, reason: &str, queue: &str) -> (i64, String, String, String, Vec<String>) {
    (count, reason.to_owned(), queue.to_owned(), String::new(), vec![queue.to_owned()])
}

async fn a_rejected_message_goes_on_with_its_story(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, dead) = mortal(side, &channel, FieldTable::new()).await;
    let message = BasicPublish::new("", &queue, "a").header("own", 1).message_id("m");
    drop(channel.basic_publish(message).await.unwrap());
    get(&channel, &queue).await.reject(false).unwrap();
    let got = get(&channel, &dead).await;
    assert_eq!(story(&got), [death(1, "rejected", &queue)]);
    let headers = got.properties.headers.as_ref().unwrap();
    assert_eq!(headers.get_i64("own"), Some(1));
    assert_eq!(headers.get_str("x-first-death-reason"), Some("rejected"));
    assert_eq!(headers.get_str("x-first-death-queue"), Some(&*queue));
    assert_eq!(headers.get_str("x-first-death-exchange"), Some(""));
    let at = (got.exchange.to_string(), got.routing_key.to_string());
    assert_eq!((at, got.redelivered), ((String::new(), dead.clone()), false));
    assert_eq!(got.properties.message_id, Some(key("m")));
    drop(got);
    connection.close().await;
}

async fn an_expired_message_goes_on_without_its_expiration(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, dead) = mortal(side, &channel, FieldTable::new()).await;
    let message = BasicPublish::new("", &queue, "a").expiration(Duration::from_millis(20));
    drop(channel.basic_publish(message).await.unwrap());
    let got = get(&channel, &dead).await;
    assert_eq!(story(&got), [death(1, "expired", &queue)]);
    assert_eq!(got.properties.expiration, None);
    let headers = got.properties.headers.as_ref().unwrap();
    let deaths = headers.get_array("x-death").unwrap();
    let Some(FieldValue::Table(first)) = deaths.get(0) else { panic!("{deaths:?}") };
    assert_eq!(first.get_str("original-expiration"), Some("20"));
    drop(got);
    connection.close().await;
}

async fn a_queue_s_time_to_live_counts_too(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, dead) = mortal(side, &channel, table("x-message-ttl", 20)).await;
    publish(&channel, "", &queue, "a").await;
    assert_eq!(story(&get(&channel, &dead).await), [death(1, "expired", &queue)]);
    connection.close().await;
}

async fn what_a_full_queue_drops_goes_on(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, dead) = mortal(side, &channel, table("x-max-length", 1)).await;
    publish(&channel, "", &queue, "1").await;
    publish(&channel, "", &queue, "2").await;
    let got = get(&channel, &dead).await;
    assert_eq!((&*text(&got.body), story(&got)), ("1", vec![death(1, "maxlen", &queue)]));
    assert_eq!(text(&get(&channel, &queue).await.body), "2");
    drop(got);
    connection.close().await;
}

async fn what_a_full_queue_refuses_goes_on_if_it_says_so(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let full = table("x-max-length", 1).with(key("x-overflow"), "reject-publish-dlx");
    let (queue, dead) = mortal(side, &channel, full).await;
    publish(&channel, "", &queue, "1").await;
    publish(&channel, "", &queue, "2").await;
    let got = get(&channel, &dead).await;
    assert_eq!((&*text(&got.body), story(&got)), ("2", vec![death(1, "maxlen", &queue)]));
    drop(got);
    connection.close().await;
}

async fn deaths_are_counted_by_queue_and_reason(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, dead) = mortal(side, &channel, FieldTable::new()).await;
    publish(&channel, "", &queue, "a").await;
    get(&channel, &queue).await.reject(false).unwrap();
    let got = get(&channel, &dead).await;
    // It goes round again, with its headers.
    let again = BasicPublish::new("", &queue, "a").properties(got.properties.clone());
    got.ack().unwrap();
    drop(channel.basic_publish(again).await.unwrap());
    get(&channel, &queue).await.reject(false).unwrap();
    let got = get(&channel, &dead).await;
    assert_eq!(story(&got), [death(2, "rejected", &queue)]);
    let short = BasicPublish::new("", &queue, "a").properties(got.properties.clone());
    got.ack().unwrap();
    drop(channel.basic_publish(short.expiration(Duration::from_millis(1))).await.unwrap());
    let expected = [death(1, "expired", &queue), death(2, "rejected", &queue)];
    assert_eq!(story(&get(&channel, &dead).await), expected);
    connection.close().await;
}

async fn without_an_exchange_to_go_to_it_is_gone(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let queue = side.name("q");
    let arguments = table("x-dead-letter-exchange", side.name("none").as_str());
    let declare = QueueDeclare::new(&queue).exclusive(true).arguments(arguments);
    channel.queue_declare(declare).await.unwrap();
    publish(&channel, "", &queue, "a").await;
    get(&channel, &queue).await.reject(false).unwrap();
    assert_eq!(drain(&channel, &queue).await, Vec::<String>::new());
    connection.close().await;
}

async fn the_story_of_deaths_that_are_alike_is_the_first_one_s(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, dead) = mortal(side, &channel, FieldTable::new()).await;
    let other = side.name("other key");
    channel.queue_bind(QueueBind::new(&queue, "amq.direct", &other)).await.unwrap();
    publish(&channel, "", &queue, "a").await;
    get(&channel, &queue).await.reject(false).unwrap();
    let got = get(&channel, &dead).await;
    let again = BasicPublish::new("amq.direct", &other, "a").properties(got.properties.clone());
    got.ack().unwrap();
    drop(channel.basic_publish(again).await.unwrap());
    get(&channel, &queue).await.reject(false).unwrap();
    // Where it died the second time is not told.
    assert_eq!(story(&get(&channel, &dead).await), [death(2, "rejected", &queue)]);
    connection.close().await;
}

/// A message to this queue, and to two others by its headers.
fn copied(queue: &str, open: &str, hidden: &str) -> BasicPublish {
    let array = |key: &str| FieldValue::Array(std::iter::once(FieldValue::from(key)).collect());
    let headers = table("CC", array(open)).with(key("BCC"), array(hidden));
    let properties = basic::Properties { headers: Some(headers), ..Default::default() };
    BasicPublish::new("", queue, "a").properties(properties)
}

async fn a_dead_letter_goes_to_the_keys_of_its_copies(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, open, hidden) = (side.name("q"), side.name("open"), side.name("hidden"));
    let arguments = table("x-dead-letter-exchange", "amq.direct");
    let mortal = QueueDeclare::new(&queue).exclusive(true).arguments(arguments);
    channel.queue_declare(mortal).await.unwrap();
    let mut dead = Vec::new();
    for key in [&queue, &open, &hidden] {
        let name = declare(&channel, &side.name(&format!("dead.{}", dead.len()))).await;
        channel.queue_bind(QueueBind::new(&name, "amq.direct", key)).await.unwrap();
        dead.push(name);
    }
    drop(channel.basic_publish(copied(&queue, &open, &hidden)).await.unwrap());
    get(&channel, &queue).await.reject(false).unwrap();
    for dead in &dead {
        let got = get(&channel, dead).await;
        assert_eq!(story(&got)[0].4, [queue.clone(), open.clone()]);
        assert_eq!(got.routing_key, *queue);
        assert!(got.properties.headers.as_ref().unwrap().contains_key("CC"));
    }
    connection.close().await;
}

async fn a_key_of_the_dead_takes_the_place_of_copies(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, dead) = mortal(side, &channel, FieldTable::new()).await;
    let (open, hidden) = (side.name("open"), side.name("hidden"));
    drop(channel.basic_publish(copied(&queue, &open, &hidden)).await.unwrap());
    // Were they keys of its still, these would get it too.
    declare(&channel, &open).await;
    declare(&channel, &hidden).await;
    get(&channel, &queue).await.reject(false).unwrap();
    let got = get(&channel, &dead).await;
    assert_eq!(story(&got)[0].4, [queue.clone(), open.clone()]);
    assert!(!got.properties.headers.as_ref().unwrap().contains_key("CC"));
    for copy in [&open, &hidden] {
        assert_eq!(drain(&channel, copy).await, Vec::<String>::new());
    }
    connection.close().await;
}

async fn what_was_requeued_too_late_is_not_delivered_again(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, dead) = mortal(side, &channel, FieldTable::new()).await;
    let consume = BasicConsume::new(&queue, Prefetch::Count(1));
    let mut consumer = channel.basic_consume(consume).await.unwrap();
    let message = BasicPublish::new("", &queue, "a").expiration(Duration::ZERO);
    drop(channel.basic_publish(message).await.unwrap());
    // There was somebody to have it at once.
    super::side::recv(&mut consumer).await.reject(true).unwrap();
    assert_eq!(story(&get(&channel, &dead).await), [death(1, "expired", &queue)]);
    connection.close().await;
}

async fn what_is_too_old_behind_another_is_not_delivered_after_it(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let (queue, dead) = mortal(side, &channel, FieldTable::new()).await;
    publish(&channel, "", &queue, "first").await;
    let second = BasicPublish::new("", &queue, "second").expiration(Duration::from_millis(1));
    drop(channel.basic_publish(second).await.unwrap());
    super::side::await_depth(&channel, &queue, 2).await;
    // It is time that passes, and nothing that could be waited for.
    tokio::time::sleep(Duration::from_millis(20)).await;
    super::side::await_depth(&channel, &queue, 2).await;
    let consume = BasicConsume::new(&queue, Prefetch::Count(5));
    let mut consumer = channel.basic_consume(consume).await.unwrap();
    let first = super::side::recv(&mut consumer).await;
    assert_eq!(story(&get(&channel, &dead).await), [death(1, "expired", &queue)]);
    first.ack().unwrap();
    publish(&channel, "", &queue, "third").await;
    assert_eq!(text(&super::side::recv(&mut consumer).await.body), "third");
    connection.close().await;
}
