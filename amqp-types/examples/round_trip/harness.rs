//! Methods and properties through the codec and back, generic over the protocol.
//!
//! Whatever goes in must come out the same, by type and by reflection, with the same octets each
//! time. Values are the defaults, and a second set in which no two neighbours are alike.

use std::fmt::Debug;
use std::process::ExitCode;

use amqp_types::content::ContentHeader;
use amqp_types::reflect::{
    ClassInfo, DynamicMethod, DynamicProperties, MethodInfo, Value, WireType,
};
use amqp_types::wire::{ContentDomain, Limits, Writer};
use amqp_types::{
    AnyMethod, AnyProperties, EncodeError, FieldTable, Method, Properties, Protocol, ShortStr,
    Timestamp,
};
use bytes::{Bytes, BytesMut};

/// What came of one specification.
#[derive(Debug)]
pub(crate) struct Run {
    name: String,
    classes: usize,
    methods: usize,
    passed: usize,
    problems: Vec<String>,
}

#[allow(dead_code, reason = "a caller need not use all")]
impl Run {
    /// Begins with a specification.
    pub(crate) fn of<P: Protocol>(name: &str) -> Self {
        let (classes, methods) = (P::INFO.classes.len(), P::INFO.methods().count());
        Self { name: name.to_owned(), classes, methods, passed: 0, problems: Vec::new() }
    }

    /// Every method and every class's properties, found by reflection.
    pub(crate) fn all<P: Protocol>(&mut self) {
        for method in P::INFO.methods() {
            self.take(&method.to_string(), filled_method::<P>(method));
        }
        for class in P::INFO.classes.iter().filter(|class| class.has_content()) {
            self.take(class.name, filled_properties::<P>(class));
        }
    }

    /// The default instance of one emitted struct.
    pub(crate) fn method<M: Method>(&mut self) {
        self.take(M::NAME, default_method::<M>());
    }

    /// The default instance of one class's properties.
    pub(crate) fn properties<T: Properties>(&mut self) {
        self.take(T::INFO.name, default_properties::<T>());
    }

    /// Tells what came of it.
    pub(crate) fn finish(self) -> ExitCode {
        let Self { name, classes, methods, passed, problems } = self;
        let verdict = if problems.is_empty() && passed > 0 { "ok" } else { "FAILED" };
        println!("{verdict:6} {name}: {classes} classes, {methods} methods, {passed} round trips");
        problems.iter().for_each(|problem| println!("       {problem}"));
        if verdict == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn take(&mut self, what: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(problem) => self.problems.push(format!("{what}: {problem}")),
        }
    }
}

fn default_method<M: Method>() -> Result<(), String> {
    let default = M::default();
    let octets = written(|writer| default.encode(writer))?;
    alike("decoded by its type", &told(M::decode(&octets))?, &default)?;
    let any = told(<M::Protocol as Protocol>::Method::decode(&octets))?;
    alike("description", any.info(), M::INFO)?;
    let dynamic = told(DynamicMethod::decode(M::Protocol::INFO, &octets))?;
    alike("decoded by reflection", &dynamic, &DynamicMethod::new(M::INFO))?;
    alike("its values", &default.values(), &dynamic.values().to_vec())?;
    alike("octets by reflection", &written(|writer| dynamic.encode(writer))?, &octets)?;
    let again = M::from_any(any).map_err(|other| format!("decodes as {other:?}"))?;
    alike("decoded among all", &again, &default)
}

fn default_properties<T: Properties>() -> Result<(), String> {
    let header = ContentHeader { body_size: 0, properties: T::default() };
    let octets = written(|writer| header.encode(writer))?;
    alike("decoded", &told(ContentHeader::<T>::decode(&octets))?, &header)?;
    let dynamic = ContentHeader { body_size: 0, properties: DynamicProperties::new(T::INFO) };
    alike("octets by reflection", &written(|writer| dynamic.encode_dynamic(writer))?, &octets)
}

fn filled_method<P: Protocol>(info: &'static MethodInfo) -> Result<(), String> {
    let mut dynamic = DynamicMethod::new(info);
    for (at, field) in info.fields.iter().enumerate().filter(|(_, field)| !field.reserved) {
        told(dynamic.set(field.name, sample(field.wire_type, at)))?;
    }
    let octets = written(|writer| dynamic.encode(writer))?;
    let typed = told(P::Method::decode(&octets))?;
    alike("description", typed.info(), info)?;
    alike("its values", &typed.values(), &dynamic.values().to_vec())?;
    alike("octets by type", &written(|writer| typed.encode(writer))?, &octets)?;
    alike("decoded by reflection", &told(DynamicMethod::decode(P::INFO, &octets))?, &dynamic)
}

fn filled_properties<P: Protocol>(info: &'static ClassInfo) -> Result<(), String> {
    let mut properties = DynamicProperties::new(info);
    for (at, property) in info.properties.iter().enumerate() {
        // A bit property that is present is true.
        let value = match property.wire_type {
            WireType::Bit => Value::Bit(true),
            other => sample(other, at),
        };
        told(properties.set(property.name, Some(value)))?;
    }
    let dynamic = ContentHeader { body_size: u64::MAX, properties };
    let octets = written(|writer| dynamic.encode_dynamic(writer))?;
    let typed = told(ContentHeader::<P::Properties>::decode_any(&octets, Limits::DEFAULT))?;
    alike("its class", &typed.properties.class_id(), &info.id)?;
    alike("its values", &typed.properties.values(), &dynamic.properties.values().to_vec())?;
    alike("octets by type", &written(|writer| typed.encode_any(writer))?, &octets)
}

/// A value that is not zero, and not its neighbour's.
fn sample(wire_type: WireType, at: usize) -> Value {
    let octet = u8::try_from(at % 250).unwrap_or_default() + 1;
    let text = format!("value {at}");
    match wire_type {
        WireType::Bit => Value::Bit(at.is_multiple_of(2)),
        WireType::Octet => Value::Octet(octet),
        WireType::Short => Value::Short(u16::from_be_bytes([octet, 0xfe])),
        WireType::Long => Value::Long(u32::from_be_bytes([octet, 1, 2, 0xfd])),
        WireType::LongLong => Value::LongLong(u64::from_be_bytes([octet, 1, 2, 3, 4, 5, 6, 0xfc])),
        WireType::ShortStr => Value::ShortStr(ShortStr::try_from(text).unwrap_or_default()),
        WireType::LongStr => Value::LongStr(Bytes::from(text)),
        WireType::Timestamp => Value::Timestamp(Timestamp(u64::from(octet) << 32)),
        WireType::Table => {
            Value::Table(FieldTable::new().with(ShortStr::from_static("key"), i32::from(octet)))
        }
        WireType::Content => Value::Content(ContentDomain::Reference(Bytes::from(text))),
    }
}

fn written(
    encode: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<Bytes, String> {
    let mut buf = BytesMut::new();
    told(encode(&mut Writer::new(&mut buf)))?;
    Ok(buf.freeze())
}

fn told<T>(result: Result<T, impl ToString>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn alike<T: PartialEq + Debug + ?Sized>(what: &str, ours: &T, expected: &T) -> Result<(), String> {
    if ours == expected {
        return Ok(());
    }
    Err(format!("{what}: is {ours:?}, expected {expected:?}"))
}
