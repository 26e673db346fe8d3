//! Calls that wait for their reply, in the order they were sent, and what to undo when nobody waits any
//! more.
//!
//! Replies carry no correlation: the next reply on a channel belongs to its oldest call. So a call that
//! is dropped or timed out stays in line as a tombstone, and when its reply comes after all its effect is
//! undone ([`Undo`]). Plain data; the session does the sending.

use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use amqp_types::protocol::{self, Method, basic, channel, queue};
use amqp_types::{Body, ShortStr};
use tokio::time::Instant;

use crate::error::Error;

/// What a reply undoes when its caller is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    Nothing,
    /// `get-ok`: give the message back.
    Requeue,
    /// `consume-ok`: cancel, and give back what comes.
    Cancel,
    /// `open-ok`: close the channel.
    CloseChannel,
    /// `declare-ok` of an exclusive queue that the server named: delete it.
    DeleteQueue,
}

impl Undo {
    pub(crate) fn of(request: &Method) -> Self {
        match request {
            Method::Basic(basic::Method::Get(get)) if !get.no_ack => Self::Requeue,
            Method::Basic(basic::Method::Consume(_)) => Self::Cancel,
            Method::Channel(channel::Method::Open(_)) => Self::CloseChannel,
            Method::Queue(queue::Method::Declare(queue::Declare {
                queue,
                exclusive: true,
                passive: false,
                ..
            })) if queue.is_empty() => Self::DeleteQueue,
            _ => Self::Nothing,
        }
    }
}

/// What the peer answered: a method, and its content where it has one.
pub(crate) struct CallReply {
    pub(crate) method: Method,
    pub(crate) content: Option<(protocol::Properties, Body)>,
    /// The consumer that a `consume-ok` belongs to.
    pub(crate) consumer: Option<(u64, ShortStr)>,
}

/// A call in its channel's line.
pub(crate) struct PendingCall {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) accepts: fn(u16, u16) -> bool,
    pub(crate) undo: Undo,
    /// The consumer that the reply makes active.
    pub(crate) consumer: Option<u64>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) abandoned: bool,
}

/// Where a caller finds its answer.
pub(crate) enum CallSlot {
    Waiting(Option<Waker>),
    Done(Result<Box<CallReply>, Error>, Undo),
}

/// How a call is to be sent.
pub(crate) struct CallOptions {
    pub(crate) accepts: fn(u16, u16) -> bool,
    pub(crate) place: &'static Location<'static>,
    pub(crate) timeout: Duration,
    pub(crate) now: Instant,
}
