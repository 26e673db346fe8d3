//! Vectors of content headers: properties by name, and every right encoding.

use amqp_types::content::ContentHeader;
use amqp_types::reflect::{ClassInfo, DynamicProperties, Value};
use amqp_types::wire::Limits;
use amqp_types::{AnyProperties, EncodeError, Protocol};
use bytes::Bytes;

use super::json::{Json, first_difference};
use super::methods::{strict, verbatim};
use super::report::{Fault, Outcome};
use super::values::{is_unsafe_to_send, same, type_word, value};

/// What a vector of a header says.
struct Expected {
    info: &'static ClassInfo,
    body_size: u64,
    /// One for each property of the class.
    values: Vec<Option<Value>>,
    /// All right encodings: any may be written, all must be read.
    encodings: Vec<Bytes>,
}

/// `{"class","class_id","weight","body_size","properties","hex","also"}`.
pub(crate) fn check<P: Protocol>(vector: Json<'_>) -> Outcome {
    let class = vector.text("class")?;
    let info = P::INFO.class(class).ok_or_else(|| format!("no class {class}"))?;
    if info.id != vector.number::<u16>("class_id")? {
        return Err(format!("the class has id {}", info.id).into());
    }
    if vector.number::<u16>("weight").is_ok_and(|weight| weight != 0) {
        return Err(Fault::Skipped("headers of a weight are refused, not encoded".to_owned()));
    }
    let mut encodings = vec![vector.hex("hex")?];
    if vector.has("also") {
        for also in vector.list("also")? {
            encodings.push(also.octets_of_hex()?);
        }
    }
    let values = expected_values(info, vector)?;
    let body_size = vector.number("body_size")?;
    let expected = Expected { info, body_size, values, encodings };
    for octets in &expected.encodings {
        check_reflection::<P>(&expected, octets)?;
        check_typed::<P>(&expected, octets)?;
    }
    check_built(&expected)
}

fn expected_values(info: &ClassInfo, vector: Json<'_>) -> Result<Vec<Option<Value>>, Fault> {
    let mut values = vec![None; info.properties.len()];
    for property in vector.list("properties")? {
        let name = property.text("name")?.replace(' ', "-");
        let mut places = info.properties.iter().zip(&mut values);
        let (ours, place) = places
            .find(|(ours, _)| ours.name == name)
            .ok_or_else(|| format!("class {} has no property `{name}`", info.name))?;
        if type_word(ours.wire_type) != Some(property.text("type")?) {
            return Err(format!("property `{name}` is a {:?}", ours.wire_type).into());
        }
        *place = Some(value(property)?);
    }
    Ok(values)
}

fn check_reflection<P: Protocol>(expected: &Expected, octets: &Bytes) -> Outcome {
    let header = ContentHeader::<DynamicProperties>::decode_dynamic(P::INFO, octets)
        .map_err(|error| format!("does not decode by reflection: {error}"))?;
    compare_values("by reflection", header.body_size, header.properties.values(), expected)?;
    any_encoding("by reflection", verbatim(|writer| header.encode_dynamic(writer)), expected)
}

fn check_typed<P: Protocol>(expected: &Expected, octets: &Bytes) -> Outcome {
    let header = ContentHeader::<P::Properties>::decode_any(octets, Limits::DEFAULT)
        .map_err(|error| format!("does not decode: {error}"))?;
    if header.properties.info() != expected.info {
        return Err(format!("decodes as class {}", header.properties.info().name).into());
    }
    let values = header.properties.values();
    compare_values("by type", header.body_size, &values, expected)?;
    let again = verbatim(|writer| header.encode_any(writer));
    any_encoding("by type", again, expected)?;
    match strict(|writer| header.encode_any(writer)) {
        _ if expected.values.iter().flatten().any(is_unsafe_to_send) => Ok(()),
        strict => any_encoding("strictly", strict, expected),
    }
}

/// A header built from the vector's values alone.
fn check_built(expected: &Expected) -> Outcome {
    let mut properties = DynamicProperties::new(expected.info);
    for (property, value) in expected.info.properties.iter().zip(&expected.values) {
        properties
            .set(property.name, value.clone())
            .map_err(|error| format!("property {} cannot be set: {error}", property.name))?;
    }
    let header = ContentHeader { body_size: expected.body_size, properties };
    let octets = verbatim(|writer| header.encode_dynamic(writer));
    any_encoding("built by name", octets, expected)
}

fn compare_values(
    how: &str,
    body_size: u64,
    ours: &[Option<Value>],
    expected: &Expected,
) -> Outcome {
    if body_size != expected.body_size {
        return Err(format!("{how}: body size is {body_size}").into());
    }
    for ((property, ours), theirs) in
        expected.info.properties.iter().zip(ours).zip(&expected.values)
    {
        let alike = match (ours, theirs) {
            (Some(ours), Some(theirs)) => same(ours, theirs),
            (None, None) => true,
            _ => false,
        };
        if !alike {
            let name = property.name;
            return Err(format!("{how}: {name} is {ours:?}, expected {theirs:?}").into());
        }
    }
    Ok(())
}

fn any_encoding(
    how: &str,
    octets: Result<bytes::BytesMut, EncodeError>,
    expected: &Expected,
) -> Outcome {
    let octets = octets.map_err(|error| format!("{how}: does not encode: {error}"))?;
    if expected.encodings.iter().any(|right| *right == octets) {
        return Ok(());
    }
    let right = expected.encodings.first().map(Bytes::as_ref).unwrap_or_default();
    Err(format!("{how}: encodings {}", first_difference(&octets, right)).into())
}
