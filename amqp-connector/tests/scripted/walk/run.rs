//! One walk: a dialogue with the broker in memory through a [`Tap`], and what must hold at its end.
//!
//! Every future has a limit here: its own deadline, or the connection's end. One that has neither, since its peer lives
//! and merely does not say what it waits for, has to end with a close.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Once;
use std::time::Duration;

use amqp_connector::testing::broker::{MemoryBroker, Settings};
use amqp_connector::testing::{Leftovers, leftovers};
use amqp_connector::{
    CloseCause, ConnectError, Connection, Connector, Driver, Error, ErrorKind, Options,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::transport::{Plan, Seen, Tap};

/// What deadlines may be passed by, in virtual time.
const SLACK: Duration = Duration::from_secs(1);
pub(crate) const CONNECT: Duration = Duration::from_secs(30);
pub(crate) const CALL: Duration = Duration::from_secs(20);
pub(crate) const CLOSE: Duration = Duration::from_secs(5);
/// Longer than it takes to find a dead peer out, by heartbeats or by calls that stay unanswered.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why a dialogue broke off.
#[derive(Debug)]
pub(crate) enum Failed {
    Connect(ConnectError),
    Call(Error),
    /// A consumer or a body was over too early.
    Over,
}

impl From<ConnectError> for Failed {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

pub(crate) type Walked<T = ()> = Result<T, Failed>;

/// How things ended, and how often.
pub(crate) type Ends = BTreeMap<String, usize>;

pub(crate) struct Walk {
    pub(crate) broker: MemoryBroker,
    plan: Option<Plan>,
    connection: RefCell<Option<Connection>>,
    tasks: RefCell<Vec<(&'static str, JoinHandle<()>)>>,
    /// The public futures that were awaited.
    pub(crate) awaited: RefCell<BTreeSet<&'static str>>,
    ends: RefCell<Ends>,
    /// Something ended by a close only.
    outlasted: Cell<bool>,
    /// The connection outlives every fault, by coming back.
    pub(crate) comes_back: Cell<bool>,
}

impl Walk {
    pub(crate) fn connector(frame_max: u32) -> Connector {
        let mut options = Options::default();
        options.frame_max = frame_max;
        options.connect_timeout = CONNECT;
        options.call_timeout = CALL;
        options.close_timeout = CLOSE;
        options.source_timeout = Duration::from_secs(15);
        options.heartbeat = Some(Duration::from_secs(10));
        Connector::new().options(options)
    }

    /// Awaits something that has a deadline.
    pub(crate) async fn within<F: IntoFuture>(
        &self,
        name: &'static str,
        deadline: Duration,
        future: F,
    ) -> F::Output {
        self.awaited.borrow_mut().insert(name);
        match timeout(deadline + SLACK, future.into_future()).await {
            Ok(output) => output,
            Err(_) => panic!("{name} did not end by its deadline: {:?}", self.plan),
        }
    }

    /// Awaits something that has no deadline but the connection's end.
    pub(crate) async fn ends<F: IntoFuture>(&self, name: &'static str, future: F) -> F::Output {
        self.awaited.borrow_mut().insert(name);
        let mut future = pin!(future.into_future());
        if let Ok(output) = timeout(PATIENCE, future.as_mut()).await {
            return output;
        }
        let alive = self.comes_back.get() || self.plan.is_some_and(|plan| !plan.fault.is_fatal());
        assert!(alive, "{name} outlasts a dead connection: {:?}", self.plan);
        self.outlasted.set(true);
        self.close().await;
        match timeout(SLACK, future).await {
            Ok(output) => output,
            Err(_) => panic!("{name} does not end with its connection: {:?}", self.plan),
        }
    }

    /// Has a task watch something that ends with the connection at the latest.
    pub(crate) fn watch<F>(&self, name: &'static str, watching: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.awaited.borrow_mut().insert(name);
        self.tasks.borrow_mut().push((name, tokio::spawn(watching)));
    }

    /// Takes the connection in, and watches all that can be watched of it. Its driver is a task of this walk if it was
    /// handed out.
    pub(crate) fn connected(&self, connection: &Connection, driver: Option<Driver<Tap>>) {
        *self.connection.borrow_mut() = Some(connection.clone());
        if let Some(driver) = driver {
            self.watch("Driver", driver);
        }
        let (closed, mut events, mut blocked) =
            (connection.clone(), connection.events(), connection.blocked());
        self.watch("Connection::closed", async move {
            closed.closed().await;
        });
        self.watch("Events::recv", async move { while events.recv().await.is_some() {} });
        self.watch(
            "BlockedWatch::changed",
            async move { while blocked.changed().await.is_ok() {} },
        );
    }

    /// Notes how something ended.
    pub(crate) fn note(&self, what: &str, how: impl Debug) {
        let how = format!("{how:?}");
        let end = how.find(['(', ' ', '{']).unwrap_or(how.len());
        *self.ends.borrow_mut().entry(format!("{what} {}", &how[..end])).or_default() += 1;
    }

    async fn close(&self) {
        let connection = self.connection.borrow().clone();
        if let Some(connection) = connection {
            self.within("Connection::close", CLOSE, connection.close()).await;
        }
    }

    /// What must hold when the dialogue is over, however it ended.
    async fn judge(&self, result: Walked) {
        self.close().await;
        match &result {
            Ok(()) => {}
            Err(Failed::Connect(error)) => self.judge_connecting(error),
            Err(Failed::Call(error)) => self.judge_error(error),
            Err(Failed::Over) => self.note("consumer:", "Over"),
        }
        assert!(self.plan.is_some() || result.is_ok(), "{result:?} although nothing failed");
        for (name, task) in self.tasks.take() {
            match timeout(SLACK, task).await {
                Ok(ended) => ended.expect("no panic"),
                Err(_) => panic!("{name} does not end with its connection: {:?}", self.plan),
            }
        }
        drop(result);
        // A driver with a stuck transport has some time to tell the broker.
        self.await_no_tasks().await;
        if let Some(connection) = self.connection.take() {
            assert_eq!(leftovers(&connection), Leftovers::default(), "{:?}", self.plan);
            let reason = connection.close_reason().expect("it is closed");
            self.note("connection:", reason.cause());
            let broke = matches!(reason.cause(), CloseCause::ProtocolViolation);
            assert!(
                !broke || !self.is_honest(),
                "{reason} although no rule was broken: {:?}",
                self.plan
            );
        }
        assert!(self.broker.connections().is_empty(), "{:?}", self.plan);
    }

    fn is_honest(&self) -> bool {
        self.plan.is_none_or(|plan| plan.fault.is_honest())
    }

    fn judge_connecting(&self, error: &ConnectError) {
        self.note("connecting:", error);
        let silent = match error {
            ConnectError::Deadline { .. }
            | ConnectError::EndOfStream { .. }
            | ConnectError::Io { .. } => true,
            // So brokers end those whom they do not let in.
            ConnectError::CredentialsRefused { reason } => reason.is_none(),
            _ => false,
        };
        assert!(
            silent || !self.is_honest(),
            "{error} although no rule was broken: {:?}",
            self.plan
        );
    }

    fn judge_error(&self, error: &Error) {
        let kind = error.kind();
        self.note("call:", kind);
        let closed = matches!(kind, ErrorKind::ConnectionClosed | ErrorKind::ChannelClosed);
        assert!(!closed || error.close_reason().is_some(), "{error} has no reason");
        // What another octet than was sent makes of a message's properties.
        let unreadable = kind == ErrorKind::Unreadable && !self.is_honest();
        let expected =
            closed || unreadable || matches!(kind, ErrorKind::Timeout | ErrorKind::Stale);
        assert!(expected, "{kind:?} is no way to end for {:?}: {error}", self.plan);
    }

    /// Until neither the client's nor the broker's tasks are left: that of a dead link needs its deadline.
    async fn await_no_tasks(&self) {
        let metrics = tokio::runtime::Handle::current().metrics();
        for _ in 0..100 {
            if metrics.num_alive_tasks() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{} tasks are left: {:?}", metrics.num_alive_tasks(), self.plan);
    }
}

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Counts the panics of this thread, since tokio keeps those of a task nobody joins to itself.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with(|panics| panics.set(panics.get() + 1));
            before(info);
        }));
    });
}

/// What a walk has seen.
pub(crate) struct Report {
    pub(crate) seen: Seen,
    pub(crate) ends: Ends,
    pub(crate) awaited: BTreeSet<&'static str>,
    pub(crate) outlasted: bool,
}

/// Walks through a dialogue once.
pub(crate) fn run(dialogue: impl AsyncFnOnce(&Walk, Tap) -> Walked, plan: Option<Plan>) -> Report {
    count_panics();
    let panics = PANICS.with(Cell::get);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    let report = runtime.block_on(async {
        let broker = MemoryBroker::start_with(Settings::new().challenges(true));
        let (tap, seen) = Tap::new(broker.transport(), plan);
        let walk = Walk {
            broker,
            plan,
            connection: RefCell::default(),
            tasks: RefCell::default(),
            awaited: RefCell::default(),
            ends: RefCell::default(),
            outlasted: Cell::default(),
            comes_back: Cell::default(),
        };
        let result = dialogue(&walk, tap).await;
        walk.judge(result).await;
        let seen = *seen.lock().expect("no panic");
        let outlasted = walk.outlasted.get();
        Report { seen, ends: walk.ends.take(), awaited: walk.awaited.take(), outlasted }
    });
    assert_eq!(PANICS.with(Cell::get), panics, "a task has panicked: {plan:?}");
    report
}
