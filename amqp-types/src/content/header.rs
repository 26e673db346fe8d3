//! [`ContentHeader`]: the frame between a method and its body.

use crate::method::{AnyProperties, Properties, Protocol, placed};
use crate::reflect::{DynamicProperties, SpecInfo};
use crate::wire::{FLAGS_PER_WORD, Limits, Payload, Reader, Writer};
use crate::{DecodeError, DecodeErrorKind, EncodeError};

/// A content header: how long the body is, and its properties.
///
/// `T` is an emitted struct such as `basic::Properties`, or, with the methods ending in `_any` and
/// `_dynamic`, the enum of all classes' properties or [`DynamicProperties`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContentHeader<T> {
    /// The length of the body, in octets.
    pub body_size: u64,
    /// The properties.
    pub properties: T,
}

impl<T: Properties> ContentHeader<T> {
    /// Writes the payload of a header frame.
    ///
    /// # Errors
    ///
    /// If a property cannot be written.
    #[inline]
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        Self::write(&self.properties, self.body_size, writer)
    }

    /// Writes the payload of a header frame from borrowed properties.
    ///
    /// # Errors
    ///
    /// If a property cannot be written.
    #[inline]
    pub fn write(
        properties: &T,
        body_size: u64,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        begin(T::CLASS_ID, body_size, writer);
        properties.encode(writer)
    }

    /// Writes the payload of a header frame without any property, for which none has to be made.
    #[inline]
    pub fn write_bare(body_size: u64, writer: &mut Writer<'_>) {
        begin(T::CLASS_ID, body_size, writer);
        let words = T::INFO.properties.len().div_ceil(FLAGS_PER_WORD).max(1);
        for following in (0..words).rev() {
            // The lowest bit says that another word follows.
            writer.short(u16::from(following > 0));
        }
    }

    /// Reads the payload of a header frame, which must be of this class.
    ///
    /// # Errors
    ///
    /// `UnexpectedClass` if it is of another class, `BadWeight`; or if the properties are
    /// malformed, or octets are left over.
    pub fn decode<'a>(payload: impl Into<Payload<'a>>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let (class_id, body_size) = prelude(&mut reader)?;
        if class_id != T::CLASS_ID {
            return Err(DecodeError::new(DecodeErrorKind::UnexpectedClass, 0));
        }
        let mut header = Self { body_size, properties: T::default() };
        header.properties.read(&mut reader)?;
        reader.finish()?;
        Ok(header)
    }
}

impl<T: AnyProperties> ContentHeader<T> {
    /// Writes the payload of a header frame of any class.
    ///
    /// # Errors
    ///
    /// If a property cannot be written.
    pub fn encode_any(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        begin(self.properties.class_id(), self.body_size, writer);
        self.properties.encode(writer)
    }

    /// Reads the payload of a header frame of any class.
    ///
    /// # Errors
    ///
    /// `UnknownClass`, `UnexpectedClass` if the class has no content, `BadWeight`; or if the
    /// properties are malformed, or octets are left over.
    pub fn decode_any<'a>(
        payload: impl Into<Payload<'a>>,
        limits: Limits,
    ) -> Result<Self, DecodeError> {
        let mut place = None;
        let (_, body_size) = decode_into(&mut place, payload.into(), limits)?;
        Ok(Self { body_size, properties: placed(place)? })
    }
}

/// The id of the class and the body's size; the properties go to `place` at once, since they are
/// big to be moved about.
#[inline]
pub(super) fn decode_into<T: AnyProperties>(
    place: &mut Option<T>,
    payload: Payload<'_>,
    limits: Limits,
) -> Result<(u16, u64), DecodeError> {
    let mut reader = Reader::with_limits(payload, limits);
    let (class_id, body_size) = prelude(&mut reader)?;
    match T::decode_into(place, class_id, &mut reader) {
        Ok(()) => {
            reader.finish()?;
            Ok((class_id, body_size))
        }
        Err(error) => {
            // The class comes first; what stands under a foreign one means nothing.
            crate::reflect::content_class(T::Protocol::INFO, class_id)?;
            Err(error)
        }
    }
}

/// The body's size in a header whose properties cannot be read, if the header is one of this class.
pub(super) fn size_of_unreadable(payload: Payload<'_>, class_id: u16) -> Option<u64> {
    let (found, size) = prelude(&mut Reader::new(payload)).ok()?;
    (found == class_id).then_some(size)
}

impl ContentHeader<DynamicProperties> {
    /// Writes the payload of a header frame.
    ///
    /// # Errors
    ///
    /// If a property cannot be written.
    pub fn encode_dynamic(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        begin(self.properties.info().id, self.body_size, writer);
        self.properties.encode(writer)
    }

    /// Reads the payload of a header frame of any class of the specification.
    ///
    /// # Errors
    ///
    /// As for [`decode_any`](Self::decode_any).
    pub fn decode_dynamic<'a>(
        spec: &SpecInfo,
        payload: impl Into<Payload<'a>>,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let (class_id, body_size) = prelude(&mut reader)?;
        let properties = DynamicProperties::decode(spec, class_id, &mut reader)?;
        reader.finish()?;
        Ok(Self { body_size, properties })
    }
}

#[inline]
fn begin(class_id: u16, body_size: u64, writer: &mut Writer<'_>) {
    let [c0, c1] = class_id.to_be_bytes();
    let [s0, s1, s2, s3, s4, s5, s6, s7] = body_size.to_be_bytes();
    // The weight is zero.
    writer.put([c0, c1, 0, 0, s0, s1, s2, s3, s4, s5, s6, s7]);
}

/// Class and body size.
#[inline]
fn prelude(reader: &mut Reader<'_>) -> Result<(u16, u64), DecodeError> {
    let class_id = reader.short()?;
    let at = reader.position();
    match reader.short()? {
        0 => Ok((class_id, reader.longlong()?)),
        weight => Err(DecodeError::new(DecodeErrorKind::BadWeight(weight), at)),
    }
}
