//! Messages that were published and are kept: to recognise their return by, or to be handed back.
//!
//! Mandatory messages are kept until the broker has answered; with the channel's option `retain` every message is,
//! and one that was nacked or whose outcome is unknown until its owner takes it. In tag order; an entry whose message is gone is
//! hollow, and goes when it comes to the front or when there are many. Called by [`Confirms`](super::confirm::Confirms)
//! alone; messages hold users' octets, so that none is dropped here: they leave by [`Keep::take_gone`].

use std::collections::VecDeque;
use std::ops::Range;

use amqp_types::FieldTable;
use amqp_types::protocol::basic;

use crate::outcome::Returned;
use crate::session::publish::Message;

/// Hollow entries that do not matter.
const HOLLOW: usize = 64;
/// The pseudo-queue of direct reply-to, which RabbitMQ completes by a name of its own.
const REPLY_TO: &[u8] = b"amq.rabbitmq.reply-to";
/// The header with further routing keys that RabbitMQ takes out before anybody sees the message.
const BCC: &[u8] = b"BCC";

struct Entry {
    tag: u64,
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
        self.message.as_ref().is_some_and(|message| returned.body == *message.body)
    }

    /// Whether it comes back as this: as it is, or as brokers are known to change it.
    fn comes_back_as(&self, returned: &Returned) -> Likeness {
        if !self.is_addressed_as(returned) || !self.has_body_of(returned) {
            return Likeness::None;
        }
        self.message.as_ref().map_or(Likeness::None, |message| {
            if message.properties == returned.properties {
                Likeness::Equal
            } else if is_changed_to(&message.properties, &returned.properties) {
                Likeness::Changed
            } else {
                Likeness::None
            }
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    None,
    Equal,
    Changed,
}

/// What a return means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pairing {
    /// This publish.
    One(u64),
    /// One of these, or none.
    Doubt(Vec<u64>),
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
        self.entries.push_back(Entry { tag, octets, mandatory, failed, orphan, message });
    }

    /// Finds the publish that came back, among those that `is_open` says the broker has not answered: the first
    /// one that is the same. Of several that are equal in everything it is not known which is meant, and
    /// makes no difference but for their tags.
    pub(super) fn pair(&mut self, returned: &Returned, is_open: impl Fn(u64) -> bool) -> Pairing {
        let from = self.entries.partition_point(|entry| entry.tag <= self.returned_to);
        let pending =
            || self.entries.range(from..).filter(|entry| entry.mandatory && is_open(entry.tag));
        let mut like = pending().filter_map(|entry| match entry.comes_back_as(returned) {
            Likeness::None => None,
            likeness => Some((entry, likeness)),
        });
        let tags = |entries: &mut dyn Iterator<Item = &Entry>| -> Vec<u64> {
            entries.map(|entry| entry.tag).collect()
        };
        let found = match like.next() {
            Some((entry, Likeness::Equal)) => Pairing::One(entry.tag),
            // As it left they may differ in what the broker has changed, and in where they are routed to.
            Some((first, _)) if like.any(|(entry, _)| !is_same(first, entry)) => {
                let alike =
                    &mut pending().filter(|entry| entry.comes_back_as(returned) != Likeness::None);
                Pairing::Doubt(tags(alike))
            }
            Some((entry, _)) => Pairing::One(entry.tag),
            // A change that is not known. Where only one has this address and body it is certain all the same.
            None => {
                let mut alike = pending()
                    .filter(|entry| entry.is_addressed_as(returned) && entry.has_body_of(returned));
                match (alike.next(), alike.next()) {
                    (Some(only), None) => Pairing::One(only.tag),
                    (Some(first), Some(second)) => {
                        let mut all = vec![first.tag, second.tag];
                        all.extend(alike.map(|entry| entry.tag));
                        Pairing::Doubt(all)
                    }
                    (None, _) => {
                        let addressed =
                            tags(&mut pending().filter(|entry| entry.is_addressed_as(returned)));
                        match addressed.is_empty() {
                            true => Pairing::Doubt(tags(&mut pending())),
                            false => Pairing::Doubt(addressed),
                        }
                    }
                }
            }
        };
        if let Pairing::One(tag) = found {
            self.returned_to = tag;
        }
        found
    }

    /// The tags in this range whose messages may come back and are the same as that of `tag` in everything.
    pub(super) fn identical(&self, tag: u64, among: Range<u64>) -> Vec<u64> {
        let Some(entry) = self.position(tag).and_then(|at| self.entries.get(at)) else {
            return Vec::new();
        };
        let from = self.entries.partition_point(|entry| entry.tag < among.start);
        let to = self.entries.partition_point(|entry| entry.tag < among.end).max(from);
        let mandatory = self.entries.range(from..to).filter(|other| other.mandatory);
        mandatory.filter(|other| is_identical(entry, other)).map(|other| other.tag).collect()
    }

    /// The outcome of `tag` is known: its message goes, unless it failed and is to be handed back.
    pub(super) fn settle(&mut self, tag: u64, failed: bool) {
        if let Some(at) = self.position(tag) {
            if failed && self.retains {
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.failed = true;
                }
            } else if let Some(message) = self.empty(at) {
                self.gone.push(message);
            }
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
        let messages = self.entries.drain(..).filter_map(|entry| entry.message);
        self.gone.extend(messages);
    }

    /// What is to be dropped outside the lock.
    #[inline]
    pub(super) fn take_gone(&mut self) -> Option<Vec<Message>> {
        (!self.gone.is_empty()).then(|| std::mem::take(&mut self.gone))
    }

    fn position(&self, tag: u64) -> Option<usize> {
        // Mostly they are settled in order.
        match self.entries.front() {
            Some(front) if front.tag == tag => Some(0),
            _ => self.entries.binary_search_by_key(&tag, |entry| entry.tag).ok(),
        }
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

fn is_same(one: &Entry, other: &Entry) -> bool {
    match (&one.message, &other.message) {
        (Some(one), Some(other)) => one.properties == other.properties,
        _ => false,
    }
}

fn is_identical(one: &Entry, other: &Entry) -> bool {
    match (&one.message, &other.message) {
        (Some(one), Some(other)) => {
            one.publish.routing_key == other.publish.routing_key
                && one.publish.exchange == other.publish.exchange
                && one.body == other.body
                && one.properties == other.properties
        }
        _ => false,
    }
}

/// Whether a broker gives these properties back as those: RabbitMQ takes the header `BCC` out and completes the
/// address of direct reply-to.
fn is_changed_to(sent: &basic::Properties, returned: &basic::Properties) -> bool {
    let headers = match (&sent.headers, &returned.headers) {
        (Some(sent), Some(returned)) => sent == returned || is_without_bcc(sent, returned),
        (sent, returned) => sent == returned,
    };
    let reply_to = match (&sent.reply_to, &returned.reply_to) {
        (Some(sent), Some(returned)) if sent.as_bytes() == REPLY_TO => {
            returned.as_bytes().starts_with(REPLY_TO)
        }
        (sent, returned) => sent == returned,
    };
    if !headers || !reply_to {
        return false;
    }
    let mut rest = sent.clone();
    rest.headers = returned.headers.clone();
    rest.reply_to = returned.reply_to.clone();
    rest == *returned
}

fn is_without_bcc(sent: &FieldTable, returned: &FieldTable) -> bool {
    let Some(at) = sent.iter().position(|(key, _)| key.as_bytes() == BCC) else { return false };
    let rest = sent.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, entry)| entry);
    rest.eq(returned.iter())
}
