//! Fingerprints of messages, to find those that a return may mean without comparing it with each.
//!
//! Contents that are equal on the wire have equal prints; the hash is keyed, so that nobody can choose contents that collide.

use std::hash::{BuildHasher, Hasher, RandomState};

use amqp_types::protocol::basic;
use bytes::BytesMut;

use super::changes::{changed, stripped, uncompleted, write};
use crate::outcome::Returned;
use crate::session::publish::Message;

/// From what many may share to what only equal ones do.
pub(super) struct Prints {
    /// Exchange and routing key.
    pub(super) address: u64,
    /// And the body.
    pub(super) body: u64,
    /// And the properties, but for what brokers change.
    pub(super) family: u64,
    /// And the properties, but for what all brokers change; where it is known that this one changes no more.
    pub(super) unchanged: Option<u64>,
    /// And all properties.
    pub(super) whole: u64,
}

impl Prints {
    /// Those of which a return may mean several messages.
    pub(super) fn groups(&self) -> impl Iterator<Item = u64> + use<> {
        [self.address, self.body, self.family].into_iter().chain(self.unchanged)
    }
}

/// What a return may be of.
pub(super) struct Suspects {
    pub(super) address: u64,
    pub(super) body: u64,
    pub(super) families: [Option<u64>; 2],
    pub(super) unchanged: [Option<u64>; 2],
}

#[derive(Default)]
pub(super) struct Printer {
    keys: RandomState,
    buffer: BytesMut,
}

impl Printer {
    /// `unchanging` where the broker is known to change only what all change.
    pub(super) fn of_message(&mut self, message: &Message, unchanging: bool) -> Prints {
        let (Message { publish, body, .. }, properties) = (message, message.properties());
        let address = self.address(publish.exchange.as_bytes(), publish.routing_key.as_bytes());
        let body = self.print(2, address, body);
        // A message that was sent can be written.
        let family = self.properties(3, body, &changed(properties)).unwrap_or_default();
        let whole = self.properties(4, body, properties).unwrap_or_default();
        let unchanged = unchanging.then(|| self.unchanged(body, message));
        Prints { address, body, family, unchanged, whole }
    }

    /// What [`Prints::unchanged`] is where it is needed.
    pub(super) fn unchanged(&mut self, body: u64, message: &Message) -> u64 {
        self.properties(5, body, &stripped(message.properties())).unwrap_or_default()
    }

    pub(super) fn of_returned(&mut self, returned: &Returned, unchanging: bool) -> Suspects {
        let Returned { exchange, routing_key, properties, body, .. } = returned;
        let address = self.address(exchange.as_bytes(), routing_key.as_bytes());
        // Hashers need not give the same for pieces.
        let body = self.print(2, address, &body.to_bytes());
        let mut print = |level, properties: &basic::Properties| {
            let short = uncompleted(properties);
            let either = [Some(properties), short.as_ref()];
            either.map(|properties| self.properties(level, body, properties?))
        };
        let families = print(3, &changed(properties));
        let unchanged = if unchanging { print(5, properties) } else { [None; 2] };
        Suspects { address, body, families, unchanged }
    }

    pub(super) fn address(&self, exchange: &[u8], routing_key: &[u8]) -> u64 {
        self.print(1, self.print(0, 0, exchange), routing_key)
    }

    /// `None` for what cannot be written, and so is not among what was sent.
    fn properties(&mut self, level: u8, body: u64, properties: &basic::Properties) -> Option<u64> {
        self.buffer.clear();
        write(properties, &mut self.buffer).then(|| self.print(level, body, &self.buffer))
    }

    fn print(&self, level: u8, so_far: u64, octets: &[u8]) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write_u8(level);
        hasher.write_u64(so_far);
        hasher.write(octets);
        hasher.finish()
    }
}
