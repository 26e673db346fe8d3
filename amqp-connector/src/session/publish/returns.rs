//! Messages that came back: paired with their publishes, or kept for whoever asks for them.
//!
//! What nobody asks for is bounded, and the oldest goes.

use std::task::Poll;
use tracing::Level;

use crate::error::{Error, Result};
use crate::outcome::Returned;
use crate::session::Caller;
use crate::session::Session;
use crate::session::channel::ChannelKey;
use crate::session::publish::confirm::Confirms;
use crate::session::publish::slot::return_cost;

/// Returned messages kept for a user who does not ask for them.
const RETURNS_MAX: usize = 1024;

impl Session {
    /// A message came back: it is the outcome of a publish with confirms, or news without them and where
    /// there is no publish that it fits.
    pub(in crate::session) fn handle_return(&mut self, key: ChannelKey, returned: Returned) {
        let Some(channel) = self.channels.get(key) else { return };
        self.effects.counts.returned();
        let unpaired = match &mut channel.confirms {
            Some(confirms) => confirms.returned(returned),
            None => Some(returned),
        };
        if let Some(returned) = unpaired {
            self.keep_return(key, returned);
        }
    }

    /// Returns that were given to publishes which ended otherwise are news after all.
    #[inline]
    pub(in crate::session) fn keep_strays(&mut self, key: ChannelKey) {
        let confirms = self.channels.get(key).and_then(|channel| channel.confirms.as_mut());
        for returned in confirms.and_then(Confirms::take_strays).into_iter().flatten() {
            self.keep_return(key, returned);
        }
    }

    fn keep_return(&mut self, key: ChannelKey, returned: Returned) {
        let Some(channel) = self.channels.get(key) else { return };
        channel.returns_octets += return_cost(&returned);
        channel.returns.push_back(returned);
        let budget = self.options.consumer_budget;
        while channel.returns.len() > RETURNS_MAX
            || (channel.returns_octets > budget && channel.returns.len() > 1)
        {
            self.effects.log(Level::WARN, || {
                tracing::warn!("nobody takes returned messages; the oldest is dropped");
            });
            let dropped = channel.returns.pop_front();
            channel.returns_octets -= dropped.as_ref().map_or(0, return_cost);
        }
        self.effects.wake_all(channel.return_waiters.take_all());
    }

    /// A message that has come back, if there is one.
    pub(crate) fn take_returned(&mut self, key: ChannelKey) -> Option<Returned> {
        let channel = self.channels.get(key)?;
        let returned = channel.returns.pop_front()?;
        channel.returns_octets -= return_cost(&returned);
        Some(returned)
    }

    /// The next message that came back and is no publish's outcome.
    pub(crate) fn poll_returned(
        &mut self,
        key: ChannelKey,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<Result<Returned>> {
        let key = self.channels.current(key);
        if let Some(returned) = self.take_returned(key) {
            return Poll::Ready(Ok(returned));
        }
        let comes_back = self.channels.get(key).is_some_and(|it| it.restoring().is_some());
        if !comes_back && let Err(error) = self.live_channel(key) {
            return Poll::Ready(Err(error));
        }
        match self.channels.get(key) {
            None => Poll::Ready(Err(Error::stale(None))),
            Some(channel) => {
                let old = channel.return_waiters.stay(ticket, waker);
                self.effects.discard_waker(old);
                Poll::Pending
            }
        }
    }
}
