//! A look at every frame: all of them, in order, by their names, and no secret.

use std::sync::{Arc, Mutex, OnceLock};

use amqp_connector::amqp_types::frame::FrameKind;
use amqp_connector::testing::broker::{MemoryBroker, Settings};
use amqp_connector::{BasicPublish, Connection, Connector, Direction, QueueDeclare, Recovery};

use crate::recovery::wholly_recovered;

const PASSWORD: &str = "hunter2";

#[derive(Clone, Default)]
struct Seen {
    lines: Arc<Mutex<Vec<String>>>,
    /// Octets of bodies that were sent.
    body: Arc<Mutex<usize>>,
    connection: Arc<OnceLock<Connection>>,
}

impl Seen {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic").clone()
    }

    /// The names of the frames from this one on, with their direction.
    fn names_from(&self, start: &str) -> Vec<String> {
        let lines = self.lines();
        let from = lines.iter().position(|line| line.starts_with(start)).expect(start);
        let name = |line: &String| {
            let words: Vec<_> = line.split(' ').take(3).collect();
            format!("{} {}", words[0], words[2])
        };
        lines[from..].iter().map(name).collect()
    }
}

async fn connect(broker: &MemoryBroker, seen: &Seen) -> Connection {
    let own = seen.clone();
    let connector = Connector::new().recovery(Recovery::new()).tap(move |tapped| {
        own.lines.lock().expect("no panic").push(tapped.to_string());
        if tapped.frame.kind == FrameKind::Body && tapped.direction == Direction::Sent {
            *own.body.lock().expect("no panic") += tapped.frame.payload.len();
        }
        if let Some(connection) = own.connection.get() {
            // It takes the lock, and would wait for ever if that was held.
            assert!(connection.channel_count() <= 1);
        }
    });
    let broker = broker.clone();
    let dial = move || {
        let broker = broker.clone();
        async move { Ok(broker.transport()) }
    };
    let greeted = connector.connect_by(dial).await.expect("greeted");
    let connection = greeted.authenticate("me", PASSWORD).await.expect("welcome");
    assert!(seen.connection.set(connection.clone()).is_ok());
    connection
}

fn broker() -> MemoryBroker {
    MemoryBroker::start_with(Settings::new().user("me", PASSWORD))
}

#[tokio::test(start_paused = true)]
async fn every_frame_is_shown_in_order_and_without_secrets() {
    let (broker, seen) = (broker(), Seen::default());
    let connection = connect(&broker, &seen).await;
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
    let publish = BasicPublish::new("", "q", "hello").content_type("text/plain");
    let _ = channel.basic_publish(publish).await.expect("published").await;
    connection.close().await;

    let names = seen.names_from("<- 0 connection.start");
    let begin = [
        "<- connection.start",
        "-> connection.start-ok",
        "<- connection.tune",
        "-> connection.tune-ok",
        "-> connection.open",
        "<- connection.open-ok",
        "-> channel.open",
        "<- channel.open-ok",
    ];
    assert_eq!(names[..begin.len()], begin);
    let from_publish = seen.names_from("-> 1 basic.publish");
    assert_eq!(from_publish[..3], ["-> basic.publish", "-> header", "-> body"]);
    assert_eq!(names[names.len() - 2..], ["-> connection.close", "<- connection.close-ok"]);
    let lines = seen.lines().join("\n");
    for part in [
        "response=[",
        "queue=\"q\"",
        "routing-key=\"q\"",
        "header basic body-size=5 content-type=\"text/plain\"",
        "body size=5 \"hello\"",
    ] {
        assert!(lines.contains(part), "{part} is not in {lines}");
    }
    assert!(!lines.contains(PASSWORD), "{lines}");
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_shown_in_all_its_frames() {
    let (broker, seen) = (broker(), Seen::default());
    let connection = connect(&broker, &seen).await;
    let channel = connection.channel_open().await.expect("a channel");
    for size in [9 << 10, 70 << 10, 1 << 20] {
        *seen.body.lock().expect("no panic") = 0;
        let publish = BasicPublish::new("amq.fanout", "", vec![7; size]);
        let _ = channel.basic_publish(publish).await.expect("published").await;
        channel.queue_declare(QueueDeclare::new("q")).await.expect("a round trip");
        assert_eq!(*seen.body.lock().expect("no panic"), size);
    }
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_passes_after_a_loss_is_shown_too() {
    let (broker, seen) = (broker(), Seen::default());
    let connection = connect(&broker, &seen).await;
    let mut events = connection.events();
    broker.cut();
    wholly_recovered(&mut events).await;
    connection.close().await;
    let starts = seen.lines().into_iter().filter(|line| line.starts_with("<- 0 connection.start "));
    assert_eq!(starts.count(), 2);
}
