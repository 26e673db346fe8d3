//! The futures of calls: requests that wait for their replies.
//!
//! Each is a [`RawCall`] that knows what its reply means, named so that the calling place can be told and a
//! deadline of its own be given before it is awaited. All state is the session's.

mod answers;
mod messages;
mod opening;
mod raw;
mod repeat;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_types::protocol::{self, Spec};
use amqp_types::{Body, Reply, Request};

pub use answers::{Access, Recover, Recovered};
pub use messages::{Consume, Get};
pub use opening::ChannelOpen;
pub(crate) use raw::{RawCall, refuse_reserved};

use crate::error::{Error, Result};
use crate::handle::{ChannelHandle, ConnectionHandle};
use crate::options::ConfirmOptions;

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
    request: PhantomData<fn() -> R>,
}

impl<R: Request<Protocol = Spec>> Call<R> {
    #[track_caller]
    pub(crate) fn new(channel: Arc<ChannelHandle>, request: Result<R>) -> Self {
        Self { inner: RawCall::new(channel, request), request: PhantomData }
    }

    /// Gives this call a deadline of its own in place of [`Options::call_timeout`](crate::Options::call_timeout). It is
    /// counted from when the call is first polled, whether or not the request could be written since: that is the
    /// longest that is waited, apart from the time that the broker blocks us. A reply that comes later is undone as if
    /// the call had been dropped; one that does not come within a further `Options::call_timeout`, counted from when the
    /// request is written if that is later, ends the channel.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.inner = self.inner.within(timeout);
        self
    }

    /// Makes the call again whenever its connection is lost before it is answered and comes back
    /// ([`Recovery`](crate::Recovery)), once the channel is restored; on a connection that is being recovered it waits for that.
    /// A deadline of its own ([`within`](Self::within)) holds for all of it; without one it waits for as long as the
    /// recovery goes on. Where nothing comes back it is like the call itself.
    ///
    /// Only for requests that do no more at a second time: declarations, bindings, deletions and purges (whose count may
    /// then be of the second time), `basic.qos`, `confirm.select`, `access.request`.
    ///
    /// ```no_run
    /// # async fn run(channel: amqp_connector::Channel) -> amqp_connector::Result<()> {
    /// # use amqp_connector::QueueDeclare;
    /// channel.queue_declare(QueueDeclare::new("jobs").durable(true)).repeated().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Invalid`, before anything is sent, for any other request; a queue that the server is to name has to be exclusive. Else
    /// as the call itself.
    ///
    /// # Cancel safety
    ///
    /// As the call itself.
    pub fn repeated(self) -> impl Future<Output = Result<R::Reply>> + Send + use<R> {
        let call = self.inner;
        async move { typed::<R::Reply>(repeat::repeat(call).await?.method) }
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

/// The future of a request whose reply may carry content; resolves to both.
///
/// # Cancel safety
///
/// As [`Call`].
#[must_use = "nothing is sent until this future is awaited"]
pub struct CallWithContent<R: Request<Protocol = Spec>> {
    inner: RawCall,
    request: PhantomData<fn() -> R>,
}

impl<R: Request<Protocol = Spec>> CallWithContent<R> {
    #[track_caller]
    pub(crate) fn new(channel: Arc<ChannelHandle>, request: Result<R>) -> Self {
        Self { inner: RawCall::new(channel, request), request: PhantomData }
    }

    /// As [`Call::within`].
    pub fn within(mut self, timeout: Duration) -> Self {
        self.inner = self.inner.within(timeout);
        self
    }
}

impl<R: Request<Protocol = Spec>> Future for CallWithContent<R> {
    type Output = Result<(R::Reply, Option<Content>)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(self.inner.poll_reply(cx))?;
        Poll::Ready(Ok((typed::<R::Reply>(reply.method)?, reply.content)))
    }
}

impl<R: Request<Protocol = Spec>> fmt::Debug for CallWithContent<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallWithContent").field("request", &R::NAME).finish_non_exhaustive()
    }
}

/// The future of a request whose reply tells only that it was carried out, and of one that not every
/// specification has.
///
/// # Cancel safety
///
/// Dropped after it was sent, the peer carries the request out; the reply is ignored, and the replies of other
/// calls are not affected.
#[must_use = "nothing is sent until this future is awaited"]
pub struct Completion {
    inner: RawCall,
}

#[allow(dead_code, reason = "which of these are needed depends on the specification")]
impl Completion {
    #[track_caller]
    pub(crate) fn new<R: Request<Protocol = Spec>>(
        channel: Arc<ChannelHandle>,
        request: Result<R>,
    ) -> Self {
        Self { inner: RawCall::new(channel, request) }
    }

    #[track_caller]
    pub(crate) fn on_connection<R: Reply<Protocol = Spec>>(
        connection: Arc<ConnectionHandle>,
        request: Result<protocol::Method>,
    ) -> Self {
        Self { inner: RawCall::on_connection::<R>(connection, request) }
    }

    /// What the specification has no method for.
    #[track_caller]
    pub(crate) fn unsupported(channel: Arc<ChannelHandle>, what: &'static str) -> Self {
        Self { inner: RawCall::failed(channel, Error::unsupported(what)) }
    }

    /// What the specification has no method for, of the connection's own.
    #[track_caller]
    pub(crate) fn unsupported_on_connection(
        connection: Arc<ConnectionHandle>,
        what: &'static str,
    ) -> Self {
        Self { inner: RawCall::failed_on_connection(connection, Error::unsupported(what)) }
    }

    /// The call is made on behalf of one that was called there.
    pub(crate) fn at(mut self, place: &'static Location<'static>) -> Self {
        self.inner = self.inner.at(place);
        self
    }

    /// It puts the channel into confirm mode, which is to be like this from where the request stands.
    pub(crate) fn with_confirms(mut self, options: ConfirmOptions) -> Self {
        self.inner = self.inner.with_confirms(options);
        self
    }

    /// As [`Call::within`].
    pub fn within(mut self, timeout: Duration) -> Self {
        self.inner = self.inner.within(timeout);
        self
    }

    /// As [`Call::repeated`].
    ///
    /// # Errors
    ///
    /// As [`Call::repeated`].
    ///
    /// # Cancel safety
    ///
    /// As [`Call::repeated`].
    pub fn repeated(self) -> impl Future<Output = Result<()>> + Send + use<> {
        let call = self.inner;
        async move { repeat::repeat(call).await.map(drop) }
    }
}

impl Future for Completion {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.poll_reply(cx).map_ok(drop)
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").finish_non_exhaustive()
    }
}

/// The reply as its own type. The session matched it already, so another one cannot come.
pub(crate) fn typed<R: Reply<Protocol = Spec>>(method: protocol::Method) -> Result<R> {
    R::from_any(method)
        .map_err(|_| Error::invalid("the reply is of another type than it was matched by"))
}
