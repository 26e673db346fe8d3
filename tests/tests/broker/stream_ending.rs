//! The bad endings of streamed publishes, each in each way to publish one: nothing of it is ever in the queue.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_connector::protocol::tx;
use amqp_connector::{
    BasicPublishStream, Bytes, Channel, CloseCause, Connection, Error, ErrorKind, StreamFault,
};
use amqp_tests::broker_test;
use futures_core::Stream as _;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use crate::streaming::{ByHand, by_hand, count_and_delete, queue};

const SOON: Duration = Duration::from_secs(30);
const LENGTH: u64 = 1_000_000;

/// Pieces that the test sends by hand, as a reader, and what is left of the last one.
struct Reader(ByHand, Bytes);

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.1.is_empty()
            && let Some(piece) = ready!(Pin::new(&mut self.0).poll_next(cx))
        {
            self.1 = piece?;
        }
        let fitting = self.1.len().min(buf.remaining());
        buf.put_slice(&self.1.split_to(fitting));
        Poll::Ready(Ok(()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    OwnFromStream,
    OwnFromReader,
    InTxFromStream,
    InTxFromReader,
    PlainFromStream,
    PlainFromReader,
}

impl Way {
    const ALL: [Self; 6] = [
        Self::OwnFromStream,
        Self::OwnFromReader,
        Self::InTxFromStream,
        Self::InTxFromReader,
        Self::PlainFromStream,
        Self::PlainFromReader,
    ];

    /// Whether a channel is all that it may cost.
    fn can_be_taken_back(self) -> bool {
        !matches!(self, Self::PlainFromStream | Self::PlainFromReader)
    }

    async fn publish(
        self,
        connection: &Connection,
        channel: &Channel,
        publish: BasicPublishStream,
        pieces: ByHand,
    ) -> Result<(), Error> {
        match self {
            Self::OwnFromStream => connection.publish_stream(publish, pieces).await.map(drop),
            Self::OwnFromReader => {
                connection.publish_reader(publish, Reader(pieces, Bytes::new())).await.map(drop)
            }
            Self::InTxFromStream | Self::PlainFromStream => {
                channel.basic_publish_stream(publish, pieces).await.map(drop)
            }
            Self::InTxFromReader | Self::PlainFromReader => {
                channel.basic_publish_reader(publish, Reader(pieces, Bytes::new())).await.map(drop)
            }
        }
    }
}

const PATIENCE: Duration = Duration::from_millis(200);

fn faults() -> [StreamFault; 4] {
    [StreamFault::Failed, StreamFault::Short, StreamFault::Long, StreamFault::Dropped]
}

/// Publishes a body that breaks in the way of `fault`, or stalls, after some of it was sent.
async fn breaks(
    way: Way,
    connection: &Connection,
    channel: &Channel,
    publish: BasicPublishStream,
    fault: Option<StreamFault>,
) {
    let (hand, pieces) = by_hand();
    for _ in 0..4 {
        hand.send(Ok(Bytes::from(vec![1; 50_000])));
    }
    match fault {
        Some(StreamFault::Failed) => hand.send(Err(io::Error::other("no more"))),
        Some(StreamFault::Long) => {
            for _ in 0..20 {
                hand.send(Ok(Bytes::from(vec![1; 50_000])));
            }
        }
        _ => {}
    }
    let kept = (fault != Some(StreamFault::Short)).then_some(hand);
    let publishing = way.publish(connection, channel, publish, pieces);
    if fault == Some(StreamFault::Dropped) {
        // The source has no more, and some of the body is on its way.
        let hand = kept.as_ref().unwrap();
        tokio::select! {
            published = publishing => panic!("it does not wait for its source: {published:?}"),
            () = hand.starved(4) => {}
        }
        return;
    }
    let error = timeout(SOON, publishing).await.expect("no hang").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StreamBroken, "{way:?}");
    let found = error.broken_stream().unwrap().fault();
    match fault {
        Some(fault) => assert_eq!(found, fault, "{way:?}"),
        None => assert!(matches!(found, StreamFault::Stalled { .. }), "{way:?}: {found:?}"),
    }
    drop(kept);
}

#[test]
fn a_body_that_breaks_off_is_never_seen_in_whatever_way_it_is_published_and_breaks() {
    broker_test(async |t| {
        let (watcher, watching, queue) = queue(t).await;
        for way in Way::ALL {
            for fault in faults().into_iter().map(Some).chain([None]) {
                let connection = t.connect().await;
                let channel = connection.channel_open().await.unwrap();
                if matches!(way, Way::InTxFromStream | Way::InTxFromReader) {
                    channel.call(tx::Select::default()).await.unwrap();
                }
                let mut publish = BasicPublishStream::new("", &queue, LENGTH);
                if fault.is_none() {
                    publish = publish.source_timeout(PATIENCE);
                }
                breaks(way, &connection, &channel, publish, fault).await;
                if way.can_be_taken_back() {
                    connection.channel_open().await.unwrap().close().await.unwrap();
                    assert!(connection.close_reason().is_none(), "{way:?}, {fault:?}");
                    connection.close().await;
                } else {
                    let reason = timeout(SOON, connection.closed()).await.unwrap();
                    assert_eq!(reason.cause(), CloseCause::StreamBroken, "{way:?}, {fault:?}");
                }
            }
        }
        assert_eq!(count_and_delete(t, 1, &watching, &queue).await, 0);
        watcher.close().await;
    });
}

amqp_connector::amqp_types::if_spec! { connection.blocked => {
    use amqp_connector::{BasicPublish, Options, WhileBlocked};
    use amqp_tests::broker_test_alone;

    use crate::limits::Alarm;

    #[test]
    fn by_policy_an_alarm_fails_streamed_publishes_and_shows_nothing_of_them() {
        broker_test_alone(async |t| {
            let mut options = Options::default();
            options.publish_while_blocked = WhileBlocked::Fail;
            let connection = t.connect_as(&t.connector().options(options)).await;
            let (watcher, watching, queue) = queue(t).await;
            let channel = connection.channel_open().await.unwrap();
            let (hand, pieces) = by_hand();
            let publish = BasicPublishStream::new("", &queue, LENGTH);
            let publishing = tokio::spawn(connection.publish_stream(publish.clone(), pieces));
            hand.send(Ok(Bytes::from(vec![1; 50_000])));
            let mut blocked = connection.blocked();
            let alarm = Alarm::raise(t).await;
            // The broker tells those who publish.
            drop(channel.basic_publish(BasicPublish::new("", "nowhere", "x")).await.unwrap());
            timeout(SOON, blocked.changed()).await.expect("no block").unwrap();
            let under_way = timeout(SOON, publishing).await.expect("no hang").unwrap();
            let begun = connection.publish_reader(publish.clone(), &b"none"[..]);
            let begun = timeout(SOON, begun).await.expect("no hang");
            alarm.clear();
            assert_eq!(under_way.unwrap_err().kind(), ErrorKind::Blocked);
            assert_eq!(begun.unwrap_err().kind(), ErrorKind::Blocked);
            timeout(SOON, blocked.changed()).await.expect("no unblock").unwrap();
            // It costs nobody anything, and the next one is seen.
            let body = vec![2; usize::try_from(LENGTH).unwrap()];
            let published = connection.publish_reader(publish, &body[..]);
            assert!(timeout(SOON, published).await.expect("no hang").unwrap().is_acked());
            drop(hand);
            assert_eq!(count_and_delete(t, 2, &watching, &queue).await, 1);
            connection.close().await;
            watcher.close().await;
        });
    }
} else {} }
