//! Giving back that waits for a moment: while something is with the user, one multiple cannot be exact.
//!
//! Which tags the user holds is not kept, so nothing goes back at once until they are settled. That is worth waiting
//! for, but not longer than going one by one may take, nor than a shutdown's deadline allows. A hold is looked at in
//! each round of the driver; called by `give_back` and `timers`. Never waits itself.

use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::consume::give_back::MANY;
use crate::session::timers::after;

/// What a broker takes for putting back one message, or more.
const EACH: Duration = Duration::from_millis(1);

/// The longest that is waited where nobody waits for the end of it.
const UNATTENDED: Duration = Duration::from_secs(1);

/// What nobody has read of a channel waits until nothing is with the user.
pub(in crate::session) struct Hold {
    key: ChannelKey,
    /// Not known before the clock was looked at.
    until: Option<Instant>,
    /// The latest moment, if a shutdown has said one.
    by: Option<Instant>,
    patience: Duration,
    /// Its place among those who wait until nothing is with the user.
    ticket: Option<u64>,
}

impl Hold {
    fn until(&mut self, now: Instant) -> Instant {
        let Self { by, patience, .. } = *self;
        *self.until.get_or_insert_with(|| match by {
            Some(by) => by.min(after(now, patience)),
            None => after(now, patience.min(UNATTENDED)),
        })
    }

    /// Has whoever lands the last delivery wake the driver, as for a task that waits for that.
    fn watch(&mut self, channel: &mut ChannelState) {
        channel.settle_waiters.stay(&mut self.ticket, Waker::noop());
    }
}

impl ChannelState {
    /// Whether deliveries of it are with the user, or about to be.
    pub(in crate::session) fn is_with_user(&self) -> bool {
        self.in_flight > 0 || self.untaken > 0
    }
}

impl Session {
    /// Has what was gathered wait, if many of it could go back at once when nothing is with the user any more.
    /// Gives whether it waits.
    pub(in crate::session) fn hold_back(&mut self, key: ChannelKey) -> bool {
        if self.is_holding(key) {
            return true;
        }
        let Some(channel) = self.channels.get(key) else { return false };
        if !channel.is_open() || !channel.is_with_user() {
            return false;
        }
        let giving = std::mem::take(&mut channel.giving);
        let (settled_to, others_from) = (channel.settled_to, channel.others_unread_from());
        let exact = giving.iter().filter(|tag| **tag > settled_to && **tag < others_from).count();
        channel.giving = giving;
        if exact < MANY {
            return false;
        }
        let patience = EACH.saturating_mul(u32::try_from(exact).unwrap_or(u32::MAX));
        let by = channel.give_by.take();
        let mut hold = Hold { key, until: None, by, patience, ticket: None };
        hold.watch(channel);
        self.holds.push(hold);
        self.notify_driver();
        true
    }

    /// What is gathered of a channel, or will be, is to be back by then; the earliest of several wishes holds.
    pub(in crate::session) fn hurry_hold(&mut self, key: ChannelKey, by: Instant) {
        for hold in self.holds.iter_mut().filter(|hold| hold.key == key) {
            hold.by = Some(hold.by.map_or(by, |earlier| earlier.min(by)));
            hold.until = hold.until.map(|until| until.min(by));
        }
        if let Some(channel) = self.channels.get(key) {
            channel.give_by = Some(channel.give_by.map_or(by, |earlier| earlier.min(by)));
        }
    }

    /// Whether what was gathered of a channel waits for the user.
    pub(in crate::session) fn is_holding(&self, key: ChannelKey) -> bool {
        self.holds.iter().any(|hold| hold.key == key)
    }

    /// The next moment at which something has waited long enough.
    pub(in crate::session) fn next_hold(&self) -> Option<Instant> {
        self.holds.iter().filter_map(|hold| hold.until).min()
    }

    /// Gives back what need not wait any more.
    #[cold]
    pub(in crate::session) fn advance_holds(&mut self, now: Instant) {
        for mut hold in std::mem::take(&mut self.holds) {
            let (key, until) = (hold.key, hold.until(now));
            let Some(channel) = self.channels.get(key) else { continue };
            if channel.is_open() && channel.is_with_user() && until > now {
                hold.watch(channel);
                self.holds.push(hold);
                continue;
            }
            self.give_back_all(key);
            self.wake_settled(key);
        }
    }
}
