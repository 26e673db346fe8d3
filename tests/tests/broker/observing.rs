//! What a program sees of its connection to a real broker: its frames, and the trace that a message belongs to.

use std::sync::{Arc, Mutex};

use amqp_connector::{
    BasicConsume, BasicPublish, Direction, Prefetch, QueueDeclare, QueueDelete, TraceContext,
};
use amqp_tests::broker_test;

#[test]
fn a_tap_shows_every_frame_both_ways_and_no_password() {
    broker_test(async |t| {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        let connector = t.connector().tap(move |tapped| {
            let unreadable = tapped.to_string().contains("cannot be read");
            seen.lock().unwrap().push((tapped.direction, tapped.to_string(), unreadable));
        });
        let connection = t.connect_as(&connector).await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
        let publish = BasicPublish::new("", &queue, vec![b'x'; 300_000]).header("attempt", 1);
        let _ = channel.basic_publish(publish).await.unwrap().await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        consumer.recv().await.unwrap().ack().unwrap();
        channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        connection.close().await;

        let lines = lines.lock().unwrap().clone();
        assert!(lines.iter().all(|(_, _, unreadable)| !unreadable), "{lines:#?}");
        let octets = |direction, mark: &str| {
            let of = lines.iter().filter(|(way, ..)| *way == direction);
            let sizes = of.filter_map(|(_, line, _)| line.split(mark).nth(1)?.split(' ').next());
            sizes.map(|size| size.parse::<usize>().unwrap()).sum::<usize>()
        };
        for direction in [Direction::Sent, Direction::Received] {
            assert_eq!(octets(direction, " body size="), 300_000, "{direction:?}");
            assert_eq!(octets(direction, " header basic body-size="), 300_000, "{direction:?}");
        }
        for name in [
            "<- 0 connection.start ",
            "-> 0 connection.start-ok ",
            "-> 1 queue.declare ",
            "-> 1 basic.publish ",
            "<- 1 basic.deliver ",
            "-> 1 basic.ack ",
            "<- 0 connection.close-ok",
        ] {
            assert!(lines.iter().any(|(_, line, _)| line.starts_with(name)), "{name}");
        }
        assert!(lines.iter().any(|(_, line, _)| line.contains("response=[")));
        assert!(
            !lines.iter().any(|(_, line, _)| line.contains("guest\"") && line.contains("start-ok"))
        );
    });
}

#[test]
fn a_message_tells_to_which_trace_it_belongs() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
        let context = TraceContext::new([7; 16], [9; 8], true).unwrap();
        let context = context.with_state("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE").unwrap();
        let traced = BasicPublish::new("", &queue, "traced").trace_context(&context);
        for publish in [traced, BasicPublish::new("", &queue, "plain")] {
            let _ = channel.basic_publish(publish).await.unwrap().await;
        }
        let consume = BasicConsume::new(&queue, Prefetch::Count(2));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let (first, second) = (consumer.recv().await.unwrap(), consumer.recv().await.unwrap());
        assert_eq!(first.trace_context(), Some(context));
        assert_eq!((second.trace_context(), &second.properties.headers), (None, &None));
        first.ack().unwrap();
        second.ack().unwrap();
        channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
        connection.close().await;
    });
}
