//! [`DynamicMethod`] and [`DynamicProperties`]: codecs driven by a description.
//!
//! For tools that know a method by name only: an analyser, a test runner. Slower than the emitted
//! structs, but the same octets; tests compare the two.

use std::fmt;

use super::value::Place;
use super::{ClassInfo, FieldInfo, MethodInfo, SpecInfo, Value, WireType};
use crate::wire::{FLAGS_PER_WORD, Limits, Payload, Reader, Writer};
use crate::{DecodeError, DecodeErrorKind, EncodeError};

/// A method with its values, reserved fields included.
///
/// ```
/// use amqp_types::reflect::{DynamicMethod, FieldInfo, MethodInfo, Value, WireType};
///
/// static TUNE: MethodInfo = MethodInfo {
///     class: "connection", name: "tune", full_name: "connection.tune", class_id: 10, method_id: 30,
///     fields: &[FieldInfo {
///         name: "channel-max", wire_type: WireType::Short, domain: "short", reserved: false,
///     }],
///     synchronous: true, content: false, responses: &["tune-ok"],
///     from_client: false, from_server: true,
/// };
/// let mut tune = DynamicMethod::new(&TUNE);
/// tune.set("channel-max", Value::Short(2047))?;
/// assert_eq!(tune.get("channel-max"), Some(&Value::Short(2047)));
/// # Ok::<(), amqp_types::EncodeError>(())
/// ```
///
/// Shown by `Debug` without [secrets](MethodInfo::is_secret).
#[derive(Clone, PartialEq)]
pub struct DynamicMethod {
    info: &'static MethodInfo,
    /// One for each of `info.fields`, and of its type.
    values: Vec<Value>,
}

impl DynamicMethod {
    /// The method with every field false, 0 or empty.
    #[must_use]
    pub fn new(info: &'static MethodInfo) -> Self {
        let values = info.fields.iter().map(|field| Value::zero(field.wire_type)).collect();
        Self { info, values }
    }

    /// Reads the payload of a method frame, with the default [`Limits`] on tables.
    ///
    /// # Errors
    ///
    /// If the ids are unknown, the arguments malformed, or octets are left over.
    pub fn decode<'a>(
        spec: &SpecInfo,
        payload: impl Into<Payload<'a>>,
    ) -> Result<Self, DecodeError> {
        Self::decode_limited(spec, payload, Limits::DEFAULT)
    }

    /// Reads the payload of a method frame with these limits on tables.
    ///
    /// # Errors
    ///
    /// If the ids are unknown, the arguments malformed or beyond the limits, or octets are left
    /// over.
    pub fn decode_limited<'a>(
        spec: &SpecInfo,
        payload: impl Into<Payload<'a>>,
        limits: Limits,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::with_limits(payload, limits);
        let (class_id, method_id) = (reader.short()?, reader.short()?);
        let class = spec.class_by_id(class_id);
        let class = class.ok_or(DecodeError::new(DecodeErrorKind::UnknownClass(class_id), 0))?;
        let unknown = DecodeErrorKind::UnknownMethod(class_id, method_id);
        let info = class.method_by_id(method_id).ok_or(DecodeError::new(unknown, 2))?;
        let values = decode_arguments(info.fields, &mut reader)?;
        reader.finish()?;
        Ok(Self { info, values })
    }

    /// Which method it is.
    #[must_use]
    pub const fn info(&self) -> &'static MethodInfo {
        self.info
    }

    /// The values, one for each field, in the order of the wire.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Writes ids and arguments: the payload of a method frame.
    ///
    /// # Errors
    ///
    /// If a value cannot be written.
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.short(self.info.class_id);
        writer.short(self.info.method_id);
        let mut run = Vec::new();
        for value in &self.values {
            if let Value::Bit(bit) = value {
                run.push(*bit);
                continue;
            }
            writer.bit_run(&std::mem::take(&mut run));
            value.encode(writer)?;
        }
        writer.bit_run(&run);
        Ok(())
    }

    /// The value of the field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// Gives the field of this name a value.
    ///
    /// # Errors
    ///
    /// `WrongType` if there is no such field, or it has another type.
    pub fn set(&mut self, name: &str, value: Value) -> Result<(), EncodeError> {
        let mut fields = self.info.fields.iter().zip(&mut self.values);
        let (field, place) = fields
            .find(|(field, _)| field.name == name)
            .ok_or(EncodeError::WrongType { field: self.info.name })?;
        check_type(field, &value)?;
        *place = value;
        Ok(())
    }

    /// Names and values of all fields, in the order of the wire.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.info.fields.iter().map(|field| field.name).zip(&self.values)
    }
}

impl fmt::Debug for DynamicMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(self.info.full_name);
        for (name, value) in self.fields() {
            match (self.info.is_secret(name), value) {
                (false, value) => shown.field(name, value),
                (true, Value::LongStr(octets)) => {
                    shown.field(name, &format_args!("[{} octets]", octets.len()))
                }
                (true, _) => shown.field(name, &format_args!("[hidden]")),
            };
        }
        shown.finish()
    }
}

/// The properties of a content, reserved ones included.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicProperties {
    info: &'static ClassInfo,
    /// One for each of `info.properties`, and of its type. A bit is present if true:
    /// `Some(Value::Bit(false))` does not occur.
    values: Vec<Option<Value>>,
}

impl DynamicProperties {
    /// Properties none of which is present.
    #[must_use]
    pub fn new(info: &'static ClassInfo) -> Self {
        Self { info, values: vec![None; info.properties.len()] }
    }

    /// Reads the flag words and the properties of a content header of the class; what follows
    /// them is left.
    ///
    /// # Errors
    ///
    /// `UnknownClass`, `UnexpectedClass` if its methods carry no content; or if the octets are
    /// malformed.
    pub fn decode(
        spec: &SpecInfo,
        class_id: u16,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let info = content_class(spec, class_id)?;
        let flags = decode_flags(info.properties.len(), reader)?;
        let mut values = Vec::with_capacity(info.properties.len());
        for (property, present) in info.properties.iter().zip(flags) {
            values.push(match (present, property.wire_type) {
                (false, _) => None,
                (true, WireType::Bit) => Some(Value::Bit(true)),
                (true, wire_type) => Some(Value::decode(wire_type, Place::Property, reader)?),
            });
        }
        Ok(Self { info, values })
    }

    /// Whose properties they are.
    #[must_use]
    pub const fn info(&self) -> &'static ClassInfo {
        self.info
    }

    /// The values, one for each property of the class, in the order of the wire.
    #[must_use]
    pub fn values(&self) -> &[Option<Value>] {
        &self.values
    }

    /// Writes the flag words and the properties that are present.
    ///
    /// # Errors
    ///
    /// If a property cannot be written.
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let present: Vec<bool> = self.values.iter().map(Option::is_some).collect();
        writer.property_flags(&present);
        self.values.iter().flatten().try_for_each(|value| value.encode(writer))
    }

    /// The value of the property of this name, if it is present.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields().find(|(property, _)| *property == name).map(|(_, value)| value)
    }

    /// Gives the property of this name a value, or takes it away. A bit that is false is absent.
    ///
    /// # Errors
    ///
    /// `WrongType` if there is no such property, or it has another type.
    pub fn set(&mut self, name: &str, value: Option<Value>) -> Result<(), EncodeError> {
        let mut properties = self.info.properties.iter().zip(&mut self.values);
        let (property, place) = properties
            .find(|(property, _)| property.name == name)
            .ok_or(EncodeError::WrongType { field: self.info.name })?;
        if let Some(value) = &value {
            check_type(property, value)?;
        }
        *place = value.filter(|value| *value != Value::Bit(false));
        Ok(())
    }

    /// Names and values of the properties that are present, in the order of the wire.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let names = self.info.properties.iter().map(|property| property.name);
        names.zip(&self.values).filter_map(|(name, value)| Some((name, value.as_ref()?)))
    }
}

/// The class of a content header.
pub(crate) fn content_class(
    spec: &SpecInfo,
    class_id: u16,
) -> Result<&'static ClassInfo, DecodeError> {
    match spec.class_by_id(class_id) {
        None => Err(DecodeError::new(DecodeErrorKind::UnknownClass(class_id), 0)),
        Some(class) if class.has_content() => Ok(class),
        Some(_) => Err(DecodeError::new(DecodeErrorKind::UnexpectedClass, 0)),
    }
}

fn check_type(field: &FieldInfo, value: &Value) -> Result<(), EncodeError> {
    if value.wire_type() == field.wire_type {
        Ok(())
    } else {
        Err(EncodeError::WrongType { field: field.name })
    }
}

/// Adjacent bits share octets, eight to each; any other field ends the run.
fn decode_arguments(
    fields: &'static [FieldInfo],
    reader: &mut Reader<'_>,
) -> Result<Vec<Value>, DecodeError> {
    let mut values = Vec::with_capacity(fields.len());
    let (mut packed, mut used) = (0, 8);
    for field in fields {
        if field.wire_type != WireType::Bit {
            used = 8;
            values.push(Value::decode(field.wire_type, Place::Argument, reader)?);
            continue;
        }
        if used == 8 {
            (packed, used) = (reader.octet()?, 0);
        }
        values.push(Value::Bit(packed & (1 << used) != 0));
        used += 1;
    }
    Ok(values)
}

fn decode_flags(declared: usize, reader: &mut Reader<'_>) -> Result<Vec<bool>, DecodeError> {
    let mut flags = Vec::with_capacity(declared);
    loop {
        let at = reader.position();
        let word = reader.short()?;
        for place in 0..FLAGS_PER_WORD {
            let flag = word & (0x8000 >> place) != 0;
            if flags.len() < declared {
                flags.push(flag);
            } else if flag {
                return Err(DecodeError::new(DecodeErrorKind::UnknownProperty, at));
            }
        }
        if word & 1 == 0 {
            flags.resize(declared, false);
            return Ok(flags);
        }
    }
}
