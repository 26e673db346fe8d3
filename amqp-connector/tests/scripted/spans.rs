//! The spans and events of a connection, as a subscriber gets them: within which span, and with which values.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use amqp_connector::testing::broker::{MemoryBroker, Settings};
use amqp_connector::{
    BasicConsume, BasicPublish, ConnectError, Connection, Connector, Prefetch, QueueDeclare,
    Recovery,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::recovery::wholly_recovered;

/// A span, and within which one it is.
#[derive(Clone, Debug, Default)]
struct Span {
    name: &'static str,
    fields: String,
    within: Option<u64>,
}

/// An event as `level text fields`, and within which span.
#[derive(Clone, Debug)]
struct Line {
    text: String,
    within: Option<u64>,
}

#[derive(Debug, Default)]
struct Seen {
    spans: Vec<Span>,
    lines: Vec<Line>,
    entered: Vec<u64>,
}

/// Writes down all that the library emits.
#[derive(Clone, Debug, Default)]
struct Scribe(Arc<Mutex<Seen>>);

/// ` name=value` for each field, the message first.
#[derive(Default)]
struct Words(String, String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.0 = format!("{value:?}"),
            name => self.1 += &format!(" {name}={value:?}"),
        }
    }
}

impl Scribe {
    fn parent(&self, given: Option<&Id>, contextual: bool) -> Option<u64> {
        let entered = self.0.lock().expect("no panic").entered.last().copied();
        given.map(Id::into_u64).or(entered.filter(|_| contextual))
    }

    fn spans(&self, name: &str) -> Vec<(u64, Span)> {
        let spans = self.0.lock().expect("no panic").spans.clone();
        let numbered = spans.into_iter().enumerate().map(|(at, span)| (at as u64 + 1, span));
        numbered.filter(|(_, span)| span.name == name).collect()
    }

    /// The events that begin so.
    fn lines(&self, start: &str) -> Vec<Line> {
        let lines = self.0.lock().expect("no panic").lines.clone();
        lines.into_iter().filter(|line| line.text.starts_with(start)).collect()
    }

    fn all(&self) -> String {
        format!("{:?}", self.0.lock().expect("no panic"))
    }
}

impl Subscriber for Scribe {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("amqp_connector")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut words = Words::default();
        span.record(&mut words);
        let within = self.parent(span.parent(), span.is_contextual());
        let mut seen = self.0.lock().expect("no panic");
        seen.spans.push(Span { name: span.metadata().name(), fields: words.1, within });
        Id::from_u64(seen.spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut words = Words::default();
        values.record(&mut words);
        self.0.lock().expect("no panic").spans[id.into_u64() as usize - 1].fields += &words.1;
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words::default();
        event.record(&mut words);
        let within = self.parent(event.parent(), event.is_contextual());
        let text = format!("{} {}{}", event.metadata().level(), words.0, words.1);
        self.0.lock().expect("no panic").lines.push(Line { text, within });
    }

    fn enter(&self, id: &Id) {
        self.0.lock().expect("no panic").entered.push(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        let mut seen = self.0.lock().expect("no panic");
        assert_eq!(seen.entered.pop(), Some(id.into_u64()));
    }
}

const PASSWORD: &str = "hunter2";

async fn connect(broker: &MemoryBroker, password: &str) -> Result<Connection, ConnectError> {
    let connector = Connector::new().connection_name("billing").recovery(Recovery::new());
    let broker = broker.clone();
    let dial = move || {
        let broker = broker.clone();
        async move { Ok(broker.transport()) }
    };
    connector.connect_by(dial).await?.authenticate("me", password).await
}

fn broker() -> MemoryBroker {
    MemoryBroker::start_with(Settings::new().user("me", PASSWORD))
}

/// Publishes, consumes and acks some messages.
async fn use_messages(connection: &Connection) {
    let channel = connection.channel_open().await.expect("a channel");
    channel.queue_declare(QueueDeclare::new("q")).await.expect("declared");
    for _ in 0..3 {
        let publish = BasicPublish::new("", "q", "m").mandatory(true);
        let _ = channel.basic_publish(publish).await.expect("published").await;
    }
    let consume = BasicConsume::new("q", Prefetch::Count(2));
    let mut consumer = channel.basic_consume(consume).await.expect("a consumer");
    for _ in 0..3 {
        consumer.recv().await.expect("a delivery").ack().expect("acked");
    }
    channel.close().await.expect("closed");
}

#[tokio::test(start_paused = true)]
async fn all_that_is_logged_of_a_connection_is_within_its_span_and_no_message_is() {
    let scribe = Scribe::default();
    let _subscribed = tracing::subscriber::set_default(scribe.clone());
    let broker = broker();
    let connection = connect(&broker, PASSWORD).await.expect("a connection");
    use_messages(&connection).await;
    connection.close().await;

    let spans = scribe.spans("amqp.connection");
    let [(id, span)] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(span.within, None);
    for field in [
        "amqp.virtual_host=\"/\"",
        "amqp.connection_name=\"billing\"",
        "amqp.specification=",
        "messaging.system=\"in-memory broker\"",
    ] {
        assert!(span.fields.contains(field), "{span:?}");
    }
    let steps = scribe.spans("amqp.connect");
    let names: Vec<_> = steps.iter().map(|(_, step)| step.fields.trim()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(steps.iter().all(|(_, step)| step.within == Some(*id)), "{steps:?}");
    let lines = scribe.lines("");
    assert!(lines.iter().all(|line| line.within == Some(*id)), "{lines:#?}");
    let starts: Vec<_> = lines.iter().map(|line| &*line.text).collect();
    let expected = [
        "DEBUG the server has greeted product=",
        "INFO connected channel_max=",
        "DEBUG a channel is open channel=1",
        "DEBUG a channel is over channel=1 reason=",
        "INFO the connection is closed reason=",
    ];
    assert_eq!(starts.len(), expected.len(), "{starts:#?}");
    for (line, expected) in starts.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_and_the_way_back_are_a_span_within_the_connections() {
    let scribe = Scribe::default();
    let _subscribed = tracing::subscriber::set_default(scribe.clone());
    let broker = broker();
    let connection = connect(&broker, PASSWORD).await.expect("a connection");
    let mut events = connection.events();
    broker.cut();
    wholly_recovered(&mut events).await;
    connection.close().await;

    let spans = scribe.spans("amqp.connection");
    let [(id, _)] = &spans[..] else { panic!("{spans:?}") };
    let recoveries = scribe.spans("amqp.recovery");
    let [(recovery, span)] = &recoveries[..] else { panic!("{recoveries:?}") };
    assert_eq!(span.within, Some(*id));
    let steps = scribe.spans("amqp.connect");
    let again = steps.iter().filter(|(_, step)| step.within == Some(*recovery));
    assert_eq!((steps.len(), again.count()), (8, 4));
    for (start, within) in [
        ("WARN the connection is lost reason=", id),
        ("DEBUG connecting again attempt=1 pause=", recovery),
        ("INFO the connection is back report=", recovery),
        ("DEBUG what was restored steps=", recovery),
        ("INFO the connection is closed", id),
    ] {
        let lines = scribe.lines(start);
        let [line] = &lines[..] else { panic!("{start}: {lines:?}") };
        assert_eq!(line.within, Some(*within), "{start}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_what_is_logged() {
    let scribe = Scribe::default();
    let _subscribed = tracing::subscriber::set_default(scribe.clone());
    let broker = broker();
    connect(&broker, "wrong-one").await.expect_err("refused");
    let failed = scribe.lines("DEBUG connecting failed error=");
    let [line] = &failed[..] else { panic!("{failed:?}") };
    let steps = scribe.spans("amqp.connect");
    let step = steps.iter().find(|(id, _)| line.within == Some(*id)).expect("a step");
    assert!(step.1.fields.contains("authenticating"), "{step:?}");

    let connection = connect(&broker, PASSWORD).await.expect("a connection");
    let mut events = connection.events();
    broker.cut();
    wholly_recovered(&mut events).await;
    connection.close().await;
    let all = scribe.all();
    assert!(!all.contains(PASSWORD) && !all.contains("wrong-one"), "{all}");
}
