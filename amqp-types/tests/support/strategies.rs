//! Random values of every wire type.

use amqp_types::frame::{Frame, FrameKind};
use amqp_types::reflect::{
    ClassInfo, DynamicMethod, DynamicProperties, FieldInfo, MethodInfo, Value, WireType,
};
use amqp_types::wire::ContentDomain;
use amqp_types::{Decimal, FieldArray, FieldTable, FieldValue, ShortStr, Timestamp};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

/// Octets, of lengths around what is stored inline.
pub(crate) fn short_octets() -> impl Strategy<Value = ShortStr> {
    let octets = prop_oneof![vec(any::<u8>(), 0..30), vec(any::<u8>(), 0..=255)];
    octets.prop_map(|octets| ShortStr::try_from(octets).unwrap())
}

/// Text, of lengths around what is stored inline.
pub(crate) fn short_str() -> impl Strategy<Value = ShortStr> {
    prop_oneof!["[ -~]{0,30}", "\\PC{0,60}"].prop_map(|text| ShortStr::try_from(text).unwrap())
}

fn octets() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

/// A value without others in it. Only floats that equal themselves.
fn scalar() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u8>().prop_map(FieldValue::U8),
        any::<i16>().prop_map(FieldValue::I16),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<u32>().prop_map(FieldValue::U32),
        any::<i64>().prop_map(FieldValue::I64),
        any::<i64>().prop_map(FieldValue::I64Alt),
        any::<f32>().prop_filter("equals itself", |it| !it.is_nan()).prop_map(FieldValue::F32),
        any::<f64>().prop_filter("equals itself", |it| !it.is_nan()).prop_map(FieldValue::F64),
        (any::<u8>(), any::<u32>())
            .prop_map(|(scale, value)| FieldValue::Decimal(Decimal { scale, value })),
        octets().prop_map(|octets| FieldValue::LongString(octets.into())),
        octets().prop_map(|octets| FieldValue::ByteArray(octets.into())),
        any::<u64>().prop_map(|seconds| FieldValue::Timestamp(Timestamp(seconds))),
        Just(FieldValue::Void),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = FieldValue> {
    scalar().prop_recursive(4, 40, 8, |inner| {
        let entries = vec((short_octets(), inner.clone()), 0..8);
        prop_oneof![
            vec(inner, 0..8).prop_map(|values| FieldValue::Array(FieldArray::from(values))),
            entries.prop_map(|entries| FieldValue::Table(FieldTable::from(entries))),
        ]
    })
}

pub(crate) fn table() -> impl Strategy<Value = FieldTable> {
    vec((short_octets(), value()), 0..8).prop_map(FieldTable::from)
}

pub(crate) fn frame() -> impl Strategy<Value = Frame> {
    let kind = prop_oneof![Just(FrameKind::Method), Just(FrameKind::Header), Just(FrameKind::Body)];
    let full = (kind, any::<u16>(), vec(any::<u8>(), 0..300))
        .prop_map(|(kind, channel, payload)| Frame { kind, channel, payload: payload.into() });
    let heartbeat = Frame { kind: FrameKind::Heartbeat, channel: 0, payload: Bytes::new() };
    prop_oneof![9 => full, 1 => Just(heartbeat)]
}

fn of_type(wire_type: WireType, text: BoxedStrategy<ShortStr>) -> BoxedStrategy<Value> {
    match wire_type {
        WireType::Bit => any::<bool>().prop_map(Value::Bit).boxed(),
        WireType::Octet => any::<u8>().prop_map(Value::Octet).boxed(),
        WireType::Short => any::<u16>().prop_map(Value::Short).boxed(),
        WireType::Long => any::<u32>().prop_map(Value::Long).boxed(),
        WireType::LongLong => any::<u64>().prop_map(Value::LongLong).boxed(),
        WireType::ShortStr => text.prop_map(Value::ShortStr).boxed(),
        WireType::LongStr => octets().prop_map(Value::LongStr).boxed(),
        WireType::Timestamp => any::<u64>().prop_map(|it| Value::Timestamp(Timestamp(it))).boxed(),
        WireType::Table => table().prop_map(Value::Table).boxed(),
        WireType::Content => prop_oneof![
            octets().prop_map(|octets| Value::Content(ContentDomain::Inline(octets))),
            octets().prop_map(|octets| Value::Content(ContentDomain::Reference(octets))),
        ]
        .boxed(),
    }
}

/// A method with random arguments; reserved ones are zero, as the emitted structs have them.
pub(crate) fn method(info: &'static MethodInfo) -> impl Strategy<Value = DynamicMethod> {
    let argument = |field: &FieldInfo| match field.reserved {
        true => Just(Value::zero(field.wire_type)).boxed(),
        false => of_type(field.wire_type, short_str().boxed()),
    };
    let arguments: Vec<_> = info.fields.iter().map(argument).collect();
    arguments.prop_map(move |values| {
        let mut method = DynamicMethod::new(info);
        for (field, value) in info.fields.iter().zip(values) {
            method.set(field.name, value).unwrap();
        }
        method
    })
}

/// Properties each of which is present half of the time.
pub(crate) fn properties(info: &'static ClassInfo) -> impl Strategy<Value = DynamicProperties> {
    let property = |field: &FieldInfo| match field.reserved {
        true => Just(None).boxed(),
        false => proptest::option::of(of_type(field.wire_type, short_octets().boxed())).boxed(),
    };
    let all: Vec<_> = info.properties.iter().map(property).collect();
    all.prop_map(move |values| {
        let mut properties = DynamicProperties::new(info);
        for (field, value) in info.properties.iter().zip(values) {
            properties.set(field.name, value).unwrap();
        }
        properties
    })
}
