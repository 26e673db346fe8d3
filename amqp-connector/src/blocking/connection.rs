//! The connection.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Channel;
use super::thread::Thread;
use crate::connect::Connector;
use crate::error::{CloseReason, ConnectError, ErrorKind, Result};

/// An open connection with a thread of its own, for programs without async. It may be shared by threads.
///
/// # Drop
///
/// When this, its channels and their consumers are gone, the connection is closed in the background, bounded by
/// [`Options::close_timeout`](crate::Options::close_timeout), and its thread ends. A program that ends meanwhile cuts that
/// short: [`close`](Self::close) waits for it.
pub struct Connection {
    // Before the thread: it is to be closed there.
    connection: crate::Connection,
    thread: Arc<Thread>,
}

impl Connection {
    /// Connects, authenticates and opens the virtual host; see [`Connection::open`](crate::Connection::open) for the URI.
    ///
    /// # Errors
    ///
    /// As there; `NoThread` if the operating system has no thread for it.
    pub fn open(uri: &str) -> Result<Self, ConnectError> {
        let (connector, user, password) = Connector::from_uri(uri)?;
        Self::open_with(&connector, &user, &password)
    }

    /// As [`open`](Self::open), by a connector, which may have options, TLS and a recovery.
    ///
    /// # Errors
    ///
    /// As [`Connector::open`]; `NoThread` if the operating system has no thread for it.
    pub fn open_with(
        connector: &Connector,
        user: &str,
        password: &str,
    ) -> Result<Self, ConnectError> {
        let (user, password) = (user.to_owned(), password.to_owned());
        let (thread, connection) = Thread::open(connector.clone(), user, password)?;
        Ok(Self { connection, thread: Arc::new(thread) })
    }

    /// The connection that async code would use: for what needs no waiting, and for [`wait`](Self::wait).
    pub fn handle(&self) -> &crate::Connection {
        &self.connection
    }

    /// Waits for any future, on this thread, and gives its result. It may spawn tasks and have timers, which run on the
    /// connection's thread, so that every async operation of this crate is within reach:
    ///
    /// ```no_run
    /// # use amqp_connector::blocking::Connection;
    /// use amqp_connector::Topology;
    ///
    /// # fn run(connection: Connection, topology: Topology) -> Result<(), Box<dyn std::error::Error>> {
    /// let report = connection.wait(topology.apply(connection.handle()))??;
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Invalid` on the connection's own thread: nothing of it was polled.
    pub fn wait<F: Future>(&self, future: F) -> Result<F::Output> {
        wait(&self.thread, future)
    }

    /// As [`wait`](Self::wait), for so long at most: `None` if it has not resolved by then. It is dropped then: what that
    /// means each future says (`# Cancel safety`). With no time at all it is polled once.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout<F: Future>(
        &self,
        timeout: Duration,
        future: F,
    ) -> Result<Option<F::Output>> {
        self.thread.wait(future, Instant::now().checked_add(timeout))
    }

    /// Opens a channel, and has it in confirm mode if the specification knows that: so a publish on it waits for the
    /// broker's word.
    ///
    /// # Errors
    ///
    /// As [`crate::Connection::channel_open`] and [`crate::Channel::confirm_select`], and as [`wait`](Self::wait).
    pub fn channel_open(&self) -> Result<Channel> {
        let channel = self.channel_open_unconfirmed()?;
        match self.wait(channel.handle().confirm_select())? {
            Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
            _ => Ok(channel),
        }
    }

    /// Opens a channel as it is: one for transactions, for instance. What is published on it is
    /// [`Accepted`](crate::Outcome::Accepted), which says nothing of what becomes of it.
    ///
    /// # Errors
    ///
    /// As [`crate::Connection::channel_open`], and as [`wait`](Self::wait).
    pub fn channel_open_unconfirmed(&self) -> Result<Channel> {
        let channel = self.wait(self.connection.channel_open())??;
        Ok(Channel::new(channel, self.thread.clone()))
    }

    /// Closes the connection, as [`crate::Connection::close`] does, and waits for it; gives the reason that ended it first.
    /// If no channel or consumer is left, its thread has ended, too.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); it is closed all the same.
    pub fn close(self) -> Result<Arc<CloseReason>> {
        let Self { connection, thread } = self;
        let reason = wait(&thread, connection.close())?;
        drop(connection);
        if let Some(thread) = Arc::into_inner(thread) {
            thread.join();
        }
        Ok(reason)
    }
}

/// What the future gives.
pub(super) fn wait<F: Future>(thread: &Thread, future: F) -> Result<F::Output> {
    let output = thread.wait(future, None)?;
    // Without a deadline there is one.
    output.ok_or_else(|| crate::Error::invalid("the wait has ended without a result"))
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}
