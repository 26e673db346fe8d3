//! The handle of a subscriber to a connection's events.
//!
//! All state is the session's; made by [`Connection::events`](crate::Connection::events).

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use crate::outcome::Event;
use crate::shared::Shared;
use crate::turn::{poll_turn, spend};

/// What happens to a connection, in order: a stream that ends after [`Event::Closed`].
///
/// Read it by [`recv`](Self::recv) or as a [`Stream`]. Its queue holds 4096 events, and 4 MiB of what the peer has told
/// in them. Who does not keep up loses the oldest and is told how many by [`Event::Lagged`]; nothing of the connection
/// ever waits for it.
///
/// It does not keep the connection open: when the last handle is gone it tells of the end, and ends.
///
/// # Drop
///
/// Gives the queue up, and nothing else.
#[must_use = "events are lost unless they are read"]
pub struct Events {
    shared: Arc<Shared>,
    id: u64,
    over: bool,
}

impl Events {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let id = shared.with(|session| session.subscribe());
        Self { shared, id, over: false }
    }

    /// The next event, or `None` after [`Event::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no event is lost.
    pub fn recv(&mut self) -> impl Future<Output = Option<Event>> + Send + '_ {
        poll_fn(|cx| self.poll_event(cx))
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        ready!(poll_turn(cx));
        let id = self.id;
        let event = ready!(self.shared.poll(cx, |session, waker| session.poll_event(id, waker)));
        spend(cx);
        self.over = event.is_none();
        Poll::Ready(event)
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}

impl FusedStream for Events {
    fn is_terminated(&self) -> bool {
        self.over
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.with(|session| session.unsubscribe(self.id));
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
