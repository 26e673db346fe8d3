//! What the broker answers to publishes, and how those who wait for it learn of it: one publish or all of a channel.
//!
//! Called by `incoming` and by the handles of `crate::publish` and of channels.

use std::task::Poll;

use crate::error::{Error, Result};
use crate::options::ConfirmOptions;
use crate::outcome::{ConfirmCounts, Outcome};
use crate::session::Caller;
use crate::session::Session;
use crate::session::channel::ChannelKey;
use crate::session::publish::Message;
use crate::session::publish::confirm::{Confirms, Limits};
use crate::session::publish::tally::Awaited;

/// An outcome that was asked for.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// None on a channel without confirms.
    pub(crate) outcome: Option<Outcome>,
    /// It failed, and its message is kept.
    pub(crate) kept: bool,
    /// As in [`Accepted`](super::Accepted).
    pub(crate) charge: bool,
}

impl Session {
    /// `basic.ack` or `basic.nack` from the peer. False for a tag that was never published.
    #[must_use]
    pub(in crate::session) fn handle_confirm(
        &mut self,
        key: ChannelKey,
        tag: u64,
        multiple: bool,
        positive: bool,
    ) -> bool {
        let Some(channel) = self.channels.get(key) else { return true };
        let known = match &mut channel.confirms {
            Some(confirms) => confirms.confirm(tag, multiple, positive, &mut self.effects),
            None => false,
        };
        let strays = channel.confirms.as_ref().is_some_and(Confirms::has_strays);
        if channel.confirms.as_mut().is_some_and(Confirms::wakes_waiters) {
            self.effects.wake_all(channel.answer_waiters.take_all());
        }
        if strays {
            self.keep_strays(key);
        }
        self.wake_gate(key);
        known
    }

    /// What became of the publish with `tag`.
    pub(crate) fn poll_confirm(
        &mut self,
        key: ChannelKey,
        tag: u64,
        waker: &dyn Caller,
    ) -> Poll<Claimed> {
        let channel = self.channels.get(key);
        let queued = channel.as_ref().is_some_and(|channel| !channel.gate.is_empty());
        let Some(confirms) = channel.and_then(|channel| channel.confirms.as_mut()) else {
            return Poll::Ready(Claimed { outcome: None, kept: false, charge: false });
        };
        match confirms.poll(tag, waker, &mut self.effects) {
            None => Poll::Pending,
            Some(outcome) => {
                let kept = confirms.keeps(&outcome);
                if queued {
                    self.wake_gate(key);
                }
                Poll::Ready(Claimed { outcome: Some(outcome), kept, charge: self.charge(0) })
            }
        }
    }

    /// Nobody will ask for `tag` any more. Gives what was known, to be dropped outside the lock.
    pub(crate) fn detach_confirm(&mut self, key: ChannelKey, tag: u64) -> Option<Outcome> {
        let confirms = self.channels.get(key)?.confirms.as_mut()?;
        let outcome = confirms.detach(tag, &mut self.effects);
        self.wake_gate(key);
        outcome
    }

    /// The message of a publish that failed, for the owner of its confirmation.
    pub(crate) fn take_message(&mut self, key: ChannelKey, tag: u64) -> Option<Message> {
        let confirms = self.channels.get(key)?.confirms.as_mut()?;
        let message = confirms.take_message(tag);
        self.wake_gate(key);
        message
    }

    /// The owner of the confirmation of a publish that failed is gone, and has not taken its message.
    pub(crate) fn leave_message(&mut self, key: ChannelKey, tag: u64) {
        if let Some(confirms) = self.channels.get(key).and_then(|it| it.confirms.as_mut()) {
            confirms.leave_message(tag);
        }
    }

    /// Publishes of a channel that the broker has not answered.
    pub(crate) fn unconfirmed(&mut self, key: ChannelKey) -> usize {
        self.channels
            .get(key)
            .and_then(|channel| channel.confirms.as_ref())
            .map_or(0, Confirms::unconfirmed)
    }

    /// Waits until all publishes up to the first look are answered.
    pub(crate) fn poll_answered(
        &mut self,
        key: ChannelKey,
        wait: &mut Awaited,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<Result<ConfirmCounts>> {
        let key = self.channels.current(key);
        let Some(channel) = self.channels.get(key) else {
            return Poll::Ready(Err(Error::stale(None)));
        };
        let Some(confirms) = &mut channel.confirms else {
            return Poll::Ready(Err(match channel.close_reason() {
                Some(reason) => Error::closed(reason.clone()),
                None => Error::invalid("the channel is not in confirm mode"),
            }));
        };
        match confirms.poll_answered(wait) {
            Some((true, counts)) => Poll::Ready(Ok(counts)),
            Some((false, _)) => Poll::Ready(Err(match channel.close_reason() {
                Some(reason) => Error::closed(reason.clone()),
                None => Error::stale(None),
            })),
            None => {
                let old = channel.answer_waiters.stay(ticket, waker);
                self.effects.discard_waker(old);
                Poll::Pending
            }
        }
    }

    /// What the channel's confirm mode is to be like, from its beginning or from now on.
    pub(crate) fn set_confirm_options(&mut self, key: ChannelKey, options: ConfirmOptions) {
        let limits = self.confirm_limits(&options);
        if let Some(channel) = self.channels.get(key) {
            if let Some(confirms) = &mut channel.confirms {
                confirms.set_limits(limits, options.keeps());
            }
            channel.confirm_options = options;
            self.wake_gate(key);
        }
    }

    /// The limits of a channel, where it has none of its own the connection's.
    pub(in crate::session) fn confirm_limits(&self, options: &ConfirmOptions) -> Limits {
        let all = &self.options;
        Limits {
            count: options.unconfirmed_max.unwrap_or(all.unconfirmed_max),
            octets: options.unconfirmed_octets_max.unwrap_or(all.unconfirmed_octets_max),
            retained: options.retained_budget.unwrap_or(all.retained_budget),
            republish: options.republish,
        }
    }

    /// The messages of failed publishes whose confirmation nobody holds, in tag order.
    pub(crate) fn take_failed(&mut self, key: ChannelKey) -> Vec<Message> {
        let confirms = self.channels.get(key).and_then(|channel| channel.confirms.as_mut());
        let orphans = confirms.map(Confirms::take_orphans).unwrap_or_default();
        self.wake_gate(key);
        orphans
    }
}
