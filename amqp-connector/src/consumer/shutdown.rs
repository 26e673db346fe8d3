//! The end of a consumer in one call: cancel, give back, wait for what is in flight, flush, report.
//!
//! What is waited for is the session's; here is the deadline, and putting the report together.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Consumer;
use crate::deadline::until;
use crate::error::CloseReason;
use crate::session::{Line, after};
use crate::shared::Ticket;

/// What became of a consumer's deliveries; see [`Consumer::shutdown`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Deliveries that nobody had read and that went back to their queue: by this, or with the channel if that was over.
    /// Not those that a `basic.recover` had taken back.
    pub given_back: usize,
    /// Deliveries that nobody had read and that are lost: those of a no-ack consumer, which the broker counts as
    /// settled. To read them, [`cancel`](Consumer::cancel) and then [`recv`](Consumer::recv) until `None`.
    pub discarded: usize,
    /// Deliveries that were in flight when the shutdown began and were settled in time.
    pub settled: usize,
    /// Deliveries that were in flight when the shutdown began and never will be settled: the channel ended before,
    /// or they were dropped and left to it ([`Unsettled::Leave`](crate::Unsettled::Leave)).
    pub unsettled: usize,
    /// Deliveries that were not. They may be settled still, as long as another handle keeps the channel open.
    pub held: usize,
    /// Whether the broker is known to have ended the consumer: it has confirmed the cancel, or cancelled it itself. Where
    /// the channel ended before that, this is false, and [`closed`](Self::closed) tells why: the consumer ended with it.
    pub cancelled: bool,
    /// Whether all that was settled is written to the transport.
    pub flushed: bool,
    /// Why the channel ended, if it did before the rest was done.
    pub closed: Option<Arc<CloseReason>>,
}

impl ShutdownReport {
    /// Whether everything was done in time: nothing is held, lost or left unsettled, the broker was told, and the
    /// channel had not ended before.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let done = self.held == 0 && self.discarded == 0 && self.unsettled == 0;
        done && self.cancelled && self.flushed && self.closed.is_none()
    }
}

impl Consumer {
    /// Ends the consumer in order, within `timeout`: cancels it (`basic.cancel`), gives back to the queue what was
    /// not read, waits until the deliveries that are in flight with other tasks are settled or dropped and the
    /// broker has confirmed the cancel, and writes what was settled. Tells how far it came.
    ///
    /// Many that were not read go back at once, which brokers do far faster than one by one, when nothing of the channel is
    /// in flight any more. That is waited for, other consumers' deliveries of the channel included, as long as `timeout`
    /// allows, but for no more milliseconds than there are messages; then they go back one by one. A delivery that is in
    /// flight and is settled with [`ack_multiple`](crate::Delivery::ack_multiple) takes none of them along.
    ///
    /// To handle what was received instead of giving it back, [`cancel`](Self::cancel) and then
    /// [`recv`](Self::recv) until `None` first. A delivery that the awaiting task itself holds takes all of the
    /// time: settle or drop it before.
    ///
    /// ```no_run
    /// # async fn run(consumer: amqp_connector::Consumer) {
    /// use std::time::Duration;
    ///
    /// let report = consumer.shutdown(Duration::from_secs(30)).await;
    /// if !report.is_complete() {
    ///     eprintln!("{} deliveries were not settled in time", report.held);
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, polled or not, the consumer is cancelled all the same, and what was not read goes
    /// back.
    pub async fn shutdown(mut self, timeout: Duration) -> ShutdownReport {
        let now = Instant::now();
        let deadline = after(now, timeout);
        let (channel, key, id) = (self.channel.clone(), self.channel.key(), self.id);
        let shared = channel.shared();
        let (begun, before) = (self.in_flight(), self.origin.in_flight().unsettled());
        let mut unread = if self.no_ack { self.batch.len() } else { 0 };
        let Self { origin, batch, no_ack, .. } = &mut self;
        unread += shared.with(|session| {
            if !*no_ack {
                session.put_back(key, id, batch, origin.in_flight());
            }
            session.begin_consumer_shutdown(key, id, now, timeout)
        });

        let mut ticket = Ticket::new(shared, Line::Settled(key));
        let waiting = poll_fn(|cx| {
            let in_flight = self.origin.in_flight();
            ticket.poll(cx, |session, held, waker| {
                session.poll_consumer_shutdown(key, id, in_flight, held, waker)
            })
        });
        let _ = until(shared, deadline, waiting).await;
        drop(ticket);

        let (mut position, mut ticket) = (None, Ticket::new(shared, Line::Flushed));
        let flushing = poll_fn(|cx| {
            ticket.poll(cx, |session, held, waker| {
                session.poll_flush(key, &mut position, held, waker)
            })
        });
        let flushed = matches!(until(shared, deadline, flushing).await, Some(Ok(())));
        let held = self.in_flight();
        let unsettled = self.origin.in_flight().unsettled().saturating_sub(before);
        let state = shared.with(|session| session.consumer_shutdown_state(key, id));
        unread += state.late;
        ShutdownReport {
            given_back: if self.no_ack { 0 } else { unread },
            discarded: if self.no_ack { unread } else { 0 },
            settled: begun.saturating_sub(held).saturating_sub(unsettled),
            unsettled,
            held,
            cancelled: state.cancelled,
            flushed,
            closed: state.closed,
        }
    }
}
