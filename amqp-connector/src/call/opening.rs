//! The future of `channel.open`, which has no channel yet to be made on.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_types::Reply;
use amqp_types::protocol::channel;
use tokio::time::Instant;

use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::handle::{ChannelHandle, ConnectionHandle};
use crate::session::{CallId, CallOptions, ChannelKey};
use crate::turn::poll_unit;

/// The future of [`Connection::channel_open`](crate::Connection::channel_open).
///
/// # Cancel safety
///
/// Dropped before it resolves, the channel is closed again once the peer has opened it.
#[must_use = "nothing is sent until this future is awaited"]
pub struct ChannelOpen {
    connection: Arc<ConnectionHandle>,
    place: &'static Location<'static>,
    timeout: Option<Duration>,
    state: State,
}

enum State {
    Unsent,
    Sent(ChannelKey, CallId),
    Done,
}

impl ChannelOpen {
    #[track_caller]
    pub(crate) fn new(connection: Arc<ConnectionHandle>) -> Self {
        Self { connection, place: Location::caller(), timeout: None, state: State::Unsent }
    }

    /// Gives this call a deadline of its own in place of [`Options::call_timeout`](crate::Options::call_timeout),
    /// counted from when it is first polled, as [`Call::within`](crate::Call::within) does. A channel that is opened
    /// later is closed again.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    fn send(&self) -> Result<(ChannelKey, CallId)> {
        let shared = self.connection.shared();
        let options = CallOptions {
            accepts: <channel::OpenOk as Reply>::accepts,
            place: self.place,
            within: self.timeout,
            now: Instant::now(),
        };
        shared.with(|session| session.open(&options))
    }
}

impl Future for ChannelOpen {
    type Output = Result<Channel>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (key, call) = match self.state {
            State::Unsent => match self.send() {
                Ok(sent) => sent,
                // Nothing was waited for: in a loop the driver would not get a turn.
                Err(error) => return poll_unit(cx).map(|()| Err(error)),
            },
            State::Sent(key, call) => (key, call),
            State::Done => {
                ready!(poll_unit(cx));
                return Poll::Ready(Err(Error::invalid("the call was completed before")));
            }
        };
        self.state = State::Sent(key, call);
        let shared = self.connection.shared();
        // Given up by the drop unless it is open.
        ready!(shared.poll(cx, |session, waker| session.poll_call(call, waker)))?;
        self.state = State::Done;
        Poll::Ready(Ok(Channel::new(ChannelHandle::new(self.connection.clone(), key))))
    }
}

impl Drop for ChannelOpen {
    fn drop(&mut self) {
        if let State::Sent(key, call) = self.state {
            self.connection.shared().with(|session| {
                session.abandon_call(call);
                session.release_channel(key);
            });
        }
    }
}

impl fmt::Debug for ChannelOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelOpen").finish_non_exhaustive()
    }
}
