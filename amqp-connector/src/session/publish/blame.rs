//! Which publish a peer means that closes a channel because of one. Called when that happens, changes nothing.

use std::ops::RangeInclusive;

use amqp_types::protocol::basic;
use amqp_types::{Method as _, ShortStr};

use crate::error::{BlamedPublish, Publishes};
use crate::session::Session;
use crate::session::channel::ChannelKey;
use crate::session::publish::confirm::Confirms;
use crate::session::publish::origin::Origin;

impl Session {
    /// What a close by the peer, with the method that it blames, tells of the channel's publishes.
    pub(in crate::session) fn publishes_at_close(
        &mut self,
        key: ChannelKey,
        blamed: Option<&'static str>,
        text: &ShortStr,
    ) -> Option<Box<Publishes>> {
        let named = Named::of(text.as_bytes());
        let confirms = self.channels.get(key)?.confirms.as_ref();
        let of_publish = blamed == Some(basic::Publish::NAME);
        let blamed = match confirms {
            _ if !of_publish => None,
            Some(confirms) => find(confirms, named.as_ref()),
            None => named.as_ref().and_then(Named::whole).map(|exchange| BlamedPublish {
                exchange: Some(exchange),
                ..BlamedPublish::default()
            }),
        };
        let unconfirmed = confirms.map(ranges).unwrap_or_default();
        let any = blamed.is_some() || !unconfirmed.is_empty();
        any.then(|| Box::new(Publishes { blamed, unconfirmed }))
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
            Some(after) => after.first() == Some(&b'\''),
            None => {
                let cut = self.rest.strip_suffix(b"...").unwrap_or(self.rest);
                !self.rest.contains(&b'\'') && exchange.as_bytes().starts_with(cut)
            }
        }
    }

    fn whole(&self) -> Option<ShortStr> {
        const AFTER: &[u8] = b"' in vhost";
        let length = self.rest.windows(AFTER.len()).position(|part| part == AFTER)?;
        ShortStr::try_from(self.rest.get(..length)?).ok()
    }
}

/// The oldest unconfirmed publish to the exchange that is named, or what all unconfirmed ones have in common.
fn find(confirms: &Confirms, named: Option<&Named<'_>>) -> Option<BlamedPublish> {
    let mut pending = confirms.pending().filter_map(|(tag, origin)| Some((tag, origin?)));
    if let Some(named) = named {
        let (tag, origin) = pending.find(|(_, origin)| named.fits(&origin.exchange))?;
        return Some(whole(tag, origin));
    }
    let (tag, origin) = pending.next()?;
    let common = pending.fold(whole(tag, origin), |common, (_, origin)| BlamedPublish {
        exchange: common.exchange.filter(|exchange| *exchange == origin.exchange),
        routing_key: common.routing_key.filter(|key| *key == origin.routing_key),
        place: common.place.filter(|place| *place == origin.place),
        delivery_tag: None,
    });
    (common != BlamedPublish::default()).then_some(common)
}

fn whole(tag: u64, origin: &Origin) -> BlamedPublish {
    BlamedPublish {
        exchange: Some(origin.exchange.clone()),
        routing_key: Some(origin.routing_key.clone()),
        delivery_tag: Some(tag),
        place: Some(origin.place),
    }
}

/// The tags that have no answer.
fn ranges(confirms: &Confirms) -> Vec<RangeInclusive<u64>> {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for (tag, _) in confirms.pending() {
        match ranges.last_mut() {
            Some(last) if last.end() + 1 == tag => *last = *last.start()..=tag,
            _ => ranges.push(tag..=tag),
        }
    }
    ranges
}
