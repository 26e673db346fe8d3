//! [`Octets`]: what the strings of the wire are made of, in 24 octets.
//!
//! Strings are moved about far more than they are read, and most are short: so few octets stand
//! inside the value, and more behind one pointer. Used by `short_str` and by nobody else; nothing
//! here may read octets past the string's own length.

use std::sync::Arc;

/// The longest string that is kept inside the value.
pub(crate) const INLINE: usize = 22;

/// Octets that cannot be changed. The discriminant has values to spare, so that an `Option` of it
/// is no bigger.
///
/// Invariant: at most [`INLINE`] octets are always `Inline`.
#[derive(Clone)]
pub(crate) enum Octets {
    /// `0 <= len <= INLINE`; octets from `len` on have no meaning.
    Inline {
        len: u8,
        octets: [u8; INLINE],
    },
    Static(&'static [u8]),
    Shared(Arc<[u8]>),
}

/// A length of at most [`INLINE`].
#[derive(Clone, Copy)]
pub(crate) struct InlineLen(u8);

impl InlineLen {
    #[inline]
    pub(crate) const fn new(len: u8) -> Option<Self> {
        if len as usize <= INLINE { Some(Self(len)) } else { None }
    }
}

impl Octets {
    pub(crate) const EMPTY: Self = Self::Inline { len: 0, octets: [0; INLINE] };

    pub(crate) const fn from_static(octets: &'static [u8]) -> Self {
        match block(octets) {
            Some((len, octets)) => Self::Inline { len, octets },
            None => Self::Static(octets),
        }
    }

    /// A copy; allocates if there are more than [`INLINE`].
    #[inline]
    pub(crate) fn copy_from(octets: &[u8]) -> Self {
        match block(octets) {
            Some((len, octets)) => Self::Inline { len, octets },
            None => Self::Shared(octets.into()),
        }
    }

    /// The first `len` of these octets, copied as a block of fixed size, which is much cheaper than
    /// a copy of `len` octets.
    #[inline]
    pub(crate) const fn from_block(len: InlineLen, octets: &[u8; INLINE]) -> Self {
        Self::Inline { len: len.0, octets: *octets }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { len, octets } => octets.get(..usize::from(*len)).unwrap_or(&[]),
            Self::Static(octets) => octets,
            Self::Shared(octets) => octets,
        }
    }
}

/// The octets as [`Octets::Inline`] holds them, if they are few enough.
#[inline]
const fn block(bytes: &[u8]) -> Option<(u8, [u8; INLINE])> {
    if bytes.len() > INLINE {
        return None;
    }
    let mut octets = [0; INLINE];
    let (head, _) = octets.split_at_mut(bytes.len());
    head.copy_from_slice(bytes);
    // At most 22, as checked above.
    #[allow(clippy::cast_possible_truncation)]
    let len = bytes.len() as u8;
    Some((len, octets))
}

/// Whether the first `len` octets of the block are ASCII: without a loop, and so without a jump that
/// depends on the length.
#[inline]
pub(crate) fn is_ascii(len: InlineLen, block: &[u8; INLINE]) -> bool {
    let Some([mask_0, mask_8, mask_14]) = HIGH_BITS.get(usize::from(len.0)) else { return false };
    let [word_0, word_8, word_14] = words(block);
    word_0 & mask_0 | word_8 & mask_8 | word_14 & mask_14 == 0
}

/// For each length, the high bits of as many octets.
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
static HIGH_BITS: [[u64; 3]; INLINE + 1] = {
    let mut masks = [[0; 3]; INLINE + 1];
    let mut octets = [0; INLINE];
    let mut len = 0;
    while len < INLINE {
        octets[len] = 0x80;
        len += 1;
        masks[len] = words(&octets);
    }
    masks
};

/// The octets from 0, from 8 and from 14 on.
#[inline]
const fn words(block: &[u8; INLINE]) -> [u64; 3] {
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
