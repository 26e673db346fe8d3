//! Which publish a peer means that closes a channel or the connection because of one. Called when that happens, changes nothing.

use std::ops::RangeInclusive;

use amqp_types::protocol::basic;
use amqp_types::{Method as _, ShortStr};

use crate::error::{BlamedPublish, Publishes};
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState, Sent};
use crate::session::publish::origin::Origin;

impl Session {
    /// What a close by the peer, of one channel or of all, with the method that it blames, tells of publishes.
    pub(in crate::session) fn publishes_at_close(
        &mut self,
        key: Option<ChannelKey>,
        blamed: Option<&'static str>,
        text: &ShortStr,
    ) -> Option<Box<Publishes>> {
        let named = Named::of(text.as_bytes());
        let mut fitting = Fitting::default();
        if blamed == Some(basic::Publish::NAME) {
            match key {
                Some(key) => fitting.look_at(self.channels.get(key)?, named.as_ref()),
                None => {
                    for channel in self.channels.iter_mut().filter(|it| it.ended().is_none()) {
                        fitting.look_at(channel, named.as_ref());
                    }
                }
            }
        }
        let unconfirmed = key
            .and_then(|key| self.channels.get(key)?.confirms.as_ref())
            .map(|confirms| ranges(confirms.pending().map(|(tag, _)| tag)))
            .unwrap_or_default();
        let blamed = match fitting.blamed() {
            None if blamed == Some(basic::Publish::NAME) => {
                named.as_ref().and_then(Named::whole).map(|exchange| BlamedPublish {
                    exchange: Some(exchange),
                    ..BlamedPublish::default()
                })
            }
            found => found,
        };
        let any = blamed.is_some() || !unconfirmed.is_empty();
        any.then(|| Box::new(Publishes { blamed, unconfirmed }))
    }
}

/// The publishes that a close may mean: what they have in common, and how many they are.
#[derive(Default)]
struct Fitting {
    common: Option<BlamedPublish>,
    /// Some may fit of which nothing is known.
    unseen: bool,
}

impl Fitting {
    fn look_at(&mut self, channel: &ChannelState, named: Option<&Named<'_>>) {
        let Some(confirms) = &channel.confirms else {
            return match &channel.sent {
                Sent::Nothing => {}
                Sent::Many => self.unseen = true,
                Sent::One(publish) => {
                    let fits = |exchange| named.is_none_or(|named| named.fits(exchange));
                    if publish.exchange.as_ref().is_some_and(fits) {
                        self.add((**publish).clone());
                    }
                }
            };
        };
        let pending = confirms.pending().filter_map(|(tag, origin)| Some((tag, origin?)));
        let mut fitting =
            pending.filter(|(_, origin)| named.is_none_or(|named| named.fits(&origin.exchange)));
        let Some((first, origin)) = fitting.next() else { return };
        let mut found = whole(first, origin);
        let mut last = origin;
        let mut tags = vec![first];
        for (tag, origin) in fitting {
            tags.push(tag);
            if !std::ptr::eq(origin, last) {
                last = origin;
                found.keep_common(&whole(tag, origin));
            }
        }
        found.count = tags.len();
        found.delivery_tag = found.delivery_tag.filter(|_| tags.len() == 1);
        found.candidates = ranges(tags.into_iter());
        found.channel = Some(channel.key.id);
        self.add(found);
    }

    /// Those of another channel.
    fn add(&mut self, other: BlamedPublish) {
        let Some(common) = &mut self.common else {
            self.common = Some(other);
            return;
        };
        common.keep_common(&other);
        common.count += other.count;
        common.channels += other.channels;
        // Tags are a channel's.
        (common.channel, common.delivery_tag) = (None, None);
        common.candidates = Vec::new();
    }

    fn blamed(self) -> Option<BlamedPublish> {
        self.common.filter(|_| !self.unseen)
    }
}

/// The exchange that a text names, as in `no exchange 'x' in vhost '/'`. The end of a long text is missing.
struct Named<'a> {
    rest: &'a [u8],
}

impl<'a> Named<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        const BEFORE: &[u8] = b"exchange '";
        let at = text.windows(BEFORE.len()).position(|part| part == BEFORE)?;
        Some(Self { rest: text.get(at + BEFORE.len()..)? })
    }

    /// A name may itself have a quote in it, so the text is compared with it instead of being cut.
    fn fits(&self, exchange: &ShortStr) -> bool {
        match self.rest.strip_prefix(exchange.as_bytes()) {
            Some(after) if self.ends().next().is_some() => after.starts_with(AFTER),
            Some(after) => after.first() == Some(&b'\''),
            None => {
                let cut = self.rest.strip_suffix(b"...").unwrap_or(self.rest);
                !self.rest.contains(&b'\'') && exchange.as_bytes().starts_with(cut)
            }
        }
    }

    /// Where the name may end.
    fn ends(&self) -> impl Iterator<Item = usize> {
        self.rest
            .windows(AFTER.len())
            .enumerate()
            .filter_map(|(at, part)| (part == AFTER).then_some(at))
    }

    /// The name, if there is but one that it can be: it may have all of what follows it in it.
    fn whole(&self) -> Option<ShortStr> {
        let mut ends = self.ends();
        let (end, other) = (ends.next()?, ends.next());
        let name = self.rest.get(..end).filter(|_| other.is_none())?;
        ShortStr::try_from(name).ok()
    }
}

/// What follows an exchange's name.
const AFTER: &[u8] = b"' in vhost";

fn whole(tag: u64, origin: &Origin) -> BlamedPublish {
    BlamedPublish {
        exchange: Some(origin.exchange.clone()),
        routing_key: Some(origin.routing_key.clone()),
        delivery_tag: Some(tag),
        place: Some(origin.place),
        ..BlamedPublish::one()
    }
}

/// Runs of tags that follow each other.
fn ranges(tags: impl Iterator<Item = u64>) -> Vec<RangeInclusive<u64>> {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for tag in tags {
        match ranges.last_mut() {
            Some(last) if last.end() + 1 == tag => *last = *last.start()..=tag,
            _ => ranges.push(tag..=tag),
        }
    }
    ranges
}
