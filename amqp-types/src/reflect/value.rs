//! [`Value`]: a field's value of any wire type, with its codec.

use bytes::Bytes;

use super::WireType;
use crate::wire::{ContentDomain, Reader, Writer};
use crate::{DecodeError, EncodeError, FieldTable, ShortStr, Timestamp};

/// The value of a field or property.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A bit.
    Bit(bool),
    /// 8 bits.
    Octet(u8),
    /// 16 bits.
    Short(u16),
    /// 32 bits.
    Long(u32),
    /// 64 bits.
    LongLong(u64),
    /// Up to 255 octets.
    ShortStr(ShortStr),
    /// Up to 2³²−1 octets.
    LongStr(Bytes),
    /// A point in time.
    Timestamp(Timestamp),
    /// A field table.
    Table(FieldTable),
    /// The `content` domain of 0-9.
    Content(ContentDomain),
}

/// Where a value stands decides what its short strings may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Argument,
    Property,
}

impl Value {
    /// The value of this type that is false, 0 or empty.
    #[must_use]
    pub fn zero(wire_type: WireType) -> Self {
        match wire_type {
            WireType::Bit => Self::Bit(false),
            WireType::Octet => Self::Octet(0),
            WireType::Short => Self::Short(0),
            WireType::Long => Self::Long(0),
            WireType::LongLong => Self::LongLong(0),
            WireType::ShortStr => Self::ShortStr(ShortStr::EMPTY),
            WireType::LongStr => Self::LongStr(Bytes::new()),
            WireType::Timestamp => Self::Timestamp(Timestamp(0)),
            WireType::Table => Self::Table(FieldTable::new()),
            WireType::Content => Self::Content(ContentDomain::default()),
        }
    }

    /// The type that it has on the wire.
    #[must_use]
    pub const fn wire_type(&self) -> WireType {
        match self {
            Self::Bit(_) => WireType::Bit,
            Self::Octet(_) => WireType::Octet,
            Self::Short(_) => WireType::Short,
            Self::Long(_) => WireType::Long,
            Self::LongLong(_) => WireType::LongLong,
            Self::ShortStr(_) => WireType::ShortStr,
            Self::LongStr(_) => WireType::LongStr,
            Self::Timestamp(_) => WireType::Timestamp,
            Self::Table(_) => WireType::Table,
            Self::Content(_) => WireType::Content,
        }
    }

    /// Reads a value that is not a bit; a bit has no encoding of its own and comes out false.
    pub(super) fn decode(
        wire_type: WireType,
        place: Place,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        Ok(match wire_type {
            WireType::Bit => Self::Bit(false),
            WireType::Octet => Self::Octet(reader.octet()?),
            WireType::Short => Self::Short(reader.short()?),
            WireType::Long => Self::Long(reader.long()?),
            WireType::LongLong => Self::LongLong(reader.longlong()?),
            WireType::ShortStr => Self::ShortStr(match place {
                Place::Argument => reader.short_str()?,
                Place::Property => reader.short_octets()?,
            }),
            WireType::LongStr => Self::LongStr(reader.long_str()?),
            WireType::Timestamp => Self::Timestamp(reader.timestamp()?),
            WireType::Table => Self::Table(reader.table()?),
            WireType::Content => Self::Content(reader.content()?),
        })
    }

    /// Writes a value; a bit writes nothing.
    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Bit(_) => {}
            Self::Octet(value) => writer.octet(*value),
            Self::Short(value) => writer.short(*value),
            Self::Long(value) => writer.long(*value),
            Self::LongLong(value) => writer.longlong(*value),
            Self::ShortStr(value) => writer.short_str(value),
            Self::LongStr(value) => writer.long_str(value)?,
            Self::Timestamp(value) => writer.timestamp(*value),
            Self::Table(value) => writer.table(value)?,
            Self::Content(value) => writer.content(value)?,
        }
        Ok(())
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value)
            }
        }
    )+};
}

value_from! {
    bool => Bit,
    u8 => Octet,
    u16 => Short,
    u32 => Long,
    u64 => LongLong,
    ShortStr => ShortStr,
    Bytes => LongStr,
    Timestamp => Timestamp,
    FieldTable => Table,
    ContentDomain => Content,
}
