//! One broker test: its runtime, its port, its names, and the check at its end.
//!
//! The order of things matters. The body runs on a runtime of the test's own; when it returns, the
//! fixture looks again and again, for a short while, until nothing is left (closing takes a moment on
//! the broker); then the runtime ends, and only then the port goes to the next test.

use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use amqp_connector::{Connection, Connector};
use tokio::runtime::Runtime;

use crate::broker::{Broker, EvalError};
use crate::faults::Nodes;
use crate::lanes::Lanes;
use crate::leaks::{Leaks, Traces};
use crate::outcome::Outcome;

/// How long what a test has let go of may take to be gone. RabbitMQ ends what does not log in after 10 seconds.
const GRACE: Duration = Duration::from_secs(6);
/// The same where something is left on purpose.
const SHORT_GRACE: Duration = Duration::from_millis(300);
/// How long the runtime may take to end; only a test that failed needs it.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Held for reading by each test, and for writing by one that must be alone.
static CROWD: RwLock<()> = RwLock::new(());

/// Runs a test against the broker; see the crate's words.
///
/// # Panics
///
/// That is: the test fails. When there is no broker, when the body panics or returns an error, and when it
/// leaves anything behind; the message lists that.
#[track_caller]
pub fn broker_test<T: Outcome>(body: impl AsyncFnOnce(&Fixture) -> T) {
    let _shared = CROWD.read().unwrap_or_else(PoisonError::into_inner);
    judge(&run(&here(Location::caller()), GRACE, body));
}

/// Runs a test that changes what all others see, such as the broker's memory limit: no other test of this
/// program runs meanwhile.
///
/// # Panics
///
/// As [`broker_test`].
#[track_caller]
pub fn broker_test_alone<T: Outcome>(body: impl AsyncFnOnce(&Fixture) -> T) {
    let _alone = CROWD.write().unwrap_or_else(PoisonError::into_inner);
    judge(&run(&here(Location::caller()), GRACE, body));
}

/// Runs a test with so many nodes of its own, as a cluster if there are several, which it may kill; the fixture is of the
/// first of them. What is left on that fails the test as in [`broker_test`].
///
/// # Panics
///
/// As [`broker_test`], and when nobody lends nodes.
#[track_caller]
pub fn broker_test_with<T: Outcome>(nodes: usize, body: impl AsyncFnOnce(&Fixture, &Nodes) -> T) {
    // The machine has work enough with one broker more at a time.
    static ONE: Mutex<()> = Mutex::new(());
    let name = here(Location::caller());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let nodes = borrow(nodes);
    let Some(first) = nodes.all().first() else { return };
    let lanes = Lanes::new(&[first.broker().port()]);
    judge(&run_on(first.broker(), &lanes, &name, GRACE, async |t| body(t, &nodes).await));
}

#[allow(clippy::panic)] // A test without its nodes is over.
fn borrow(count: usize) -> Nodes {
    Nodes::borrow(count).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a body as [`broker_test`] does and returns what it left, for tests of the check itself. Whatever
/// was left on the broker is cleared away.
///
/// # Panics
///
/// When there is no broker, and when the body panics.
#[track_caller]
pub fn leaks_of<T: Outcome>(body: impl AsyncFnOnce(&Fixture) -> T) -> Leaks {
    let _shared = CROWD.read().unwrap_or_else(PoisonError::into_inner);
    run(&here(Location::caller()), SHORT_GRACE, body)
}

/// What one test is given.
#[derive(Debug)]
pub struct Fixture {
    broker: Broker,
    port: u16,
    prefix: String,
}

impl Fixture {
    /// A name for a queue, an exchange or anything else on the broker that no other test has.
    pub fn name(&self, word: &str) -> String {
        format!("{}{word}", self.prefix)
    }

    /// The host of the broker.
    pub fn host(&self) -> &str {
        self.broker.host()
    }

    /// The port to connect to. It is this test's own: what is left on it is a leak of this test.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The broker's URI, with this test's port.
    pub fn url(&self) -> String {
        self.broker.url(self.port)
    }

    /// A connector for this test's port, with the test's name as the connection's.
    pub fn connector(&self) -> Connector {
        Connector::new()
            .host(self.host())
            .port(self.port)
            .connection_name(self.prefix.trim_end_matches('.'))
    }

    /// A connection of this test's own, as guest. Close it or drop it: what is left of it fails the test.
    ///
    /// # Panics
    ///
    /// If there is none to be had, with the reason.
    pub async fn connect(&self) -> Connection {
        self.connect_as(&self.connector()).await
    }

    /// As [`Fixture::connect`], by a connector that the test has changed.
    ///
    /// # Panics
    ///
    /// As [`Fixture::connect`].
    #[allow(clippy::panic)] // A test without its connection is over.
    pub async fn connect_as(&self, connector: &Connector) -> Connection {
        let connected = async { connector.connect().await?.authenticate("guest", "guest").await };
        connected.await.unwrap_or_else(|error| panic!("connecting to {}: {error}", self.url()))
    }

    /// The broker, to ask it or to change it from outside. Its functions block; see [`Fixture::eval`].
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Evaluates an Erlang expression in the broker, without blocking; see [`Broker::eval`].
    ///
    /// # Errors
    ///
    /// As [`Broker::eval`].
    pub async fn eval(&self, expression: &str) -> Result<String, EvalError> {
        self.broker.eval_async(expression).await
    }

    /// Runs a command of rabbitmqctl, without blocking; see [`Broker::ctl`].
    ///
    /// # Errors
    ///
    /// As [`Broker::ctl`].
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String, EvalError> {
        self.broker.ctl_async(arguments).await
    }

    /// Has the broker close all connections of this test, as an administrator may.
    ///
    /// # Errors
    ///
    /// As [`Broker::eval`].
    pub async fn close_connections(&self, reason: &str) -> Result<(), EvalError> {
        let port = self.port;
        self.eval(&format!(
            "[rabbit_networking:close_connection(P, {reason:?}) \
             || {{P, I}} <- ets:tab2list(connection_created), proplists:get_value(port, I) =:= {port}], \"\""
        ))
        .await?;
        Ok(())
    }
}

/// Runs the body and looks for what it left. A body that panics does so again here, after all is
/// cleared away.
fn run<T: Outcome>(name: &str, grace: Duration, body: impl AsyncFnOnce(&Fixture) -> T) -> Leaks {
    let (broker, lanes) = shared();
    run_on(broker, lanes, name, grace, body)
}

fn run_on<T: Outcome>(
    broker: &Broker,
    lanes: &Lanes,
    name: &str,
    grace: Duration,
    body: impl AsyncFnOnce(&Fixture) -> T,
) -> Leaks {
    let lane = lanes.take();
    let fixture = Fixture { broker: broker.clone(), port: lane.port(), prefix: prefix(name) };
    let traces = Traces { broker, port: lane.port(), prefix: &fixture.prefix };
    let runtime = runtime();
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body(&fixture)).judge()));
    let leaks = match ended {
        Ok(()) => await_nothing_left(&runtime, traces, grace),
        Err(_) => Leaks::default(),
    };
    if ended.is_err() || !leaks.is_empty() {
        // A failed test's tasks and sockets end with its runtime.
        runtime.shutdown_timeout(SHUTDOWN);
        if let Err(error) = traces.clear() {
            eprintln!("clearing away after {name}: {error}");
        }
        let after = self::runtime();
        let _ = await_nothing_left(&after, traces, grace);
    }
    drop(lane);
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
    leaks
}

fn await_nothing_left(runtime: &Runtime, traces: Traces<'_>, grace: Duration) -> Leaks {
    let deadline = Instant::now() + grace;
    loop {
        let tasks = runtime.metrics().num_alive_tasks();
        let leaks = traces.find(tasks);
        if leaks.is_empty() || Instant::now() > deadline {
            return leaks;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

// The two below fail the test: there is nobody to hand an error to.
#[allow(clippy::panic)]
#[track_caller]
fn judge(leaks: &Leaks) {
    assert!(leaks.is_empty(), "{leaks}");
}

#[allow(clippy::panic)]
fn shared() -> (&'static Broker, &'static Lanes) {
    static SHARED: OnceLock<Result<(Broker, Lanes), String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        Broker::from_env().map(|broker| {
            let lanes = Lanes::new(broker.lanes());
            (broker, lanes)
        })
    });
    match shared {
        Ok((broker, lanes)) => (broker, lanes),
        Err(error) => panic!("{error}"),
    }
}

#[allow(clippy::panic)]
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no tokio runtime: {error}"))
}

/// The name of the test that runs here: libtest names its threads so. With `--test-threads=1` there is
/// no such thread, and the place in the source serves.
fn here(caller: &Location<'_>) -> String {
    let thread = std::thread::current();
    match thread.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => format!("{}-{}", caller.file(), caller.line()),
    }
}

/// What all names of a test begin with: readable in `list_queues`, and unique over runs and programs.
fn prefix(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '.' })
        .take(100)
        .collect();
    format!("test.{}.{count}.{name}.", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_unique_and_fit_a_short_string() {
        let (one, two) = (prefix("a::b"), prefix("a::b"));
        assert_ne!(one, two);
        assert!(one.ends_with(".a..b."), "{one}");
        assert!(prefix(&"x".repeat(300)).len() < 150);
    }
}
