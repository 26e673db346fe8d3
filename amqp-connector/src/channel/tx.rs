//! Class `tx`: publishes and acknowledgements that count together or not at all.

use super::Channel;
use crate::call::Completion;

impl Channel {
    /// Makes the channel transactional (`tx.select`): publishes and acknowledgements on it take effect by
    /// [`tx_commit`](Self::tx_commit), until the channel's end. Outcomes of publishes stay
    /// [`Outcome::Accepted`](crate::Outcome::Accepted); whether the messages are in their queues is told by the commit. With
    /// RabbitMQ, messages that cannot be routed come back at the commit.
    ///
    /// A channel cannot be both transactional and in confirm mode: RabbitMQ closes it (406).
    ///
    /// # Errors
    ///
    /// `Unsupported` under specifications without class `tx`, and as [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the channel may or may not be transactional.
    #[track_caller]
    pub fn tx_select(&self) -> Completion {
        amqp_types::if_spec! { tx.select => {
            let select = amqp_types::protocol::tx::Select::default();
            Completion::new(self.handle.clone(), Ok(select))
        } else {
            Completion::unsupported(self.handle.clone(), "tx.select")
        } }
    }

    /// Makes what was published and acknowledged since the last commit or rollback take effect (`tx.commit`). The next
    /// transaction begins at once.
    ///
    /// # Errors
    ///
    /// As [`tx_select`](Self::tx_select). RabbitMQ closes a channel that is not transactional (406).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the transaction may or may not be committed.
    #[track_caller]
    pub fn tx_commit(&self) -> Completion {
        amqp_types::if_spec! { tx.commit => {
            let commit = amqp_types::protocol::tx::Commit::default();
            Completion::new(self.handle.clone(), Ok(commit))
        } else {
            Completion::unsupported(self.handle.clone(), "tx.commit")
        } }
    }

    /// Gives up what was published and acknowledged since the last commit or rollback (`tx.rollback`). Deliveries whose
    /// acknowledgement is given up stay with this channel, unsettled; the broker does not send them again. Those that a
    /// multiple had settled and that you still hold can be settled again.
    /// The next transaction begins at once.
    ///
    /// # Errors
    ///
    /// As [`tx_commit`](Self::tx_commit).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the transaction may or may not be given up.
    #[track_caller]
    pub fn tx_rollback(&self) -> Completion {
        amqp_types::if_spec! { tx.rollback => {
            let rollback = amqp_types::protocol::tx::Rollback::default();
            Completion::new(self.handle.clone(), Ok(rollback))
        } else {
            Completion::unsupported(self.handle.clone(), "tx.rollback")
        } }
    }
}
