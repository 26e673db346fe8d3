//! Deadlines of single calls, and what is told of arguments that cannot be sent.

use std::time::Duration;

use amqp_connector::protocol::{basic, channel as channel_class, queue};
use amqp_connector::testing::{Leftovers, leftovers};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, ErrorKind, ExchangeDeclare, Prefetch, QueueBind,
    QueueDeclare,
};
use tokio::time::Instant;

use crate::support::{channel, close_clean, connection, resolves};

const SHORT: Duration = Duration::from_millis(300);
/// `Options::call_timeout` by default.
const DEFAULT: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn every_kind_of_call_can_have_a_deadline_of_its_own() {
    let (connection, channel, mut peer) = channel().await;
    let consume = BasicConsume::new("q", Prefetch::Count(1));
    let begun = Instant::now();
    let (declare, get, consumer, opened, with_content) = tokio::join!(
        channel.queue_declare(QueueDeclare::new("q")).within(SHORT),
        channel.basic_get(BasicGet::new("q")).within(SHORT),
        channel.basic_consume(consume).within(SHORT),
        connection.channel_open().within(SHORT),
        channel.call_with_content(basic::Get::default()).within(SHORT),
    );
    let errors = [
        declare.map(drop).expect_err("no reply"),
        get.map(drop).expect_err("no reply"),
        consumer.map(drop).expect_err("no reply"),
        opened.map(drop).expect_err("no reply"),
        with_content.map(drop).expect_err("no reply"),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    drop(channel);
    connection.abort();
    peer.expect::<queue::Declare>().await;
    assert_eq!(leftovers(&connection), Leftovers::default());
}

#[tokio::test(start_paused = true)]
async fn completions_can_have_a_deadline_of_their_own() {
    amqp_connector::amqp_types::if_spec! { confirm.select => {
        let (_connection, channel, _peer) = channel().await;
        let error = channel.confirm_select().within(SHORT).await.expect_err("no reply");
        assert_eq!(error.kind(), ErrorKind::Timeout);
    } else {} }
    amqp_connector::amqp_types::if_spec! { connection.update_secret => {
        let (connection, _peer) = connection().await;
        let update = connection.update_secret("secret", "it expires").within(SHORT);
        assert_eq!(update.await.expect_err("no reply").kind(), ErrorKind::Timeout);
    } else {
        let (connection, _peer) = connection().await;
        let update = connection.update_secret("secret", "it expires").within(SHORT);
        assert_eq!(update.await.expect_err("no such method").kind(), ErrorKind::Unsupported);
    } }
}

#[tokio::test(start_paused = true)]
async fn a_short_deadline_leaves_the_channel_the_usual_time_for_the_late_reply() {
    let (connection, channel, mut peer) = channel().await;
    let id = channel.id();
    let call = channel.queue_declare(QueueDeclare::new("q")).within(SHORT);
    assert_eq!(call.await.expect_err("no reply").kind(), ErrorKind::Timeout);
    tokio::time::sleep(DEFAULT - Duration::from_secs(1)).await;
    assert!(channel.close_reason().is_none(), "it may still come");
    let purge = channel.queue_purge("q");
    let script = async {
        peer.expect_on::<queue::Declare>(id).await;
        peer.expect_on::<queue::Purge>(id).await;
        peer.send(id, queue::DeclareOk::default()).await;
        peer.send(id, queue::PurgeOk { message_count: 5 }).await;
    };
    let (purged, ()) = resolves("purge", async { tokio::join!(purge, script) }).await;
    assert_eq!(purged.expect("its own reply").message_count, 5);
    drop(channel);
    peer.expect::<channel_class::Close>().await;
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_deadline_outlasts_the_usual_one() {
    let (_connection, channel, mut peer) = channel().await;
    let id = channel.id();
    let call = tokio::spawn(channel.queue_declare(QueueDeclare::new("q")).within(100 * DEFAULT));
    peer.expect_on::<queue::Declare>(id).await;
    for _ in 0..50 {
        // The peer must live, or its heartbeats are missed.
        tokio::time::sleep(DEFAULT).await;
        peer.send_heartbeat().await;
    }
    peer.send(id, queue::DeclareOk::default()).await;
    call.await.expect("no panic").expect("the reply");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_too_long_is_refused_by_what_it_was_to_be() {
    let (connection, channel, mut peer) = channel().await;
    let long = || "n".repeat(256);
    let publish = || BasicPublish::new("e", "k", "x");
    let publishes = [
        ("the exchange's name", BasicPublish::new(long(), "k", "x")),
        ("the routing key", BasicPublish::new("e", long(), "x")),
        ("the name of a header", publish().header(long(), 1_i32)),
        ("the property content-type", publish().content_type(long())),
        ("the property content-encoding", publish().content_encoding(long())),
        ("the property correlation-id", publish().correlation_id(long())),
        ("the property reply-to", publish().reply_to(long())),
        ("the property message-id", publish().message_id(long())),
        ("the property type", publish().message_type(long())),
        ("the property user-id", publish().user_id(long())),
        ("the property app-id", publish().app_id(long())),
    ];
    let mut refused = Vec::new();
    for (what, publish) in publishes {
        refused.push((what, channel.basic_publish(publish).await.map(drop)));
    }
    let declare = ExchangeDeclare::new(long(), "direct");
    refused.push(("the exchange's name", channel.exchange_declare(declare).await.map(drop)));
    let declare = ExchangeDeclare::new("e", long());
    refused.push(("the exchange's type", channel.exchange_declare(declare).await.map(drop)));
    let declare = QueueDeclare::new(long());
    refused.push(("the queue's name", channel.queue_declare(declare).await.map(drop)));
    for (what, [queue, exchange, key]) in [
        ("the name of the queue", [long(), String::new(), String::new()]),
        ("the name of the exchange", [String::new(), long(), String::new()]),
        ("the routing key", [String::new(), String::new(), long()]),
    ] {
        let bind = QueueBind::new(queue, exchange, key);
        refused.push((what, channel.queue_bind(bind).await.map(drop)));
    }
    let consume = |queue: String| BasicConsume::new(queue, Prefetch::Unlimited);
    refused.push(("the queue's name", channel.basic_consume(consume(long())).await.map(drop)));
    let tagged = consume(String::new()).tag(long());
    refused.push(("the consumer tag", channel.basic_consume(tagged).await.map(drop)));
    refused.push(("the queue's name", channel.basic_get(BasicGet::new(long())).await.map(drop)));
    refused.push(("the queue's name", channel.queue_purge(long()).await.map(drop)));
    for (what, result) in refused {
        let error = result.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let told = format!("{what} is too long: a short string has at most 255 octets, not 256");
        assert_eq!(error.to_string(), told);
    }
    peer.expect_nothing(Duration::from_secs(1)).await;
    close_clean(connection, &mut peer).await;
}
