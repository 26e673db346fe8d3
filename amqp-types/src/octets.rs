//! [`Octets`]: what the strings of the wire are made of, in 24 octets.
//!
//! Strings are moved about far more than they are read, and most are short: so few octets stand
//! inside the value, and more behind one pointer. They stand there as a short string does on the
//! wire, length first, so that both go to and fro as one block of fixed size; to copy a block is much
//! cheaper than to copy a few octets. Used by the two types of strings and by `wire`; nothing here
//! may look at octets behind the string's own.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// The longest string that is kept inside the value.
pub(crate) const INLINE: usize = 22;

/// A length of at most [`INLINE`], as many octets, and others that mean nothing.
pub(crate) type Block = [u8; INLINE + 1];

/// Octets that cannot be changed. The discriminant has values to spare, so that an `Option` of it
/// is no bigger.
///
/// Invariant: at most [`INLINE`] octets are always `Inline`, and its first octet is no greater.
#[derive(Clone)]
pub(crate) enum Octets {
    Inline(Block),
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
}

impl Octets {
    pub(crate) const EMPTY: Self = Self::Inline([0; INLINE + 1]);

    pub(crate) const fn from_static(octets: &'static [u8]) -> Self {
        match block(octets) {
            Some(block) => Self::Inline(block),
            None => Self::Static(octets),
        }
    }

    /// A copy; allocates if there are more than [`INLINE`].
    #[inline]
    pub(crate) fn copy_from(octets: &[u8]) -> Self {
        match block(octets) {
            Some(block) => Self::Inline(block),
            None => Self::Shared(octets.into()),
        }
    }

    /// Puts the octets of the block in place of these, if its length is one of a block. New octets
    /// are inline, so this is but a copy, straight from where they were read; a value that is made
    /// first and then moved would be read before its stores are through.
    #[inline]
    pub(crate) fn set_block(&mut self, block: &Block) -> bool {
        let [len, ..] = block;
        if usize::from(*len) > INLINE {
            return false;
        }
        match self {
            Self::Inline(place) => *place = *block,
            _ => *self = Self::Inline(*block),
        }
        true
    }

    /// All octets as one block, if they are so few, and their number.
    #[inline]
    pub(crate) fn as_block(&self) -> Option<(&Block, usize)> {
        match self {
            Self::Inline(block) => {
                let [len, ..] = block;
                Some((block, usize::from(*len)))
            }
            Self::Static(_) | Self::Shared(_) => None,
        }
    }

    /// Puts a copy of these octets in place of those; allocates if there are more than [`INLINE`].
    pub(crate) fn set(&mut self, octets: &[u8]) {
        if self.as_block().is_none() {
            *self = Self::EMPTY;
        }
        match (self, u8::try_from(octets.len())) {
            (Self::Inline([place, others @ ..]), Ok(len)) if octets.len() <= INLINE => {
                *place = len;
                if let Some(place) = others.get_mut(..octets.len()) {
                    place.copy_from_slice(octets);
                }
            }
            (place, _) => *place = Self::Shared(octets.into()),
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline([len, octets @ ..]) => octets.get(..usize::from(*len)).unwrap_or(&[]),
            Self::Static(octets) => octets,
            Self::Shared(octets) => octets,
        }
    }
}

impl Octets {
    /// What they take beside the value itself: the octets, and two counts of who shares them.
    #[inline]
    pub(crate) fn heap_size(&self) -> usize {
        match self {
            Self::Shared(octets) => octets.len() + 2 * size_of::<usize>(),
            Self::Inline(_) | Self::Static(_) => 0,
        }
    }

    /// As `Bytes`; copied unless they are `'static`.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Static(octets) => Bytes::from_static(octets),
            octets => Bytes::copy_from_slice(octets.as_slice()),
        }
    }

    /// Text quoted like a string, other octets like a byte string.
    pub(crate) fn fmt_debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.as_slice()) {
            Ok(text) => fmt::Debug::fmt(text, f),
            Err(_) => write!(f, "b\"{}\"", self.as_slice().escape_ascii()),
        }
    }
}

/// The octets as a block, if they are few enough.
#[inline]
const fn block(octets: &[u8]) -> Option<Block> {
    if octets.len() > INLINE {
        return None;
    }
    // At most 22, as checked above.
    #[allow(clippy::cast_possible_truncation)]
    let len = octets.len() as u8;
    let mut block = [0; INLINE + 1];
    let (first, others) = block.split_at_mut(1);
    first.copy_from_slice(&[len]);
    let (head, _) = others.split_at_mut(octets.len());
    head.copy_from_slice(octets);
    Some(block)
}

/// Whether the octets of the block are ASCII: without a loop, and so without a jump that depends on
/// their number. False if its length is not one of a block.
#[inline]
pub(crate) fn is_ascii(block: &Block) -> bool {
    let [len, ..] = block;
    let Some([mask_0, mask_8, mask_15]) = HIGH_BITS.get(usize::from(*len)) else { return false };
    let [word_0, word_8, word_15] = words(block);
    word_0 & mask_0 | word_8 & mask_8 | word_15 & mask_15 == 0
}

/// For each length, the high bits of as many octets of a block, the length not counted.
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
static HIGH_BITS: [[u64; 3]; INLINE + 1] = {
    let mut masks = [[0; 3]; INLINE + 1];
    let mut block = [0; INLINE + 1];
    let mut len = 0;
    while len < INLINE {
        len += 1;
        block[len] = 0x80;
        masks[len] = words(&block);
    }
    masks
};

/// The octets from 0, from 8 and from 15 on.
#[inline]
const fn words(block: &Block) -> [u64; 3] {
    let (head, tail) = block.split_at(8);
    [word(head.first_chunk()), word(tail.first_chunk()), word(tail.last_chunk())]
}

#[inline]
const fn word(octets: Option<&[u8; 8]>) -> u64 {
    match octets {
        Some(octets) => u64::from_be_bytes(*octets),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_ascii_by_its_own_octets_alone() {
        for len in 0..=INLINE {
            let mut block = [0xff; INLINE + 1];
            block[0] = u8::try_from(len).unwrap();
            block[1..=len].fill(b'x');
            assert!(is_ascii(&block));
            for at in 1..=len {
                let mut other = block;
                other[at] = 0x80;
                assert!(!is_ascii(&other), "{at} of {len}");
            }
        }
        assert!(!is_ascii(&[23; INLINE + 1]));
        assert!(!Octets::EMPTY.clone().set_block(&[23; INLINE + 1]));
    }
}
