//! Calls that wait for their reply, in the order they were sent, and what to undo when nobody waits any
//! more.
//!
//! Replies carry no correlation: but for consumers', the next reply on a channel belongs to its oldest
//! call. So a call that is dropped or timed out stays in line as a tombstone, and when its reply comes after all its effect is
//! undone ([`Undo`]). Plain data; the session does the sending.

use std::collections::VecDeque;
use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use amqp_types::protocol::{self, Method, basic, channel, queue};
use amqp_types::{AnyMethod, Body, ShortStr};
use tokio::time::Instant;

use crate::error::Error;
use crate::session::calls::deadline::Deadline;

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
    /// The consumer's tag in a request that starts or cancels one; an empty one is the server's to
    /// choose. Such a call may be answered after younger ones.
    pub(crate) consumer_tag: Option<ShortStr>,
    pub(crate) undo: Undo,
    /// What the reply makes of the connection's topology.
    pub(crate) change: Option<Box<Method>>,
    /// The consumer that the reply makes active.
    pub(crate) consumer: Option<u64>,
    /// Where in the program it was made; nothing where the library made it.
    pub(crate) place: Option<&'static Location<'static>>,
    pub(in crate::session) deadline: Deadline,
    pub(crate) abandoned: bool,
}

/// The tag in a request that starts or cancels a consumer.
pub(crate) fn consumer_tag(request: &Method) -> Option<ShortStr> {
    let tag = match request {
        Method::Basic(basic::Method::Consume(consume)) => &consume.consumer_tag,
        Method::Basic(basic::Method::Cancel(cancel)) => &cancel.consumer_tag,
        _ => return None,
    };
    // A copy: the user's octets may not be dropped under the lock.
    Some(ShortStr::try_from(tag.as_bytes()).unwrap_or_default())
}

/// Takes the call that `method` answers out of its line. Replies come in the order of the calls, but for
/// those about consumers: a broker may leave these to the queue, and answer later calls meanwhile (RabbitMQ
/// does). They are told apart by the consumer's tag; one with a tag that nobody asked for goes to the oldest that left the
/// choice to the server, and answers nothing if none did: the specification has the peer tell the tag that was asked for,
/// and what came under another one would be for nobody.
pub(crate) fn take_answered(
    line: &mut VecDeque<PendingCall>,
    method: &Method,
) -> Option<PendingCall> {
    let info = method.info();
    let accepts = |call: &PendingCall| (call.accepts)(info.class_id, info.method_id);
    let answered = match method {
        Method::Basic(basic::Method::ConsumeOk(ok)) => Some(&ok.consumer_tag),
        Method::Basic(basic::Method::CancelOk(ok)) => Some(&ok.consumer_tag),
        _ => None,
    };
    let position = answered
        .and_then(|tag| {
            line.iter().position(|call| accepts(call) && call.consumer_tag.as_ref() == Some(tag))
        })
        .or_else(|| {
            let unnamed =
                |call: &PendingCall| call.consumer_tag.as_ref().is_none_or(ShortStr::is_empty);
            line.iter().position(|call| accepts(call) && unnamed(call))
        })?;
    let in_order = line.iter().take(position).all(|call| call.consumer_tag.is_some());
    if in_order { line.remove(position) } else { None }
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
    /// The call's own deadline, counted from `now` on whatever happens, if it is not the connection's for all calls.
    pub(crate) within: Option<Duration>,
    pub(crate) now: Instant,
}
