//! What the peer sends on a channel of its own accord: methods that answer no call and that the session does
//! not handle itself.
//!
//! Kept, within bounds, for the one handle that has asked for them ([`Incoming`](crate::Incoming)), or will: a
//! request that may bring them about ([`brings_unasked`]) is followed by them before anybody can ask. As long as there
//! was neither, they are violations of the protocol. `channel.alert` may always come, and is only told as an event.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use amqp_types::protocol::{self, Method, ReplyCode};
use amqp_types::reflect::{ClassInfo, MethodInfo, Value};
use amqp_types::wire::ContentDomain;
use amqp_types::{AnyMethod, AnyProperties as _, Body};
use tracing::Level;

use crate::error::{CloseCause, CloseReason, Error, Result, Scope};
use crate::outcome::Event;
use crate::outcome::{Alert, IncomingMethod};
use crate::session::Caller;
use crate::session::channel::ChannelKey;
use crate::session::{Garbage, Session};

/// Methods that may wait for the user.
const METHODS_MAX: usize = 1024;

/// The methods of one channel that wait for the user.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: VecDeque<IncomingMethod>,
    /// What their bodies, properties and arguments cost in memory.
    octets: usize,
    waker: Option<Waker>,
    /// There is a handle that takes them.
    claimed: bool,
    /// There never was one, and what comes waits for the first.
    awaited: bool,
}

#[cfg(feature = "testing")]
impl Inbox {
    /// How many methods wait.
    pub(in crate::session) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl Session {
    /// From now on such methods are kept.
    pub(crate) fn claim_inbox(&mut self, key: ChannelKey) -> Result<()> {
        let inbox = self.open_channel(key)?.inbox.get_or_insert_default();
        if inbox.claimed {
            return Err(Error::invalid(
                "the channel's incoming methods are taken by another handle",
            ));
        }
        inbox.claimed = true;
        inbox.awaited = false;
        Ok(())
    }

    /// A method was sent. The peer's may follow before anybody has asked for them.
    #[inline]
    pub(in crate::session) fn note_inviting(&mut self, key: ChannelKey, method: &MethodInfo) {
        if brings_unasked(method)
            && let Some(channel) = self.channels.get(key)
        {
            channel
                .inbox
                .get_or_insert_with(|| Box::new(Inbox { awaited: true, ..Inbox::default() }));
        }
    }

    /// Nobody takes them any more. What comes still is no violation, but of no use to anybody.
    pub(crate) fn release_inbox(&mut self, key: ChannelKey) {
        if let Some(inbox) = self.channels.get(key).and_then(|channel| channel.inbox.as_mut()) {
            let Inbox { queue, waker, .. } = std::mem::take(&mut **inbox);
            self.effects.discard(Garbage::Inbox(queue));
            self.effects.discard_waker(waker);
        }
    }

    /// The next one; none when the channel is over and all are taken.
    pub(crate) fn poll_inbox(
        &mut self,
        key: ChannelKey,
        waker: &dyn Caller,
    ) -> Poll<Option<IncomingMethod>> {
        let comes_back = self.channels.get(key).is_some_and(|it| it.restoring().is_some());
        let over = !comes_back && self.live_channel(key).is_err();
        let Some(inbox) = self.channels.get(key).and_then(|channel| channel.inbox.as_mut()) else {
            return Poll::Ready(None);
        };
        if let Some(next) = inbox.queue.pop_front() {
            inbox.octets = inbox.octets.saturating_sub(octets(&next));
            return Poll::Ready(Some(next));
        }
        if over {
            return Poll::Ready(None);
        }
        self.effects.keep(&mut inbox.waker, waker);
        Poll::Pending
    }

    /// A method that answers no call. Gives it back unless it is kept or may be ignored.
    pub(in crate::session) fn take_unasked(
        &mut self,
        key: ChannelKey,
        method: Method,
        content: Option<(protocol::Properties, Body)>,
    ) -> Option<Method> {
        let budget = self.options.consumer_budget;
        let inbox = match self.channels.get(key).and_then(|channel| channel.inbox.as_mut()) {
            Some(inbox) if is_unasked(method.info()) => inbox,
            _ => return Some(method),
        };
        if !inbox.claimed && !inbox.awaited {
            let method = method.info().full_name;
            self.effects.log(Level::TRACE, move || {
                tracing::trace!(method, "nobody takes incoming methods")
            });
            return None;
        }
        let incoming = IncomingMethod { method, content };
        inbox.octets = inbox.octets.saturating_add(octets(&incoming));
        inbox.queue.push_back(incoming);
        self.effects.wake(inbox.waker.take());
        let full = inbox.queue.len() > METHODS_MAX || inbox.octets > budget;
        if full && inbox.queue.len() > 1 {
            let text = match inbox.claimed {
                true => "more incoming methods than are taken",
                false => {
                    "more incoming methods than may wait, and nobody has called `Channel::incoming`"
                }
            };
            let reason = CloseReason::new(Scope::Channel(key.id), CloseCause::LimitExceeded, text)
                .with_code(ReplyCode::RESOURCE_ERROR);
            self.close_channel_because(key, reason);
        }
        None
    }

    /// The peer tells something about the channel, for the user to know.
    #[allow(dead_code, reason = "not every specification has alerts")]
    pub(in crate::session) fn handle_alert(&mut self, key: ChannelKey, alert: Alert) {
        let (channel, code, text) = (key.id, alert.reply_code, alert.reply_text.clone());
        self.effects.log(Level::WARN, move || tracing::warn!(channel, %code, %text, "alert"));
        self.record(|| Event::Alerted { channel, alert });
    }

    /// The channel is over: those who wait for what comes on it are to look.
    pub(in crate::session) fn wake_unasked(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        if let Some(inbox) = &mut channel.inbox {
            self.effects.wake(inbox.waker.take());
        }
    }
}

/// Whether such a method of ours may be followed by methods that answer nothing: those of a consumer, a message that is
/// got, or one that comes back.
fn brings_unasked(info: &MethodInfo) -> bool {
    let has_unasked = |class: &ClassInfo| class.methods.iter().any(|method| is_unasked(method));
    info.class != "basic"
        && matches!(info.name, "consume" | "get" | "publish")
        && protocol::INFO.class(info.class).is_some_and(has_unasked)
}

/// Whether a peer may send such a method of its own accord: it is a server's, and answers nothing that a call
/// could have asked. What carries content cannot be called, so its answer is found here, too.
fn is_unasked(info: &MethodInfo) -> bool {
    let answers = |request: &&'static MethodInfo| {
        request.from_client
            && !request.content
            && (request.responses.contains(&info.name)
                || info.name.strip_suffix("-ok") == Some(request.name))
    };
    let class = protocol::INFO.class(info.class);
    info.from_server
        && info.class != "connection"
        && !class.is_some_and(|class| class.methods.iter().any(answers))
}

/// What waits costs about this much memory beside its own size.
fn octets(incoming: &IncomingMethod) -> usize {
    let IncomingMethod { method, content } = incoming;
    let properties = content.iter().flat_map(|(properties, _)| properties.values()).flatten();
    let values = method.values().into_iter().chain(properties).map(|value| match value {
        Value::LongStr(octets)
        | Value::Content(ContentDomain::Inline(octets) | ContentDomain::Reference(octets)) => {
            octets.len()
        }
        Value::ShortStr(string) => string.heap_size(),
        Value::Table(table) => table.heap_size(),
        _ => 0,
    });
    let body = content.as_ref().map_or(0, |(_, body)| body.len());
    values.fold(body, usize::saturating_add)
}
