//! Consumers: their turns, tags, prefetch, exclusiveness and end.

use amqp_connector::protocol::basic as methods;
use amqp_connector::{BasicConsume, BasicGet, ConsumerEnd, Prefetch, QueueDeclare, QueueDelete};
use tokio::time::timeout;

use super::side::{SOON, Side, await_depth, closed, connection_closed, get, publish, recv, text};

contract! {
    deliveries_tell_where_they_come_from,
    consumers_take_turns,
    prefetch_limits_each_consumer,
    prefetch_of_a_channel_limits_all_its_consumers,
    without_acks_nothing_is_kept,
    an_exclusive_consumer_is_alone,
    a_consumer_ends_with_its_queue,
    a_cancelled_consumer_keeps_what_it_has,
    getting_from_an_empty_queue_gives_nothing,
    consuming_from_no_queue_closes_the_channel,
    a_prefetch_size_is_not_implemented,
    a_tag_used_again_closes_the_connection,
    headers_that_are_larger_than_a_frame_end_their_consumer_s_connection,
}

async fn deliveries_tell_where_they_come_from(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let consume = BasicConsume::new(&queue, Prefetch::Count(10)).tag("mine");
    let mut consumer = channel.basic_consume(consume).await.unwrap();
    assert_eq!(consumer.tag(), "mine");
    for tag in 1..=2 {
        publish(&channel, "", &queue, "a").await;
        let delivery = recv(&mut consumer).await;
        assert_eq!((delivery.delivery_tag(), delivery.redelivered), (tag, false));
        assert_eq!(
            (&*delivery.exchange.to_string(), &*delivery.routing_key.to_string()),
            ("", &*queue)
        );
        delivery.ack().unwrap();
    }
    connection.close().await;
}

async fn consumers_take_turns(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let consume = BasicConsume::new(&queue, Prefetch::Count(10));
    let mut one = channel.basic_consume(consume.clone()).await.unwrap();
    let mut other = channel.basic_consume(consume).await.unwrap();
    for body in ["1", "2", "3", "4"] {
        publish(&channel, "", &queue, body).await;
    }
    for (first, second) in [("1", "2"), ("3", "4")] {
        assert_eq!(text(&recv(&mut one).await.body), first);
        assert_eq!(text(&recv(&mut other).await.body), second);
    }
    connection.close().await;
}

async fn prefetch_limits_each_consumer(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let consume = BasicConsume::new(&queue, Prefetch::Count(2));
    let mut consumer = channel.basic_consume(consume.clone()).await.unwrap();
    for body in ["1", "2", "3", "4", "5"] {
        publish(&channel, "", &queue, body).await;
    }
    let first = recv(&mut consumer).await;
    let second = recv(&mut consumer).await;
    await_depth(&channel, &queue, 3).await;
    let mut other = channel.basic_consume(consume).await.unwrap();
    let third = recv(&mut other).await;
    await_depth(&channel, &queue, 1).await;
    assert_eq!([&first, &second, &third].map(|it| text(&it.body)), ["1", "2", "3"]);
    first.ack().unwrap();
    assert_eq!(text(&recv(&mut consumer).await.body), "5");
    await_depth(&channel, &queue, 0).await;
    drop((second, third));
    connection.close().await;
}

async fn prefetch_of_a_channel_limits_all_its_consumers(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    for _ in 0..6 {
        publish(&channel, "", &queue, "a").await;
    }
    await_depth(&channel, &queue, 6).await;
    let other = connection.channel_open().await.unwrap();
    other.basic_qos(Prefetch::Count(3), true).await.unwrap();
    let consume = BasicConsume::new(&queue, Prefetch::Count(2));
    let mut one = other.basic_consume(consume.clone()).await.unwrap();
    let mut two = other.basic_consume(consume).await.unwrap();
    let first = recv(&mut one).await;
    recv(&mut one).await;
    recv(&mut two).await;
    await_depth(&channel, &queue, 3).await;
    first.ack().unwrap();
    await_depth(&channel, &queue, 2).await;
    connection.close().await;
}

async fn without_acks_nothing_is_kept(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    for _ in 0..3 {
        publish(&channel, "", &queue, "a").await;
    }
    let other = connection.channel_open().await.unwrap();
    let consume = BasicConsume::new(&queue, Prefetch::Count(1)).no_ack(true);
    let mut consumer = other.basic_consume(consume).await.unwrap();
    for _ in 0..3 {
        recv(&mut consumer).await;
    }
    drop(consumer);
    other.close().await.unwrap();
    side.await_left(&channel, &queue, 0).await;
    connection.close().await;
}

async fn an_exclusive_consumer_is_alone(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let consume = BasicConsume::new(&queue, Prefetch::Count(1));
    let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
    for (first, second) in [(true, false), (false, true)] {
        let consumer = channel.basic_consume(consume.clone().exclusive(first)).await.unwrap();
        let other = connection.channel_open().await.unwrap();
        other.basic_consume(consume.clone().exclusive(second)).await.unwrap_err();
        assert_eq!(closed(&other).await, (403, text.clone()));
        let mut consumer = consumer;
        consumer.cancel().await.unwrap();
    }
    connection.close().await;
}

async fn a_consumer_ends_with_its_queue(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let consume = BasicConsume::new(&queue, Prefetch::Count(1));
    let mut consumer = channel.basic_consume(consume).await.unwrap();
    channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
    assert!(timeout(SOON, consumer.recv()).await.unwrap().is_none());
    assert!(matches!(consumer.end(), Some(ConsumerEnd::CancelledByPeer)), "{:?}", consumer.end());
    assert!(channel.close_reason().is_none());
    connection.close().await;
}

async fn a_cancelled_consumer_keeps_what_it_has(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    publish(&channel, "", &queue, "a").await;
    let consume = BasicConsume::new(&queue, Prefetch::Count(1));
    let mut consumer = channel.basic_consume(consume).await.unwrap();
    let delivery = recv(&mut consumer).await;
    consumer.cancel().await.unwrap();
    // It was not given back.
    assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
    delivery.ack().unwrap();
    channel.close().await.unwrap();
    let other = connection.channel_open().await.unwrap();
    side.await_left(&other, &queue, 0).await;
    connection.close().await;
}

async fn getting_from_an_empty_queue_gives_nothing(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
    for _ in 0..2 {
        publish(&channel, "", &queue, "a").await;
    }
    await_depth(&channel, &queue, 2).await;
    assert_eq!(get(&channel, &queue).await.message_count(), Some(1));
    let declare = QueueDeclare::new(&queue).passive(true);
    assert_eq!(channel.queue_declare(declare).await.unwrap().message_count, 1);
    connection.close().await;
}

async fn consuming_from_no_queue_closes_the_channel(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let name = side.name("none");
    let consume = BasicConsume::new(&name, Prefetch::Count(1));
    channel.basic_consume(consume).await.unwrap_err();
    let text = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
    assert_eq!(closed(&channel).await, (404, text.clone()));
    let channel = connection.channel_open().await.unwrap();
    channel.basic_get(BasicGet::new(&name)).await.unwrap_err();
    assert_eq!(closed(&channel).await, (404, text));
    connection.close().await;
}

async fn a_prefetch_size_is_not_implemented(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let qos = methods::Qos { prefetch_size: 5, ..Default::default() };
    channel.call(qos).await.unwrap_err();
    let text = "NOT_IMPLEMENTED - prefetch_size!=0 (5)".to_owned();
    assert_eq!(connection_closed(&connection).await, (540, text));
}

async fn a_tag_used_again_closes_the_connection(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let consume = BasicConsume::new(&queue, Prefetch::Count(1)).tag("t");
    let consumer = channel.basic_consume(consume).await.unwrap();
    let again = methods::Consume {
        queue: queue.as_str().try_into().unwrap(),
        consumer_tag: "t".try_into().unwrap(),
        ..Default::default()
    };
    // The connector may refuse it by itself.
    if channel.call(again).await.is_err() && connection.close_reason().is_some() {
        let text = "NOT_ALLOWED - attempt to reuse consumer tag 't'".to_owned();
        assert_eq!(connection_closed(&connection).await, (530, text));
    }
    drop(consumer);
    connection.close().await;
}

async fn headers_that_are_larger_than_a_frame_end_their_consumer_s_connection(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let queue = side.name("q");
    channel.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
    let message =
        amqp_connector::BasicPublish::new("", &queue, "a").header("h", "x".repeat(10_000));
    drop(channel.basic_publish(message).await.unwrap());
    await_depth(&channel, &queue, 1).await;
    let mut options = amqp_connector::Options::default();
    options.frame_max = 4096;
    let small = side.connect_as(|connector| connector.options(options), "guest").await.unwrap();
    let reader = small.channel_open().await.unwrap();
    reader.basic_get(BasicGet::new(&queue)).await.unwrap_err();
    let (code, text) = connection_closed(&small).await;
    assert_eq!(code, 501, "{text}");
    // It is still there.
    side.await_left(&channel, &queue, 1).await;
    channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
    connection.close().await;
}
