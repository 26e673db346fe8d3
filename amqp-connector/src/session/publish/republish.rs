//! Publishing again what was unanswered when the connection was lost, on channels whose user has chosen so.
//!
//! It begins when a channel is restored and goes on whenever there is room, before what anybody else publishes: nobody waits
//! for it, and no task is needed. Called by recovery, by whatever makes room, and by what lets a channel publish on.

use amqp_types::content::ContentHeader;
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod, Method, Properties};

use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::output::outbox::SHARED_MAX;
use crate::session::output::put_content;
use crate::session::publish::confirm::Confirms;

/// How far a channel's messages went.
#[derive(PartialEq, Eq)]
enum Progress {
    /// There is no more to go.
    Done,
    /// The rest waits for room, for the peer or for the pace.
    Waits,
}

impl ChannelState {
    /// How many messages are to be published again.
    pub(in crate::session) fn republishing(&self) -> usize {
        self.confirms.as_ref().map_or(0, Confirms::republishing)
    }
}

impl Session {
    /// A channel is restored: what is to be published again on it may go.
    pub(in crate::session) fn begin_republishing(&mut self, key: ChannelKey) {
        if self.channels.get(key).is_some_and(|channel| channel.republishing() > 0) {
            self.republishing.push_back(key);
            self.republish();
        }
    }

    /// Publishes again as much as there is room for.
    #[cold]
    #[inline(never)]
    pub(in crate::session) fn republish(&mut self) {
        for _ in 0..self.republishing.len() {
            let Some(key) = self.republishing.pop_front() else { break };
            match self.republish_on(key) {
                Progress::Done => self.wake_gate(key),
                Progress::Waits => self.republishing.push_back(key),
            }
        }
        self.notify_driver();
    }

    fn republish_on(&mut self, key: ChannelKey) -> Progress {
        loop {
            let Some(channel) = self.channels.get(key) else { return Progress::Done };
            if !channel.is_live() || channel.restoring().is_some() {
                return Progress::Done;
            }
            let Some(confirms) = &channel.confirms else { return Progress::Done };
            let Some((tag, message)) = confirms.next_again() else { return Progress::Done };
            let Some(size) = message.map(|message| message.body.len()) else {
                self.give_up_again(key, tag);
                continue;
            };
            let (may_go, behind) = (channel.flow.room() > 0, !channel.large.is_empty());
            let fits = match size > SHARED_MAX || behind {
                true => self.fits_own(key, size),
                false => self.has_room(size),
            };
            if !may_go || !fits {
                return Progress::Waits;
            }
            match self.put_again(key) {
                true => self.spend(key),
                false => self.give_up_again(key, tag),
            }
        }
    }

    /// Encodes the next message; false if that cannot be done.
    fn put_again(&mut self, key: ChannelKey) -> bool {
        let frame_max = self.tuning.frame_max;
        let Some(channel) = self.channels.get(key) else { return false };
        // Out of the channel as long as that is written to.
        let Some(mut confirms) = channel.confirms.take() else { return false };
        let put = confirms.next_again().and_then(|(tag, message)| {
            let message = message?;
            // By way of all methods and properties: a second caller of their own encoding would have every publish call that.
            let publish = message.publish.clone().into_any();
            let method = |writer: &mut Writer<'_>| publish.encode(writer);
            let properties = message.properties().clone().into_any();
            let header = ContentHeader { body_size: message.body.len() as u64, properties };
            let header = |writer: &mut Writer<'_>| header.encode_any(writer);
            put_content(&mut self.outbox, channel, frame_max, method, header, &message.body)
                .ok()?;
            Some(tag)
        });
        if let Some(tag) = put {
            confirms.went_again(tag);
            self.effects.counts.republished();
        }
        channel.confirms = Some(confirms);
        put.is_some()
    }

    /// A message cannot be published again: it does not fit the new connection's frames, or is gone with its last handle.
    fn give_up_again(&mut self, key: ChannelKey, tag: u64) {
        let Some(channel) = self.channels.get(key) else { return };
        if let Some(confirms) = &mut channel.confirms {
            confirms.give_up_again(tag, &mut self.effects);
            self.effects.wake_all(channel.answer_waiters.take_all());
        }
    }
}
