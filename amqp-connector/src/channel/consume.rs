//! What concerns all deliveries of a channel, whichever consumer or `basic.get` they are for.

use std::time::Duration;

use super::Channel;
use crate::error::{Error, Result};

impl Channel {
    /// Has acks held back for a moment, to be sent together as a `multiple` one, which saves the broker and the
    /// network most of the work of acknowledging. To be called before the channel's first
    /// [`basic_consume`](Self::basic_consume) or [`basic_get`](Self::basic_get); stays for the channel's life.
    ///
    /// At most `count` acks of all the channel's consumers and gets are held, no more than half of any consumer's
    /// prefetch, and for no longer than `delay`, which may be zero: until the driver writes next. Before any other
    /// method that is sent on the channel, and by [`flush`](Self::flush) and closing, they are sent at once. A hundred
    /// and ten milliseconds are a good choice.
    ///
    /// Nothing is acked that was not settled so: a delivery that is not settled yet keeps the acks of later ones from
    /// being sent together, and they go one by one. If the channel or connection is lost, messages whose ack was held
    /// come again, as do those whose ack was not written yet. A consumer that was started with a
    /// [`stream_offset`](crate::BasicConsume::stream_offset) goes on behind them.
    ///
    /// ```no_run
    /// # async fn run(channel: amqp_connector::Channel) -> amqp_connector::Result<()> {
    /// use std::time::Duration;
    ///
    /// use amqp_connector::{BasicConsume, Prefetch};
    ///
    /// channel.coalesce_acks(100, Duration::from_millis(10))?;
    /// let mut consumer = channel.basic_consume(BasicConsume::new("jobs", Prefetch::Count(500))).await?;
    /// while let Some(delivery) = consumer.recv().await {
    ///     delivery.ack()?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Invalid` for a count of zero and after the first consumer or get; the reason why the channel is closed.
    pub fn coalesce_acks(&self, count: usize, delay: Duration) -> Result<()> {
        if count == 0 {
            return Err(Error::invalid("at least one ack has to be held to be coalesced"));
        }
        let key = self.handle.key();
        self.handle.shared().with(|session| session.coalesce_acks(key, count, delay))
    }
}
