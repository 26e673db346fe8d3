//! Channels and what is on them: deliveries, publishes, calls, prefetch.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, ConsumerEnd, ErrorKind, Prefetch, QueueDeclare, Recovery,
    WhileBlocked,
};

use super::{connect, lost, open, wholly_recovered};

#[tokio::test(start_paused = true)]
async fn a_consumer_goes_on_as_the_same_stream_and_its_old_deliveries_are_stale() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    let consume = BasicConsume::new("q", Prefetch::Count(5));
    let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
    for body in ["a", "b", "c"] {
        drop(channel.basic_publish(BasicPublish::new("", "q", body)).await.expect("sent"));
    }
    let [a, b] = [consumer.recv().await.expect("a"), consumer.recv().await.expect("b")];
    let before = channel.epoch();
    assert_eq!([a.epoch(), b.epoch(), consumer.epoch()], [before; 3]);
    a.ack().expect("settled");
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");

    broker.cut();
    lost(&connection).await;
    let again = consumer.recv().await.expect("it comes again");
    assert_eq!((&*again.body.to_bytes(), again.redelivered), (b"b".as_slice(), true));
    assert!(again.delivery_tag() > b.delivery_tag(), "no number means two deliveries");
    assert!(again.epoch() > b.epoch(), "it is seen to be of another incarnation");
    assert_eq!([channel.epoch(), consumer.epoch()], [again.epoch(); 2]);
    assert_eq!(b.epoch(), before);
    let stale = b.ack().expect_err("over");
    assert_eq!(stale.kind(), ErrorKind::Stale);
    assert!(stale.close_reason().is_some(), "{stale}");
    again.ack().expect("settled");
    let c = consumer.recv().await.expect("c");
    assert_eq!(&*c.body.to_bytes(), b"c");
    c.ack_multiple().expect("settled");

    let report = wholly_recovered(&mut events).await;
    assert_eq!((report.attempts, report.queues, report.channels, report.consumers), (1, 1, 1, 1));
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
    let queue = broker.queue("q").expect("there");
    assert_eq!((queue.messages_ready, queue.unacknowledged, queue.consumers), (0, 0, 1));
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn deliveries_are_settled_by_their_own_numbers_in_every_way_after_a_recovery() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    for n in 0..8 {
        let message = BasicPublish::new("", "q", n.to_string());
        drop(channel.basic_publish(message).await.expect("sent"));
    }
    let got = channel.basic_get(BasicGet::new("q")).await.expect("got").expect("a message");
    assert_eq!(got.epoch(), channel.epoch());
    for _ in 0..2 {
        broker.cut();
        wholly_recovered(&mut events).await;
    }
    assert!(got.epoch() < channel.epoch());
    assert_eq!(got.ack().expect_err("over").kind(), ErrorKind::Stale);
    let get =
        async || channel.basic_get(BasicGet::new("q")).await.expect("got").expect("a message");
    let body = |delivery: &amqp_connector::Delivery| delivery.body.to_bytes();
    let first = get().await;
    assert_eq!(&*body(&first), b"0");
    first.ack().expect("acked");
    get().await.reject(false).expect("rejected");
    get().await.nack(true).expect("back");
    let back = get().await;
    assert_eq!(&*body(&back), b"2");
    // As the user may, too, by a method of its own making.
    let ack = amqp_connector::basic::Ack { delivery_tag: back.delivery_tag(), multiple: false };
    channel.send(ack).expect("sent");
    drop(get().await);
    let [_, _] = [get().await, get().await];
    let last = get().await;
    assert_eq!(&*body(&last), b"6");
    last.ack_multiple().expect("acked");
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
    assert_eq!(connection.close_reason().map(|reason| reason.to_string()), None);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_consumer_without_acks_was_sent_stays_readable_through_a_loss() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    let consume = BasicConsume::new("q", Prefetch::Unlimited).no_ack(true);
    let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
    drop(channel.basic_publish(BasicPublish::new("", "q", "before")).await.expect("sent"));
    drop(channel.basic_publish(BasicPublish::new("", "q", "before")).await.expect("sent"));
    let mut epochs = vec![channel.epoch()];
    for _ in 0..2 {
        channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
        broker.cut();
        wholly_recovered(&mut events).await;
        epochs.push(channel.epoch());
        drop(channel.basic_publish(BasicPublish::new("", "q", "after")).await.expect("sent"));
    }
    assert!(epochs.is_sorted() && epochs[0] < epochs[1] && epochs[1] < epochs[2], "{epochs:?}");
    let read = [("before", 0), ("before", 0), ("after", 1), ("after", 2)];
    for (body, epoch) in read {
        let delivery = consumer.recv().await.expect("a delivery");
        assert_eq!(
            (&*delivery.body.to_bytes(), delivery.epoch()),
            (body.as_bytes(), epochs[epoch])
        );
    }
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_end_with_the_reason_and_new_ones_say_that_it_is_recovering() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    broker.block("it reads nothing");
    let call = tokio::spawn(channel.queue_declare(QueueDeclare::new("q").durable(true)));
    tokio::task::yield_now().await;
    broker.unblock();
    broker.close_connections(320, "CONNECTION_FORCED - maintenance");
    let under_way = call.await.expect("no panic");
    if let Err(error) = under_way {
        assert_eq!(error.close_reason().and_then(|it| it.code()).map(|it| it.0), Some(320));
    }
    lost(&connection).await;
    for error in [
        channel.queue_declare(QueueDeclare::new("q")).await.expect_err("lost"),
        connection.channel_open().await.expect_err("lost"),
        channel.flush().await.expect_err("lost"),
    ] {
        let code = error.close_reason().and_then(|it| it.code()).map(|it| it.0);
        assert_eq!(code, Some(320), "{error}");
        assert!(error.is_transient());
    }
    assert_eq!(channel.close_reason().map(|it| it.to_string()), None);
    wholly_recovered(&mut events).await;
    assert!(!connection.is_recovering());
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("it is back");
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn publishes_made_meanwhile_wait_or_fail_as_the_policy_says() {
    let broker = MemoryBroker::start();
    for policy in [WhileBlocked::Wait, WhileBlocked::Fail] {
        let recovery = Recovery::new().publish_while_recovering(policy);
        let connection = connect(&broker, recovery).await;
        let (channel, mut events) =
            (connection.channel_open().await.expect("a channel"), connection.events());
        channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
        broker.cut();
        lost(&connection).await;
        let refused = channel.try_basic_publish(BasicPublish::new("", "q", "x"));
        assert_eq!(refused.expect_err("not now").kind(), ErrorKind::Recovering);
        let published = channel.basic_publish(BasicPublish::new("", "q", "waits")).await;
        match policy {
            WhileBlocked::Fail => {
                assert_eq!(published.expect_err("lost").kind(), ErrorKind::Recovering);
                wholly_recovered(&mut events).await;
            }
            _ => {
                drop(published.expect("it waited"));
                assert!(!connection.is_recovering());
            }
        }
        drop(channel.basic_publish(BasicPublish::new("", "q", "later")).await.expect("sent"));
        channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
        connection.close().await;
    }
    assert_eq!(broker.queue("q").expect("there").messages_ready, 3);
}

if_spec! { confirm.select => {
    #[tokio::test(start_paused = true)]
    async fn confirmations_of_a_lost_connection_are_unknown_and_later_ones_are_confirmed() {
        use amqp_connector::{Outcome, UnknownReason};
        let broker = MemoryBroker::start();
        let (connection, channel, mut events) = open(&broker).await;
        channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
        channel.confirm_select().await.expect("confirms");
        let publish = || channel.basic_publish(BasicPublish::new("", "q", "m"));
        assert!(matches!(publish().await.expect("sent").await, Outcome::Acked));
        let lost = [publish().await, publish().await].map(|sent| sent.expect("sent"));
        broker.cut();
        for confirmation in lost {
            match confirmation.await {
                Outcome::Unknown(UnknownReason::Closed(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        let counts = channel.wait_for_confirms().await.expect("it goes on");
        assert_eq!((counts.acked, counts.unknown), (1, 2));
        wholly_recovered(&mut events).await;
        for _ in 0..2 {
            let confirmation = publish().await.expect("sent");
            let tag = confirmation.delivery_tag().expect("a number");
            assert!(tag > 3, "{tag}");
            assert!(matches!(confirmation.await, Outcome::Acked));
            broker.cut();
            wholly_recovered(&mut events).await;
        }
        let returned = BasicPublish::new("", "nobody", "back").mandatory(true);
        let outcome = channel.basic_publish(returned).await.expect("sent").await;
        assert!(matches!(outcome, Outcome::Returned(_)), "{outcome:?}");
        let counts = channel.wait_for_confirms().await.expect("it goes on");
        assert_eq!((counts.acked, counts.returned, counts.unknown), (2, 1, 0));
        connection.close().await;
    }
} else {} }

if_spec! { tx.select => {
    #[tokio::test(start_paused = true)]
    async fn a_channel_with_a_transaction_ends_with_its_connection() {
        let broker = MemoryBroker::start();
        let (connection, channel, mut events) = open(&broker).await;
        let other = connection.channel_open().await.expect("a channel");
        let Ok(()) = other.tx_select().await else {
            // The broker in memory has none.
            return drop(connection.close().await);
        };
        broker.cut();
        let reason = other.closed().await;
        assert!(reason.code().is_none());
        wholly_recovered(&mut events).await;
        channel.queue_declare(QueueDeclare::new("q")).await.expect("the other one is back");
        connection.close().await;
    }
} else {} }

#[tokio::test(start_paused = true)]
async fn a_channel_that_nobody_wants_any_more_does_not_come_back() {
    let broker = MemoryBroker::start();
    let (connection, kept, mut events) = open(&broker).await;
    let [dropped, closed] =
        [connection.channel_open().await, connection.channel_open().await].map(Result::unwrap);
    kept.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    let gone = kept.basic_consume(BasicConsume::new("q", Prefetch::Count(1))).await;
    broker.cut();
    lost(&connection).await;
    drop((dropped, gone));
    closed.close().await.expect("closed");
    let report = wholly_recovered(&mut events).await;
    assert_eq!((report.channels, report.consumers), (1, 0));
    assert_eq!(connection.channel_count(), 1);
    let fresh = connection.channel_open().await.expect("a channel");
    assert_eq!(fresh.id(), 2, "the numbers are free");
    assert_eq!(broker.queue("q").expect("there").consumers, 0);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn prefetch_and_consumers_come_back_as_they_were_set() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    let mut consumers = Vec::new();
    for prefetch in [1, 3] {
        let consume = BasicConsume::new("q", Prefetch::Count(prefetch));
        consumers.push(channel.basic_consume(consume).await.expect("a consumer"));
    }
    let tags: Vec<_> = consumers.iter().map(|consumer| consumer.tag().clone()).collect();
    broker.cut();
    wholly_recovered(&mut events).await;
    for n in 0..10 {
        let message = BasicPublish::new("", "q", n.to_string());
        drop(channel.basic_publish(message).await.expect("sent"));
    }
    channel.queue_declare(QueueDeclare::new("q").passive(true)).await.expect("a round trip");
    assert_eq!(broker.queue("q").expect("there").unacknowledged, 4);
    let after: Vec<_> = consumers.iter().map(|consumer| consumer.tag().clone()).collect();
    assert_eq!(tags, after);
    consumers[0].cancel().await.expect("cancelled");
    let end = loop {
        if consumers[0].recv().await.is_none() {
            break consumers[0].end();
        }
    };
    assert_eq!(end, Some(&ConsumerEnd::Cancelled));
    connection.close().await;
}
