//! Vectors of methods: names, types, values and octets, by reflection, by type, and strictly.

use amqp_types::reflect::{DynamicMethod, MethodInfo, Value};
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod, EncodeError, Protocol};
use bytes::{Bytes, BytesMut};

use super::json::{Json, first_difference};
use super::report::{Fault, Outcome};
use super::values::{is_unsafe_to_send, same, type_word, value};

/// `{"class","method","class_id","method_id","fields","hex"}`.
pub(crate) fn check<P: Protocol>(vector: Json<'_>) -> Outcome {
    let (class, name) = (vector.text("class")?, vector.text("method")?);
    let info = P::INFO
        .method(class, name)
        .ok_or_else(|| format!("the specification has no {class}.{name}"))?;
    let ids: (u16, u16) = (vector.number("class_id")?, vector.number("method_id")?);
    if (info.class_id, info.method_id) != ids {
        return Err(format!("ids are {}.{}", info.class_id, info.method_id).into());
    }
    let expected = expected_values(info, vector)?;
    let octets = vector.hex("hex")?;
    check_reflection::<P>(info, &expected, &octets)?;
    check_typed::<P>(info, &expected, &octets)
}

/// The vector's values, after its field names and types agreed with ours, in order.
fn expected_values(info: &MethodInfo, vector: Json<'_>) -> Result<Vec<Value>, Fault> {
    let fields: Vec<_> = vector.list("fields")?.collect();
    let names = |fault: &str| {
        let ours = info.fields.iter().map(|ours| format!("{} {:?}", ours.name, ours.wire_type));
        format!("{fault}; ours are: {}", ours.collect::<Vec<_>>().join(", "))
    };
    if fields.len() != info.fields.len() {
        return Err(names("another number of fields").into());
    }
    for (field, ours) in fields.iter().zip(info.fields) {
        let name = field.text("name")?;
        if name.replace(' ', "-") != ours.name {
            return Err(names(&format!("no field `{name}` here")).into());
        }
        let Some(word) = type_word(ours.wire_type) else {
            return Err(Fault::Skipped(format!("vectors have no form for {:?}", ours.wire_type)));
        };
        if field.text("type")? != word {
            return Err(names(&format!("field `{name}` is of another type")).into());
        }
    }
    Ok(fields.into_iter().map(value).collect::<Result<_, _>>()?)
}

/// Decodes and builds the method by its names alone, reserved fields too.
fn check_reflection<P: Protocol>(
    info: &'static MethodInfo,
    expected: &[Value],
    octets: &Bytes,
) -> Outcome {
    let decoded = DynamicMethod::decode(P::INFO, octets)
        .map_err(|error| format!("does not decode by reflection: {error}"))?;
    if decoded.info() != info {
        let found = decoded.info();
        return Err(format!("decodes as {}.{}", found.class, found.name).into());
    }
    for ((name, ours), expected) in decoded.fields().zip(expected) {
        if !same(ours, expected) {
            return Err(format!("field {name}: decodes as {ours:?}, expected {expected:?}").into());
        }
    }
    let mut built = DynamicMethod::new(info);
    for (field, value) in info.fields.iter().zip(expected) {
        built
            .set(field.name, value.clone())
            .map_err(|error| format!("field {} cannot be set: {error}", field.name))?;
    }
    for (method, how) in [(&decoded, "decoded"), (&built, "built by name")] {
        let again = verbatim(|writer| method.encode(writer))
            .map_err(|error| format!("{how}, does not encode: {error}"))?;
        compare(&format!("{how} and encoded"), &again, octets)?;
    }
    Ok(())
}

/// Decodes the method as its struct, which drops reserved fields.
pub(crate) fn check_typed<P: Protocol>(
    info: &'static MethodInfo,
    expected: &[Value],
    octets: &Bytes,
) -> Outcome {
    let decoded = P::Method::decode(octets).map_err(|error| format!("does not decode: {error}"))?;
    if decoded.info() != info {
        return Err(format!("decodes as {}", decoded.info().name).into());
    }
    let (ours, zeros) = (decoded.values(), DynamicMethod::new(info));
    if ours.len() != expected.len() {
        return Err(format!("has {} values, expected {}", ours.len(), expected.len()).into());
    }
    let mut whole = true;
    for (((name, zero), field), (ours, expected)) in
        zeros.fields().zip(info.fields).zip(ours.iter().zip(expected))
    {
        let expected = if field.reserved { zero } else { expected };
        if !same(ours, expected) {
            return Err(format!("field {name}: is {ours:?}, expected {expected:?}").into());
        }
    }
    for ((_, zero), (field, expected)) in zeros.fields().zip(info.fields.iter().zip(expected)) {
        whole &= !field.reserved || same(zero, expected);
    }
    if !whole {
        // The struct cannot say what stood in the reserved fields; reflection has shown it.
        return Ok(());
    }
    let again = verbatim(|writer| decoded.encode(writer))
        .map_err(|error| format!("does not encode: {error}"))?;
    compare("encoded from its struct", &again, octets)?;
    check_strict::<P>(&decoded, expected, octets)
}

/// What may be sent is the same octets; what may not is refused or sent in the safe form.
fn check_strict<P: Protocol>(method: &P::Method, expected: &[Value], octets: &Bytes) -> Outcome {
    let may_differ = expected.iter().any(is_unsafe_to_send);
    match strict(|writer| method.encode(writer)) {
        Ok(again) if may_differ => {
            // `L` goes out as `l`: as many octets, and the same number to whoever reads it.
            let again = again.freeze();
            let differing = again.iter().zip(octets).filter(|(a, b)| a != b);
            let all_alike = differing.clone().all(|(a, b)| (*a, *b) == (b'l', b'L'));
            if again.len() == octets.len() && all_alike && differing.count() > 0 {
                return Ok(());
            }
            compare("strictly encoded", &again, octets)?;
            Err("a value that must not be sent was sent".into())
        }
        Ok(again) => compare("strictly encoded", &again, octets),
        Err(_) if may_differ => Ok(()),
        Err(error) => Err(format!("is not sent: {error}").into()),
    }
}

/// What is written for something that was received: all of it as it was.
pub(crate) fn verbatim(
    encode: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<BytesMut, EncodeError> {
    let mut buf = BytesMut::new();
    encode(&mut Writer::verbatim(&mut buf))?;
    Ok(buf)
}

/// What is written for something of our own: only what is safe to send.
pub(crate) fn strict(
    encode: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<BytesMut, EncodeError> {
    let mut buf = BytesMut::new();
    encode(&mut Writer::new(&mut buf))?;
    Ok(buf)
}

/// Fails if the octets are not the same.
pub(crate) fn compare(what: &str, ours: &[u8], expected: &[u8]) -> Outcome {
    if ours == expected {
        return Ok(());
    }
    Err(format!("{what}: {}", first_difference(ours, expected)).into())
}
