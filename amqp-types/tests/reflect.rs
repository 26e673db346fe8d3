//! A specification as data, and the traits of the emitted types.

#![cfg(test)]

use amqp_types::reflect::{DynamicMethod, DynamicProperties, Value, WireType};
use amqp_types::wire::{Reader, Writer};
use amqp_types::{
    AnyMethod, DecodeErrorKind, EncodeError, Method, Properties, Reply, Request, short_str,
};
use bytes::{Bytes, BytesMut};

mod rabbit {
    amqp_types::protocol! { "specs/amqp0-9-1-rabbitmq.xml" }
}

/// A made-up specification: long runs of bits, properties that are bits.
#[allow(clippy::wrong_self_convention)] // It has a field named `self`.
mod synthetic {
    amqp_types::protocol! { "tests/vectors/synthetic-a.xml" }
}

use rabbit::{INFO, basic, queue};

#[test]
fn everything_is_found_by_name_and_by_number() {
    for class in INFO.classes {
        assert_eq!(INFO.class(class.name), Some(*class));
        assert_eq!(INFO.class_by_id(class.id), Some(*class));
        for method in class.methods {
            assert_eq!(INFO.method(class.name, method.name), Some(*method));
            assert_eq!(INFO.method_by_id(class.id, method.method_id), Some(*method));
        }
    }
    assert_eq!(INFO.methods().count(), INFO.classes.iter().map(|it| it.methods.len()).sum());
    assert_eq!(INFO.method("basic", "publish").map(ToString::to_string).unwrap(), "basic.publish");
    assert_eq!(INFO.constant("frame-end").map(|it| it.value), Some(206));
    assert_eq!((INFO.method("basic", "declare"), INFO.class("basics")), (None, None));
    assert_eq!(INFO.version.to_string(), "0-9-1");
    let contents: Vec<_> = INFO.classes.iter().filter(|it| it.has_content()).collect();
    assert_eq!(contents.iter().map(|class| class.name).collect::<Vec<_>>(), ["basic"]);
}

#[test]
fn a_method_is_set_and_asked_by_the_names_of_the_specification() {
    let info = INFO.method("queue", "declare").unwrap();
    let mut dynamic = DynamicMethod::new(info);
    dynamic.set("queue", short_str!("orders").into()).unwrap();
    dynamic.set("durable", true.into()).unwrap();
    let mut buf = BytesMut::new();
    dynamic.encode(&mut Writer::new(&mut buf)).unwrap();
    let declare = queue::Declare::decode(&buf.freeze()).unwrap();
    let expected =
        queue::Declare { queue: short_str!("orders"), durable: true, ..Default::default() };
    assert_eq!(declare, expected);
    assert_eq!(declare.values(), dynamic.values());
    assert_eq!(dynamic.get("durable"), Some(&Value::Bit(true)));
    assert_eq!(dynamic.get("duration"), None);
    let names: Vec<_> = dynamic.fields().map(|(name, _)| name).collect();
    assert_eq!(names, info.fields.iter().map(|field| field.name).collect::<Vec<_>>());
}

#[test]
fn a_value_of_another_type_or_name_is_refused() {
    let mut dynamic = DynamicMethod::new(queue::Declare::INFO);
    let wrong = dynamic.set("durable", 1_u8.into());
    assert_eq!(wrong, Err(EncodeError::WrongType { field: "durable" }));
    assert_eq!(
        dynamic.set("duration", true.into()),
        Err(EncodeError::WrongType { field: "declare" })
    );
    let mut properties = DynamicProperties::new(basic::Properties::INFO);
    let wrong = properties.set("priority", Some(true.into()));
    assert_eq!(wrong, Err(EncodeError::WrongType { field: "priority" }));
    assert!(properties.set("priorities", None).is_err());
}

#[test]
fn every_type_has_a_zero() {
    for wire_type in [
        WireType::Bit,
        WireType::Octet,
        WireType::Short,
        WireType::Long,
        WireType::LongLong,
        WireType::ShortStr,
        WireType::LongStr,
        WireType::Timestamp,
        WireType::Table,
        WireType::Content,
    ] {
        assert_eq!(Value::zero(wire_type).wire_type(), wire_type);
    }
}

#[test]
fn a_property_that_is_a_bit_is_present_or_not() {
    let info = synthetic::fifteen::Properties::INFO;
    let mut properties = DynamicProperties::new(info);
    let encoded = |properties: &DynamicProperties| {
        let mut buf = BytesMut::new();
        properties.encode(&mut Writer::new(&mut buf)).unwrap();
        buf.freeze()
    };
    properties.set("p-3", Some(true.into())).unwrap();
    assert_eq!(&encoded(&properties)[..], b"\x10\0");
    let octets = encoded(&properties);
    let again = DynamicProperties::decode(&synthetic::INFO, info.id, &mut Reader::new(&octets));
    assert_eq!(again.unwrap(), properties);
    let typed = synthetic::fifteen::Properties { p_3: true, ..Default::default() };
    assert_eq!(typed.values(), properties.values());
    properties.set("p-3", Some(false.into())).unwrap();
    assert_eq!((properties.get("p-3"), &encoded(&properties)[..]), (None, &b"\0\0"[..]));
}

#[test]
fn classes_without_content_have_no_header() {
    let decode = |class_id| {
        let payload = Bytes::from_static(b"\0\0");
        DynamicProperties::decode(&INFO, class_id, &mut Reader::new(&payload))
    };
    assert!(decode(basic::Properties::CLASS_ID).is_ok());
    let kind = |class_id| decode(class_id).unwrap_err().kind();
    assert_eq!(kind(queue::Declare::CLASS_ID), DecodeErrorKind::UnexpectedClass);
    assert_eq!(kind(9999), DecodeErrorKind::UnknownClass(9999));
}

#[test]
fn a_payload_is_read_as_the_method_it_is() {
    let mut buf = BytesMut::new();
    basic::Ack { delivery_tag: 7, multiple: true }.encode(&mut Writer::new(&mut buf)).unwrap();
    let payload = buf.freeze();
    assert_eq!(basic::Ack::decode(&payload).unwrap().delivery_tag, 7);
    let error = basic::Cancel::decode(&payload).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::UnexpectedMethod, 0));
    let any = rabbit::Method::decode(&payload).unwrap();
    assert_eq!(any.info(), basic::Ack::INFO);
    let any = <basic::Cancel as Method>::from_any(any).unwrap_err();
    assert!(<basic::Ack as Method>::from_any(any).is_ok());
}

#[test]
fn a_reply_is_a_method_or_one_of_several() {
    fn accepts<R: Request, M: Method>(_: &R) -> bool {
        <R::Reply as Reply>::accepts(M::CLASS_ID, M::METHOD_ID)
    }
    let declare = queue::Declare::default();
    assert!(accepts::<_, queue::DeclareOk>(&declare));
    assert!(!accepts::<_, queue::BindOk>(&declare));
    assert!(declare.wants_reply());
    assert!(!queue::Declare { no_wait: true, ..declare }.wants_reply());
    let get = basic::Get::default();
    assert!(accepts::<_, basic::GetOk>(&get) && accepts::<_, basic::GetEmpty>(&get));
    let empty = basic::GetEmpty::default().into_any();
    let reply = <basic::GetReply as Reply>::from_any(empty).unwrap();
    assert!(matches!(reply, basic::GetReply::Empty(_)));
}
