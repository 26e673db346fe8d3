//! Tables and arrays read: the recursive part of the wire. They are written in `fill`.
//!
//! Called by `Reader::table` alone. Recursion goes at most 255 deep, which the limits hold.

use super::Reader;
use crate::{
    Decimal, DecodeError, DecodeErrorKind, FieldArray, FieldTable, FieldValue, LongStr, ShortStr,
    Timestamp,
};

/// No more entries are made room for at once, whatever a table's size promises.
const RESERVE: usize = 16;

/// Room for so many entries more is not kept.
const SPARE: usize = 8;

/// An entry of a table of usual names and values takes about this many octets.
const USUAL_ENTRY: usize = 12;

// Constants as a whole, or the compiler would put them together on the stack each time.
const LONG_STRING: FieldValue = FieldValue::LongString(LongStr::EMPTY);
const BYTE_ARRAY: FieldValue = FieldValue::ByteArray(LongStr::EMPTY);

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
        let empty = || (ShortStr::EMPTY, FieldValue::Void);
        let entries = self.entries(empty, |reader, (key, value)| {
            reader.short_octets_into(key)?;
            reader.value(value)
        });
        entries.map(FieldTable::from)
    }

    fn array(&mut self) -> Result<FieldArray, DecodeError> {
        self.entries(|| FieldValue::Void, Self::value).map(FieldArray::from)
    }

    /// The entries of the table or array that begins here. Room is made by placing empty ones, which
    /// `read` then fills: to move an entry that was just written would wait for it to be there.
    #[inline]
    fn entries<T>(
        &mut self,
        empty: impl Fn() -> T,
        read: impl Fn(&mut Self, &mut T) -> Result<(), DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.nested(|reader| {
            let (mut entries, mut filled) = (Vec::new(), 0);
            while !reader.rest.is_empty() {
                let at = reader.position();
                reader.count_entry(at)?;
                if filled == entries.len() {
                    entries.resize_with(filled + reader.usual_entries(), &empty);
                }
                if let Some(place) = entries.get_mut(filled) {
                    read(reader, place)?;
                    filled += 1;
                }
            }
            entries.truncate(filled);
            // Thousands that hold little would keep room for much. The outermost is one.
            if reader.depth > 1 && filled < RESERVE && entries.capacity() - filled >= SPARE {
                entries.shrink_to_fit();
            }
            Ok(entries)
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
            b'S' => fill(place, LONG_STRING),
            b'x' => fill(place, BYTE_ARRAY),
            b'A' => fill(place, FieldValue::Array(self.array()?)),
            b'F' => fill(place, FieldValue::Table(self.table()?)),
            tag => return self.scalar(tag, at, place),
        }
        match place {
            FieldValue::LongString(octets) | FieldValue::ByteArray(octets) => {
                self.table_string(octets)
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn scalar(&mut self, tag: u8, at: usize, place: &mut FieldValue) -> Result<(), DecodeError> {
        match tag {
            b't' => fill(place, FieldValue::Bool(self.octet()? != 0)),
            b'b' => fill(place, FieldValue::I8(self.chunk().map(i8::from_be_bytes)?)),
            b'B' => fill(place, FieldValue::U8(self.octet()?)),
            b's' => fill(place, FieldValue::I16(self.chunk().map(i16::from_be_bytes)?)),
            b'u' => fill(place, FieldValue::U16(self.short()?)),
            b'I' => fill(place, FieldValue::I32(self.chunk().map(i32::from_be_bytes)?)),
            b'i' => fill(place, FieldValue::U32(self.long()?)),
            b'l' => fill(place, FieldValue::I64(self.chunk().map(i64::from_be_bytes)?)),
            b'L' => fill(place, FieldValue::I64Alt(self.chunk().map(i64::from_be_bytes)?)),
            b'f' => fill(place, FieldValue::F32(self.chunk().map(f32::from_be_bytes)?)),
            b'd' => fill(place, FieldValue::F64(self.chunk().map(f64::from_be_bytes)?)),
            b'D' => {
                let decimal = Decimal { scale: self.octet()?, value: self.long()? };
                fill(place, FieldValue::Decimal(decimal));
            }
            b'T' => fill(place, FieldValue::Timestamp(Timestamp(self.longlong()?))),
            b'V' => {}
            _ => return Err(DecodeError::new(DecodeErrorKind::UnknownTableTag(tag), at)),
        }
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

/// Puts a value in place of `Void`, which has nothing to drop: to drop it all the same would cost as
/// much as the rest.
#[inline]
fn fill(place: &mut FieldValue, value: FieldValue) {
    debug_assert!(place.is_void());
    std::mem::forget(std::mem::replace(place, value));
}
