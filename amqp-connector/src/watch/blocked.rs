//! The handle that watches whether the broker takes publishes.
//!
//! All state is the session's; made by [`Connection::blocked`](crate::Connection::blocked).

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;

use amqp_types::ShortStr;

use crate::error::Result;
use crate::session::Line;
use crate::shared::{Shared, Ticket};

/// Whether the broker has blocked publishing on a connection (`connection.blocked`), to look at and to wait
/// for. Clones remember for themselves what they have seen.
///
/// RabbitMQ tells only connections that publish, and those only with their first publish after it has run short of
/// memory or disk. Under specifications without `connection.blocked` it never tells: it just stops reading, so
/// publishes wait once the outbound budget is used up, and calls run into their deadlines.
///
/// It does not keep the connection open.
#[derive(Clone)]
pub struct BlockedWatch {
    shared: Arc<Shared>,
    seen: u64,
}

impl BlockedWatch {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let seen = shared.with(|session| session.block_version());
        Self { shared, seen }
    }

    /// Whether the broker takes no publishes now.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.shared.with(|session| session.is_blocked())
    }

    /// Why it takes none, in the broker's words; `None` while it does.
    #[must_use]
    pub fn reason(&self) -> Option<ShortStr> {
        self.shared.with(|session| session.block_reason())
    }

    /// Waits for a change since this handle was made or since its last change, and gives what holds then: the
    /// broker's words, or `None` when it takes publishes again. Changes that follow each other closely
    /// are one.
    ///
    /// # Errors
    ///
    /// The reason why the connection is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no change is missed.
    pub fn changed(&mut self) -> impl Future<Output = Result<Option<ShortStr>>> + Send + '_ {
        let Self { shared, seen } = self;
        let mut ticket = Ticket::new(shared, Line::Blocked);
        poll_fn(move |cx| {
            ticket.poll(cx, |session, held, waker| session.poll_block_change(seen, held, waker))
        })
    }
}

impl fmt::Debug for BlockedWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockedWatch").field("reason", &self.reason()).finish_non_exhaustive()
    }
}
