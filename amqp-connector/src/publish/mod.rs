//! Publishing as the user sees it: the message, the future that gets it accepted, and its outcome.
//!
//! All state is the session's; these types hold a ticket and a handle. Called from [`Channel`](crate::Channel).

mod confirmation;
mod message;
mod properties;
mod returns;
pub(crate) mod stream;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

pub use confirmation::Confirmation;
pub use message::BasicPublish;
pub use returns::Returns;
pub use stream::BasicPublishStream;

use crate::error::{Error, ErrorKind, Result};
use crate::handle::ChannelHandle;
use crate::measure::Stamp;
use crate::session::{Accepted, Asking, Caller, Place, Ready};
use crate::turn::{poll_turn, spend};

/// The future of [`Channel::basic_publish`](crate::Channel::basic_publish): resolves when the message
/// is accepted for sending, to the [`Confirmation`] of its outcome.
///
/// # Cancel safety
///
/// Dropped before it resolves, nothing was sent and nothing will be. One that has to wait has a place in a
/// line, and later its room: poll it on or drop it, since others of the connection wait behind it. Of several
/// that wait at once, any may be accepted first.
#[must_use = "nothing is published until this future is awaited"]
pub struct Publish {
    channel: Arc<ChannelHandle>,
    publish: BasicPublish,
    caller: &'static Location<'static>,
    place: Place,
}

impl Publish {
    #[inline]
    #[track_caller]
    pub(crate) fn new(channel: Arc<ChannelHandle>, publish: BasicPublish) -> Self {
        Self { channel, publish, caller: Location::caller(), place: Place::None }
    }

    /// It is made on behalf of one that was called there.
    pub(crate) fn at(mut self, place: &'static Location<'static>) -> Self {
        self.caller = place;
        self
    }

    /// Encodes the message if it may go at once, and fails otherwise.
    pub(crate) fn try_now(mut self) -> Result<Confirmation> {
        let mut tried = self.poll_session(None, None);
        if let Poll::Ready(Err(error)) = &tried
            && error.kind() == ErrorKind::Full
            && self.may_keep_pace()
        {
            self.place = Place::None;
            tried = self.poll_session(None, None);
        }
        match tried {
            Poll::Ready(result) => result,
            // Without a waker the session answers at once.
            Poll::Pending => Err(Error::full("the publish would have to wait")),
        }
    }

    /// Looks at the clock for a publish that cannot wait for the driver to do so; true if that may have been of use.
    #[cold]
    fn may_keep_pace(&self) -> bool {
        let (key, now) = (self.channel.key(), Instant::now());
        self.channel.shared().with(|session| session.look_at_pace(key, now))
    }

    /// Gives up the place in the line.
    #[cold]
    fn leave(&mut self) {
        let Self { channel, place, .. } = self;
        channel.shared().with(|session| session.leave(channel.key(), place));
    }

    #[cold]
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<Confirmation>> {
        let ready = Ready::new(cx.waker());
        self.poll_session(Some(&ready), Some(cx))
    }

    fn poll_session(
        &mut self,
        waker: Option<&dyn Caller>,
        cx: Option<&mut Context<'_>>,
    ) -> Poll<Result<Confirmation>> {
        let Self { channel, publish: BasicPublish { message, invalid }, caller, place } = self;
        if let Some(invalid) = invalid.take() {
            *place = Place::Gone;
            return refused(cx, invalid.into());
        }
        if matches!(place, Place::Gone) {
            return refused(cx, Error::invalid("the publish was completed before"));
        }
        let shared = channel.shared();
        let now = Stamp::now();
        let accepted = shared.with(|session| {
            session.publish_at(now);
            session.poll_publish(channel.key(), message, caller, place, waker)
        });
        let accepted = ready!(accepted);
        *place = Place::Gone;
        let Accepted { tag, charge } = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return refused(cx, error),
        };
        if charge && let Some(cx) = cx {
            spend(cx);
        }
        Poll::Ready(Ok(match tag {
            Some(tag) => Confirmation::pending(channel.clone(), tag),
            None => Confirmation::accepted(),
        }))
    }
}

/// A publish that fails spends a unit of the turn: one that is tried until it succeeds must let that come about.
#[cold]
fn refused(cx: Option<&mut Context<'_>>, error: Error) -> Poll<Result<Confirmation>> {
    if let Some(cx) = cx {
        spend(cx);
    }
    Poll::Ready(Err(error))
}

impl Future for Publish {
    type Output = Result<Confirmation>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A tight loop of publishes must leave the driver its turns on a current-thread runtime.
        ready!(poll_turn(cx));
        let asking = Asking::new(cx.waker());
        let accepted = self.poll_session(Some(&asking), Some(&mut *cx));
        match accepted.is_pending() && asking.is_wanted() {
            true => self.wait(cx),
            false => accepted,
        }
    }
}

impl Drop for Publish {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.place, Place::None | Place::Gone) {
            self.leave();
        }
    }
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("channel", &self.channel.key().id).finish_non_exhaustive()
    }
}
