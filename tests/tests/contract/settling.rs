//! Settling: acks and rejects of one and of several, places in the queue, recover, and wrong tags.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol::basic as methods;
use amqp_connector::{BasicConsume, Prefetch};

use super::side::{Side, await_depth, closed, depth, get, publish, recv, text};

contract! {
    what_is_requeued_finds_its_old_place,
    several_are_settled_at_once,
    what_a_channel_held_goes_back_when_it_ends,
    recover_delivers_again,
    a_wrong_tag_closes_the_channel,
    rejecting_without_requeue_drops_a_message,
}

async fn what_is_requeued_finds_its_old_place(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    for body in ["1", "2", "3", "4"] {
        publish(&channel, "", &queue, body).await;
    }
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(get(&channel, &queue).await);
    }
    let third = got.pop().unwrap();
    let second = got.pop().unwrap();
    third.reject(true).unwrap();
    second.reject(true).unwrap();
    await_depth(&channel, &queue, 3).await;
    for (body, redelivered) in [("2", true), ("3", true), ("4", false)] {
        let again = get(&channel, &queue).await;
        assert_eq!((&*text(&again.body), again.redelivered), (body, redelivered));
    }
    drop(got);
    connection.close().await;
}

async fn several_are_settled_at_once(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    for body in ["1", "2", "3", "4", "5"] {
        publish(&channel, "", &queue, body).await;
    }
    let mut got = Vec::new();
    for _ in 0..5 {
        got.push(get(&channel, &queue).await);
    }
    let mut got = got.into_iter();
    drop(got.next());
    let second = got.next().unwrap();
    second.ack_multiple().unwrap();
    drop(got.next());
    let fourth = got.next().unwrap();
    if_spec! { basic.nack => {
        fourth.nack_multiple(true).unwrap();
        await_depth(&channel, &queue, 2).await;
        assert_eq!(super::side::drain(&channel, &queue).await, ["3", "4"]);
    } else {
        fourth.ack_multiple().unwrap();
    } }
    // Tag 0 means all: only the fifth is left.
    let ack = methods::Ack { delivery_tag: 0, multiple: true, ..Default::default() };
    drop(got);
    let _ = channel.send(ack);
    channel.close().await.unwrap();
    let other = connection.channel_open().await.unwrap();
    assert!(depth(&other, &queue).await <= 1);
    connection.close().await;
}

async fn what_a_channel_held_goes_back_when_it_ends(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    for body in ["1", "2", "3"] {
        publish(&channel, "", &queue, body).await;
    }
    // So that it has two of them.
    await_depth(&channel, &queue, 3).await;
    let other = connection.channel_open().await.unwrap();
    let consume = BasicConsume::new(&queue, Prefetch::Count(2));
    let mut consumer = other.basic_consume(consume).await.unwrap();
    recv(&mut consumer).await;
    drop(consumer);
    other.close().await.unwrap();
    side.await_left(&channel, &queue, 3).await;
    for (body, redelivered) in [("1", true), ("2", true), ("3", false)] {
        let again = get(&channel, &queue).await;
        assert_eq!((&*text(&again.body), again.redelivered), (body, redelivered));
    }
    connection.close().await;
}

async fn recover_delivers_again(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    for body in ["1", "2"] {
        publish(&channel, "", &queue, body).await;
    }
    let consume = BasicConsume::new(&queue, Prefetch::Count(2));
    let mut consumer = channel.basic_consume(consume).await.unwrap();
    for _ in 0..2 {
        drop(recv(&mut consumer).await);
    }
    channel.basic_recover(true).await.unwrap();
    for body in ["1", "2"] {
        let again = recv(&mut consumer).await;
        assert_eq!((&*text(&again.body), again.redelivered), (body, true));
        again.ack().unwrap();
    }
    connection.close().await;
}

async fn a_wrong_tag_closes_the_channel(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    publish(&channel, "", &queue, "a").await;
    get(&channel, &queue).await.ack().unwrap();
    for (tag, multiple) in [(9, false), (9, true)] {
        let channel = connection.channel_open().await.unwrap();
        let ack = methods::Ack { delivery_tag: tag, multiple, ..Default::default() };
        channel.send(ack).unwrap();
        let text = format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
        assert_eq!(closed(&channel).await, (406, text));
    }
    connection.close().await;
}

async fn rejecting_without_requeue_drops_a_message(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    publish(&channel, "", &queue, "a").await;
    get(&channel, &queue).await.reject(false).unwrap();
    channel.close().await.unwrap();
    let other = connection.channel_open().await.unwrap();
    side.await_left(&other, &queue, 0).await;
    connection.close().await;
}
