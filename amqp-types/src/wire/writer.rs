//! [`Writer`], which appends values to a buffer. Tables are written in `fill`.

use bytes::BytesMut;

use super::{ContentDomain, FLAGS_PER_WORD};
use crate::octets::Block;
use crate::{EncodeError, ShortStr, Timestamp};

/// Appends values to a buffer, in order.
///
/// A plain writer is strict: it sends only what every broker reads, so it refuses floats that are
/// infinite or not a number and decimals above 2³¹−1, and writes the table type `L` as `l`. A
/// [`verbatim`](Self::verbatim) one writes values as they were read, for proxies and tests. (Either
/// writes a boolean as 0 or 1, though other octets are read as true.)
///
/// ```
/// use amqp_types::{short_str, wire::Writer};
/// use bytes::BytesMut;
///
/// let mut buffer = BytesMut::new();
/// let mut writer = Writer::new(&mut buffer);
/// writer.short(5);
/// writer.short_str(&short_str!("hi"));
/// assert_eq!(&buffer[..], b"\x00\x05\x02hi");
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) buf: &'a mut BytesMut,
    pub(super) strict: bool,
}

impl<'a> Writer<'a> {
    /// A strict writer at the end of the buffer.
    #[inline]
    #[must_use]
    pub const fn new(buf: &'a mut BytesMut) -> Self {
        Self { buf, strict: true }
    }

    /// A writer that sends any value as it was read.
    #[inline]
    #[must_use]
    pub const fn verbatim(buf: &'a mut BytesMut) -> Self {
        Self { buf, strict: false }
    }

    /// An octet.
    #[inline]
    pub fn octet(&mut self, value: u8) {
        self.octets(&[value]);
    }

    /// Two octets.
    #[inline]
    pub fn short(&mut self, value: u16) {
        self.octets(&value.to_be_bytes());
    }

    /// Four octets.
    #[inline]
    pub fn long(&mut self, value: u32) {
        self.octets(&value.to_be_bytes());
    }

    /// Eight octets.
    #[inline]
    pub fn longlong(&mut self, value: u64) {
        self.octets(&value.to_be_bytes());
    }

    /// A point in time.
    #[inline]
    pub fn timestamp(&mut self, value: Timestamp) {
        self.longlong(value.0);
    }

    /// A short string, which is never too long.
    #[inline]
    pub fn short_str(&mut self, text: &ShortStr) {
        match text.octets().as_block() {
            Some((block, len)) => self.block(block, len),
            None => self.long_short_str(text.as_bytes()),
        }
    }

    #[cold]
    fn long_short_str(&mut self, octets: &[u8]) {
        // At most 255 octets: `ShortStr` holds no more.
        #[allow(clippy::cast_possible_truncation)]
        self.octet(octets.len() as u8);
        self.octets(octets);
    }

    /// A length in one octet and as many octets: written as a block of fixed size, and then cut.
    #[inline]
    fn block(&mut self, block: &Block, len: usize) {
        let end = self.buf.len() + 1 + len;
        self.octets(block);
        self.buf.truncate(end);
    }

    /// A long string.
    ///
    /// # Errors
    ///
    /// `TooLong` above 2³²−1 octets.
    #[inline]
    pub fn long_str(&mut self, octets: &[u8]) -> Result<(), EncodeError> {
        self.long(length("long string", octets.len())?);
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

    #[inline]
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.buf.extend_from_slice(octets);
    }
}

/// The length of an item as its length field has it.
#[inline]
pub(super) fn length(what: &'static str, len: usize) -> Result<u32, EncodeError> {
    u32::try_from(len).map_err(|_| EncodeError::TooLong { what, len, max: u32::MAX as usize })
}
