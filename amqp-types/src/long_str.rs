//! [`LongStr`], the long string as a value in a table.
//!
//! Most of what headers and arguments hold are a few octets of text, so those live inside the value,
//! as a short string's do. How they are kept is the business of `octets`. The long strings among the
//! arguments of methods, which are few and rare, are `Bytes` instead.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::Utf8Error;

use bytes::Bytes;

use crate::ShortStr;
use crate::octets::{Block, Octets};

/// Octets, mostly text, in a [`FieldValue`](crate::FieldValue): AMQP's `longstr`.
///
/// Up to 22 octets are stored inline. A longer one costs one allocation when it is read or made of
/// octets that are not `'static`; clones share it, and no read buffer is kept for its sake.
///
/// ```
/// use amqp_types::{FieldValue, LongStr};
///
/// let text = LongStr::from("quorum");
/// assert_eq!(text, "quorum");
/// assert_eq!((text.len(), &text[..2]), (6, &b"qu"[..]));
/// assert_eq!(FieldValue::from("quorum"), FieldValue::LongString(text));
/// ```
#[derive(Clone)]
pub struct LongStr(Octets);

impl LongStr {
    /// The empty string.
    pub const EMPTY: Self = Self(Octets::EMPTY);

    /// A string from a literal, without a copy if it is long.
    #[must_use]
    pub const fn from_static(octets: &'static [u8]) -> Self {
        Self(Octets::from_static(octets))
    }

    /// How many octets of memory it takes beside its own 24: none if it is short. What clones share counts with each.
    #[inline]
    #[must_use]
    pub fn heap_size(&self) -> usize {
        self.0.heap_size()
    }

    /// The octets.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The octets as text.
    ///
    /// # Errors
    ///
    /// If they are not UTF-8, which nobody promises.
    #[inline]
    pub fn as_str(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(self.as_bytes())
    }

    /// The octets as `Bytes`; copied unless they are a long literal's.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }

    /// Puts the octets of the block in place of these, if its length is one of a block.
    #[inline]
    pub(crate) fn set_block(&mut self, block: &Block) -> bool {
        self.0.set_block(block)
    }

    /// Puts a copy of these octets in place of those.
    pub(crate) fn set(&mut self, octets: &[u8]) {
        self.0.set(octets);
    }

    #[inline]
    pub(crate) const fn octets(&self) -> &Octets {
        &self.0
    }
}

impl Default for LongStr {
    #[inline]
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Deref for LongStr {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for LongStr {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for LongStr {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for LongStr {
    #[inline]
    fn from(octets: &[u8]) -> Self {
        Self(Octets::copy_from(octets))
    }
}

impl<const N: usize> From<&[u8; N]> for LongStr {
    fn from(octets: &[u8; N]) -> Self {
        Self::from(&octets[..])
    }
}

impl From<&str> for LongStr {
    #[inline]
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for LongStr {
    fn from(text: String) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<Vec<u8>> for LongStr {
    fn from(octets: Vec<u8>) -> Self {
        Self::from(&octets[..])
    }
}

impl From<Bytes> for LongStr {
    fn from(octets: Bytes) -> Self {
        Self::from(&octets[..])
    }
}

/// Without a copy: a long one is shared.
impl From<ShortStr> for LongStr {
    fn from(text: ShortStr) -> Self {
        Self(text.into_octets())
    }
}

impl From<LongStr> for Bytes {
    fn from(text: LongStr) -> Self {
        text.into_bytes()
    }
}

impl PartialEq for LongStr {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for LongStr {}

/// As for `[u8]`, so that a map of `LongStr` can be asked by octets.
impl Hash for LongStr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialEq<[u8]> for LongStr {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_bytes() == other
    }
}

impl PartialEq<str> for LongStr {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for LongStr {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

/// Text quoted like a string, other octets like a byte string.
impl fmt::Debug for LongStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_debug(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::short_str;

    #[test]
    fn every_source_gives_the_same_string() {
        for len in [0, 22, 23, 300] {
            let text = "z".repeat(len);
            let expected = LongStr::from(text.as_str());
            assert_eq!(expected, text.as_str());
            assert_eq!(expected, LongStr::from(text.as_bytes()));
            assert_eq!(expected, LongStr::from(text.clone().into_bytes()));
            assert_eq!(expected, LongStr::from(Bytes::from(text.clone())));
            assert_eq!(expected.clone().into_bytes(), text);
            assert_eq!(expected.as_str(), Ok(&text[..]));
        }
    }

    #[test]
    fn clones_share_what_is_long() {
        let long = LongStr::from(short_str!("a short string that is not stored inline"));
        assert_eq!(long.clone().as_ptr(), long.as_ptr());
        assert_eq!(size_of::<LongStr>(), 24);
        assert_eq!(size_of::<Option<LongStr>>(), 24);
    }

    #[test]
    fn shows_text_as_text() {
        assert_eq!(format!("{:?}", LongStr::from("a\"b")), r#""a\"b""#);
        assert_eq!(format!("{:?}", LongStr::from(b"a\xff")), r#"b"a\xff""#);
    }
}
