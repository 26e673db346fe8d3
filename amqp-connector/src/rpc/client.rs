//! The calling side as the user sees it: how a client is opened, and how it calls.
//!
//! A call is a future of the user's task: it publishes on the client's channel and waits for its place in the table. What
//! comes back is taken in by the client's task, in `receiving`.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use amqp_types::{InvalidShortStr, ShortStr};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::calls::{Answer, Calls, DroppedReplies, Place};
use super::receiving::{Phase, Receiving, open_channel};
use super::{CallError, Reply, Request};
use crate::channel::Channel;
use crate::connection::Connection;
use crate::deadline::until;
use crate::error::{ErrorKind, Result};
use crate::outcome::{Outcome, UnknownReason};
use crate::publish::{BasicPublish, Confirmation};
use crate::turn::unit;
use crate::typed::{BodyCodec, Raw};

/// How long a reply is waited for, where nobody says.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where a [`Client`] has its replies sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyBy {
    /// By direct reply-to where the broker tells that it has it, and by a queue elsewhere.
    #[default]
    Best,
    /// By RabbitMQ's direct reply-to (`amq.rabbitmq.reply-to`): without a queue, which is quicker.
    Direct,
    /// By a queue of the client's own, exclusive to its connection, which every broker has.
    Queue,
}

/// How a [`Client`] is to be; see [`Client::open_with`].
#[derive(Clone, Debug)]
#[must_use = "a client is opened by `Client::open_with`"]
pub struct ClientOptions {
    pub(super) reply_by: ReplyBy,
    timeout: Duration,
    expire: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { reply_by: ReplyBy::default(), timeout: TIMEOUT, expire: true }
    }
}

impl ClientOptions {
    /// Replies by the best way that the broker has, within 30 seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where replies are sent to.
    pub fn reply_by(mut self, reply_by: ReplyBy) -> Self {
        self.reply_by = reply_by;
        self
    }

    /// How long a call waits for its reply, being sent included, where [`Request::within`] does not say. Default 30 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a request expires in its queue when nobody waits for the reply any more, so that it is not served in vain.
    /// Default true. A queue with a dead-letter exchange gets to see those that have.
    pub fn expire(mut self, expire: bool) -> Self {
        self.expire = expire;
        self
    }
}

/// The side that calls: any number of calls in flight at once, on one channel of its own. Clones are handles of the same
/// client, and may be used from any task.
///
/// Each call ends: by its reply, by the server's error, because its request came back or was refused, because the client's
/// channel or connection was lost, or by its deadline; see [`CallError`]. Requests are published with the flag `mandatory`,
/// and with confirms where the specification has them; one that no queue takes fails its own call at once. A request to an
/// exchange that does not exist costs the channel, by the rules of AMQP: then the calls in flight are
/// [`Interrupted`](CallError::Interrupted), and the client opens its channel anew and goes on. So it does when its connection
/// comes back from a loss ([`Recovery`](crate::Recovery)); what is called meanwhile waits for that, within its deadline.
///
/// A reply belongs to a call by its correlation id. Others, of calls that are over or of nobody's, are dropped and
/// [counted](Self::dropped_replies).
///
/// ```no_run
/// # async fn run(connection: amqp_connector::Connection) -> Result<(), Box<dyn std::error::Error>> {
/// use amqp_connector::rpc::Client;
/// use amqp_connector::typed::Text;
///
/// let client = Client::open(&connection).await?.codec(Text);
/// let loud: String = client.call("shout", &"hello".to_owned()).await?;
/// # drop(loud);
/// # Ok(()) }
/// ```
///
/// # Drop
///
/// When the last handle is gone, and no call is in flight, its channel is closed in the background, and its queue deleted, if
/// it has one. Until then it keeps the connection open, like a channel.
pub struct Client<C = Raw> {
    core: Arc<Core>,
    codec: C,
}

struct Core {
    channel: Channel,
    calls: Arc<Calls>,
    phase: watch::Receiver<Phase>,
    options: ClientOptions,
    task: AbortHandle,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// A client of octets, by the best way that there is: see [`ReplyBy::Best`].
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    ///
    /// # Cancel safety
    ///
    /// As [`open_with`](Self::open_with).
    #[track_caller]
    pub fn open(connection: &Connection) -> impl Future<Output = Result<Self>> + Send + use<> {
        Self::open_with(connection, ClientOptions::new())
    }

    /// A client of octets, which is as the options say.
    ///
    /// # Errors
    ///
    /// As [`Connection::channel_open`], [`Channel::queue_declare`] and [`Channel::basic_consume`]; the broker closes the
    /// channel if it has no direct reply-to, and that is asked for. `Invalid` if it is polled where there is no tokio
    /// runtime for the client's task.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the channel is closed again, and the queue deleted.
    #[track_caller]
    pub fn open_with(
        connection: &Connection,
        options: ClientOptions,
    ) -> impl Future<Output = Result<Self>> + Send + use<> {
        let connection = connection.clone();
        async move {
            let channel = open_channel(&connection).await?;
            let calls = Arc::new(Calls::new());
            let by = options.reply_by;
            let started = Receiving::start(connection, channel.clone(), calls.clone(), by).await?;
            let (phase, task) = started;
            let core = Arc::new(Core { channel, calls, phase, options, task });
            Ok(Self { core, codec: Raw })
        }
    }
}

impl<C> Client<C> {
    /// The same client, whose calls are by this codec. Handles of several codecs may be of one client.
    pub fn codec<D>(self, codec: D) -> Client<D> {
        Client { core: self.core, codec }
    }

    /// Sends a value to the queue of this name, and waits for the server's.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    ///
    /// # Cancel safety
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn call<K, Q, R>(
        &self,
        queue: K,
        request: &Q,
    ) -> impl Future<Output = Result<R, CallError>> + Send + use<'_, K, Q, R, C>
    where
        K: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
        C: BodyCodec<Q> + BodyCodec<R> + Sync,
    {
        let publish = BasicPublish::encoded::<_, _, Q, C>("", queue, &self.codec, request);
        self.decoded(publish.map(Request::new).map_err(CallError::Encode))
    }

    /// Sends a request of one's own making, and waits for the server's value.
    /// [`BasicPublish::encoded`] makes one of a value.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    ///
    /// # Cancel safety
    ///
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn call_with<R>(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<R, CallError>> + Send + use<'_, C, R>
    where
        C: BodyCodec<R> + Sync,
    {
        self.decoded(Ok(request))
    }

    #[track_caller]
    fn decoded<R>(
        &self,
        request: Result<Request, CallError>,
    ) -> impl Future<Output = Result<R, CallError>> + Send + use<'_, C, R>
    where
        C: BodyCodec<R> + Sync,
    {
        let sent = request.map(|request| self.request(request));
        async move {
            let reply = match sent {
                Ok(sent) => sent.await?,
                Err(error) => {
                    unit().await;
                    return Err(error);
                }
            };
            reply
                .decode(&self.codec)
                .map_err(|error| CallError::Undecodable { error, reply: Box::new(reply) })
        }
    }

    /// Sends a request of one's own making, and waits for the reply as it is.
    ///
    /// # Errors
    ///
    /// See [`CallError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the request may have been sent and be served; its reply is dropped when it comes.
    #[track_caller]
    pub fn request(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send + use<C> {
        let (core, place) = (self.core.clone(), Location::caller());
        async move { core.request(request, place).await }
    }

    /// How many calls wait for their reply.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.core.calls.len()
    }

    /// How many replies belonged to no call.
    #[must_use]
    pub fn dropped_replies(&self) -> DroppedReplies {
        self.core.calls.dropped()
    }

    /// Ends the client at once, all its handles: calls in flight fail, and later ones, too. Its channel is closed, and its
    /// queue deleted.
    ///
    /// # Errors
    ///
    /// As [`Channel::close`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is done until it is polled. Dropped after that, the client is closed all the same.
    pub async fn close(&self) -> Result<()> {
        self.core.calls.end(None);
        // The task's consumer goes with it.
        self.core.task.abort();
        self.core.channel.close().await
    }
}

impl Core {
    async fn request(
        &self,
        request: Request,
        place: &'static Location<'static>,
    ) -> Result<Reply, CallError> {
        let timeout = request.timeout.unwrap_or(self.options.timeout);
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + super::FAR);
        let sent = AtomicBool::new(false);
        let shared = self.channel.handle().shared();
        let working = self.attempts(request, deadline, place, &sent);
        until(shared, deadline, working).await.unwrap_or_else(|| {
            Err(CallError::Timeout { timeout, sent: sent.load(Ordering::Relaxed) })
        })
    }

    /// Calls until there is an answer, or a reason to give up. What was not sent may be sent anew without harm.
    async fn attempts(
        &self,
        request: Request,
        deadline: Instant,
        place: &'static Location<'static>,
        sent: &AtomicBool,
    ) -> Answer {
        loop {
            let ended = self.attempt(request.publish.clone(), deadline, place, sent).await;
            let again = match &ended {
                Err(CallError::NotSent(error)) => matches!(
                    error.kind(),
                    ErrorKind::ChannelClosed | ErrorKind::Recovering | ErrorKind::Stale
                ),
                Err(CallError::Interrupted(_)) => request.repeated,
                _ => false,
            };
            if !again || self.phase.borrow().is_over() {
                return ended;
            }
            // The client's task learns of the loss in its turn.
            tokio::task::yield_now().await;
        }
    }

    async fn attempt(
        &self,
        publish: BasicPublish,
        deadline: Instant,
        place: &'static Location<'static>,
        sent: &AtomicBool,
    ) -> Answer {
        let address = self.address().await?;
        let (call, answer) = self.calls.begin();
        let publish = self.prepared(publish, &call, address, deadline);
        let mut publishing = self.channel.basic_publish(publish).at(place);
        let accepted = poll_fn(|cx| {
            // One that waits for a recovery is sent in the incarnation after it.
            let epoch = self.channel.epoch();
            Pin::new(&mut publishing).poll(cx).map_ok(|confirmation| (epoch, confirmation))
        });
        let (epoch, confirmation) = accepted.await.map_err(CallError::NotSent)?;
        sent.store(true, Ordering::Relaxed);
        call.sent(epoch)?;
        Ending { answer, confirmation: Some(confirmation) }.await
    }

    /// Waits until the client has an address for replies, and gives it.
    async fn address(&self) -> Result<ShortStr, CallError> {
        let mut phase = self.phase.clone();
        loop {
            match &*phase.borrow_and_update() {
                Phase::Ready(address) => return Ok(address.clone()),
                Phase::Over(reason) => return Err(CallError::Closed(reason.clone())),
                Phase::Restoring => {}
            }
            if phase.changed().await.is_err() {
                // Its task is gone: the client was closed, or the runtime has ended.
                return Err(CallError::Closed(self.channel.close_reason()));
            }
        }
    }

    fn prepared(
        &self,
        publish: BasicPublish,
        call: &Place,
        address: ShortStr,
        deadline: Instant,
    ) -> BasicPublish {
        let publish = publish.reply_to(address).correlation_id(&call.id).mandatory(true);
        let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
        // Beyond seven weeks it does not expire.
        match u32::try_from(left) {
            Ok(left) if self.options.expire => {
                publish.expiration(Duration::from_millis(left.into()))
            }
            _ => publish,
        }
    }
}

/// The end of a call that was sent: its answer, or the broker's word that nobody has it.
struct Ending {
    answer: oneshot::Receiver<Answer>,
    /// Until the broker has taken the request.
    confirmation: Option<Confirmation>,
}

impl Future for Ending {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        if let Poll::Ready(answer) = Pin::new(&mut self.answer).poll(cx) {
            // It has gone without one only if it has no place, since the client is over.
            return Poll::Ready(answer.unwrap_or(Err(CallError::Interrupted(None))));
        }
        let Some(confirmation) = &mut self.confirmation else { return Poll::Pending };
        let Poll::Ready(outcome) = Pin::new(confirmation).poll(cx) else { return Poll::Pending };
        self.confirmation = None;
        match outcome {
            Outcome::Returned(returned) => Poll::Ready(Err(CallError::Unroutable(returned))),
            Outcome::Nacked => Poll::Ready(Err(CallError::Nacked)),
            Outcome::Unknown(UnknownReason::Closed(reason)) => {
                Poll::Ready(Err(CallError::Interrupted(Some(reason))))
            }
            // A message that came back and could be this one is known by its correlation id, by the client's task.
            _ => Poll::Pending,
        }
    }
}

impl<C: Clone> Clone for Client<C> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), codec: self.codec.clone() }
    }
}

impl<C> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("channel", &self.core.channel.id())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
