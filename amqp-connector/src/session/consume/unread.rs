//! What a consumer's handle has taken and not given out yet, as far as the session must know.
//!
//! The handle takes deliveries by the batch and gives them out without the lock. A graceful close does not
//! wait for those, and has the handle give them back instead of out: this is how the two tell each other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Shared by a consumer's state and its handle.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// Written by the handle, and by the session when it fills the batch.
    deliveries: AtomicUsize,
    stopped: AtomicBool,
    /// The queue is a stream: it keeps its messages whatever becomes of their deliveries, and RabbitMQ closes
    /// the connection (540) on whoever wants to give one back.
    keeps: AtomicBool,
}

impl Unread {
    /// The queue keeps its messages.
    pub(in crate::session) fn note_keeps(&self) {
        self.keeps.store(true, Ordering::Relaxed);
    }

    /// Whether what is not wanted is acknowledged in place of being given back.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps.load(Ordering::Relaxed)
    }

    /// So many are left in the batch.
    #[inline]
    pub(crate) fn set(&self, deliveries: usize) {
        self.deliveries.store(deliveries, Ordering::Relaxed);
    }

    /// How many are left; a moment old.
    pub(in crate::session) fn count(&self) -> usize {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Nothing more is to be given out.
    pub(in crate::session) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether what is left is to be given back.
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
