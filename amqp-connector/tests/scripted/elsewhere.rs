//! Futures that are awaited on a thread that knows of no runtime, or of another than their driver's, which may have no timers:
//! none panics, and those with a deadline end at it, on the driver's clock.
//!
//! That clock is the real one here: a paused one is a runtime's own, and other threads have another.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use amqp_connector::protocol::{basic, queue};
use amqp_connector::testing::{Peer, leftovers};
use amqp_connector::{
    AccessRequest, BasicConsume, BasicGet, BasicPublish, BasicPublishStream, Channel, Connection,
    Connector, Consumer, Delivery, Error, ErrorKind, Options, Prefetch, StreamConsumer,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::broker::{Broker, Mood};
use crate::streaming::by_hand;

/// The deadlines of these tests.
const SOON: Duration = Duration::from_millis(50);

/// Where a future is awaited.
#[derive(Clone, Copy, Debug)]
enum Place {
    NoRuntime,
    NoTimers,
}

/// Runs a future on a thread of its own.
async fn elsewhere<F>(place: Place, future: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let (done, result) = oneshot::channel();
    thread::spawn(move || {
        let waker = Arc::new(Unpark(thread::current())).into();
        let runtime = match place {
            Place::NoRuntime => None,
            Place::NoTimers => Some(runtime(false)),
        };
        let _entered = runtime.as_ref().map(Runtime::enter);
        let mut future = pin!(future);
        let output = loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => break output,
                Poll::Pending => thread::park(),
            }
        };
        drop(done.send(output));
    });
    result.await.expect("no panic")
}

fn runtime(timers: bool) -> Runtime {
    let mut builder = Builder::new_current_thread();
    if timers {
        builder.enable_time();
    }
    builder.build().expect("a runtime")
}

/// How the connection is when the future is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    /// The peer reads nothing and answers nothing.
    Mute,
    Ended,
}

const STATES: [State; 3] = [State::Open, State::Mute, State::Ended];

/// A connection with what there is to be awaited.
struct Parts {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
    /// Is not settled before the future has ended.
    held: Delivery,
    streams: StreamConsumer,
    /// Ends the peer when it is dropped.
    _peer: oneshot::Sender<()>,
}

impl Parts {
    async fn make(state: State) -> Self {
        let (io, peer) = Peer::new();
        let (mute, muted) = oneshot::channel::<()>();
        let (gone, going) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let mut broker = Broker::new(peer, 1, Mood::Friendly);
            tokio::select! {
                biased;
                _ = muted => {}
                _ = broker.run() => {}
            }
            drop(going.await);
        });
        let mut options = Options::default();
        // As long as a busy machine may take for all of these at once.
        options.call_timeout = Duration::from_secs(4);
        let greeted = Connector::new().options(options).connect_with(io).await.expect("greeted");
        let connection = greeted.authenticate("guest", "guest").await.expect("connected");
        let channel = connection.channel_open().await.expect("open");
        let work = BasicPublish::new("", "work", "the work");
        drop(channel.basic_publish(work).await.expect("accepted"));
        let consume = || BasicConsume::new("work", Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume()).await.expect("consumes");
        let held = consumer.recv().await.expect("the work");
        let other = connection.channel_open().await.expect("open");
        let streams = other.basic_consume_streamed(consume()).await.expect("consumes");
        match state {
            // Kept for as long as the connection is used.
            State::Open => drop(tokio::spawn(async move {
                let _mute = mute;
                std::future::pending::<()>().await;
            })),
            State::Mute => drop(mute),
            State::Ended => connection.abort(),
        }
        Self { connection, channel, consumer, held, streams, _peer: gone }
    }
}

type Done = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What is awaited of a connection, and its name.
type Case = (&'static str, fn(Parts) -> Done);

/// Cases whose parts are kept till their end.
macro_rules! cases {
    ($($name:literal: |$parts:ident| $work:expr;)*) => {
        vec![$(($name, (|$parts: Parts| -> Done {
            Box::pin(async move {
                #[allow(unused_mut, reason = "some are used up or changed")]
                let mut $parts = $parts;
                let _done = $work;
            })
        }) as fn(Parts) -> Done)),*]
    };
}

/// A source that gives nothing: it is waited for until its time is up.
fn idle() -> BasicPublishStream {
    BasicPublishStream::new("", "void", 10).source_timeout(SOON)
}

async fn poll_once<F: Future>(future: F) {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
}

/// Runs each case in each state at each place; `end` is to end those that wait for something to come.
async fn run_all(cases: &[Case], end: bool) {
    let mut running = JoinSet::new();
    let all = cases.iter().flat_map(|case| STATES.map(|state| (*case, state)));
    let places = [Place::NoRuntime, Place::NoTimers];
    for (((name, case), state), place) in all.flat_map(|all| places.map(|place| (all, place))) {
        running.spawn(async move {
            let parts = Parts::make(state).await;
            let connection = parts.connection.clone();
            let (polled, is_polled) = oneshot::channel::<()>();
            let work = case(parts);
            let ended = elsewhere(place, async move {
                let mut work = pin!(work);
                let mut polled = Some(polled);
                poll_fn(|cx| {
                    let poll = work.as_mut().poll(cx);
                    drop(polled.take());
                    poll
                })
                .await;
            });
            let ended = async {
                if end {
                    let abort = async {
                        drop(is_polled.await);
                        connection.abort();
                    };
                    tokio::join!(ended, abort);
                } else {
                    ended.await;
                }
            };
            let in_time = tokio::time::timeout(Duration::from_secs(60), ended).await;
            assert!(in_time.is_ok(), "{name} does not end, {state:?}, {place:?}");
            connection.abort();
            connection.closed().await;
            assert_eq!(leftovers(&connection).waiting, 0, "{name}, {state:?}, {place:?}");
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("no panic");
    }
}

#[tokio::test]
async fn what_has_a_deadline_ends_at_it_without_a_runtime() {
    let cases = cases! {
        "Connection::close_within": |it| it.connection.close_within(SOON).await;
        "Connection::close_within, again": |it| {
            poll_once(it.connection.close()).await;
            it.connection.close_within(SOON).await
        };
        "Channel::close_within": |it| it.channel.close_within(SOON).await;
        "Channel::close_within, again": |it| {
            poll_once(it.channel.close()).await;
            it.channel.close_within(SOON).await
        };
        "Channel::close_within, of a stopped stream": |it| {
            let (_hand, pieces) = by_hand();
            poll_once(it.channel.basic_publish_stream(idle(), pieces)).await;
            it.channel.close_within(SOON).await
        };
        "Consumer::cancel": |it| it.consumer.cancel().await;
        "Consumer::cancel, again": |it| {
            poll_once(it.consumer.cancel()).await;
            it.consumer.cancel().await
        };
        "Consumer::shutdown": |it| it.consumer.shutdown(SOON).await;
        "Consumer::shutdown, nothing held": |it| {
            drop(it.held);
            it.consumer.shutdown(SOON).await
        };
        "StreamConsumer::cancel": |it| it.streams.cancel().await;
        "StreamConsumer::cancel, again": |it| {
            poll_once(it.streams.cancel()).await;
            it.streams.cancel().await
        };
        "StreamConsumer::shutdown": |it| it.streams.shutdown(SOON).await;
        "Channel::basic_publish_stream": |it| {
            let (_hand, pieces) = by_hand();
            it.channel.basic_publish_stream(idle(), pieces).await
        };
        "Channel::basic_publish_reader": |it| {
            let (reader, _writer) = tokio::io::duplex(1);
            it.channel.basic_publish_reader(idle(), reader).await
        };
        "Connection::publish_stream": |it| {
            let (_hand, pieces) = by_hand();
            it.connection.publish_stream(idle(), pieces).await
        };
        "Connection::publish_reader": |it| {
            let (reader, _writer) = tokio::io::duplex(1);
            it.connection.publish_reader(idle(), reader).await
        };
        "Connection::channel_open": |it| it.connection.channel_open().await;
        "Channel::call": |it| it.channel.call(queue::Declare::default()).await;
        "Channel::call_with_content": |it| {
            it.channel.call_with_content(basic::Get::default()).await
        };
        "Channel::tx_select": |it| it.channel.tx_select().await;
        "Channel::access_request": |it| {
            it.channel.access_request(AccessRequest::new("/data")).await
        };
        "Channel::basic_recover": |it| it.channel.basic_recover(true).await;
        "Channel::basic_get": |it| it.channel.basic_get(BasicGet::new("none")).await;
        "Channel::basic_consume": |it| {
            it.channel.basic_consume(BasicConsume::new("work", Prefetch::Count(1))).await
        };
        "Channel::basic_publish": |it| {
            it.channel.basic_publish(BasicPublish::new("", "void", "x")).await
        };
        "Channel::flush": |it| it.channel.flush().await;
    };
    run_all(&cases, false).await;
}

#[tokio::test]
async fn what_waits_for_something_to_come_needs_no_runtime() {
    let cases = cases! {
        "Connection::close": |it| it.connection.close().await;
        "Connection::closed": |it| it.connection.closed().await;
        "Channel::close": |it| it.channel.close().await;
        "Channel::closed": |it| it.channel.closed().await;
        "Channel::returned": |it| it.channel.returned().await;
        "Channel::returns": |it| it.channel.returns().recv().await;
        "Channel::wait_for_confirms": |it| {
            let _ = it.channel.confirm_select().await;
            let publish = it.channel.basic_publish(BasicPublish::new("", "void", "x")).await;
            drop(it.channel.wait_for_confirms().await);
            match publish {
                Ok(confirmation) => Some(confirmation.await),
                Err(_) => None,
            }
        };
        "Channel::incoming": |it| match it.channel.incoming() {
            Ok(mut incoming) => incoming.recv().await,
            Err(_) => None,
        };
        "Connection::events": |it| {
            let mut events = it.connection.events();
            while events.recv().await.is_some() {}
        };
        "Connection::blocked": |it| it.connection.blocked().changed().await;
        "Consumer::recv": |it| it.consumer.recv().await;
        "StreamConsumer::recv": |it| it.streams.recv().await;
    };
    run_all(&cases, true).await;
}

#[tokio::test]
async fn a_channels_close_that_nobody_answers_is_told_as_timeout_without_a_runtime() {
    let parts = Parts::make(State::Mute).await;
    let channel = parts.channel.clone();
    let closed: Result<(), Error> =
        elsewhere(Place::NoRuntime, async move { channel.close_within(SOON).await }).await;
    assert_eq!(closed.expect_err("no answer").kind(), ErrorKind::Timeout);
    // The number is not free before the peer has answered.
    assert_eq!(leftovers(&parts.connection).channels, 2);
    parts.connection.abort();
}

/// What a thread gives, while tasks of ours go on.
async fn joined<T: Send + 'static>(thread: JoinHandle<T>) -> T {
    let joining = tokio::task::spawn_blocking(move || thread.join());
    joining.await.expect("joined").expect("no panic")
}

/// Polls a close once on a runtime with timers that ends then.
fn begin_on<F: Future + Send + Unpin>(mut closing: F) -> F {
    let timed = runtime(true);
    timed.block_on(poll_fn(|cx| Poll::Ready(Pin::new(&mut closing).poll(cx).is_pending())));
    closing
}

/// Whoever has polled it within a runtime may poll it on elsewhere, though the runtime is gone.
#[tokio::test]
async fn a_close_that_was_begun_on_a_runtime_ends_without_it() {
    for place in [Place::NoRuntime, Place::NoTimers] {
        let parts = Parts::make(State::Mute).await;
        let channel = parts.channel.clone();
        let closing = Box::pin(async move { channel.close_within(SOON).await });
        let closing = thread::spawn(move || begin_on(closing)).join().expect("no panic");
        let error = elsewhere(place, closing).await.expect_err("no answer");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        parts.connection.abort();
    }
}

/// Even if the connection was made on it, and its driver runs elsewhere.
#[tokio::test]
async fn a_close_that_was_begun_where_the_connection_was_made_ends_on_another_runtime() {
    let (io, peer) = Peer::new();
    let (mute, muted) = oneshot::channel::<()>();
    let peer = tokio::spawn(async move {
        let mut broker = Broker::new(peer, 1, Mood::Friendly);
        tokio::select! {
            biased;
            _ = muted => {}
            _ = broker.run() => {}
        }
        std::future::pending::<()>().await;
    });
    let made = thread::spawn(move || {
        let first = runtime(true);
        let (connection, driver, mut closing) = first.block_on(async {
            let greeted = Connector::new().connect_with(io).await.expect("greeted");
            let (connection, driver) =
                greeted.authenticate_with_driver("guest", "guest").await.expect("connected");
            let closing = connection.clone();
            let closing = Box::pin(async move { closing.close_within(SOON).await });
            (connection, driver, closing)
        });
        // Nobody polls the driver, so nothing is answered; a timer is armed.
        first.block_on(poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx).is_pending())));
        drop(first);
        (connection, driver, closing)
    });
    let (connection, driver, closing) = joined(made).await;
    drop(mute);
    let driver = tokio::spawn(driver);
    let second = thread::spawn(move || runtime(true).block_on(closing));
    joined(second).await;
    assert!(connection.close_reason().is_some());
    drop(driver.await);
    peer.abort();
}

/// Nobody polls the driver any more, and nobody has dropped it.
#[test]
fn a_close_is_bounded_though_nobody_drives_the_connections_runtime() {
    for place in [Place::NoRuntime, Place::NoTimers] {
        let home = runtime(true);
        let (connection, peer) = home.block_on(async {
            let (io, mut peer) = Peer::new();
            let script = async { peer.handshake().await };
            let connecting = async { Connector::new().connect_with(io).await };
            let (connected, _) = tokio::join!(
                async { connecting.await.expect("greeted").authenticate("guest", "guest").await },
                script
            );
            (connected.expect("connected"), peer)
        });
        let closing = connection.clone();
        let closed = elsewhere(place, async move { closing.close_within(SOON).await });
        let reason = runtime(true).block_on(closed);
        assert!(connection.close_reason().is_some_and(|first| Arc::ptr_eq(&first, &reason)));
        drop((peer, home));
    }
}
