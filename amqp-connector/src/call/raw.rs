//! A call without its types: what all call futures are made of.
//!
//! All state is the session's; a [`RawCall`] holds the call's number. Dropping it leaves the reply to be
//! undone by the session. Decides nothing about the protocol.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use amqp_types::protocol::{self, Spec, basic};
use amqp_types::{AnyMethod, Method, Reply, Request};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::handle::{ChannelHandle, ConnectionHandle};
use crate::session::{CONTROL, CallId, CallOptions, CallReply, ChannelKey, Session};
use crate::shared::Shared;

/// What a call is made on.
enum Target {
    Channel(Arc<ChannelHandle>),
    Connection(Arc<ConnectionHandle>),
}

impl Target {
    fn shared(&self) -> &Shared {
        match self {
            Self::Channel(handle) => handle.shared(),
            Self::Connection(handle) => handle.shared(),
        }
    }

    fn key(&self) -> ChannelKey {
        match self {
            Self::Channel(handle) => handle.key(),
            Self::Connection(_) => CONTROL,
        }
    }
}

/// A call without its types.
pub(crate) struct RawCall {
    target: Target,
    accepts: fn(u16, u16) -> bool,
    place: &'static Location<'static>,
    /// The call's own deadline, if it is not the connection's for all calls.
    timeout: Option<Duration>,
    /// Sent just before the request, so that nothing comes between the two.
    quality: Option<basic::Qos>,
    /// Octets that may wait for the consumer which the request starts.
    buffer_max: Option<usize>,
    state: State,
}

enum State {
    Unsent(Box<protocol::Method>),
    Failed(Error),
    Sent(CallId),
    Done,
}

impl RawCall {
    #[track_caller]
    pub(crate) fn new<R: Request<Protocol = Spec>>(
        channel: Arc<ChannelHandle>,
        request: Result<R>,
    ) -> Self {
        Self::of::<R::Reply>(Target::Channel(channel), request.and_then(checked))
    }

    /// A call of the connection's own.
    #[track_caller]
    pub(crate) fn on_connection<R: Reply<Protocol = Spec>>(
        connection: Arc<ConnectionHandle>,
        request: Result<protocol::Method>,
    ) -> Self {
        Self::of::<R>(Target::Connection(connection), request)
    }

    #[track_caller]
    fn of<R: Reply<Protocol = Spec>>(target: Target, request: Result<protocol::Method>) -> Self {
        let state = match request {
            Ok(request) => State::Unsent(Box::new(request)),
            Err(error) => State::Failed(error),
        };
        let place = Location::caller();
        let (timeout, quality, buffer_max) = (None, None, None);
        Self { target, accepts: R::accepts, place, timeout, quality, buffer_max, state }
    }

    /// Gives the call a deadline of its own.
    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends this `basic.qos` just before the request.
    pub(crate) fn with_quality(mut self, qos: basic::Qos) -> Self {
        self.quality = Some(qos);
        self
    }

    /// Limits what may wait for the consumer that the request starts, in octets.
    pub(crate) fn with_buffer_max(mut self, octets: Option<usize>) -> Self {
        self.buffer_max = octets;
        self
    }

    pub(crate) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<CallReply>>> {
        self.poll_reply_then(cx, |_, _| ())
    }

    /// As [`poll_reply`](Self::poll_reply); what follows from the reply is done under the same lock.
    pub(crate) fn poll_reply_then(
        &mut self,
        cx: &mut Context<'_>,
        then: impl FnOnce(&mut Session, &CallReply),
    ) -> Poll<Result<Box<CallReply>>> {
        let (call, reply) = loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Unsent(mut request) => {
                    let options = self.call_options();
                    let key = self.target.key();
                    let (quality, buffer_max) = (self.quality.take(), self.buffer_max);
                    let consumes = quality.is_some();
                    let sent = self.target.shared().with(|session| {
                        if let Some(qos) = quality {
                            session.send_qos(key, qos, options.place)?;
                        }
                        session.stamp(key, &mut request);
                        let call = session.call(key, &request, &options)?;
                        if consumes {
                            session.await_handle(call);
                        }
                        if let Some(octets) = buffer_max {
                            session.limit_consumer(call, octets);
                        }
                        Ok(call)
                    });
                    match sent {
                        Ok(call) => self.state = State::Sent(call),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                State::Failed(error) => return Poll::Ready(Err(error)),
                State::Sent(call) => {
                    let shared = self.target.shared();
                    let reply = shared.with(|session| {
                        let reply = session.poll_call(call, cx.waker());
                        if let Poll::Ready(Ok(reply)) = &reply {
                            then(session, reply);
                        }
                        reply
                    });
                    break (call, reply);
                }
                State::Done => {
                    return Poll::Ready(Err(Error::invalid("the call was completed before")));
                }
            }
        };
        if reply.is_pending() {
            self.state = State::Sent(call);
        }
        reply
    }

    fn call_options(&self) -> CallOptions {
        let timeout = self.timeout.unwrap_or(self.target.shared().options.call_timeout);
        CallOptions { accepts: self.accepts, place: self.place, timeout, now: Instant::now() }
    }
}

impl Future for RawCall {
    type Output = Result<Box<CallReply>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_reply(cx)
    }
}

impl Drop for RawCall {
    fn drop(&mut self) {
        if let State::Sent(call) = self.state {
            self.target.shared().with(|session| session.abandon_call(call));
        }
    }
}

/// A request that may wait for its reply as it stands.
fn checked<R: Request<Protocol = Spec>>(request: R) -> Result<protocol::Method> {
    if !request.wants_reply() {
        return Err(Error::invalid("a request with no-wait has no reply: use `send`"));
    }
    let method = Method::into_any(request);
    refuse_reserved(&method)?;
    Ok(method)
}

/// Methods whose meaning is the session's own: sent behind its back they would break it.
pub(crate) fn refuse_reserved(method: &protocol::Method) -> Result<()> {
    use amqp_types::protocol::{Method, channel};
    match method {
        Method::Connection(_) => {
            Err(Error::invalid("methods of class connection belong to the connection's own handle"))
        }
        Method::Channel(
            channel::Method::Open(_) | channel::Method::Close(_) | channel::Method::CloseOk(_),
        ) => Err(Error::invalid("a channel is opened and closed by its handle's own methods")),
        method if method.info().content => {
            Err(Error::invalid("a method that carries content is sent by `send_content`"))
        }
        _ => Ok(()),
    }
}
