//! The handle of a channel, and its generic operations.
//!
//! `class_method` operations stand in the files named after their class. All state is the session's;
//! handles are cheap to clone, and the last one closes the channel.

mod access;
mod basic;
mod binding;
mod confirm;
mod consume;
mod exchange;
mod flow;
mod pace;
mod queue;
mod reopen;
mod tx;
mod unasked;

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use amqp_types::protocol::{self, Spec};
use amqp_types::{ClientMethod, ContentMethod, Method, Request};
use bytes::Bytes;
use tokio::time::Instant;

pub use access::{AccessRequest, AccessTicket};
pub use basic::{BasicConsume, BasicGet, Prefetch};
pub use binding::{ExchangeBind, ExchangeUnbind, QueueBind, QueueUnbind};
pub use exchange::{ExchangeDeclare, ExchangeDelete};
pub use queue::{QueueDeclare, QueueDelete};

use crate::call::{Call, CallWithContent, refuse_reserved};
use crate::deadline::until;
use crate::error::{CloseReason, Error, Result};
use crate::handle::ChannelHandle;
use crate::outcome::{Epoch, Returned};
use crate::publish::Returns;
use crate::session::{Line, Place, after};
use crate::shared::Ticket;
use crate::turn::{poll_turn, spend, unit};

/// An open channel. Clones are handles of the same channel, and may be used from any task.
///
/// # Drop
///
/// When the last handle, consumer and confirmation of the channel is gone, it is closed in the background. A
/// [`Confirmation`](crate::Confirmation) that nobody awaits keeps it open as long as it is kept.
#[derive(Clone)]
pub struct Channel {
    handle: Arc<ChannelHandle>,
}

impl Channel {
    pub(crate) fn new(handle: Arc<ChannelHandle>) -> Self {
        Self { handle }
    }

    pub(crate) fn handle(&self) -> &Arc<ChannelHandle> {
        &self.handle
    }

    /// What is declared on it from now on is not recorded to be declared again after a loss.
    pub(crate) fn leave_unrecorded(&self) {
        self.handle.shared().with(|session| session.leave_unrecorded(self.handle.key()));
    }

    /// The channel's number on its connection. Numbers are reused once a channel is closed. It is another one after a
    /// [`reopen`](Self::reopen), and after a recovery in which the broker closed the channel, for a consumer that it refused.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.handle.key().id
    }

    /// The incarnation of the channel. There is another one when its connection is lost and is to come back, and
    /// when the channel is reopened.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.handle.shared().with(|session| session.epoch(self.handle.key()))
    }

    /// Why the channel ends or ended; `None` while it is open.
    #[must_use]
    pub fn close_reason(&self) -> Option<Arc<CloseReason>> {
        let key = self.handle.key();
        self.handle.shared().with(|session| {
            session.channel_close_reason(key).or_else(|| session.final_reason().cloned())
        })
    }

    /// Sends any request of the compiled specification and waits for its reply.
    ///
    /// ```no_run
    /// # async fn run(channel: amqp_connector::Channel) -> amqp_connector::Result<()> {
    /// use amqp_connector::protocol::tx;
    ///
    /// channel.call(tx::Select::default()).await?;
    /// channel.call(tx::Commit::default()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Invalid` for a request with no-wait (use [`send`](Self::send)), for one whose reply carries
    /// content (use [`call_with_content`](Self::call_with_content)), for methods that belong to the
    /// connection's or channel's own handle, and for one that does not fit a frame; `Timeout`; the reason
    /// why the channel is closed.
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn call<R>(&self, request: R) -> Call<R>
    where
        R: Request<Protocol = Spec> + ClientMethod,
    {
        let request = match replies_with_content::<R>() {
            true => Err(Error::invalid("the reply may carry content: use `call_with_content`")),
            false => Ok(request),
        };
        Call::new(self.handle.clone(), request)
    }

    /// As [`call`](Self::call), for a request whose reply may carry content.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    #[track_caller]
    pub fn call_with_content<R>(&self, request: R) -> CallWithContent<R>
    where
        R: Request<Protocol = Spec> + ClientMethod,
    {
        CallWithContent::new(self.handle.clone(), Ok(request))
    }

    /// Sends a method that has no reply, or a request with no-wait. Encodes at once and never waits.
    ///
    /// # Errors
    ///
    /// `Invalid` for a request that has a reply, for a method that carries content, for methods that
    /// belong to the connection's or channel's own handle, and for one that does not fit a frame; the
    /// reason why the channel is closed. `Invalid` too for a no-wait request of which nobody would learn
    /// what it brought about: a queue or a consumer without a name of its own.
    #[track_caller]
    pub fn send<M>(&self, method: M) -> Result<()>
    where
        M: Method<Protocol = Spec> + ClientMethod,
    {
        self.send_any(method.into_any())
    }

    #[track_caller]
    pub(crate) fn send_any(&self, mut method: protocol::Method) -> Result<()> {
        refuse_reserved(&method)?;
        let (key, place) = (self.handle.key(), Location::caller());
        self.handle.shared().with(|session| {
            session.stamp(key, &mut method);
            session.name_last_queue(key, &mut method);
            session.send(key, &method, place)
        })
    }

    /// Sends any method that carries content, waiting for room like a publish. A `basic.publish` is
    /// better sent by [`basic_publish`](Self::basic_publish), which tells its outcome.
    ///
    /// # Errors
    ///
    /// `Invalid` for `basic.publish` and for what does not fit a frame; the reason why the channel is
    /// closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing was sent and nothing will be.
    pub async fn send_content<M>(
        &self,
        method: M,
        properties: M::Properties,
        body: impl Into<Bytes>,
    ) -> Result<()>
    where
        M: ContentMethod<Protocol = Spec> + ClientMethod,
    {
        if M::NAME == protocol::basic::Publish::NAME {
            unit().await;
            return Err(Error::invalid("use `basic_publish`, which counts confirms"));
        }
        let (key, mut method, body) = (self.handle.key(), method, body.into());
        let mut guard = PlaceGuard { handle: &self.handle, place: Place::None };
        poll_fn(|cx| {
            ready!(poll_turn(cx));
            let PlaceGuard { handle, place } = &mut guard;
            let sent = handle.shared().poll(cx, |session, waker| {
                session.stamp_typed(key, &mut method);
                let content = (&method, &properties, &body);
                session.poll_send_content(key, content, place, waker)
            });
            if sent.is_ready() {
                spend(cx);
            }
            sent
        })
        .await
    }

    /// Waits until everything sent on this channel so far is written to the transport. It may wait for
    /// messages over 64 KiB that are published meanwhile, too.
    ///
    /// # Errors
    ///
    /// The reason why the connection is closed.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn flush(&self) -> Result<()> {
        let (key, mut position) = (self.handle.key(), None);
        let mut ticket = Ticket::new(self.handle.shared(), Line::Flushed);
        poll_fn(|cx| {
            ticket.poll(cx, |session, held, waker| {
                session.poll_flush(key, &mut position, held, waker)
            })
        })
        .await
    }

    /// The next message that the broker gave back (`basic.return`) and that is no publish's outcome: on a channel
    /// without confirms any, with confirms one that fits no publish. The oldest go when more than 1024 of them, or more
    /// than the budget of a consumer, wait for somebody to ask. See [`returns`](Self::returns), too.
    ///
    /// # Errors
    ///
    /// The reason why the channel is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no message is lost.
    pub async fn returned(&self) -> Result<Returned> {
        let key = self.handle.key();
        let mut ticket = Ticket::new(self.handle.shared(), Line::Returned(key));
        poll_fn(|cx| {
            ticket.poll(cx, |session, held, waker| session.poll_returned(key, held, waker))
        })
        .await
    }

    /// As [`returned`](Self::returned), as a stream. What several ask for goes to one of them.
    pub fn returns(&self) -> Returns {
        Returns::new(self.handle.clone())
    }

    /// Closes the channel gracefully, within [`Options::close_timeout`](crate::Options::close_timeout): as
    /// [`Connection::close`](crate::Connection::close) does for all of them, then `channel.close` and the broker's
    /// answer. May be called several times: later calls join the first, and the earliest deadline holds.
    ///
    /// # Errors
    ///
    /// `Timeout` if the broker does not answer; the channel is unusable all the same.
    ///
    /// # Cancel safety
    ///
    /// Nothing is done until it is polled. Dropped after that, the channel is closed all the same, in the same
    /// manner.
    pub async fn close(&self) -> Result<()> {
        self.close_within(self.handle.shared().options.close_timeout).await
    }

    /// As [`Channel::close`], with a deadline of its own.
    ///
    /// # Errors
    ///
    /// As [`Channel::close`].
    ///
    /// # Cancel safety
    ///
    /// As [`Channel::close`].
    pub async fn close_within(&self, timeout: Duration) -> Result<()> {
        let (key, shared, now) = (self.handle.key(), self.handle.shared(), Instant::now());
        shared.with(|session| session.shut_down_channel(key, now, timeout));
        let mut ticket = Ticket::new(shared, Line::ChannelClosed(key));
        let closed = poll_fn(|cx| {
            ticket.poll(cx, |session, held, waker| session.poll_channel_closed(key, held, waker))
        });
        match until(shared, after(now, timeout), closed).await {
            Some(()) => Ok(()),
            None => {
                // The driver holds the deadline too, but it may be one that nobody polls.
                shared.with(|session| session.give_up_draining(key));
                Err(Error::timeout("channel.close"))
            }
        }
    }

    /// Waits until the channel has ended, the graceful part of a [`close`](Self::close) included, and gives the
    /// reason.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn closed(&self) -> Arc<CloseReason> {
        let (key, shared) = (self.handle.key(), self.handle.shared());
        let mut ticket = Ticket::new(shared, Line::ChannelClosed(key));
        let ended = poll_fn(|cx| {
            ticket.poll(cx, |session, held, waker| session.poll_channel_ended(key, held, waker))
        });
        if let Some(reason) = ended.await {
            return reason;
        }
        let mut ticket = Ticket::new(shared, Line::Closed);
        poll_fn(|cx| ticket.poll(cx, |session, held, waker| session.poll_closed(held, waker))).await
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Leaves the line of waiting publishers when the wait is given up.
struct PlaceGuard<'a> {
    handle: &'a ChannelHandle,
    place: Place,
}

impl Drop for PlaceGuard<'_> {
    fn drop(&mut self) {
        let Self { handle, place } = self;
        if !matches!(place, Place::None) {
            handle.shared().with(|session| session.leave(handle.key(), place));
        }
    }
}

fn replies_with_content<R: Request<Protocol = Spec>>() -> bool {
    let info = R::INFO;
    info.responses
        .iter()
        .filter_map(|name| protocol::INFO.method(info.class, name))
        .any(|reply| reply.content)
}
