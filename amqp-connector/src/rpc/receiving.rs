//! The task of a client: takes replies and returned requests in, notices losses, and opens the channel anew after one.
//!
//! It ends with its client, or with the connection, and then ends all calls.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use amqp_types::ShortStr;
use amqp_types::protocol::queue;
use futures_core::Stream as _;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::address::DIRECT;
use super::calls::Calls;
use super::ids::random;
use super::{Reply, ReplyBy};
use crate::channel::{BasicConsume, Channel, Prefetch, QueueDeclare};
use crate::connection::Connection;
use crate::consumer::Consumer;
use crate::deadline::until;
use crate::error::{CloseReason, Error, ErrorKind, Result};
use crate::outcome::{ConsumerEnd, Event, RecoveryEvent};
use crate::publish::Returns;
use crate::watch::Events;

/// The first pause between attempts to open the channel anew, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Whether calls may go.
#[derive(Debug)]
pub(super) enum Phase {
    /// Replies come to this address.
    Ready(ShortStr),
    /// The channel is lost and comes back.
    Restoring,
    /// Nothing comes back.
    Over(Option<Arc<CloseReason>>),
}

impl Phase {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over(_))
    }
}

/// A channel for requests or replies, with confirms where there are any.
pub(super) async fn open_channel(connection: &Connection) -> Result<Channel> {
    let channel = connection.channel_open().await?;
    match channel.confirm_select().await {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
        _ => Ok(channel),
    }
}

/// The client's task.
///
/// # Drop
///
/// Ends all calls.
pub(super) struct Receiving {
    connection: Connection,
    channel: Channel,
    calls: Arc<Calls>,
    phase: watch::Sender<Phase>,
    direct: bool,
}

/// Why it does not read on as it did.
enum Halt {
    /// The connection has ended, or its user has closed the channel.
    Over(Option<Arc<CloseReason>>),
    /// The consumer has ended, and there can be another one.
    Lost(Option<Arc<CloseReason>>),
}

impl Receiving {
    /// Consumes replies, and starts the task that takes them in.
    pub(super) async fn start(
        connection: Connection,
        channel: Channel,
        calls: Arc<Calls>,
        reply_by: ReplyBy,
    ) -> Result<(watch::Receiver<Phase>, AbortHandle)> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::invalid("a client needs a tokio runtime for its task"))?;
        let direct = match reply_by {
            ReplyBy::Best => connection.server_properties().has_capability("direct_reply_to"),
            ReplyBy::Direct => true,
            ReplyBy::Queue => false,
        };
        let (phase, phases) = watch::channel(Phase::Restoring);
        let events = connection.events();
        let receiving = Self { connection, channel, calls, phase, direct };
        let consumer = receiving.consume().await?;
        Ok((phases, runtime.spawn(receiving.run(consumer, events)).abort_handle()))
    }

    /// Starts a consumer of replies, of a new queue if there is to be one.
    async fn consume(&self) -> Result<Consumer> {
        let (address, declared) = match self.direct {
            true => (ShortStr::try_from(DIRECT)?, None),
            false => {
                let name = format!("rpc.reply.{:016x}{:016x}", random(), random());
                let name = ShortStr::try_from(name)?;
                let unread = Unread { channel: &self.channel, queue: name.clone() };
                // It goes with its consumer, whatever becomes of that.
                let declare = QueueDeclare::new(&name).exclusive(true).auto_delete(true);
                self.channel.queue_declare(declare).await?;
                (name, Some(unread))
            }
        };
        let consume = BasicConsume::new(&address, Prefetch::Unlimited).no_ack(true);
        let consumer = self.channel.basic_consume(consume).await?;
        if let Some(unread) = declared {
            unread.release();
        }
        self.phase.send_replace(Phase::Ready(address));
        Ok(consumer)
    }

    async fn run(self, mut consumer: Consumer, mut events: Events) {
        loop {
            let returns = self.channel.returns();
            let lost = match self.receive(&mut consumer, returns, &mut events).await {
                Halt::Over(reason) => return self.end(reason.as_ref()),
                Halt::Lost(reason) => reason,
            };
            self.phase.send_replace(Phase::Restoring);
            self.calls.lost_sent(lost.as_ref());
            // It is not to be started again.
            drop(consumer);
            consumer = match self.again().await {
                Ok(consumer) => consumer,
                Err(reason) => return self.end(reason.as_ref()),
            };
        }
    }

    /// Takes in what comes until there is no more.
    async fn receive(
        &self,
        consumer: &mut Consumer,
        mut returns: Returns,
        events: &mut Events,
    ) -> Halt {
        let mut returns_over = false;
        poll_fn(|cx| {
            // What happens to the connection comes first: it is little.
            while let Poll::Ready(Some(event)) = Pin::new(&mut *events).poll_next(cx) {
                self.hear(&event);
            }
            while !returns_over {
                match Pin::new(&mut returns).poll_next(cx) {
                    Poll::Ready(Some(returned)) => self.calls.returned(returned),
                    Poll::Ready(None) => returns_over = true,
                    Poll::Pending => break,
                }
            }
            self.poll_replies(consumer, cx)
        })
        .await;
        self.halt(consumer.end())
    }

    fn poll_replies(&self, consumer: &mut Consumer, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match Pin::new(&mut *consumer).poll_next(cx) {
                Poll::Ready(Some(delivery)) => {
                    let (properties, body, _) = delivery.into_parts();
                    self.calls.reply(Reply { properties, body });
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// A loss of the connection takes what was in flight, while the consumer goes on after it.
    fn hear(&self, event: &Event) {
        match event {
            Event::Recovering { reason } => {
                self.calls.lost_before(self.channel.epoch(), Some(reason.clone()));
            }
            Event::Lagged { .. } => self.calls.lost_before(self.channel.epoch(), None),
            Event::Recovery(RecoveryEvent::Recovered(_)) => {
                self.calls.lost_before(self.channel.epoch(), None);
            }
            _ => {}
        }
    }

    /// What the consumer's end means.
    fn halt(&self, end: Option<&ConsumerEnd>) -> Halt {
        if let Some(reason) = self.over() {
            return Halt::Over(Some(reason));
        }
        match end {
            Some(ConsumerEnd::Closed(reason)) => Halt::Lost(Some(reason.clone())),
            Some(ConsumerEnd::Cancelled | ConsumerEnd::Dropped) => Halt::Over(None),
            // Its queue was deleted by somebody, or the task could not keep up.
            _ => Halt::Lost(None),
        }
    }

    /// Why nothing can come back.
    fn over(&self) -> Option<Arc<CloseReason>> {
        use crate::error::Initiator::Application;
        let ours = |reason: &Arc<CloseReason>| reason.initiator() == Application;
        self.connection.close_reason().or_else(|| self.channel.close_reason().filter(ours))
    }

    /// Opens the channel anew, and consumes: until that succeeds or the connection is over.
    async fn again(&self) -> Result<Consumer, Option<Arc<CloseReason>>> {
        let mut pause = PAUSE;
        loop {
            let consumed = async {
                let _ = self.channel.reopen().await?;
                self.consume().await
            };
            let error = match consumed.await {
                Ok(consumer) => return Ok(consumer),
                Err(error) => error,
            };
            if let Some(reason) = self.over() {
                return Err(Some(reason));
            }
            tracing::warn!(%error, "a client of requests cannot have replies, and tries again");
            let shared = self.channel.handle().shared();
            let _ = until(shared, Instant::now() + pause, pending::<()>()).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    fn end(&self, reason: Option<&Arc<CloseReason>>) {
        self.phase.send_replace(Phase::Over(reason.cloned()));
        self.calls.end(reason);
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if !self.phase.borrow().is_over() {
            self.end(self.channel.close_reason().as_ref());
        }
    }
}

/// A queue that has no consumer yet, to be deleted with which it would go.
///
/// # Drop
///
/// Deletes the queue.
struct Unread<'a> {
    channel: &'a Channel,
    queue: ShortStr,
}

impl Unread<'_> {
    /// It has a consumer.
    fn release(mut self) {
        self.queue = ShortStr::EMPTY;
    }
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        if queue.is_empty() {
            return;
        }
        let delete = queue::Delete { queue, no_wait: true, ..Default::default() };
        // If the channel is closed the connection's end deletes it.
        let _ = self.channel.send(delete);
    }
}
