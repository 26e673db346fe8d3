//! Mechanisms with challenges, of the connector's own and of a program's, and those that a broker at hand lacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amqp_connector::protocol::connection;
use amqp_connector::testing::Peer;
use amqp_connector::{
    Bytes, ConnectError, Connection, Mechanism, SaslError, SaslExchange, SaslMechanism, Step,
    UnexpectedChallenge,
};

use crate::handshake::{TIMEOUT, connect, connector};

/// Counts how often it was begun, and answers each challenge by it and the number of the exchange.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl SaslMechanism for Counting {
    fn name(&self) -> &str {
        "X-COUNTING"
    }

    fn begin(&self, user: &str, _: &str) -> Box<dyn SaslExchange> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Box::new(Counted { user: user.to_owned(), number })
    }
}

struct Counted {
    user: String,
    number: usize,
}

impl SaslExchange for Counted {
    fn initial(&mut self) -> Result<Bytes, SaslError> {
        if self.number > 2 { Err("used up".into()) } else { Ok(self.user.clone().into()) }
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        match challenge {
            b"large" => Ok(vec![b'x'; 10_000].into()),
            _ => Ok(format!("{}:{}", self.number, String::from_utf8_lossy(challenge)).into()),
        }
    }
}

/// Logs in by this mechanism, which the peer offers; the script begins after `connection.start-ok`.
async fn login(
    mechanism: Mechanism,
    script: impl AsyncFnOnce(&mut Peer, connection::StartOk),
) -> Result<Connection, ConnectError> {
    let (io, peer) = Peer::new();
    let mut peer = peer.mechanisms(mechanism.name().to_owned());
    let script = async {
        let start_ok = peer.greet().await;
        script(&mut peer, start_ok).await;
        peer
    };
    connect(connector().mechanisms([mechanism]), io, script).await
}

async fn ask(peer: &mut Peer, challenge: &'static [u8]) -> Bytes {
    peer.send(0, connection::Secure { challenge: challenge.into() }).await;
    peer.expect_on::<connection::SecureOk>(0).await.response
}

async fn welcome(peer: &mut Peer) {
    peer.send(0, connection::Tune { channel_max: 9, frame_max: 8192, heartbeat: 0 }).await;
    peer.expect_on::<connection::TuneOk>(0).await;
    peer.expect_on::<connection::Open>(0).await;
    peer.send(0, connection::OpenOk::default()).await;
}

fn is_unexpected(error: &ConnectError, name: &str) -> bool {
    matches!(error, ConnectError::Sasl { mechanism, source }
        if mechanism == name && source.downcast_ref() == Some(&UnexpectedChallenge))
}

#[tokio::test(start_paused = true)]
async fn a_demo_challenge_is_answered_by_the_password() {
    let script = async |peer: &mut Peer, start_ok: connection::StartOk| {
        assert_eq!(start_ok.mechanism, *"RABBIT-CR-DEMO");
        assert_eq!(&start_ok.response[..], b"guest");
        let answer = ask(peer, b"Please tell me your password").await;
        assert_eq!(&answer[..], b"My password is secret word");
        welcome(peer).await;
    };
    login(Mechanism::RabbitCrDemo, script).await.expect("connected");
}

#[tokio::test(start_paused = true)]
async fn external_and_anonymous_connect_without_user_and_password() {
    for mechanism in [Mechanism::External, Mechanism::Anonymous] {
        let name = mechanism.name().to_owned();
        let script = async |peer: &mut Peer, start_ok: connection::StartOk| {
            assert_eq!(start_ok.mechanism, *name);
            assert!(start_ok.response.is_empty(), "{start_ok:?}");
            welcome(peer).await;
        };
        login(mechanism.clone(), script).await.expect("connected");
    }
}

#[tokio::test(start_paused = true)]
async fn a_challenge_that_the_mechanism_does_not_have_gets_no_answer() {
    let all = [
        Mechanism::Plain,
        Mechanism::AmqPlain,
        Mechanism::External,
        Mechanism::Anonymous,
        Mechanism::RabbitCrDemo,
    ];
    for mechanism in all {
        let name = mechanism.name().to_owned();
        let script = async |peer: &mut Peer, _| {
            peer.send(0, connection::Secure { challenge: b"And now?"[..].into() }).await;
            peer.expect_end().await;
        };
        let error = login(mechanism, script).await.expect_err("no connection");
        assert!(is_unexpected(&error, &name), "{error:?}");
        assert!(error.to_string().contains(&name) && !error.is_transient(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_demo_server_that_asks_twice_is_told_once() {
    let script = async |peer: &mut Peer, _| {
        let question = b"Please tell me your password";
        ask(peer, question).await;
        peer.send(0, connection::Secure { challenge: question[..].into() }).await;
        peer.expect_end().await;
    };
    let error = login(Mechanism::RabbitCrDemo, script).await.expect_err("no connection");
    assert!(is_unexpected(&error, "RABBIT-CR-DEMO"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mechanism_of_ones_own_answers_any_number_of_challenges_anew_in_each_attempt() {
    let counting = Counting::default();
    for attempt in ["1", "2"] {
        let script = async |peer: &mut Peer, start_ok: connection::StartOk| {
            assert_eq!(start_ok.mechanism, *"X-COUNTING");
            assert_eq!(&start_ok.response[..], b"guest");
            assert_eq!(ask(peer, b"one").await, format!("{attempt}:one"));
            assert_eq!(ask(peer, b"").await, format!("{attempt}:"));
            welcome(peer).await;
        };
        login(Mechanism::custom(counting.clone()), script).await.expect("connected");
    }
    assert_eq!(counting.0.load(Ordering::Relaxed), 2, "begun once for each attempt");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_mechanism_of_ones_own_is_given_and_nothing_is_sent() {
    let (io, peer) = Peer::new();
    let mut peer = peer.mechanisms("X-COUNTING");
    let script = async {
        peer.expect_header().await;
        let start = peer.start();
        peer.send(0, start).await;
        peer.expect_end().await;
    };
    let used_up = Counting(Arc::new(AtomicUsize::new(2)));
    let connector = connector().mechanisms([Mechanism::custom(used_up)]);
    let error = connect(connector, io, script).await.expect_err("no connection");
    let ConnectError::Sasl { mechanism, source } = &error else { panic!("{error:?}") };
    assert_eq!((mechanism.as_str(), source.to_string().as_str()), ("X-COUNTING", "used up"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_larger_than_a_first_frame_is_refused_by_name() {
    let script = async |peer: &mut Peer, _| {
        peer.send(0, connection::Secure { challenge: b"large"[..].into() }).await;
        peer.expect_end().await;
    };
    let mechanism = Mechanism::custom(Counting::default());
    let error = login(mechanism, script).await.expect_err("no connection");
    let named = matches!(&error, ConnectError::TooLarge { method, .. } if *method == "connection.secure-ok");
    assert!(named, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn challenges_without_end_end_at_the_deadline() {
    let script = async |peer: &mut Peer, _| {
        for _ in 0..5 {
            ask(peer, b"more").await;
            peer.silence(TIMEOUT / 6).await;
        }
        peer.silence(TIMEOUT).await;
    };
    let mechanism = Mechanism::custom(Counting::default());
    let error = login(mechanism, script).await.expect_err("no connection");
    let in_time = matches!(error, ConnectError::Deadline { step: Step::Authentication });
    assert!(in_time, "{error:?}");
}

#[test]
fn what_is_behind_a_mechanism_is_not_shown() {
    let shown = format!("{:?}", Mechanism::custom(Counting::default()));
    assert_eq!(shown, "X-COUNTING");
}
