//! The pace of a channel, by tokio's paused clock.

use std::time::Duration;

use amqp_connector::protocol::{basic, queue};
use amqp_connector::testing::{Peer, leftovers};
use amqp_connector::{
    BasicPublish, BasicPublishStream, Channel, Connection, ErrorKind, Options, Pace,
};
use tokio::time::{Instant, sleep};

use crate::support::{close_clean, connection_with, open, resolves};

const SECOND: Duration = Duration::from_secs(1);

async fn channel() -> (Connection, Channel, Peer) {
    let (io, peer) = Peer::new();
    let (connection, mut peer) =
        connection_with(Options::default(), (io, peer.tune(9, 4096, 0))).await;
    let channel = open(&connection, &mut peer).await;
    (connection, channel, peer)
}

fn publish(n: usize) -> BasicPublish {
    BasicPublish::new("", "q", n.to_string())
}

#[tokio::test(start_paused = true)]
async fn many_tasks_publish_no_faster_than_their_channel_may() {
    let (connection, paced, mut peer) = channel().await;
    let free = open(&connection, &mut peer).await;
    paced.pace(Some(Pace::per_second(20).burst(10))).expect("open");
    let begun = Instant::now();
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let channel = paced.clone();
            tokio::spawn(async move {
                for n in 0..42 {
                    drop(channel.basic_publish(publish(n)).await.expect("open"));
                }
            })
        })
        .collect();
    for _ in 0..10 {
        peer.expect_content::<basic::Publish>(paced.id()).await;
    }
    // Another channel and everything but publishes go on, while they wait.
    for n in 0..100 {
        drop(resolves("a publish", free.basic_publish(publish(n))).await);
        peer.expect_content::<basic::Publish>(free.id()).await;
    }
    let purge = paced.call(queue::Purge::default());
    let answer = async {
        let (id, _) = peer.expect::<queue::Purge>().await;
        peer.send(id, queue::PurgeOk::default()).await;
    };
    assert!(tokio::join!(purge, answer).0.is_ok());
    assert!(begun.elapsed() < SECOND / 10, "{:?}", begun.elapsed());
    for n in 1..=200_u32 {
        peer.expect_content::<basic::Publish>(paced.id()).await;
        let least = SECOND * n / 20;
        let elapsed = begun.elapsed();
        assert!(elapsed >= least, "publish {n} after {elapsed:?}");
        assert!(elapsed <= least + SECOND / 50, "publish {n} after {elapsed:?}");
    }
    for task in tasks {
        resolves("a task", task).await.expect("no panic");
    }
    assert_eq!(leftovers(&connection).waiting, 0);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_does_not_wait_goes_as_soon_as_there_is_room() {
    let (connection, channel, mut peer) = channel().await;
    channel.pace(Some(Pace::per_second(2).burst(1))).expect("open");
    for n in 0..10 {
        drop(channel.try_basic_publish(publish(n)).expect("its turn"));
        // Nobody has waited, so nobody but this call looks at the clock.
        sleep(SECOND / 2 - Duration::from_millis(1)).await;
        let early = channel.try_basic_publish(publish(n)).expect_err("too early");
        assert_eq!(early.kind(), ErrorKind::Full);
        sleep(Duration::from_millis(2)).await;
    }
    for _ in 0..10 {
        peer.expect_content::<basic::Publish>(channel.id()).await;
    }
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_streamed_body_counts_as_one_however_large() {
    let (connection, channel, mut peer) = channel().await;
    channel.pace(Some(Pace::per_second(1).burst(1))).expect("open");
    for n in 0..3 {
        let begun = Instant::now();
        let reader = std::io::Cursor::new(vec![1; 100_000]);
        let message = BasicPublishStream::new("", "q", 100_000);
        let publishing = tokio::spawn(channel.basic_publish_reader(message, reader));
        let (_, _, body) = peer.expect_content::<basic::Publish>(channel.id()).await;
        assert_eq!(body.len(), 100_000);
        drop(resolves("the publish", publishing).await.expect("no panic").expect("accepted"));
        let waited = begun.elapsed().as_millis();
        assert!(if n == 0 { waited < 10 } else { (990..1010).contains(&waited) }, "{waited} ms");
    }
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn publishes_that_wait_for_the_pace_can_be_dropped_and_end_with_the_channel() {
    let (connection, channel, mut peer) = channel().await;
    channel.pace(Some(Pace::per(1, SECOND * 60).burst(1))).expect("open");
    drop(channel.basic_publish(publish(0)).await.expect("the first"));
    peer.expect_content::<basic::Publish>(channel.id()).await;
    for n in 0..10 {
        let waiting = tokio::time::timeout(SECOND, channel.basic_publish(publish(n))).await;
        assert!(waiting.is_err(), "it went too early");
    }
    assert_eq!(leftovers(&connection).waiting, 0);
    // A minute after the first, not after those that gave up.
    let begun = Instant::now();
    drop(channel.basic_publish(publish(11)).await.expect("open"));
    assert!(begun.elapsed() < SECOND * 51, "{:?}", begun.elapsed());
    peer.expect_content::<basic::Publish>(channel.id()).await;
    let waiting = tokio::spawn(channel.basic_publish(publish(12)));
    sleep(SECOND).await;
    peer.close_channel(channel.id(), 404, "gone").await;
    let error = resolves("the publish", waiting).await.expect("no panic").expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::ChannelClosed);
    let late = channel.pace(None).expect_err("closed");
    assert_eq!(late.kind(), ErrorKind::ChannelClosed);
    drop(channel);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_pace_by_which_nothing_could_go_is_invalid() {
    let (connection, channel, mut peer) = channel().await;
    for pace in [
        Pace::per_second(0),
        Pace::per_second(5).burst(0),
        Pace::per(5, Duration::ZERO),
        Pace::per(0, Duration::ZERO),
    ] {
        assert_eq!(channel.pace(Some(pace)).expect_err("invalid").kind(), ErrorKind::Invalid);
    }
    // The extremes are not.
    for pace in [
        Pace::per(u32::MAX, Duration::from_nanos(1)),
        Pace::per(u32::MAX, Duration::MAX).burst(u32::MAX),
        Pace::per(1, Duration::MAX),
    ] {
        channel.pace(Some(pace)).expect("open");
        drop(resolves("a publish", channel.basic_publish(publish(0))).await.expect("a burst"));
        peer.expect_content::<basic::Publish>(channel.id()).await;
        channel.pace(None).expect("open");
    }
    channel.pace(Some(Pace::per(1, Duration::MAX))).expect("open");
    drop(channel.basic_publish(publish(0)).await.expect("a burst"));
    let waiting = tokio::time::timeout(SECOND * 3600, channel.basic_publish(publish(1))).await;
    assert!(waiting.is_err(), "there is no end to its period");
    channel.pace(None).expect("open");
    drop(resolves("a publish", channel.basic_publish(publish(2))).await.expect("free again"));
    for _ in 0..2 {
        peer.expect_content::<basic::Publish>(channel.id()).await;
    }
    close_clean(connection, &mut peer).await;
}
