//! Reading vector files, and showing our values the way they are written there.

#![allow(dead_code)] // Each test file is a crate of its own, and uses a part.

pub(crate) mod strategies;

use amqp_types::reflect::{Value, WireType};
use amqp_types::wire::Writer;
use amqp_types::{EncodeError, FieldTable, FieldValue};
use bytes::{Bytes, BytesMut};
use serde_json::{Value as Json, json};

/// The vectors of a file in `tests/vectors`.
pub(crate) fn load(file: &str) -> Vec<Json> {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    match serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}")) {
        Json::Array(vectors) => vectors,
        one => vec![one],
    }
}

/// What hex digits stand for.
pub(crate) fn octets(hex: &Json) -> Bytes {
    let hex = hex.as_str().expect("hex digits");
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex digits")).collect()
}

/// What a verbatim writer is made to write.
pub(crate) fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>) -> Bytes {
    let mut buf = BytesMut::new();
    write(&mut Writer::verbatim(&mut buf)).expect("a verbatim writer writes what was read");
    buf.freeze()
}

/// A field with its name and value, as vectors have it.
pub(crate) fn field(name: &str, value: &Value) -> Json {
    json!({ "name": name, "type": type_word(value.wire_type()), "value": field_value(value) })
}

fn type_word(wire_type: WireType) -> &'static str {
    match wire_type {
        WireType::Bit => "bit",
        WireType::Octet => "octet",
        WireType::Short => "short",
        WireType::Long => "long",
        WireType::LongLong => "longlong",
        WireType::ShortStr => "shortstr",
        WireType::LongStr => "longstr",
        WireType::Timestamp => "timestamp",
        WireType::Table => "table",
        WireType::Content => "content",
    }
}

fn field_value(value: &Value) -> Json {
    match value {
        Value::Bit(value) => json!(value),
        Value::Octet(value) => json!(value),
        Value::Short(value) => json!(value),
        Value::Long(value) => json!(value),
        Value::LongLong(value) => json!(value),
        Value::ShortStr(value) => text_or_hex(value.as_bytes()),
        Value::LongStr(value) => text_or_hex(value),
        Value::Timestamp(value) => json!(value.as_secs()),
        Value::Table(table) => entries(table),
        Value::Content(content) => panic!("vectors have no form for {content:?}"),
    }
}

fn entries(table: &FieldTable) -> Json {
    let entry = |(key, value): (&amqp_types::ShortStr, &FieldValue)| {
        json!({
            "key": text_or_hex(key.as_bytes()),
            "tag": tag(value),
            "value": tagged(value),
        })
    };
    table.iter().map(entry).collect()
}

fn tag(value: &FieldValue) -> String {
    char::from(value.tag()).to_string()
}

fn tagged(value: &FieldValue) -> Json {
    match value {
        FieldValue::Bool(value) => json!(value),
        FieldValue::F32(value) => json!({ "bits": hex(&value.to_be_bytes()) }),
        FieldValue::F64(value) => json!({ "bits": hex(&value.to_be_bytes()) }),
        FieldValue::Decimal(value) => json!({ "scale": value.scale, "value": value.value }),
        FieldValue::LongString(value) => text_or_hex(value),
        FieldValue::ByteArray(value) => json!({ "hex": hex(value) }),
        FieldValue::Timestamp(value) => json!(value.as_secs()),
        FieldValue::Array(values) => values
            .iter()
            .map(|value| json!({ "tag": tag(value), "value": tagged(value) }))
            .collect(),
        FieldValue::Table(table) => entries(table),
        FieldValue::Void => Json::Null,
        integer => json!(integer.as_i64().expect("an integer")),
    }
}

fn text_or_hex(octets: &[u8]) -> Json {
    match std::str::from_utf8(octets) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": hex(octets) }),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
