//! Tables and arrays: the recursive part of the wire, read and written.
//!
//! Called by `Reader::table` and `Writer::table` alone. Recursion goes at most 255 deep, which the
//! limits and the writer's own bound hold.

use super::{Reader, Writer};
use crate::{
    Decimal, DecodeError, DecodeErrorKind, EncodeError, FieldArray, FieldTable, FieldValue,
    ShortStr, Timestamp,
};

/// No more entries are made room for at once, whatever a table's size promises.
const RESERVE: usize = 16;

/// An entry of a table of usual names and values takes about this many octets.
const USUAL_ENTRY: usize = 12;

impl Reader<'_> {
    /// A table: any octets as keys, any value that brokers speak, order and duplicates kept.
    ///
    /// # Errors
    ///
    /// `Truncated`, `UnknownTableTag`, or one of the limits (`NestingTooDeep`, `TooManyEntries`,
    /// `TableTooLarge`).
    #[inline]
    pub fn table(&mut self) -> Result<FieldTable, DecodeError> {
        // An empty table is by far the most common one in arguments.
        if let Some((&[0, 0, 0, 0], rest)) = self.rest.split_first_chunk() {
            self.rest = rest;
            return Ok(FieldTable::new());
        }
        self.full_table()
    }

    fn full_table(&mut self) -> Result<FieldTable, DecodeError> {
        self.nested(|reader| {
            let mut entries = Vec::with_capacity(reader.usual_entries());
            while !reader.rest.is_empty() {
                let at = reader.position();
                reader.count_entry(at)?;
                // In place: to move what was just written would wait for it to be there.
                entries.push((ShortStr::EMPTY, FieldValue::Void));
                if let Some((key, value)) = entries.last_mut() {
                    reader.short_octets_into(key)?;
                    reader.value(value)?;
                }
            }
            Ok(entries.into())
        })
    }

    fn array(&mut self) -> Result<FieldArray, DecodeError> {
        self.nested(|reader| {
            let mut values = Vec::with_capacity(reader.usual_entries());
            while !reader.rest.is_empty() {
                let at = reader.position();
                reader.count_entry(at)?;
                values.push(FieldValue::Void);
                if let Some(value) = values.last_mut() {
                    reader.value(value)?;
                }
            }
            Ok(values.into())
        })
    }

    /// Lets `read` see nothing but the octets of the table or array that begins here.
    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let at = self.position();
        let inner = self.counted(at)?;
        if u32::try_from(inner.len()).is_ok_and(|len| len > self.limits.table_size) {
            return Err(DecodeError::new(DecodeErrorKind::TableTooLarge, at));
        }
        if self.depth >= self.limits.depth {
            return Err(DecodeError::new(DecodeErrorKind::NestingTooDeep, at));
        }
        let (after, end) = (self.rest, self.end);
        self.end -= after.len();
        self.rest = inner;
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        (self.rest, self.end) = (after, end);
        Ok(value)
    }

    /// Containers apart from all else, which keeps the stack frames that recur small.
    fn value(&mut self, place: &mut FieldValue) -> Result<(), DecodeError> {
        let at = self.position();
        match self.octet()? {
            b'A' => *place = FieldValue::Array(self.array()?),
            b'F' => *place = FieldValue::Table(self.table()?),
            tag => return self.scalar(tag, at, place),
        }
        Ok(())
    }

    #[inline]
    fn scalar(&mut self, tag: u8, at: usize, place: &mut FieldValue) -> Result<(), DecodeError> {
        *place = match tag {
            b't' => FieldValue::Bool(self.octet()? != 0),
            b'b' => FieldValue::I8(self.chunk().map(i8::from_be_bytes)?),
            b'B' => FieldValue::U8(self.octet()?),
            b's' => FieldValue::I16(self.chunk().map(i16::from_be_bytes)?),
            b'u' => FieldValue::U16(self.short()?),
            b'I' => FieldValue::I32(self.chunk().map(i32::from_be_bytes)?),
            b'i' => FieldValue::U32(self.long()?),
            b'l' => FieldValue::I64(self.chunk().map(i64::from_be_bytes)?),
            b'L' => FieldValue::I64Alt(self.chunk().map(i64::from_be_bytes)?),
            b'f' => FieldValue::F32(self.chunk().map(f32::from_be_bytes)?),
            b'd' => FieldValue::F64(self.chunk().map(f64::from_be_bytes)?),
            b'D' => FieldValue::Decimal(Decimal { scale: self.octet()?, value: self.long()? }),
            b'S' => FieldValue::LongString(self.long_str()?),
            b'x' => FieldValue::ByteArray(self.long_str()?),
            b'T' => FieldValue::Timestamp(Timestamp(self.longlong()?)),
            b'V' => FieldValue::Void,
            _ => return Err(DecodeError::new(DecodeErrorKind::UnknownTableTag(tag), at)),
        };
        Ok(())
    }

    fn count_entry(&mut self, at: usize) -> Result<(), DecodeError> {
        match self.limits.entries.checked_sub(1) {
            Some(left) => self.limits.entries = left,
            None => return Err(DecodeError::new(DecodeErrorKind::TooManyEntries, at)),
        }
        Ok(())
    }

    /// How many entries to make room for: a guess from octets that are really there.
    fn usual_entries(&self) -> usize {
        self.rest.len().div_ceil(USUAL_ENTRY).min(RESERVE)
    }
}

impl Writer<'_> {
    /// A table, entry by entry.
    ///
    /// # Errors
    ///
    /// `TooLong` if anything has more than 2³²−1 octets, `NestingTooDeep` beyond 255 levels; from
    /// a strict writer also `NonFinite` and `DecimalRange`.
    #[inline]
    pub fn table(&mut self, table: &FieldTable) -> Result<(), EncodeError> {
        if table.is_empty() {
            self.long(0);
            return Ok(());
        }
        self.full_table(table)
    }

    fn full_table(&mut self, table: &FieldTable) -> Result<(), EncodeError> {
        self.nested("table", |writer| {
            for (key, value) in table {
                writer.short_str(key);
                writer.value(value)?;
            }
            Ok(())
        })
    }

    fn array(&mut self, array: &FieldArray) -> Result<(), EncodeError> {
        self.nested("array", |writer| array.iter().try_for_each(|value| writer.value(value)))
    }

    /// Puts the length of what `write` appends in front of it.
    fn nested(
        &mut self,
        what: &'static str,
        write: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let depth = self.depth.checked_add(1).ok_or(EncodeError::NestingTooDeep)?;
        self.depth = depth;
        let at = self.buf.len();
        self.long(0);
        write(self)?;
        self.depth = depth - 1;
        let len = self.buf.len() - at - size_of::<u32>();
        let octets = super::writer::length(what, len)?.to_be_bytes();
        if let Some(place) = self.buf.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *place = octets;
        }
        Ok(())
    }

    fn value(&mut self, value: &FieldValue) -> Result<(), EncodeError> {
        let tag = match value {
            // Everybody reads `l`, few read `L`; they mean the same.
            FieldValue::I64Alt(_) if self.strict => b'l',
            _ => value.tag(),
        };
        self.octet(tag);
        match value {
            FieldValue::Array(array) => self.array(array),
            FieldValue::Table(table) => self.table(table),
            _ => self.scalar(value),
        }
    }

    fn scalar(&mut self, value: &FieldValue) -> Result<(), EncodeError> {
        match value {
            FieldValue::Bool(value) => self.octet(u8::from(*value)),
            FieldValue::I8(value) => self.octets(&value.to_be_bytes()),
            FieldValue::U8(value) => self.octet(*value),
            FieldValue::I16(value) => self.octets(&value.to_be_bytes()),
            FieldValue::U16(value) => self.short(*value),
            FieldValue::I32(value) => self.octets(&value.to_be_bytes()),
            FieldValue::U32(value) => self.long(*value),
            FieldValue::I64(value) | FieldValue::I64Alt(value) => {
                self.octets(&value.to_be_bytes());
            }
            FieldValue::F32(value) => {
                self.check_finite(value.is_finite())?;
                self.octets(&value.to_be_bytes());
            }
            FieldValue::F64(value) => {
                self.check_finite(value.is_finite())?;
                self.octets(&value.to_be_bytes());
            }
            FieldValue::Decimal(value) => self.decimal(*value)?,
            FieldValue::LongString(octets) | FieldValue::ByteArray(octets) => {
                self.long_str(octets)?;
            }
            FieldValue::Timestamp(value) => self.timestamp(*value),
            // Containers are not scalar, and void has nothing but its tag.
            FieldValue::Array(_) | FieldValue::Table(_) | FieldValue::Void => {}
        }
        Ok(())
    }

    fn decimal(&mut self, decimal: Decimal) -> Result<(), EncodeError> {
        if self.strict && i32::try_from(decimal.value).is_err() {
            return Err(EncodeError::DecimalRange { value: decimal.value });
        }
        self.octet(decimal.scale);
        self.long(decimal.value);
        Ok(())
    }

    const fn check_finite(&self, finite: bool) -> Result<(), EncodeError> {
        if self.strict && !finite { Err(EncodeError::NonFinite) } else { Ok(()) }
    }
}
