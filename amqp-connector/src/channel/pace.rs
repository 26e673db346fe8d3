//! How fast a channel publishes.

use tokio::time::Instant;

use super::Channel;
use crate::error::Result;
use crate::options::Pace;

impl Channel {
    /// Sets how fast this channel may publish, or with `None` takes that limit away, which is the default. It is one
    /// more limit beside those of [`Options`](crate::Options) and of the peer: a publish over the pace waits, in order
    /// with the others that wait on this channel, and [`try_basic_publish`](Self::try_basic_publish) fails with
    /// `Blocked`.
    ///
    /// Every content that is sent on the channel counts as one, whatever its size; one that is streamed
    /// ([`basic_publish_stream`](Self::basic_publish_stream)) as well. Calls, acks and everything else go as before. A
    /// channel begins with a whole burst saved up. A pace may be changed at any time: those that wait go on by the new
    /// one, and of what the old one had saved up stays as much as the new one's burst has room for.
    ///
    /// ```no_run
    /// # async fn run(channel: amqp_connector::Channel) -> amqp_connector::Result<()> {
    /// use amqp_connector::{BasicPublish, Pace};
    ///
    /// channel.pace(Some(Pace::per_second(50)))?;
    /// for n in 0..1000 {
    ///     // Twenty seconds altogether.
    ///     let _confirmation = channel.basic_publish(BasicPublish::new("", "jobs", n.to_string())).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Invalid` for a pace or a burst of zero publishes, or a period of zero; `Busy` while a
    /// streamed publish has the channel; the reason why the channel is closed.
    pub fn pace(&self, pace: Option<Pace>) -> Result<()> {
        pace.as_ref().map_or(Ok(()), Pace::check)?;
        let (key, now) = (self.handle.key(), Instant::now());
        self.handle.shared().with(|session| session.set_pace(key, pace, now))
    }
}
