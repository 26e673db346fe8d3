//! The number of a channel that the broker closes while it is being restored: what it had in hand for that may come later
//! than what opens the channel again.

use std::time::Duration;

use amqp_connector::protocol::{basic, channel, queue};
use amqp_connector::testing::Peer;
use amqp_connector::{BasicConsume, BasicPublish, Channel, Connection, ConsumerEnd, Prefetch};

use super::corners::connect_to;
use super::recovered;
use crate::support::resolves;

async fn start(peer: &mut Peer, number: u16, tag: &str) {
    let consume = peer.expect_on::<basic::Consume>(number).await;
    assert_eq!(consume.consumer_tag, tag);
    peer.send(number, basic::ConsumeOk { consumer_tag: consume.consumer_tag }).await;
}

async fn qos(peer: &mut Peer, number: u16) {
    peer.expect_on::<basic::Qos>(number).await;
    peer.send(number, basic::QosOk::default()).await;
}

async fn deliver(peer: &mut Peer, number: u16, delivery_tag: u64, body: &str) {
    let consumer_tag = "stays".try_into().expect("short");
    let deliver = basic::Deliver { consumer_tag, delivery_tag, ..Default::default() };
    peer.send_content(number, deliver, basic::Properties::default(), body).await;
}

/// The first two connections of a program with two consumers on a channel, the second of which is refused when they come
/// back. Gives the number that the channel had, and the one that it has then.
async fn refused_once(mut first: Peer, second: &mut Peer) -> (u16, u16) {
    first.handshake().await;
    let old = first.open_channel().await;
    for tag in ["stays", "goes"] {
        qos(&mut first, old).await;
        start(&mut first, old, tag).await;
    }
    first.cut();
    second.handshake().await;
    second.expect_on::<channel::Open>(old).await;
    second.send(old, channel::OpenOk::default()).await;
    qos(second, old).await;
    start(second, old, "stays").await;
    second.expect_on::<basic::Consume>(old).await;
    second.close_channel(old, 404, "NOT_FOUND - no queue 'goes'").await;
    let (new, _) = second.expect::<channel::Open>().await;
    second.send(new, channel::OpenOk::default()).await;
    qos(second, new).await;
    start(second, new, "stays").await;
    (old, new)
}

async fn two_consumers(connection: &Connection) -> (Channel, [amqp_connector::Consumer; 2]) {
    let channel = connection.channel_open().await.expect("a channel");
    let mut consumers = Vec::new();
    for tag in ["stays", "goes"] {
        let consume = BasicConsume::new(tag, Prefetch::Count(5)).tag(tag);
        consumers.push(channel.basic_consume(consume).await.expect("a consumer"));
    }
    let consumers = consumers.try_into().unwrap_or_else(|_| panic!("two"));
    (channel, consumers)
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_for_a_channel_that_was_closed_in_the_middle_of_it_reaches_no_consumer() {
    let ((first_io, first), (second_io, mut second)) = (Peer::new(), Peer::new());
    let script = async {
        let (old, new) = refused_once(first, &mut second).await;
        deliver(&mut second, old, 1, "late").await;
        deliver(&mut second, new, 1, "of now").await;
        deliver(&mut second, old, 2, "late").await;
        let ack = second.expect_on::<basic::Ack>(new).await;
        assert_eq!((ack.delivery_tag, ack.multiple), (1, false));
        second.expect_nothing(Duration::from_secs(1)).await;
    };
    let test = async {
        let connection = connect_to([first_io, second_io]).await;
        let mut events = connection.events();
        let (channel, [mut stays, mut goes]) = two_consumers(&connection).await;
        let report = recovered(&mut events).await;
        assert_eq!((report.channels, report.consumers, report.failures.len()), (1, 1, 1));
        let delivery = resolves("a delivery", stays.recv()).await.expect("one");
        assert_eq!(delivery.body.to_bytes(), "of now");
        delivery.ack().expect("settled");
        assert!(resolves("the end", goes.recv()).await.is_none());
        assert!(matches!(goes.end(), Some(ConsumerEnd::Closed(_))), "{:?}", goes.end());
        (connection, channel, stays)
    };
    let ((), (connection, ..)) = tokio::join!(script, test);
    connection.abort();
}

/// Everybody who held the channel, or waited for something of it, has it by its new number.
#[tokio::test(start_paused = true)]
async fn who_waits_on_a_channel_that_gets_another_number_on_the_way_back_goes_on_waiting() {
    let ((first_io, first), (second_io, mut second)) = (Peer::new(), Peer::new());
    let script = async {
        let (_, new) = refused_once(first, &mut second).await;
        second.expect_on::<queue::Purge>(new).await;
        second.send(new, queue::PurgeOk { message_count: 7 }).await;
        let (_, _, body) = second.expect_content::<basic::Publish>(new).await;
        assert_eq!(body, "waited");
        let returned = basic::Return { reply_code: 312, ..Default::default() };
        second.send_content(new, returned, basic::Properties::default(), "back").await;
        second.close_channel(new, 406, "PRECONDITION_FAILED").await;
    };
    let test = async {
        let connection = connect_to([first_io, second_io]).await;
        let mut events = connection.events();
        let (channel, consumers) = two_consumers(&connection).await;
        let number = channel.id();
        let (waits, closed, returned) = (channel.clone(), channel.clone(), channel.clone());
        let closed = tokio::spawn(async move { closed.closed().await });
        let returned = tokio::spawn(async move { returned.returned().await });
        super::lost(&connection).await;
        let published = waits.basic_publish(BasicPublish::new("", "q", "waited"));
        let purged = channel.call(queue::Purge::default()).repeated();
        let (report, published, purged) = tokio::join!(
            recovered(&mut events),
            resolves("the publish", published),
            resolves("the call", purged)
        );
        drop(published.expect("sent"));
        assert_eq!(purged.expect("answered").message_count, 7);
        assert_eq!(report.failures.len(), 1);
        assert_ne!(channel.id(), number);
        let returned = resolves("a return", returned).await.expect("no panic");
        assert_eq!(returned.expect("it came back").body.to_bytes(), "back");
        let reason = resolves("the end", closed).await.expect("no panic");
        assert_eq!(reason.code().map(|code| code.0), Some(406));
        (connection, channel, consumers)
    };
    let ((), (connection, ..)) = tokio::join!(script, test);
    connection.abort();
}
