//! Publisher confirms, where the specification has them.

use super::Channel;
use crate::call::Completion;

impl Channel {
    /// Puts the channel into confirm mode (`confirm.select`): from then on every publish has an outcome
    /// that the broker decides.
    ///
    /// # Errors
    ///
    /// `Unsupported` under specifications without class `confirm`, and as [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the channel may or may not be in confirm mode; publishes on it have
    /// right outcomes either way.
    #[track_caller]
    pub fn confirm_select(&self) -> Completion {
        amqp_types::if_spec! { confirm.select => {
            let select = amqp_types::protocol::confirm::Select::default();
            Completion::new(self.handle.clone(), Ok(select))
        } else {
            Completion::unsupported(self.handle.clone(), "confirm.select")
        } }
    }

    /// Publishes of this channel that the broker has not answered yet.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        let key = self.handle.key();
        self.handle.shared().with(|session| session.unconfirmed(key))
    }
}
