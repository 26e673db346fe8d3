//! Credentials are in nothing that is shown: no error, no event, no line of a log, no handle.

use std::fmt;
use std::sync::{Arc, Mutex};

use amqp_connector::amqp_types::AnyMethod as _;
use amqp_connector::amqp_types::frame::{Frame, FrameKind, FrameRef};
use amqp_connector::amqp_types::reflect::{Described, DynamicMethod, Value};
use amqp_connector::amqp_types::wire::Writer;
use amqp_connector::protocol::{self, basic, channel, connection};
use amqp_connector::testing::Peer;
use amqp_connector::testing::broker::Settings;
use amqp_connector::{Connection, Connector, Mechanism};
use bytes::{Bytes, BytesMut};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{open, resolves};

/// With characters that a URI escapes.
const PASSWORD: &str = "s3cr3t/4Zk+?";

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

fn percent_encoded(text: &str) -> String {
    let encode = |octet: u8| match octet {
        octet if octet.is_ascii_alphanumeric() => char::from(octet).to_string(),
        octet => format!("%{octet:02x}"),
    };
    text.bytes().map(encode).collect()
}

/// Base64 of whatever has these octets, of which so many of those before are in the same group: without the first and the
/// last characters, which depend on what stands beside.
fn base64(octets: &[u8], before: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padded = [&vec![0; before], octets].concat();
    let digits = padded.chunks_exact(3).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, octet| bits << 8 | usize::from(*octet));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]))
    });
    digits.skip(if before == 0 { 0 } else { 4 }).collect()
}

/// The password in each form that a text could have it in.
fn forms() -> Vec<String> {
    let octets = PASSWORD.as_bytes();
    let list = |octets: &[u8]| format!("{octets:?}").trim_matches(['[', ']']).to_owned();
    let hexadecimal: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let percent = percent_encoded(PASSWORD);
    let mut forms = vec![PASSWORD.to_owned(), list(octets), percent.to_uppercase(), percent];
    forms.extend([hexadecimal.to_uppercase(), hexadecimal]);
    for before in 0..3 {
        let plain = base64(octets, before);
        forms.extend([plain.replace('+', "-").replace('/', "_"), plain]);
    }
    // Shown over many lines a list of octets has other blanks.
    forms.push(octets.iter().map(|octet| format!("{octet},")).collect());
    forms
}

/// Fails if the text has the password, in whatever form.
#[track_caller]
fn hides(what: &str, text: &str) {
    let without_blanks: String = text.split_whitespace().collect();
    for form in forms() {
        let shown = text.contains(&form) || without_blanks.contains(&form);
        assert!(!shown, "{what} shows it as {form}: {text}");
    }
}

/// Both ways a value can be shown by.
#[track_caller]
fn hides_debug(what: &str, value: &dyn fmt::Debug) {
    hides(what, &format!("{value:?}"));
    hides(what, &format!("{value:#?}"));
}

#[test]
fn a_password_is_found_in_every_form() {
    use std::panic::catch_unwind;
    // By another program: `printf 's3cr3t/4Zk+?' | base64`, with \0, and with user and \0 before.
    for text in [
        PASSWORD,
        "s3cr3t%2f4Zk%2b%3f",
        "amqp://u:S3CR3T%2F4ZK%2B%3F@h",
        "czNjcjN0LzRaays/",
        "AHMzY3IzdC80WmsrPw==",
        "AGEAczNjcjN0LzRaays_",
        "[0, 115, 51, 99, 114, 51, 116, 47, 52, 90, 107, 43, 63]",
        "7333637233742f345a6b2b3f",
    ] {
        catch_unwind(|| hides("it", text)).expect_err(text);
    }
    hides("another", "s3cr3t, and more: czNjcjN0");
}

/// A login that ends as the script says.
async fn login(
    mechanism: Mechanism,
    script: impl AsyncFnOnce(&mut Peer),
) -> (Result<Connection, amqp_connector::ConnectError>, Peer) {
    let (io, mut peer) = Peer::new();
    let connector = Connector::new().mechanisms([mechanism]).tap(|tapped| {
        hides("a frame", &tapped.to_string());
        hides_debug("a frame", tapped);
        hides_debug("a frame", &tapped.describe());
        hides_debug("a frame", &tapped.frame.to_frame());
    });
    hides_debug("the connector", &connector);
    let connect = async {
        let greeted = connector.connect_with(io).await.expect("greeted");
        hides_debug("what is greeted", &greeted);
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
        hides("an event", &event.to_string());
        hides_debug("an event", &event);
    }
    hides("the log", &log.0.lock().expect("no panic"));
}

/// Every method of the specification that has a field for a secret, in each form it can be in.
#[test]
fn no_method_and_no_frame_shows_a_secret() {
    let octets = Bytes::from(format!("\0user\0{PASSWORD}"));
    let methods = protocol::INFO.methods();
    let fields = methods.flat_map(|info| info.fields.iter().map(move |field| (info, field)));
    let mut secrets = Vec::new();
    for (info, field) in fields.filter(|(info, field)| info.is_secret(field.name)) {
        let mut method = DynamicMethod::new(info);
        method.set(field.name, Value::LongStr(octets.clone())).expect("octets");
        hides_debug(info.full_name, &method);
        let mut payload = BytesMut::new();
        method.encode(&mut Writer::new(&mut payload)).expect("encodes");
        let frame = Frame { kind: FrameKind::Method, channel: 0, payload: payload.freeze() };
        let typed = protocol::Method::decode(&frame.payload).expect("decodes");
        hides_debug(info.full_name, &typed);
        hides_debug(info.full_name, &frame);
        hides_debug(info.full_name, &FrameRef::from(&frame));
        let described = Described::new(&protocol::INFO, (&frame).into());
        hides(info.full_name, &described.to_string());
        hides_debug(info.full_name, &described);
        hides_debug(info.full_name, described.meaning());
        let mut whole = BytesMut::new();
        protocol::FRAMING.encode(&frame, &mut whole).expect("encodes");
        hides_debug("frames", &protocol::FRAMING.split(&mut whole, u32::MAX));
        secrets.push(format!("{} {}", info.full_name, field.name));
    }
    assert!(secrets.len() >= 3, "{secrets:?}");
    // What else is given a password.
    hides_debug("settings", &Settings::new().user("user", PASSWORD));
    let uri = format!("amqp://user:{}@h/v", percent_encoded(PASSWORD));
    let (connector, _, password) = Connector::from_uri(&uri).expect("a URI");
    assert_eq!(password, PASSWORD);
    hides_debug("the connector", &connector);
    for mechanism in [Mechanism::Plain, Mechanism::AmqPlain, Mechanism::RabbitCrDemo] {
        hides_debug("a mechanism", &mechanism);
    }
}

#[test]
fn a_password_in_a_uri_that_cannot_be_used_is_not_shown() {
    let escaped = percent_encoded(PASSWORD);
    for uri in [
        format!("amqp://u:{PASSWORD}@h"),
        format!("amqp://u:{escaped}/x/y@h"),
        format!("amqps://u:{escaped}@h?verify=x"),
        format!("amqp://u:{escaped}@h:x"),
        format!("amqp://u:{escaped}"),
        format!("u:{escaped}@h"),
    ] {
        let error = Connector::from_uri(&uri).expect_err("unusable");
        hides(&uri, &format!("{error} {error:?}"));
    }
    let too_long = percent_encoded(&PASSWORD.repeat(2000));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let opening = async { Connection::open(&format!("amqp://u:{too_long}@localhost:1")).await };
    let error = runtime.expect("a runtime").block_on(opening).expect_err("too long");
    hides("an error", &format!("{error} {error:?}"));
}
