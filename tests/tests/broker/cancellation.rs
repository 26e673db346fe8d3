//! Futures polled a number of times and dropped, against the real broker: nothing of theirs is left there.
//!
//! The fixture looks for channels, queues and connections that are left; consumers and messages that are with
//! nobody are looked for here. Under `amqp-connector/tests/scripted` the same is done for every public future.

use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Delivery, ErrorKind, Prefetch,
    QueueDeclare, QueueDelete,
};
use amqp_tests::{Fixture, broker_test};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);
/// More polls than any of these futures needs.
const POLLS: u32 = 5;

/// Polls `future` up to `polls` times and drops it. Between two polls the broker has time to answer.
async fn poll_and_drop<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for poll in 0..polls {
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx)));
        if let std::task::Poll::Ready(output) = polled.await {
            return Some(output);
        }
        // The first time it is dropped at once, its request on the way; later the answer is there.
        if poll > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    None
}

/// What the broker has of a queue: ready messages, unsettled ones, consumers.
async fn state(t: &Fixture, queue: &str) -> String {
    t.eval(&format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)), \
         [io_lib:format(\"~w \", [V]) || {{_, V}} <- rabbit_amqqueue:info(Q, \
             [messages_ready, messages_unacknowledged, consumers])]"
    ))
    .await
    .unwrap()
}

/// Waits until the broker has the one message in the queue, with nobody.
async fn all_is_back(t: &Fixture, queue: &str, what: &str) {
    let mut last = String::new();
    let back = async {
        loop {
            last = state(t, queue).await;
            if last.split_whitespace().eq(["1", "0", "0"]) {
                return;
            }
        }
    };
    let came = timeout(SOON, back).await;
    assert!(came.is_ok(), "{what}: ready, unsettled and consumers are {last}");
}

/// Drops what `begin` gives after each number of polls, with one message in a queue of the test's own.
async fn leaves_nothing(t: &Fixture, begin: impl AsyncFn(&Connection, &Channel, &str, u32)) {
    let keeper = t.connect().await;
    let control = keeper.channel_open().await.unwrap();
    for polls in 0..=POLLS {
        let queue = t.name(&format!("queue{polls}"));
        control.queue_declare(QueueDeclare::new(&queue).durable(true)).await.unwrap();
        drop(control.basic_publish(BasicPublish::new("", &queue, "job")).await.unwrap());
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        begin(&connection, &channel, &queue, polls).await;
        let what = format!("after {polls} polls");
        all_is_back(t, &queue, &what).await;
        if connection.close_reason().is_none() {
            // The connection, and the channel unless it was closed on purpose, work on.
            let channel = match channel.close_reason() {
                None => channel,
                Some(_) => connection.channel_open().await.unwrap(),
            };
            let declare = QueueDeclare::new(&queue).durable(true).passive(true);
            timeout(SOON, channel.queue_declare(declare)).await.unwrap().unwrap();
            // And if the broker had not even read of it when it was asked first, it has now.
            all_is_back(t, &queue, &what).await;
            connection.close().await;
        }
        control.queue_delete(QueueDelete::new(&queue)).await.unwrap();
    }
    keeper.close().await;
}

fn give_back(delivery: Delivery) {
    delivery.reject(true).unwrap();
}

#[test]
fn a_get_that_is_dropped_leaves_the_message_in_its_queue() {
    broker_test(async |t| {
        leaves_nothing(t, async |_, channel, queue, polls| {
            let get = channel.basic_get(BasicGet::new(queue));
            let got = poll_and_drop(polls, get).await;
            if let Some(delivery) = got.and_then(Result::unwrap) {
                give_back(delivery);
            }
        })
        .await;
    });
}

#[test]
fn a_consume_that_is_dropped_leaves_no_consumer() {
    broker_test(async |t| {
        leaves_nothing(t, async |_, channel, queue, polls| {
            let consume = channel.basic_consume(BasicConsume::new(queue, Prefetch::Count(5)));
            drop(poll_and_drop(polls, consume).await);
        })
        .await;
    });
}

#[test]
fn receiving_and_cancelling_that_are_dropped_leave_no_message_unsettled() {
    broker_test(async |t| {
        leaves_nothing(t, async |_, channel, queue, polls| {
            let consume = BasicConsume::new(queue, Prefetch::Count(5));
            let mut consumer = channel.basic_consume(consume).await.unwrap();
            if let Some(Some(delivery)) = poll_and_drop(polls, consumer.recv()).await {
                give_back(delivery);
            }
            drop(poll_and_drop(polls, consumer.cancel()).await);
        })
        .await;
    });
}

#[test]
fn a_consumers_shutdown_that_is_dropped_leaves_no_consumer() {
    broker_test(async |t| {
        leaves_nothing(t, async |_, channel, queue, polls| {
            let consume = BasicConsume::new(queue, Prefetch::Count(5));
            let consumer = channel.basic_consume(consume).await.unwrap();
            drop(poll_and_drop(polls, consumer.shutdown(SOON)).await);
        })
        .await;
    });
}

#[test]
fn channels_and_queues_of_calls_that_are_dropped_are_gone() {
    broker_test(async |t| {
        leaves_nothing(t, async |connection, channel, _, polls| {
            drop(poll_and_drop(polls, connection.channel_open()).await);
            let declare = QueueDeclare::new("").exclusive(true);
            if let Some(declared) = poll_and_drop(polls, channel.queue_declare(declare)).await {
                let delete = QueueDelete::new(declared.unwrap().queue);
                channel.queue_delete(delete).await.unwrap();
            }
            // The connection's end would take them along: they must be gone before.
            let port = t.port();
            let left = async {
                loop {
                    let channels = t
                        .eval(&format!(
                            "[[\".\" || {{P, I}} <- ets:tab2list(channel_created), \
                                is_process_alive(P), \
                                binary:match(proplists:get_value(name, I), \
                                    <<\":{port} (\">>) =/= nomatch], \
                              [\"q\" || {{resource, _, _, <<\"amq.gen\", _/binary>>}} = R <- \
                                rabbit_amqqueue:list_names(), \
                                {{ok, Q}} <- [rabbit_amqqueue:lookup(R)], \
                                {{_, O}} <- rabbit_amqqueue:info(Q, [owner_pid]), \
                                is_pid(O), \
                                {{port, {port}}} <- rabbit_networking:connection_info(O, [port])]]"
                        ))
                        .await;
                    // The keeper's, and the one of this test. A queue may go while it is asked.
                    if channels.is_ok_and(|channels| channels == "..") {
                        return;
                    }
                }
            };
            timeout(SOON, left).await.unwrap();
        })
        .await;
    });
}

#[test]
fn closes_that_are_dropped_go_on_and_give_everything_back() {
    broker_test(async |t| {
        leaves_nothing(t, async |_, channel, queue, polls| {
            let consume = BasicConsume::new(queue, Prefetch::Count(5));
            let consumer = channel.basic_consume(consume).await.unwrap();
            drop(poll_and_drop(polls, channel.close()).await);
            drop(consumer);
        })
        .await;
        leaves_nothing(t, async |connection, channel, queue, polls| {
            let consume = BasicConsume::new(queue, Prefetch::Count(5));
            let consumer = channel.basic_consume(consume).await.unwrap();
            drop(poll_and_drop(polls, connection.close()).await);
            if polls > 0 {
                timeout(SOON, connection.closed()).await.unwrap();
            }
            drop(consumer);
        })
        .await;
    });
}

#[test]
fn publishes_and_confirm_mode_that_are_dropped_are_sent_or_not_and_nothing_else() {
    broker_test(async |t| {
        leaves_nothing(t, async |connection, _, _, polls| {
            let channel = connection.channel_open().await.unwrap();
            if let Some(Err(error)) = poll_and_drop(polls, channel.confirm_select()).await {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
            }
            let nowhere = BasicPublish::new("", t.name("nowhere"), "x");
            if let Some(accepted) = poll_and_drop(polls, channel.basic_publish(nowhere)).await {
                drop(poll_and_drop(polls, accepted.unwrap()).await);
            }
            drop(poll_and_drop(polls, channel.flush()).await);
            channel.close().await.unwrap();
        })
        .await;
    });
}

#[test]
fn connecting_that_is_dropped_after_any_poll_leaves_nothing() {
    broker_test(async |t| {
        for polls in 0..12 {
            drop(poll_and_drop(polls, t.connector().connect()).await);
            let greeted = t.connector().connect().await.unwrap();
            drop(poll_and_drop(polls, greeted.authenticate("guest", "guest")).await);
            let greeted = t.connector().connect().await.unwrap();
            let connecting = greeted.authenticate_with_driver("guest", "guest");
            drop(poll_and_drop(polls, connecting).await);
            drop(poll_and_drop(polls, Connection::open(&t.url())).await);
            drop(poll_and_drop(polls, t.connector().open("guest", "guest")).await);
        }
    });
}
