//! Both codecs, and the capability macros seen from another crate.

use amqp_types::bytes::{Bytes, BytesMut};
use amqp_types::content::ContentHeader;
use amqp_types::reflect::Version;
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod, FieldTable, Method, Properties, Request, ShortStr, Timestamp};
use gateway::{lamps, standard};

fn encode(method: &impl Method) -> Bytes {
    let mut payload = BytesMut::new();
    method.encode(&mut Writer::new(&mut payload)).unwrap();
    payload.freeze()
}

#[test]
fn each_has_its_own_identity() {
    assert_eq!((lamps::NAME, lamps::DEFAULT_PORT), ("lamps", 7001));
    assert_eq!(lamps::VERSION, Version { major: 4, minor: 2, revision: None });
    assert_eq!(&lamps::PROTOCOL_HEADER, b"LAMP\x00\x00\x04\x02");
    assert_eq!(lamps::ReplyCode::TOO_BRIGHT.name(), Some("too-bright"));
    assert_eq!(&standard::PROTOCOL_HEADER, b"AMQP\x00\x00\x09\x01");
    assert_eq!(standard::NAME, "amqp0-9-1");
    assert_eq!(gateway::HAS, [true, false, false, true]);
}

#[test]
fn a_method_of_one_becomes_a_method_of_the_other() {
    let sent = standard::basic::Publish {
        routing_key: ShortStr::try_from("green").unwrap(),
        mandatory: true,
        ..Default::default()
    };
    let payload = encode(&sent);
    assert_eq!(payload[..], *b"\x00\x3c\x00\x28\x00\x00\x00\x05green\x01");
    let received = standard::basic::Publish::decode(&payload).unwrap();
    let shine = gateway::shine(&received);
    let payload = encode(&shine);
    assert_eq!(payload[..], *b"\x00\x07\x00\x01\x05green\x01\0\0\0\0\0\0\0\0\0\0\0\0");
    let any = lamps::Method::decode(&payload).unwrap();
    assert_eq!(any, lamps::Method::Lamp(lamps::lamp::Method::Shine(shine)));
    // The same octets mean nothing to the other.
    assert!(standard::Method::decode(&payload).is_err());
}

#[test]
fn tables_times_replies_and_properties_work_in_a_protocol_of_ones_own() {
    fn reply_of<R: Request<Reply = lamps::lamp::ShineOk>>(_: &R) {}
    let shine = lamps::lamp::Shine {
        until: Timestamp(1_700_000_000),
        more: FieldTable::new().with(ShortStr::from_static("dim"), 3_i64),
        ..Default::default()
    };
    reply_of(&shine);
    assert_eq!(lamps::lamp::Shine::decode(&encode(&shine)), Ok(shine));
    let properties =
        lamps::lamp::Properties { title: Some(ShortStr::from_static("dusk")), warm: true };
    let header = ContentHeader { body_size: 9, properties };
    let mut payload = BytesMut::new();
    header.encode(&mut Writer::new(&mut payload)).unwrap();
    assert_eq!(payload[..], *b"\x00\x07\0\0\0\0\0\0\0\0\0\x09\xc0\x00\x04dusk");
    assert_eq!(lamps::lamp::Properties::CLASS_ID, 7);
}

#[test]
fn another_crate_can_ask_what_there_is() {
    let has = gateway::if_lamps! { constant.too_bright => { true } else { false } };
    let lacks = gateway::if_standard! { basic.nack => { true } else { false } };
    assert_eq!((has, lacks), (true, false));
}
