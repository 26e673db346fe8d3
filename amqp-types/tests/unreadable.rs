//! Contents whose properties cannot be read cost themselves only: the frames behind them are taken as ever.

#![cfg(test)]

use amqp_types::content::{AssembleError, Assembler, Incoming};
use amqp_types::frame::{Frame, FrameKind, FrameRef};
use amqp_types::wire::{Limits, Writer};
use amqp_types::{DecodeErrorKind, FieldTable, Method, field_table, short_str};
use bytes::{Bytes, BytesMut};

mod rabbit {
    amqp_types::protocol! { "specs/amqp0-9-1-rabbitmq.xml" }
}

use rabbit::{basic, channel};

fn frame(kind: FrameKind, payload: impl Into<Bytes>) -> Frame {
    Frame { kind, channel: 1, payload: payload.into() }
}

fn method(method: &impl Method) -> Frame {
    let mut payload = BytesMut::new();
    method.encode(&mut Writer::new(&mut payload)).unwrap();
    frame(FrameKind::Method, payload)
}

fn deliver() -> Frame {
    method(&basic::Deliver {
        routing_key: short_str!("orders"),
        delivery_tag: 7,
        ..Default::default()
    })
}

/// A header of this body size with these flags, and what stands behind them.
fn header(size: u64, flags: u16, properties: &[u8]) -> Frame {
    let mut payload = BytesMut::new();
    let mut writer = Writer::new(&mut payload);
    writer.short(60);
    writer.short(0);
    writer.longlong(size);
    writer.short(flags);
    writer.octets(properties);
    writer.finish();
    frame(FrameKind::Header, payload)
}

/// The flag of the headers.
const HEADERS: u16 = 1 << 13;

fn deep(levels: usize) -> Bytes {
    let innermost = field_table! { "" => () };
    let table = (1..levels).fold(innermost, |table: FieldTable, _| field_table! { "" => table });
    let mut octets = BytesMut::new();
    Writer::verbatim(&mut octets).table(&table).unwrap();
    octets.freeze()
}

/// Whatever is wrong with properties, and how it is told.
fn malformed() -> Vec<(Frame, DecodeErrorKind)> {
    let many = [&[0, 1, 0, 7, 0, b'A', 0, 1, 0, 1][..], &vec![b'V'; 65_537]].concat();
    vec![
        (header(5, HEADERS, &deep(65)), DecodeErrorKind::NestingTooDeep),
        (header(5, HEADERS, &many), DecodeErrorKind::TooManyEntries),
        (header(5, HEADERS, b"\0\0\0\x02\0U"), DecodeErrorKind::UnknownTableTag(b'U')),
        (header(5, HEADERS, b"\0\0\0\x09\0V"), DecodeErrorKind::Truncated),
        (header(5, HEADERS, b"\0\0\0\0more"), DecodeErrorKind::TrailingBytes),
        (header(5, 1 << 1, b""), DecodeErrorKind::UnknownProperty),
        (header(5, 1 << 15, b"\x05four"), DecodeErrorKind::Truncated),
    ]
}

fn properties_error(error: AssembleError) -> DecodeErrorKind {
    match error {
        AssembleError::Properties(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_body_whose_properties_cannot_be_read_is_passed_over() {
    for (header, kind) in malformed() {
        let mut assembler = Assembler::<rabbit::Spec>::new();
        assert_eq!(assembler.push(deliver()), Ok(None));
        assert_eq!(properties_error(assembler.push(header).unwrap_err()), kind);
        match assembler.take_unreadable() {
            Some(rabbit::Method::Basic(basic::Method::Deliver(it))) => {
                assert_eq!((it.delivery_tag, it.routing_key), (7, short_str!("orders")));
            }
            other => panic!("{other:?}"),
        }
        assert!(!assembler.is_idle(), "{kind:?}");
        for piece in ["he", "", "llo"] {
            assert_eq!(assembler.push(frame(FrameKind::Body, piece)), Ok(None), "{kind:?}");
            assert_eq!(assembler.buffered(), 0);
        }
        assert!(assembler.is_idle());
        let next = assembler.push(method(&channel::CloseOk::default())).unwrap();
        assert!(matches!(next, Some(Incoming::Method(_))), "{kind:?}: {next:?}");
    }
}

#[test]
fn a_content_without_a_body_is_over_at_once() {
    let mut assembler = Assembler::<rabbit::Spec>::new();
    assembler.push(deliver()).unwrap();
    properties_error(assembler.push(header(0, HEADERS, &deep(65))).unwrap_err());
    assert!(assembler.is_idle());
    assert_eq!(assembler.push(deliver()), Ok(None));
}

#[test]
fn what_is_passed_over_obeys_the_order_of_frames() {
    let begun = || {
        let mut assembler = Assembler::<rabbit::Spec>::new();
        assembler.push(deliver()).unwrap();
        properties_error(assembler.push(header(5, HEADERS, &deep(65))).unwrap_err());
        assembler
    };
    let error = begun().push(frame(FrameKind::Body, "longer")).unwrap_err();
    assert_eq!(error, AssembleError::BodyOverrun { size: 5, received: 6 });
    let mut assembler = begun();
    let (expected, found) = (FrameKind::Body, FrameKind::Method);
    assert_eq!(
        assembler.push(deliver()).unwrap_err(),
        AssembleError::UnexpectedFrame { expected, found }
    );
    // As after every other error it is as new.
    assert_eq!(assembler.push(deliver()), Ok(None));
}

#[test]
fn a_content_that_is_lent_is_passed_over_as_well() {
    let mut assembler = Assembler::<rabbit::Spec>::new();
    assembler.push(deliver()).unwrap();
    assembler.lend();
    let header = header(5, HEADERS, &deep(65));
    let error = assembler.push_part(FrameRef::from(&header)).unwrap_err();
    assert_eq!(properties_error(error), DecodeErrorKind::NestingTooDeep);
    let body = frame(FrameKind::Body, "hello");
    assert!(assembler.push_part(FrameRef::from(&body)).unwrap().is_none());
    assert!(assembler.is_idle());
}

#[test]
fn a_header_that_does_not_say_where_its_content_ends_is_another_error() {
    for (payload, kind) in [
        (&b"\0\x3c\0\0\0\0"[..], DecodeErrorKind::Truncated),
        (b"\0\x3c\0\x01\0\0\0\0\0\0\0\0\0\0", DecodeErrorKind::BadWeight(1)),
        (b"\0\x3d\0\0\0\0\0\0\0\0\0\0\0\0", DecodeErrorKind::UnknownClass(61)),
    ] {
        let mut assembler = Assembler::<rabbit::Spec>::new();
        assembler.push(deliver()).unwrap();
        match assembler.push(frame(FrameKind::Header, payload)) {
            Err(AssembleError::Decode(error)) => assert_eq!(error.kind(), kind),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn with_higher_limits_the_same_is_read() {
    let limits = Limits::GREATEST;
    let mut assembler = Assembler::<rabbit::Spec>::new().with_limits(limits);
    assembler.push(deliver()).unwrap();
    let read = assembler.push(header(0, HEADERS, &deep(65))).unwrap();
    assert!(matches!(read, Some(Incoming::Content { .. })));
}
