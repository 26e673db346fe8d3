//! A broker that has run short of memory or disk and takes no publishes (`connection.blocked`): who is told, and
//! what becomes of publishes and calls meanwhile.
//!
//! Such a broker reads nothing: it answers calls and closes only when it has unblocked us. So their time stands
//! still, unless the user wants to hear of it, and no channel is closed for a reply that cannot come. A channel
//! that the peer pauses by `channel.flow` is the lesser case: its publishes wait, and nothing else. Called by
//! `incoming` and by [`BlockedWatch`](crate::BlockedWatch).

use std::task::Poll;
use std::time::Duration;

use amqp_types::protocol::channel;
use amqp_types::{Method as _, ShortStr};
use tokio::time::Instant;
use tracing::Level;

use crate::error::{Error, Result};
use crate::options::WhileBlocked;
use crate::outcome::Event;
use crate::session::Caller;
use crate::session::Session;
use crate::session::calls::deadline::Deadline;
use crate::session::channel::ChannelKey;
use crate::session::timers::after;
use crate::session::wait::WaitList;

/// What is told about the block, and to whom.
#[derive(Default)]
pub(super) struct BlockWatch {
    reason: Option<ShortStr>,
    /// Counts the changes.
    version: u64,
    /// How long calls have stood still for blocks that are over.
    paused: Duration,
    waiters: WaitList,
}

impl BlockWatch {
    pub(super) fn waiters(&mut self) -> &mut WaitList {
        &mut self.waiters
    }

    #[cfg(feature = "testing")]
    pub(super) fn waiting(&self) -> usize {
        self.waiters.len()
    }
}

impl Session {
    /// Whether the broker has told us to stop publishing.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// Why it has, in its own words.
    pub(crate) fn block_reason(&self) -> Option<ShortStr> {
        self.block_watch.reason.clone()
    }

    /// The number of the last change, to wait for the next one by.
    pub(crate) fn block_version(&self) -> u64 {
        self.block_watch.version
    }

    /// Waits for a change after the one that was `seen`, and gives what holds now.
    pub(crate) fn poll_block_change(
        &mut self,
        seen: &mut u64,
        ticket: &mut Option<u64>,
        waker: &dyn Caller,
    ) -> Poll<Result<Option<ShortStr>>> {
        // While the connection drains a block still matters; and one that comes back may be blocked again.
        if self.is_ending()
            && !self.is_coming_back()
            && let Err(error) = self.check_open()
        {
            return Poll::Ready(Err(error));
        }
        if *seen != self.block_watch.version {
            *seen = self.block_watch.version;
            return Poll::Ready(Ok(self.block_reason()));
        }
        let old = self.block_watch.waiters.stay(ticket, waker);
        self.effects.discard_waker(old);
        Poll::Pending
    }

    /// The broker takes no publishes from now on, or for another reason than before.
    #[allow(dead_code, reason = "not every specification has `connection.blocked`")]
    pub(super) fn begin_block(&mut self, reason: &ShortStr, now: Instant) {
        self.blocked.get_or_insert(now);
        // A copy, which does not hold the buffer that it was read into.
        let reason = ShortStr::try_from(reason.as_bytes()).unwrap_or_default();
        let told = reason.clone();
        self.effects.log(
            Level::WARN,
            move || tracing::warn!(reason = %told, "the broker blocks publishing"),
        );
        self.record(|| Event::Blocked { reason: reason.clone() });
        self.note_block(Some(reason));
        self.revoke_room();
        if self.options.publish_while_blocked == WhileBlocked::Fail {
            self.wake_publishers();
        }
    }

    /// The broker takes publishes again.
    #[allow(dead_code, reason = "not every specification has `connection.blocked`")]
    pub(super) fn end_block(&mut self, now: Instant) {
        if !self.is_blocked() {
            return;
        }
        self.effects.log(Level::INFO, || tracing::info!("the broker takes publishes again"));
        self.let_time_run(now);
        self.record(|| Event::Unblocked);
        self.note_block(None);
        self.wake_every_room();
    }

    /// The connection is over, and so is the block. Who watches a connection that comes back is told if there was one.
    pub(super) fn forget_block(&mut self, comes_back: bool) {
        let was_blocked = self.blocked.take().is_some();
        if comes_back && was_blocked {
            self.record(|| Event::Unblocked);
        }
        if was_blocked || !comes_back {
            self.note_block(None);
        }
    }

    fn note_block(&mut self, reason: Option<ShortStr>) {
        self.effects.counts.touch();
        self.block_watch.reason = reason;
        self.block_watch.version += 1;
        self.effects.wake_all(self.block_watch.waiters.take_all());
    }

    /// Lets every publish that waits look again, wherever it stands.
    fn wake_publishers(&mut self) {
        self.effects.wake_all(self.room.take_wakers());
        for channel in self.channels.iter_mut() {
            let woken = channel.gate.take_wakers().chain(channel.behind.take_wakers());
            self.effects.wake_all(woken.chain(channel.source.take()));
        }
    }

    /// Why a publish that cannot go at once is not to wait.
    pub(crate) fn refuses_publishes(&self) -> Option<Error> {
        (self.is_blocked() && self.options.publish_while_blocked == WhileBlocked::Fail)
            .then(|| Error::blocked("the broker has blocked publishing on this connection"))
    }

    /// When the time of a call begins that is made at `now`: while it stands still, with the block.
    pub(super) fn call_clock(&self, now: Instant) -> Instant {
        self.blocked.filter(|_| self.calls_pause()).unwrap_or(now)
    }

    /// Whether the deadlines of calls stand still now.
    pub(super) fn calls_pause(&self) -> bool {
        self.is_blocked() && self.options.call_while_blocked == WhileBlocked::Wait
    }

    /// How long calls have stood still up to `now`.
    pub(crate) fn calls_paused(&self, now: Instant) -> Duration {
        let block = self.blocked.filter(|_| self.calls_pause());
        let block = block.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        self.block_watch.paused.saturating_add(block)
    }

    /// The broker has stopped blocking us: what was left of the calls' time is left again.
    fn let_time_run(&mut self, now: Instant) {
        let paused = self.calls_pause();
        let Some(since) = self.blocked.take() else { return };
        let blocked = now.saturating_duration_since(since);
        self.excuse_unsent(now, blocked);
        for ((at, id), key) in std::mem::take(&mut self.overdue) {
            self.move_deadline(key, id, Deadline::Second(after(at, blocked)));
        }
        if !paused {
            return;
        }
        self.block_watch.paused = self.block_watch.paused.saturating_add(blocked);
        for ((at, id), key) in std::mem::take(&mut self.deadlines) {
            self.move_deadline(key, id, Deadline::First(after(at, blocked)));
        }
    }

    /// Whether the peer lets the channel publish.
    pub(crate) fn is_flowing(&mut self, key: ChannelKey) -> bool {
        self.channels.get(key).is_some_and(|channel| channel.flow.is_active())
    }

    /// The channel is told `channel.flow`; publishers of this channel alone wait or go on.
    pub(super) fn handle_flow(&mut self, key: ChannelKey, active: bool) -> Result<()> {
        if let Some(channel) = self.channels.get(key) {
            let changed = channel.flow.set_active(active);
            match active {
                true => {
                    self.republish();
                    self.wake_gate(key);
                }
                false => channel.gate.revoke(),
            }
            if changed {
                self.record(|| match active {
                    true => Event::FlowResumed { channel: key.id },
                    false => Event::FlowPaused { channel: key.id },
                });
            }
        }
        self.send_answer(key, &channel::FlowOk { active }.into_any())
    }
}
