//! Class tx, which every specification has: what is published and acknowledged counts together or not at all.

use amqp_connector::{BasicGet, BasicPublish, Channel, Outcome, QueueDeclare};
use amqp_tests::{await_depth, broker_test, depth};

use super::{declare, publish};

/// Whether there is nothing in the queue, asked behind what the channel has published.
async fn is_empty(channel: &Channel, queue: &str) -> bool {
    channel.basic_get(BasicGet::new(queue)).await.unwrap().is_none()
}

#[test]
fn published_messages_are_there_once_they_are_committed() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        channel.tx_select().await.unwrap();
        for n in 0..3 {
            let outcome = publish(&channel, BasicPublish::new("", &queue, n.to_string())).await;
            assert!(matches!(outcome, Outcome::Accepted), "{outcome:?}");
        }
        assert!(is_empty(&channel, &queue).await);
        channel.tx_commit().await.unwrap();
        assert_eq!(depth(&channel, &queue).await, 3);
        connection.close().await;
    });
}

#[test]
fn published_messages_are_dropped_by_a_rollback_and_by_the_channels_end() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = declare(t, &channel).await;
        channel.tx_select().await.unwrap();
        drop(channel.basic_publish(BasicPublish::new("", &queue, "rolled back")).await.unwrap());
        channel.tx_rollback().await.unwrap();
        channel.tx_commit().await.unwrap();
        assert!(is_empty(&channel, &queue).await);
        let other = connection.channel_open().await.unwrap();
        other.tx_select().await.unwrap();
        drop(other.basic_publish(BasicPublish::new("", &queue, "never committed")).await.unwrap());
        other.close().await.unwrap();
        assert!(is_empty(&channel, &queue).await);
        drop(channel.basic_publish(BasicPublish::new("", &queue, "committed")).await.unwrap());
        channel.tx_commit().await.unwrap();
        assert_eq!(depth(&channel, &queue).await, 1);
        connection.close().await;
    });
}

#[test]
fn acknowledgements_count_once_they_are_committed() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let plain = connection.channel_open().await.unwrap();
        let queue = declare(t, &plain).await;
        for n in 0..2 {
            drop(plain.basic_publish(BasicPublish::new("", &queue, n.to_string())).await.unwrap());
        }
        await_depth(&plain, &queue, 2).await;
        for (commits, left) in [(false, 2), (true, 1)] {
            let channel = connection.channel_open().await.unwrap();
            channel.tx_select().await.unwrap();
            let got = channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap();
            got.ack().unwrap();
            match commits {
                true => channel.tx_commit().await.unwrap(),
                false => channel.tx_rollback().await.unwrap(),
            }
            // What is not settled goes back with its channel.
            channel.close().await.unwrap();
            t.await_messages(&queue, left, 0).await;
        }
        connection.close().await;
    });
}

#[test]
fn what_a_multiple_settled_can_be_settled_again_after_a_rollback() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let plain = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        plain.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        for n in 0..3 {
            drop(plain.basic_publish(BasicPublish::new("", &queue, n.to_string())).await.unwrap());
        }
        await_depth(&plain, &queue, 3).await;
        let channel = connection.channel_open().await.unwrap();
        channel.tx_select().await.unwrap();
        let mut got = Vec::new();
        for _ in 0..3 {
            got.push(channel.basic_get(BasicGet::new(&queue)).await.unwrap().unwrap());
        }
        let [first, second, third]: [_; 3] = got.try_into().ok().unwrap();
        third.ack_multiple().unwrap();
        channel.tx_rollback().await.unwrap();
        first.ack().unwrap();
        channel.tx_commit().await.unwrap();
        second.ack_multiple().unwrap();
        channel.tx_commit().await.unwrap();
        channel.close().await.unwrap();
        // The third was acked in the transaction that was given up.
        t.await_messages(&queue, 1, 0).await;
        connection.close().await;
    });
}

#[test]
fn unroutable_messages_come_back_at_the_commit() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        channel.tx_select().await.unwrap();
        let message = BasicPublish::new("", t.name("nobody"), "x").mandatory(true);
        drop(channel.basic_publish(message).await.unwrap());
        channel.tx_commit().await.unwrap();
        let returned = channel.returned().await.unwrap();
        assert_eq!((returned.reply_code.0, returned.body.to_bytes()), (312, "x".into()));
        connection.close().await;
    });
}

#[test]
fn a_commit_without_a_transaction_is_the_brokers_406() {
    broker_test(async |t| {
        let connection = t.connect().await;
        for commits in [true, false] {
            let channel = connection.channel_open().await.unwrap();
            let (line, call) = match commits {
                true => (line!(), channel.tx_commit()),
                false => (line!(), channel.tx_rollback()),
            };
            let error = call.await.unwrap_err();
            let reason = error.close_reason().unwrap();
            assert_eq!(reason.code().map(|code| code.0), Some(406), "{reason}");
            let method = if commits { "tx.commit" } else { "tx.rollback" };
            assert_eq!(reason.method(), Some(method));
            assert_eq!(reason.place().map(|place| place.line()), Some(line));
        }
        connection.close().await;
    });
}

amqp_connector::amqp_types::if_spec! { confirm.select => {
    #[test]
    fn transactions_and_confirms_on_one_channel_are_the_brokers_406() {
        broker_test(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            channel.tx_select().await.unwrap();
            let error = channel.confirm_select().await.unwrap_err();
            let reason = error.close_reason().unwrap();
            assert_eq!(reason.code().map(|code| code.0), Some(406), "{reason}");
            let channel = connection.channel_open().await.unwrap();
            channel.confirm_select().await.unwrap();
            let error = channel.tx_select().await.unwrap_err();
            let reason = error.close_reason().unwrap();
            assert_eq!(reason.code().map(|code| code.0), Some(406), "{reason}");
            assert_eq!(reason.method(), Some("tx.select"));
            connection.close().await;
        });
    }
} else {} }
