//! Bringing one channel back: opening it, then its mode, its consumers and its prefetch.
//!
//! One call after the other, each with the deadline of all calls. The broker closes a channel for what it refuses: whoever
//! called this, for a whole connection or for one channel alone, leaves that out and tries again.

use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use amqp_types::protocol::{basic, channel};
use amqp_types::{Method as _, Reply};
use tokio::time::Instant;

use crate::error::{CloseCause, CloseReason, Error, Result, Scope};
use crate::outcome::Entity;
use crate::session::{CallId, CallOptions, CallReply, ChannelKey, Lasting, Restart};
use crate::shared::Shared;

/// Why an attempt at a channel did not come to its end.
pub(super) enum Stuck {
    /// This consumer is to blame.
    Consumer(Box<Restart>, Error),
    /// The channel itself is.
    Channel(Error),
}

impl Stuck {
    pub(super) fn error(&self) -> &Error {
        match self {
            Self::Consumer(_, error) | Self::Channel(error) => error,
        }
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Consumer(_, error) | Self::Channel(error) => error,
        }
    }

    /// Whether the consumer wants the queue for itself alone, and that of the channel's last incarnation may not be over for
    /// the broker yet.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Consumer(restart, error) if restart.consume.exclusive && is_refused(error))
    }
}

/// One attempt. Gives how long each consumer took.
pub(super) async fn restore(
    steps: Steps<'_>,
    key: ChannelKey,
    lasting: Lasting,
) -> Result<Vec<Duration>, Stuck> {
    let mut took = Vec::new();
    let opened =
        steps.shared.with(|session| session.reopen(key, &steps.options::<channel::OpenOk>()));
    // What the broker has for the next consumer; nothing is known of that if the channel was open.
    let mut prefetch = None;
    if let Some(opened) = opened.map_err(Stuck::Channel)? {
        prefetch = Some(0);
        steps.reply(Ok(opened)).await.map_err(Stuck::Channel)?;
    }
    if lasting.confirms {
        steps.select_confirms(key).await.map_err(Stuck::Channel)?;
    }
    for restart in lasting.consumers {
        if prefetch != Some(restart.prefetch) {
            prefetch = Some(restart.prefetch);
            steps.qos(key, restart.prefetch, false).await.map_err(Stuck::Channel)?;
        }
        let begun = Instant::now();
        if let Err(error) = steps.consume(key, &restart).await {
            return Err(Stuck::Consumer(Box::new(restart), error));
        }
        took.push(begun.elapsed());
    }
    if prefetch != Some(lasting.prefetch) {
        steps.qos(key, lasting.prefetch, false).await.map_err(Stuck::Channel)?;
    }
    if lasting.prefetch_global != 0 {
        steps.qos(key, lasting.prefetch_global, true).await.map_err(Stuck::Channel)?;
    }
    Ok(took)
}

/// The calls that restore, made on behalf of a place in the program.
#[derive(Clone, Copy)]
pub(super) struct Steps<'a> {
    pub(super) shared: &'a Shared,
    pub(super) place: &'static Location<'static>,
}

impl Steps<'_> {
    pub(super) fn options<R: Reply>(&self) -> CallOptions {
        CallOptions { accepts: R::accepts, place: self.place, within: None, now: Instant::now() }
    }

    /// Awaits a reply.
    pub(super) async fn reply(&self, sent: Result<CallId>) -> Result<Box<CallReply>> {
        let guard = Abandon { shared: self.shared, call: sent? };
        let (shared, call) = (guard.shared, guard.call);
        poll_fn(|cx| shared.poll(cx, |session, waker| session.poll_call(call, waker))).await
    }

    async fn qos(&self, key: ChannelKey, prefetch_count: u16, global: bool) -> Result<()> {
        let request = basic::Qos { prefetch_count, global, ..Default::default() }.into_any();
        let call = self.options::<basic::QosOk>();
        let sent = self.shared.with(|session| session.restore_call(key, &request, &call, None));
        self.reply(sent).await.map(drop)
    }

    async fn consume(&self, key: ChannelKey, restart: &Restart) -> Result<()> {
        let (request, id) = (restart.consume.clone().into_any(), Some(restart.id));
        let call = self.options::<basic::ConsumeOk>();
        let sent = self.shared.with(|session| session.restore_call(key, &request, &call, id));
        self.reply(sent).await.map(drop)
    }

    async fn select_confirms(&self, key: ChannelKey) -> Result<()> {
        amqp_types::if_spec! { confirm.select => {
            use amqp_types::protocol::confirm;
            let request = confirm::Select::default().into_any();
            let call = self.options::<confirm::SelectOk>();
            let sent = self.shared.with(|session| session.restore_call(key, &request, &call, None));
            self.reply(sent).await.map(drop)
        } else {
            let _ = key;
            Ok(())
        } }
    }
}

/// A call that nobody awaits any more when its future is dropped.
struct Abandon<'a> {
    shared: &'a Shared,
    call: CallId,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.shared.with(|session| session.abandon_call(self.call));
    }
}

fn is_refused(error: &Error) -> bool {
    let code = error.close_reason().and_then(CloseReason::code);
    code == Some(amqp_types::protocol::ReplyCode::ACCESS_REFUSED)
}

/// What a consumer is called.
pub(super) fn entity(key: ChannelKey, restart: &Restart) -> Entity {
    let (tag, queue) = (restart.consume.consumer_tag.clone(), restart.consume.queue.clone());
    Entity::Consumer { channel: key.id, tag, queue }
}

/// Why something of a channel ends that could not be restored.
pub(super) fn reason_of(error: &Error, key: ChannelKey) -> Arc<CloseReason> {
    error.clone().into_reason().unwrap_or_else(|| {
        let text = format!("it could not be restored: {error}");
        Arc::new(CloseReason::new(Scope::Channel(key.id), CloseCause::PeerClosed, text))
    })
}
