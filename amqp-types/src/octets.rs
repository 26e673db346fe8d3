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
    /// a copy of `len` octets. `None` if `len > INLINE`.
    #[inline]
    pub(crate) fn from_block(len: u8, octets: [u8; INLINE]) -> Option<Self> {
        if len as usize <= INLINE { Some(Self::Inline { len, octets }) } else { None }
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
