//! [`FieldValue`]: one value of a table or array, with its conversions.
//!
//! Used by [`FieldTable`] and by users who build arguments and headers. The octets of each
//! type are in `wire`; nothing here knows them beyond the tag.

use std::num::TryFromIntError;

use bytes::Bytes;

use crate::{Decimal, FieldArray, FieldTable, LongStr, ShortStr, Timestamp};

/// A value in a [`FieldTable`] or [`FieldArray`]; which types there are is what brokers speak, and
/// the same in every version of the protocol.
///
/// Build one with `From`, ask it with the `as_` methods, which widen integers:
///
/// ```
/// use amqp_types::FieldValue;
///
/// let value = FieldValue::from(7_u8);
/// assert_eq!(value, FieldValue::U8(7));
/// assert_eq!(value.as_i64(), Some(7));
/// assert_eq!(FieldValue::from("text").as_str(), Some("text"));
/// ```
///
/// With the feature `serde`, a value is its type and content, nothing lost: `{"i32": 5}`,
/// `{"long_string": "text"}` or `{"long_string": {"hex": "ff"}}`, `{"f64": "0.5"}`, `"void"`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum FieldValue {
    /// `t`: a boolean.
    Bool(bool),
    /// `b`: 8 bits, signed.
    I8(i8),
    /// `B`: 8 bits.
    U8(u8),
    /// `s`: 16 bits, signed.
    I16(i16),
    /// `u`: 16 bits.
    U16(u16),
    /// `I`: 32 bits, signed.
    I32(i32),
    /// `i`: 32 bits.
    U32(u32),
    /// `l`: 64 bits, signed.
    I64(i64),
    /// `L`: 64 bits, signed, as some clients write them. Read; written as `l` unless the
    /// [`Writer`](crate::wire::Writer) is verbatim.
    I64Alt(i64),
    /// `f`: single precision. Only finite values are sent.
    F32(#[cfg_attr(feature = "serde", serde(with = "crate::serde_impls::single"))] f32),
    /// `d`: double precision. Only finite values are sent.
    F64(#[cfg_attr(feature = "serde", serde(with = "crate::serde_impls::double"))] f64),
    /// `D`: a decimal number.
    Decimal(Decimal),
    /// `S`: octets, mostly text.
    LongString(LongStr),
    /// `x`: octets, never text.
    ByteArray(LongStr),
    /// `A`: a list of values.
    Array(FieldArray),
    /// `T`: a point in time.
    Timestamp(Timestamp),
    /// `F`: a table.
    Table(FieldTable),
    /// `V`: no value.
    Void,
}

impl FieldValue {
    /// How many octets of memory it takes beside its own size.
    #[inline]
    #[must_use]
    pub fn heap_size(&self) -> usize {
        match self {
            Self::LongString(octets) | Self::ByteArray(octets) => octets.heap_size(),
            Self::Table(table) => table.heap_size(),
            Self::Array(array) => array.heap_size(),
            _ => 0,
        }
    }

    /// The octet that tells the type on the wire.
    #[inline]
    #[must_use]
    pub const fn tag(&self) -> u8 {
        match self {
            Self::Bool(_) => b't',
            Self::I8(_) => b'b',
            Self::U8(_) => b'B',
            Self::I16(_) => b's',
            Self::U16(_) => b'u',
            Self::I32(_) => b'I',
            Self::U32(_) => b'i',
            Self::I64(_) => b'l',
            Self::I64Alt(_) => b'L',
            Self::F32(_) => b'f',
            Self::F64(_) => b'd',
            Self::Decimal(_) => b'D',
            Self::LongString(_) => b'S',
            Self::ByteArray(_) => b'x',
            Self::Array(_) => b'A',
            Self::Timestamp(_) => b'T',
            Self::Table(_) => b'F',
            Self::Void => b'V',
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is an integer of any size.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I8(value) => Some(value.into()),
            Self::U8(value) => Some(value.into()),
            Self::I16(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::I32(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I64(value) | Self::I64Alt(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is an integer of any size and not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.as_i64().and_then(|value| u64::try_from(value).ok())
    }

    /// The number, if it is a floating point number of either precision.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(value) => Some(value.into()),
            Self::F64(value) => Some(value),
            _ => None,
        }
    }

    /// The text, if it is a long string of UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::LongString(octets) => octets.as_str().ok(),
            _ => None,
        }
    }

    /// The octets, if it is a long string or a byte array.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::LongString(octets) | Self::ByteArray(octets) => Some(octets),
            _ => None,
        }
    }

    /// The decimal, if it is one.
    #[must_use]
    pub const fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Self::Decimal(value) => Some(*value),
            _ => None,
        }
    }

    /// The timestamp, if it is one.
    #[must_use]
    pub const fn as_timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Timestamp(value) => Some(*value),
            _ => None,
        }
    }

    /// The array, if it is one.
    #[must_use]
    pub const fn as_array(&self) -> Option<&FieldArray> {
        match self {
            Self::Array(value) => Some(value),
            _ => None,
        }
    }

    /// The table, if it is one.
    #[must_use]
    pub const fn as_table(&self) -> Option<&FieldTable> {
        match self {
            Self::Table(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is `Void`.
    #[must_use]
    pub const fn is_void(&self) -> bool {
        matches!(self, Self::Void)
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$from> for FieldValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

value_from! {
    bool => Bool,
    i8 => I8,
    u8 => U8,
    i16 => I16,
    u16 => U16,
    i32 => I32,
    u32 => U32,
    i64 => I64,
    f32 => F32,
    f64 => F64,
    Decimal => Decimal,
    Timestamp => Timestamp,
    FieldArray => Array,
    FieldTable => Table,
    String => LongString,
    Vec<u8> => LongString,
    Bytes => LongString,
    LongStr => LongString,
    ShortStr => LongString,
    &str => LongString,
    &[u8] => LongString,
}

impl From<()> for FieldValue {
    fn from((): ()) -> Self {
        Self::Void
    }
}

/// `I64`; the wire has no unsigned 64 bits.
impl TryFrom<u64> for FieldValue {
    type Error = TryFromIntError;

    fn try_from(value: u64) -> Result<Self, TryFromIntError> {
        i64::try_from(value).map(Self::I64)
    }
}

/// `I64`; the wire has no unsigned 64 bits.
impl TryFrom<usize> for FieldValue {
    type Error = TryFromIntError;

    fn try_from(value: usize) -> Result<Self, TryFromIntError> {
        i64::try_from(value).map(Self::I64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_widen_and_nothing_else_does() {
        let integers: [FieldValue; 8] = [
            FieldValue::I8(5),
            FieldValue::U8(5),
            FieldValue::I16(5),
            FieldValue::U16(5),
            FieldValue::I32(5),
            FieldValue::U32(5),
            FieldValue::I64(5),
            FieldValue::I64Alt(5),
        ];
        for value in integers {
            assert_eq!((value.as_i64(), value.as_u64(), value.as_f64()), (Some(5), Some(5), None));
        }
        assert_eq!((FieldValue::I8(-1).as_i64(), FieldValue::I8(-1).as_u64()), (Some(-1), None));
        assert_eq!(
            (FieldValue::F32(1.5).as_f64(), FieldValue::F32(1.5).as_i64()),
            (Some(1.5), None)
        );
        assert_eq!(FieldValue::Bool(true).as_i64(), None);
    }

    #[test]
    fn unsigned_64_bits_must_fit_the_signed() {
        assert_eq!(FieldValue::try_from(5_u64), Ok(FieldValue::I64(5)));
        assert!(FieldValue::try_from(u64::MAX).is_err());
        assert_eq!(FieldValue::try_from(5_usize), Ok(FieldValue::I64(5)));
    }

    #[test]
    fn text_and_octets() {
        assert_eq!(FieldValue::from("ä").as_str(), Some("ä"));
        assert_eq!(FieldValue::from(vec![0xff]).as_str(), None);
        assert_eq!(FieldValue::ByteArray(b"x".into()).as_str(), None);
        assert!(FieldValue::ByteArray(b"x".into()).as_bytes().is_some());
        assert!(FieldValue::from(()).is_void());
    }
}
