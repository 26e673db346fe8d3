//! What can go wrong between octets and values: [`DecodeError`] and [`EncodeError`].
//!
//! Raised by [`wire`](crate::wire), by the emitted codecs and by [`reflect`](crate::reflect). Errors
//! are plain data: building one never allocates and never holds a piece of the peer's input.

use std::error::Error;
use std::fmt;

/// Octets that are no value of the type they were read as, and where that showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    offset: usize,
}

impl DecodeError {
    /// An error of this kind, found `offset` octets after the start of the payload.
    #[must_use]
    pub const fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// Where it is wrong: octets from the start of the frame's payload to the item that cannot be
    /// read.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at octet {}", self.kind, self.offset)
    }
}

impl Error for DecodeError {}

/// The kinds of [`DecodeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The payload, or the table around the item, ends before the item does.
    Truncated,
    /// Octets are left after the last field.
    TrailingBytes,
    /// The specification has no class of this id.
    UnknownClass(u16),
    /// The class (first id) has no method of the second id.
    UnknownMethod(u16, u16),
    /// A content header names a class whose methods carry no content.
    UnexpectedClass,
    /// The payload holds another method than the one asked for.
    UnexpectedMethod,
    /// A short string among a method's arguments is not UTF-8.
    InvalidUtf8,
    /// A table or array holds a value of a type that has no meaning.
    UnknownTableTag(u8),
    /// Tables and arrays stand in one another deeper than [`Limits::depth`](crate::wire::Limits).
    NestingTooDeep,
    /// The payload's tables and arrays hold more values than
    /// [`Limits::entries`](crate::wire::Limits).
    TooManyEntries,
    /// A table or array takes more octets than [`Limits::table_size`](crate::wire::Limits).
    TableTooLarge,
    /// A property flag is set that names no property of the class.
    UnknownProperty,
    /// The weight of a content header, which must be zero, is not.
    BadWeight(u16),
    /// The octet that tells inline content from a reference is neither 0 nor 1.
    BadDiscriminator(u8),
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the data ends too early"),
            Self::TrailingBytes => f.write_str("data after the last field"),
            Self::UnknownClass(class) => write!(f, "unknown class {class}"),
            Self::UnknownMethod(class, method) => write!(f, "unknown method {class}.{method}"),
            Self::UnexpectedClass => f.write_str("content header of a class without content"),
            Self::UnexpectedMethod => f.write_str("another method than expected"),
            Self::InvalidUtf8 => f.write_str("short string is not UTF-8"),
            Self::UnknownTableTag(tag) => write!(f, "unknown type 0x{tag:02x} of a table value"),
            Self::NestingTooDeep => f.write_str("tables nested too deep"),
            Self::TooManyEntries => f.write_str("too many table entries"),
            Self::TableTooLarge => f.write_str("table too large"),
            Self::UnknownProperty => f.write_str("flag of an unknown property"),
            Self::BadWeight(weight) => write!(f, "content header of weight {weight}"),
            Self::BadDiscriminator(octet) => write!(f, "content discriminator 0x{octet:02x}"),
        }
    }
}

/// A value that cannot be written: the wire has no room for it, or it must not be sent.
///
/// The buffer may then end in part of an item; [`Framing::end`](crate::frame::Framing::end) and
/// [`Framing::cancel`](crate::frame::Framing::cancel) cut it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// An item has more octets than its length field, or the limit it was given, can say.
    TooLong {
        /// Which item: `"long string"`, `"table"`, `"array"`, `"frame"`.
        what: &'static str,
        /// Its length in octets.
        len: usize,
        /// The greatest length allowed.
        max: usize,
    },
    /// A floating point value in a table is infinite or not a number. RabbitMQ drops a connection
    /// that sends one.
    NonFinite,
    /// A decimal's unscaled value is above 2³¹−1, which some peers read as negative.
    DecimalRange {
        /// The unscaled value.
        value: u32,
    },
    /// Tables and arrays stand in one another deeper than is read, too: see
    /// [`Limits::depth`](crate::wire::Limits::depth).
    NestingTooDeep {
        /// How many levels there may be.
        max: u8,
    },
    /// The payload's tables and arrays hold more values together than are read, too: see
    /// [`Limits::entries`](crate::wire::Limits::entries).
    TooManyEntries {
        /// How many values there may be.
        max: u32,
    },
    /// A [`reflect`](crate::reflect) value is not of the type its field has, or is missing.
    WrongType {
        /// The field or property, by its name in the specification.
        field: &'static str,
    },
    /// A [`FrameStart`](crate::frame::FrameStart) does not belong to this buffer, or the buffer was
    /// cut in between.
    NotInFrame,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { what, len, max } => {
                write!(f, "{what} of {len} octets, at most {max} fit")
            }
            Self::NonFinite => f.write_str("table value is infinite or not a number"),
            Self::DecimalRange { value } => write!(f, "decimal value {value} is above 2147483647"),
            Self::NestingTooDeep { max } => {
                write!(f, "tables nested deeper than {max} levels, the limit on what is read")
            }
            Self::TooManyEntries { max } => {
                write!(f, "more than {max} values in tables, the limit on what is read")
            }
            Self::WrongType { field } => write!(f, "value of field {field} is of another type"),
            Self::NotInFrame => f.write_str("the buffer does not hold the start of this frame"),
        }
    }
}

impl Error for EncodeError {}
