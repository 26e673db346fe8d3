//! What a consumer's handle has taken and not given out yet, as far as the session must know.
//!
//! The handle takes deliveries by the batch and gives them out without the lock. A graceful close does not
//! wait for those, and has the handle give them back instead of out: this is how the two tell each other.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use amqp_types::protocol::basic;

use crate::session::consume::offsets::STREAM_OFFSET;

/// It is read.
const READ: u8 = 0;
/// The peer has taken it back: it is to be forgotten, but for what nobody was to acknowledge. What comes next may be of
/// another incarnation.
const VOID: u8 = 1;
/// Nothing more is to be given out: it is to be given back.
const STOP: u8 = 2;
/// As `VOID`; and what its handle has told of its end is so no more.
const REVIVED: u8 = 3;

/// Whether a queue keeps its messages whatever becomes of their deliveries, as a stream does. RabbitMQ closes the
/// connection (540) on whoever wants to give one back to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeps {
    No,
    /// Its deliveries carry a stream's offset. So do messages that were moved from a stream to another queue, which
    /// an ack would lose: such a delivery is neither acknowledged nor given back, but stays with its channel.
    Perhaps,
    /// Its consumer said where in a stream to begin.
    Yes,
}

impl Keeps {
    /// What a delivery with these properties adds to what is known of its queue.
    pub(crate) fn or_by(self, properties: &basic::Properties) -> Self {
        let headers = properties.headers.as_ref();
        match self {
            Self::No if headers.is_some_and(|it| it.contains_key(STREAM_OFFSET)) => Self::Perhaps,
            known => known,
        }
    }
}

/// Shared by a consumer's state and its handle.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// Written by the handle, and by the session when it fills the batch.
    deliveries: AtomicUsize,
    /// What the session wants done with the batch.
    wish: AtomicU8,
    /// The queue is a stream.
    keeps: AtomicBool,
    /// The first delivery looked as if it were.
    may_keep: AtomicBool,
    looked: AtomicBool,
}

impl Unread {
    /// The queue keeps its messages.
    pub(in crate::session) fn note_keeps(&self) {
        self.keeps.store(true, Ordering::Relaxed);
    }

    /// What is known of the queue; [`Keeps::or_by`] adds what a delivery tells of it.
    pub(crate) fn keeps(&self) -> Keeps {
        match self.keeps.load(Ordering::Relaxed) {
            true => Keeps::Yes,
            false => Keeps::No,
        }
    }

    /// Whether the queue is, or looks like, one that keeps its messages.
    #[inline]
    pub(crate) fn looks_kept(&self) -> bool {
        self.may_keep.load(Ordering::Relaxed) || self.keeps.load(Ordering::Relaxed)
    }

    /// Whether a delivery is of a queue that keeps its messages, as far as one can tell.
    #[inline]
    pub(crate) fn is_kept(&self, properties: &basic::Properties) -> bool {
        self.may_keep.load(Ordering::Relaxed) && Keeps::No.or_by(properties) != Keeps::No
    }

    /// Learns from the first delivery what the queue is.
    #[inline]
    pub(crate) fn look(&self, properties: &basic::Properties) {
        if !self.looked.load(Ordering::Relaxed) {
            self.look_first(properties);
        }
    }

    #[cold]
    fn look_first(&self, properties: &basic::Properties) {
        self.looked.store(true, Ordering::Relaxed);
        let looks_so = Keeps::No.or_by(properties) == Keeps::Perhaps;
        self.may_keep.store(looks_so, Ordering::Relaxed);
    }

    /// So many are left in the batch.
    #[inline]
    pub(crate) fn set(&self, deliveries: usize) {
        self.deliveries.store(deliveries, Ordering::Relaxed);
    }

    /// How many are left that the peer still counts; a moment old.
    pub(in crate::session) fn count(&self) -> usize {
        match self.wish.load(Ordering::Relaxed) {
            VOID | REVIVED => 0,
            _ => self.deliveries.load(Ordering::Relaxed),
        }
    }

    /// Nothing more is to be given out.
    pub(in crate::session) fn stop(&self) {
        self.wish.store(STOP, Ordering::Relaxed);
    }

    /// What the handle has now was taken back by the peer, as by [`void`](Self::void), and the consumer goes on after
    /// its end.
    pub(in crate::session) fn revive(&self) {
        self.wish.store(REVIVED, Ordering::Relaxed);
    }

    /// Whether the consumer goes on after its end. The handle has learnt of it by that.
    pub(crate) fn take_revived(&self) -> bool {
        self.change(REVIVED, VOID)
    }

    /// As [`take_revived`](Self::take_revived), to ask again.
    pub(crate) fn is_revived(&self) -> bool {
        self.wish.load(Ordering::Relaxed) == REVIVED
    }

    /// What the handle has now was taken back by the peer.
    pub(in crate::session) fn void(&self) {
        let _ = self.change(READ, VOID);
    }

    /// The handle has none of what was taken back any more. Under the session's lock, when it takes a batch.
    pub(in crate::session) fn renew(&self) {
        let _ = self.change(VOID, READ);
    }

    fn change(&self, from: u8, to: u8) -> bool {
        // One that was stopped stays stopped.
        self.wish.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether what is left is not to be given out.
    #[inline]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.wish.load(Ordering::Relaxed) != READ
    }

    /// Whether what is left is to be given back.
    pub(crate) fn is_stopped(&self) -> bool {
        self.wish.load(Ordering::Relaxed) == STOP
    }
}
