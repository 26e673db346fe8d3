//! A call without its types: what all call futures are made of.
//!
//! All state is the session's; a [`RawCall`] holds the call's number. Dropping it leaves the reply to be
//! undone by the session. Decides nothing about the protocol.

use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_types::protocol::{self, Spec, basic};
use amqp_types::{AnyMethod, Method, Reply, Request};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::handle::{ChannelHandle, ConnectionHandle};
use crate::options::ConfirmOptions;
use crate::session::{CONTROL, CallId, CallOptions, CallReply, Caller, ChannelKey, Session};
use crate::shared::Shared;
use crate::turn::poll_unit;

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
    /// What goes with a request that starts something. Apart, since most calls do not.
    start: Option<Box<Start>>,
    state: State,
}

/// What goes with a request that starts something.
enum Start {
    Consumer {
        /// Sent just before it, so that nothing comes between the two.
        qos: basic::Qos,
        /// Octets that may wait for the consumer.
        budget: Option<usize>,
        /// It gets the bodies of its deliveries as streams.
        streamed: bool,
    },
    /// What confirm mode is to be like from where the request stands.
    #[allow(dead_code, reason = "not every specification has confirms")]
    Confirms(ConfirmOptions),
}

impl Start {
    fn call(
        self,
        session: &mut Session,
        key: ChannelKey,
        request: &protocol::Method,
        options: &CallOptions,
    ) -> Result<CallId> {
        let (qos, budget, streamed) = match self {
            Self::Consumer { qos, budget, streamed } => (qos, budget, streamed),
            Self::Confirms(confirms) => {
                session.set_confirm_options(key, confirms);
                return session.call(key, request, options);
            }
        };
        session.check_fits(key.id, request)?;
        session.check_tag(key, request)?;
        session.send_qos(key, qos, options.place)?;
        let call = session.call(key, request, options)?;
        session.await_handle(call);
        if let Some(octets) = budget {
            session.limit_consumer(call, octets);
        }
        if streamed {
            session.stream_consumer(call);
        }
        Ok(call)
    }
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

    /// One that fails when it is awaited, before anything is sent.
    #[track_caller]
    pub(crate) fn failed(channel: Arc<ChannelHandle>, error: Error) -> Self {
        Self::failed_on(Target::Channel(channel), error)
    }

    /// As [`failed`](Self::failed), of the connection's own.
    #[allow(dead_code, reason = "not every specification lacks such a method")]
    #[track_caller]
    pub(crate) fn failed_on_connection(connection: Arc<ConnectionHandle>, error: Error) -> Self {
        Self::failed_on(Target::Connection(connection), error)
    }

    #[track_caller]
    fn failed_on(target: Target, error: Error) -> Self {
        let (accepts, place): (fn(u16, u16) -> bool, _) = (|_, _| false, Location::caller());
        Self { target, accepts, place, timeout: None, start: None, state: State::Failed(error) }
    }

    #[track_caller]
    fn of<R: Reply<Protocol = Spec>>(target: Target, request: Result<protocol::Method>) -> Self {
        let state = match request {
            Ok(request) => State::Unsent(Box::new(request)),
            Err(error) => State::Failed(error),
        };
        let place = Location::caller();
        Self { target, accepts: R::accepts, place, timeout: None, start: None, state }
    }

    /// The call is made on behalf of one that was called there.
    #[allow(dead_code, reason = "not every specification has transactions")]
    pub(crate) fn at(mut self, place: &'static Location<'static>) -> Self {
        self.place = place;
        self
    }

    /// Gives the call a deadline of its own.
    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The request starts a consumer: this `basic.qos` is sent just before it, and no more than so many octets may
    /// wait for it.
    pub(crate) fn starting(mut self, qos: basic::Qos, budget: Option<usize>) -> Self {
        self.start = Some(Box::new(Start::Consumer { qos, budget, streamed: false }));
        self
    }

    /// The consumer that the request starts gets the bodies of its deliveries as streams.
    pub(crate) fn streamed(mut self) -> Self {
        if let Some(Start::Consumer { streamed, .. }) = self.start.as_deref_mut() {
            *streamed = true;
        }
        self
    }

    /// The request puts the channel into confirm mode, which is to be like this.
    pub(crate) fn with_confirms(mut self, options: ConfirmOptions) -> Self {
        self.start = Some(Box::new(Start::Confirms(options)));
        self
    }

    /// Its channel and request, if it is one on a channel and nothing was sent. What goes with the start of a consumer is not
    /// kept, so such a request is no one's to send again.
    pub(super) fn unsent(&self) -> Option<(Arc<ChannelHandle>, protocol::Method)> {
        match (&self.target, &self.state) {
            (Target::Channel(handle), State::Unsent(request)) => {
                Some((handle.clone(), (**request).clone()))
            }
            _ => None,
        }
    }

    /// The deadline that was given to it, from when it is sent.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    /// It has ended, and is to be sent once more.
    pub(super) fn send_again(&mut self, request: protocol::Method) {
        self.state = State::Unsent(Box::new(request));
    }

    pub(crate) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<CallReply>>> {
        let key = self.target.key();
        self.poll_reply_then(cx, |session, reply| session.note_raw_reply(key, reply))
    }

    /// As [`poll_reply`](Self::poll_reply); what follows from the reply is done under the same lock.
    pub(crate) fn poll_reply_then(
        &mut self,
        cx: &mut Context<'_>,
        then: impl FnOnce(&mut Session, &CallReply),
    ) -> Poll<Result<Box<CallReply>>> {
        let (mut then, mut ahead) = (Some(then), false);
        let (call, reply) = loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Unsent(mut request) => {
                    // The reply is not there yet: it is to be waited for.
                    ahead = true;
                    let options = self.call_options();
                    let key = self.target.key();
                    let start = match self.start.as_deref() {
                        // It may be sent once more.
                        Some(Start::Confirms(confirms)) => {
                            Some(Box::new(Start::Confirms(confirms.clone())))
                        }
                        _ => self.start.take(),
                    };
                    let sent = self.target.shared().with(|session| {
                        session.stamp(key, &mut request);
                        session.name_last_queue(key, &mut request);
                        match start {
                            None => session.call(key, &request, &options),
                            Some(start) => start.call(session, key, &request, &options),
                        }
                    });
                    match sent {
                        Ok(call) => self.state = State::Sent(call),
                        Err(error) => self.state = State::Failed(error),
                    }
                }
                State::Failed(error) => {
                    // Nothing was waited for: in a loop the driver would not get a turn.
                    if poll_unit(cx).is_pending() {
                        self.state = State::Failed(error);
                        return Poll::Pending;
                    }
                    return Poll::Ready(Err(error));
                }
                State::Sent(call) => {
                    let shared = self.target.shared();
                    let look = |session: &mut Session, waker: &dyn Caller| {
                        let reply = session.poll_call(call, waker);
                        if let Poll::Ready(Ok(reply)) = &reply
                            && let Some(then) = then.take()
                        {
                            then(session, reply);
                        }
                        reply
                    };
                    let reply = match ahead {
                        true => shared.poll_ready(cx, look),
                        false => shared.poll(cx, look),
                    };
                    break (call, reply);
                }
                State::Done => {
                    ready!(poll_unit(cx));
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
        let (place, within) = (self.place, self.timeout);
        CallOptions { accepts: self.accepts, place, within, now: Instant::now() }
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
