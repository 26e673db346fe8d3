//! A consumer as the user sees it: a stream of deliveries that ends with a reason.
//!
//! Takes whole batches from the session under one lock and builds deliveries from them outside.

mod delivery;
mod shutdown;
mod streamed;

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_types::ShortStr;
use amqp_types::protocol::basic;
use futures_core::Stream;
use futures_core::stream::FusedStream;
use tokio::time::Instant;

pub use delivery::{Acker, Delivery};
pub(crate) use delivery::{Origin, Source};
pub use shutdown::ShutdownReport;
pub use streamed::{BodyStream, ConsumeStreamed, RecvStreamed, StreamConsumer, StreamedDelivery};

use crate::call::Completion;
use crate::deadline::until;
use crate::error::{Error, Result};
use crate::handle::ChannelHandle;
use crate::options::Unsettled;
use crate::outcome::{ConsumerEnd, Epoch};
use crate::session::{Queued, Unread, after};
use crate::turn::{poll_turn, spend};

/// Deliveries that make a unit of tokio's cooperative budget, of which a task has 128 each time it is polled.
const CHARGED_UNIT: u8 = 4;
/// How often a wait whose time stands still looks whether it goes on.
const LOOK: Duration = Duration::from_millis(100);

/// A consumer of a queue: deliveries, in the order in which the broker sent them.
///
/// Read it by [`recv`](Self::recv) or as a [`Stream`]. When it is over, [`end`](Self::end) tells why.
///
/// # Drop
///
/// Cancels the consumer at the broker; deliveries that were not read go back to their queue. Many go back by one
/// `basic.nack` once the broker has confirmed the cancel, as far as no earlier delivery of the channel is left to it or
/// another consumer's, and as soon as none at all is with the user. That is waited for as many milliseconds as there are
/// messages to go back, and at most a second; [`shutdown`](Self::shutdown) has more patience. All others go back one by
/// one, as everything does where the specification has no `basic.nack`: RabbitMQ takes back some hundred a second so.
/// Closing the channel gives back everything at once.
#[must_use = "dropping a consumer cancels it"]
pub struct Consumer {
    channel: Arc<ChannelHandle>,
    /// What its deliveries are settled through.
    origin: Arc<Origin>,
    id: u64,
    tag: ShortStr,
    no_ack: bool,
    batch: VecDeque<Queued>,
    /// How much of the batch is left, told to the session.
    unread: Arc<Unread>,
    end: Option<ConsumerEnd>,
    /// Deliveries given out since the task was charged for them.
    uncharged: u8,
}

impl Consumer {
    pub(crate) fn new(
        channel: Arc<ChannelHandle>,
        id: u64,
        tag: ShortStr,
        no_ack: bool,
        unsettled: Option<Unsettled>,
        (unread, epoch): (Arc<Unread>, Epoch),
    ) -> Self {
        let source = Source::Consumer(tag.clone(), unread.clone());
        let origin = Origin::of(&channel, epoch, source, unsettled);
        let batch = VecDeque::new();
        Self { channel, origin, id, tag, no_ack, batch, unread, end: None, uncharged: 0 }
    }

    pub(crate) fn channel(&self) -> &Arc<ChannelHandle> {
        &self.channel
    }

    /// The consumer's tag: the one that was asked for, or the server's choice.
    #[must_use]
    pub fn tag(&self) -> &ShortStr {
        &self.tag
    }

    /// The next delivery, or `None` when the consumer is over; [`end`](Self::end) tells why.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no delivery is lost.
    #[inline]
    pub fn recv(&mut self) -> Recv<'_> {
        Recv { consumer: self }
    }

    /// Why the consumer is over; `None` while it is not, or its last deliveries were not read.
    #[must_use]
    pub fn end(&self) -> Option<&ConsumerEnd> {
        self.end.as_ref().filter(|_| !self.unread.is_revived())
    }

    /// The incarnation of its channel that its deliveries come on. One that goes on through the loss of its connection, or
    /// after its channel was reopened, is of another one from when it is read next: then
    /// [`Delivery::epoch`] has changed, and what was given out before comes again unless it was settled.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.origin.epoch()
    }

    /// How many of its deliveries were given out and are neither settled nor dropped. Always zero for a no-ack
    /// consumer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let unread = if self.no_ack { 0 } else { self.batch.len() };
        self.origin.in_flight().count().saturating_sub(unread)
    }

    /// Cancels the consumer (`basic.cancel`). Deliveries that the broker sent before stay readable; the
    /// consumer ends after them. One that the broker knows no more is left at that: nothing is sent.
    ///
    /// # Errors
    ///
    /// `Timeout`, or the reason why the channel is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is sent until it is polled. Dropped after that, the consumer is cancelled all the same.
    #[track_caller]
    pub fn cancel(&mut self) -> impl Future<Output = Result<()>> + Send + use<'_> {
        let place = Location::caller();
        async move {
            // Another consumer may have the tag by now, so one that is over or about to be sends nothing.
            let (key, id) = (self.channel.key(), self.id);
            let shared = self.channel.shared();
            if shared.with(|session| session.is_cancelling(key, id)) {
                return self.join_cancel().await;
            }
            let cancel = basic::Cancel { consumer_tag: self.tag.clone(), ..Default::default() };
            Completion::new(self.channel.clone(), Ok(cancel)).at(place).await
        }
    }

    /// Waits for the answer to a cancel that was sent before, as long as for that of a call.
    async fn join_cancel(&self) -> Result<()> {
        let (key, id) = (self.channel.key(), self.id);
        let shared = self.channel.shared();
        let mut waiting =
            poll_fn(|cx| shared.poll(cx, |session, waker| session.poll_cancelled(key, id, waker)));
        let begun = Instant::now();
        let before = shared.with(|session| session.calls_paused(begun));
        let mut deadline = after(begun, shared.options.call_timeout);
        loop {
            if let Some(cancelled) = until(shared, deadline, &mut waiting).await {
                return cancelled;
            }
            // While the broker blocks us no time passes for calls.
            let now = Instant::now();
            let paused = shared.with(|session| session.calls_paused(now)).saturating_sub(before);
            let end = after(begun, shared.options.call_timeout.saturating_add(paused));
            if end <= now {
                return Err(Error::timeout("basic.cancel"));
            }
            deadline = end.max(after(now, LOOK));
        }
    }

    #[inline]
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        ready!(poll_turn(cx));
        if (self.batch.is_empty() && self.end.is_none()) || self.unread.is_interrupted() {
            ready!(self.poll_batch(cx));
        }
        self.uncharged += 1;
        if self.uncharged >= CHARGED_UNIT {
            self.uncharged = 0;
            spend(cx);
        }
        // Looked at where it is: it is large, and moved once only. For that, nothing stands between the last two lines.
        let Some(first) = self.batch.front() else { return Poll::Ready(None) };
        let (origin, no_ack) = (self.origin.clone(), self.no_ack);
        let kept = self.unread.is_kept(&first.properties);
        self.unread.set(self.batch.len() - 1);
        let Some(queued) = self.batch.pop_front() else { return Poll::Ready(None) };
        Poll::Ready(Some(Delivery::new(origin, queued, no_ack, kept)))
    }

    /// Takes what has come since, or finds out that it was all.
    #[cold]
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut moves = false;
        if self.unread.is_stopped() {
            self.give_back();
        } else if self.unread.is_interrupted() {
            if self.unread.take_revived() {
                self.end = None;
            }
            if !self.no_ack {
                // The peer has taken it back: it comes again.
                self.batch.clear();
            }
            moves = true;
        }
        if self.end.is_some() || !self.batch.is_empty() {
            return Poll::Ready(());
        }
        let Self { channel, origin, id, batch, .. } = self;
        let mut moved = None;
        let end = channel.shared().poll(cx, |session, waker| {
            let key = channel.key();
            if moves && let Some(epoch) = session.next_epoch(key, *id) {
                moved = (epoch != origin.epoch()).then(|| origin.renewed(channel, epoch));
            }
            let in_flight = moved.as_ref().unwrap_or(origin).in_flight();
            session.poll_deliveries(key, *id, batch, in_flight, waker)
        });
        if let Some(moved) = moved {
            self.origin = moved;
        }
        self.end = ready!(end);
        Poll::Ready(())
    }

    /// Gives back what was taken and not given out.
    fn give_back(&mut self) {
        if self.no_ack || self.batch.is_empty() {
            return;
        }
        let Self { channel, origin, batch, unread, .. } = self;
        channel.shared().with(|session| {
            unread.set(0);
            session.give_back(channel.key(), batch, origin.in_flight(), unread.keeps());
        });
        // Here, outside the lock: bodies are users' values.
        batch.clear();
    }
}

/// The future of [`Consumer::recv`].
#[must_use = "nothing is received until this future is awaited"]
#[derive(Debug)]
pub struct Recv<'a> {
    consumer: &'a mut Consumer,
}

impl Future for Recv<'_> {
    type Output = Option<Delivery>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.consumer.poll_recv(cx)
    }
}

impl Stream for Consumer {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.poll_recv(cx)
    }
}

impl FusedStream for Consumer {
    fn is_terminated(&self) -> bool {
        self.end().is_some() && self.batch.is_empty()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let Self { channel, origin, id, no_ack, batch, .. } = self;
        channel.shared().with(|session| {
            let (key, id) = (channel.key(), *id);
            if !*no_ack {
                session.put_back(key, id, batch, origin.in_flight());
            }
            session.drop_consumer(key, id);
        });
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("tag", &self.tag)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
