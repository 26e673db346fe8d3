//! What one channel's confirm mode is like.

/// What one channel's confirm mode is like; see [`Channel::confirm_select_with`](crate::Channel::confirm_select_with).
/// What is not set is the connection's, from [`Options`](crate::Options).
///
/// ```
/// use amqp_connector::ConfirmOptions;
///
/// let options = ConfirmOptions::new().unconfirmed_max(1000).retain(true);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "the options are given to `Channel::confirm_select_with`"]
pub struct ConfirmOptions {
    pub(crate) retain: bool,
    pub(crate) unconfirmed_max: Option<usize>,
    pub(crate) unconfirmed_octets_max: Option<usize>,
    pub(crate) retained_budget: Option<usize>,
    pub(crate) republish: u16,
}

impl ConfirmOptions {
    /// Nothing kept, and the connection's limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether every message is kept until the broker has acked it, so that it can be had again when it was nacked
    /// or its outcome is unknown: by [`Confirmation::take_message`](crate::Confirmation::take_message), or by
    /// [`Channel::take_failed`](crate::Channel::take_failed) where the confirmation was dropped. Once on,
    /// it stays on. Default false.
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// How often a message is published again, at most, when its connection was lost before the broker had answered, and
    /// has come back ([`Recovery`](crate::Recovery)). Default 0: its outcome is
    /// [`Unknown`](crate::Outcome::Unknown). For that messages are kept, as with [`retain`](Self::retain).
    ///
    /// It is delivered at least once, then: one whose answer alone was lost is in its queues twice. The outcome of one that was
    /// published again is [`Outcome::Republished`](crate::Outcome::Republished), so that it can be told. They go in
    /// the order in which they were published, once the channel is restored and before anything else is published on it,
    /// within [`Options::outbound_budget`](crate::Options::outbound_budget) and the channel's pace.
    ///
    /// Not published again are messages whose body is streamed, those that the broker may blame for its closing of the connection,
    /// those that went before messages were kept, and what a channel that ends of itself leaves: their outcome is
    /// `Unknown`, and all but the streamed ones are handed back. Whoever must not have a message that kills its
    /// broker go round for ever keeps the number small.
    pub fn republish(mut self, times: u16) -> Self {
        self.republish = times;
        self
    }

    /// Whether every message is kept.
    pub(crate) fn keeps(&self) -> bool {
        self.retain || self.republish > 0
    }

    /// As [`Options::unconfirmed_max`](crate::Options::unconfirmed_max), for this channel.
    pub fn unconfirmed_max(mut self, publishes: usize) -> Self {
        self.unconfirmed_max = Some(publishes);
        self
    }

    /// As [`Options::unconfirmed_octets_max`](crate::Options::unconfirmed_octets_max), for this channel.
    pub fn unconfirmed_octets_max(mut self, octets: usize) -> Self {
        self.unconfirmed_octets_max = Some(octets);
        self
    }

    /// As [`Options::retained_budget`](crate::Options::retained_budget), for this channel.
    pub fn retained_budget(mut self, octets: usize) -> Self {
        self.retained_budget = Some(octets);
        self
    }
}
