//! Credentials are in nothing that is shown: no error, no event, no line of a log, no handle.

use std::fmt;
use std::sync::{Arc, Mutex};

use amqp_connector::protocol::{basic, channel, connection};
use amqp_connector::testing::Peer;
use amqp_connector::{Connection, Connector, Mechanism};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{open, resolves};

const PASSWORD: &str = "s3cr3t-4Zk";

/// All that was logged, at any level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        *self.0.lock().expect("no panic") += &format!("{field}={value:?}\n");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Fails if the text has the password, as it is or as octets are shown.
#[track_caller]
fn hides(what: &str, text: &str) {
    let octets = format!("{:?}", PASSWORD.as_bytes());
    let octets = octets.trim_matches(['[', ']']);
    assert!(!text.contains(PASSWORD) && !text.contains(octets), "{what} shows it: {text}");
}

/// A login that ends as the script says.
async fn login(
    mechanism: Mechanism,
    script: impl AsyncFnOnce(&mut Peer),
) -> (Result<Connection, amqp_connector::ConnectError>, Peer) {
    let (io, mut peer) = Peer::new();
    let connector = Connector::new().mechanisms([mechanism]);
    hides("the connector", &format!("{connector:?}"));
    let connect = async {
        let greeted = connector.connect_with(io).await.expect("greeted");
        hides("what is greeted", &format!("{greeted:?}"));
        greeted.authenticate("user", PASSWORD).await
    };
    let script = async {
        peer.expect_header().await;
        let start = peer.start();
        peer.send(0, start).await;
        peer.expect::<connection::StartOk>().await;
        script(&mut peer).await;
    };
    let (connection, ()) = tokio::join!(resolves("the login", connect), script);
    (connection, peer)
}

#[tokio::test(start_paused = true)]
async fn a_password_is_in_no_error_no_log_and_no_handle() {
    let log = Log::default();
    let _subscribed = tracing::subscriber::set_default(log.clone());
    for mechanism in [Mechanism::Plain, Mechanism::AmqPlain] {
        let close = async |peer: &mut Peer| {
            let text = "no".try_into().expect("short");
            let close =
                connection::Close { reply_code: 403, reply_text: text, ..Default::default() };
            peer.send(0, close).await;
        };
        let garbage = async |peer: &mut Peer| peer.send_raw(b"garbage, and more of it").await;
        let wrong = async |peer: &mut Peer| peer.send(0, connection::OpenOk::default()).await;
        let silent = async |_: &mut Peer| {};
        let results = [
            login(mechanism.clone(), close).await.0,
            login(mechanism.clone(), garbage).await.0,
            login(mechanism.clone(), wrong).await.0,
            login(mechanism.clone(), silent).await.0,
        ];
        for result in results {
            let error = result.expect_err("refused");
            hides("an error", &format!("{error} {error:?}"));
        }
    }
    let tune = async |peer: &mut Peer| {
        let tune = connection::Tune { channel_max: 9, frame_max: 4096, heartbeat: 0 };
        peer.send(0, tune).await;
        peer.expect::<connection::TuneOk>().await;
        peer.expect::<connection::Open>().await;
        peer.send(0, connection::OpenOk::default()).await;
    };
    let (connection, mut peer) = login(Mechanism::Plain, tune).await;
    let connection = connection.expect("welcome");
    hides("the connection", &format!("{connection:?}"));
    let mut events = connection.events();
    let channel = open(&connection, &mut peer).await;
    hides("the channel", &format!("{channel:?}"));
    let secret = connection.update_secret(PASSWORD, "because");
    hides("a call", &format!("{secret:?}"));
    // One that is refused by the specification, and one that is unanswered when the connection ends.
    let broken = async {
        peer.send(channel.id(), channel::OpenOk::default()).await;
        peer.send(channel.id(), basic::GetEmpty::default()).await;
    };
    let (updated, ()) = tokio::join!(resolves("the call", secret), broken);
    let error = updated.expect_err("never answered");
    hides("an error", &format!("{error} {error:?}"));
    while let Some(event) = resolves("an event", events.recv()).await {
        hides("an event", &format!("{event} {event:?}"));
    }
    hides("the log", &log.0.lock().expect("no panic"));
}

#[test]
fn a_password_in_a_uri_that_cannot_be_used_is_not_shown() {
    for uri in
        ["amqp://u:s3cr3t-4Zk/x@h", "amqps://u:s3cr3t-4Zk@h?verify=x", "amqp://u:s3cr3t-4Zk@h:x"]
    {
        let error = Connector::from_uri(uri).expect_err("unusable");
        hides(uri, &format!("{error} {error:?}"));
    }
    let too_long = "s3cr3t-4Zk".repeat(2000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let opening = async { Connection::open(&format!("amqp://u:{too_long}@localhost:1")).await };
    let error = runtime.expect("a runtime").block_on(opening).expect_err("too long");
    hides("an error", &format!("{error} {error:?}"));
}
