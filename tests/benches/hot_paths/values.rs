//! The messages that all paths share.

use amqp_types::protocol::basic;
use amqp_types::{FieldTable, FieldValue, ShortStr, short_str};

pub(crate) const EXCHANGE: ShortStr = short_str!("amq.topic");
pub(crate) const ROUTING_KEY: ShortStr = short_str!("orders.created.eu");
pub(crate) const CONSUMER_TAG: ShortStr = short_str!("consumer-1");

/// Texts and numbers in turns.
pub(crate) fn table(entries: usize) -> FieldTable {
    let mut table = FieldTable::new();
    for n in 0..entries {
        let value = match i64::try_from(n) {
            Ok(number) if n % 2 == 1 => FieldValue::from(number),
            _ => FieldValue::from(format!("the value of header {n}")),
        };
        // A name of a dozen octets is never too long.
        let _ = table.try_insert(format!("x-header-{n}"), value);
    }
    table
}

/// With a table of so many headers; without any, with no property at all.
pub(crate) fn properties(headers: usize) -> basic::Properties {
    let headers = (headers > 0).then(|| table(headers));
    basic::Properties { headers, ..Default::default() }
}

pub(crate) fn deliver() -> basic::Deliver {
    basic::Deliver {
        consumer_tag: CONSUMER_TAG,
        exchange: EXCHANGE,
        routing_key: ROUTING_KEY,
        ..Default::default()
    }
}
