//! Nothing of the user's runs under the connection's lock: neither wakers nor drops (rule 1).
//!
//! A test that breaks the rule would wait for itself, so each runs in a thread of its own against a clock.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use amqp_connector::protocol::{basic, channel, connection as wire, queue};
use amqp_connector::testing::Peer;
use amqp_connector::{
    BasicConsume, BasicPublish, Bytes, Channel, Connection, Connector, ErrorKind, Prefetch,
    QueueDeclare,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::support::{channel, open, resolves};

/// Runs a test in a thread of its own and fails if it does not end: a lock taken twice never does.
fn without_deadlock(test: impl FnOnce() + Send + 'static) {
    let (done, finished) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match finished.recv_timeout(Duration::from_secs(60)) {
        Ok(()) => thread.join().expect("the test passes"),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
            thread.join().expect("the test passes");
        }
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("deadlock"),
    }
}

fn paused<F: Future>(test: F) -> F::Output {
    let builder = &mut tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(test)
}

/// Calls back into the connection when it is woken, and when it is dropped.
struct Nosy {
    connection: Connection,
    calls: Arc<AtomicUsize>,
}

impl Nosy {
    fn look(&self) {
        let _ = self.connection.channel_count();
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.look();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.look();
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.look();
    }
}

impl AsRef<[u8]> for Nosy {
    fn as_ref(&self) -> &[u8] {
        b"octets that belong to somebody who looks at the connection when they go"
    }
}

fn nosy(connection: &Connection) -> (Nosy, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    (Nosy { connection: connection.clone(), calls: calls.clone() }, calls)
}

/// Polls once with a waker that calls back, and then with another, so that the first one is replaced.
fn poll_nosily<F: Future + Unpin>(connection: &Connection, future: &mut F) -> Poll<F::Output> {
    let (first, _) = nosy(connection);
    let (second, _) = nosy(connection);
    let (first, second) = (Waker::from(Arc::new(first)), Waker::from(Arc::new(second)));
    let poll = Pin::new(&mut *future).poll(&mut Context::from_waker(&first));
    if poll.is_ready() {
        return poll;
    }
    drop(first);
    Pin::new(future).poll(&mut Context::from_waker(&second))
}

#[test]
fn rule_1_wakers_run_without_the_lock() {
    without_deadlock(|| {
        paused(async {
            let (connection, channel, mut peer) = channel().await;
            let (mut events, mut given_up) = (connection.events(), connection.events());
            let (mut blocked, mut watch) = (connection.blocked(), connection.blocked());
            for events in [&mut events, &mut given_up] {
                while std::pin::pin!(events.recv())
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
                {}
            }
            let mut waits: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![
                Box::pin(async { while events.recv().await.is_some() {} }),
                Box::pin(async { drop(blocked.changed().await) }),
                Box::pin(async { drop(connection.closed().await) }),
                Box::pin(async { drop(channel.closed().await) }),
                Box::pin(async { drop(channel.returned().await) }),
                Box::pin(async { drop(channel.queue_declare(QueueDeclare::new("a")).await) }),
                Box::pin(async { drop(channel.queue_declare(QueueDeclare::new("b")).await) }),
                Box::pin(async { drop(channel.flush().await) }),
                Box::pin(async { drop(connection.channel_open().await) }),
            ];
            for wait in &mut waits {
                assert!(poll_nosily(&connection, wait).is_pending());
            }
            {
                let mut dropped = Box::pin(given_up.recv());
                assert!(poll_nosily(&connection, &mut dropped).is_pending());
                let mut dropped = Box::pin(watch.changed());
                assert!(poll_nosily(&connection, &mut dropped).is_pending());
            }
            // Its waker goes with it, and its queue.
            drop(given_up);
            // One is answered, one given up, and the end of the connection wakes the others.
            peer.expect::<queue::Declare>().await;
            peer.send(channel.id(), queue::DeclareOk::default()).await;
            drop(waits.remove(0));
            peer.expect::<queue::Declare>().await;
            peer.expect::<channel::Open>().await;
            peer.close_connection(320, "bye").await;
            for wait in waits {
                resolves("a wait", wait).await;
            }
        });
    });
}

thread_local! {
    /// What [`CURIOUS`] looks at.
    static LOOKED_AT: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// A waker that looks at the connection when it is cloned, as an executor of one's own might.
static CURIOUS: RawWakerVTable = RawWakerVTable::new(
    |_| {
        LOOKED_AT.with_borrow(|connection| connection.as_ref().map(Connection::channel_count));
        RawWaker::new(std::ptr::null(), &CURIOUS)
    },
    |_| {},
    |_| {},
    |_| {},
);

#[test]
#[allow(unsafe_code, reason = "only a waker made by hand tells that it is cloned")]
fn rule_1_wakers_are_cloned_without_the_lock() {
    without_deadlock(|| {
        paused(async {
            let (connection, channel, mut peer) = channel().await;
            LOOKED_AT.set(Some(connection.clone()));
            // SAFETY: the functions of the table ignore the pointer.
            let curious = unsafe { Waker::new(std::ptr::null(), &CURIOUS) };
            let mut events = connection.events();
            let mut waits: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![
                Box::pin(async { while events.recv().await.is_some() {} }),
                Box::pin(async { drop(connection.closed().await) }),
                Box::pin(async { drop(channel.returned().await) }),
                Box::pin(async { drop(channel.queue_declare(QueueDeclare::new("a")).await) }),
                Box::pin(async { drop(channel.flush().await) }),
                Box::pin(async { drop(connection.channel_open().await) }),
            ];
            for wait in &mut waits {
                for _ in 0..2 {
                    let poll = wait.as_mut().poll(&mut Context::from_waker(&curious));
                    assert!(poll.is_pending());
                }
            }
            LOOKED_AT.set(None);
            peer.close_connection(320, "bye").await;
            for wait in waits {
                resolves("a wait", wait).await;
            }
        });
    });
}

#[test]
fn rule_1_the_last_handle_of_a_waiting_task_goes_without_the_lock() {
    without_deadlock(|| {
        paused(async {
            let (connection, channel, mut peer) = channel().await;
            // The waker owns handles: replacing or waking it may drop the last one.
            let mut call = channel.queue_declare(QueueDeclare::new("a"));
            assert!(poll_nosily(&connection, &mut call).is_pending());
            drop((channel, connection));
            peer.expect::<queue::Declare>().await;
            peer.close_connection(320, "bye").await;
            let error = resolves("the call", call).await.expect_err("closed");
            assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        });
    });
}

#[test]
fn rule_1_users_octets_are_dropped_without_the_lock() {
    without_deadlock(|| {
        paused(async {
            let (connection, channel, mut peer) = channel().await;
            let id = channel.id();
            let (body, dropped) = nosy(&connection);
            // Small and copied; with confirms and mandatory: kept for its return.
            let publish = BasicPublish::new("", "q", Bytes::from_owner(body));
            let confirmation = channel.basic_publish(publish).await.expect("accepted");
            peer.expect_content::<basic::Publish>(id).await;
            drop(confirmation);
            assert!(dropped.load(Ordering::Relaxed) > 0, "a copied body is let go at once");

            // Refused, and dropped before it was sent.
            let (body, _) = nosy(&connection);
            drop(channel.basic_publish(BasicPublish::new("", "q", Bytes::from_owner(body))));
            let (name, _) = nosy(&connection);
            let long = "x".repeat(300);
            let publish = BasicPublish::new("", long.as_str(), Bytes::from_owner(name));
            assert!(channel.basic_publish(publish).await.is_err());

            // A consumer's tag, kept while the consumer lives.
            let (tag, _) = nosy(&connection);
            let consume = BasicConsume::new("q", Prefetch::Unlimited).tag(Bytes::from_owner(tag));
            let answer = async {
                peer.expect::<basic::Qos>().await;
                peer.send(id, basic::QosOk::default()).await;
                let (_, consume) = peer.expect::<basic::Consume>().await;
                peer.send(id, basic::ConsumeOk { consumer_tag: consume.consumer_tag }).await;
            };
            let (consumer, ()) = tokio::join!(channel.basic_consume(consume), answer);
            drop(consumer.expect("a consumer"));
            let (_, cancel) = peer.expect::<basic::Cancel>().await;
            let consumer_tag = cancel.consumer_tag;
            peer.send(id, basic::CancelOk { consumer_tag }).await;

            // Large ones wait in the session as they are.
            let large: Vec<_> = (0..3).map(|_| large_nosy(&connection)).collect();
            for body in large {
                drop(channel.basic_publish(BasicPublish::new("", "q", body)).await);
            }
            peer.close_connection(320, "bye").await;
            resolves("closed", connection.closed()).await;
        });
    });
}

amqp_connector::amqp_types::if_spec! { confirm.select => {
    #[test]
    fn rule_1_octets_kept_to_be_handed_back_are_dropped_without_the_lock() {
        without_deadlock(|| {
            paused(async {
                let (connection, channel, mut peer) = channel().await;
                let id = channel.id();
                let answer = async {
                    peer.expect::<amqp_connector::protocol::confirm::Select>().await;
                    peer.send(id, amqp_connector::protocol::confirm::SelectOk::default()).await;
                };
                let options = amqp_connector::ConfirmOptions::new().retain(true);
                let selected = channel.confirm_select_with(options);
                tokio::join!(selected, answer).0.expect("confirm mode");
                let mut kept = Vec::new();
                for _ in 0..5 {
                    let (body, _) = nosy(&connection);
                    let publish = BasicPublish::new("", "q", Bytes::from_owner(body));
                    kept.push(channel.basic_publish(publish).await.expect("accepted"));
                    peer.expect_content::<basic::Publish>(id).await;
                }
                // Acked; nacked and awaited; nacked and dropped; the others end with the channel and its handles.
                peer.send(id, basic::Ack { delivery_tag: 1, multiple: false }).await;
                assert!(resolves("ack", kept.remove(0)).await.is_acked());
                peer.send(id, basic::Nack { delivery_tag: 3, multiple: true, requeue: false }).await;
                let mut second = kept.remove(0);
                assert!(!resolves("nack", &mut second).await.is_acked());
                drop(second);
                drop(kept.remove(0));
                drop(channel.take_failed());
                drop(kept.remove(0));
                drop((kept, channel));
                peer.close_connection(320, "bye").await;
                resolves("closed", connection.closed()).await;
                let left = amqp_connector::testing::leftovers(&connection);
                assert_eq!(left, Default::default());
            });
        });
    }

    #[test]
    fn rule_1_octets_kept_for_a_return_are_dropped_without_the_lock() {
        without_deadlock(|| {
            paused(async {
                let (connection, channel, mut peer) = channel().await;
                let id = channel.id();
                let answer = async {
                    peer.expect::<amqp_connector::protocol::confirm::Select>().await;
                    peer.send(id, amqp_connector::protocol::confirm::SelectOk::default()).await;
                };
                tokio::join!(channel.confirm_select(), answer).0.expect("confirm mode");
                let mut kept = Vec::new();
                for _ in 0..3 {
                    let (body, _) = nosy(&connection);
                    let publish = BasicPublish::new("", "q", Bytes::from_owner(body)).mandatory(true);
                    kept.push(channel.basic_publish(publish).await.expect("accepted"));
                    peer.expect_content::<basic::Publish>(id).await;
                }
                peer.send(id, basic::Ack { delivery_tag: 1, multiple: false }).await;
                assert!(resolves("ack", kept.remove(0)).await.is_acked());
                drop(kept.remove(0));
                // The last one ends with its channel, whose handles are gone then.
                drop((kept, channel));
                peer.close_connection(320, "bye").await;
                resolves("closed", connection.closed()).await;
                let left = amqp_connector::testing::leftovers(&connection);
                assert_eq!(left, Default::default());
            });
        });
    }
} else {} }

/// A transport that fails as it is told to, by errors of the user's own making.
struct Failing {
    io: DuplexStream,
    errors: Errors,
}

#[derive(Clone, Default)]
struct Errors {
    read: Arc<Mutex<Option<io::Error>>>,
    write: Arc<Mutex<Option<io::Error>>>,
}

fn fails(error: &Mutex<Option<io::Error>>) -> Option<io::Error> {
    error.lock().expect("no panic").take()
}

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.errors.write.lock().expect("no panic").is_some() {
            // First that, and only then what the peer sends: till then there are heartbeats.
            buf.put_slice(&[8, 0, 0, 0, 0, 0, 0, 0xce]);
            return Poll::Ready(Ok(()));
        }
        match fails(&self.errors.read) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Failing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match fails(&self.errors.write) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// An error that looks at the connection when it is dropped, and how often it did.
fn nosy_error(connection: &Connection) -> (Option<io::Error>, Arc<AtomicUsize>) {
    struct Failed(#[expect(dead_code, reason = "looks when it is dropped")] Nosy);
    impl std::fmt::Debug for Failed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("failed")
        }
    }
    impl std::fmt::Display for Failed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("failed")
        }
    }
    impl std::error::Error for Failed {}
    let (nosy, calls) = nosy(connection);
    (Some(io::Error::other(Failed(nosy))), calls)
}

async fn failing() -> (Connection, Channel, Peer, Errors) {
    let (io, mut peer) = Peer::new();
    let errors = Errors::default();
    let io = Failing { io, errors: errors.clone() };
    let connect = async {
        let greeted = Connector::new().connect_with(io).await.expect("greeted");
        greeted.authenticate("guest", "guest").await.expect("connected")
    };
    let (connection, _) = tokio::join!(connect, peer.handshake());
    let channel = open(&connection, &mut peer).await;
    (connection, channel, peer, errors)
}

#[test]
fn rule_1_a_transports_error_that_is_not_the_reason_is_dropped_without_the_lock() {
    for case in 0..5 {
        without_deadlock(move || {
            paused(async move {
                let (connection, channel, mut peer, errors) = failing().await;
                let (read, read_dropped) = nosy_error(&connection);
                let (write, write_dropped) = nosy_error(&connection);
                let set = |slot: &Mutex<_>, error| *slot.lock().expect("no panic") = error;
                let mut close = Box::pin(connection.close());
                match case {
                    // While it drains, which a call that is not answered keeps it from ending.
                    0 | 1 => {
                        let mut call = Box::pin(channel.queue_declare(QueueDeclare::new("a")));
                        assert!(poll_nosily(&connection, &mut call).is_pending());
                        peer.expect::<queue::Declare>().await;
                        assert!(poll_nosily(&connection, &mut close).is_pending());
                        if case == 1 {
                            // And beyond that, when close was sent.
                            drop(call);
                            peer.send(channel.id(), queue::DeclareOk::default()).await;
                            peer.expect::<wire::Close>().await;
                        }
                        set(&errors.read, read);
                        peer.send_heartbeat().await;
                    }
                    // What is read after the write has failed fails, too, or is no frame, or closes.
                    _ => {
                        set(&errors.write, write);
                        match case {
                            2 => set(&errors.read, read),
                            3 => peer.send_raw(&[0xff; 64]).await,
                            _ => peer.send(0, wire::Close::default()).await,
                        }
                        let publish = BasicPublish::new("", "q", "lost");
                        drop(channel.basic_publish(publish).await);
                    }
                }
                resolves("closed", connection.closed()).await;
                let dropped = match case {
                    0 | 1 => read_dropped,
                    _ => write_dropped,
                };
                resolves("the error is dropped", async {
                    while dropped.load(Ordering::Relaxed) == 0 {
                        tokio::task::yield_now().await;
                    }
                })
                .await;
            });
        });
    }
}

/// A body too large to be copied, whose owner looks at the connection when it goes.
fn large_nosy(connection: &Connection) -> Bytes {
    struct Large(#[expect(dead_code, reason = "looks when it is dropped")] Nosy, Vec<u8>);
    impl AsRef<[u8]> for Large {
        fn as_ref(&self) -> &[u8] {
            &self.1
        }
    }
    let (nosy, _) = nosy(connection);
    Bytes::from_owner(Large(nosy, vec![7; 200_000]))
}
