//! The thread of a connection: its runtime, and how long it lasts.

use std::future::Future;
use std::io;
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::park;
use crate::connect::Connector;
use crate::connection::Connection;
use crate::error::{ConnectError, Error, Result};

/// The name of the thread, and of those that look names up for it.
const NAME: &str = "amqp";
/// How long tasks may take to end after their connection; what is left then ends with the runtime.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(1);

/// A thread with a runtime, on which one connection lives.
///
/// # Drop
///
/// It ends when its connection has.
pub(super) struct Thread {
    runtime: Handle,
    id: ThreadId,
    /// Dropped when nobody waits here any more.
    _wanted: oneshot::Sender<()>,
    joined: JoinHandle<()>,
}

impl Thread {
    /// Begins a thread and opens a connection on it.
    pub(super) fn open(
        connector: Connector,
        user: String,
        password: String,
    ) -> Result<(Self, Connection), ConnectError> {
        let (tell, opened) = mpsc::sync_channel(1);
        let (wanted, unwanted) = oneshot::channel();
        let open = async move { connector.open(&user, &password).await };
        let run = move || run(open, &tell, unwanted);
        let joined = thread::Builder::new().name(NAME.to_owned()).spawn(run).map_err(no_thread)?;
        let (runtime, connection) = match opened.recv() {
            Ok(opened) => opened?,
            // It has panicked.
            Err(_) => return Err(no_thread(io::Error::other("the connection's thread has ended"))),
        };
        let id = joined.thread().id();
        Ok((Self { runtime, id, _wanted: wanted, joined }, connection))
    }

    /// What the future gives, or nothing at the deadline.
    pub(super) fn wait<F: Future>(
        &self,
        future: F,
        deadline: Option<Instant>,
    ) -> Result<Option<F::Output>> {
        if thread::current().id() == self.id {
            let text = "a connection's own thread cannot wait for the connection";
            return Err(Error::invalid(text));
        }
        // What it spawns, and its timers, are of the connection's runtime.
        let _entered = self.runtime.enter();
        Ok(park::wait(future, deadline))
    }

    /// Waits until it has ended.
    pub(super) fn join(self) {
        let Self { runtime, id, _wanted, joined } = self;
        drop((_wanted, runtime));
        if thread::current().id() != id {
            // Whatever has panicked there was told.
            let _ = joined.join();
        }
    }
}

fn no_thread(source: io::Error) -> ConnectError {
    ConnectError::NoThread { source }
}

/// The connection is told of once, and lives here until it has ended and is wanted no more.
fn run(
    open: impl Future<Output = Result<Connection, ConnectError>>,
    tell: &SyncSender<Result<(Handle, Connection), ConnectError>>,
    unwanted: oneshot::Receiver<()>,
) {
    let runtime = match Builder::new_current_thread().enable_all().thread_name(NAME).build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(tell.send(Err(no_thread(error)))),
    };
    runtime.block_on(async {
        let opened = open.await.map(|connection| (Handle::current(), connection));
        let events = opened.as_ref().ok().map(|(_, connection)| connection.events());
        if tell.send(opened).is_err() {
            return;
        }
        let Some(mut events) = events else { return };
        let _ = unwanted.await;
        while events.recv().await.is_some() {}
        let metrics = Handle::current().metrics();
        let deadline = Instant::now() + PATIENCE;
        while metrics.num_alive_tasks() > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    });
    // A look-up of a name may hang in the operating system; nobody waits for that.
    runtime.shutdown_background();
}
