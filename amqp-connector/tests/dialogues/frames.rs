//! Frames of the right grammar with any values: what a server could write, whether or not it may.

#![allow(clippy::cast_possible_truncation, reason = "numbers are made of so many bits")]

use amqp_connector::FieldTable;
use amqp_connector::amqp_types::frame::FrameKind;
use amqp_connector::amqp_types::reflect::{DynamicMethod, MethodInfo, Value, WireType};
use amqp_connector::amqp_types::wire::{ContentDomain, Limits, Writer};
use amqp_connector::amqp_types::{FieldArray, FieldValue, ShortStr, Timestamp, if_spec};
use amqp_connector::protocol::{FRAMING, INFO};
use amqp_connector::testing::Rng;
use bytes::{Bytes, BytesMut};

/// A frame around what `write` writes.
pub(crate) fn frame(kind: FrameKind, channel: u16, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut octets = BytesMut::new();
    let start = FRAMING.begin(&mut octets, kind, channel);
    let mut writer = Writer::new(&mut octets).with_limits(Limits::GREATEST);
    write(&mut writer);
    writer.finish();
    FRAMING.end(&mut octets, start).unwrap();
    octets.to_vec()
}

pub(crate) fn method(channel: u16, method: &DynamicMethod) -> Vec<u8> {
    frame(FrameKind::Method, channel, |writer| method.encode(writer).unwrap())
}

/// A method with any arguments.
pub(crate) fn any_method(
    rng: &mut Rng,
    info: &'static MethodInfo,
    names: &[ShortStr],
) -> DynamicMethod {
    let mut method = DynamicMethod::new(info);
    for field in info.fields {
        if !field.reserved {
            method.set(field.name, value(rng, field.wire_type, names)).unwrap();
        }
    }
    method
}

/// Any method that a server may send.
pub(crate) fn any_of_servers(rng: &mut Rng) -> &'static MethodInfo {
    let all: Vec<_> = INFO.methods().filter(|info| info.from_server).collect();
    all[rng.below(all.len())]
}

fn number(rng: &mut Rng, bits: u32) -> u64 {
    match rng.below(6) {
        0 => 0,
        1 => u64::MAX >> (64 - bits),
        2 => rng.next_u64() >> (64 - bits),
        _ => rng.below(12) as u64,
    }
}

fn value(rng: &mut Rng, wire_type: WireType, names: &[ShortStr]) -> Value {
    match wire_type {
        WireType::Bit => Value::Bit(rng.one_in(2)),
        WireType::Octet => Value::Octet(number(rng, 8) as u8),
        WireType::Short => Value::Short(number(rng, 16) as u16),
        WireType::Long => Value::Long(number(rng, 32) as u32),
        WireType::LongLong => Value::LongLong(number(rng, 64)),
        WireType::ShortStr => Value::ShortStr(name(rng, names)),
        WireType::LongStr => Value::LongStr(octets(rng, 300)),
        WireType::Timestamp => Value::Timestamp(Timestamp(number(rng, 64))),
        WireType::Table => Value::Table(table(rng)),
        WireType::Content => Value::Content(ContentDomain::Inline(octets(rng, 300))),
    }
}

/// One that the client knows, or any.
fn name(rng: &mut Rng, names: &[ShortStr]) -> ShortStr {
    match rng.below(8) {
        0 if rng.one_in(30) => ShortStr::try_from(octets(rng, 255).to_vec()).unwrap(),
        0 => ShortStr::try_from("x".repeat(rng.below(256))).unwrap(),
        1 => ShortStr::EMPTY,
        _ if names.is_empty() => ShortStr::EMPTY,
        _ => names[rng.below(names.len())].clone(),
    }
}

pub(crate) fn octets(rng: &mut Rng, most: usize) -> Bytes {
    let len = rng.below(most + 1);
    (0..len).map(|_| rng.next_u64().to_be_bytes()[7]).collect()
}

/// One that is small, deep, long, or has what nobody knows.
fn table(rng: &mut Rng) -> FieldTable {
    let key = ShortStr::from_static("k");
    let small = FieldTable::new().with(key.clone(), octets(rng, 20));
    match rng.below(8) {
        0 => (0..rng.below(200)).fold(small, |table, _| FieldTable::new().with(key.clone(), table)),
        1 => {
            let values = vec![FieldValue::Void; rng.below(3000)];
            small.with(key, FieldArray::from(values))
        }
        2 => (0..rng.below(100)).fold(small, |table, n| table.with(key.clone(), n as i64)),
        _ => small,
    }
}

/// A content header: its size may be another than what follows, its properties may be malformed.
pub(crate) fn header(rng: &mut Rng, channel: u16, class: u16, size: u64, any: bool) -> Vec<u8> {
    let size = if any && rng.one_in(10) { number(rng, 64) } else { size };
    let malformed = rng.one_in(6);
    frame(FrameKind::Header, channel, |writer| {
        writer.short(if any && rng.one_in(10) { number(rng, 16) as u16 } else { class });
        writer.short(u16::from(any && rng.one_in(10)));
        writer.longlong(size);
        match rng.below(3) {
            _ if malformed => {
                writer.short(number(rng, 16) as u16);
                writer.octets(&octets(rng, 40));
            }
            0 => writer.short(0),
            _ => {
                // Headers are the third of the properties of `basic`.
                writer.short(1 << 13);
                writer.table(&table(rng)).unwrap();
            }
        }
    })
}

/// The methods that bring a message of `basic`.
pub(crate) fn any_of_messages(rng: &mut Rng, any: bool) -> &'static MethodInfo {
    let names = ["deliver", "deliver", "deliver", "return", "get-ok"];
    INFO.method("basic", names[rng.below(if any { 5 } else { 4 })]).unwrap()
}

/// The methods that answer publishes.
pub(crate) fn any_of_confirms(rng: &mut Rng) -> &'static MethodInfo {
    let names: &[&str] = if_spec! { basic.nack => { &["ack", "ack", "nack"] } else { &["ack"] } };
    INFO.method("basic", names[rng.below(names.len())]).unwrap()
}
