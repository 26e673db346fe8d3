//! `basic.recover`: every unsettled delivery of the channel comes again, under another number.
//!
//! From when it is sent until the peer has answered, no delivery can be settled: the peer does not know the old
//! numbers any more, and a settling of them would cost the channel. Called where requests are sent and replies
//! come.

use amqp_types::protocol::{Method, basic};

use crate::session::channel::ChannelKey;
use crate::session::{Garbage, Session};

impl Session {
    /// A request was sent. Where the specification has an answer to it, the peer's deliveries up to that are
    /// over; otherwise those up to now.
    pub(in crate::session) fn note_recover(&mut self, key: ChannelKey, request: &Method) {
        let answered = match request {
            Method::Basic(basic::Method::Recover(_)) => {
                amqp_types::if_spec! { basic.recover_ok => { true } else { false } }
            }
            request if is_recover_async(request) => false,
            _ => return,
        };
        let Some(channel) = self.channels.get(key) else { return };
        channel.recovering += usize::from(answered);
        channel.settled_to = u64::MAX;
        channel.recovered_to = u64::MAX;
        match answered {
            true => self.void_in_flight(key),
            false => self.recovered(key),
        }
    }

    /// The peer has answered: what it sent before is over.
    #[allow(dead_code, reason = "not every specification has an answer")]
    pub(in crate::session) fn note_recovered(&mut self, key: ChannelKey) {
        if let Some(channel) = self.channels.get(key) {
            channel.recovering = channel.recovering.saturating_sub(1);
        }
        self.recovered(key);
    }

    /// What came so far comes again: nobody sees what waits, and what was seen cannot be settled.
    fn recovered(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        if channel.recovering == 0 {
            channel.settled_to = channel.last_tag;
            channel.recovered_to = channel.last_tag;
            channel.left = None;
        }
        channel.giving.clear();
        for consumer in channel.consumers.iter_mut().filter(|consumer| !consumer.no_ack) {
            let gone = consumer.backlog.clear(&mut self.crowd);
            self.effects.discard(Garbage::Deliveries(gone));
            // Nor what its handle has taken and not given out.
            consumer.unread.void();
            if let Some(bodies) = &mut channel.bodies {
                bodies.discard_unclaimed(consumer.id, &mut self.crowd, &mut self.effects);
            }
        }
        let last_tag = channel.last_tag;
        self.void_in_flight(key);
        self.note_told(key, |coalescer| coalescer.settle_to(last_tag));
        self.consumer_caught_up();
    }
}

fn is_recover_async(request: &Method) -> bool {
    amqp_types::if_spec! { basic.recover_async => {
        matches!(request, Method::Basic(basic::Method::RecoverAsync(_)))
    } else {
        let _ = request;
        false
    } }
}
