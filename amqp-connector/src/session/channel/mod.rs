//! What the session keeps of a channel; `table` has all of them.
//!
//! ```text
//!            open-ok      close by us          drained          close-ok
//!  Opening ----------> Open ---------> Draining --------> Closing --------> Closed
//!     |                  |                |  close by the peer,               ^
//!     +------------------+----------------+-- connection's end ---------------+
//! ```
//!
//! A channel of a connection that was lost and is to come back is `Restoring` from `Open` to `Open`, and so is one that is
//! reopened, from `Closed` to `Open`.
//!
//! An open channel is `Streaming` while a body is published from a stream, or consumed as one.
//!
//! A number is free for reuse once its channel is Closed; the state itself stays, under its epoch, until
//! the last handle is gone, so that every handle finds the reason. Nothing here encodes or sends.

mod table;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;
use std::time::Duration;

use amqp_types::ShortStr;
use amqp_types::content::Assembler;
use amqp_types::protocol::Spec;
use tokio::time::Instant;

pub(in crate::session) use table::ChannelTable;

use crate::error::{BlamedPublish, CloseReason};
use crate::options::ConfirmOptions;
use crate::outcome::{Epoch, Returned};
use crate::session::calls::blame::Unanswered;
use crate::session::calls::pending::PendingCall;
use crate::session::consume::coalesce::Coalescer;
use crate::session::consume::consumer::Consumers;
use crate::session::output::outbox::LargeItem;
use crate::session::publish::admission::Admission;
use crate::session::publish::confirm::Confirms;
use crate::session::publish::pace::Flow;
use crate::session::stream::Streaming;
use crate::session::stream::bodies::Bodies;
use crate::session::unasked::Inbox;
use crate::session::wait::WaitList;

/// One incarnation of a channel: its number may be reused, its epoch never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChannelKey {
    pub(crate) id: u16,
    pub(crate) epoch: u64,
}

impl ChannelKey {
    /// As one number, to be changed at once. So epochs have 48 bits: a million channels each second are 9 years.
    pub(crate) fn packed(self) -> u64 {
        self.epoch << 16 | u64::from(self.id)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "it is the part that is the number")]
    pub(crate) fn unpacked(packed: u64) -> Self {
        Self { id: packed as u16, epoch: packed >> 16 }
    }
}

pub(crate) enum ChannelPhase {
    Opening,
    Open,
    /// As `Open`, but some of its bodies are streams.
    Streaming(Streaming),
    /// What was begun is brought to its end; nothing new begins. Our close is to follow.
    Draining(Arc<CloseReason>),
    /// Our close is on its way; everything but its answer is ignored.
    Closing(Arc<CloseReason>),
    /// Its connection was lost, or it was closed while it came back from that: it is to come back.
    Restoring(Restoring, Arc<CloseReason>),
    Closed(Arc<CloseReason>),
}

/// How far a channel that comes back is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restoring {
    /// The peer knows nothing of it.
    Waiting,
    /// Our `channel.open` is on its way.
    Opening,
    /// It is open; its mode and its consumers are being restored.
    Live,
}

/// One channel.
pub(crate) struct ChannelState {
    pub(crate) key: ChannelKey,
    pub(crate) phase: ChannelPhase,
    /// Its number had another incarnation before.
    pub(crate) reused: bool,
    /// The supervisor's own, while a connection is being restored: nobody is told of it.
    pub(crate) own: bool,
    /// What is declared on it is not to be declared again after a loss: it only asks what there is.
    pub(crate) unrecorded: bool,
    /// Somebody awaits that it is open again after it was closed. Until then it is closed for all others.
    pub(crate) reopening: bool,
    /// The epochs of its last incarnations, if it was reopened.
    pub(in crate::session) former: VecDeque<u64>,
    /// Where its handle has its key, packed.
    pub(in crate::session) handle_key: Option<Arc<AtomicU64>>,
    /// No handle is left; the state goes as soon as the channel is closed.
    pub(crate) released: bool,
    /// The peer's own close has crossed ours and is answered: another frame would be on a channel that it has forgotten.
    pub(crate) close_answered: bool,
    pub(crate) assembler: Assembler<Spec>,
    /// In the order of their numbers.
    pub(crate) calls: VecDeque<PendingCall>,
    /// Messages that were got and whose callers have not taken them yet.
    pub(crate) untaken: usize,
    /// Requests with no-wait, by method, since the last answer.
    pub(crate) unanswered: Vec<Unanswered>,
    pub(crate) consumers: Consumers,
    /// The prefetch that the next consumer gets, as sent last; zero is unlimited.
    pub(crate) prefetch: u16,
    /// The prefetch of all consumers together.
    pub(crate) prefetch_global: u16,
    /// Nothing was sent since that has taken it away, as RabbitMQ sees it.
    pub(crate) prefetch_global_stands: bool,
    /// A `basic.consume` or `basic.get` was sent.
    pub(crate) consumed: bool,
    pub(crate) coalescer: Option<Box<Coalescer>>,
    /// How many acks it held back, and for how long, until it ended.
    pub(in crate::session) coalesced: Option<(usize, Duration)>,
    /// It ended while acks were held back, which nobody will ever write.
    pub(crate) acks_lost: bool,
    /// Deliveries up to this tag are settled by a multiple ack or nack.
    pub(crate) settled_to: u64,
    /// The same when the transaction under way began.
    pub(crate) tx_settled_to: u64,
    /// The first and the last of the deliveries that stay unsettled and that nothing else here knows of.
    pub(crate) left: Option<(u64, u64)>,
    /// What nobody has read of consumers that are being cancelled, to be given back when they are.
    pub(crate) giving: Vec<u64>,
    /// When it has to be at the latest, as a shutdown of one of them says.
    pub(crate) give_by: Option<Instant>,
    /// A queue that keeps its messages was, or is, read here.
    pub(crate) keeps: bool,
    /// Deliveries up to this tag were given back by `basic.recover`.
    pub(crate) recovered_to: u64,
    /// Those of our `basic.recover` that the peer has not answered.
    pub(crate) recovering: usize,
    /// How often what was in flight became void by one.
    pub(crate) recovers: u32,
    /// What the peer counts as its first delivery is the next after this one: the numbers go on when a channel comes
    /// back, so that none means two deliveries.
    pub(crate) tag_base: u64,
    /// Which incarnation it is, as users see it, and which it was before.
    pub(crate) epoch: Epoch,
    pub(crate) epoch_before: Epoch,
    /// How its connection was lost last, or its last incarnation.
    pub(crate) lost: Option<Arc<CloseReason>>,
    /// The queue declared last, which an empty name means.
    pub(crate) last_queue: ShortStr,
    /// The tag of the last delivery.
    pub(crate) last_tag: u64,
    /// Deliveries to be settled that are with the user.
    pub(crate) in_flight: usize,
    /// Tasks that wait until none of a consumer's, or of the channel's, are.
    pub(crate) settle_waiters: WaitList,
    pub(crate) confirms: Option<Confirms>,
    /// What the confirm mode is to be like, or is.
    pub(crate) confirm_options: ConfirmOptions,
    /// Who waits until all publishes are answered.
    pub(crate) answer_waiters: WaitList,
    /// What was published without confirms.
    pub(in crate::session) sent: Sent,
    /// In a transaction: what is published is not seen before a commit.
    pub(crate) tx: bool,
    /// Waits for the source of a streamed body, or for room for it.
    pub(crate) source: Option<Waker>,
    /// Streamed bodies that came, from when a consumer wants them so.
    pub(crate) bodies: Option<Box<Bodies>>,
    /// Whether the peer has paused this channel by `channel.flow`, and how fast it may publish.
    pub(in crate::session) flow: Flow,
    /// Publishers that wait for flow, the pace, or the limit of unconfirmed publishes.
    pub(crate) gate: Admission,
    /// How many publishers of it wait for room in the shared queue, or were let in there and have not gone on.
    pub(crate) in_room: usize,
    /// Publishers that wait for room in its own queue; and whether the session knows that some do.
    pub(crate) behind: Admission,
    pub(crate) waits_behind: bool,
    /// Its own queue: a large content that is under way, and all that comes after it.
    pub(crate) large: VecDeque<LargeItem>,
    /// How many items of it the driver has taken.
    pub(in crate::session) large_taken: u64,
    /// Octets of it, with the frames around them.
    pub(crate) large_octets: usize,
    /// The driver's last turn that took something of `large`.
    pub(crate) large_round: u64,
    /// What its methods carry where the specification has tickets.
    pub(crate) ticket: u16,
    /// Methods that came unasked-for, once somebody wants them.
    pub(crate) inbox: Option<Box<Inbox>>,
    pub(crate) returns: VecDeque<Returned>,
    /// What they cost in memory.
    pub(crate) returns_octets: usize,
    pub(crate) return_waiters: WaitList,
    pub(crate) close_waiters: WaitList,
}

/// What a channel without confirms has published, as far as it is known when the peer closes for it.
#[derive(Default)]
pub(in crate::session) enum Sent {
    #[default]
    Nothing,
    /// This message, and nothing else; and whether it is to be returned where it does not reach a consumer at once.
    One(Box<BlamedPublish>, bool),
    Many,
}

impl ChannelState {
    fn new(key: ChannelKey, reused: bool, assembler: Assembler<Spec>) -> Self {
        Self {
            key,
            phase: ChannelPhase::Opening,
            reused,
            own: false,
            unrecorded: false,
            reopening: false,
            former: VecDeque::new(),
            handle_key: None,
            released: false,
            close_answered: false,
            assembler,
            calls: VecDeque::new(),
            untaken: 0,
            unanswered: Vec::new(),
            consumers: Consumers::default(),
            prefetch: 0,
            prefetch_global: 0,
            prefetch_global_stands: false,
            consumed: false,
            coalescer: None,
            coalesced: None,
            acks_lost: false,
            settled_to: 0,
            tx_settled_to: 0,
            left: None,
            giving: Vec::new(),
            give_by: None,
            keeps: false,
            recovered_to: 0,
            recovering: 0,
            recovers: 0,
            tag_base: 0,
            epoch: Epoch(key.epoch),
            epoch_before: Epoch(key.epoch),
            lost: None,
            last_queue: ShortStr::default(),
            last_tag: 0,
            in_flight: 0,
            settle_waiters: WaitList::default(),
            confirms: None,
            confirm_options: ConfirmOptions::default(),
            answer_waiters: WaitList::default(),
            sent: Sent::Nothing,
            tx: false,
            source: None,
            bodies: None,
            flow: Flow::default(),
            gate: Admission::default(),
            in_room: 0,
            behind: Admission::default(),
            waits_behind: false,
            large: VecDeque::new(),
            large_taken: 0,
            large_octets: 0,
            large_round: 0,
            ticket: 0,
            inbox: None,
            returns: VecDeque::new(),
            returns_octets: 0,
            return_waiters: WaitList::default(),
            close_waiters: WaitList::default(),
        }
    }

    pub(crate) fn close_reason(&self) -> Option<&Arc<CloseReason>> {
        match &self.phase {
            ChannelPhase::Opening
            | ChannelPhase::Open
            | ChannelPhase::Streaming(_)
            | ChannelPhase::Restoring(..) => None,
            ChannelPhase::Draining(reason)
            | ChannelPhase::Closing(reason)
            | ChannelPhase::Closed(reason) => Some(reason),
        }
    }

    /// Why it is over; nothing as long as what was begun can still end well.
    pub(crate) fn ended(&self) -> Option<&Arc<CloseReason>> {
        match &self.phase {
            ChannelPhase::Closing(reason) | ChannelPhase::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether it is in the graceful part of its end.
    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.phase, ChannelPhase::Draining(_))
    }

    /// Whether deliveries may be settled and calls be answered on it.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        matches!(
            self.phase,
            ChannelPhase::Open
                | ChannelPhase::Draining(_)
                | ChannelPhase::Streaming(_)
                | ChannelPhase::Restoring(Restoring::Live, _)
        )
    }

    /// How many publishes flow, the pace and the limits of unconfirmed and retained ones allow now, besides those
    /// that were admitted already.
    #[inline]
    pub(crate) fn gate_room(&self) -> usize {
        match self.flow.is_free() {
            true => self.free_room(),
            false => self.paced_room().saturating_sub(self.gate.reserved()),
        }
    }

    /// The same, where nothing but confirms bounds publishing.
    #[inline]
    pub(in crate::session) fn free_room(&self) -> usize {
        let room = match &self.confirms {
            None => usize::MAX,
            Some(confirms) => confirms.room(),
        };
        room.saturating_sub(self.gate.reserved())
    }

    /// Whether it is open, with streams or without.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, ChannelPhase::Open | ChannelPhase::Streaming(_))
    }

    /// Whether a streamed publish owns it.
    pub(crate) fn is_publishing_stream(&self) -> bool {
        matches!(self.phase, ChannelPhase::Streaming(Streaming { publishing: true, .. }))
    }

    /// Changes which streams an open channel has.
    pub(crate) fn set_streaming(&mut self, change: impl FnOnce(&mut Streaming)) {
        let mut streaming = match self.phase {
            ChannelPhase::Open => Streaming::default(),
            ChannelPhase::Streaming(streaming) => streaming,
            _ => return,
        };
        change(&mut streaming);
        self.phase = match streaming == Streaming::default() {
            true => ChannelPhase::Open,
            false => ChannelPhase::Streaming(streaming),
        };
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, ChannelPhase::Closed(_))
    }

    /// Why it is closed for all but the one who opens it again.
    pub(crate) fn reopened_from(&self) -> Option<&Arc<CloseReason>> {
        match &self.phase {
            ChannelPhase::Restoring(_, reason) if self.reopening => Some(reason),
            _ => None,
        }
    }

    /// How far it is, if it comes back.
    pub(crate) fn restoring(&self) -> Option<Restoring> {
        match &self.phase {
            ChannelPhase::Restoring(stage, _) => Some(*stage),
            _ => None,
        }
    }

    /// The incarnation that a delivery of this number came on, of the last two.
    pub(crate) fn epoch_of(&self, tag: u64) -> Epoch {
        if tag > self.tag_base { self.epoch } else { self.epoch_before }
    }

    /// The number by which the peer knows a delivery. Zero means all that there are.
    #[inline]
    pub(crate) fn wire_tag(&self, tag: u64) -> u64 {
        match tag {
            0 => 0,
            tag => tag.wrapping_sub(self.tag_base),
        }
    }
}
