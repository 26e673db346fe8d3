//! Fingerprints of messages, to find those that a return may mean without comparing it with each.
//!
//! Contents that are equal on the wire have equal prints; the hash is keyed, so that nobody can choose contents that collide.

use std::hash::{BuildHasher, Hasher, RandomState};

use amqp_types::protocol::basic;
use bytes::BytesMut;

use super::changes::{changed, uncompleted, write};
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
    /// And all properties.
    pub(super) whole: u64,
}

/// What a return may be of.
pub(super) struct Suspects {
    pub(super) address: u64,
    pub(super) body: u64,
    pub(super) families: [Option<u64>; 2],
}

#[derive(Default)]
pub(super) struct Printer {
    keys: RandomState,
    buffer: BytesMut,
}

impl Printer {
    pub(super) fn of_message(&mut self, message: &Message) -> Prints {
        let (Message { publish, body, .. }, properties) = (message, message.properties());
        let address = self.address(publish.exchange.as_bytes(), publish.routing_key.as_bytes());
        let body = self.print(2, address, body);
        // A message that was sent can be written.
        let family = self.properties(3, body, &changed(properties)).unwrap_or_default();
        let whole = self.properties(4, body, properties).unwrap_or_default();
        Prints { address, body, family, whole }
    }

    pub(super) fn of_returned(&mut self, returned: &Returned) -> Suspects {
        let Returned { exchange, routing_key, properties, body, .. } = returned;
        let address = self.address(exchange.as_bytes(), routing_key.as_bytes());
        // Hashers need not give the same for pieces.
        let body = self.print(2, address, &body.to_bytes());
        let properties = changed(properties);
        let short = uncompleted(&properties);
        let families = [Some(&*properties), short.as_ref()]
            .map(|properties| self.properties(3, body, properties?));
        Suspects { address, body, families }
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
