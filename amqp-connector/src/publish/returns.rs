//! The messages that came back and are no publish's outcome, as a stream.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use crate::handle::ChannelHandle;
use crate::outcome::Returned;
use crate::session::Line;
use crate::turn::{poll_turn, spend};

/// Messages that the broker gave back, from [`Channel::returns`](crate::Channel::returns): a stream that ends with the
/// channel. Read it by [`recv`](Self::recv) or as a [`Stream`].
///
/// # Cancel safety
///
/// A `next` that is dropped loses no message.
///
/// # Drop
///
/// Keeps the channel open till then; messages that were not read stay for others who ask.
#[must_use = "returned messages are had by reading this stream"]
pub struct Returns {
    channel: Arc<ChannelHandle>,
    ticket: Option<u64>,
    over: bool,
}

impl Returns {
    pub(crate) fn new(channel: Arc<ChannelHandle>) -> Self {
        Self { channel, ticket: None, over: false }
    }

    /// The next message, or `None` when the channel is over and all were read.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no message is lost.
    pub async fn recv(&mut self) -> Option<Returned> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Returned>> {
        ready!(poll_turn(cx));
        let Self { channel, ticket, over } = self;
        let returned = channel
            .shared()
            .poll(cx, |session, waker| session.poll_returned(channel.key(), ticket, waker));
        let returned = ready!(returned);
        spend(cx);
        *over = returned.is_err();
        Poll::Ready(returned.ok())
    }
}

impl Stream for Returns {
    type Item = Returned;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Returned>> {
        self.poll_recv(cx)
    }
}

impl FusedStream for Returns {
    fn is_terminated(&self) -> bool {
        self.over
    }
}

impl Drop for Returns {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let channel = &self.channel;
            channel
                .shared()
                .with(|session| session.leave_line(Line::Returned(channel.key()), ticket));
        }
    }
}

impl fmt::Debug for Returns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returns").field("channel", &self.channel.key().id).finish_non_exhaustive()
    }
}
