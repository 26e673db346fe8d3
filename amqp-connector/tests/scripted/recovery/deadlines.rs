//! Each step of a recovery has a deadline and an outcome that can be told by its type, wherever the broker falls silent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp_connector::amqp_types::{AnyMethod as _, if_spec};
use amqp_connector::protocol::{Method, basic, connection, queue};
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::testing::{self, Peer};
use amqp_connector::{
    BasicConsume, Channel, CloseCause, ConnectError, Connection, Connector, Consumer, Event,
    Events, ExchangeDeclare, Options, Prefetch, QueueBind, QueueDeclare, Recovery, RecoveryEvent,
    RecoveryReport,
};
use tokio::io::DuplexStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::SECOND;

const CONNECT: Duration = Duration::from_secs(11);
const CALL: Duration = Duration::from_secs(7);

/// A connection to the broker in memory. The second transport is this one.
async fn connect(broker: &MemoryBroker, second: DuplexStream) -> Connection {
    let (dialled, second) = (AtomicUsize::new(0), Mutex::new(Some(second)));
    let broker = broker.clone();
    let dial = move || {
        let second = match dialled.fetch_add(1, Ordering::Relaxed) {
            1 => second.lock().expect("no panic").take(),
            _ => None,
        };
        let io = second.unwrap_or_else(|| broker.transport());
        async move { Ok(io) }
    };
    let mut options = Options::default();
    (options.connect_timeout, options.call_timeout) = (CONNECT, CALL);
    let connector = Connector::new().options(options).recovery(Recovery::new());
    let greeted = connector.connect_by(dial).await.expect("greeted");
    greeted.authenticate("guest", "guest").await.expect("welcome")
}

/// Something of everything that is restored.
async fn set_up(connection: &Connection) -> (Channel, Consumer) {
    let channel = connection.channel_open().await.expect("a channel");
    channel.exchange_declare(ExchangeDeclare::new("x", "direct")).await.expect("declared");
    channel.queue_declare(QueueDeclare::new("q").exclusive(true)).await.expect("declared");
    channel.queue_bind(QueueBind::new("q", "x", "key")).await.expect("bound");
    if_spec! { exchange.bind => {
        let bind = amqp_connector::ExchangeBind::new("x", "amq.fanout", "");
        channel.exchange_bind(bind).await.expect("bound");
    } else {} }
    if_spec! { confirm.select => { channel.confirm_select().await.expect("selected"); } else {} }
    let consume = BasicConsume::new("q", Prefetch::Count(3));
    let consumer = channel.basic_consume(consume).await.expect("a consumer");
    (channel, consumer)
}

/// Answers what the client says, up to what comes as number `silent` from 0. Gives what that is, and when it came.
async fn answer(peer: &mut Peer, silent: usize) -> (&'static str, Instant) {
    let mut number = 0;
    loop {
        let event = peer.next().await.expect("no rule is broken");
        let (channel, method) = match event {
            testing::Event::ProtocolHeader(_) if silent == 0 => return ("header", Instant::now()),
            testing::Event::ProtocolHeader(_) => {
                let start = peer.start();
                peer.send(0, start).await;
                number += 1;
                continue;
            }
            testing::Event::Method { channel, method } => (channel, method),
            testing::Event::Heartbeat => continue,
            other => panic!("{other}"),
        };
        let name = method.info().full_name;
        match method {
            Method::Connection(connection::Method::TuneOk(_)) => continue,
            _ if number == silent => return (name, Instant::now()),
            Method::Connection(connection::Method::StartOk(_)) => {
                let tune = connection::Tune { channel_max: 9, frame_max: 4096, heartbeat: 0 };
                peer.send(0, tune).await;
            }
            Method::Queue(queue::Method::Declare(declare)) => {
                let ok = queue::DeclareOk { queue: declare.queue, ..Default::default() };
                peer.send(channel, ok).await;
            }
            Method::Basic(basic::Method::Consume(consume)) => {
                let ok = basic::ConsumeOk { consumer_tag: consume.consumer_tag };
                peer.send(channel, ok).await;
            }
            method => assert!(peer.answer(channel, &method).await, "{name}"),
        }
        number += 1;
    }
}

/// What is told of a recovery whose second connection falls silent.
struct Told {
    /// How an attempt to connect failed, and when.
    failed: Option<(Arc<ConnectError>, Instant)>,
    /// How the connection was lost once more while what there was was restored, and when.
    lost: Option<(CloseCause, Instant)>,
    report: Arc<RecoveryReport>,
}

async fn told(events: &mut Events) -> Told {
    let (mut failed, mut losses, mut lost) = (None, 0, None);
    loop {
        match events.recv().await.expect("it comes back") {
            Event::Recovery(RecoveryEvent::AttemptFailed { error, .. }) => {
                failed = Some((error, Instant::now()));
            }
            Event::Recovering { reason, .. } => {
                losses += 1;
                lost = (losses > 1).then(|| (reason.cause(), Instant::now()));
            }
            Event::Recovery(RecoveryEvent::Recovered(report)) => {
                return Told { failed, lost, report };
            }
            Event::Closed { reason, .. } => panic!("it is over: {reason}"),
            _ => {}
        }
    }
}

/// How the step ended, if there is one of this number.
async fn silent_at(number: usize) -> Option<&'static str> {
    let broker = MemoryBroker::start();
    let (second, mut peer) = Peer::new();
    let connection = connect(&broker, second).await;
    let mut events = connection.events();
    let (channel, consumer) = set_up(&connection).await;
    let (stopped, mut step) = oneshot::channel();
    let peer = tokio::spawn(async move {
        let _ = stopped.send(answer(&mut peer, number).await);
        // It lives, and says nothing any more.
        std::future::pending::<()>().await;
        drop(peer);
    });
    broker.cut();
    let Told { failed, lost, report } = told(&mut events).await;
    peer.abort();
    let counts = (report.exchanges, report.queues, report.channels, report.consumers);
    assert_eq!(counts, (1, 1, 1, 1), "{report:#}");
    assert!(report.failures.is_empty(), "{report:#}");
    connection.close().await;
    drop((channel, consumer));
    let (name, since) = step.try_recv().ok()?;
    assert_eq!(report.attempts, 2, "{name}: {report:#}");
    let took = |at: Instant| at.saturating_duration_since(since);
    match (name, failed, lost) {
        ("header" | "connection.start-ok" | "connection.open", Some((error, at)), None) => {
            assert!(matches!(*error, ConnectError::Deadline { .. }), "{name}: {error}");
            assert!((CONNECT..CONNECT + SECOND).contains(&took(at)), "{name}: {:?}", took(at));
        }
        (_, None, Some((cause, at))) => {
            assert_eq!(cause, CloseCause::CallUnanswered, "{name}");
            assert!((CALL..CALL + SECOND).contains(&took(at)), "{name}: {:?}", took(at));
        }
        (_, failed, lost) => panic!("{name}: {failed:?}, {lost:?}"),
    }
    Some(name)
}

#[tokio::test(start_paused = true)]
async fn each_step_that_the_broker_leaves_unanswered_ends_at_its_deadline_and_it_is_tried_anew() {
    let mut steps = Vec::new();
    while let Some(name) = silent_at(steps.len()).await {
        steps.push(name);
    }
    println!("silent at each of {steps:?}");
    let optional = [
        if_spec! { exchange.bind => { Some("exchange.bind") } else { None } },
        if_spec! { confirm.select => { Some("confirm.select") } else { None } },
    ];
    let lacks = |name: &&str| !steps.contains(name);
    let missing: Vec<_> = [
        "header",
        "connection.start-ok",
        "connection.open",
        "channel.open",
        "exchange.declare",
        "queue.declare",
        "queue.bind",
        "channel.close",
        "basic.qos",
        "basic.consume",
    ]
    .into_iter()
    .chain(optional.into_iter().flatten())
    .filter(lacks)
    .collect();
    assert!(missing.is_empty(), "{missing:?} of {steps:?}");
}
