//! [`Reader`], the cursor over one payload. Tables are read in `fields`.

use bytes::Bytes;

use super::{ContentDomain, FLAGS_PER_WORD, Limits, Payload};
use crate::octets::{self, Block};
use crate::{DecodeError, DecodeErrorKind, LongStr, ShortStr, Timestamp};

/// Takes values out of a payload, in order.
///
/// Long strings share the payload's memory; short ones are copied. After an error the
/// position is anywhere, and what is read then means nothing.
///
/// ```
/// use amqp_types::wire::Reader;
/// use bytes::Bytes;
///
/// let payload = Bytes::from_static(b"\x00\x05\x02hi");
/// let mut reader = Reader::new(&payload);
/// assert_eq!(reader.short()?, 5);
/// assert_eq!(reader.short_str()?, "hi");
/// reader.finish()?;
/// # Ok::<(), amqp_types::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    /// What the payload is a part of.
    owner: &'a Bytes,
    /// Where the payload begins in `owner`.
    start: usize,
    /// What is left of the payload, or of the table being read: ends at `end`.
    pub(super) rest: &'a [u8],
    /// Where `rest` ends in `owner`; `start + rest.len() <= end <= owner.len()`.
    pub(super) end: usize,
    pub(super) limits: Limits,
    /// How deep in tables the cursor is; `depth <= limits.depth`.
    pub(super) depth: u8,
}

impl<'a> Reader<'a> {
    /// A reader at the start of the payload, with the default [`Limits`].
    #[inline]
    #[must_use]
    pub fn new(payload: impl Into<Payload<'a>>) -> Self {
        Self::with_limits(payload, Limits::DEFAULT)
    }

    /// A reader at the start of the payload, with these limits on tables.
    #[inline]
    #[must_use]
    pub fn with_limits(payload: impl Into<Payload<'a>>, limits: Limits) -> Self {
        let payload = payload.into();
        let (owner, start) = payload.place();
        let (rest, end) = (payload.as_slice(), start + payload.len());
        Self { owner, start, rest, end, limits, depth: 0 }
    }

    /// Octets read so far.
    #[inline]
    #[must_use]
    pub fn position(&self) -> usize {
        self.end - self.rest.len() - self.start
    }

    /// Octets left.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// An error of this kind at the current position.
    #[inline]
    #[must_use]
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(kind, self.position())
    }

    /// An octet.
    ///
    /// # Errors
    ///
    /// `Truncated` if none is left.
    #[inline]
    pub fn octet(&mut self) -> Result<u8, DecodeError> {
        self.chunk().map(u8::from_be_bytes)
    }

    /// Two octets.
    ///
    /// # Errors
    ///
    /// `Truncated` if fewer are left.
    #[inline]
    pub fn short(&mut self) -> Result<u16, DecodeError> {
        self.chunk().map(u16::from_be_bytes)
    }

    /// Four octets.
    ///
    /// # Errors
    ///
    /// `Truncated` if fewer are left.
    #[inline]
    pub fn long(&mut self) -> Result<u32, DecodeError> {
        self.chunk().map(u32::from_be_bytes)
    }

    /// Eight octets.
    ///
    /// # Errors
    ///
    /// `Truncated` if fewer are left.
    #[inline]
    pub fn longlong(&mut self) -> Result<u64, DecodeError> {
        self.chunk().map(u64::from_be_bytes)
    }

    /// A point in time.
    ///
    /// # Errors
    ///
    /// `Truncated` if fewer than eight octets are left.
    #[inline]
    pub fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        self.longlong().map(Timestamp)
    }

    /// A short string that must be UTF-8, as in the arguments of methods.
    ///
    /// # Errors
    ///
    /// `Truncated`, or `InvalidUtf8`.
    #[inline]
    pub fn short_str(&mut self) -> Result<ShortStr, DecodeError> {
        let mut text = ShortStr::EMPTY;
        self.short_str_into(&mut text)?;
        Ok(text)
    }

    /// Like [`short_str`](Self::short_str), for a receiver that has a place for it: to move a string
    /// that was just written would wait for it to be there.
    ///
    /// # Errors
    ///
    /// `Truncated`, or `InvalidUtf8`.
    #[inline]
    pub fn short_str_into(&mut self, place: &mut ShortStr) -> Result<(), DecodeError> {
        if let Some((block, rest)) = self.short_block()
            && octets::is_ascii(block)
            && place.set_block(block)
        {
            self.rest = rest;
            return Ok(());
        }
        self.any_short_string(place, true)
    }

    /// A short string of any octets, as in properties and in the keys of tables.
    ///
    /// # Errors
    ///
    /// `Truncated` if it is longer than what is left.
    #[inline]
    pub fn short_octets(&mut self) -> Result<ShortStr, DecodeError> {
        let mut octets = ShortStr::EMPTY;
        self.short_octets_into(&mut octets)?;
        Ok(octets)
    }

    /// Like [`short_octets`](Self::short_octets), for a receiver that has a place for it.
    ///
    /// # Errors
    ///
    /// `Truncated` if it is longer than what is left.
    #[inline]
    pub fn short_octets_into(&mut self, place: &mut ShortStr) -> Result<(), DecodeError> {
        if let Some((block, rest)) = self.short_block()
            && place.set_block(block)
        {
            self.rest = rest;
            return Ok(());
        }
        self.any_short_string(place, false)
    }

    /// The common case of a short string: one that may be stored inline, with octets after it, no
    /// matter whose; what of the block is behind the string is never looked at. And what is left then.
    #[inline(always)]
    fn short_block(&self) -> Option<(&'a Block, &'a [u8])> {
        let (&len, after) = self.rest.split_first()?;
        let rest = after.get(usize::from(len)..)?;
        let block = self.owner.get(self.end - self.rest.len()..)?.first_chunk()?;
        Some((block, rest))
    }

    /// Any short string.
    #[inline(never)]
    fn any_short_string(&mut self, place: &mut ShortStr, text: bool) -> Result<(), DecodeError> {
        let Some((&len, after)) = self.rest.split_first() else {
            return Err(self.error(DecodeErrorKind::Truncated));
        };
        let Some((octets, rest)) = after.split_at_checked(usize::from(len)) else {
            return Err(self.error(DecodeErrorKind::Truncated));
        };
        if text && std::str::from_utf8(octets).is_err() {
            return Err(self.error(DecodeErrorKind::InvalidUtf8));
        }
        self.rest = rest;
        place.set(octets);
        Ok(())
    }

    /// A long string. It is copied: few methods have one, and the buffer that it was read into, which may be
    /// hundreds of times as large, is not to be held for its sake.
    ///
    /// # Errors
    ///
    /// `Truncated` if it is longer than what is left.
    #[inline]
    pub fn long_str(&mut self) -> Result<Bytes, DecodeError> {
        let at = self.position();
        let octets = self.counted(at)?;
        Ok(if octets.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(octets) })
    }

    /// A long string among the values of a table.
    #[inline]
    pub(super) fn table_string(&mut self, place: &mut LongStr) -> Result<(), DecodeError> {
        // The last octet of the length and what follows is what a short string is.
        if let Some((&[0, 0, 0, len], after)) = self.rest.split_first_chunk()
            && let Some(rest) = after.get(usize::from(len)..)
            && let Some(block) = self.owner.get(self.end - after.len() - 1..)
            && let Some(block) = block.first_chunk()
            && place.set_block(block)
        {
            self.rest = rest;
            return Ok(());
        }
        self.any_table_string(place)
    }

    #[inline(never)]
    fn any_table_string(&mut self, place: &mut LongStr) -> Result<(), DecodeError> {
        let at = self.position();
        place.set(self.counted(at)?);
        Ok(())
    }

    /// The `content` domain of AMQP 0-9.
    ///
    /// # Errors
    ///
    /// `Truncated`, or `BadDiscriminator`.
    pub fn content(&mut self) -> Result<ContentDomain, DecodeError> {
        let at = self.position();
        match self.octet()? {
            0 => self.long_str().map(ContentDomain::Inline),
            1 => self.long_str().map(ContentDomain::Reference),
            other => Err(DecodeError::new(DecodeErrorKind::BadDiscriminator(other), at)),
        }
    }

    /// A run of `N` adjacent bits; spare bits of its last octet are ignored.
    ///
    /// # Errors
    ///
    /// `Truncated` if fewer octets are left than the run takes.
    #[inline]
    pub fn bits<const N: usize>(&mut self) -> Result<[bool; N], DecodeError> {
        let mut run = [false; N];
        for octet in run.chunks_mut(8) {
            let packed = self.octet()?;
            for (at, bit) in octet.iter_mut().enumerate() {
                *bit = packed & (1 << at) != 0;
            }
        }
        Ok(run)
    }

    /// The flag words of a content header of a class with `declared` properties, where `W` is
    /// `declared` divided by 15 and rounded up. In each word the first property is bit 15, the last
    /// bit 1; bit 0 is zero here. Words that the peer left out are zero.
    ///
    /// # Errors
    ///
    /// `Truncated`, or `UnknownProperty` if a flag beyond the declared properties is set.
    #[inline]
    pub fn property_flags<const W: usize>(
        &mut self,
        declared: usize,
    ) -> Result<[u16; W], DecodeError> {
        let mut words = [0; W];
        let mut left = declared;
        let mut places = words.iter_mut();
        loop {
            let at = self.position();
            let word = self.short()?;
            let used = left.min(FLAGS_PER_WORD);
            // The lowest 16 - used bits name no property; bit 0 tells whether a word follows.
            let flags = word & !1;
            if flags & (u16::MAX >> used) != 0 {
                return Err(DecodeError::new(DecodeErrorKind::UnknownProperty, at));
            }
            left -= used;
            if let Some(place) = places.next() {
                *place = flags;
            }
            if word & 1 == 0 {
                return Ok(words);
            }
        }
    }

    /// The end of the payload.
    ///
    /// # Errors
    ///
    /// `TrailingBytes` if any octets are left.
    #[inline]
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error(DecodeErrorKind::TrailingBytes)) }
    }

    #[inline]
    pub(super) fn chunk<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk() {
            Some((chunk, rest)) => {
                self.rest = rest;
                Ok(*chunk)
            }
            None => Err(self.error(DecodeErrorKind::Truncated)),
        }
    }

    /// As many octets as the next four say. `at` is where the item began.
    #[inline]
    pub(super) fn counted(&mut self, at: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.long()?;
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (octets, rest) = split.ok_or(DecodeError::new(DecodeErrorKind::Truncated, at))?;
        self.rest = rest;
        Ok(octets)
    }
}
