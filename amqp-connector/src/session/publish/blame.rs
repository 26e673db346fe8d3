//! Which publish a peer means that closes a channel or the connection because of one. Called when that happens, changes nothing.

use std::panic::Location;

use amqp_types::protocol::basic;
use amqp_types::{Method as _, ShortStr};

use crate::error::{BlamedPublish, Publishes, Tags};
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState, Sent};
use crate::session::publish::confirm::Confirms;
use crate::session::publish::origin::Origin;

impl Session {
    /// What a close by the peer, of one channel or of all, with the method that it blames, tells of publishes.
    pub(in crate::session) fn publishes_at_close(
        &mut self,
        key: Option<ChannelKey>,
        blamed: Option<&'static str>,
        text: &ShortStr,
    ) -> Option<Box<Publishes>> {
        let mut unconfirmed = Tags::default();
        self.each_closing(key, |channel| {
            if let Some(confirms) = &channel.confirms {
                unconfirmed.add(channel.key.id, confirms.pending().map(|(tag, _)| tag));
            }
        });
        let blamed = (blamed == Some(basic::Publish::NAME)).then(|| self.blamed_publish(key, text));
        let blamed = blamed.flatten();
        let any = blamed.is_some() || !unconfirmed.is_empty();
        any.then(|| Box::new(Publishes { blamed, unconfirmed }))
    }

    fn blamed_publish(
        &mut self,
        key: Option<ChannelKey>,
        text: &ShortStr,
    ) -> Option<BlamedPublish> {
        let mut told = Told::of(text.as_bytes());
        let mut fitting = Fitting::default();
        self.each_closing(key, |channel| fitting.look_at(channel, &told));
        if matches!(told, Told::Immediate) && fitting.is_empty() {
            // It means something else.
            told = Told::Nothing;
            self.each_closing(key, |channel| fitting.look_at(channel, &told));
        }
        fitting.blamed().or_else(|| {
            Some(BlamedPublish { exchange: Some(told.exchange()?), ..BlamedPublish::default() })
        })
    }

    /// The channel that is closed, or all that are by the close of the connection.
    fn each_closing(&mut self, key: Option<ChannelKey>, mut look: impl FnMut(&ChannelState)) {
        match key {
            Some(key) => {
                if let Some(channel) = self.channels.get(key) {
                    look(channel);
                }
            }
            None => {
                let all = self.channels.iter_mut().filter(|channel| channel.ended().is_none());
                all.for_each(|channel| look(channel));
            }
        }
    }
}

impl ChannelState {
    /// Notes what is published without confirms: the first message, and then only that there are more.
    #[cold]
    #[inline(never)]
    pub(in crate::session) fn note_sent(
        &mut self,
        publish: &basic::Publish,
        place: &'static Location<'static>,
    ) {
        // Copies: the user's octets are not dropped under the lock.
        let copy = |text: &ShortStr| ShortStr::try_from(text.as_bytes()).ok();
        let one = || BlamedPublish {
            exchange: copy(&publish.exchange),
            routing_key: copy(&publish.routing_key),
            place: Some(place),
            ..BlamedPublish::one()
        };
        self.sent = match self.sent {
            Sent::Nothing => Sent::One(Box::new(one()), publish.immediate),
            Sent::One(..) | Sent::Many => Sent::Many,
        };
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
    /// Whether nothing was found that fits, nor anything that may.
    fn is_empty(&self) -> bool {
        self.common.is_none() && !self.unseen
    }

    /// Looks for the publishes of a channel that fit `told`.
    fn look_at(&mut self, channel: &ChannelState, told: &Told<'_>) {
        // What went before the broker has said that it confirms is without them, and may be what it means.
        let mut counted = false;
        if !channel.confirms.as_ref().is_some_and(Confirms::has_begun) {
            match &channel.sent {
                Sent::Nothing => {}
                Sent::Many => self.unseen = true,
                Sent::One(publish, immediate) => {
                    let fits = match told {
                        Told::Immediate => *immediate,
                        told => publish.exchange.as_ref().is_some_and(|it| told.names(it)),
                    };
                    if fits {
                        self.add((**publish).clone());
                        counted = true;
                    }
                }
            }
        }
        let Some(confirms) = &channel.confirms else { return };
        let pending = confirms.pending().filter_map(|(tag, origin)| Some((tag, origin?)));
        let mut fitting = pending.filter(|(tag, origin)| match told {
            Told::Immediate => confirms.asks_for_immediate(*tag),
            told => told.names(&origin.exchange),
        });
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
        found.channels = usize::from(!counted);
        found.delivery_tag = found.delivery_tag.filter(|_| tags.len() == 1);
        found.candidates.add(channel.key.id, tags.into_iter());
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
        common.candidates.append(other.candidates);
    }

    fn blamed(self) -> Option<BlamedPublish> {
        self.common.filter(|_| !self.unseen)
    }
}

/// What a text tells of the publish that it means.
enum Told<'a> {
    Nothing,
    /// It was to be returned where it does not reach a consumer at once, as in `immediate=true`.
    Immediate,
    Exchange(Named<'a>),
}

impl<'a> Told<'a> {
    fn of(text: &'a [u8]) -> Self {
        const IMMEDIATE: &[u8] = b"immediate";
        match Named::of(text) {
            Some(named) => Self::Exchange(named),
            None if text.windows(IMMEDIATE.len()).any(|part| part == IMMEDIATE) => Self::Immediate,
            None => Self::Nothing,
        }
    }

    /// Whether it can mean a publish to this exchange.
    fn names(&self, exchange: &ShortStr) -> bool {
        match self {
            Self::Nothing | Self::Immediate => true,
            Self::Exchange(named) => named.fits(exchange),
        }
    }

    /// The exchange, if there is but one that it can be.
    fn exchange(&self) -> Option<ShortStr> {
        match self {
            Self::Exchange(named) => named.whole(),
            Self::Nothing | Self::Immediate => None,
        }
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
