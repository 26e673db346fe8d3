//! The outcome of one publish: a future that is the session's tag.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::BasicPublish;
use crate::handle::ChannelHandle;
use crate::outcome::Outcome;
use crate::session::{Asking, Claimed};
use crate::turn::{poll_turn, spend};

/// The outcome of one publish, to await or to drop.
///
/// It resolves exactly once, whatever happens: the end of the channel or connection makes it
/// [`Outcome::Unknown`]. On a channel without confirms it is [`Outcome::Accepted`] at once.
///
/// A returned message is told from others by its exchange, routing key, properties and body. Of messages that are equal in all of
/// these it cannot be known which one came back: exactly as many of them are [`Outcome::Returned`] as came back, and a return goes to the
/// first of them that the broker acks after it, since brokers ack what they return. Where a return may mean publishes that
/// differ, each of these is [`Outcome::Unknown`] unless it is nacked, and the return goes to
/// [`Channel::returns`](crate::Channel::returns).
///
/// # Drop
///
/// Forgets the outcome; the message is not affected. Until the broker has answered, the publish counts in the limit of
/// unconfirmed ones; dropped or not, nothing else of it is held, unless its message is kept: a failed one is then had
/// from [`Channel::take_failed`](crate::Channel::take_failed).
///
/// Like every handle of a channel it keeps the channel open at the broker, though no [`Channel`](crate::Channel) may be
/// left: until it has resolved, and where it can give its message back ([`take_message`](Self::take_message)) until it
/// has or is dropped.
///
/// # Cancel safety
///
/// It may be polled again after having been dropped out of a `select!`, by reference.
#[must_use = "the outcome of the publish is known only by awaiting this"]
pub struct Confirmation {
    state: State,
}

enum State {
    Pending {
        channel: Arc<ChannelHandle>,
        tag: u64,
    },
    /// There are no confirms to wait for.
    Accepted,
    /// The broker has taken the message, as it mostly does: of this there is nothing to be copied or dropped.
    Acked {
        tag: u64,
    },
    /// Kept for a second look.
    Done {
        tag: u64,
        outcome: Outcome,
        /// The channel that keeps its message.
        keeper: Option<Arc<ChannelHandle>>,
    },
}

impl Confirmation {
    #[inline]
    pub(super) fn pending(channel: Arc<ChannelHandle>, tag: u64) -> Self {
        Self { state: State::Pending { channel, tag } }
    }

    #[inline]
    pub(super) fn accepted() -> Self {
        Self { state: State::Accepted }
    }

    /// Of a publish with this tag, or of one on a channel without confirms.
    pub(crate) fn of(channel: Arc<ChannelHandle>, tag: Option<u64>) -> Self {
        tag.map_or_else(Self::accepted, |tag| Self::pending(channel, tag))
    }

    /// The publish's number on its channel, counted from 1 since confirm mode was selected; `None`
    /// without confirms.
    #[must_use]
    pub fn delivery_tag(&self) -> Option<u64> {
        match &self.state {
            State::Pending { tag, .. } | State::Acked { tag } | State::Done { tag, .. } => {
                Some(*tag)
            }
            State::Accepted => None,
        }
    }

    /// The message, to publish it again: once this has resolved to [`Outcome::Nacked`] or [`Outcome::Unknown`] on a
    /// channel that keeps messages ([`ConfirmOptions::retain`](crate::ConfirmOptions::retain)). It is given
    /// once; `None` in every other case. Not taken, it is had from
    /// [`Channel::take_failed`](crate::Channel::take_failed) once this is dropped.
    ///
    /// A message whose outcome is unknown may have reached its queue: publishing it again may make it two.
    pub fn take_message(&mut self) -> Option<BasicPublish> {
        let State::Done { tag, keeper, .. } = &mut self.state else { return None };
        let (tag, keeper) = (*tag, keeper.take()?);
        let shared = keeper.shared();
        let message = shared.with(|session| session.take_message(keeper.key(), tag));
        message.map(BasicPublish::from_message)
    }
}

impl Future for Confirmation {
    type Output = Outcome;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.state {
            // Here, since the plain publish is to cost no call.
            State::Accepted => poll_turn(cx).map(|()| Outcome::Accepted),
            _ => self.poll_outcome(cx),
        }
    }
}

impl Confirmation {
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        ready!(poll_turn(cx));
        let (channel, tag) = match &self.state {
            State::Accepted => return Poll::Ready(Outcome::Accepted),
            State::Pending { channel, tag } => (channel, tag),
            State::Acked { .. } => {
                spend(cx);
                return Poll::Ready(Outcome::Acked);
            }
            State::Done { outcome, .. } => {
                spend(cx);
                return Poll::Ready(outcome.clone());
            }
        };
        let (asking, tag) = (Asking::new(cx.waker()), *tag);
        let shared = channel.shared();
        let mut claimed = shared.with(|session| session.poll_confirm(channel.key(), tag, &asking));
        if claimed.is_pending() && asking.is_wanted() {
            claimed = wait(channel, tag, cx);
        }
        let Claimed { outcome, kept, charge } = ready!(claimed);
        if charge {
            spend(cx);
        }
        let outcome = outcome.unwrap_or(Outcome::Accepted);
        let keeper = kept.then(|| channel.clone());
        self.state = match outcome {
            Outcome::Acked => State::Acked { tag },
            _ => State::Done { tag, outcome: outcome.clone(), keeper },
        };
        Poll::Ready(outcome)
    }
}

impl Drop for Confirmation {
    #[inline]
    fn drop(&mut self) {
        match &self.state {
            State::Pending { channel, tag } => forget(channel, *tag),
            State::Done { tag, keeper: Some(keeper), .. } => leave(keeper, *tag),
            State::Done { .. } | State::Acked { .. } | State::Accepted => {}
        }
    }
}

/// The outcome is not there yet.
#[cold]
fn wait(channel: &ChannelHandle, tag: u64, cx: &Context<'_>) -> Poll<Claimed> {
    let shared = channel.shared();
    shared.poll_ready(cx, |session, waker| session.poll_confirm(channel.key(), tag, waker))
}

/// Nobody can take the message of a failed publish through its confirmation any more.
#[cold]
fn leave(channel: &ChannelHandle, tag: u64) {
    channel.shared().with(|session| session.leave_message(channel.key(), tag));
}

/// Nobody asks for the outcome any more.
fn forget(channel: &ChannelHandle, tag: u64) {
    // What it gives is dropped here, outside the lock.
    drop(channel.shared().with(|session| session.detach_confirm(channel.key(), tag)));
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmation").field("delivery_tag", &self.delivery_tag()).finish()
    }
}
