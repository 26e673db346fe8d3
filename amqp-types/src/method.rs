//! The traits that the emitted protocol implements, and generic code is written against.
//!
//! [`Protocol`] ties a specification's types together. [`AnyMethod`] and [`AnyProperties`] are its
//! two enums; [`Method`], [`Properties`] and the traits below them say what a single method is: who
//! may send it, whether it carries content, and what answers it. Nothing here does I/O.

use std::fmt;

use crate::frame::Framing;
use crate::reflect::{ClassInfo, MethodInfo, SpecInfo, Value};
use crate::wire::{Limits, Payload, Reader, Writer};
use crate::{DecodeError, DecodeErrorKind, EncodeError};

/// A compiled specification: implemented by the emitted type `Spec`.
pub trait Protocol: Sized + Copy + fmt::Debug + Send + Sync + 'static {
    /// The enum of all methods.
    type Method: AnyMethod<Protocol = Self>;
    /// The enum of all classes' properties.
    type Properties: AnyProperties<Protocol = Self>;
    /// The specification as data.
    const INFO: &'static SpecInfo;
    /// The numbers that its frames are made of.
    const FRAMING: Framing;
}

/// Any method of a specification: the emitted enum `Method`.
pub trait AnyMethod: Sized + Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The specification.
    type Protocol: Protocol<Method = Self>;

    /// The method's description: its names, ids and fields.
    fn info(&self) -> &'static MethodInfo;

    /// Reads the payload of a method frame, with the default [`Limits`] on tables.
    ///
    /// # Errors
    ///
    /// If the ids are unknown, the arguments malformed, or octets are left over.
    #[inline]
    fn decode<'a>(payload: impl Into<Payload<'a>>) -> Result<Self, DecodeError> {
        Self::decode_limited(payload, Limits::DEFAULT)
    }

    /// Reads the payload of a method frame with these limits on tables.
    ///
    /// # Errors
    ///
    /// If the ids are unknown, the arguments malformed or beyond the limits, or octets are left
    /// over.
    #[inline]
    fn decode_limited<'a>(
        payload: impl Into<Payload<'a>>,
        limits: Limits,
    ) -> Result<Self, DecodeError> {
        let mut place = None;
        let mut reader = Reader::with_limits(payload, limits);
        Self::decode_into(&mut place, &mut reader)?;
        reader.finish()?;
        placed(place)
    }

    /// Reads ids and arguments into `place`, where what was there is dropped; what follows them is
    /// left. For receivers that have a place: a method is big to be moved about. After an error, what
    /// is in `place` means nothing.
    ///
    /// # Errors
    ///
    /// If the ids are unknown, or the arguments malformed.
    fn decode_into(
        place: &mut Option<Self>,
        reader: &mut Reader<'_>,
    ) -> Result<&'static MethodInfo, DecodeError>;

    /// Writes ids and arguments: the payload of a method frame.
    ///
    /// # Errors
    ///
    /// If an argument cannot be written.
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;

    /// The arguments in order, one for each field of [`info`](Self::info); reserved ones are zero.
    fn values(&self) -> Vec<Value>;
}

/// The properties of any class of a specification: the emitted enum `Properties`.
pub trait AnyProperties: Sized + Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The specification.
    type Protocol: Protocol<Properties = Self>;

    /// The id of the class.
    fn class_id(&self) -> u16;

    /// The class's description: its names, properties and methods.
    fn info(&self) -> &'static ClassInfo;

    /// Reads the flag words and the properties of a content header of this class into `place`, where
    /// what was there is dropped; what follows them is left. After an error, what is in `place` means
    /// nothing.
    ///
    /// # Errors
    ///
    /// If there is no such class, it has no content, or the octets are malformed.
    fn decode_into(
        place: &mut Option<Self>,
        class_id: u16,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError>;

    /// Writes the flag words and the properties that are present.
    ///
    /// # Errors
    ///
    /// If a property cannot be written.
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;

    /// The properties in order, one for each property of [`info`](Self::info); absent ones are
    /// `None`. A bit is present if true.
    fn values(&self) -> Vec<Option<Value>>;
}

/// A method: an emitted struct such as `queue::Declare`.
pub trait Method: Sized + Clone + Default + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The specification.
    type Protocol: Protocol;
    /// The id of the class.
    const CLASS_ID: u16;
    /// The id of the method in its class.
    const METHOD_ID: u16;
    /// Class and method as the specification names them: `basic.publish`.
    const NAME: &'static str;
    /// The method's description: its names, ids and fields.
    const INFO: &'static MethodInfo;

    /// Writes the arguments.
    ///
    /// # Errors
    ///
    /// If an argument cannot be written.
    fn encode_arguments(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;

    /// Reads the arguments into the fields; what follows them is left.
    ///
    /// # Errors
    ///
    /// If an argument is malformed. The fields before it are then the new ones.
    fn read_arguments(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError>;

    /// The arguments in order, one for each field of [`INFO`](Self::INFO); reserved ones are zero.
    fn values(&self) -> Vec<Value>;

    /// The method as one of all methods.
    fn into_any(self) -> <Self::Protocol as Protocol>::Method;

    /// The method out of one of all methods.
    ///
    /// # Errors
    ///
    /// Any other method is given back.
    fn from_any(
        any: <Self::Protocol as Protocol>::Method,
    ) -> Result<Self, <Self::Protocol as Protocol>::Method>;

    /// The method in one of all methods, if it is the one.
    fn from_any_mut(any: &mut <Self::Protocol as Protocol>::Method) -> Option<&mut Self>;

    /// Writes ids and arguments: the payload of a method frame.
    ///
    /// # Errors
    ///
    /// If an argument cannot be written.
    #[inline]
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.long(u32::from(Self::CLASS_ID) << 16 | u32::from(Self::METHOD_ID));
        self.encode_arguments(writer)
    }

    /// Reads the payload of a method frame that must hold this very method.
    ///
    /// # Errors
    ///
    /// `UnexpectedMethod` if it holds another one; or if the arguments are malformed, or octets are
    /// left over.
    #[inline]
    fn decode<'a>(payload: impl Into<Payload<'a>>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if (reader.short()?, reader.short()?) != (Self::CLASS_ID, Self::METHOD_ID) {
            return Err(DecodeError::new(DecodeErrorKind::UnexpectedMethod, 0));
        }
        let mut method = Self::default();
        method.read_arguments(&mut reader)?;
        reader.finish()?;
        Ok(method)
    }

    /// Reads the arguments into `place`, as [`AnyMethod::decode_into`] does once it knows the ids.
    ///
    /// # Errors
    ///
    /// If an argument is malformed.
    #[inline]
    fn decode_arguments_into(
        place: &mut Option<<Self::Protocol as Protocol>::Method>,
        reader: &mut Reader<'_>,
    ) -> Result<&'static MethodInfo, DecodeError> {
        if let Some(method) = Self::from_any_mut(place.insert(Self::default().into_any())) {
            method.read_arguments(reader)?;
        }
        Ok(Self::INFO)
    }
}

/// A method that is answered.
pub trait Request: Method {
    /// What answers it: a method, or an emitted enum where the specification allows several.
    type Reply: Reply<Protocol = Self::Protocol>;

    /// Whether it is answered as it stands: false if its `no_wait` is set.
    fn wants_reply(&self) -> bool {
        true
    }
}

/// An answer to a [`Request`]: a method, or an emitted enum of several.
pub trait Reply: Sized + Send + 'static {
    /// The specification.
    type Protocol: Protocol;

    /// Whether the method of these ids is such an answer.
    fn accepts(class_id: u16, method_id: u16) -> bool;

    /// The answer out of one of all methods.
    ///
    /// # Errors
    ///
    /// A method that is no such answer is given back.
    fn from_any(
        any: <Self::Protocol as Protocol>::Method,
    ) -> Result<Self, <Self::Protocol as Protocol>::Method>;
}

impl<M: Method> Reply for M {
    type Protocol = M::Protocol;

    #[inline]
    fn accepts(class_id: u16, method_id: u16) -> bool {
        (class_id, method_id) == (M::CLASS_ID, M::METHOD_ID)
    }

    #[inline]
    fn from_any(
        any: <M::Protocol as Protocol>::Method,
    ) -> Result<Self, <M::Protocol as Protocol>::Method> {
        <M as Method>::from_any(any)
    }
}

/// A method that the client may send.
pub trait ClientMethod: Method {}

/// A method that the server may send.
pub trait ServerMethod: Method {}

/// A method that is followed by a content: a header with properties, and a body.
pub trait ContentMethod: Method {
    /// The properties of its content.
    type Properties: Properties<Protocol = Self::Protocol>;
}

/// The properties of a content: an emitted struct such as `basic::Properties`.
pub trait Properties:
    Sized + Clone + Default + fmt::Debug + PartialEq + Send + Sync + 'static
{
    /// The specification.
    type Protocol: Protocol;
    /// The id of the class.
    const CLASS_ID: u16;
    /// The class's description: its names, properties and methods.
    const INFO: &'static ClassInfo;

    /// Writes the flag words and the properties that are present.
    ///
    /// # Errors
    ///
    /// If a property cannot be written.
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError>;

    /// Reads the flag words and the properties; what follows them is left.
    ///
    /// # Errors
    ///
    /// If they are malformed.
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut properties = Self::default();
        properties.read(reader)?;
        Ok(properties)
    }

    /// Reads the flag words and the properties into new ones: those that are absent stay as they are.
    /// What follows them is left.
    ///
    /// # Errors
    ///
    /// If they are malformed. Those before the place of the error were then read.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError>;

    /// Reads the flag words and the properties into `place`, as [`AnyProperties::decode_into`] does.
    ///
    /// # Errors
    ///
    /// If they are malformed.
    #[inline]
    fn decode_into(
        place: &mut Option<<Self::Protocol as Protocol>::Properties>,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        match Self::from_any_mut(place.insert(Self::default().into_any())) {
            Some(properties) => properties.read(reader),
            None => Ok(()), // Of another class than those just put there: cannot be.
        }
    }

    /// The properties in order, one for each property of [`INFO`](Self::INFO); absent ones are
    /// `None`. A bit is present if true.
    fn values(&self) -> Vec<Option<Value>>;

    /// The properties as those of any class.
    fn into_any(self) -> <Self::Protocol as Protocol>::Properties;

    /// The properties out of those of any class.
    ///
    /// # Errors
    ///
    /// Those of another class are given back.
    fn from_any(
        any: <Self::Protocol as Protocol>::Properties,
    ) -> Result<Self, <Self::Protocol as Protocol>::Properties>;

    /// The properties in those of any class, if they are of this one.
    fn from_any_mut(any: &mut <Self::Protocol as Protocol>::Properties) -> Option<&mut Self>;
}

/// What was read into a place, which is there unless reading it failed.
#[inline]
pub(crate) fn placed<T>(place: Option<T>) -> Result<T, DecodeError> {
    place.ok_or(DecodeError::new(DecodeErrorKind::Truncated, 0))
}
