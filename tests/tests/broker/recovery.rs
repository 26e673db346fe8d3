//! Connections that are lost and come back, on a real broker: what it has of them then, and that nothing is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp_connector::{
    BasicConsume, BasicPublish, Connection, ConsumerEnd, ErrorKind, Event, Events, ExchangeDeclare,
    ExchangeDelete, Prefetch, QueueBind, QueueDeclare, QueueDelete, Recovery, RecoveryEvent,
    RecoveryReport,
};
use amqp_tests::{Fixture, broker_test};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn quick() -> Recovery {
    Recovery::new().backoff(Duration::from_millis(20), Duration::from_secs(1))
}

/// The way to the broker, which can be cut.
#[derive(Clone, Default)]
pub(crate) struct Link(Arc<Mutex<Option<std::net::TcpStream>>>);

impl Link {
    pub(crate) async fn connect(&self, t: &Fixture) -> Connection {
        let (link, host, port) = (self.clone(), t.host().to_owned(), t.port());
        let dial = move || {
            let (link, host) = (link.clone(), host.clone());
            async move {
                let stream = TcpStream::connect((host.as_str(), port)).await?.into_std()?;
                *link.0.lock().unwrap() = Some(stream.try_clone()?);
                TcpStream::from_std(stream)
            }
        };
        let greeted = t.connector().recovery(quick()).connect_by(dial).await.unwrap();
        greeted.authenticate("guest", "guest").await.unwrap()
    }

    pub(crate) fn cut(&self) {
        if let Some(stream) = self.0.lock().unwrap().take() {
            // It may be gone already.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

pub(crate) async fn recovered(events: &mut Events) -> Arc<RecoveryReport> {
    let recovering = async {
        loop {
            match events.recv().await.expect("it comes back") {
                Event::Recovery(RecoveryEvent::Recovered(report)) => return report,
                Event::Closed { reason, .. } => panic!("it is over: {reason}"),
                _ => {}
            }
        }
    };
    timeout(SOON, recovering).await.expect("it comes back in time")
}

async fn consumers_at_the_broker(t: &Fixture, queue: &str) -> String {
    let expression = format!(
        "integer_to_list(length([C || C <- rabbit_amqqueue:consumers_all(<<\"/\">>), \
         element(4, proplists:get_value(queue_name, C)) =:= <<\"{queue}\">>]))"
    );
    t.eval(&expression).await.unwrap()
}

#[test]
fn what_an_administrator_closes_comes_back_whole() {
    broker_test(async |t| {
        let connection = t.connect_as(&t.connector().recovery(quick())).await;
        let mut events = connection.events();
        let channel = connection.channel_open().await.unwrap();
        let exchange = t.name("exchange");
        channel.exchange_declare(ExchangeDeclare::new(&exchange, "topic")).await.unwrap();
        let declared = channel.queue_declare(QueueDeclare::new("").exclusive(true)).await.unwrap();
        let name = declared.queue.to_string();
        channel.queue_bind(QueueBind::new(&name, &exchange, "a.*")).await.unwrap();
        let consume = BasicConsume::new(&name, Prefetch::Count(7));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new(&exchange, "a.b", "before")).await.unwrap());
        let before = consumer.recv().await.unwrap();
        assert_eq!(before.body.to_bytes(), "before");

        t.close_connections("for the test").await.unwrap();
        let report = recovered(&mut events).await;
        assert!(report.failures.is_empty(), "{report:?}");
        assert_eq!((report.exchanges, report.queues, report.bindings), (1, 1, 1));
        assert_eq!((report.channels, report.consumers), (1, 1));
        assert_eq!(report.reason.code().map(|code| code.0), Some(320));
        let stale = before.ack().unwrap_err();
        assert_eq!(stale.kind(), ErrorKind::Stale, "{stale}");
        let renamed = connection.topology().queues[0].name.to_string();
        assert_ne!(renamed, name);
        assert_eq!(consumers_at_the_broker(t, &renamed).await, "1");
        drop(channel.basic_publish(BasicPublish::new(&exchange, "a.c", "after")).await.unwrap());
        let after = consumer.recv().await.unwrap();
        assert_eq!(after.body.to_bytes(), "after");
        after.ack().unwrap();
        channel.exchange_delete(ExchangeDelete::new(&exchange)).await.unwrap();
        connection.close().await;
    });
}

#[test]
fn a_queue_that_is_gone_ends_its_consumer_and_nothing_else() {
    broker_test(async |t| {
        let link = Link::default();
        let connection = link.connect(t).await;
        let mut events = connection.events();
        let channel = connection.channel_open().await.unwrap();
        let [kept, gone] = ["kept", "gone"].map(|word| t.name(word));
        channel.queue_declare(QueueDeclare::new(&kept).exclusive(true)).await.unwrap();
        let other = t.connect().await;
        let theirs = other.channel_open().await.unwrap();
        theirs.queue_declare(QueueDeclare::new(&gone).durable(true)).await.unwrap();
        let mut consumers = Vec::new();
        for queue in [&gone, &kept] {
            let consume = BasicConsume::new(queue, Prefetch::Count(1));
            consumers.push(channel.basic_consume(consume).await.unwrap());
        }
        // Not while it is connected: it would be told of it, and know.
        link.cut();
        let lost = async {
            loop {
                match events.recv().await.expect("it comes back") {
                    Event::Recovery(RecoveryEvent::Attempt { .. }) => break,
                    event => drop(event),
                }
            }
        };
        timeout(SOON, lost).await.expect("the loss is told");
        theirs.queue_delete(QueueDelete::new(&gone)).await.unwrap();
        let report = recovered(&mut events).await;
        assert!(report.failures.len() <= 1, "{report:?}");
        if let [failure] = &report.failures[..] {
            assert_eq!(failure.error.close_reason().and_then(|it| it.code()).unwrap().0, 404);
        }
        assert!(consumers[0].recv().await.is_none());
        assert!(!matches!(consumers[0].end(), Some(ConsumerEnd::Dropped)));
        drop(channel.basic_publish(BasicPublish::new("", &kept, "m")).await.unwrap());
        consumers[1].recv().await.unwrap().ack().unwrap();
        connection.close().await;
        other.close().await;
    });
}

amqp_connector::amqp_types::if_spec! { confirm.select => {
    use std::collections::{HashMap, HashSet};

    use amqp_connector::{Channel, ConfirmCounts, Outcome};

    const PUBLISHERS: usize = 4;
    const LOSSES: usize = 20;

    /// Publishes numbered messages until told to stop; gives those that were confirmed, and what became of all.
    async fn publish(
        channel: Channel,
        queue: String,
        publisher: usize,
        stop: tokio::sync::watch::Receiver<bool>,
    ) -> (HashSet<String>, ConfirmCounts) {
        let (mut acked, mut counts) = (HashSet::new(), ConfirmCounts::default());
        for batch in 0.. {
            if *stop.borrow() {
                break;
            }
            let mut confirmations = Vec::new();
            for n in 0..50 {
                let id = format!("{publisher}.{batch}.{n}");
                let message = BasicPublish::new("", &queue, id.clone()).persistent();
                confirmations.push((id, channel.basic_publish(message).await.unwrap()));
            }
            for (id, confirmation) in confirmations {
                match timeout(SOON, confirmation).await.expect("every outcome is known") {
                    Outcome::Acked => {
                        counts.acked += 1;
                        acked.insert(id);
                    }
                    Outcome::Unknown(_) => counts.unknown += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        (acked, counts)
    }

    #[test]
    fn nothing_that_was_confirmed_is_lost_through_closes_and_cuts() {
        broker_test(async |t| {
            let queue = t.name("queue");
            let (to, from) = (Link::default(), Link::default());
            let publishing = to.connect(t).await;
            let consuming = from.connect(t).await;
            let channel = consuming.channel_open().await.unwrap();
            channel.queue_declare(QueueDeclare::new(&queue).durable(true)).await.unwrap();
            let mut events = [publishing.events(), consuming.events()];
            let (stop, stopped) = tokio::sync::watch::channel(false);
            let mut publishers = Vec::new();
            for n in 0..PUBLISHERS {
                let channel = publishing.channel_open().await.unwrap();
                channel.confirm_select().await.unwrap();
                publishers.push(tokio::spawn(publish(channel, queue.clone(), n, stopped.clone())));
            }
            let mut consumer =
                channel.basic_consume(BasicConsume::new(&queue, Prefetch::Count(100))).await.unwrap();
            let consumed: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
            let seen = consumed.clone();
            let reading = tokio::spawn(async move {
                let mut unmarked = 0;
                while let Some(delivery) = consumer.recv().await {
                    let id = String::from_utf8(delivery.body.to_bytes().to_vec()).unwrap();
                    let times = {
                        let mut seen = seen.lock().unwrap();
                        let times = seen.entry(id).or_default();
                        *times += 1;
                        *times
                    };
                    unmarked += usize::from(times > 1 && !delivery.redelivered);
                    // Of a connection that was lost since: it comes again.
                    let _ = delivery.ack();
                }
                unmarked
            });
            for loss in 0..LOSSES {
                match loss % 3 {
                    0 => t.close_connections("for the test").await.unwrap(),
                    1 => to.cut(),
                    _ => from.cut(),
                }
                let lost = if loss % 3 == 2 { 1 } else { 0 };
                recovered(&mut events[lost]).await;
                if loss % 3 == 0 {
                    recovered(&mut events[1]).await;
                }
            }
            stop.send(true).unwrap();
            let (mut acked, mut unknown) = (HashSet::new(), 0);
            for publisher in publishers {
                let (ids, counts) = publisher.await.unwrap();
                acked.extend(ids);
                unknown += counts.unknown;
            }
            let all_seen = async {
                while !acked.iter().all(|id| consumed.lock().unwrap().contains_key(id)) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(SOON, all_seen).await.expect("all that was confirmed is consumed");
            // Waits for what is left in the queue, so that it can be deleted.
            consuming.close().await;
            let unmarked = reading.await.unwrap();
            let (seen, again) = {
                let consumed = consumed.lock().unwrap();
                (consumed.len(), consumed.values().filter(|times| **times > 1).count())
            };
            println!(
                "{LOSSES} losses: {} confirmed, {unknown} unknown, {seen} consumed, {again} of them again",
                acked.len()
            );
            assert_eq!(unmarked, 0, "what comes again says so");
            let channel = publishing.channel_open().await.unwrap();
            channel.queue_delete(QueueDelete::new(&queue)).await.unwrap();
            publishing.close().await;
        });
    }
} else {} }
