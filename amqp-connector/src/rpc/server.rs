//! The answering side as the user sees it: what it is to serve, its handle, and its end.
//!
//! Requests are taken by the server's task, in `serving`, and each is served in a task of its own, in `answering`.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use amqp_types::protocol::basic;
use amqp_types::{InvalidShortStr, ShortStr};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Failure;
use super::answering::{Answering, Counts};
use super::receiving::open_channel;
use super::serving::Serving;
use crate::channel::{BasicConsume, Channel, Prefetch};
use crate::connection::Connection;
use crate::consumer::ShutdownReport;
use crate::deadline::until;
use crate::error::{Error, Result};
use crate::options::Unsettled;
use crate::outcome::ConsumerEnd;
use crate::typed::BodyCodec;

/// What a shutdown has beyond its deadline, for its task to tell how far it came.
const GRACE: Duration = Duration::from_secs(1);

/// What a [`Server`] does with a request that has no `reply-to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WithoutReplyTo {
    /// It is served, and what the handler returns is dropped.
    #[default]
    Serve,
    /// It is rejected without requeue, so that its queue dead-letters it if it has a dead-letter exchange.
    Reject,
}

/// What a [`Server`] is to serve; see [`Server::start`].
#[derive(Clone, Debug)]
#[must_use = "a server is started by `Server::start`"]
pub struct ServerOptions {
    consume: BasicConsume,
    pub(super) concurrency: u16,
    pub(super) without_reply_to: WithoutReplyTo,
}

impl ServerOptions {
    /// Requests from this queue, which has to exist; at most `concurrency` of them at once, which is at least one.
    pub fn new<Q>(queue: Q, concurrency: u16) -> Self
    where
        Q: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let consume = BasicConsume::new(queue, Prefetch::Count(concurrency));
        let consume = consume.unsettled(Unsettled::Requeue);
        Self { consume, concurrency, without_reply_to: WithoutReplyTo::default() }
    }

    /// The tag of the server's consumer; otherwise one of this library's choice.
    pub fn tag<T>(mut self, tag: T) -> Self
    where
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.consume = self.consume.tag(tag);
        self
    }

    /// What becomes of a request that wants no reply; otherwise it is served.
    pub fn without_reply_to(mut self, policy: WithoutReplyTo) -> Self {
        self.without_reply_to = policy;
        self
    }
}

/// A request as a handler gets it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received<T> {
    /// What its body says.
    pub value: T,
    /// Its properties.
    pub properties: basic::Properties,
    /// The exchange it was published to.
    pub exchange: ShortStr,
    /// The routing key it was published with.
    pub routing_key: ShortStr,
    /// Whether the broker has delivered it before, to anybody: it may have been served, too.
    pub redelivered: bool,
}

/// What a server did, and how it ended; see [`Server::shutdown`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServerReport {
    /// Requests that were answered by what their handler returned.
    pub answered: u64,
    /// Requests that were answered by an error: the handler's, a panic, or since a codec could make nothing of them.
    pub failed: u64,
    /// Requests without `reply-to` that were served.
    pub one_way: u64,
    /// Requests that were rejected: without `reply-to`, where such are not served or that failed, and those whose `reply-to`
    /// is one of RabbitMQ's own addresses that it cannot have made.
    pub rejected: u64,
    /// Replies that nobody has got: their queue is gone, or did not take them. Their requests count as above, too.
    pub undelivered: u64,
    /// Requests that were not served in time: they went back to their queue.
    pub aborted: usize,
    /// What became of the consumer's deliveries.
    pub consumer: ShutdownReport,
}

impl ServerReport {
    /// Whether all requests that were taken were served in time, and all deliveries settled.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.aborted == 0 && self.consumer.is_complete()
    }
}

/// The side that answers: takes requests from a queue and has a handler serve them, up to a number of them at once.
///
/// **At least once.** A request is acknowledged when its reply was confirmed by the broker (or handed over, where the
/// specification has no confirms). Whatever ends the server before that, the request goes back to its queue and is served
/// again: a handler should bear that. The reply's own way has no such promise: who calls has a deadline.
///
/// A handler's error, and a panic of it, are answered as errors, and so is a request that the codec can make nothing of;
/// the server goes on. A request whose reply the broker refuses is rejected without requeue. How errors go over the wire,
/// [the module](super) says.
///
/// Whoever may publish to the queue names the queue that the reply goes to, by `reply-to`: it is published to the default
/// exchange with the server's own rights. RabbitMQ ends the connection of whoever publishes to a garbled address of direct
/// reply-to (541): a request with one that no broker makes is rejected unserved, but a forged one that looks right may get
/// through. Where those who ask are not trusted, let a server have its connection for itself.
///
/// A server whose connection comes back from a loss ([`Recovery`](crate::Recovery)) goes on. It ends with its connection
/// otherwise, and when its queue is deleted: [`ended`](Self::ended) tells.
///
/// ```no_run
/// # async fn run(connection: amqp_connector::Connection) -> Result<(), Box<dyn std::error::Error>> {
/// use amqp_connector::rpc::{Failure, Received, Server, ServerOptions};
/// use amqp_connector::typed::Text;
/// use std::time::Duration;
///
/// let options = ServerOptions::new("shout", 10);
/// let server = Server::start(&connection, options, Text, |request: Received<String>| async move {
///     match request.value.is_empty() {
///         true => Err(Failure::new("nothing to shout").code("empty")),
///         false => Ok(request.value.to_uppercase()),
///     }
/// });
/// let server = server.await?;
/// // .. until the program is to end:
/// let report = server.shutdown(Duration::from_secs(10)).await;
/// println!("{} requests answered", report.answered);
/// # Ok(()) }
/// ```
///
/// # Drop
///
/// Ends it at once: handlers are cancelled, and what was not answered goes back to its queue. Its channels are closed in the
/// background.
#[must_use = "dropping a server ends it"]
pub struct Server {
    channel: Channel,
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<Instant>>,
    report: oneshot::Receiver<ServerReport>,
    end: watch::Receiver<Option<ConsumerEnd>>,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts a server, which reads requests and writes replies by this codec. It has two channels of its own, so that a
    /// reply that costs its channel costs no request.
    ///
    /// # Errors
    ///
    /// As [`Connection::channel_open`] and [`Channel::basic_consume`]. `Invalid` for a concurrency of zero, and if it is
    /// polled where there is no tokio runtime for the server's tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was served, and what came goes back to its queue.
    #[track_caller]
    pub fn start<Q, R, E, C, F, W>(
        connection: &Connection,
        options: ServerOptions,
        codec: C,
        handler: F,
    ) -> impl Future<Output = Result<Self>> + Send + use<Q, R, E, C, F, W>
    where
        Q: 'static,
        R: 'static,
        E: Into<Failure> + 'static,
        C: BodyCodec<Q> + BodyCodec<R> + Send + Sync + 'static,
        F: Fn(Received<Q>) -> W + Send + Sync + 'static,
        W: Future<Output = Result<R, E>> + Send + 'static,
    {
        let connection = connection.clone();
        async move {
            let runtime = Handle::try_current()
                .map_err(|_| Error::invalid("a server needs a tokio runtime for its tasks"))?;
            let replies = open_channel(&connection).await?;
            let channel = connection.channel_open().await?;
            let consumer = channel.basic_consume(options.consume.clone()).await?;
            let counts = Arc::new(Counts::default());
            let answering = Answering::new(replies, codec, handler, &options, counts.clone());
            let (stop, stopped) = oneshot::channel();
            let (reports, report) = oneshot::channel();
            let (ends, end) = watch::channel(None);
            let serving =
                Serving { channel: channel.clone(), stopped, ends, counts: counts.clone() };
            let task = runtime.spawn(async move {
                drop(reports.send(serving.run(consumer, answering, options.concurrency).await));
            });
            let (stop, task) = (Some(stop), task.abort_handle());
            Ok(Self { channel, counts, stop, report, end, task })
        }
    }

    /// Waits until the server takes no more requests, and tells why.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn ended(&self) -> ConsumerEnd {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await;
        let ended = ended.ok().and_then(|end| end.clone());
        // Its task is gone with its runtime.
        ended.unwrap_or(ConsumerEnd::Dropped)
    }

    /// Ends the server in order, within `timeout`: it takes no more requests, what it has not begun goes back to the queue,
    /// what is being served is served and answered. What has not ended by then is cancelled, and goes back to the queue, too.
    /// Tells how far it came.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the server is dropped.
    pub async fn shutdown(mut self, timeout: Duration) -> ServerReport {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + super::FAR);
        if let Some(stop) = self.stop.take() {
            // Its task may be over already.
            let _ = stop.send(deadline);
        }
        let shared = self.channel.handle().shared().clone();
        // Its task keeps the deadline, but it may be one that nobody polls.
        let report = until(&shared, deadline + GRACE, &mut self.report).await;
        report.and_then(Result::ok).unwrap_or_else(|| self.counts.report())
    }

    /// What it did so far.
    #[must_use]
    pub fn report(&self) -> ServerReport {
        self.counts.report()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("channel", &self.channel.id())
            .field("end", &*self.end.borrow())
            .finish_non_exhaustive()
    }
}
