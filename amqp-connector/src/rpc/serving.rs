//! The task of a server: takes requests, as many at once as are to be served, and ends in order.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_core::Stream as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answering::{Answering, Counts};
use super::server::ServerReport;
use crate::channel::Channel;
use crate::consumer::{Consumer, Delivery};
use crate::deadline::until;
use crate::outcome::ConsumerEnd;

pub(super) struct Serving {
    pub(super) channel: Channel,
    /// Tells the deadline of the shutdown.
    pub(super) stopped: oneshot::Receiver<Instant>,
    pub(super) ends: watch::Sender<Option<ConsumerEnd>>,
    pub(super) counts: Arc<Counts>,
}

/// What there is to do next.
#[allow(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
enum Next {
    Serve(Delivery),
    /// No more requests come.
    Ended,
    /// The server is to end by then.
    Stop(Instant),
}

impl Serving {
    pub(super) async fn run(
        mut self,
        mut consumer: Consumer,
        answering: Answering,
        concurrency: u16,
    ) -> ServerReport {
        let answering = Arc::new(answering);
        let mut running = JoinSet::new();
        let deadline = loop {
            match self.next(&mut consumer, &mut running, concurrency.into()).await {
                Next::Serve(delivery) => {
                    let answering = answering.clone();
                    running.spawn(async move { answering.serve(delivery).await });
                }
                Next::Ended => {
                    self.ends.send_replace(consumer.end().cloned());
                    break self.finish(&mut running).await;
                }
                Next::Stop(deadline) => break Some(deadline),
            }
        };
        let Some(deadline) = deadline else { return self.counts.report() };
        let left = deadline.saturating_duration_since(Instant::now());
        let shut_down = consumer.shutdown(left).await;
        self.ends.send_if_modified(|end| {
            end.get_or_insert(ConsumerEnd::Cancelled);
            true
        });
        let shared = self.channel.handle().shared().clone();
        let _ = until(&shared, deadline, join_all(&mut running)).await;
        let aborted = running.len();
        // Their deliveries go back to the queue.
        running.shutdown().await;
        let left = deadline.saturating_duration_since(Instant::now());
        for channel in [&self.channel, answering.replies()] {
            // What is not done in time is done by the end of the channel.
            let _ = channel.close_within(left).await;
        }
        ServerReport { aborted, consumer: shut_down, ..self.counts.report() }
    }

    async fn next(
        &mut self,
        consumer: &mut Consumer,
        running: &mut JoinSet<()>,
        concurrency: usize,
    ) -> Next {
        poll_fn(|cx| {
            if let Poll::Ready(Ok(deadline)) = Pin::new(&mut self.stopped).poll(cx) {
                return Poll::Ready(Next::Stop(deadline));
            }
            while let Poll::Ready(Some(_)) = running.poll_join_next(cx) {}
            // The broker bounds them too; but what it had given out before a loss may still be running.
            if running.len() >= concurrency {
                return Poll::Pending;
            }
            Pin::new(&mut *consumer).poll_next(cx).map(|next| match next {
                Some(delivery) => Next::Serve(delivery),
                None => Next::Ended,
            })
        })
        .await
    }

    /// No more requests come: what is running ends, until the server is told to end or dropped.
    async fn finish(&mut self, running: &mut JoinSet<()>) -> Option<Instant> {
        let mut stopped = false;
        poll_fn(|cx| {
            if !stopped && let Poll::Ready(told) = Pin::new(&mut self.stopped).poll(cx) {
                stopped = true;
                if let Ok(deadline) = told {
                    return Poll::Ready(Some(deadline));
                }
            }
            while let Poll::Ready(Some(_)) = running.poll_join_next(cx) {}
            Poll::Pending
        })
        .await
    }
}

async fn join_all(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}
