//! Messages that were published and are kept: to recognise their return by, or to be handed back.
//!
//! Mandatory messages are kept until the broker has answered; with the channel's option `retain` every message is,
//! and one that was nacked or whose outcome is unknown until its owner takes it. In tag order; an entry whose message is gone is
//! hollow, and goes when it comes to the front or when there are many. Called by [`Confirms`](super::confirm::Confirms)
//! alone; messages hold users' octets, so that none is dropped here: they leave by [`Keep::take_gone`].

mod changes;
mod class;
mod group;
mod index;
mod prints;
mod spans;

use std::collections::VecDeque;

use crate::outcome::Returned;
use crate::session::publish::Message;
pub(super) use index::Verdict;

use changes::come_back_as;
use index::Index;

/// Hollow entries that do not matter.
const HOLLOW: usize = 64;

struct Entry {
    tag: u64,
    /// Its number in the index, as long as it is unanswered; zero if it is not there.
    class: u32,
    /// What it counts in the budget.
    octets: usize,
    /// It may come back.
    mandatory: bool,
    /// It was nacked, or its outcome is unknown.
    failed: bool,
    /// Nobody holds its confirmation.
    orphan: bool,
    message: Option<Message>,
}

impl Entry {
    fn is_addressed_as(&self, returned: &Returned) -> bool {
        self.message.as_ref().is_some_and(|Message { publish, .. }| {
            publish.routing_key == returned.routing_key && publish.exchange == returned.exchange
        })
    }

    fn has_body_of(&self, returned: &Returned) -> bool {
        self.is_addressed_as(returned)
            && self.message.as_ref().is_some_and(|message| returned.body == *message.body)
    }

    /// Whether it comes back as this: as it is, or as brokers are known to change it.
    fn comes_back_as(&self, returned: &Returned) -> bool {
        self.has_body_of(returned)
            && self
                .message
                .as_ref()
                .is_some_and(|message| come_back_as(message.properties(), &returned.properties))
    }
}

/// The kept messages of one channel.
#[derive(Default)]
pub(super) struct Keep {
    entries: VecDeque<Entry>,
    octets: usize,
    hollow: usize,
    /// Failed messages stay until they are taken.
    pub(super) retains: bool,
    /// Returns come in publish order: none is for this tag or an earlier one.
    returned_to: u64,
    /// What returns may mean; there is none before the first.
    index: Option<Box<Index>>,
    gone: Vec<Message>,
}

impl Keep {
    pub(super) fn new(retains: bool) -> Self {
        Self { retains, ..Self::default() }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(super) fn looks(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.work.looks)
    }

    #[cfg(test)]
    pub(super) fn given_away(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.given_away())
    }

    /// What the messages count in the budget.
    #[inline]
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// Keeps what was published as `tag`, and leaves an empty message to its owner.
    pub(super) fn add(&mut self, tag: u64, message: &mut Message, octets: usize) {
        let octets = octets + size_of::<Entry>();
        self.octets += octets;
        let Message { publish, properties, body } = message;
        let mandatory = publish.mandatory || publish.immediate;
        let message = Message {
            publish: std::mem::take(publish),
            properties: std::mem::take(properties),
            body: std::mem::take(body),
        };
        let (failed, orphan, message) = (false, false, Some(message));
        self.entries.push_back(Entry { tag, class: 0, octets, mandatory, failed, orphan, message });
    }

    /// Keeps a return for the publish that it is of, and gives it back where that is not certain.
    pub(super) fn pair(&mut self, returned: Returned) -> Option<Returned> {
        if self.entries.is_empty() {
            return Some(returned);
        }
        let Self { entries, index, returned_to, .. } = self;
        let index = index.get_or_insert_default();
        index.update(entries);
        match index.give(Box::new(returned), entries, *returned_to) {
            Ok(tag) => {
                *returned_to = tag;
                None
            }
            Err(returned) => Some(*returned),
        }
    }

    /// A message came back of which only the address is known: nobody can tell which one it is of those sent there.
    pub(super) fn doubt(&mut self, address: (&[u8], &[u8])) {
        let Self { entries, index, returned_to, .. } = self;
        if !entries.is_empty() {
            let index = index.get_or_insert_default();
            index.update(entries);
            index.give_unreadable(address, entries, *returned_to);
        }
    }

    /// Whether the message of `tag` is to be returned where it does not reach a consumer at once.
    pub(super) fn asks_for_immediate(&self, tag: u64) -> bool {
        self.message(tag).is_some_and(|message| message.publish.immediate)
    }

    /// Whether a return may change what an answer means.
    #[inline]
    pub(super) fn is_indexed(&self) -> bool {
        self.index.as_ref().is_some_and(|index| !index.is_empty())
    }

    /// What an ack of `tag` means.
    pub(super) fn verdict(&mut self, tag: u64) -> Verdict {
        let class = self.position(tag).and_then(|at| self.entries.get(at)).map(|it| it.class);
        match (&mut self.index, class) {
            (Some(index), Some(class)) if class != 0 => index.verdict(tag, class),
            _ => Verdict::Plain,
        }
    }

    /// The channel ended: returns without an outcome are none any more.
    pub(super) fn give_up_returns(&mut self) {
        if let Some(index) = &mut self.index {
            index.give_up();
        }
    }

    /// What came back means nothing for what is still unanswered, which goes to another broker.
    pub(super) fn forget_returns(&mut self) {
        if self.index.take().is_some() {
            self.entries.iter_mut().for_each(|entry| entry.class = 0);
        }
        self.returned_to = 0;
    }

    /// The message of `tag`, if it is kept.
    pub(super) fn message(&self, tag: u64) -> Option<&Message> {
        self.position(tag).and_then(|at| self.entries.get(at)?.message.as_ref())
    }

    /// Returns that are no publish's outcome after all.
    pub(super) fn take_strays(&mut self) -> Vec<Returned> {
        self.index.as_mut().map(|index| index.take_strays()).unwrap_or_default()
    }

    /// The outcome of `tag` is known: its message goes, unless it failed and is to be handed back.
    pub(super) fn settle(&mut self, tag: u64, failed: bool) {
        if let Some(at) = self.position(tag) {
            self.leave_index(at);
            if failed && self.retains {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.failed = true;
                }
            } else if let Some(message) = self.empty(at) {
                self.gone.push(message);
            }
        }
    }

    #[inline]
    fn leave_index(&mut self, at: usize) {
        if let (Some(index), Some(entry)) = (&mut self.index, self.entries.get_mut(at))
            && entry.class != 0
        {
            index.leave(entry.tag, std::mem::take(&mut entry.class));
        }
    }

    /// The message of a failed publish, for the owner of its confirmation.
    pub(super) fn take(&mut self, tag: u64) -> Option<Message> {
        let at = self.position(tag)?;
        self.empty(at)
    }

    /// Nobody holds the confirmation of `tag` any more.
    pub(super) fn orphan(&mut self, tag: u64) {
        if let Some(entry) = self.position(tag).and_then(|at| self.entries.get_mut(at)) {
            entry.orphan = true;
        }
    }

    /// The failed messages whose confirmation nobody holds, in tag order.
    pub(super) fn take_orphans(&mut self) -> Vec<Message> {
        let mut orphans = Vec::new();
        for entry in &mut self.entries {
            if entry.failed
                && entry.orphan
                && let Some(message) = entry.message.take()
            {
                self.octets -= entry.octets;
                self.hollow += 1;
                orphans.push(message);
            }
        }
        self.tidy();
        orphans
    }

    /// Gives up everything.
    pub(super) fn clear(&mut self) {
        self.octets = 0;
        self.hollow = 0;
        self.index = None;
        let messages = self.entries.drain(..).filter_map(|entry| entry.message);
        self.gone.extend(messages);
    }

    /// What is to be dropped outside the lock.
    #[inline]
    pub(super) fn take_gone(&mut self) -> Option<Vec<Message>> {
        (!self.gone.is_empty()).then(|| std::mem::take(&mut self.gone))
    }

    fn position(&self, tag: u64) -> Option<usize> {
        position(&self.entries, tag)
    }

    fn empty(&mut self, at: usize) -> Option<Message> {
        let entry = self.entries.get_mut(at)?;
        let message = entry.message.take()?;
        self.octets -= entry.octets;
        self.hollow += 1;
        self.tidy();
        Some(message)
    }

    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.message.is_none()) {
            self.entries.pop_front();
            self.hollow -= 1;
        }
        // Behind one that is kept for ever they must not add up.
        if self.hollow > HOLLOW && self.hollow > self.entries.len() / 2 {
            self.entries.retain(|entry| entry.message.is_some());
            self.hollow = 0;
        }
        if self.entries.is_empty() && self.entries.capacity() > 1024 {
            self.entries.shrink_to(64);
        }
    }
}

fn position(entries: &VecDeque<Entry>, tag: u64) -> Option<usize> {
    // Mostly they are settled in order.
    match entries.front() {
        Some(front) if front.tag == tag => Some(0),
        _ => entries.binary_search_by_key(&tag, |entry| entry.tag).ok(),
    }
}
