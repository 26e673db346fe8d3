//! What a recovery tells, its deadlines, and what the program says of both: the log, its own pauses, what is recorded.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amqp_connector::amqp_types::{FieldTable, FieldValue};
use amqp_connector::protocol::channel;
use amqp_connector::testing::Peer;
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{
    BasicConsume, BasicPublish, Binding, Connector, DeclaredQueue, Destination, Entity, ErrorKind,
    Event, ExchangeDeclare, Prefetch, QueueBind, QueueDeclare, Recovery, RecoveryEvent,
};

use super::{SECOND, connect_as, open, recovered, wholly_recovered};

#[tokio::test(start_paused = true)]
async fn the_report_is_a_log_of_all_steps_in_their_order() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.exchange_declare(ExchangeDeclare::new("x", "direct")).await.expect("declared");
    for name in ["first", "changed"] {
        channel.queue_declare(QueueDeclare::new(name).exclusive(true)).await.expect("declared");
    }
    channel.queue_bind(QueueBind::new("first", "x", "key")).await.expect("bound");
    let consume = BasicConsume::new("first", Prefetch::Count(1));
    let _consumer = channel.basic_consume(consume).await.expect("a consumer");
    broker.cut();
    let other = broker.connect().await.expect("a connection");
    let theirs = other.channel_open().await.expect("a channel");
    theirs.queue_declare(QueueDeclare::new("changed").durable(true)).await.expect("declared");
    let report = recovered(&mut events).await;
    let failed: Vec<bool> = report.steps.iter().map(|step| step.error.is_some()).collect();
    assert_eq!(failed, [false, false, true, false, false, false]);
    assert!(matches!(report.steps[3].entity, Entity::Binding(_)));
    let in_steps: Duration = report.steps.iter().map(|step| step.took).sum();
    assert!(report.connected_after >= SECOND / 10, "{:?}", report.connected_after);
    assert!(report.connected_after + in_steps <= report.took, "{report:#}");

    let line = report.to_string();
    assert!(!line.contains('\n') && line.contains("1 failures"), "{line}");
    let log = format!("{report:#}");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 9, "{log}");
    let words = [
        "recovered in",
        "lost: ",
        "connected after",
        "exchange \"x\" in ",
        "queue \"first\" in ",
        "queue \"changed\" not restored, in ",
        "binding of queue \"first\" to exchange \"x\" in ",
        "channel 1 in ",
        "consumer ",
    ];
    for (line, words) in lines.iter().zip(words) {
        assert!(line.contains(words), "{words} in {log}");
    }
    connection.close().await;
    other.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_falls_silent_while_it_restores_is_lost_and_another_one_is_tried() {
    let broker = MemoryBroker::start();
    let (silent, peer) = Peer::new();
    let (mut peer, silent) = (peer, Mutex::new(Some(silent)));
    let first = AtomicBool::new(true);
    let dial = {
        let broker = broker.clone();
        move || {
            // The second one that is dialled is the silent one.
            let io = match first.swap(false, Ordering::Relaxed) {
                true => broker.transport(),
                false => {
                    let silent = silent.lock().expect("nobody panics with it").take();
                    silent.unwrap_or_else(|| broker.transport())
                }
            };
            async move { Ok(io) }
        }
    };
    let connector = Connector::new().recovery(Recovery::new().max_attempts(5));
    let greeted = connector.connect_by(dial).await.expect("greeted");
    let connection = greeted.authenticate("guest", "guest").await.expect("welcome");
    let (channel, mut events) =
        (connection.channel_open().await.expect("a channel"), connection.events());
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    broker.cut();
    peer.handshake().await;
    let (_, _): (u16, channel::Open) = peer.expect().await;
    // Each step has the deadline of a call.
    let begun = tokio::time::Instant::now();
    let report = wholly_recovered(&mut events).await;
    assert!((30..40).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!((report.attempts, report.queues, report.channels), (2, 1, 1));
    assert!(report.took >= 30 * SECOND);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_program_s_own_policy_says_when_it_is_tried_and_when_it_is_given_up() {
    let broker = MemoryBroker::start();
    let up = std::sync::Arc::new(AtomicBool::new(true));
    let dial = {
        let (broker, up) = (broker.clone(), up.clone());
        move || {
            let answer = match up.load(Ordering::Relaxed) {
                true => Ok(broker.transport()),
                false => Err(std::io::Error::other("down")),
            };
            async move { answer }
        }
    };
    let policy = Recovery::new().pause_by(|attempt, _| (attempt <= 3).then_some(attempt * SECOND));
    let connector = Connector::new().recovery(policy);
    let greeted = connector.connect_by(dial).await.expect("greeted");
    let connection = greeted.authenticate("guest", "guest").await.expect("welcome");
    let mut events = connection.events();
    broker.cut();
    assert_eq!(wholly_recovered(&mut events).await.connected_after, SECOND);
    up.store(false, Ordering::Relaxed);
    broker.cut();
    let mut pauses = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Recovery(RecoveryEvent::Attempt { pause, .. }) = event {
            pauses.push(pause);
        }
    }
    assert_eq!(pauses, [SECOND, 2 * SECOND, 3 * SECOND]);
    assert!(connection.close_reason().is_some(), "it is given up");
}

#[tokio::test(start_paused = true)]
async fn errors_that_the_program_does_not_want_to_try_again_end_it_at_once() {
    let broker = MemoryBroker::start();
    let up = std::sync::Arc::new(AtomicBool::new(true));
    let dial = {
        let (broker, up) = (broker.clone(), up.clone());
        move || {
            let answer = match up.load(Ordering::Relaxed) {
                true => Ok(broker.transport()),
                false => Err(std::io::ErrorKind::HostUnreachable.into()),
            };
            async move { answer }
        }
    };
    let connector = Connector::new().recovery(Recovery::new().retry_if(|error| {
        !error.to_string().contains(&std::io::ErrorKind::HostUnreachable.to_string())
    }));
    let greeted = connector.connect_by(dial).await.expect("greeted");
    let connection = greeted.authenticate("guest", "guest").await.expect("welcome");
    let mut events = connection.events();
    up.store(false, Ordering::Relaxed);
    broker.cut();
    let mut attempts = 0;
    while let Some(event) = events.recv().await {
        attempts += usize::from(matches!(event, Event::Recovery(RecoveryEvent::Attempt { .. })));
    }
    assert_eq!(attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_can_be_filtered_changed_and_added_to_for_good() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.exchange_declare(ExchangeDeclare::new("x", "direct")).await.expect("declared");
    for name in ["kept", "others"] {
        channel.queue_declare(QueueDeclare::new(name).exclusive(true)).await.expect("declared");
        channel.queue_bind(QueueBind::new(name, "x", name)).await.expect("bound");
    }
    let mut arguments = FieldTable::new();
    arguments.insert("x-max-length".try_into().unwrap(), FieldValue::I32(3));
    let edit = connection.edit_topology(|topology| {
        let others = Destination::Queue("others".try_into().unwrap());
        topology.queues.retain(|queue| queue.name != "others");
        topology.bindings.retain(|binding| binding.destination != others);
        topology.queues[0].arguments = arguments.clone();
        let mut added = DeclaredQueue::default();
        (added.name, added.exclusive) = ("added".try_into().unwrap(), true);
        topology.queues.push(added);
        let [x, added] = ["x", "added"].map(|name| name.try_into().unwrap());
        topology.bindings.push(Binding::new(
            x,
            Destination::Queue(added),
            "new".try_into().unwrap(),
        ));
    });
    edit.expect("recorded");
    assert_eq!(connection.topology().queues[0].arguments, arguments);
    for _ in 0..2 {
        broker.cut();
        let report = wholly_recovered(&mut events).await;
        assert_eq!((report.exchanges, report.queues, report.bindings), (1, 2, 2));
        assert!(broker.queue("others").is_none());
        drop(channel.basic_publish(BasicPublish::new("x", "new", "m")).await.expect("sent"));
        channel.queue_declare(QueueDeclare::new("kept").passive(true)).await.expect("a round trip");
        assert_eq!(broker.queue("added").expect("there").messages_ready, 1);
    }
    // What changes meanwhile is not lost: it is asked again.
    let mut asked = 0;
    connection
        .edit_topology(|topology| {
            asked += 1;
            topology.queues.retain(|queue| queue.name != "added");
            if asked == 1 {
                // By somebody else.
                connection.edit_topology(|topology| topology.bindings.clear()).expect("recorded");
            }
        })
        .expect("recorded");
    assert_eq!(asked, 2);
    let left = connection.topology();
    assert_eq!((left.queues.len(), left.bindings.len()), (1, 0), "{left:?}");
    let always = connection.edit_topology(|topology| {
        topology.queues.clear();
        connection
            .edit_topology(|topology| topology.queues.push(DeclaredQueue::default()))
            .expect("recorded");
    });
    assert_eq!(always.expect_err("each time").kind(), ErrorKind::Invalid);
    connection.close().await;

    let plain = connect_as(&broker, Connector::new()).await;
    let error = plain.edit_topology(|_| {}).expect_err("nothing is recorded");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    plain.close().await;
}
