//! Going on with a channel that was closed for an error.

use std::future::Future;
use std::panic::Location;

use super::Channel;
use crate::error::Result;
use crate::outcome::Reopened;
use crate::recovery::reopen::reopen;

impl Channel {
    /// Opens the channel again after the broker, or this library, has closed it for an error: for all its handles, which are
    /// what they were before, with another number and as another incarnation ([`epoch`](Self::epoch)). On a channel that
    /// is open it does nothing.
    ///
    /// A broker closes a channel for a mistake in a single call, such as a queue that does not exist (404). What was on the
    /// channel comes back by this: confirm mode with its limits, prefetch, coalesced acks, the pace; and every consumer
    /// that the closing has ended and whose handle is still held. It is started with the same tag and arguments,
    /// and its [`recv`](crate::Consumer::recv), which has given `None`, goes on to give deliveries; in a stream from where
    /// it [was](crate::BasicConsume::stream_offset):
    ///
    /// ```no_run
    /// # async fn run(channel: amqp_connector::Channel, mut consumer: amqp_connector::Consumer) -> amqp_connector::Result<()> {
    /// loop {
    ///     while let Some(delivery) = consumer.recv().await {
    ///         delivery.ack()?;
    ///     }
    ///     // Others that use the channel may do the same: one reopens it, and all go on.
    ///     let reopened = channel.reopen().await?;
    ///     if let Some(failure) = reopened.failures.first() {
    ///         return Err(failure.error.clone());
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// So do [`returns`](Self::returns) and [`incoming`](Self::incoming), and messages that failed and are kept stay to be
    /// [taken](Self::take_failed). What was in flight is over: deliveries are [`Stale`](crate::ErrorKind::Stale) when they are
    /// settled, since the broker has taken them back and delivers them again; confirmations are
    /// [`Unknown`](crate::Outcome::Unknown). The mode of transactions does not come back, nor do tickets of access, nor
    /// anything that was declared: an exclusive queue lives as long as its connection, and one that is deleted with its last
    /// consumer may be gone.
    ///
    /// A consumer that the broker refuses, since its queue is gone for instance, ends for that reason and is told in
    /// [`Reopened::failures`]; the channel is opened once more without it. Several calls at once make one: the others
    /// wait for it.
    ///
    /// # Errors
    ///
    /// The reason why the channel is closed if the program has closed it itself, and why the connection is; `Recovering`
    /// while the connection, and with it the channel, is not back from a loss; `Limit` if no number is free; `Timeout` if a
    /// step is not answered within [`Options::call_timeout`](crate::Options::call_timeout). After an error the channel is
    /// closed as before, and may be reopened another time.
    ///
    /// # Cancel safety
    ///
    /// Nothing is done until it is polled. Dropped before it resolves, the channel is closed again, if it was not open, and
    /// may be reopened another time.
    #[track_caller]
    pub fn reopen(&self) -> impl Future<Output = Result<Reopened>> + Send + use<> {
        reopen(self.handle().clone(), Location::caller())
    }
}
