//! Octets that other implementations gave or confirmed, against the codec.
//!
//! The protocols are compiled here from their files, so that these tests do not depend on the
//! specification that the crate was built with. `tests/vectors` holds a sample; the example
//! `vectors` checks whole folders.

#![cfg(test)]

mod support;

use std::collections::HashMap;

use amqp_types::content::{AssembleError, Assembler, ContentHeader, Incoming};
use amqp_types::frame::{FrameKind, Framing};
use amqp_types::reflect::{DynamicMethod, DynamicProperties, Value};
use amqp_types::wire::{Limits, Writer};
use amqp_types::{
    AnyMethod, AnyProperties, DecodeError, DecodeErrorKind, EncodeError, FrameError, Protocol,
};
use bytes::{Bytes, BytesMut};
use serde_json::Value as Json;
use support::{field, load, octets, written};

/// The default specification.
mod rabbit {
    amqp_types::protocol! { "specs/amqp0-9-1-rabbitmq.xml" }
}

/// A made-up specification: other constants, long runs of bits, up to 31 properties, odd names.
#[allow(clippy::wrong_self_convention)] // It has a field named `self`.
mod synthetic {
    amqp_types::protocol! { "tests/vectors/synthetic-a.xml" }
}

const FRAME_MAX: u32 = 131_072;

/// Reads a method both ways, compares it with the vector, and writes it both ways.
fn check_method<P: Protocol>(vector: &Json) {
    let payload = octets(&vector["hex"]);
    let dynamic = DynamicMethod::decode(P::INFO, &payload).expect("a method");
    assert_eq!(vector["class"], dynamic.info().class);
    assert_eq!(vector["method"], dynamic.info().name);
    let fields: Json = dynamic.fields().map(|(name, value)| field(name, value)).collect();
    assert_eq!(vector["fields"], fields);
    assert_eq!(written(|writer| dynamic.encode(writer)), payload);

    let typed = P::Method::decode(&payload).expect("a method");
    assert_eq!(typed.info(), dynamic.info());
    let zero = |(info, value): (&amqp_types::reflect::FieldInfo, &Value)| match info.reserved {
        true => Value::zero(info.wire_type),
        false => value.clone(),
    };
    let unreserved: Vec<Value> =
        dynamic.info().fields.iter().zip(dynamic.values()).map(zero).collect();
    // As text, in which not-a-number equals itself.
    assert_eq!(format!("{:?}", typed.values()), format!("{unreserved:?}"));
    if format!("{:?}", dynamic.values()) == format!("{unreserved:?}") {
        assert_eq!(written(|writer| typed.encode(writer)), payload);
    }
}

#[test]
fn methods_and_tables_agree_with_other_implementations() {
    for file in ["methods-0-9-1-rabbit.json", "tables-0-9-1.json"] {
        load(file).iter().for_each(check_method::<rabbit::Spec>);
    }
    load("synthetic-a-methods.json").iter().for_each(check_method::<synthetic::Spec>);
}

#[test]
fn a_strict_writer_gives_the_same_octets_for_all_that_should_be_sent() {
    for vector in load("tables-0-9-1.json") {
        let payload = octets(&vector["hex"]);
        let dynamic = DynamicMethod::decode(&rabbit::INFO, &payload).unwrap();
        let mut buf = BytesMut::new();
        let sent = dynamic.encode(&mut Writer::new(&mut buf));
        match sent {
            // Brokers disagree on its sign.
            Err(EncodeError::DecimalRange { value }) => assert!(value > i32::MAX.unsigned_abs()),
            sent => {
                let should_be_sent = !vector["kind"].as_str().unwrap().contains("rabbit-accept");
                assert_eq!(sent.is_ok() && buf == payload, should_be_sent, "{}", vector["kind"]);
            }
        }
    }
}

fn check_header<P: Protocol>(vector: &Json) {
    let payload = octets(&vector["hex"]);
    let others = vector["also"].as_array().map_or(&[][..], Vec::as_slice).iter().map(octets);
    for encoding in [payload.clone()].into_iter().chain(others) {
        let header = ContentHeader::<DynamicProperties>::decode_dynamic(P::INFO, &encoding);
        let header = header.expect("a content header");
        assert_eq!(vector["class"], header.properties.info().name);
        assert_eq!(vector["body_size"], header.body_size);
        let properties: Json =
            header.properties.fields().map(|(name, value)| field(name, value)).collect();
        assert_eq!(vector["properties"], properties);
        assert_eq!(written(|writer| header.encode_dynamic(writer)), payload);

        let typed = ContentHeader::<P::Properties>::decode_any(&encoding, Limits::DEFAULT).unwrap();
        assert_eq!(typed.properties.info(), header.properties.info());
        assert_eq!(typed.properties.values(), header.properties.values());
        assert_eq!(written(|writer| typed.encode_any(writer)), payload);
    }
}

#[test]
fn content_headers_agree_with_other_implementations() {
    for file in ["headers-0-9-1-rabbit.json", "headers-0-9-1.json"] {
        load(file).iter().for_each(check_header::<rabbit::Spec>);
    }
    load("synthetic-a-headers.json").iter().for_each(check_header::<synthetic::Spec>);
}

#[test]
fn frames_agree_with_other_implementations() {
    for vector in load("frames-0-9-1-rabbit.json") {
        let whole = octets(&vector["hex"]);
        let (last, but_last) = whole.split_last().unwrap();
        let mut stream = BytesMut::from(but_last);
        assert_eq!(Framing::STANDARD.decode(&mut stream, FRAME_MAX), Ok(None));
        stream.extend_from_slice(&[*last]);
        let frame = Framing::STANDARD.decode(&mut stream, FRAME_MAX).unwrap().unwrap();
        assert!(stream.is_empty());
        assert_eq!(vector["channel"], frame.channel);
        assert_eq!(vector["frame_type"], Framing::STANDARD.octet(frame.kind));
        assert_eq!(octets(&vector["payload_hex"]), frame.payload);
        Framing::STANDARD.encode(&frame, &mut stream).unwrap();
        assert_eq!(stream, whole);
    }
}

#[test]
fn protocol_headers_agree_with_other_implementations() {
    let headers: HashMap<_, _> = load("protocol-headers.json")
        .into_iter()
        .map(|vector| (vector["spec"].as_str().unwrap().to_owned(), octets(&vector["hex"])))
        .collect();
    assert_eq!(headers["0-9-1"], &rabbit::PROTOCOL_HEADER[..]);
    for spec in amqp_types::protocol::BUNDLED {
        if let Some(header) = headers.get(spec.name) {
            assert_eq!(header, &spec.protocol_header[..]);
        }
    }
}

/// What comes of a malformed vector: `None` if it is a value, else the vectors' word for it.
#[derive(Debug, PartialEq)]
enum Outcome {
    Value,
    Incomplete,
    Error(&'static str),
}

fn decode_outcome(error: DecodeError) -> Outcome {
    Outcome::Error(match error.kind() {
        DecodeErrorKind::Truncated => "truncated",
        DecodeErrorKind::TrailingBytes => "trailing-bytes",
        DecodeErrorKind::UnknownClass(_) => "unknown-class",
        DecodeErrorKind::UnknownMethod(..) => "unknown-method",
        DecodeErrorKind::UnexpectedClass => "unexpected-class",
        DecodeErrorKind::InvalidUtf8 => "invalid-utf8",
        DecodeErrorKind::UnknownTableTag(_) => "unknown-table-tag",
        DecodeErrorKind::NestingTooDeep => "nesting-too-deep",
        DecodeErrorKind::UnknownProperty => "unknown-property",
        DecodeErrorKind::BadWeight(_) => "bad-weight",
        other => panic!("no vector asks for {other:?}"),
    })
}

fn frame_outcome(error: FrameError) -> Outcome {
    Outcome::Error(match error {
        FrameError::UnknownFrameType(_) => "unknown-frame-type",
        FrameError::FrameTooLarge { .. } => "frame-too-large",
        FrameError::BadFrameEnd(_) => "bad-frame-end",
        FrameError::BadHeartbeat => "bad-heartbeat",
        FrameError::ProtocolHeader(_) => "protocol-version-refused",
        other => panic!("no vector asks for {other:?}"),
    })
}

fn stream_outcome(octets: &[u8]) -> Outcome {
    let mut stream = BytesMut::from(octets);
    match Framing::STANDARD.decode(&mut stream, FRAME_MAX) {
        Ok(Some(_)) => Outcome::Value,
        Ok(None) => {
            assert_eq!(stream, octets, "nothing is consumed of a frame that is not there yet");
            Outcome::Incomplete
        }
        Err(error) => frame_outcome(error),
    }
}

fn method_outcome(payload: &Bytes) -> Outcome {
    let dynamic = DynamicMethod::decode(&rabbit::INFO, payload);
    match rabbit::Method::decode(payload) {
        Ok(method) => {
            assert_eq!(method.values(), dynamic.unwrap().values());
            Outcome::Value
        }
        Err(error) => {
            assert_eq!(dynamic.unwrap_err(), error, "both ways stumble in the same place");
            decode_outcome(error)
        }
    }
}

fn header_outcome(payload: &Bytes) -> Outcome {
    let dynamic = ContentHeader::<DynamicProperties>::decode_dynamic(&rabbit::INFO, payload);
    match ContentHeader::<rabbit::Properties>::decode_any(payload, Limits::DEFAULT) {
        Ok(_) => {
            assert!(dynamic.is_ok());
            Outcome::Value
        }
        Err(error) => {
            assert_eq!(dynamic.unwrap_err(), error, "both ways stumble in the same place");
            decode_outcome(error)
        }
    }
}

fn session_outcome(octets: &[u8]) -> Outcome {
    let mut stream = BytesMut::from(octets);
    let mut channels: HashMap<u16, Assembler<rabbit::Spec>> = HashMap::new();
    while let Some(frame) = Framing::STANDARD.decode(&mut stream, FRAME_MAX).unwrap() {
        match channels.entry(frame.channel).or_default().push(frame) {
            Ok(_) => {}
            Err(AssembleError::Decode(error)) => return decode_outcome(error),
            Err(_) => return Outcome::Error("unexpected-frame"),
        }
    }
    assert!(stream.is_empty());
    match channels.values().all(Assembler::is_idle) {
        true => Outcome::Value,
        false => Outcome::Incomplete,
    }
}

#[test]
fn malformed_octets_give_what_they_should() {
    for vector in load("malformed-0-9-1.json") {
        let payload = octets(&vector["hex"]);
        let outcome = match vector["level"].as_str().unwrap() {
            "stream" => stream_outcome(&payload),
            "method" => method_outcome(&payload),
            "header" => header_outcome(&payload),
            "session" => session_outcome(&payload),
            other => panic!("unknown level {other}"),
        };
        let as_expected = match vector["expect"].as_str().unwrap() {
            "ok" => outcome == Outcome::Value,
            "incomplete" => outcome == Outcome::Incomplete,
            "error" => matches!(&outcome, Outcome::Error(word) if vector["error"] == *word),
            "no-crash" => true,
            other => panic!("unknown expectation {other}"),
        };
        assert!(as_expected, "{outcome:?}: {vector}");
    }
}

#[test]
fn a_whole_session_is_read_from_both_sides() {
    let session = load("session-0-9-1.json").remove(0);
    let mut seen = Vec::new();
    for direction in ["C>S", "S>C"] {
        let chunks = session["chunks"].as_array().unwrap();
        let ours = chunks.iter().filter(|chunk| chunk["dir"] == direction);
        let mut stream: BytesMut = ours.flat_map(|chunk| octets(&chunk["hex"])).collect();
        if direction == "C>S" {
            let _protocol_header = stream.split_to(8);
        }
        let mut channels: HashMap<u16, Assembler<rabbit::Spec>> = HashMap::new();
        while let Some(frame) = rabbit::FRAMING.decode(&mut stream, FRAME_MAX).unwrap() {
            assert_ne!(frame.kind, FrameKind::Heartbeat);
            match channels.entry(frame.channel).or_default().push(frame).unwrap() {
                Some(Incoming::Method(method)) => seen.push(method.info().to_string()),
                other => panic!("no content in this session: {other:?}"),
            }
        }
        assert!(stream.is_empty());
    }
    let mut expected = Vec::new();
    for direction in ["C>S", "S>C"] {
        let events = session["events"].as_array().unwrap();
        let methods = events.iter().filter(|event| event["dir"] == direction);
        expected.extend(methods.filter_map(|event| event["method"].as_str().map(String::from)));
    }
    assert!(!seen.is_empty());
    assert_eq!(seen, expected);
}
