//! Fingerprints of messages, to find those that a return may mean without comparing it with each.
//!
//! Equal contents have equal prints; the hash is keyed, so that nobody can choose contents that collide.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};

use amqp_types::Properties as _;
use amqp_types::protocol::basic;
use amqp_types::wire::Writer;
use bytes::BytesMut;

use super::{BCC, REPLY_TO};
use crate::outcome::Returned;
use crate::session::publish::Message;

/// From what many may share to what only equal ones do.
pub(super) struct Prints {
    /// Exchange and routing key.
    pub(super) address: u64,
    /// And the body.
    pub(super) body: u64,
    /// And the properties, but for what RabbitMQ takes out.
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
        let Message { publish, properties, body } = message;
        let address = self.address(publish.exchange.as_bytes(), publish.routing_key.as_bytes());
        let body = self.print(2, address, body);
        let family = self.properties(3, body, &without_bcc(properties));
        let whole = self.properties(4, body, properties);
        Prints { address, body, family, whole }
    }

    pub(super) fn of_returned(&mut self, returned: &Returned) -> Suspects {
        let Returned { exchange, routing_key, properties, body, .. } = returned;
        let address = self.address(exchange.as_bytes(), routing_key.as_bytes());
        // Hashers need not give the same for pieces.
        let body = self.print(2, address, &body.to_bytes());
        let properties = without_bcc(properties);
        let first = self.properties(3, body, &properties);
        let completed = properties.reply_to.as_ref().is_some_and(|reply_to| {
            reply_to.as_bytes().starts_with(REPLY_TO) && reply_to.as_bytes() != REPLY_TO
        });
        let second = completed.then(|| {
            let mut short = properties.into_owned();
            short.reply_to = amqp_types::ShortStr::try_from(REPLY_TO).ok();
            self.properties(3, body, &short)
        });
        Suspects { address, body, families: [Some(first), second] }
    }

    fn address(&self, exchange: &[u8], routing_key: &[u8]) -> u64 {
        self.print(1, self.print(0, 0, exchange), routing_key)
    }

    fn properties(&mut self, level: u8, body: u64, properties: &basic::Properties) -> u64 {
        self.buffer.clear();
        // What cannot be written is not among what was sent.
        let _ = properties.encode(&mut Writer::verbatim(&mut self.buffer));
        self.print(level, body, &self.buffer)
    }

    fn print(&self, level: u8, so_far: u64, octets: &[u8]) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write_u8(level);
        hasher.write_u64(so_far);
        hasher.write(octets);
        hasher.finish()
    }
}

fn without_bcc(properties: &basic::Properties) -> Cow<'_, basic::Properties> {
    let is_bcc = |headers: &amqp_types::FieldTable| headers.contains_key(BCC);
    if !properties.headers.as_ref().is_some_and(is_bcc) {
        return Cow::Borrowed(properties);
    }
    // In one go: a peer may repeat the header thousands of times.
    let others = |headers: &amqp_types::FieldTable| {
        let kept = headers.iter().filter(|(key, _)| key.as_bytes() != BCC);
        kept.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let headers = properties.headers.as_ref().map(others);
    Cow::Owned(basic::Properties { headers, ..properties.clone() })
}
