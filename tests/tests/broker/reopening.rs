//! Channels that a real broker has closed for an error, and that are opened again.

use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Consumer, ConsumerEnd, Delivery, ErrorKind, Prefetch,
    QueueDeclare, QueueDelete,
};
use amqp_tests::{Fixture, broker_test};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// Has the broker close the channel: 404.
async fn fail(t: &Fixture, channel: &Channel) {
    let missing = QueueDeclare::new(t.name("missing")).passive(true);
    let error = channel.queue_declare(missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelClosed, "{error}");
}

async fn publish(channel: &Channel, queue: &str, messages: usize) {
    for n in 0..messages {
        drop(channel.basic_publish(BasicPublish::new("", queue, n.to_string())).await.unwrap());
    }
}

async fn recv(consumer: &mut Consumer) -> Delivery {
    timeout(SOON, consumer.recv()).await.expect("in time").expect("a delivery")
}

async fn is_empty(channel: &Channel, queue: &str) -> bool {
    let declared = channel.queue_declare(QueueDeclare::new(queue).passive(true)).await.unwrap();
    declared.message_count == 0
}

#[test]
fn a_consumer_goes_on_after_its_channel_was_closed_and_settles_nothing_of_before() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        channel.basic_qos(Prefetch::Count(40), true).await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Count(30));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        publish(&channel, &queue, 30).await;
        let mut old = Vec::new();
        for _ in 0..10 {
            old.push(recv(&mut consumer).await);
        }
        let (number, before) = (channel.id(), channel.epoch());
        fail(t, &channel).await;
        while timeout(SOON, consumer.recv()).await.expect("it ends").is_some() {}
        assert!(matches!(consumer.end(), Some(ConsumerEnd::Closed(_))));

        let reopened = channel.reopen().await.unwrap();
        assert_eq!((reopened.consumers, reopened.failures.len()), (1, 0), "{reopened}");
        assert_ne!(channel.id(), number);
        assert!(reopened.epoch > before);
        // All of them come again, and none is settled by what was before.
        let mut again = Vec::new();
        for n in 0..30 {
            let delivery = recv(&mut consumer).await;
            assert_eq!(delivery.body.to_bytes(), n.to_string());
            assert_eq!((delivery.redelivered, delivery.epoch()), (true, reopened.epoch));
            again.push(delivery);
        }
        for delivery in old {
            assert_eq!(delivery.ack_multiple().unwrap_err().kind(), ErrorKind::Stale);
        }
        again.pop().unwrap().ack_multiple().unwrap();
        assert!(is_empty(&channel, &queue).await);
        let prefetch = format!(
            "[P] = [proplists:get_value(prefetch_count, C) || C <- rabbit_amqqueue:consumers_all(<<\"/\">>), \
             element(4, proplists:get_value(queue_name, C)) =:= <<\"{queue}\">>], integer_to_list(P)"
        );
        assert_eq!(t.eval(&prefetch).await.unwrap(), "30");
        connection.close().await;
    });
}

#[test]
fn what_the_broker_has_in_hand_for_the_old_channel_is_not_taken_for_the_new_ones() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let mut consumer =
            channel.basic_consume(BasicConsume::new(&queue, Prefetch::Unlimited)).await.unwrap();
        publish(&channel, &queue, 2000).await;
        for _ in 0..20 {
            // While deliveries are on their way.
            recv(&mut consumer).await.ack().unwrap();
            fail(t, &channel).await;
            assert_eq!(channel.reopen().await.unwrap().consumers, 1);
        }
        let mut left = 0;
        while !is_empty(&channel, &queue).await || left == 0 {
            while let Ok(Some(delivery)) =
                timeout(Duration::from_millis(200), consumer.recv()).await
            {
                delivery.ack().unwrap();
                left += 1;
            }
        }
        // An ack before a close may have come too late, and then its message came again; none was settled unread.
        assert!((1980..=2000).contains(&left), "{left}");
        assert!(channel.close_reason().is_none());
        connection.close().await;
    });
}

#[test]
fn a_consumer_whose_queue_is_gone_is_told_and_the_others_go_on() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let other = connection.channel_open().await.unwrap();
        let [kept, gone, shared] = ["kept", "gone", "shared"].map(|word| t.name(word));
        for queue in [&kept, &gone, &shared] {
            other.queue_declare(QueueDeclare::new(queue).exclusive(true)).await.unwrap();
        }
        let mut consumers = Vec::new();
        for queue in [&gone, &kept] {
            let consume = BasicConsume::new(queue, Prefetch::Count(1));
            consumers.push(channel.basic_consume(consume).await.unwrap());
        }
        // Its own of before is perhaps not over when it is started again.
        let alone = BasicConsume::new(&shared, Prefetch::Count(1)).exclusive(true);
        consumers.push(channel.basic_consume(alone).await.unwrap());
        fail(t, &channel).await;
        other.queue_delete(QueueDelete::new(&gone)).await.unwrap();
        let reopened = channel.reopen().await.unwrap();
        assert_eq!((reopened.consumers, reopened.failures.len()), (2, 1), "{reopened}");
        let reason = reopened.failures[0].error.close_reason().unwrap();
        assert_eq!(reason.code().map(|code| code.0), Some(404));
        assert_eq!(reason.method(), Some("basic.consume"));
        assert!(consumers[0].recv().await.is_none());
        for (n, queue) in [(1, &kept), (2, &shared)] {
            publish(&channel, queue, 1).await;
            recv(&mut consumers[n]).await.ack().unwrap();
        }
        connection.close().await;
    });
}

#[test]
fn reopening_that_is_dropped_after_any_poll_leaves_a_channel_that_can_be_reopened() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let queue = t.name("queue");
        for polls in 0..8 {
            let channel = connection.channel_open().await.unwrap();
            channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
            let consume = BasicConsume::new(&queue, Prefetch::Count(1));
            let mut consumer = channel.basic_consume(consume).await.unwrap();
            fail(t, &channel).await;
            let resolved = {
                let mut reopening = Box::pin(channel.reopen());
                let mut resolved = false;
                for _ in 0..polls {
                    let poll = std::future::poll_fn(|cx| {
                        std::task::Poll::Ready(reopening.as_mut().poll(cx).is_ready())
                    });
                    resolved = poll.await;
                    if resolved {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                resolved
            };
            let reopened = timeout(SOON, channel.reopen()).await.expect("in time").unwrap();
            assert_eq!(reopened.consumers, usize::from(!resolved), "after {polls} polls");
            publish(&channel, &queue, 1).await;
            recv(&mut consumer).await.ack().unwrap();
            assert!(is_empty(&channel, &queue).await);
            drop(consumer);
            channel.close().await.unwrap();
        }
        assert_eq!(connection.channel_count(), 0);
        connection.close().await;
    });
}

amqp_connector::amqp_types::if_spec! { confirm.select => {
    use amqp_connector::{ConfirmOptions, Outcome};

    /// As a program would: publishers that share a channel, one of which makes mistakes.
    #[test]
    fn publishers_that_share_a_channel_go_on_through_each_others_mistakes() {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let queue = t.name("queue");
            channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
            channel.confirm_select_with(ConfirmOptions::new().retain(true)).await.unwrap();
            let mut publishers = Vec::new();
            for publisher in 0..4 {
                let (channel, queue) = (channel.clone(), queue.clone());
                publishers.push(tokio::spawn(async move {
                    let (mut acked, mut message) = (0, 0);
                    while message < 200 {
                        let body = format!("{publisher}.{message}");
                        let publish = BasicPublish::new("", &queue, body);
                        match channel.basic_publish(publish).await {
                            Ok(confirmation) => match confirmation.await {
                                Outcome::Acked => {
                                    acked += 1;
                                    message += 1;
                                }
                                Outcome::Unknown(_) => {}
                                other => panic!("{other:?}"),
                            },
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::ChannelClosed, "{error}");
                                drop(channel.reopen().await.unwrap());
                            }
                        }
                    }
                    acked
                }));
            }
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if channel.close_reason().is_none() {
                    let missing = QueueDeclare::new(t.name("missing")).passive(true);
                    channel.queue_declare(missing).await.unwrap_err();
                }
            }
            let mut acked = 0;
            for publisher in publishers {
                acked += timeout(SOON, publisher).await.expect("in time").unwrap();
            }
            assert_eq!(acked, 800);
            drop(channel.reopen().await.unwrap());
            let declare = QueueDeclare::new(&queue).passive(true);
            let there = channel.queue_declare(declare).await.unwrap().message_count;
            let kept = channel.take_failed().len();
            println!("800 acked, {there} there, {kept} failed and were kept");
            assert!(there >= 800, "what was confirmed is there");
            connection.close().await;
        });
    }
} else {} }
