//! What the session keeps of one consumer: its backlog, whether the peer knows it, and how it ended.
//!
//! Deliveries are plain data here; the [`Consumer`](crate::Consumer) handle takes a batch of them under
//! one lock and builds [`Delivery`](crate::Delivery) values from it outside. Nothing here sends anything.

use std::task::Waker;

use amqp_types::ShortStr;

use super::backlog::Backlog;
use crate::outcome::ConsumerEnd;

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
    pub(crate) phase: Phase,
    /// A handle exists, or a call that will give one is waiting.
    pub(crate) owned: bool,
    /// Its handle was given out.
    pub(crate) claimed: bool,
    pub(crate) backlog: Backlog,
    pub(crate) waker: Option<Waker>,
    pub(crate) end: Option<ConsumerEnd>,
}

impl ConsumerState {
    pub(crate) fn new(id: u64, tag: ShortStr, no_ack: bool) -> Self {
        Self {
            id,
            tag,
            no_ack,
            phase: Phase::Requested,
            owned: true,
            claimed: false,
            backlog: Backlog::new(),
            waker: None,
            end: None,
        }
    }
}
