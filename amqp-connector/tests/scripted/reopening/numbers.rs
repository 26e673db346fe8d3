//! Numbers: of channels, which rest, and of deliveries, which begin anew at the broker.

use std::time::Duration;

use amqp_connector::protocol::{basic, channel};
use amqp_connector::testing::Peer;
use amqp_connector::{BasicConsume, Consumer, ErrorKind, Options, Prefetch};

use crate::support::{channel as channel_and_peer, connection_with, open};

/// Lets a consumer be started; gives its tag.
async fn start(peer: &mut Peer, id: u16) -> basic::Consume {
    let qos: basic::Qos = peer.expect_on(id).await;
    assert_eq!(qos.prefetch_count, 5);
    peer.send(id, basic::QosOk::default()).await;
    let consume: basic::Consume = peer.expect_on(id).await;
    let ok = basic::ConsumeOk { consumer_tag: consume.consumer_tag.clone() };
    peer.send(id, ok).await;
    consume
}

async fn deliver(peer: &mut Peer, id: u16, tag: &str, number: u64, body: &str) {
    let deliver = basic::Deliver {
        consumer_tag: tag.try_into().expect("short"),
        delivery_tag: number,
        ..Default::default()
    };
    peer.send_content(id, deliver, basic::Properties::default(), body.as_bytes()).await;
}

async fn consume(channel: &amqp_connector::Channel, peer: &mut Peer) -> Consumer {
    let wanted = BasicConsume::new("q", Prefetch::Count(5)).tag("mine");
    let (consumer, _) = tokio::join!(channel.basic_consume(wanted), start(peer, channel.id()));
    consumer.expect("a consumer")
}

#[tokio::test(start_paused = true)]
async fn old_deliveries_send_nothing_though_new_ones_have_their_numbers() {
    let (connection, channel, mut peer) = channel_and_peer().await;
    let mut consumer = consume(&channel, &mut peer).await;
    for number in 1..=4 {
        deliver(&mut peer, channel.id(), "mine", number, "old").await;
    }
    let mut old = Vec::new();
    for _ in 0..4 {
        old.push(consumer.recv().await.expect("a delivery"));
    }
    peer.close_channel(channel.id(), 406, "PRECONDITION_FAILED").await;
    assert!(consumer.recv().await.is_none());
    let reopening = tokio::spawn(channel.reopen());
    let id = peer.open_channel().await;
    let consumed = start(&mut peer, id).await;
    assert_eq!(consumed.consumer_tag.to_string(), "mine");
    assert_eq!(reopening.await.expect("no panic").expect("reopened").consumers, 1);
    for number in 1..=4 {
        deliver(&mut peer, id, "mine", number, "new").await;
    }
    let new = consumer.recv().await.expect("a delivery");
    assert_eq!(new.body.to_bytes(), "new");
    let [first, second, third, fourth] = <[_; 4]>::try_from(old).expect("four");
    let nothing = [first.ack(), second.ack_multiple(), third.nack(true), fourth.reject(true)];
    for settled in nothing {
        assert_eq!(settled.expect_err("over").kind(), ErrorKind::Stale);
    }
    peer.expect_nothing(Duration::from_secs(1)).await;
    new.ack().expect("settled");
    let ack: basic::Ack = peer.expect_on(id).await;
    assert_eq!((ack.delivery_tag, ack.multiple), (1, false));
    // And what was not read when it was closed is not given out as anything of now.
    drop((channel, consumer));
    peer.close_connection(320, "CONNECTION_FORCED").await;
    connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_on_the_old_number_is_passed_over() {
    let (connection, channel, mut peer) = channel_and_peer().await;
    let old = channel.id();
    let mut consumer = consume(&channel, &mut peer).await;
    peer.close_channel(old, 406, "PRECONDITION_FAILED").await;
    let reopening = tokio::spawn(channel.reopen());
    let id = peer.open_channel().await;
    assert_ne!(id, old);
    start(&mut peer, id).await;
    drop(reopening.await.expect("no panic").expect("reopened"));
    deliver(&mut peer, old, "mine", 1, "late").await;
    deliver(&mut peer, id, "mine", 1, "new").await;
    assert_eq!(consumer.recv().await.expect("a delivery").body.to_bytes(), "new");
    drop((channel, consumer));
    peer.close_connection(320, "CONNECTION_FORCED").await;
    connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_nobody_had_read_are_not_given_out_nor_given_back() {
    let (connection, channel, mut peer) = channel_and_peer().await;
    let mut consumer = consume(&channel, &mut peer).await;
    for number in 1..=3 {
        deliver(&mut peer, channel.id(), "mine", number, "old").await;
    }
    // Two are in the consumer's hand.
    drop(consumer.recv().await.expect("a delivery"));
    peer.close_channel(channel.id(), 406, "PRECONDITION_FAILED").await;
    channel.closed().await;
    let reopening = tokio::spawn(channel.reopen());
    let id = peer.open_channel().await;
    start(&mut peer, id).await;
    drop(reopening.await.expect("no panic").expect("reopened"));
    deliver(&mut peer, id, "mine", 1, "new").await;
    assert_eq!(consumer.recv().await.expect("a delivery").body.to_bytes(), "new");
    drop(consumer);
    let _: basic::Cancel = peer.expect_on(id).await;
    peer.expect_nothing(Duration::from_secs(1)).await;
    drop(channel);
    peer.close_connection(320, "CONNECTION_FORCED").await;
    connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_whose_number_others_have_waits_for_one_and_can_have_its_own_if_that_rests() {
    let mut options = Options::default();
    options.channel_max = 2;
    let (connection, mut peer) = connection_with(options, Peer::new()).await;
    let one = open(&connection, &mut peer).await;
    let two = open(&connection, &mut peer).await;
    peer.close_channel(one.id(), 404, "NOT_FOUND").await;
    one.closed().await;
    let (reopened, id) = tokio::join!(one.reopen(), peer.open_channel());
    drop(reopened.expect("there is no other number"));
    assert_eq!((id, one.id()), (1, 1));

    peer.close_channel(one.id(), 404, "NOT_FOUND").await;
    one.closed().await;
    let third = open(&connection, &mut peer).await;
    let error = one.reopen().await.expect_err("no number");
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert_eq!(one.close_reason().and_then(|it| it.code()).map(|it| it.0), Some(404));
    let (closed, _) = tokio::join!(third.close(), async {
        let _: channel::Close = peer.expect_on(1).await;
        peer.send(1, channel::CloseOk::default()).await;
    });
    closed.expect("closed");
    let (reopened, _) = tokio::join!(one.reopen(), peer.open_channel());
    drop(reopened.expect("one is free"));
    drop((one, two, third));
    peer.close_connection(320, "CONNECTION_FORCED").await;
    connection.closed().await;
}
