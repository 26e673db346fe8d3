//! Channels that were closed for an error and are opened again: what goes on, what is over, and how it is told.

mod ending;
mod modes;
mod numbers;

use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Consumer, ConsumerEnd, ErrorKind,
    Event, Prefetch, QueueDeclare, QueueDelete,
};

/// A connection that does not come back from a loss, and a channel with a queue.
async fn open(broker: &MemoryBroker) -> (Connection, Channel) {
    let connection = broker.connect().await.expect("a connection");
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    (connection, channel)
}

/// Has the broker close the channel: 404.
async fn fail(channel: &Channel) {
    let missing = QueueDeclare::new("missing").passive(true);
    let error = channel.queue_declare(missing).await.expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::ChannelClosed, "{error}");
}

async fn publish(channel: &Channel, queue: &str, body: &'static str) {
    drop(channel.basic_publish(BasicPublish::new("", queue, body)).await.expect("sent"));
}

/// All that was sent before is done.
async fn round_trip(channel: &Channel) {
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
}

async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let consume = BasicConsume::new(queue, Prefetch::Count(5));
    channel.basic_consume(consume).await.expect("a consumer")
}

/// Reads a consumer to its end.
async fn read_out(consumer: &mut Consumer) {
    while consumer.recv().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn a_consumer_goes_on_as_the_same_stream_and_its_old_deliveries_are_stale() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    let mut events = connection.events();
    let mut consumer = consume(&channel, "q").await;
    let (other, number, before) = (channel.clone(), channel.id(), channel.epoch());
    publish(&channel, "q", "m").await;
    let old = consumer.recv().await.expect("a delivery");
    fail(&channel).await;
    read_out(&mut consumer).await;
    let Some(ConsumerEnd::Closed(reason)) = consumer.end() else { panic!("it has ended") };
    assert_eq!(reason.code().map(|code| code.0), Some(404));

    let reopened = channel.reopen().await.expect("reopened");
    assert_eq!((reopened.consumers, reopened.failures.len()), (1, 0), "{reopened}");
    assert_eq!(reopened.epoch, channel.epoch());
    assert!(reopened.epoch > before);
    assert_ne!(
        channel.id(),
        number,
        "what the broker has in hand for the old number is not taken for its"
    );
    assert_eq!((channel.close_reason().is_none(), consumer.end()), (true, None));

    let again = consumer.recv().await.expect("it comes again");
    assert_eq!((&*again.body.to_bytes(), again.redelivered), (b"m".as_slice(), true));
    assert_eq!([again.epoch(), consumer.epoch()], [reopened.epoch; 2]);
    assert_eq!(old.epoch(), before);
    let stale = old.ack_multiple().expect_err("over");
    assert_eq!(stale.kind(), ErrorKind::Stale);
    assert_eq!(stale.close_reason().and_then(|it| it.code()).map(|it| it.0), Some(404));
    again.ack().expect("settled");
    // Another handle of the channel has gone on with it.
    publish(&other, "q", "later").await;
    consumer.recv().await.expect("a delivery").ack().expect("settled");
    round_trip(&other).await;
    let queue = broker.queue("q").expect("there");
    assert_eq!((queue.messages_ready, queue.unacknowledged, queue.consumers), (0, 0, 1));
    let told = async {
        loop {
            if let Event::ChannelReopened { channel, epoch, .. } = events.recv().await.unwrap() {
                return (channel, epoch);
            }
        }
    };
    assert_eq!(told.await, (channel.id(), reopened.epoch));
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_channel_can_be_reopened_again_and_again() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    let mut consumer = consume(&channel, "q").await;
    let mut stale = Vec::new();
    publish(&channel, "q", "m").await;
    for _ in 0..20 {
        stale.push(consumer.recv().await.expect("a delivery"));
        fail(&channel).await;
        let reopened = channel.reopen().await.expect("reopened");
        assert_eq!(reopened.consumers, 1);
    }
    assert!(stale.is_sorted_by(|one, next| one.epoch() < next.epoch()));
    for delivery in stale {
        assert_eq!(delivery.nack(true).expect_err("over").kind(), ErrorKind::Stale);
    }
    consumer.recv().await.expect("a delivery").ack().expect("settled");
    round_trip(&channel).await;
    assert_eq!(broker.queue("q").expect("there").messages_ready, 0);
    assert_eq!(connection.channel_count(), 1);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn only_consumers_that_ended_with_it_and_are_still_held_are_started_again() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    for queue in ["cancelled", "dropped", "deleted"] {
        channel.queue_declare(QueueDeclare::new(queue)).await.expect("declared");
    }
    let mut kept = consume(&channel, "q").await;
    let dropped = consume(&channel, "dropped").await;
    let mut cancelled = consume(&channel, "cancelled").await;
    cancelled.cancel().await.expect("cancelled");
    let mut deleted = consume(&channel, "deleted").await;
    channel.queue_delete(QueueDelete::new("deleted")).await.expect("deleted");
    read_out(&mut deleted).await;
    fail(&channel).await;
    drop(dropped);
    assert_eq!(channel.reopen().await.expect("reopened").consumers, 1);
    publish(&channel, "q", "m").await;
    kept.recv().await.expect("a delivery").ack().expect("settled");
    for (mut consumer, end) in
        [(cancelled, ConsumerEnd::Cancelled), (deleted, ConsumerEnd::CancelledByPeer)]
    {
        read_out(&mut consumer).await;
        assert_eq!(consumer.end(), Some(&end));
    }
    for queue in ["cancelled", "dropped"] {
        assert_eq!(broker.queue(queue).expect("there").consumers, 0);
    }
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_cannot_be_started_again_is_told_and_the_rest_goes_on() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    let other = connection.channel_open().await.expect("a channel");
    for queue in ["gone", "last"] {
        other.queue_declare(QueueDeclare::new(queue)).await.expect("declared");
    }
    let mut consumers = Vec::new();
    for queue in ["q", "gone", "last"] {
        consumers.push(consume(&channel, queue).await);
    }
    fail(&channel).await;
    other.queue_delete(QueueDelete::new("gone")).await.expect("deleted");
    let reopened = channel.reopen().await.expect("reopened");
    assert_eq!((reopened.consumers, reopened.failures.len()), (2, 1), "{reopened}");
    let shown = reopened.to_string();
    assert!(shown.contains("2 consumers; 1 failures") && shown.contains("\"gone\""), "{shown}");
    let code = reopened.failures[0].error.close_reason().and_then(|it| it.code());
    assert_eq!(code.map(|code| code.0), Some(404));
    assert!(consumers[1].recv().await.is_none());
    assert!(matches!(consumers[1].end(), Some(ConsumerEnd::Closed(_))));
    for (n, queue) in [(0, "q"), (2, "last")] {
        publish(&channel, queue, "m").await;
        consumers[n].recv().await.expect("a delivery").ack().expect("settled");
    }
    round_trip(&channel).await;
    assert_eq!(connection.close_reason().map(|reason| reason.to_string()), None);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_got_before_is_stale() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    publish(&channel, "q", "m").await;
    let got = channel.basic_get(BasicGet::new("q")).await.expect("got").expect("a message");
    fail(&channel).await;
    drop(channel.reopen().await.expect("reopened"));
    let again = channel.basic_get(BasicGet::new("q")).await.expect("got").expect("it came back");
    assert!(got.epoch() < again.epoch());
    assert_eq!(got.reject(false).expect_err("over").kind(), ErrorKind::Stale);
    again.ack().expect("settled");
    round_trip(&channel).await;
    assert_eq!(broker.queue("q").expect("there").messages_ready, 0);
    connection.close().await;
}
