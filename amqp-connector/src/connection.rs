//! The handle of a connection.
//!
//! Cheap to clone and callable from anywhere; all state is the session's. Channels keep the connection
//! open too: it closes when the last handle of any kind is gone.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use amqp_types::FieldTable;
use amqp_types::Reply;
use amqp_types::protocol::{Method, ReplyCode, channel};
use tokio::time::Instant;

use crate::channel::Channel;
use crate::error::{CloseReason, Result};
use crate::handle::{ChannelHandle, ConnectionHandle};
use crate::options::Tuning;
use crate::session::{CONTROL, CallId, CallOptions, ChannelKey, Line, after};
use crate::shared::{Shared, Ticket};

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
    pub fn channel_open(&self) -> impl Future<Output = Result<Channel>> + Send + use<> {
        let place = Location::caller();
        let handle = self.handle.clone();
        async move {
            let options = CallOptions {
                accepts: <channel::OpenOk as Reply>::accepts,
                place,
                timeout: handle.shared().options.call_timeout,
                now: Instant::now(),
            };
            let (key, call) = handle.shared().with(|session| session.open(&options))?;
            let mut opening = Opening { handle: &handle, key, call, open: false };
            let opened =
                poll_fn(|cx| handle.shared().with(|session| session.poll_call(call, cx.waker())));
            opened.await?;
            opening.open = true;
            drop(opening);
            Ok(Channel::new(ChannelHandle::new(handle, key)))
        }
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
    pub fn update_secret(
        &self,
        new_secret: &str,
        reason: &str,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let call = update_secret(new_secret, reason);
        let (place, handle) = (Location::caller(), self.handle.clone());
        async move {
            let (request, accepts) = call?;
            let timeout = handle.shared().options.call_timeout;
            let options = CallOptions { accepts, place, timeout, now: Instant::now() };
            let call = handle.shared().with(|session| session.call(CONTROL, &request, &options))?;
            let _abandoned = Abandon { handle: &handle, call };
            poll_fn(|cx| handle.shared().with(|session| session.poll_call(call, cx.waker())))
                .await?;
            Ok(())
        }
    }

    /// What both sides agreed on: highest channel number, largest frame, heartbeat.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        self.handle.shared().tuning
    }

    /// What the server tells about itself: product, version, capabilities.
    #[must_use]
    pub fn server_properties(&self) -> &FieldTable {
        &self.handle.shared().server_properties
    }

    /// Whether the broker has blocked publishing on this connection (`connection.blocked`).
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.handle.shared().with(|session| session.is_blocked())
    }

    /// How many channels are open or being closed.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.handle.shared().with(|session| session.channel_count())
    }

    /// Why the connection ends or ended; `None` while it is open.
    #[must_use]
    pub fn close_reason(&self) -> Option<Arc<CloseReason>> {
        self.handle.shared().with(|session| session.close_reason().cloned())
    }

    /// Closes the connection (`connection.close`), waiting for the broker's answer and the end of the
    /// transport for at most [`Options::close_timeout`](crate::Options::close_timeout). All channels end at
    /// once, and what waits on them gets the reason. Idempotent: gives the reason that ended the connection
    /// first.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the connection is closed all the same.
    pub async fn close(&self) -> Arc<CloseReason> {
        self.close_within(self.handle.shared().options.close_timeout).await
    }

    /// As [`Connection::close`], with a deadline of its own.
    ///
    /// # Cancel safety
    ///
    /// As [`Connection::close`].
    pub async fn close_within(&self, timeout: Duration) -> Arc<CloseReason> {
        let deadline = after(Instant::now(), timeout);
        let shared = self.handle.shared();
        shared.with(|session| session.close(ReplyCode::REPLY_SUCCESS, "", Some(deadline)));
        let mut ticket = Ticket::new(shared, Line::Finished);
        let finished =
            poll_fn(|cx| ticket.poll(|session, held| session.poll_finished(held, cx.waker())));
        // The driver holds the deadline too, but it may be one that nobody polls.
        if tokio::time::timeout_at(deadline, finished).await.is_err() {
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
        poll_fn(|cx| ticket.poll(|session, held| session.poll_closed(held, cx.waker()))).await
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

/// Tells the answer to a request by class and method.
type Accepts = fn(u16, u16) -> bool;

/// The request, and what answers it.
fn update_secret(new_secret: &str, reason: &str) -> Result<(Method, Accepts)> {
    amqp_types::if_spec! { connection.update_secret => {
        let request = amqp_types::protocol::connection::UpdateSecret {
            new_secret: bytes::Bytes::copy_from_slice(new_secret.as_bytes()),
            reason: reason.try_into()?,
        };
        let accepts = <amqp_types::protocol::connection::UpdateSecretOk as Reply>::accepts;
        Ok((amqp_types::Method::into_any(request), accepts))
    } else {
        let _ = (new_secret, reason);
        Err(crate::error::Error::unsupported("connection.update-secret"))
    } }
}

/// A call on the connection itself, given up when its future is dropped.
struct Abandon<'a> {
    handle: &'a ConnectionHandle,
    call: CallId,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.handle.shared().with(|session| session.abandon_call(self.call));
    }
}

/// A channel whose open-ok is awaited. Given up before it came, the channel is given back.
struct Opening<'a> {
    handle: &'a ConnectionHandle,
    key: ChannelKey,
    call: CallId,
    open: bool,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if !self.open {
            self.handle.shared().with(|session| {
                session.abandon_call(self.call);
                session.release_channel(self.key);
            });
        }
    }
}
