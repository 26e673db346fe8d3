//! [`Writer`], which appends values to a buffer. Tables are written in `fill`.
//!
//! To append to a buffer item by item costs several times what it costs to write a few octets. So the
//! writer is a cursor: it makes the buffer longer by a large step, octets are written over what is
//! there, and in the end what was not needed is cut off.

use bytes::BytesMut;

use super::{ContentDomain, FLAGS_PER_WORD, Limits};
use crate::octets::INLINE;
use crate::{EncodeError, ShortStr, Timestamp};

/// The buffer is made longer by so many octets at once: few enough to be filled with zero without a
/// call, and no fewer than most methods take.
const STEP: usize = 64;

/// The same if it is not cut in the end.
const STEP_OVER: usize = 4096;

/// Appends values to a buffer, in order.
///
/// A plain writer is strict: it sends only what every broker reads, so it refuses floats that are
/// infinite or not a number and decimals above 2³¹−1, writes the table type `L` as `l`, and holds
/// tables within the default [`Limits`] of readers unless it is given [others](Self::with_limits). A
/// [`verbatim`](Self::verbatim) one writes values as they were read, for proxies and tests. (Either
/// writes a boolean as 0 or 1, though other octets are read as true.)
///
/// The buffer has the right length once the writer is dropped, or told to [`finish`](Self::finish).
///
/// ```
/// use amqp_types::{short_str, wire::Writer};
/// use bytes::BytesMut;
///
/// let mut buffer = BytesMut::new();
/// let mut writer = Writer::new(&mut buffer);
/// writer.short(5);
/// writer.short_str(&short_str!("hi"));
/// writer.finish();
/// assert_eq!(&buffer[..], b"\x00\x05\x02hi");
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) buf: &'a mut BytesMut,
    /// Where the next octet goes. Invariant: not behind the buffer's end.
    pub(super) at: usize,
    pub(super) strict: bool,
    /// Whether the buffer is left as long as it is.
    pub(super) over: bool,
    pub(super) limits: Limits,
    /// How many values the tables of the payload under way may still hold.
    pub(super) entries: u32,
}

impl Drop for Writer<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.over {
            self.buf.truncate(self.at);
        }
    }
}

impl<'a> Writer<'a> {
    /// A strict writer at the end of the buffer.
    #[inline]
    #[must_use]
    pub fn new(buf: &'a mut BytesMut) -> Self {
        Self::with(buf, true, Limits::DEFAULT)
    }

    /// A writer that sends any value as it was read.
    #[inline]
    #[must_use]
    pub fn verbatim(buf: &'a mut BytesMut) -> Self {
        Self::with(buf, false, Limits::GREATEST)
    }

    #[inline]
    fn with(buf: &'a mut BytesMut, strict: bool, limits: Limits) -> Self {
        let entries = limits.entries;
        Self { at: buf.len(), buf, strict, over: false, limits, entries }
    }

    /// The writer with other limits on the tables that are written from now on.
    #[inline]
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self.entries = limits.entries;
        self
    }

    /// What is written from now on is another payload: its tables may hold as many values together
    /// as the limits say. [`Framing::write`](crate::frame::Framing::write) says so by itself.
    #[inline]
    pub const fn begin_payload(&mut self) {
        self.entries = self.limits.entries;
    }

    /// A strict writer that writes over what the buffer holds from `at` on, or from its end if that
    /// comes first. The buffer grows if it must and is never cut: where it ends means nothing, and
    /// [`position`](Self::position) tells how far it was written. For buffers that are used again and
    /// again, since no octet is then filled with zero more than once.
    ///
    /// ```
    /// use amqp_types::wire::Writer;
    /// use bytes::BytesMut;
    ///
    /// let mut buffer = BytesMut::zeroed(100);
    /// let mut writer = Writer::over(&mut buffer, 2);
    /// writer.short(5);
    /// assert_eq!(writer.position(), 4);
    /// writer.finish();
    /// assert_eq!(buffer[..4], [0, 0, 0, 5]);
    /// ```
    #[inline]
    #[must_use]
    pub fn over(buf: &'a mut BytesMut, at: usize) -> Self {
        let (limits, entries) = (Limits::DEFAULT, Limits::DEFAULT.entries);
        Self { at: at.min(buf.len()), buf, strict: true, over: true, limits, entries }
    }

    /// Where the next octet goes, counted from the buffer's start.
    #[inline]
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Takes back what was written from `position` on.
    #[inline]
    pub fn rewind(&mut self, position: usize) {
        self.at = self.at.min(position);
    }

    /// Gives the buffer its length, as dropping the writer does.
    #[inline]
    pub fn finish(self) {}

    /// An octet.
    #[inline]
    pub fn octet(&mut self, value: u8) {
        self.put([value]);
    }

    /// Two octets.
    #[inline]
    pub fn short(&mut self, value: u16) {
        self.put(value.to_be_bytes());
    }

    /// Four octets.
    #[inline]
    pub fn long(&mut self, value: u32) {
        self.put(value.to_be_bytes());
    }

    /// Eight octets.
    #[inline]
    pub fn longlong(&mut self, value: u64) {
        self.put(value.to_be_bytes());
    }

    /// A point in time.
    #[inline]
    pub fn timestamp(&mut self, value: Timestamp) {
        self.longlong(value.0);
    }

    /// A short string, which is never too long.
    #[inline]
    pub fn short_str(&mut self, text: &ShortStr) {
        // A block of fixed size, of which the octets behind the string's own are written over later.
        let block = text.octets().as_block();
        match (block, self.place::<{ INLINE + 1 }>()) {
            (Some((block, len)), Some(place)) => {
                *place = *block;
                self.at += 1 + len;
            }
            _ => self.at = long_short_str(self.buf, self.at, text.as_bytes(), self.over),
        }
    }

    /// A long string.
    ///
    /// # Errors
    ///
    /// `TooLong` above 2³²−1 octets.
    #[inline]
    pub fn long_str(&mut self, octets: &[u8]) -> Result<(), EncodeError> {
        self.long(length("long string", octets.len(), u32::MAX)?);
        self.octets(octets);
        Ok(())
    }

    /// The `content` domain of AMQP 0-9.
    ///
    /// # Errors
    ///
    /// `TooLong` above 2³²−1 octets.
    pub fn content(&mut self, content: &ContentDomain) -> Result<(), EncodeError> {
        let (discriminator, octets) = match content {
            ContentDomain::Inline(octets) => (0, octets),
            ContentDomain::Reference(octets) => (1, octets),
        };
        self.octet(discriminator);
        self.long_str(octets)
    }

    /// A run of adjacent bits; spare bits of its last octet are zero.
    #[inline]
    pub fn bits<const N: usize>(&mut self, run: [bool; N]) {
        self.bit_run(&run);
    }

    #[inline]
    pub(crate) fn bit_run(&mut self, run: &[bool]) {
        for bits in run.chunks(8) {
            let packed = bits.iter().rev().fold(0, |octet, bit| octet << 1 | u8::from(*bit));
            self.octet(packed);
        }
    }

    /// The flag words of a content header: `present` has one entry for each property the class
    /// declares. There is a word for each 15 of them, even one without a flag.
    #[inline]
    pub fn property_flags(&mut self, present: &[bool]) {
        let mut words = present.chunks(FLAGS_PER_WORD);
        let mut next = words.next().unwrap_or(&[]);
        loop {
            // Without a jump for each property.
            let bits = next.iter().enumerate();
            let word = bits.fold(0, |word, (at, present)| word | u16::from(*present) << (15 - at));
            match words.next() {
                Some(following) => {
                    self.short(word | 1);
                    next = following;
                }
                None => return self.short(word),
            }
        }
    }

    /// Room for the flag words of a content header, whose flags are known only once the properties
    /// are written: [`end_flags`](Self::end_flags) gives them, with what this returns. For emitted code.
    #[inline]
    #[must_use = "the flags are still to be written"]
    pub fn begin_flags<const WORDS: usize>(&mut self) -> usize {
        let at = self.at;
        for _ in 0..WORDS {
            self.short(0);
        }
        at
    }

    /// The flag words whose room begins `at`. In all but the last of them the lowest bit must be set.
    #[inline]
    pub fn end_flags<const WORDS: usize>(&mut self, at: usize, words: [u16; WORDS]) {
        let mut places = self.buf.get_mut(at..).unwrap_or_default();
        for word in words {
            let Some((place, others)) = places.split_first_chunk_mut() else { return };
            *place = word.to_be_bytes();
            places = others;
        }
    }

    /// Eight octets of which the last is written over by what comes next.
    #[inline]
    pub(crate) fn put_7(&mut self, octets: [u8; 8]) {
        self.put(octets);
        self.at -= 1;
    }

    /// Completes the frame begun at `start`: its size, which is four octets from the third on, and the
    /// octet behind it. False if there is no such frame.
    #[inline]
    pub(crate) fn end_frame(&mut self, start: usize, size: u32, end: u8) -> bool {
        if self.buf.len() == self.at {
            grow(self.buf, self.at, 1, self.over);
        }
        let frame = self.buf.get_mut(start..=self.at);
        let Some([_, _, _, s0, s1, s2, s3, .., last]) = frame else { return false };
        [*s0, *s1, *s2, *s3] = size.to_be_bytes();
        *last = end;
        self.at += 1;
        true
    }

    /// Octets as they are, without a length.
    #[inline]
    pub fn octets(&mut self, octets: &[u8]) {
        if let Some(place) = room(self.buf, self.at, octets.len(), self.over) {
            place.copy_from_slice(octets);
            self.at += octets.len();
        }
    }

    /// Octets whose number is known when this is compiled, which spares the call to copy them.
    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, octets: [u8; N]) {
        if self.place::<N>().is_none() {
            grow(self.buf, self.at, N, self.over);
        }
        if let Some(place) = self.place() {
            *place = octets;
            self.at += N;
        }
    }

    /// The next octets, if the buffer has so many.
    #[inline(always)]
    fn place<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.buf.get_mut(self.at..)?.first_chunk_mut()
    }
}

/// The next octets, which the buffer grows for. There always are so many.
#[inline]
pub(super) fn room(buf: &mut BytesMut, at: usize, octets: usize, over: bool) -> Option<&mut [u8]> {
    if buf.len() - at < octets {
        grow(buf, at, octets, over);
    }
    buf.get_mut(at..)?.get_mut(..octets)
}

/// Makes the buffer longer by a step, but does not ask for more memory than is needed. Does not take the
/// writer, nor does anything else that is called and not inlined: as long as its address is not taken, it
/// is kept in registers.
#[cold]
#[inline(never)]
fn grow(buf: &mut BytesMut, at: usize, octets: usize, over: bool) {
    let (len, capacity) = (buf.len(), buf.capacity());
    let missing = octets - (len - at);
    let step = if over { STEP_OVER } else { STEP };
    if missing > step {
        return buf.resize(len.saturating_add(missing), 0);
    }
    if step == STEP && STEP <= capacity - len {
        return buf.extend_from_slice(&[0; STEP]);
    }
    buf.reserve(missing);
    buf.resize(buf.capacity().min(len.saturating_add(step)), 0);
}

/// A string whose octets are not a block, and a short one where the buffer ends. Returns where the next
/// octet goes.
#[cold]
#[inline(never)]
fn long_short_str(buf: &mut BytesMut, at: usize, octets: &[u8], over: bool) -> usize {
    let end = at + 1 + octets.len();
    if buf.len() < end {
        grow(buf, at, end - at, over);
    }
    if let Some([len, place @ ..]) = buf.get_mut(at..end) {
        // At most 255 octets: `ShortStr` holds no more.
        #[allow(clippy::cast_possible_truncation)]
        let octets_len = octets.len() as u8;
        *len = octets_len;
        place.copy_from_slice(octets);
    }
    end
}

/// The length of an item as its length field has it.
#[inline]
pub(super) fn length(what: &'static str, len: usize, max: u32) -> Result<u32, EncodeError> {
    match u32::try_from(len) {
        Ok(octets) if octets <= max => Ok(octets),
        _ => Err(EncodeError::TooLong { what, len, max: max as usize }),
    }
}
