//! The driver's timer: it fires whatever else the driver had to do when it was armed.

use std::time::Duration;

use amqp_connector::testing::{Event, Faults, Faulty, Peer};
use amqp_connector::{BasicPublish, Connector, ErrorKind, QueueDeclare};
use tokio::time::{Instant, timeout_at};

use crate::support::open;

/// A publish of many frames over a transport that takes one slice at a time, as TLS does, uses up the turn
/// that tokio gives the driver's task, in the very poll in which the timer fires.
const LARGE: usize = 1 << 20;

fn one_slice<T>(io: T) -> Faulty<T> {
    Faulty::new(io, 1, Faults::NONE, Faults::NONE)
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_though_the_turn_was_used_up_when_a_heartbeat_was_due() {
    for at in [2000, 5000] {
        let (io, peer) = Peer::with_pipe(8 << 20);
        let mut peer = peer.tune(9, 4096, 10);
        let connect = async {
            let greeted = Connector::new().connect_with(one_slice(io)).await.expect("open");
            greeted.authenticate("guest", "guest").await.expect("open")
        };
        let (connection, _) = tokio::join!(connect, peer.handshake());
        let channel = open(&connection, &mut peer).await;
        let publisher = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(at)).await;
            let large = BasicPublish::new("", "q", vec![1; LARGE]);
            let _ = channel.basic_publish(large).await.expect("open").await;
            std::future::pending::<()>().await;
        });
        let (end, mut heartbeats) = (Instant::now() + Duration::from_secs(120), 0);
        while let Ok(Ok(event)) = timeout_at(end, peer.next()).await {
            match event {
                Event::Heartbeat => heartbeats += 1,
                Event::End => break,
                _ => {}
            }
        }
        assert!(heartbeats > 0, "published at {at} ms");
        assert!(connection.close_reason().is_some(), "published at {at} ms");
        publisher.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_times_out_though_the_turn_was_used_up_when_it_was_made() {
    let (io, peer) = Peer::with_pipe(8 << 20);
    let mut peer = peer.tune(9, 4096, 0);
    let connect = async {
        let greeted = Connector::new().connect_with(one_slice(io)).await.expect("open");
        greeted.authenticate("guest", "guest").await.expect("open")
    };
    let (connection, _) = tokio::join!(connect, peer.handshake());
    let channel = open(&connection, &mut peer).await;
    // The driver looks for idle buffers by the same timer.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let large = BasicPublish::new("", "q", vec![1; LARGE]);
    let _ = channel.basic_publish(large).await.expect("open").await;
    let call = channel.queue_declare(QueueDeclare::new("q"));
    let error =
        tokio::time::timeout(Duration::from_secs(100), call).await.expect("open").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}
