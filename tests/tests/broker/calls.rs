//! Calls: many in flight, each with its own reply; who is blamed when one is refused; without waiting.

use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, ErrorKind, Prefetch, QueueDeclare, protocol,
};
use amqp_tests::{await_depth, broker_test};
use tokio::task::JoinSet;

/// One task's calls, sent before the first reply is awaited; their replies tell them apart.
async fn pipeline(channel: Channel, queue: String, task: u32) {
    for round in 0..5 {
        let declare = QueueDeclare::new(&queue).exclusive(true);
        let (declared, got, purged, again) = tokio::join!(
            channel.queue_declare(declare),
            channel.basic_get(BasicGet::new(&queue)),
            channel.queue_purge(&queue),
            channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)),
        );
        let (declared, again) = (declared.unwrap(), again.unwrap());
        assert!(declared.queue == *queue && again.queue == *queue, "round {round}");
        // As many messages as the number of the task: first of all one is got, then the rest purged.
        let got = got.unwrap();
        match round {
            0 => {
                assert_eq!(declared.message_count, task);
                assert_eq!(got.is_some(), task > 0);
                assert_eq!(purged.unwrap().message_count, task.saturating_sub(1));
                if let Some(delivery) = got {
                    assert_eq!(delivery.body.to_bytes(), queue.as_bytes());
                    delivery.ack().unwrap();
                }
            }
            _ => assert!(got.is_none() && purged.unwrap().message_count == 0),
        }
    }
}

#[test]
fn calls_of_many_tasks_on_one_channel_get_their_own_replies() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queues: Vec<String> = (0..32).map(|n| t.name(&format!("q{n}"))).collect();
        for (n, queue) in queues.iter().enumerate() {
            channel.queue_declare(QueueDeclare::new(queue).exclusive(true)).await.unwrap();
            for _ in 0..n {
                let publish = BasicPublish::new("", queue, queue.clone());
                drop(channel.basic_publish(publish).await.unwrap());
            }
            await_depth(&channel, queue, u32::try_from(n).unwrap()).await;
        }
        let mut tasks = JoinSet::new();
        for (n, queue) in queues.into_iter().enumerate() {
            tasks.spawn(pipeline(channel.clone(), queue, u32::try_from(n).unwrap()));
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        connection.close().await;
    });
}

#[test]
fn of_pipelined_calls_of_one_method_the_refused_one_is_blamed() {
    broker_test(async |t| {
        let connection = t.connect().await;
        for refused in 0..4 {
            let channel = connection.channel_open().await.unwrap();
            let declare = |n: usize| match n == refused {
                true => QueueDeclare::new(t.name("missing")).passive(true),
                false => QueueDeclare::new(t.name(&format!("q{n}"))).exclusive(true),
            };
            let first = line!() + 2;
            let calls = [
                channel.queue_declare(declare(0)),
                channel.queue_declare(declare(1)),
                channel.queue_declare(declare(2)),
                channel.queue_declare(declare(3)),
            ];
            let [a, b, c, d] = calls;
            let (a, b, c, d) = tokio::join!(a, b, c, d);
            for (n, result) in [a, b, c, d].into_iter().enumerate() {
                assert_eq!(result.is_ok(), n < refused, "{result:?}");
            }
            let reason = channel.close_reason().unwrap();
            assert_eq!(reason.method(), Some("queue.declare"));
            let line = reason.place().map(|place| place.line());
            assert_eq!(line, Some(first + u32::try_from(refused).unwrap()), "{reason}");
        }
        connection.close().await;
    });
}

#[test]
fn a_refused_request_without_a_reply_is_blamed_only_if_it_was_alone() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let missing = || protocol::queue::Declare {
            queue: t.name("missing").try_into().unwrap(),
            passive: true,
            no_wait: true,
            ..Default::default()
        };
        let channel = connection.channel_open().await.unwrap();
        let line = line!() + 1;
        channel.send(missing()).unwrap();
        let reason = channel.closed().await;
        assert_eq!(reason.place().map(|place| place.line()), Some(line), "{reason}");

        // If the broker answers before the second one is made, the first was alone: so it is tried again.
        let mut together = false;
        for _ in 0..50 {
            let channel = connection.channel_open().await.unwrap();
            let line = line!() + 1;
            channel.send(missing()).unwrap();
            let other = channel.queue_declare(QueueDeclare::new(t.name("other")).exclusive(true));
            assert_eq!(other.await.unwrap_err().kind(), ErrorKind::ChannelClosed);
            let reason = channel.close_reason().unwrap();
            assert_eq!(reason.method(), Some("queue.declare"));
            match reason.place() {
                None => together = true,
                Some(place) => assert_eq!(place.line(), line, "{reason}"),
            }
            if together {
                break;
            }
        }
        assert!(together, "one is blamed though there were two");
        connection.close().await;
    });
}

#[test]
fn a_refused_consumer_among_several_is_not_blamed_on_another() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (queue, missing) = (t.name("queue"), t.name("missing"));
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let good = channel.basic_consume(BasicConsume::new(&queue, Prefetch::Count(1)));
        let line = line!() + 1;
        let bad = channel.basic_consume(BasicConsume::new(&missing, Prefetch::Count(1)));
        let (_, refused) = tokio::join!(good, bad);
        let error = refused.map(drop).unwrap_err();
        let place = error.close_reason().unwrap().place();
        // Certain only if the good one's answer came before: the broker leaves it to the queue.
        assert!(place.is_none_or(|place| place.line() == line), "{error}");
        connection.close().await;
    });
}

#[test]
fn requests_without_a_reply_leave_the_calls_theirs() {
    broker_test(async |t| {
        use protocol::{basic, exchange, queue};
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let name: amqp_connector::ShortStr = t.name("silent").try_into().unwrap();
        let (no_wait, tag) = (true, "silent".try_into().unwrap());
        let (queue, exchange) = (name.clone(), name.clone());
        channel
            .send(queue::Declare { queue, exclusive: true, no_wait, ..Default::default() })
            .unwrap();
        let kind = "fanout".try_into().unwrap();
        channel
            .send(exchange::Declare { exchange, r#type: kind, no_wait, ..Default::default() })
            .unwrap();
        let (queue, exchange) = (name.clone(), name.clone());
        channel.send(queue::Bind { queue, exchange, no_wait, ..Default::default() }).unwrap();
        drop(channel.basic_publish(BasicPublish::new(name.clone(), "", "x")).await.unwrap());
        let got = channel.basic_get(BasicGet::new(name.clone()).no_ack(true)).await.unwrap();
        assert_eq!(got.unwrap().body.to_bytes(), "x");
        channel.send(queue::Purge { queue: name.clone(), no_wait, ..Default::default() }).unwrap();
        let consume = basic::Consume {
            queue: name.clone(),
            consumer_tag: tag,
            no_wait,
            ..Default::default()
        };
        let consumer_tag = consume.consumer_tag.clone();
        channel.send(consume).unwrap();
        let declared = channel.queue_declare(QueueDeclare::new(name.clone()).passive(true)).await;
        let declared = declared.unwrap();
        assert_eq!((declared.message_count, declared.consumer_count), (0, 1));
        channel.send(basic::Cancel { consumer_tag, no_wait }).unwrap();
        let declared = channel.queue_declare(QueueDeclare::new(name.clone()).passive(true)).await;
        assert_eq!(declared.unwrap().consumer_count, 0);
        let (queue, exchange) = (name.clone(), name);
        channel.send(exchange::Delete { exchange, no_wait, ..Default::default() }).unwrap();
        channel.send(queue::Delete { queue, no_wait, ..Default::default() }).unwrap();
        channel.queue_declare(QueueDeclare::new("").exclusive(true)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_deadline_that_passes_leaves_the_channel_in_order() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new("", &queue, "job")).await.unwrap());
        let get = channel.basic_get(BasicGet::new(&queue)).within(Duration::ZERO);
        assert_eq!(get.await.map(drop).unwrap_err().kind(), ErrorKind::Timeout);
        // The message that was got for nobody is given back.
        let mut consumer =
            channel.basic_consume(BasicConsume::new(&queue, Prefetch::Count(1))).await.unwrap();
        consumer.recv().await.unwrap().ack().unwrap();
        connection.close().await;
    });
}
