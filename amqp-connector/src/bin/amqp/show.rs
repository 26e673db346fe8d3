//! Messages and values as text and as JSON, by the names of the specification.

use amqp_connector::amqp_types::Properties as _;
use amqp_connector::amqp_types::reflect::Value;
use amqp_connector::{Delivery, FieldTable, FieldValue, Returned, ShortStr, basic};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use crate::fail::one_line;

/// A delivery as one object.
pub(crate) fn delivery(delivery: &Delivery) -> Json {
    let mut shown = message(&delivery.exchange, &delivery.routing_key, &delivery.properties);
    shown.insert("redelivered".into(), delivery.redelivered.into());
    if let Some(tag) = delivery.consumer_tag() {
        shown.insert("consumer-tag".into(), text(tag).into());
    }
    if let Some(count) = delivery.message_count() {
        shown.insert("message-count".into(), count.into());
    }
    put_body(&mut shown, &delivery.body.to_bytes());
    shown.into()
}

/// What came back, as one object.
pub(crate) fn returned(returned: &Returned) -> Json {
    let mut shown = message(&returned.exchange, &returned.routing_key, &returned.properties);
    shown.insert("reply-code".into(), returned.reply_code.0.into());
    shown.insert("reply-text".into(), text(&returned.reply_text).into());
    shown.into()
}

fn message(
    exchange: &ShortStr,
    key: &ShortStr,
    properties: &basic::Properties,
) -> Map<String, Json> {
    let mut shown = Map::new();
    shown.insert("exchange".into(), text(exchange).into());
    shown.insert("routing-key".into(), text(key).into());
    let properties: Map<_, _> =
        named(properties).map(|(name, shown)| (name.to_owned(), value(&shown))).collect();
    shown.insert("properties".into(), properties.into());
    shown
}

/// The properties that are there, with their names.
fn named(properties: &basic::Properties) -> impl Iterator<Item = (&'static str, Value)> {
    let names = basic::Properties::INFO.properties.iter().map(|property| property.name);
    names.zip(properties.values()).filter_map(|(name, value)| Some((name, value?)))
}

/// Where a message was published to, and its properties, in one line.
pub(crate) fn heading(delivery: &Delivery) -> String {
    let mut line = format!(
        "-- exchange={:?} routing-key={:?}",
        text(&delivery.exchange),
        text(&delivery.routing_key)
    );
    if delivery.redelivered {
        line.push_str(" redelivered");
    }
    for (name, shown) in named(&delivery.properties) {
        line.push_str(&format!(" {name}={}", value(&shown)));
    }
    line.push_str(&format!(" size={}", delivery.body.len()));
    one_line(&line)
}

/// A body: as text where it is, in base64 where it is none.
pub(crate) fn put_body(shown: &mut Map<String, Json>, body: &[u8]) {
    let (octets, encoding) = match str::from_utf8(body) {
        Ok(text) => (text.to_owned(), "utf-8"),
        Err(_) => (STANDARD.encode(body), "base64"),
    };
    shown.insert("size".into(), body.len().into());
    shown.insert("encoding".into(), encoding.into());
    shown.insert("body".into(), octets.into());
}

/// Of text that is none, as much as is.
pub(crate) fn text(text: &ShortStr) -> String {
    text.to_string_lossy().into_owned()
}

/// A field of a method, or a property.
pub(crate) fn value(value: &Value) -> Json {
    match value {
        Value::Bit(value) => (*value).into(),
        Value::Octet(value) => (*value).into(),
        Value::Short(value) => (*value).into(),
        Value::Long(value) => (*value).into(),
        Value::LongLong(value) => (*value).into(),
        Value::ShortStr(text) => octets(text.as_bytes()),
        Value::LongStr(text) => octets(text),
        Value::Timestamp(time) => time.0.into(),
        Value::Table(entries) => table(entries),
        Value::Content(content) => format!("{content:?}").into(),
    }
}

/// Keys that come again are told once, with their last value.
fn table(entries: &FieldTable) -> Json {
    let shown = |(key, value)| (text(key), field(value));
    entries.iter().map(shown).collect::<Map<_, _>>().into()
}

/// What JSON has no type for is an object with the type's name.
fn field(value: &FieldValue) -> Json {
    match value {
        FieldValue::Bool(value) => (*value).into(),
        FieldValue::I8(value) => (*value).into(),
        FieldValue::U8(value) => (*value).into(),
        FieldValue::I16(value) => (*value).into(),
        FieldValue::U16(value) => (*value).into(),
        FieldValue::I32(value) => (*value).into(),
        FieldValue::U32(value) => (*value).into(),
        FieldValue::I64(value) | FieldValue::I64Alt(value) => (*value).into(),
        FieldValue::F32(value) => float((*value).into()),
        FieldValue::F64(value) => float(*value),
        FieldValue::Decimal(value) => json!({ "decimal": value.to_string() }),
        FieldValue::LongString(text) => octets(text),
        FieldValue::ByteArray(octets) => json!({ "base64": STANDARD.encode(octets) }),
        FieldValue::Array(values) => values.iter().map(field).collect::<Vec<_>>().into(),
        FieldValue::Timestamp(time) => json!({ "timestamp": time.0 }),
        FieldValue::Table(entries) => table(entries),
        FieldValue::Void => Json::Null,
        other => format!("{other:?}").into(),
    }
}

/// JSON has no word for what is no number.
fn float(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Json::Number)
}

fn octets(octets: &[u8]) -> Json {
    match str::from_utf8(octets) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(octets) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_text_is_base64_in_json() {
        let mut shown = Map::new();
        put_body(&mut shown, b"\xff\0\x01");
        assert_eq!(Json::from(shown), json!({"size": 3, "encoding": "base64", "body": "/wAB"}));
        let mut shown = Map::new();
        put_body(&mut shown, "h\u{e9}\n".as_bytes());
        assert_eq!(Json::from(shown), json!({"size": 4, "encoding": "utf-8", "body": "h\u{e9}\n"}));
    }

    #[test]
    fn every_value_has_its_words_in_json() {
        let values = [
            (FieldValue::I64(-5), json!(-5)),
            (FieldValue::from("t"), json!("t")),
            (FieldValue::from(b"\xff".as_slice()), json!({"base64": "/w=="})),
            (FieldValue::F64(f64::NAN), json!("NaN")),
            (FieldValue::Void, Json::Null),
            (FieldValue::Array(vec![FieldValue::U8(1)].into()), json!([1])),
        ];
        for (value, expected) in values {
            assert_eq!(field(&value), expected);
        }
    }
}
