//! Class `channel`: flow, both ways.

use amqp_types::protocol::channel;

use super::Channel;
use crate::call::Call;

impl Channel {
    /// Asks the peer to pause (`false`) or to go on (`true`) sending deliveries on this channel
    /// (`channel.flow`). RabbitMQ has no pause: it closes the connection with 540; limit what it sends by
    /// [`Prefetch`](crate::Prefetch).
    ///
    /// # Errors
    ///
    /// `Timeout`, `Blocked`, or the reason why the channel is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped after it was sent, the peer may pause or go on all the same.
    #[track_caller]
    pub fn channel_flow(&self, active: bool) -> Call<channel::Flow> {
        Call::new(self.handle.clone(), Ok(channel::Flow { active }))
    }

    /// Whether the peer lets this channel publish: false after its `channel.flow` has paused it, when publishes
    /// on this channel, and on no other, wait. Also told as [`Event::FlowPaused`](crate::Event::FlowPaused)
    /// and [`Event::FlowResumed`](crate::Event::FlowResumed).
    #[must_use]
    pub fn is_flowing(&self) -> bool {
        let key = self.handle.key();
        self.handle.shared().with(|session| session.is_flowing(key))
    }
}
