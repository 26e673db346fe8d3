//! The consumer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::wait;
use super::thread::Thread;
use crate::consumer::{Delivery, ShutdownReport};
use crate::error::Result;

/// A consumer of a queue; from [`Channel::basic_consume`](super::Channel::basic_consume). An iterator over deliveries, which
/// are settled by their own `ack`, `nack` and `reject`: these need no waiting.
///
/// The iterator ends when the consumer is over, for whatever reason; [`end`](crate::Consumer::end) of its
/// [`handle`](Self::handle) tells which. Its items are errors on the connection's own thread only.
///
/// # Drop
///
/// As [`crate::Consumer`]: it is cancelled, and what was not read goes back.
#[must_use = "dropping a consumer cancels it"]
pub struct Consumer {
    consumer: crate::Consumer,
    thread: Arc<Thread>,
}

impl Consumer {
    pub(super) fn new(consumer: crate::Consumer, thread: Arc<Thread>) -> Self {
        Self { consumer, thread }
    }

    /// The consumer that async code would use: its tag, and why it is over.
    pub fn handle(&self) -> &crate::Consumer {
        &self.consumer
    }

    /// As [`handle`](Self::handle), for [`Connection::wait`](super::Connection::wait).
    pub fn handle_mut(&mut self) -> &mut crate::Consumer {
        &mut self.consumer
    }

    /// Waits for the next delivery; `None` when the consumer is over.
    ///
    /// # Errors
    ///
    /// `Invalid` on the connection's own thread.
    pub fn recv(&mut self) -> Result<Option<Delivery>> {
        wait(&self.thread, self.consumer.recv())
    }

    /// Waits for the next delivery, for so long at most; without any time it takes what is there. `None` if nothing came,
    /// or the consumer is over: then its [`end`](crate::Consumer::end) says so. Nothing is lost.
    ///
    /// # Errors
    ///
    /// `Invalid` on the connection's own thread.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Delivery>> {
        let deadline = Instant::now().checked_add(timeout);
        Ok(self.thread.wait(self.consumer.recv(), deadline)?.flatten())
    }

    /// Cancels the consumer. What came before stays to be read, and then it is over.
    ///
    /// # Errors
    ///
    /// As [`cancel`](crate::Consumer::cancel), and `Invalid` on the connection's own thread.
    pub fn cancel(&mut self) -> Result<()> {
        wait(&self.thread, self.consumer.cancel())?
    }

    /// Cancels it, gives back what was not read, and waits until what was given out is settled; see
    /// [`shutdown`](crate::Consumer::shutdown).
    ///
    /// # Errors
    ///
    /// `Invalid` on the connection's own thread; it is cancelled all the same.
    pub fn shutdown(self, timeout: Duration) -> Result<ShutdownReport> {
        wait(&self.thread, self.consumer.shutdown(timeout))
    }
}

impl Iterator for Consumer {
    type Item = Result<Delivery>;

    fn next(&mut self) -> Option<Self::Item> {
        self.recv().transpose()
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.consumer.fmt(f)
    }
}
