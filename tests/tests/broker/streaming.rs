//! Bodies from streams and to streams, and that one which breaks off is never seen.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use amqp_connector::{
    BasicGet, BasicPublish, BasicPublishStream, Bytes, Channel, CloseCause, Connection, ErrorKind,
    Outcome, QueueDeclare, StreamFault, basic,
};
use amqp_tests::{Fixture, broker_test};
use futures_core::Stream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// A stream of pieces that the test sends by hand; it ends when the sender is dropped.
pub(crate) struct ByHand {
    pieces: mpsc::UnboundedReceiver<Result<Bytes, io::Error>>,
    taken: usize,
    /// How many were taken when more was asked for than there was.
    starved: watch::Sender<usize>,
}

/// The sender of such a stream.
pub(crate) struct Hand {
    pieces: mpsc::UnboundedSender<Result<Bytes, io::Error>>,
    starved: watch::Receiver<usize>,
}

pub(crate) fn by_hand() -> (Hand, ByHand) {
    let (hand, pieces) = mpsc::unbounded_channel();
    let (starved, watched) = watch::channel(0);
    (Hand { pieces: hand, starved: watched }, ByHand { pieces, taken: 0, starved })
}

impl Hand {
    pub(crate) fn send(&self, piece: Result<Bytes, io::Error>) {
        self.pieces.send(piece).unwrap();
    }

    /// Waits until the stream was asked for a piece after `taken` ones: what was sent is on its way by then.
    pub(crate) async fn starved(&self, taken: usize) {
        let mut starved = self.starved.clone();
        let asked = timeout(SOON, starved.wait_for(|asked| *asked >= taken)).await;
        asked.expect("nobody takes the pieces").expect("the stream is dropped");
    }
}

impl Stream for ByHand {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.pieces.poll_recv(cx);
        match polled {
            Poll::Ready(_) => self.taken += 1,
            Poll::Pending => drop(self.starved.send_replace(self.taken)),
        }
        polled
    }
}

/// A queue that outlives the connection which declared it, and the channel to look at it by.
pub(crate) async fn queue(t: &Fixture) -> (Connection, Channel, String) {
    let connection = t.connect().await;
    let channel = connection.channel_open().await.unwrap();
    let queue = t.name("queue");
    channel.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
    (connection, channel, queue)
}

/// How many messages the broker has of the queue, and deletes it, when it has handled all of the connections that are
/// gone: so many are open.
pub(crate) async fn count_and_delete(
    t: &Fixture,
    open: usize,
    channel: &Channel,
    queue: &str,
) -> u32 {
    let port = t.port();
    let question = format!(
        "Alive = fun(Table) -> [{{P, I}} || {{P, I}} <- ets:tab2list(Table), is_process_alive(P)] end,
         Open = [P || {{P, I}} <- Alive(connection_created), proplists:get_value(port, I) =:= {port}],
         Ending = [C || {{C, I}} <- Alive(channel_created),
             binary:match(proplists:get_value(name, I), <<\":{port} (\">>) =/= nomatch,
             not lists:member(proplists:get_value(connection, I), Open)],
         io_lib:format(\"~b ~b\", [length(Open), length(Ending)])"
    );
    let mut told = String::new();
    let ended = async {
        while told != format!("{open} 0") {
            told = t.eval(&question).await.unwrap();
        }
    };
    let ended = timeout(SOON, ended).await;
    assert!(ended.is_ok(), "connections, and channels without one: {told}");
    // It waits its turn behind what their channels have sent.
    let delete = amqp_connector::QueueDelete::new(queue);
    channel.queue_delete(delete).await.unwrap().message_count
}

#[test]
fn a_streamed_body_arrives_whole_when_it_is_committed() {
    broker_test(async |t| {
        let (connection, channel, queue) = queue(t).await;
        let (hand, pieces) = by_hand();
        let publish = BasicPublishStream::new("", &queue, 300_000)
            .properties(basic::Properties { priority: Some(2), ..Default::default() });
        let publishing = tokio::spawn(connection.publish_stream(publish, pieces));
        for n in 0..3 {
            hand.send(Ok(Bytes::from(vec![n; 100_000])));
            // Others go on in between.
            drop(channel.basic_publish(BasicPublish::new("", &queue, "between")).await.unwrap());
            channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        }
        let none = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap();
        assert!(none.is_none(), "it is seen before its end");
        drop(hand);
        let outcome = timeout(SOON, publishing).await.unwrap().unwrap().unwrap();
        assert!(outcome.is_acked());
        let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        assert_eq!(got.properties.priority, Some(2));
        let expected: Vec<u8> = (0..3).flat_map(|n| vec![n; 100_000]).collect();
        assert_eq!(got.body.to_bytes(), expected);
        let reader = io::Cursor::new(vec![5; 200_000]);
        let publish = BasicPublishStream::new("", &queue, 200_000);
        assert!(connection.publish_reader(publish, reader).await.unwrap().is_acked());
        let got = channel.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
        assert_eq!(got.body.to_bytes(), vec![5; 200_000]);
        assert_eq!(count_and_delete(t, 1, &channel, &queue).await, 0);
        connection.close().await;
    });
}

#[test]
fn a_mandatory_streamed_message_without_a_queue_comes_back() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let publish = BasicPublishStream::new("", t.name("nowhere"), 10).mandatory(true);
        let publishing = connection.publish_reader(publish, &b"0123456789"[..]);
        let outcome = timeout(SOON, publishing).await.unwrap().unwrap();
        let Outcome::Returned(returned) = outcome else { panic!("{outcome:?}") };
        assert_eq!(returned.reply_code.0, 312);
        connection.close().await;
    });
}

#[test]
fn an_exchange_that_is_missing_fails_the_streamed_publish() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let publish = BasicPublishStream::new(t.name("nowhere"), "q", 1_000_000);
        let body = vec![1; 1_000_000];
        let publishing = connection.publish_reader(publish, &body[..]);
        let error = timeout(SOON, publishing).await.unwrap().unwrap_err();
        assert_eq!(error.close_reason().unwrap().code().unwrap().0, 404, "{error}");
        assert!(connection.close_reason().is_none());
        connection.close().await;
    });
}

/// Publishes a body of `length` octets that breaks in the way of `fault`, after some of it was sent.
async fn publish_and_break(
    connection: &Connection,
    publish: BasicPublishStream,
    fault: StreamFault,
) {
    let (hand, pieces) = by_hand();
    let publishing = tokio::spawn(connection.publish_stream(publish, pieces));
    hand.send(Ok(Bytes::from(vec![1; 200_000])));
    match fault {
        StreamFault::Failed => hand.send(Err(io::Error::other("no more"))),
        StreamFault::Long => hand.send(Ok(Bytes::from(vec![1; 1 << 20]))),
        StreamFault::Dropped => {
            hand.starved(1).await;
            publishing.abort();
        }
        _ => {}
    }
    let kept = (!matches!(fault, StreamFault::Short)).then_some(hand);
    match timeout(SOON, publishing).await.unwrap() {
        Ok(outcome) => {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StreamBroken);
            let found = error.broken_stream().unwrap().fault();
            assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&fault));
        }
        Err(aborted) => assert!(aborted.is_cancelled() && fault == StreamFault::Dropped),
    }
    drop(kept);
}

fn faults() -> [StreamFault; 4] {
    [StreamFault::Failed, StreamFault::Short, StreamFault::Long, StreamFault::Dropped]
}

#[test]
fn a_body_that_breaks_off_is_never_seen_and_costs_only_its_channel() {
    broker_test(async |t| {
        let (watcher, watching, queue) = queue(t).await;
        let connection = t.connect().await;
        let other = connection.channel_open().await.unwrap();
        for fault in faults() {
            let publish = BasicPublishStream::new("", &queue, 1_000_000);
            publish_and_break(&connection, publish, fault).await;
            // The others live on, and channels can be opened as before.
            other.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
            connection.channel_open().await.unwrap().close().await.unwrap();
        }
        // A stall has to be waited for.
        let (hand, pieces) = by_hand();
        hand.send(Ok(Bytes::from_static(b"some")));
        let publish = BasicPublishStream::new("", &queue, 1_000_000)
            .source_timeout(Duration::from_millis(300));
        let error = connection.publish_stream(publish, pieces).await.unwrap_err();
        assert!(matches!(error.broken_stream().unwrap().fault(), StreamFault::Stalled { .. }));
        assert!(connection.close_reason().is_none());
        connection.close().await;
        assert_eq!(count_and_delete(t, 1, &watching, &queue).await, 0);
        watcher.close().await;
    });
}

#[test]
fn a_body_that_breaks_off_beyond_the_padding_limit_is_never_seen_and_ends_its_connection() {
    broker_test(async |t| {
        let (watcher, watching, queue) = queue(t).await;
        for fault in faults() {
            let connection = t.connect().await;
            let publish = BasicPublishStream::new("", &queue, 1_000_000).padding_max(10_000);
            publish_and_break(&connection, publish, fault).await;
            let reason = timeout(SOON, connection.closed()).await.unwrap();
            assert_eq!(reason.cause(), CloseCause::StreamBroken);
        }
        assert_eq!(count_and_delete(t, 1, &watching, &queue).await, 0);
        watcher.close().await;
    });
}

#[test]
fn a_body_that_breaks_off_on_a_plain_channel_is_never_seen_and_ends_its_connection() {
    broker_test(async |t| {
        let (watcher, watching, queue) = queue(t).await;
        for dropped in [false, true] {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let (hand, pieces) = by_hand();
            hand.send(Ok(Bytes::from(vec![1; 200_000])));
            let publish = BasicPublishStream::new("", &queue, 1_000_000);
            let publishing = tokio::spawn(channel.basic_publish_stream(publish, pieces));
            hand.starved(1).await;
            match dropped {
                true => publishing.abort(),
                false => drop(hand),
            }
            let reason = timeout(SOON, connection.closed()).await.unwrap();
            assert_eq!(reason.cause(), CloseCause::StreamBroken);
        }
        // And where the connection or its channel is closed by the user meanwhile.
        for closes_channel in [false, true] {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let (hand, pieces) = by_hand();
            hand.send(Ok(Bytes::from(vec![1; 200_000])));
            let publish = BasicPublishStream::new("", &queue, 1_000_000);
            let publishing = tokio::spawn(channel.basic_publish_stream(publish, pieces));
            hand.starved(1).await;
            if closes_channel {
                let _ = channel.close().await;
            }
            timeout(SOON, connection.close()).await.unwrap();
            let error = publishing.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
        }
        assert_eq!(count_and_delete(t, 1, &watching, &queue).await, 0);
        watcher.close().await;
    });
}

#[test]
fn a_stream_on_a_channel_in_a_users_own_transaction_can_be_taken_back() {
    broker_test(async |t| {
        use amqp_connector::protocol::tx;
        let (connection, watching, queue) = queue(t).await;
        let channel = connection.channel_open().await.unwrap();
        channel.call(tx::Select::default()).await.unwrap();
        let publish = || BasicPublishStream::new("", &queue, 10);
        drop(channel.basic_publish_reader(publish(), &b"0123456789"[..]).await.unwrap());
        channel.call(tx::Commit::default()).await.unwrap();
        channel.basic_publish_reader(publish(), &b"01234"[..]).await.unwrap_err();
        assert_eq!(channel.closed().await.cause(), CloseCause::StreamBroken);
        assert_eq!(count_and_delete(t, 1, &watching, &queue).await, 1);
        connection.close().await;
    });
}

// Once is enough: it takes its time, and nothing in it depends on the specification.
amqp_connector::amqp_types::if_spec! { connection.blocked => {
    use amqp_connector::{BasicConsume, Prefetch};
    use amqp_tests::broker_test_alone;

    const LARGE: u64 = 400 << 20;
    const BLOCK: usize = 64 << 10;

    /// The block at this place of the large body.
    fn block(n: u64) -> Bytes {
        Bytes::from(vec![u8::try_from(n % 251).unwrap(); BLOCK])
    }

    /// The large body, made as it is asked for.
    struct Blocks(u64);

    impl Stream for Blocks {
        type Item = Result<Bytes, io::Error>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            if self.0 * BLOCK as u64 == LARGE {
                return Poll::Ready(None);
            }
            self.0 += 1;
            Poll::Ready(Some(Ok(block(self.0 - 1))))
        }
    }

    /// A figure of this process's memory, in octets.
    fn memory(name: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() << 10
    }

    async fn large_body_both_ways(t: &Fixture) {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("queue");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        let publish = BasicPublishStream::new("", &queue, LARGE);
        let outcome = connection.publish_stream(publish, Blocks(0)).await.unwrap();
        assert!(outcome.is_acked());

        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume_streamed(consume).await.unwrap();
        let mut delivery = timeout(SOON * 3, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(delivery.body_len, LARGE);
        let mut at = 0_usize;
        while let Some(mut piece) = delivery.body.chunk().await.unwrap() {
            while !piece.is_empty() {
                let part = piece.split_to(piece.len().min(BLOCK - at % BLOCK));
                let expected = block((at / BLOCK) as u64);
                assert!(part == expected[..part.len()], "at {at}");
                at += part.len();
            }
        }
        assert_eq!(at as u64, LARGE);
        delivery.ack().unwrap();
        channel.flush().await.unwrap();
        drop(consumer);
        connection.close().await;
    }

    #[test]
    fn a_body_of_400_mib_goes_through_the_broker_both_ways_in_little_memory() {
        broker_test_alone(async |t| {
            let set = "application:set_env(rabbit, max_message_size, 536870912), \"\"";
            let unset = "application:set_env(rabbit, max_message_size, 134217728), \"\"";
            t.eval(set).await.unwrap();
            // The peak from here on.
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
            let before = memory("VmRSS:");
            let done = timeout(Duration::from_secs(120), large_body_both_ways(t)).await;
            let peak = memory("VmHWM:");
            t.eval(unset).await.unwrap();
            assert!(done.is_ok(), "it takes too long");
            let more = peak.saturating_sub(before);
            println!("400 MiB both ways in {} KiB", more >> 10);
            assert!(more < 32 << 20, "{more} octets of memory");
        });
    }
} else {} }
