//! The arguments of queues and exchanges: which are known, what they say, and whether two of them are the same.
//!
//! Called by the declares. An argument that this broker does not know is refused, with its name.

use std::time::Duration;

use amqp_types::{FieldTable, FieldValue, ShortStr};

use crate::testing::broker::core::fault::{Fault, Handled};
use crate::testing::broker::core::topology::routing::same;
use crate::testing::broker::core::topology::{Overflow, Policy};

/// The arguments of queues that are compared when one is declared again.
pub(crate) const OF_QUEUES: [&str; 5] = [
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-message-ttl",
    "x-max-length",
    "x-overflow",
];

impl Policy {
    pub(crate) fn parse(arguments: &FieldTable, what: &str) -> Handled<Self> {
        let mut policy = Self::default();
        for (key, value) in arguments {
            match key.as_str().unwrap_or_default() {
                "x-dead-letter-exchange" => {
                    policy.dead_letter_exchange = Some(name(key, value, what)?)
                }
                "x-dead-letter-routing-key" => {
                    policy.dead_letter_key = Some(name(key, value, what)?)
                }
                "x-message-ttl" => {
                    policy.ttl = Some(Duration::from_millis(number(key, value, what)?));
                }
                "x-max-length" => {
                    policy.max_length = usize::try_from(number(key, value, what)?).ok();
                }
                "x-overflow" => {
                    policy.overflow = match value.as_str() {
                        Some("drop-head") => Overflow::DropHead,
                        Some("reject-publish") => Overflow::Reject,
                        Some("reject-publish-dlx") => Overflow::RejectAndDeadLetter,
                        _ => return Err(invalid(key, what, "not a way of overflow")),
                    }
                }
                "x-queue-type" if value.as_str() == Some("classic") => {}
                _ => return Err(unknown_argument("queues", key, value)),
            }
        }
        if policy.dead_letter_key.is_some() && policy.dead_letter_exchange.is_none() {
            let text = format!(
                "invalid arg 'x-dead-letter-routing-key' for {what}: routing_key_but_no_dlx_defined"
            );
            return Err(Fault::precondition(text));
        }
        Ok(policy)
    }
}

/// The alternate of an exchange's arguments.
pub(crate) fn alternate(arguments: &FieldTable) -> Handled<Option<ShortStr>> {
    let mut alternate = None;
    for (key, value) in arguments {
        if *key != *"alternate-exchange" {
            return Err(unknown_argument("exchanges", key, value));
        }
        alternate = Some(name(key, value, "exchange")?);
    }
    Ok(alternate)
}

fn unknown_argument(whose: &str, key: &ShortStr, value: &FieldValue) -> Fault {
    let value = value.as_str().map(|value| format!(" of value '{value}'")).unwrap_or_default();
    Fault::not_implemented(format!(
        "the in-memory broker's {whose} have no argument '{key}'{value}"
    ))
}

fn invalid(key: &ShortStr, what: &str, why: &str) -> Fault {
    Fault::precondition(format!("invalid arg '{key}' for {what}: {why}"))
}

fn name(key: &ShortStr, value: &FieldValue, what: &str) -> Handled<ShortStr> {
    let refused = || invalid(key, what, &format!("{{unacceptable_type,{}}}", type_name(value)));
    ShortStr::try_from(value.as_str().ok_or_else(refused)?).map_err(|_| refused())
}

fn number(key: &ShortStr, value: &FieldValue, what: &str) -> Handled<u64> {
    let number = value.as_i64().ok_or_else(|| {
        invalid(key, what, &format!("{{unacceptable_type,{}}}", type_name(value)))
    })?;
    u64::try_from(number).map_err(|_| invalid(key, what, &format!("{{value_negative,{number}}}")))
}

/// A declare that does not fit to what is there.
pub(crate) fn inequivalent(field: &str, what: &str, received: &str, current: &str) -> Fault {
    Fault::precondition(format!(
        "inequivalent arg '{field}' for {what}: received '{received}' but current is '{current}'"
    ))
}

/// Compares these arguments of the two tables.
pub(crate) fn inequivalent_table(
    what: &str,
    current: &FieldTable,
    received: &FieldTable,
    fields: &[&str],
) -> Handled {
    for field in fields {
        let (now, then) = (current.get(*field), received.get(*field));
        let equal = match (now, then) {
            (Some(now), Some(then)) => same(now, then),
            (now, then) => now.is_none() && then.is_none(),
        };
        if let (false, Some(now), Some(then)) = (equal, now, then) {
            return Err(inequivalent(field, what, &text(then), &text(now)));
        }
        if !equal {
            let told = |value: Option<&FieldValue>| match value {
                None => "none".to_owned(),
                Some(value) => {
                    format!("the value '{}' of type '{}'", text(value), type_name(value))
                }
            };
            return Err(Fault::precondition(format!(
                "inequivalent arg '{field}' for {what}: received {} but current is {}",
                told(then),
                told(now)
            )));
        }
    }
    Ok(())
}

fn text(value: &FieldValue) -> String {
    match (value.as_str(), value.as_i64()) {
        (Some(text), _) => text.to_owned(),
        (_, Some(number)) => number.to_string(),
        _ => format!("{value:?}"),
    }
}

/// The types as RabbitMQ names them.
fn type_name(value: &FieldValue) -> &'static str {
    match value {
        FieldValue::Bool(_) => "bool",
        FieldValue::I8(_) => "byte",
        FieldValue::U8(_) => "unsignedbyte",
        FieldValue::I16(_) => "short",
        FieldValue::U16(_) => "unsignedshort",
        FieldValue::I32(_) => "signedint",
        FieldValue::U32(_) => "unsignedint",
        FieldValue::I64(_) | FieldValue::I64Alt(_) => "long",
        FieldValue::F32(_) => "float",
        FieldValue::F64(_) => "double",
        FieldValue::Decimal(_) => "decimal",
        FieldValue::LongString(_) => "longstr",
        FieldValue::ByteArray(_) => "binary",
        FieldValue::Array(_) => "array",
        FieldValue::Timestamp(_) => "timestamp",
        FieldValue::Table(_) => "table",
        _ => "void",
    }
}
