//! The macro's golden specification, compiled and exercised: what it emits does what it says.
//!
//! It is compiled twice: by the macro, and as the committed expansion, which the lints see.
#![allow(clippy::unwrap_used, clippy::result_large_err, reason = "these are tests")]

use amqp_types::reflect::Value;
use amqp_types::wire::{ContentDomain, Reader, Writer};
use amqp_types::{
    AnyMethod, AnyProperties, ClientMethod, ContentMethod, DecodeErrorKind, FieldTable, Method,
    Properties, Protocol, Reply, Request, ServerMethod, ShortStr, Timestamp,
};
use bytes::{Bytes, BytesMut};

/// Expanded by the macro.
#[macro_use]
pub mod golden {
    amqp_types::protocol! {
        "../amqp-spec-macro/tests/golden/golden.xml",
        if_spec = if_expanded,
        require_spec = require_expanded,
    }
}

/// Expanded before, and kept for review.
pub mod kept {
    include!("../../amqp-spec-macro/tests/golden/golden.rs");
}

use golden::r#box::{Bits, Return};
use golden::{ReplyCode, Spec, ask, content};

fn short(text: &str) -> ShortStr {
    ShortStr::try_from(text).unwrap()
}

fn encoded(method: &impl Method) -> Bytes {
    let mut buffer = BytesMut::new();
    method.encode(&mut Writer::new(&mut buffer)).unwrap();
    buffer.freeze()
}

fn round_trip<M: Method<Protocol = Spec>>(method: M, expected: &[u8]) {
    let payload = encoded(&method);
    assert_eq!(payload[..], *expected);
    assert_eq!(M::decode(&payload).unwrap(), method);
    let any = golden::Method::decode(&payload).unwrap();
    assert_eq!(any.info().class, M::INFO.class);
    assert_eq!(any.values(), method.values());
    assert_eq!(any.values().len(), M::INFO.fields.len());
    let mut again = BytesMut::new();
    any.encode(&mut Writer::new(&mut again)).unwrap();
    assert_eq!(again, payload);
    assert_eq!(<M as Method>::from_any(any).unwrap(), method);
}

#[test]
fn identity_comes_from_the_file() {
    assert_eq!(golden::NAME, "golden");
    assert_eq!((golden::VERSION.major, golden::VERSION.minor), (7, 3));
    assert_eq!(golden::PROTOCOL_HEADER, *b"AMQP\x01\x01\x07\x03");
    assert_eq!(golden::DEFAULT_PORT, 5999);
    assert_eq!((golden::FRAMING.heartbeat, golden::FRAMING.end), (9, 190));
    assert_eq!(golden::FRAMING.min_size, 8192);
    assert_eq!(golden::constants::FRAME_MIN_SIZE, 8192);
    assert_eq!(Spec::INFO.name, "golden");
    let names: Vec<_> = Spec::INFO.classes.iter().map(|class| class.name).collect();
    assert_eq!(names, ["box", "ask", "content", "amqp-types", "connection", "constants"]);
}

#[test]
fn secrets_are_shown_by_their_size_at_most() {
    let (response, new_secret) = (Bytes::from_static(b"hunter2"), short("hunter2"));
    let method = golden::connection::Secure { note: short("shown"), response, new_secret };
    let shown = format!("{method:?}");
    let expected = "Secure { note: \"shown\", response: [7 octets], new_secret: [hidden] }";
    assert_eq!(shown, expected);
}

#[test]
fn names_that_would_hide_others_get_an_underscore() {
    use golden::amqp_types_::{INFO_, Properties as Odd};
    let method = INFO_ { Some_: 7, None_: false, Ok_: true, Err_: short("e") };
    round_trip(method, &[0, 40, 0, 1, 7, 2, 1, b'e']);
    assert_eq!((INFO_::NAME, INFO_::INFO.fields[0].name), ("amqp-types.INFO", "Some"));
    let odd = Odd { Some_: Some(short("s")), None_: true };
    let mut buffer = BytesMut::new();
    odd.encode(&mut Writer::new(&mut buffer)).unwrap();
    assert_eq!(buffer[..], [0xc0, 0, 1, b's']);
    assert_eq!(Odd::decode(&mut Reader::new(&buffer.freeze())).unwrap(), odd);
}

#[test]
fn every_wire_type_is_written_in_file_order() {
    let table = FieldTable::from_iter([(short("k"), true)]);
    let method = Return {
        octet: 1,
        short: 2,
        long: 3,
        longlong: 4,
        shortstr: short("five"),
        longstr: Bytes::from_static(b"six"),
        timestamp: Timestamp(7),
        table,
        content: ContentDomain::Reference(Bytes::from_static(b"9")),
        r#type: true,
        no_wait: false,
    };
    round_trip(
        method,
        b"\0\x0a\0\x01\x01\0\x02\0\0\0\x03\0\0\0\0\0\0\0\x04\x04five\0\0\0\x03six\
          \0\0\0\0\0\0\0\x07\0\0\0\x04\x01kt\x01\x01\0\0\0\x019\x01",
    );
}

#[test]
fn bit_runs_and_reserved_fields_keep_their_places() {
    let method =
        Bits { b0: true, b3: true, b8: true, reader: 7, _2nd_Run: true, ..Bits::default() };
    let expected = b"\0\x0a\xff\xff\x09\x01\0\0\0\0\0\x07\x01";
    assert_eq!(method.values().len(), 13);
    assert_eq!(method.values()[2], Value::Bit(false));
    round_trip(method, expected);
    // What a peer puts into a reserved field is read over.
    let odd = Bytes::from_static(b"\0\x0a\xff\xff\xff\xff\x01x\0\0\0\0\x07\x01");
    assert_eq!(Bits::decode(&odd).unwrap().reader, 7);
}

#[test]
fn defaults_round_trip() {
    round_trip(ask::Get {}, b"\0\x14\0\x01");
    round_trip(ask::Method_ {}, b"\0\x14\0\x04");
    round_trip(content::Send {}, b"\0\x1e\0\0");
}

#[test]
fn replies_are_typed() {
    assert!(!Return { no_wait: true, ..Return::default() }.wants_reply());
    assert!(Return::default().wants_reply());
    fn reply_of<R: Request>(_: &R) -> fn(u16, u16) -> bool {
        <R::Reply as Reply>::accepts
    }
    assert!(reply_of(&Return::default())(10, 2));
    assert!(reply_of(&ask::Recover {})(20, 6));
    let accepts = reply_of(&ask::Get {});
    assert!(accepts(20, 2) && accepts(20, 3) && accepts(20, 4) && !accepts(20, 6));
    let reply = |any| <<ask::Get as Request>::Reply as Reply>::from_any(any);
    assert_eq!(reply(ask::GetEmpty {}.into_any()), Ok(ask::GetReply::Empty(ask::GetEmpty {})));
    assert_eq!(reply(ask::Method_ {}.into_any()), Ok(ask::GetReply::Method(ask::Method_ {})));
    let other = ask::Recover {}.into_any();
    assert_eq!(reply(other.clone()), Err(other));
    assert_eq!(ask::Recover::INFO.responses, ["recover-ok"]);
}

#[test]
fn directions_and_content_are_in_the_types() {
    fn client<M: ClientMethod>() {}
    fn server<M: ServerMethod>() {}
    fn carries<M: ContentMethod<Properties = P>, P: Properties>() {}
    client::<Return>();
    server::<golden::r#box::Ok>();
    client::<Bits>();
    server::<Bits>();
    carries::<ask::GetOk, ask::Properties>();
    carries::<content::Send, content::Properties>();
}

#[test]
fn properties_are_flagged_over_two_words() {
    let properties = content::Properties {
        p1: Some(short("x")),
        p3: true,
        p15: Some(5),
        p16: Some(Timestamp(6)),
        ..content::Properties::default()
    };
    let mut buffer = BytesMut::new();
    properties.encode(&mut Writer::new(&mut buffer)).unwrap();
    let expected = b"\xa0\x03\x80\0\x01x\0\x05\0\0\0\0\0\0\0\x06";
    assert_eq!(buffer[..], expected[..]);
    let payload = buffer.freeze();
    let mut place = None;
    golden::Properties::decode_into(&mut place, 30, &mut Reader::new(&payload)).unwrap();
    let mut any = place.unwrap();
    assert!(ask::Properties::from_any_mut(&mut any).is_none());
    assert_eq!(content::Properties::from_any_mut(&mut any), Some(&mut properties.clone()));
    assert_eq!((any.class_id(), any.info().name), (30, "content"));
    assert_eq!(any.values(), properties.values());
    assert_eq!(any.values()[2], Some(Value::Bit(true)));
    assert_eq!(<content::Properties as Properties>::from_any(any), Ok(properties));
}

#[test]
fn reserved_properties_are_read_over() {
    let payload = Bytes::from_static(b"\x0e\0\0\0\0\x02zz\x07");
    let reader = &mut Reader::new(&payload);
    let properties = content::Properties::decode(reader).unwrap();
    reader.finish().unwrap();
    assert_eq!(properties, content::Properties { p7: Some(7), ..Default::default() });
}

#[test]
fn unknown_numbers_are_typed_errors() {
    let kind = |octets: &'static [u8]| {
        golden::Method::decode(&Bytes::from_static(octets)).unwrap_err().kind()
    };
    assert_eq!(kind(b"\0\x63\0\x01"), DecodeErrorKind::UnknownClass(99));
    assert_eq!(kind(b"\0\x14\0\x63"), DecodeErrorKind::UnknownMethod(20, 99));
    assert_eq!(kind(b"\0\0\0\0"), DecodeErrorKind::UnknownMethod(0, 0));
    assert_eq!(kind(b"\0\x14\0\x01!"), DecodeErrorKind::TrailingBytes);
    let header = |class| {
        let empty = Bytes::from_static(b"\0\0");
        let mut place = None;
        golden::Properties::decode_into(&mut place, class, &mut Reader::new(&empty)).map(|()| place)
    };
    assert_eq!(header(10).unwrap_err().kind(), DecodeErrorKind::UnexpectedClass);
    assert_eq!(header(99).unwrap_err().kind(), DecodeErrorKind::UnknownClass(99));
    assert_eq!(header(20), Ok(Some(golden::Properties::Ask(ask::Properties {}))));
}

#[test]
fn reply_codes_are_open() {
    assert_eq!(ReplyCode::from(399), ReplyCode::ODD_CODE);
    assert_eq!(ReplyCode::ODD_ALIAS, ReplyCode::ODD_CODE);
    assert!(ReplyCode::ODD_CODE.is_soft_error() && !ReplyCode::ODD_CODE.is_hard_error());
    assert!(ReplyCode::WORSE_CODE.is_hard_error());
    assert_eq!(ReplyCode(599).to_string(), "599 worse-code");
    assert_eq!(ReplyCode(7).to_string(), "7");
    assert_eq!(u16::from(ReplyCode(7)), 7);
    assert_eq!(ReplyCode(7).name(), None);
}

#[test]
fn capabilities_can_be_asked_for() {
    if_expanded! { ask.get => {
        fn item() -> u8 { 1 }
    } else {
        fn item() -> u8 { 2 }
    } }
    assert_eq!(item(), 1);
    let there = [
        if_expanded!(box => { true } else { false }),
        if_expanded!(box.return.type => { true } else { false }),
        if_expanded!(box.return.no_wait => { true } else { false }),
        if_expanded!(content.properties.p3 => { true } else { false }),
        if_expanded!(constant.odd_code => { true } else { false }),
    ];
    assert_eq!(there, [true; 5]);
    let absent = [
        if_expanded!(ask.put => { true } else { false }),
        if_expanded!(box.bits.reserved_1 => { true } else { false }),
        if_expanded!(content.properties.p5 => { true } else { false }),
    ];
    assert_eq!(absent, [false; 3]);
    if_expanded! { nothing.of.the.kind => { compile_error!("it is there"); } }
}

require_expanded!("golden");
require_expanded!("0-8", "golden", "0-9");

#[test]
fn the_kept_expansion_is_the_same() {
    assert_eq!(kept::PROTOCOL_HEADER, golden::PROTOCOL_HEADER);
    let payload = encoded(&Bits { reader: 9, ..Bits::default() });
    let bits = kept::r#box::Bits::decode(&payload).unwrap();
    assert_eq!(bits.reader, 9);
}
