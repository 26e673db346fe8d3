//! Which call is to blame when the peer names a method in its close.
//!
//! A close names class and method only, and several of them may be on their way. Brokers handle the methods
//! of a channel in order, so of the calls that were not answered the oldest is meant, unless requests that
//! have no answer were sent before it, or answers may come out of order. A place is told when there is but
//! one it can be. Costs nothing until there is a request without an answer.

use std::panic::Location;

use amqp_types::AnyMethod;
use amqp_types::protocol::Method;

use crate::session::Session;
use crate::session::calls::full_name;
use crate::session::calls::pending::PendingCall;
use crate::session::calls::replies::has_reply;
use crate::session::channel::{ChannelKey, ChannelState};

type Place = Option<&'static Location<'static>>;

/// Requests of one method, sent with no-wait, that the peer may not have handled yet.
pub(in crate::session) struct Unanswered {
    name: &'static str,
    count: usize,
    /// Numbers in the order of sending: of the first, of which it may be known that it was handled, and of
    /// the youngest.
    first: u64,
    last: u64,
    place: Place,
}

/// Those that may be to blame, as far as it matters: none, one, or several.
#[derive(Clone, Copy)]
enum Suspects {
    None,
    One(Place),
    Many,
}

impl Suspects {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, other) | (other, Self::None) => other,
            _ => Self::Many,
        }
    }
}

impl Session {
    /// A request was sent that nothing will answer.
    pub(in crate::session) fn note_unanswered(
        &mut self,
        key: ChannelKey,
        request: &Method,
        place: Place,
    ) {
        // What has no answer in any form, such as an ack, is never a call either.
        if !has_reply(request.info()) {
            return;
        }
        let (id, name) = (self.fresh_id(), full_name(request));
        let Some(channel) = self.channels.get(key) else { return };
        match channel.unanswered.iter_mut().find(|it| it.name == name) {
            Some(it) => (it.count, it.last) = (it.count + 1, id),
            None => {
                channel.unanswered.push(Unanswered { name, count: 1, first: id, last: id, place })
            }
        }
    }

    /// What was sent before an answered call has been handled, too.
    #[cold]
    pub(in crate::session) fn note_answered(&mut self, key: ChannelKey, call: &PendingCall) {
        if let Some(channel) = self.channels.get(key) {
            channel.unanswered.retain(|it| it.last > call.id);
        }
    }

    /// Where the one call was made that a close of the channel, or of the connection, can mean.
    pub(in crate::session) fn blamed_place(
        &mut self,
        key: Option<ChannelKey>,
        name: &'static str,
    ) -> Place {
        let suspects = match key {
            Some(key) => self.channels.get(key).map_or(Suspects::None, |it| suspects(it, name)),
            None => {
                let channels = self.channels.iter_mut().map(|channel| suspects(channel, name));
                let (control, _) = oldest(self.control.iter(), name);
                channels.fold(control, Suspects::and)
            }
        };
        match suspects {
            Suspects::One(place) => place,
            Suspects::None | Suspects::Many => None,
        }
    }
}

fn suspects(channel: &ChannelState, name: &'static str) -> Suspects {
    let (calls, oldest_id) = oldest(channel.calls.iter(), name);
    // What was sent after a call that is answered in order cannot have been handled before it.
    let unanswered = match channel.unanswered.iter().find(|it| it.name == name) {
        Some(it) if oldest_id.is_none_or(|id| it.first < id) => match it.count {
            1 => Suspects::One(it.place),
            _ => Suspects::Many,
        },
        _ => Suspects::None,
    };
    calls.and(unanswered)
}

/// The oldest call of this method, and its number; or several without one, if they may be answered in any
/// order.
fn oldest<'a>(
    calls: impl Iterator<Item = &'a PendingCall>,
    name: &'static str,
) -> (Suspects, Option<u64>) {
    let mut found = Suspects::None;
    for call in calls.filter(|call| call.name == name) {
        found = found.and(Suspects::One(call.place));
        if call.consumer_tag.is_none() {
            return (found, Some(call.id));
        }
    }
    (found, None)
}
