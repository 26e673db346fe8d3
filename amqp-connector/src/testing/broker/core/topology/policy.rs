//! The arguments of queues and exchanges: which are known, what they say, and whether two of them are the same.
//!
//! Called by the declares. An argument that this broker does not know is refused, with its name.

use std::time::Duration;

use amqp_types::{FieldTable, FieldValue, ShortStr, short_str};

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

/// The longest time that a message may live, in milliseconds: ten years.
const LONGEST: i128 = 315_360_000_000;

/// Refuses arguments that this broker knows nothing of.
pub(crate) fn check_known(arguments: &FieldTable) -> Handled {
    for (key, value) in arguments {
        let key = key.as_str().unwrap_or_default();
        let known = match key {
            "x-queue-type" => !matches!(value.as_str(), Some("quorum" | "stream")),
            key => OF_QUEUES.contains(&key),
        };
        if !known {
            return Err(unknown_argument("queues", key, value));
        }
    }
    Ok(())
}

impl Policy {
    /// What arguments say that are known.
    pub(crate) fn parse(arguments: &FieldTable, what: &str) -> Handled<Self> {
        let mut policy = Self::default();
        if let Some(value) = arguments.get("x-dead-letter-exchange") {
            policy.dead_letter_exchange = Some(exchange("x-dead-letter-exchange", value, what)?);
        }
        for (key, value) in arguments {
            match key.as_str().unwrap_or_default() {
                "x-dead-letter-routing-key" => {
                    let name = text_of(key, value, what)?;
                    policy.dead_letter_key = Some(name.try_into().unwrap_or_default());
                }
                "x-message-ttl" => {
                    let millis = number(key, value, what)?;
                    check_lifetime(millis.into()).map_err(|why| invalid(key, what, &why))?;
                    policy.ttl = Some(Duration::from_millis(millis));
                }
                "x-max-length" => {
                    policy.max_length = usize::try_from(number(key, value, what)?).ok();
                }
                "x-overflow" => {
                    policy.overflow = match text_of(key, value, what)? {
                        "drop-head" => Overflow::DropHead,
                        "reject-publish" => Overflow::Reject,
                        "reject-publish-dlx" => Overflow::RejectAndDeadLetter,
                        _ => return Err(invalid(key, what, "invalid_overflow")),
                    }
                }
                "x-queue-type" => match text_of(key, value, what)? {
                    "classic" => {}
                    other => {
                        let why = format!("\"unsupported queue type '{other}'\"");
                        return Err(invalid(key, what, &why));
                    }
                },
                _ => {}
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

/// Whether a message may live so many milliseconds; if not, RabbitMQ's word for why.
pub(crate) fn check_lifetime(millis: i128) -> Result<(), String> {
    match millis {
        ..0 => Err(format!("{{value_negative,{millis}}}")),
        0..=LONGEST => Ok(()),
        _ => Err(format!("{{value_too_large,{millis}}}")),
    }
}

/// The alternate of an exchange's arguments.
pub(crate) fn alternate(arguments: &FieldTable, what: &str) -> Handled<Option<ShortStr>> {
    let mut alternate = None;
    for (key, value) in arguments {
        if *key != *"alternate-exchange" {
            return Err(unknown_argument("exchanges", key.as_str().unwrap_or_default(), value));
        }
        alternate = Some(exchange("alternate-exchange", value, what)?);
    }
    Ok(alternate)
}

fn unknown_argument(whose: &str, key: &str, value: &FieldValue) -> Fault {
    let value = value.as_str().map(|value| format!(" of value '{value}'")).unwrap_or_default();
    Fault::not_implemented(format!(
        "the in-memory broker's {whose} have no argument '{key}'{value}"
    ))
}

fn invalid(key: &ShortStr, what: &str, why: &str) -> Fault {
    Fault::precondition(format!("invalid arg '{key}' for {what}: {why}"))
}

fn text_of<'a>(key: &ShortStr, value: &'a FieldValue, what: &str) -> Handled<&'a str> {
    let why = || format!("{{unacceptable_type,{}}}", type_name(value));
    value.as_str().ok_or_else(|| invalid(key, what, &why()))
}

/// The name of an exchange. One that is longer than a name can be is that of none.
fn exchange(key: &str, value: &FieldValue, what: &str) -> Handled<ShortStr> {
    match value.as_str() {
        Some(name) => Ok(ShortStr::try_from(name).unwrap_or(short_str!("amq.too-long"))),
        None => {
            let name = type_name(value);
            Err(Fault::precondition(format!("invalid type '{name}' for arg '{key}' in {what}")))
        }
    }
}

fn number(key: &ShortStr, value: &FieldValue, what: &str) -> Handled<u64> {
    let number = value.as_i64().ok_or_else(|| {
        invalid(key, what, &format!("\"expected integer, got {}\"", type_name(value)))
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

pub(crate) fn text(value: &FieldValue) -> String {
    match value {
        FieldValue::Bool(value) => value.to_string(),
        FieldValue::F32(value) => format!("{value:?}"),
        FieldValue::F64(value) => format!("{value:?}"),
        FieldValue::Timestamp(value) => value.0.to_string(),
        FieldValue::Void => "undefined".to_owned(),
        value => match (value.as_str(), value.as_i64()) {
            (Some(text), _) => text.to_owned(),
            (_, Some(number)) => number.to_string(),
            _ => format!("{value:?}"),
        },
    }
}

/// The types as RabbitMQ names them.
pub(crate) fn type_name(value: &FieldValue) -> &'static str {
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
