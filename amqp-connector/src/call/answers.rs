//! The futures of calls whose answer is another one, or none, from specification to specification:
//! `basic.recover` and `access.request`.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_types::protocol::{self, basic};

use super::RawCall;
use crate::channel::{AccessRequest, AccessTicket};
use crate::error::{Error, Result};
use crate::handle::ChannelHandle;
use crate::turn::{poll_unit, spend};

/// How far a `basic.recover` is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recovered {
    /// The broker has carried it out.
    Confirmed,
    /// It was sent; the specification has no answer to it (0-8, 0-9).
    Sent,
}

/// The future of [`Channel::basic_recover`](crate::Channel::basic_recover).
///
/// # Cancel safety
///
/// Dropped after it was sent, the broker carries it out all the same.
#[must_use = "nothing is sent until this future is awaited"]
pub struct Recover {
    state: RecoverState,
}

#[allow(dead_code, reason = "the specification either has an answer to it or not")]
enum RecoverState {
    Call(RawCall),
    Send(Arc<ChannelHandle>, basic::Recover, &'static Location<'static>),
    Done,
}

impl Recover {
    #[track_caller]
    pub(crate) fn new(channel: Arc<ChannelHandle>, requeue: bool) -> Self {
        let recover = basic::Recover { requeue };
        let state = amqp_types::if_spec! { basic.recover_ok => {
            RecoverState::Call(RawCall::new(channel, Ok(recover)))
        } else {
            RecoverState::Send(channel, recover, Location::caller())
        } };
        Self { state }
    }

    /// As [`Call::within`](crate::Call::within); of no effect where there is no answer to wait for.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.state = match self.state {
            RecoverState::Call(call) => RecoverState::Call(call.within(timeout)),
            other => other,
        };
        self
    }
}

impl Future for Recover {
    type Output = Result<Recovered>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            RecoverState::Call(call) => call.poll_reply(cx).map_ok(|_| Recovered::Confirmed),
            RecoverState::Send(channel, recover, place) => {
                spend(cx);
                let (key, method) = (channel.key(), amqp_types::Method::into_any(recover.clone()));
                let sent = channel.shared().with(|session| session.send(key, &method, place));
                self.state = RecoverState::Done;
                Poll::Ready(sent.map(|()| Recovered::Sent))
            }
            RecoverState::Done => {
                poll_unit(cx).map(|()| Err(Error::invalid("the call was completed before")))
            }
        }
    }
}

impl fmt::Debug for Recover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recover").finish_non_exhaustive()
    }
}

/// The future of [`Channel::access_request`](crate::Channel::access_request).
///
/// # Cancel safety
///
/// Dropped after it was sent, the channel's methods carry the ticket all the same, once it has come.
#[must_use = "nothing is sent until this future is awaited"]
pub struct Access {
    inner: RawCall,
}

impl Access {
    #[track_caller]
    pub(crate) fn new(channel: Arc<ChannelHandle>, request: AccessRequest) -> Self {
        let AccessRequest { method, invalid } = request;
        let inner = amqp_types::if_spec! { access.request => {{
            let request = protocol::access::Request {
                realm: method.realm,
                exclusive: method.exclusive,
                passive: method.passive,
                active: method.active,
                write: method.write,
                read: method.read,
            };
            RawCall::new(channel, crate::name::valid(request, invalid))
        }} else {{
            drop(method);
            let lacking: Error = invalid.map_or(Error::unsupported("access.request"), Into::into);
            RawCall::failed(channel, lacking)
        }} };
        Self { inner }
    }

    /// As [`Call::within`](crate::Call::within).
    pub fn within(mut self, timeout: Duration) -> Self {
        self.inner = self.inner.within(timeout);
        self
    }
}

impl Future for Access {
    type Output = Result<AccessTicket>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(self.inner.poll_reply(cx))?;
        Poll::Ready(ticket_of(&reply.method))
    }
}

fn ticket_of(reply: &protocol::Method) -> Result<AccessTicket> {
    amqp_types::if_spec! { access.request_ok => {
        if let protocol::Method::Access(protocol::access::Method::RequestOk(ok)) = reply {
            return Ok(AccessTicket(ok.ticket));
        }
    } else {
        let _ = reply;
    } }
    Err(Error::invalid("the reply is of another type than it was matched by"))
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}
