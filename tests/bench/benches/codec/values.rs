//! What is encoded and decoded: the same values for both codecs, and how each writes frames.

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, gen_frame};
use amq_protocol::protocol::{AMQPClass, basic as theirs};
use amq_protocol::types as their;
use amqp_types::content::ContentHeader;
use amqp_types::frame::FrameKind;
use amqp_types::protocol::{FRAMING, basic as ours};
use amqp_types::wire::Writer;
use amqp_types::{EncodeError, FieldTable, FieldValue, Method as _};
use bytes::{Bytes, BytesMut};

pub(crate) const BODY: [u8; 16] = [b'x'; 16];
const EXCHANGE: &str = "amq.topic";
const ROUTING_KEY: &str = "orders.created.eu";
const CONSUMER_TAG: &str = "consumer-1";
pub(crate) const ROOM: usize = 4096;

/// Texts and numbers in turns: what both tables are made of.
fn entries() -> impl Iterator<Item = (String, Result<String, i64>)> {
    (0..10).map(|n| match n % 2 {
        0 => (format!("x-header-{n}"), Ok(format!("the value of header {n}"))),
        _ => (format!("x-header-{n}"), Err(n)),
    })
}

pub(crate) fn our_table() -> FieldTable {
    let mut table = FieldTable::new();
    for (name, value) in entries() {
        let value = value.map_or_else(FieldValue::from, FieldValue::from);
        table.try_insert(name, value).expect("a short name");
    }
    table
}

pub(crate) fn their_table() -> their::FieldTable {
    let mut table = their::FieldTable::default();
    for (name, value) in entries() {
        let text = |text: String| their::AMQPValue::LongString(text.into());
        table.insert(name.into(), value.map_or_else(their::AMQPValue::LongLongInt, text));
    }
    table
}

pub(crate) fn our_publish() -> ours::Publish {
    let [exchange, routing_key] = [EXCHANGE, ROUTING_KEY].map(|it| it.try_into().expect("short"));
    ours::Publish { exchange, routing_key, ..Default::default() }
}

pub(crate) fn our_deliver() -> ours::Deliver {
    let [consumer_tag, exchange, routing_key] =
        [CONSUMER_TAG, EXCHANGE, ROUTING_KEY].map(|it| it.try_into().expect("short"));
    ours::Deliver { consumer_tag, delivery_tag: 7, exchange, routing_key, ..Default::default() }
}

pub(crate) fn our_header(headers: bool) -> ContentHeader<ours::Properties> {
    let headers = headers.then(our_table);
    let properties = ours::Properties { delivery_mode: Some(2), headers, ..Default::default() };
    ContentHeader { body_size: BODY.len() as u64, properties }
}

fn their_method(method: theirs::AMQPMethod) -> AMQPFrame {
    AMQPFrame::Method(1, AMQPClass::Basic(method))
}

pub(crate) fn their_publish() -> AMQPFrame {
    their_method(theirs::AMQPMethod::Publish(theirs::Publish {
        exchange: EXCHANGE.into(),
        routing_key: ROUTING_KEY.into(),
        mandatory: false,
        immediate: false,
    }))
}

pub(crate) fn their_header(headers: bool) -> AMQPFrame {
    let mut properties = theirs::AMQPProperties::default().with_delivery_mode(2);
    if headers {
        properties = properties.with_headers(their_table());
    }
    AMQPFrame::Header(1, AMQPContentHeader { class_id: 60, body_size: 16, properties })
}

pub(crate) fn their_ack() -> AMQPFrame {
    their_method(theirs::AMQPMethod::Ack(theirs::Ack { delivery_tag: 7, multiple: false }))
}

pub(crate) const OUR_ACK: ours::Ack = ours::Ack { delivery_tag: 7, multiple: false };

pub(crate) type Written = Result<(), EncodeError>;

/// A frame of ours.
pub(crate) fn put(
    buffer: &mut BytesMut,
    kind: FrameKind,
    write: impl FnOnce(&mut Writer<'_>) -> Written,
) -> Written {
    let start = FRAMING.begin(buffer, kind, 1);
    write(&mut Writer::new(buffer))?;
    FRAMING.end(buffer, start)
}

/// Frames of theirs; gives how many octets they have.
pub(crate) fn generate(buffer: &mut [u8], frames: &[AMQPFrame]) -> usize {
    let mut at = 0;
    for frame in frames {
        let rest = buffer.get_mut(at..).unwrap_or_default();
        let written = gen_frame(frame)(rest.into()).expect("room for a frame");
        at += usize::try_from(written.position).expect("a small frame");
    }
    at
}

pub(crate) fn payload(write: impl FnOnce(&mut Writer<'_>) -> Written) -> Bytes {
    let mut buffer = BytesMut::new();
    write(&mut Writer::new(&mut buffer)).expect("a payload");
    buffer.freeze()
}

/// The three frames of a delivery.
pub(crate) fn delivery() -> BytesMut {
    let mut frames = BytesMut::new();
    put(&mut frames, FrameKind::Method, |writer| our_deliver().encode(writer))
        .and_then(|()| {
            put(&mut frames, FrameKind::Header, |writer| our_header(false).encode(writer))
        })
        .and_then(|()| FRAMING.put(FrameKind::Body, 1, &BODY, &mut frames))
        .expect("a delivery");
    frames
}

/// What is compared must be the same thing.
pub(crate) fn same_octets() {
    let mut ours = BytesMut::new();
    put(&mut ours, FrameKind::Method, |writer| our_publish().encode(writer))
        .and_then(|()| put(&mut ours, FrameKind::Header, |writer| our_header(true).encode(writer)))
        .and_then(|()| put(&mut ours, FrameKind::Method, |writer| OUR_ACK.encode(writer)))
        .expect("our frames");
    let mut theirs = [0; ROOM];
    let size = generate(&mut theirs, &[their_publish(), their_header(true), their_ack()]);
    assert_eq!(Some(&ours[..]), theirs.get(..size));
}
