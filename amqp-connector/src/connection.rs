//! The handle of a connection.
//!
//! Cheap to clone and callable from anywhere; all state is the session's. Channels keep the connection
//! open too: it closes when the last handle of any kind is gone.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::{ChannelOpen, Completion};
use crate::deadline::until;
use crate::error::{CloseReason, Error, Result};
use crate::handle::ConnectionHandle;
use crate::options::Tuning;
use crate::outcome::{ServerProperties, Topology};
use crate::recovery::requests::copied;
use crate::session::{Line, after};
use crate::shared::{Shared, Ticket};
use crate::watch::{BlockedWatch, Events};

/// How often an edit of what is recorded is tried again that others come before.
const EDITS_MAX: usize = 100;

/// An open connection. Clones are handles of the same connection.
///
/// # Drop
///
/// When the last handle of the connection and of all its channels is gone, the connection is closed in
/// the background, bounded by [`Options::close_timeout`](crate::Options::close_timeout).
#[derive(Clone)]
pub struct Connection {
    handle: Arc<ConnectionHandle>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { handle: ConnectionHandle::new(shared) }
    }

    pub(crate) fn handle(&self) -> &Arc<ConnectionHandle> {
        &self.handle
    }

    #[cfg(feature = "testing")]
    pub(crate) fn shared(&self) -> &Shared {
        self.handle.shared()
    }

    /// Opens a channel (`channel.open`): the third step.
    ///
    /// # Errors
    ///
    /// `Limit` when every number up to the negotiated channel-max is in use, `Timeout`, or the reason why
    /// the connection is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the channel is closed again once the peer has opened it.
    #[track_caller]
    pub fn channel_open(&self) -> ChannelOpen {
        ChannelOpen::new(self.handle.clone())
    }

    /// Gives the broker a new secret in place of the one that the connection was opened with, such as a
    /// token that is about to expire (`connection.update-secret`).
    ///
    /// # Errors
    ///
    /// `Unsupported` where the specification has no such method, `Invalid` for a reason over 255 octets,
    /// `Timeout`, or the reason why the connection is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the broker may or may not take the new secret.
    #[track_caller]
    pub fn update_secret(&self, new_secret: &str, reason: &str) -> Completion {
        amqp_types::if_spec! { connection.update_secret => {
            use amqp_types::protocol::connection::{UpdateSecret, UpdateSecretOk};
            let new_secret = bytes::Bytes::copy_from_slice(new_secret.as_bytes());
            let request = amqp_types::ShortStr::try_from(reason)
                .map(|reason| amqp_types::Method::into_any(UpdateSecret { new_secret, reason }))
                .map_err(Error::from);
            Completion::on_connection::<UpdateSecretOk>(self.handle.clone(), request)
        } else {
            let _ = (new_secret, reason);
            Completion::unsupported_on_connection(self.handle.clone(), "connection.update-secret")
        } }
    }

    /// What both sides agreed on: highest channel number, largest frame, heartbeat. After a recovery, what they agreed
    /// on then.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        self.handle.shared().with(|session| session.tuning())
    }

    /// What the server tells about itself: product, version, capabilities. After a recovery, what the
    /// one told that the connection came back to, which may be another node of another version.
    #[must_use]
    pub fn server_properties(&self) -> ServerProperties {
        self.handle.shared().with(|session| session.server())
    }

    /// What happens to this connection from now on; begins with how it is now ([`Event::Connected`](crate::Event::Connected), and
    /// [`Event::Blocked`](crate::Event::Blocked) if it is). Any number of subscribers, each with a queue of its own.
    ///
    /// ```no_run
    /// # async fn run(connection: amqp_connector::Connection) {
    /// let mut events = connection.events();
    /// tokio::spawn(async move {
    ///     while let Some(event) = events.recv().await {
    ///         println!("{event}");
    ///     }
    /// });
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        Events::new(self.handle.shared().clone())
    }

    /// A watch on whether the broker takes publishes, with its reason if it does not.
    #[must_use]
    pub fn blocked(&self) -> BlockedWatch {
        BlockedWatch::new(self.handle.shared().clone())
    }

    /// Whether the broker has blocked publishing on this connection (`connection.blocked`).
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.handle.shared().with(|session| session.is_blocked())
    }

    /// Whether the connection was lost and it, or a channel of it, is not back yet. Never, unless its
    /// [`Connector`](crate::Connector) has a [`Recovery`](crate::Recovery).
    #[must_use]
    pub fn is_recovering(&self) -> bool {
        self.handle.shared().with(|session| session.is_recovering())
    }

    /// What was declared on this connection and is declared again when it is recovered: empty unless its
    /// [`Connector`](crate::Connector) has a [`Recovery`](crate::Recovery). What was declared on other connections is
    /// not in it.
    #[must_use]
    pub fn topology(&self) -> Topology {
        self.handle.shared().with(|session| session.topology())
    }

    /// Changes what is recorded to be declared again: what `edit` removes is not, what it adds or changes is as it says,
    /// at this connection's every recovery. Nothing is declared or deleted by that now. To change what a recovery declares
    /// without changing what is recorded, see [`Recovery::edit_topology`](crate::Recovery::edit_topology).
    ///
    /// ```no_run
    /// # fn run(connection: &amqp_connector::Connection) -> amqp_connector::Result<()> {
    /// // Whoever owns these declares them.
    /// connection.edit_topology(|topology| {
    ///     topology.queues.retain(|queue| queue.exclusive);
    /// })
    /// # }
    /// ```
    ///
    /// `edit` is called outside the library's locks with a copy of what is recorded, and again if that has changed
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// `Invalid` if the connection has no [`Recovery`](crate::Recovery), if arguments cannot be sent, and if what is recorded
    /// changes each time: `edit` declares something itself.
    pub fn edit_topology(&self, mut edit: impl FnMut(&mut Topology)) -> Result<()> {
        for _ in 0..EDITS_MAX {
            let recorded = self.topology();
            let mut edited = recorded.clone();
            edit(&mut edited);
            // A copy: the program's own octets must not be dropped under the lock.
            let copy = copied(&edited)?;
            let replaced =
                self.handle.shared().with(|session| session.replace_topology(&recorded, copy));
            // What it was is dropped here, outside the lock.
            if replaced?.is_ok() {
                return Ok(());
            }
        }
        Err(Error::invalid("what is recorded changes whenever it is edited"))
    }

    /// How many channels are open or being closed.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.handle.shared().with(|session| session.channel_count())
    }

    /// Why the connection ends or ended; `None` while it is open, or is being recovered.
    #[must_use]
    pub fn close_reason(&self) -> Option<Arc<CloseReason>> {
        self.handle.shared().with(|session| session.final_reason().cloned())
    }

    /// Closes the connection gracefully, within [`Options::close_timeout`](crate::Options::close_timeout).
    ///
    /// From now on nothing new begins: calls and publishes, waiting ones too, fail with the reason that this
    /// gives. What was begun is brought to its end first: publishes are confirmed, calls that are awaited get
    /// their replies, consumers are cancelled and what they have not read goes back to its queue, deliveries that
    /// the program holds may be settled. Then comes `connection.close`, the broker's answer and the end of the
    /// transport. With nothing to wait for, that is all there is.
    ///
    /// At most three quarters of the time are spent on waiting, so that there is some left for the broker's
    /// answer; what has not ended by then is cut off as by the end of the connection: outcomes are `Unknown`, calls
    /// fail, the broker delivers again what was not settled. A body that is published from a stream is not waited
    /// for, and nobody will see it unless it is through. A delivery or [`Acker`](crate::Acker) that is kept
    /// unsettled, by the very task that awaits this for instance, takes that time: settle or drop it before.
    /// Without time for waiting, `close_within(Duration::ZERO)` closes at once.
    ///
    /// May be called from anywhere and several times: later calls join the first, and the earliest deadline
    /// holds, though nobody may drive the runtime that the connection was made on (one of a single thread, outside its
    /// `block_on`): then the broker is told nothing, and everything that waits has its reason. Gives the reason that ended the connection first, which is another one if it was over already.
    ///
    /// # Cancel safety
    ///
    /// Nothing is done until it is polled. Dropped after that, the connection is closed all the same, in the same
    /// manner.
    pub async fn close(&self) -> Arc<CloseReason> {
        self.close_within(self.handle.shared().options.close_timeout).await
    }

    /// As [`Connection::close`], with a deadline of its own.
    ///
    /// # Cancel safety
    ///
    /// As [`Connection::close`].
    pub async fn close_within(&self, timeout: Duration) -> Arc<CloseReason> {
        let (shared, now) = (self.handle.shared(), Instant::now());
        shared.with(|session| session.shut_down(now, timeout));
        let mut ticket = Ticket::new(shared, Line::Finished);
        let finished = poll_fn(|cx| {
            ticket.poll(cx, |session, held, waker| session.poll_finished(held, waker))
        });
        // The driver holds the deadline too, but it may be one that nobody polls.
        if until(shared, after(now, timeout), finished).await.is_none() {
            shared.with(|session| session.give_up_closing());
        }
        self.closed().await
    }

    /// Waits until the connection has ended, and gives the reason.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn closed(&self) -> Arc<CloseReason> {
        let mut ticket = Ticket::new(self.handle.shared(), Line::Closed);
        poll_fn(|cx| ticket.poll(cx, |session, held, waker| session.poll_closed(held, waker))).await
    }

    /// Ends the connection at once, without a word to the broker. What was not written is lost.
    pub fn abort(&self) {
        self.handle.shared().with(|session| session.abort());
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("tuning", &self.tuning()).finish_non_exhaustive()
    }
}
