//! Field values: from a vector's JSON to ours, and whether two are the same on the wire.

use amqp_types::reflect::{Value, WireType};
use amqp_types::wire::Writer;
use amqp_types::{Decimal, FieldArray, FieldTable, FieldValue, ShortStr, Timestamp};
use bytes::BytesMut;

use super::json::Json;

/// The word vectors use for a type; `None` for one that they have no form for.
pub(crate) fn type_word(wire_type: WireType) -> Option<&'static str> {
    Some(match wire_type {
        WireType::Bit => "bit",
        WireType::Octet => "octet",
        WireType::Short => "short",
        WireType::Long => "long",
        WireType::LongLong => "longlong",
        WireType::ShortStr => "shortstr",
        WireType::LongStr => "longstr",
        WireType::Timestamp => "timestamp",
        WireType::Table => "table",
        _ => return None,
    })
}

/// The value of a field, `{"name","type","value"}`.
pub(crate) fn value(field: Json<'_>) -> Result<Value, String> {
    let json = field.of("value")?;
    Ok(match field.text("type")? {
        "bit" => Value::Bit(json.0.as_bool().ok_or("a bit that is no true or false")?),
        "octet" => Value::Octet(json.integer()?),
        "short" => Value::Short(json.integer()?),
        "long" => Value::Long(json.integer()?),
        "longlong" => Value::LongLong(json.integer()?),
        "shortstr" => Value::ShortStr(short_str(json)?),
        "longstr" => Value::LongStr(json.octets()?),
        "timestamp" => Value::Timestamp(Timestamp(json.integer()?)),
        "table" => Value::Table(table(json)?),
        other => return Err(format!("unknown field type `{other}`")),
    })
}

/// A list of `{"key","tag","value"}`.
fn table(json: Json<'_>) -> Result<FieldTable, String> {
    let mut table = FieldTable::new();
    for entry in json.items()? {
        table.insert(short_str(entry.of("key")?)?, tagged(entry)?);
    }
    Ok(table)
}

/// `{"tag","value"}`.
fn tagged(entry: Json<'_>) -> Result<FieldValue, String> {
    let json = entry.of("value")?;
    Ok(match entry.text("tag")? {
        "t" => FieldValue::Bool(json.0.as_bool().ok_or("`t` that is no true or false")?),
        "b" => FieldValue::I8(json.integer()?),
        "B" => FieldValue::U8(json.integer()?),
        "s" => FieldValue::I16(json.integer()?),
        "u" => FieldValue::U16(json.integer()?),
        "I" => FieldValue::I32(json.integer()?),
        "i" => FieldValue::U32(json.integer()?),
        "l" => FieldValue::I64(json.integer()?),
        "L" => FieldValue::I64Alt(json.integer()?),
        "f" => FieldValue::F32(f32::from_be_bytes(bits(json)?)),
        "d" => FieldValue::F64(f64::from_be_bytes(bits(json)?)),
        "D" => FieldValue::Decimal(Decimal::new(json.number("value")?, json.number("scale")?)),
        "S" => FieldValue::LongString(json.octets()?.into()),
        "x" => FieldValue::ByteArray(json.octets()?.into()),
        "A" => FieldValue::Array(json.items()?.map(tagged).collect::<Result<FieldArray, _>>()?),
        "T" => FieldValue::Timestamp(Timestamp(json.integer()?)),
        "F" => FieldValue::Table(table(json)?),
        "V" => FieldValue::Void,
        other => return Err(format!("unknown tag `{other}`")),
    })
}

fn short_str(json: Json<'_>) -> Result<ShortStr, String> {
    ShortStr::try_from(json.octets()?).map_err(|error| error.to_string())
}

fn bits<const N: usize>(json: Json<'_>) -> Result<[u8; N], String> {
    let octets = json.hex("bits")?;
    octets.as_ref().try_into().map_err(|_| format!("`bits` are not {N} octets"))
}

/// Whether two values are the same type and the same octets (a NaN equals itself here).
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b) && octets(a) == octets(b)
}

/// Whether a value must not be sent although it may be received: `L`, NaN, infinity, or a decimal
/// that some peers read as negative.
pub(crate) fn is_unsafe_to_send(value: &Value) -> bool {
    matches!(value, Value::Table(table) if table.iter().any(|(_, value)| is_unsafe(value)))
}

fn is_unsafe(value: &FieldValue) -> bool {
    match value {
        FieldValue::I64Alt(_) => true,
        FieldValue::F32(number) => !number.is_finite(),
        FieldValue::F64(number) => !number.is_finite(),
        FieldValue::Decimal(decimal) => i32::try_from(decimal.value).is_err(),
        FieldValue::Array(items) => items.iter().any(is_unsafe),
        FieldValue::Table(table) => table.iter().any(|(_, value)| is_unsafe(value)),
        _ => false,
    }
}

/// The octets of a value as it was received; `None` if it cannot be written at all.
fn octets(value: &Value) -> Option<BytesMut> {
    let mut buf = BytesMut::new();
    let mut writer = Writer::verbatim(&mut buf);
    match value {
        Value::Bit(bit) => writer.octet(u8::from(*bit)),
        Value::Octet(number) => writer.octet(*number),
        Value::Short(number) => writer.short(*number),
        Value::Long(number) => writer.long(*number),
        Value::LongLong(number) => writer.longlong(*number),
        Value::ShortStr(text) => writer.short_str(text),
        Value::LongStr(octets) => writer.long_str(octets).ok()?,
        Value::Timestamp(time) => writer.timestamp(*time),
        Value::Table(table) => writer.table(table).ok()?,
        Value::Content(content) => writer.content(content).ok()?,
        #[allow(unreachable_patterns)]
        _ => return None,
    }
    writer.finish();
    Some(buf)
}
