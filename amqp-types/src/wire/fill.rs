//! Tables and arrays written: the recursive part of the wire. They are read in `fields`.
//!
//! Called by `Writer::table` alone. A table is many small items, and to look for each whether the
//! buffer has room costs more than to write it. So room is made for the whole table first, a bound
//! of its size, and then filled: what is left of the room is handed from item to item. Recursion
//! goes at most 255 deep.

use bytes::BytesMut;

use super::writer::{length, room};
use super::{Limits, Writer};
use crate::octets::{INLINE, Octets};
use crate::{EncodeError, FieldArray, FieldTable, FieldValue, LongStr, ShortStr};

/// A type and the octets of any value of fixed size take no more.
const SCALAR: usize = 1 + 8;

/// A length of four octets.
const LENGTH: usize = 4;

impl Writer<'_> {
    /// A table, entry by entry.
    ///
    /// # Errors
    ///
    /// `TooLong` if anything has more than 2³²−1 octets or a table more than
    /// [`Limits::table_size`], `NestingTooDeep` and `TooManyEntries` beyond the other limits; from
    /// a strict writer also `NonFinite` and `DecimalRange`.
    #[inline]
    pub fn table(&mut self, table: &FieldTable) -> Result<(), EncodeError> {
        if table.is_empty() {
            self.long(0);
            return Ok(());
        }
        let mut filler = Filler::new(self.strict, self.limits, self.entries);
        let written = full_table(self.buf, self.at, table, self.over, &mut filler);
        self.at += written.ok_or(filler.error)?;
        self.entries = filler.entries;
        Ok(())
    }
}

/// Writes a table that has entries. Returns how many octets it has written, or nothing, and then `filler.error` says why.
/// Does not take the writer, see `writer::grow`.
fn full_table(
    buf: &mut BytesMut,
    at: usize,
    table: &FieldTable,
    over: bool,
    filler: &mut Filler,
) -> Option<usize> {
    let size = filler.room_for_table(table, filler.limits.depth)?;
    let room = room(buf, at, size, over).unwrap_or_default();
    let unused = filler.table(room, table)?;
    Some(size - unused.len())
}

/// What items are filled in by. Each function returns the room that is left after an item, in two
/// registers, or nothing, and then `error` says why.
struct Filler {
    strict: bool,
    limits: Limits,
    /// How many more values there may be.
    entries: u32,
    error: EncodeError,
}

/// There is room for every item: `room_for_table` and those below see to it.
const NO_ROOM: EncodeError = EncodeError::TooLong { what: "table", len: 0, max: 0 };

impl Filler {
    #[inline]
    const fn new(strict: bool, limits: Limits, entries: u32) -> Self {
        Self { strict, limits, entries, error: NO_ROOM }
    }

    #[cold]
    fn fail<T>(&mut self, error: EncodeError) -> Option<T> {
        self.error = error;
        None
    }

    /// No fewer octets than the table takes, written as blocks. `depth` levels are allowed.
    fn room_for_table(&mut self, table: &FieldTable, depth: u8) -> Option<usize> {
        if depth == 0 && !table.is_empty() {
            return self.fail(EncodeError::NestingTooDeep { max: self.limits.depth });
        }
        self.count(table.len())?;
        let mut size = LENGTH;
        for (key, value) in table {
            size += 1
                + room_for_octets(key.octets())
                + self.room_for(value, depth.saturating_sub(1))?;
        }
        Some(size)
    }

    fn room_for_array(&mut self, array: &FieldArray, depth: u8) -> Option<usize> {
        if depth == 0 {
            return self.fail(EncodeError::NestingTooDeep { max: self.limits.depth });
        }
        self.count(array.len())?;
        let mut size = LENGTH;
        for value in array {
            size += self.room_for(value, depth - 1)?;
        }
        Some(size)
    }

    /// So many values more; what is counted is what readers count.
    fn count(&mut self, values: usize) -> Option<()> {
        match u32::try_from(values).ok().and_then(|values| self.entries.checked_sub(values)) {
            Some(left) => self.entries = left,
            None => return self.fail(EncodeError::TooManyEntries { max: self.limits.entries }),
        }
        Some(())
    }

    #[inline(always)]
    fn room_for(&mut self, value: &FieldValue, depth: u8) -> Option<usize> {
        Some(match value {
            FieldValue::LongString(octets) | FieldValue::ByteArray(octets) => {
                1 + LENGTH + room_for_octets(octets.octets())
            }
            FieldValue::Array(array) => 1 + self.room_for_array(array, depth)?,
            FieldValue::Table(table) => 1 + self.room_for_table(table, depth)?,
            _ => SCALAR,
        })
    }

    fn table<'r>(&mut self, room: &'r mut [u8], table: &FieldTable) -> Option<&'r mut [u8]> {
        let (place, mut room) = room.split_first_chunk_mut()?;
        let before = room.len();
        for (key, value) in table {
            room = short_str(room, key)?;
            room = self.value(room, value)?;
        }
        self.length("table", place, before - room.len(), self.limits.table_size)?;
        Some(room)
    }

    fn array<'r>(&mut self, room: &'r mut [u8], array: &FieldArray) -> Option<&'r mut [u8]> {
        let (place, mut room) = room.split_first_chunk_mut()?;
        let before = room.len();
        for value in array {
            room = self.value(room, value)?;
        }
        self.length("array", place, before - room.len(), self.limits.table_size)?;
        Some(room)
    }

    #[inline]
    fn length(
        &mut self,
        what: &'static str,
        place: &mut [u8; LENGTH],
        len: usize,
        max: u32,
    ) -> Option<()> {
        match length(what, len, max) {
            Ok(len) => *place = len.to_be_bytes(),
            Err(error) => return self.fail(error),
        }
        Some(())
    }

    /// The type of a value, and the value.
    #[inline(always)]
    fn value<'r>(&mut self, room: &'r mut [u8], value: &FieldValue) -> Option<&'r mut [u8]> {
        let (tag, room) = room.split_first_mut()?;
        *tag = value.tag();
        match value {
            FieldValue::Bool(it) => put(room, [u8::from(*it)]),
            FieldValue::I8(it) => put(room, it.to_be_bytes()),
            FieldValue::U8(it) => put(room, [*it]),
            FieldValue::I16(it) => put(room, it.to_be_bytes()),
            FieldValue::U16(it) => put(room, it.to_be_bytes()),
            FieldValue::I32(it) => put(room, it.to_be_bytes()),
            FieldValue::U32(it) => put(room, it.to_be_bytes()),
            FieldValue::I64(it) => put(room, it.to_be_bytes()),
            FieldValue::I64Alt(it) => {
                if self.strict {
                    // Everybody reads `l`, few read `L`; they mean the same.
                    *tag = FieldValue::I64(*it).tag();
                }
                put(room, it.to_be_bytes())
            }
            FieldValue::F32(it) if self.strict && !it.is_finite() => {
                self.fail(EncodeError::NonFinite)
            }
            FieldValue::F32(it) => put(room, it.to_be_bytes()),
            FieldValue::F64(it) if self.strict && !it.is_finite() => {
                self.fail(EncodeError::NonFinite)
            }
            FieldValue::F64(it) => put(room, it.to_be_bytes()),
            FieldValue::Decimal(it) if self.strict && i32::try_from(it.value).is_err() => {
                self.fail(EncodeError::DecimalRange { value: it.value })
            }
            FieldValue::Decimal(it) => put(put(room, [it.scale])?, it.value.to_be_bytes()),
            FieldValue::Timestamp(it) => put(room, it.0.to_be_bytes()),
            FieldValue::LongString(it) | FieldValue::ByteArray(it) => self.long_str(room, it),
            FieldValue::Array(array) => self.array(room, array),
            FieldValue::Table(table) => self.table(room, table),
            FieldValue::Void => Some(room),
        }
    }

    #[inline(always)]
    fn long_str<'r>(&mut self, room: &'r mut [u8], octets: &LongStr) -> Option<&'r mut [u8]> {
        if let Some((block, len)) = octets.octets().as_block() {
            // The last octet of the length is that of the block.
            let room = put(room, [0; LENGTH - 1])?;
            *room.first_chunk_mut()? = *block;
            return room.get_mut(1 + len..);
        }
        let (place, room) = room.split_first_chunk_mut()?;
        self.length("long string", place, octets.len(), u32::MAX)?;
        copy(room, octets)
    }
}

#[inline(always)]
fn room_for_octets(octets: &Octets) -> usize {
    match octets.as_block() {
        Some(_) => INLINE,
        None => octets.as_slice().len(),
    }
}

#[inline(always)]
fn put<const N: usize>(room: &mut [u8], octets: [u8; N]) -> Option<&mut [u8]> {
    let (place, room) = room.split_first_chunk_mut()?;
    *place = octets;
    Some(room)
}

#[inline(always)]
fn short_str<'r>(room: &'r mut [u8], text: &ShortStr) -> Option<&'r mut [u8]> {
    if let Some((block, len)) = text.octets().as_block() {
        *room.first_chunk_mut()? = *block;
        return room.get_mut(1 + len..);
    }
    // At most 255 octets: `ShortStr` holds no more.
    #[allow(clippy::cast_possible_truncation)]
    copy(put(room, [text.len() as u8])?, text.as_bytes())
}

fn copy<'r>(room: &'r mut [u8], octets: &[u8]) -> Option<&'r mut [u8]> {
    let (place, room) = room.split_at_mut_checked(octets.len())?;
    place.copy_from_slice(octets);
    Some(room)
}
