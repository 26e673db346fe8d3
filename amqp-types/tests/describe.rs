//! Frames in the words of a specification.

#![cfg(test)]

use amqp_types::frame::{Frame, FrameKind};
use amqp_types::reflect::{Described, DynamicMethod, SpecInfo, Value, WireType};
use amqp_types::wire::Writer;
use amqp_types::{FieldArray, FieldValue, Timestamp, content::ContentHeader};
use amqp_types::{Method, field_table, short_str};
use bytes::{Bytes, BytesMut};

mod rabbit {
    amqp_types::protocol! { "specs/amqp0-9-1-rabbitmq.xml" }
}

mod plain {
    amqp_types::protocol! { "specs/amqp0-9-1.xml" }
}

mod nine {
    amqp_types::protocol! { "specs/amqp0-9.xml" }
}

mod old {
    amqp_types::protocol! { "specs/amqp0-8.xml" }
}

const SPECS: [&SpecInfo; 4] = [&rabbit::INFO, &plain::INFO, &nine::INFO, &old::INFO];

fn shown(spec: &SpecInfo, kind: FrameKind, payload: impl Into<Bytes>) -> String {
    let frame = Frame { kind, channel: 1, payload: payload.into() };
    Described::new(spec, (&frame).into()).to_string()
}

fn payload(write: impl FnOnce(&mut Writer<'_>)) -> Bytes {
    let mut buf = BytesMut::new();
    write(&mut Writer::verbatim(&mut buf));
    buf.freeze()
}

fn method<M: Method>(spec: &SpecInfo, method: &M) -> String {
    shown(spec, FrameKind::Method, payload(|writer| method.encode(writer).unwrap()))
}

fn header(properties: rabbit::basic::Properties) -> String {
    let header = ContentHeader { body_size: 5, properties };
    let octets = payload(|writer| header.encode(writer).unwrap());
    shown(&rabbit::INFO, FrameKind::Header, octets)
}

#[test]
fn a_method_is_shown_by_the_names_of_its_specification() {
    let publish = rabbit::basic::Publish {
        routing_key: short_str!("orders"),
        mandatory: true,
        ..Default::default()
    };
    assert_eq!(
        method(&rabbit::INFO, &publish),
        r#"basic.publish exchange="" routing-key="orders" mandatory=true immediate=false"#
    );
    let publish =
        old::basic::Publish { ticket: 7, routing_key: short_str!("orders"), ..Default::default() };
    assert_eq!(
        method(&old::INFO, &publish),
        r#"basic.publish ticket=7 exchange="" routing-key="orders" mandatory=false immediate=false"#
    );
}

#[test]
fn every_method_of_every_specification_is_shown_with_all_its_fields() {
    for spec in SPECS {
        for info in spec.methods() {
            let octets = payload(|writer| DynamicMethod::new(info).encode(writer).unwrap());
            let line = shown(spec, FrameKind::Method, octets);
            let mut names = line.split(' ').filter_map(|word| word.split_once('=')).map(|it| it.0);
            assert!(line.starts_with(info.full_name), "{line}");
            for field in info.fields.iter().filter(|field| !field.reserved) {
                assert_eq!(names.next(), Some(field.name), "{line}");
            }
        }
    }
}

#[test]
fn a_reserved_field_is_shown_if_it_is_not_zero() {
    let info = rabbit::INFO.method("basic", "publish").unwrap();
    let mut publish = DynamicMethod::new(info);
    publish.set("reserved-1", 9_u16.into()).unwrap();
    let octets = payload(|writer| publish.encode(writer).unwrap());
    let line = shown(&rabbit::INFO, FrameKind::Method, octets);
    assert!(line.starts_with("basic.publish reserved-1=9 exchange="), "{line}");
}

#[test]
fn what_a_peer_proves_itself_by_is_shown_by_no_specification() {
    let mut secrets = 0;
    for spec in SPECS {
        let fields = spec.methods().flat_map(|info| info.fields.iter().map(move |it| (info, it)));
        for (info, field) in fields.filter(|(info, field)| info.is_secret(field.name)) {
            let mut method = DynamicMethod::new(info);
            assert_eq!(field.wire_type, WireType::LongStr);
            method
                .set(field.name, Value::LongStr(Bytes::from_static(b"\0guest\0hunter2")))
                .unwrap();
            let octets = payload(|writer| method.encode(writer).unwrap());
            let line = shown(spec, FrameKind::Method, octets.clone());
            assert!(line.contains(&format!("{}=[14 octets]", field.name)), "{line}");
            assert!(!line.contains("hunter2"), "{line}");
            let frame = Frame { kind: FrameKind::Method, channel: 0, payload: octets.clone() };
            let described = Described::new(spec, (&frame).into());
            let debugs = [format!("{method:?}"), format!("{frame:?}"), format!("{described:#?}")];
            for debug in debugs {
                assert!(debug.contains("octets]") && !debug.contains("hunter2"), "{debug}");
            }
            // Cut short, what is left of it is not shown either.
            let line = shown(spec, FrameKind::Method, octets.slice(..octets.len() - 1));
            assert!(line.contains("cannot be read") && !line.contains("hunter"), "{line}");
            secrets += 1;
        }
        for secret in ["start-ok", "secure-ok"] {
            assert!(spec.method("connection", secret).unwrap().is_secret("response"));
        }
    }
    assert!(rabbit::INFO.method("connection", "update-secret").unwrap().is_secret("new-secret"));
    // The client's answer and what it answers, four times; and a renewed one.
    assert_eq!(secrets, 4 * 3 + 1);
}

#[test]
fn a_header_is_shown_by_the_properties_that_are_there() {
    assert_eq!(header(rabbit::basic::Properties::default()), "header basic body-size=5");
    let properties = rabbit::basic::Properties {
        content_type: Some(short_str!("text/plain")),
        delivery_mode: Some(2),
        timestamp: Some(Timestamp(1_700_000_000)),
        ..Default::default()
    };
    assert_eq!(
        header(properties),
        r#"header basic body-size=5 content-type="text/plain" delivery-mode=2 timestamp=@1700000000"#
    );
}

#[test]
fn values_of_tables_show_their_type_where_it_is_not_the_common_one() {
    let headers = field_table! {
        "int" => 5, "wide" => 5_i64, "octet" => 5_u8, "flag" => true, "half" => 0.5_f64,
        "text" => "a\nb", "raw" => FieldValue::ByteArray(b"\xff\0"[..].into()),
        "list" => FieldArray::from_iter([FieldValue::from(1), FieldValue::from("x")]),
        "inner" => field_table! { "k" => () }, "none" => (),
    };
    let properties = rabbit::basic::Properties { headers: Some(headers), ..Default::default() };
    assert_eq!(
        header(properties),
        r#"header basic body-size=5 headers={"int": 5, "wide": 5_i64, "octet": 5_u8, "flag": true, "#
            .to_owned()
            + r#""half": 0.5_f64, "text": "a\nb", "raw": x"\xff\x00", "list": [1, "x"], "#
            + r#""inner": {"k": void}, "none": void}"#
    );
}

#[test]
fn what_is_long_is_cut_and_its_size_is_told() {
    let body = Bytes::from(vec![b'a'; 70]);
    let expected = format!("body size=70 \"{}\"... [70 octets]", "a".repeat(64));
    assert_eq!(shown(&rabbit::INFO, FrameKind::Body, body.clone()), expected);
    let frame = Frame { kind: FrameKind::Body, channel: 1, payload: body };
    let described = Described::new(&rabbit::INFO, (&frame).into());
    let line = described.clone().with_limit(2).to_string();
    assert_eq!(line, r#"body size=70 "aa"... [70 octets]"#);
    assert_eq!(described.with_limit(0).to_string(), r#"body size=70 ""... [70 octets]"#);
    // Through the middle of a character.
    let body = "äöü".repeat(20).into_bytes();
    let frame = Frame { kind: FrameKind::Body, channel: 1, payload: body.into() };
    let line = Described::new(&rabbit::INFO, (&frame).into()).with_limit(3).to_string();
    assert_eq!(line, r#"body size=120 "ä"... [120 octets]"#);
}

#[test]
fn nothing_in_a_frame_commands_a_terminal() {
    for octets in [&b"\x1b[2J\n\r\x07"[..], b"\xff\x1b[2J", "\u{202e}\u{9b}".as_bytes()] {
        let line = shown(&rabbit::INFO, FrameKind::Body, octets);
        assert!(line.chars().all(|it| !it.is_control() && it != '\u{202e}'), "{line}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_the_reason() {
    let line = shown(&rabbit::INFO, FrameKind::Method, &b"\0\x3c\0\x63"[..]);
    assert!(line.starts_with("method of 4 octets cannot be read: "), "{line}");
    let line = shown(&rabbit::INFO, FrameKind::Header, &b"\0"[..]);
    assert!(line.starts_with("header of 1 octets cannot be read: "), "{line}");
    assert_eq!(shown(&rabbit::INFO, FrameKind::Heartbeat, Bytes::new()), "heartbeat");
}

#[test]
fn a_tool_can_ask_what_a_frame_means() {
    let octets = payload(|writer| rabbit::basic::Ack::default().encode(writer).unwrap());
    let frame = Frame { kind: FrameKind::Method, channel: 1, payload: octets };
    let described = Described::new(&rabbit::INFO, (&frame).into());
    assert_eq!((described.name(), described.frame().channel), ("basic.ack", 1));
    let amqp_types::reflect::Meaning::Method(ack) = described.meaning() else {
        panic!("{described:?}");
    };
    assert_eq!(ack.get("delivery-tag"), Some(&Value::LongLong(0)));
}
