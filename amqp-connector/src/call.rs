//! The future of one call: a request that waits for its reply.
//!
//! All state is the session's; the future holds the call's number. Dropping it leaves the reply to be
//! undone by the session.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use amqp_types::protocol::{self, Spec, basic};
use amqp_types::{AnyMethod, Body, Method, Reply, Request};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::handle::ChannelHandle;
use crate::session::{CallId, CallOptions, CallReply};

/// A content that came with a reply: its properties and body.
pub type Content = (protocol::Properties, Body);

/// The future of a request on a channel; resolves to the specification's reply to it.
///
/// Nothing is sent until it is polled for the first time. Calls of one channel are answered in the order
/// in which they were first polled, and may be pipelined.
///
/// # Cancel safety
///
/// Dropped after it was sent, the peer carries the request out; what a reply that nobody waits for brings
/// about is undone: a message from `basic.get` is requeued, a new consumer cancelled, an exclusive queue
/// that the server named deleted. Other replies are ignored. The replies of other calls are not affected.
#[must_use = "nothing is sent until this future is awaited"]
pub struct Call<R: Request<Protocol = Spec>> {
    inner: RawCall,
    request: std::marker::PhantomData<fn() -> R>,
}

impl<R: Request<Protocol = Spec>> Call<R> {
    #[track_caller]
    pub(crate) fn new(channel: Arc<ChannelHandle>, request: Result<R>) -> Self {
        Self { inner: RawCall::new(channel, request), request: std::marker::PhantomData }
    }
}

impl<R: Request<Protocol = Spec>> Future for Call<R> {
    type Output = Result<R::Reply>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(self.inner.poll_reply(cx))?;
        Poll::Ready(typed::<R::Reply>(reply.method))
    }
}

impl<R: Request<Protocol = Spec>> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("request", &R::NAME).finish_non_exhaustive()
    }
}

/// The reply as its own type. The session matched it already, so another one cannot come.
pub(crate) fn typed<R: Reply<Protocol = Spec>>(method: protocol::Method) -> Result<R> {
    R::from_any(method)
        .map_err(|_| Error::invalid("the reply is of another type than it was matched by"))
}

/// A call without its types: what all call futures are made of.
pub(crate) struct RawCall {
    channel: Arc<ChannelHandle>,
    accepts: fn(u16, u16) -> bool,
    place: &'static Location<'static>,
    /// Sent just before the request, so that nothing comes between the two.
    quality: Option<basic::Qos>,
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
        let state = match request.and_then(checked) {
            Ok(request) => State::Unsent(Box::new(request)),
            Err(error) => State::Failed(error),
        };
        let accepts = <R::Reply as Reply>::accepts;
        Self { channel, accepts, place: Location::caller(), quality: None, state }
    }

    /// Sends this `basic.qos` just before the request.
    pub(crate) fn with_quality(mut self, qos: basic::Qos) -> Self {
        self.quality = Some(qos);
        self
    }

    pub(crate) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<CallReply>>> {
        let (call, reply) = loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Unsent(request) => {
                    let options = self.call_options();
                    let key = self.channel.key();
                    let quality = self.quality.take();
                    let sent = self.channel.shared().with(|session| {
                        if let Some(qos) = quality {
                            session.send_qos(key, qos)?;
                        }
                        session.call(key, &request, &options)
                    });
                    match sent {
                        Ok(call) => self.state = State::Sent(call),
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                State::Failed(error) => return Poll::Ready(Err(error)),
                State::Sent(call) => {
                    let shared = self.channel.shared();
                    break (call, shared.with(|session| session.poll_call(call, cx.waker())));
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
        CallOptions {
            accepts: self.accepts,
            place: self.place,
            timeout: self.channel.shared().options.call_timeout,
            now: Instant::now(),
        }
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
            self.channel.shared().with(|session| session.abandon_call(call));
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
