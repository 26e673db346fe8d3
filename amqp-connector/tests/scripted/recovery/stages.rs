//! What the program, the broker or the network does in the middle of a recovery, at each of its stages.
//!
//! The stages are turns of the runtime since the connection was opened again: so many that all are met.

use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::testing::leftovers;
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Connection, Consumer, Event, Events, ExchangeDeclare,
    Prefetch, QueueBind, QueueDeclare, RecoveryEvent,
};

use super::{open, wholly_recovered};
use crate::support::await_no_tasks;

const STAGES: usize = 60;

/// A connection whose channels have much to be restored, in the middle of that.
struct Restoring {
    broker: MemoryBroker,
    connection: Connection,
    channels: Vec<Channel>,
    consumers: Vec<Consumer>,
    events: Events,
}

async fn restoring(stage: usize) -> Restoring {
    let broker = MemoryBroker::start();
    let (connection, first, mut events) = open(&broker).await;
    let channels = vec![first, connection.channel_open().await.expect("a channel")];
    let mut consumers = Vec::new();
    channels[0].exchange_declare(ExchangeDeclare::new("x", "direct")).await.expect("declared");
    for (n, channel) in channels.iter().enumerate() {
        let name = format!("q{n}");
        channel.queue_declare(QueueDeclare::new(&name).exclusive(true)).await.expect("declared");
        channel.queue_bind(QueueBind::new(&name, "x", &name)).await.expect("bound");
        for _ in 0..2 {
            let consume = BasicConsume::new(&name, Prefetch::Count(2));
            consumers.push(channel.basic_consume(consume).await.expect("a consumer"));
        }
    }
    broker.cut();
    loop {
        match events.recv().await.expect("it comes back") {
            Event::Recovery(RecoveryEvent::Reconnected) => break,
            Event::Closed { reason, .. } => panic!("it is over: {reason}"),
            _ => {}
        }
    }
    for _ in 0..stage {
        tokio::task::yield_now().await;
    }
    Restoring { broker, connection, channels, consumers, events }
}

/// Nothing is left of it on either side.
async fn ends_clean(it: Restoring) {
    let Restoring { broker, connection, channels, consumers, events } = it;
    drop((channels, consumers, events));
    connection.close().await;
    let left = leftovers(&connection);
    assert_eq!((left.channels, left.retired, left.consumers, left.slots), (0, 0, 0, 0), "{left:?}");
    assert_eq!((left.calls, left.deadlines, left.waiting), (0, 0, 0), "{left:?}");
    drop((connection, broker));
    await_no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_dropped_while_it_comes_back_is_gone_and_is_no_failure() {
    for stage in 0..STAGES {
        let mut it = restoring(stage).await;
        let kept = it.consumers.split_off(1);
        drop(std::mem::replace(&mut it.consumers, kept));
        let over = !it.connection.is_recovering();
        if !over {
            let report = wholly_recovered(&mut it.events).await;
            assert_eq!(report.channels, 2, "{stage}");
        }
        it.channels[0].queue_declare(QueueDeclare::new("q0").passive(true)).await.expect("there");
        assert_eq!(it.broker.queue("q0").expect("there").consumers, 1, "{stage}");
        let message = BasicPublish::new("x", "q0", "m");
        drop(it.channels[0].basic_publish(message).await.expect("sent"));
        it.consumers[0].recv().await.expect("routed").ack().expect("settled");
        ends_clean(it).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_closed_or_dropped_while_it_comes_back_is_gone_and_is_no_failure() {
    for stage in 0..STAGES {
        for closes in [true, false] {
            let mut it = restoring(stage).await;
            let gone = it.channels.remove(0);
            let theirs = it.consumers.drain(..2).collect::<Vec<_>>();
            if closes {
                gone.close().await.expect("closed");
            }
            drop((gone, theirs));
            if it.connection.is_recovering() {
                wholly_recovered(&mut it.events).await;
            }
            let other = &it.channels[0];
            other.queue_declare(QueueDeclare::new("q1").passive(true)).await.expect("there");
            assert_eq!(it.broker.queue("q0").map_or(0, |queue| queue.consumers), 0, "{stage}");
            assert_eq!(it.broker.queue("q1").expect("there").consumers, 2, "{stage}");
            drop(other.basic_publish(BasicPublish::new("x", "q1", "m")).await.expect("sent"));
            it.consumers[0].recv().await.expect("routed").ack().expect("settled");
            ends_clean(it).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_ended_while_it_comes_back_ends() {
    for stage in 0..STAGES {
        for way in 0..3 {
            let it = restoring(stage).await;
            match way {
                0 => ends_clean(it).await,
                1 => {
                    it.connection.abort();
                    it.connection.closed().await;
                    ends_clean(it).await;
                }
                _ => {
                    drop(it);
                    await_no_tasks().await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_again_while_it_comes_back_comes_back() {
    for stage in 0..STAGES {
        for closes in [true, false] {
            let mut it = restoring(stage).await;
            let publish = it.channels[1].basic_publish(BasicPublish::new("x", "q1", "waits"));
            let publish = tokio::spawn(publish);
            match closes {
                true => it.broker.close_connections(320, "CONNECTION_FORCED - again"),
                false => it.broker.cut(),
            }
            let mut last = None;
            // Whether the first recovery came to its end before, is a matter of the stage.
            while last.is_none() || it.connection.is_recovering() {
                last = Some(wholly_recovered(&mut it.events).await);
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            }
            drop(publish.await.expect("no panic"));
            let report = last.expect("one");
            assert_eq!((report.channels, report.queues, report.consumers), (2, 2, 4), "{stage}");
            for (n, channel) in it.channels.iter().enumerate() {
                let name = format!("q{n}");
                assert_eq!(it.broker.queue(&name).expect("there").consumers, 2, "{stage}");
                let message = BasicPublish::new("x", &name, "m");
                drop(channel.basic_publish(message).await.expect("sent"));
                let delivery = it.consumers[2 * n].recv().await.expect("routed");
                delivery.ack().expect("settled");
            }
            ends_clean(it).await;
        }
    }
}
