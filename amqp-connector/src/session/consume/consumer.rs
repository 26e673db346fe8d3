//! What the session keeps of one consumer: its backlog, whether the peer knows it, and how it ended.
//!
//! Deliveries are plain data here; the [`Consumer`](crate::Consumer) handle takes a batch of them under
//! one lock and builds [`Delivery`](crate::Delivery) values from it outside. Nothing here sends anything.

use std::collections::{HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::Waker;

use amqp_types::ShortStr;
use amqp_types::protocol::basic;

use crate::outcome::{ConsumerEnd, Epoch};
use crate::session::consume::backlog::{Backlog, Crowd};
use crate::session::consume::offsets::Offsets;
use crate::session::consume::unread::{Keeps, Unread};

/// So many consumers are looked through faster than a map is asked.
const FEW: usize = 8;

/// Whether the peer has confirmed the consumer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// `basic.consume` is on its way; deliveries may come already.
    Requested,
    Active,
    /// `basic.cancel` is on its way; what still comes is requeued.
    Cancelling,
    /// The peer knows no such consumer any more; only its handle keeps it.
    Cancelled,
}

/// One consumer of a channel.
pub(crate) struct ConsumerState {
    pub(crate) id: u64,
    pub(crate) tag: ShortStr,
    pub(crate) no_ack: bool,
    /// Zero is unlimited.
    pub(crate) prefetch: u16,
    /// Octets of deliveries that may wait.
    pub(crate) budget: usize,
    pub(crate) phase: Phase,
    /// A handle exists, or a call that will give one is waiting.
    pub(crate) owned: bool,
    /// Its handle was given out.
    pub(crate) claimed: bool,
    /// It was started by a call that gives its handle out, however late that looks at the reply.
    pub(crate) awaited: bool,
    /// The bodies of its deliveries are streams.
    pub(crate) streamed: bool,
    pub(crate) backlog: Backlog,
    /// What waits of incarnations before the present one: up to which tag of which.
    older: VecDeque<(u64, Epoch)>,
    /// What is to be given back of it is gathered until the peer has confirmed its cancel.
    pub(crate) gathers: bool,
    /// Deliveries that came when it was over already.
    pub(crate) late: usize,
    /// What its handle has taken.
    pub(crate) unread: Arc<Unread>,
    pub(crate) waker: Option<Waker>,
    pub(crate) end: Option<ConsumerEnd>,
    /// Its place in the stream that it reads, if it has said one.
    pub(in crate::session) offsets: Option<Box<Offsets>>,
    /// The request that started it, to start it again by.
    pub(crate) start: Option<Box<basic::Consume>>,
    /// The same, from when it has ended with its channel.
    pub(in crate::session) restart: Option<Box<basic::Consume>>,
}

impl ConsumerState {
    pub(crate) fn new(id: u64, tag: ShortStr, no_ack: bool, prefetch: u16, budget: usize) -> Self {
        Self {
            id,
            tag,
            no_ack,
            prefetch,
            budget,
            phase: Phase::Requested,
            owned: true,
            claimed: false,
            awaited: false,
            streamed: false,
            backlog: Backlog::new(),
            older: VecDeque::new(),
            gathers: false,
            late: 0,
            unread: Arc::default(),
            waker: None,
            end: None,
            offsets: None,
            start: None,
            restart: None,
        }
    }

    /// What comes from now on is of another incarnation than what waits, which is of `epoch`.
    pub(crate) fn part_backlog(&mut self, epoch: Epoch, crowd: &mut Crowd) {
        self.backlog.part(crowd);
        if let Some((_, last)) = self.backlog.ends()
            && self.older.back().is_none_or(|(known, _)| *known < last)
        {
            self.older.push_back((last, epoch));
        }
    }

    /// Which incarnation what is taken next is of, if the channel is now of `epoch`.
    pub(crate) fn next_epoch(&mut self, epoch: Epoch) -> Epoch {
        let first = self.backlog.ends().map_or(u64::MAX, |(first, _)| first);
        while self.older.front().is_some_and(|(last, _)| *last < first) {
            self.older.pop_front();
        }
        self.older.front().map_or(epoch, |(_, older)| *older)
    }

    /// Whether all that waits is of one incarnation.
    pub(crate) fn is_whole(&self) -> bool {
        self.older.is_empty()
    }

    /// Whether its queue looks like one that keeps its messages.
    pub(crate) fn looks_kept(&self) -> bool {
        let mut waiting = self.backlog.iter();
        self.unread.looks_kept()
            || waiting.any(|queued| Keeps::No.or_by(&queued.properties) != Keeps::No)
    }
}

/// The consumers of a channel, in the order in which they were started, which is that of their numbers.
#[derive(Default)]
pub(crate) struct Consumers {
    list: Vec<ConsumerState>,
    /// Where in `list` the active one of a tag was found last. To be checked: it may have moved.
    places: HashMap<ShortStr, usize>,
}

impl Consumers {
    pub(crate) fn by_id(&mut self, id: u64) -> Option<&mut ConsumerState> {
        let at = self.list.binary_search_by_key(&id, |consumer| consumer.id).ok()?;
        self.list.get_mut(at)
    }

    /// The consumer that the peer knows by `tag` now: the active one, or one that is being cancelled while
    /// the next of its tag is not confirmed.
    pub(crate) fn by_tag(&mut self, tag: &ShortStr) -> Option<&mut ConsumerState> {
        let at = self.place(tag)?;
        self.list.get_mut(at)
    }

    /// As [`by_tag`](Self::by_tag), for a delivery, which may also be for the consumer whose consume-ok has
    /// not come yet and whose tag the server chooses.
    #[inline]
    pub(crate) fn receiver(&mut self, tag: &ShortStr) -> Option<&mut ConsumerState> {
        let at = match self.place(tag) {
            Some(at) => at,
            None => self.adopt(tag)?,
        };
        self.list.get_mut(at)
    }

    fn adopt(&mut self, tag: &ShortStr) -> Option<usize> {
        let nameless = |it: &ConsumerState| it.phase == Phase::Requested && it.tag.is_empty();
        let at = self.list.iter().position(nameless)?;
        self.list.get_mut(at)?.tag = tag.clone();
        Some(at)
    }

    #[inline]
    fn place(&mut self, tag: &ShortStr) -> Option<usize> {
        // Mostly a channel has one.
        match self.list.first() {
            Some(first) if first.phase == Phase::Active && first.tag == *tag => Some(0),
            _ => self.find_place(tag),
        }
    }

    fn find_place(&mut self, tag: &ShortStr) -> Option<usize> {
        let Self { list, places } = self;
        let few = list.len() <= FEW;
        if !few
            && let Some(at) = places.get(tag)
            && list.get(*at).is_some_and(|it| it.phase == Phase::Active && it.tag == *tag)
        {
            return Some(*at);
        }
        let at = [Phase::Active, Phase::Cancelling, Phase::Requested]
            .into_iter()
            .find_map(|phase| list.iter().position(|it| it.phase == phase && it.tag == *tag))?;
        if !few {
            if places.len() > 2 * list.len() {
                places.clear();
            }
            places.insert(tag.clone(), at);
        }
        Some(at)
    }

    /// The consumer that a cancel of `tag` is meant for: the youngest that the peer may still know.
    pub(crate) fn to_cancel(&self, tag: &[u8]) -> Option<u64> {
        let known = |it: &&ConsumerState| it.phase != Phase::Cancelled && it.tag.as_bytes() == tag;
        self.list.iter().rev().find(known).map(|consumer| consumer.id)
    }
}

impl Deref for Consumers {
    type Target = Vec<ConsumerState>;

    fn deref(&self) -> &Vec<ConsumerState> {
        &self.list
    }
}

impl DerefMut for Consumers {
    fn deref_mut(&mut self) -> &mut Vec<ConsumerState> {
        &mut self.list
    }
}
