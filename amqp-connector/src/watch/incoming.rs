//! What the peer sends on a channel without being asked, as the user sees it.
//!
//! All state is the session's. Called from [`Channel`](crate::Channel).

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use crate::handle::ChannelHandle;
use crate::outcome::IncomingMethod;
use crate::turn::{poll_turn, spend};

/// The methods that the peer sends on a channel without being asked, in their order: `file.deliver`,
/// `stream.deliver`, `message.transfer` and whatever else the specification lets a server send that answers no
/// call and that this library does not handle itself. Under 0-9-1 there are none.
///
/// A stream that ends with its channel. Answers go by [`Channel::send`](crate::Channel::send) and
/// [`Channel::call`](crate::Channel::call), contents by [`Channel::send_content`](crate::Channel::send_content).
/// At most 1024 methods wait to be taken, and bodies and long arguments of at most
/// [`Options::consumer_budget`](crate::Options::consumer_budget) octets: beyond that the channel is closed.
///
/// # Drop
///
/// What was not taken is dropped, and what still comes is ignored until
/// [`Channel::incoming`](crate::Channel::incoming) is called again.
#[must_use = "methods that nobody takes pile up until the channel is closed"]
pub struct Incoming {
    channel: Arc<ChannelHandle>,
    over: bool,
}

impl Incoming {
    pub(crate) fn new(channel: Arc<ChannelHandle>) -> Self {
        Self { channel, over: false }
    }

    /// The next method; `None` when the channel is over.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no method is lost.
    pub async fn recv(&mut self) -> Option<IncomingMethod> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<IncomingMethod>> {
        ready!(poll_turn(cx));
        let channel = &self.channel;
        let next =
            channel.shared().poll(cx, |session, waker| session.poll_inbox(channel.key(), waker));
        let next = ready!(next);
        spend(cx);
        self.over = next.is_none();
        Poll::Ready(next)
    }
}

impl Stream for Incoming {
    type Item = IncomingMethod;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<IncomingMethod>> {
        self.poll_recv(cx)
    }
}

impl FusedStream for Incoming {
    fn is_terminated(&self) -> bool {
        self.over
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let channel = &self.channel;
        channel.shared().with(|session| session.release_inbox(channel.key()));
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("channel", &self.channel.key().id).finish_non_exhaustive()
    }
}
