//! Calls that are made again after a loss, as far as their users want that.

use std::future::Future as _;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol::basic;
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::testing::leftovers;
use amqp_connector::{
    Channel, Connection, Connector, Error, ErrorKind, ExchangeDeclare, QueueBind, QueueDeclare,
    QueueDelete, Recovery,
};

use super::{SECOND, lost, open, wholly_recovered};

fn jobs() -> QueueDeclare {
    QueueDeclare::new("jobs").durable(true)
}

/// A connection whose broker can be out of reach, and a channel.
async fn reachable(broker: &MemoryBroker) -> (Connection, Channel, Arc<AtomicBool>) {
    let (broker, gone) = (broker.clone(), Arc::new(AtomicBool::new(false)));
    let flag = gone.clone();
    let dial = move || {
        let up = !flag.load(Ordering::Relaxed);
        let transport = up.then(|| broker.transport());
        async move { transport.ok_or_else(|| io::Error::other("out of reach")) }
    };
    let connector = Connector::new().recovery(Recovery::new());
    let greeted = connector.connect_by(dial).await.expect("greeted");
    let connection = greeted.authenticate("guest", "guest").await.expect("welcome");
    let channel = connection.channel_open().await.expect("a channel");
    (connection, channel, gone)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_lost_is_made_again_only_if_its_user_wants_that() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    let (mut plain, mut repeated) =
        (pin!(channel.queue_declare(jobs())), pin!(channel.queue_declare(jobs()).repeated()));
    // Both are on their way when the connection is lost.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(plain.as_mut().poll(&mut cx).is_pending());
    assert!(repeated.as_mut().poll(&mut cx).is_pending());
    broker.cut();
    let error = plain.await.expect_err("its answer is lost");
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed, "{error}");
    let declared = repeated.await.expect("declared");
    assert_eq!(declared.queue, "jobs");
    wholly_recovered(&mut events).await;
    assert!(broker.queue("jobs").is_some());
    assert!(connection.topology().queues.iter().any(|queue| queue.name == "jobs"));
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_made_during_an_outage_waits_for_its_end() {
    let broker = MemoryBroker::start();
    let (connection, channel, gone) = reachable(&broker).await;
    gone.store(true, Ordering::Relaxed);
    broker.cut();
    lost(&connection).await;
    let error = channel.queue_declare(jobs()).await.expect_err("it does not wait");
    assert_eq!(error.kind(), ErrorKind::Recovering, "{error}");
    let outage = async {
        tokio::time::sleep(SECOND * 120).await;
        gone.store(false, Ordering::Relaxed);
    };
    let exchange = ExchangeDeclare::new("x", "fanout");
    let (exchange, queue, bound, ()) = tokio::join!(
        biased;
        channel.exchange_declare(exchange).repeated(),
        channel.queue_declare(jobs()).repeated(),
        channel.queue_bind(QueueBind::new("jobs", "x", "")).repeated(),
        outage,
    );
    exchange.expect("declared");
    queue.expect("declared");
    bound.expect("bound");
    assert_eq!(broker.bindings().iter().filter(|binding| binding.source == "x").count(), 1);
    channel.queue_delete(QueueDelete::new("jobs")).repeated().await.expect("deleted");
    assert!(broker.queue("jobs").is_none());
    if_spec! { confirm.select => {
        channel.confirm_select().repeated().await.expect("confirm mode");
    } else {
        let error = channel.confirm_select().repeated().await.expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    } }
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_for_all_of_it_and_the_end_of_the_connection_ends_it() {
    let broker = MemoryBroker::start();
    let (connection, channel, gone) = reachable(&broker).await;
    gone.store(true, Ordering::Relaxed);
    broker.cut();
    lost(&connection).await;
    let before = leftovers(&connection).waiting;
    let begun = tokio::time::Instant::now();
    let call = channel.queue_declare(jobs()).within(SECOND * 3).repeated();
    let error = call.await.expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(begun.elapsed(), SECOND * 3);

    // Dropped while it waits, it leaves nothing.
    for polls in 1..4 {
        let call = channel.queue_declare(jobs()).repeated();
        assert!(crate::support::poll_and_drop(polls, call).await.is_none());
    }
    let left = leftovers(&connection);
    assert_eq!((left.waiting, left.calls), (before, 0), "{left:?}");

    let call = channel.queue_declare(jobs()).repeated();
    let close = async {
        tokio::time::sleep(SECOND).await;
        connection.close().await
    };
    let (ended, reason) = tokio::join!(call, close);
    let error = ended.expect_err("it is over");
    assert!(error.close_reason().is_some_and(|it| std::ptr::eq(it, &*reason)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_safe_a_second_time_is_refused_before_anything_is_sent() {
    fn refused<T: std::fmt::Debug>(result: Result<T, Error>) {
        let error = result.expect_err("it cannot be repeated");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    let broker = MemoryBroker::start();
    let (connection, channel, _) = open(&broker).await;
    channel.queue_declare(jobs()).await.expect("declared");
    let get = basic::Get { queue: "jobs".try_into().expect("short"), ..Default::default() };
    let consume = basic::Consume { queue: get.queue.clone(), ..Default::default() };
    refused(channel.call(get).repeated().await);
    refused(channel.call(consume).repeated().await);
    refused(channel.queue_declare(QueueDeclare::new("")).repeated().await);
    if_spec! { tx.select => { refused(channel.tx_select().repeated().await); } else {} }
    let named = channel.queue_declare(QueueDeclare::new("").exclusive(true)).repeated().await;
    named.expect("an exclusive one goes with its connection");
    assert_eq!(broker.queues().len(), 2);
    // On a connection that does not come back it is like the call itself.
    let greeted = Connector::new().connect_with(broker.transport()).await.expect("greeted");
    let plain = greeted.authenticate("guest", "guest").await.expect("welcome");
    let channel = plain.channel_open().await.expect("a channel");
    channel.queue_declare(jobs()).repeated().await.expect("declared");
    broker.cut();
    plain.closed().await;
    let error = channel.queue_declare(jobs()).repeated().await.expect_err("over");
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed, "{error}");
    connection.close().await;
}
