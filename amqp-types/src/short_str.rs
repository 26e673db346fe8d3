//! [`ShortStr`], the validated short string.
//!
//! Nearly every name in AMQP is one: queues, exchanges, routing keys, table keys. Most have fewer
//! than 23 octets, so those live inside the value: reading, copying and dropping them touches no
//! heap and no reference count. How they are kept is the business of `octets`.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::Utf8Error;

use bytes::Bytes;

use crate::octets::{Block, Octets};

/// A string of at most 255 octets: AMQP's `shortstr`.
///
/// The wire promises UTF-8 only for method arguments; brokers pass other octets through in
/// properties and table keys, so a `ShortStr` holds octets and [`as_str`](Self::as_str) is checked.
/// Up to 22 octets are stored inline. A longer one costs one allocation when it is read or made of
/// text that is not `'static`; clones share it, and no read buffer is kept for its sake. With the feature `serde` it is text, or `{"hex": "fffe"}` where it is not UTF-8.
///
/// ```
/// use amqp_types::{ShortStr, short_str};
///
/// let fixed = short_str!("amq.direct"); // the length is checked at compile time
/// let given = ShortStr::try_from(String::from("orders"))?;
/// assert_eq!(given, "orders");
/// assert!(ShortStr::try_from("x".repeat(256)).is_err());
/// # let _ = fixed;
/// # Ok::<(), amqp_types::InvalidShortStr>(())
/// ```
///
/// It takes 24 octets, and so does an `Option` of it.
#[derive(Clone)]
pub struct ShortStr(Octets);

impl ShortStr {
    /// The empty string.
    pub const EMPTY: Self = Self(Octets::EMPTY);

    /// The greatest length, in octets.
    pub const MAX_LEN: usize = 255;

    /// How many octets of memory it takes beside its own 24: none if it is short. What clones share counts with each.
    #[inline]
    #[must_use]
    pub fn heap_size(&self) -> usize {
        self.0.heap_size()
    }

    /// A string from a literal, without a copy if it is long. Prefer
    /// [`short_str!`](crate::short_str!), which checks the length at compile time.
    ///
    /// # Panics
    ///
    /// If `text` has more than 255 octets. In a `const` that is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn from_static(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        assert!(bytes.len() <= Self::MAX_LEN, "a short string has at most 255 octets");
        Self(Octets::from_static(bytes))
    }

    /// The octets.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The string as text.
    ///
    /// # Errors
    ///
    /// If the octets are not UTF-8, which a peer may send in properties and table keys.
    #[inline]
    pub fn as_str(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(self.as_bytes())
    }

    /// The string as text, with U+FFFD in place of what is not UTF-8.
    #[must_use]
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }

    /// The length in octets, at most 255.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it has no octets.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    pub(crate) fn into_octets(self) -> Octets {
        self.0
    }

    /// Puts a copy of these octets in place of those. The caller vouches for at most 255.
    pub(crate) fn set(&mut self, octets: &[u8]) {
        debug_assert!(octets.len() <= Self::MAX_LEN);
        self.0.set(octets);
    }

    #[inline]
    pub(crate) const fn octets(&self) -> &Octets {
        &self.0
    }

    /// A copy of these octets. The caller vouches for at most 255.
    #[inline]
    pub(crate) fn copy_from(bytes: &[u8]) -> Self {
        debug_assert!(bytes.len() <= Self::MAX_LEN);
        Self(Octets::copy_from(bytes))
    }
}

/// A [`ShortStr`] from a literal or a constant, checked at compile time.
///
/// ```
/// assert_eq!(amqp_types::short_str!("orders"), "orders");
/// ```
///
/// ```compile_fail
/// const LONG: &str = match std::str::from_utf8(&[b'x'; 256]) { Ok(text) => text, Err(_) => "" };
/// let refused = amqp_types::short_str!(LONG);
/// ```
#[macro_export]
macro_rules! short_str {
    ($text:expr) => {
        const { $crate::ShortStr::from_static($text) }
    };
}

/// A string of more than 255 octets was to become a [`ShortStr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidShortStr {
    len: usize,
}

impl InvalidShortStr {
    /// The length that was refused, in octets.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Always false: what is refused has at least 256 octets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }
}

impl fmt::Display for InvalidShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a short string has at most {} octets, not {}", ShortStr::MAX_LEN, self.len)
    }
}

impl Error for InvalidShortStr {}

/// Lets a function take `impl TryInto<ShortStr>` and be given a `ShortStr` too.
impl From<Infallible> for InvalidShortStr {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

fn check(len: usize) -> Result<(), InvalidShortStr> {
    if len <= ShortStr::MAX_LEN { Ok(()) } else { Err(InvalidShortStr { len }) }
}

impl TryFrom<&[u8]> for ShortStr {
    type Error = InvalidShortStr;

    fn try_from(octets: &[u8]) -> Result<Self, InvalidShortStr> {
        check(octets.len())?;
        Ok(Self::copy_from(octets))
    }
}

impl TryFrom<Bytes> for ShortStr {
    type Error = InvalidShortStr;

    fn try_from(octets: Bytes) -> Result<Self, InvalidShortStr> {
        Self::try_from(&octets[..])
    }
}

impl TryFrom<Vec<u8>> for ShortStr {
    type Error = InvalidShortStr;

    fn try_from(octets: Vec<u8>) -> Result<Self, InvalidShortStr> {
        Self::try_from(&octets[..])
    }
}

impl TryFrom<&str> for ShortStr {
    type Error = InvalidShortStr;

    fn try_from(text: &str) -> Result<Self, InvalidShortStr> {
        Self::try_from(text.as_bytes())
    }
}

impl TryFrom<String> for ShortStr {
    type Error = InvalidShortStr;

    fn try_from(text: String) -> Result<Self, InvalidShortStr> {
        Self::try_from(text.as_bytes())
    }
}

impl TryFrom<&String> for ShortStr {
    type Error = InvalidShortStr;

    fn try_from(text: &String) -> Result<Self, InvalidShortStr> {
        Self::try_from(text.as_bytes())
    }
}

impl From<&Self> for ShortStr {
    fn from(text: &Self) -> Self {
        text.clone()
    }
}

impl Default for ShortStr {
    #[inline]
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Text as it is, other octets as U+FFFD.
impl fmt::Display for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_string_lossy())
    }
}

/// Text quoted like a string, other octets like a byte string.
impl fmt::Debug for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_debug(f)
    }
}

impl PartialEq for ShortStr {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Blocks that are equal as a whole need no look at how long they are.
        match (self.0.as_block(), other.0.as_block()) {
            (Some((one, _)), Some((another, _))) if one == another => true,
            _ => self.as_bytes() == other.as_bytes(),
        }
    }
}

impl Eq for ShortStr {}

impl PartialOrd for ShortStr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ShortStr {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

/// As for `[u8]`, so that a map of `ShortStr` can be asked by octets.
impl Hash for ShortStr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialEq<str> for ShortStr {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for ShortStr {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<[u8]> for ShortStr {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_bytes() == other
    }
}

impl AsRef<[u8]> for ShortStr {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<[u8]> for ShortStr {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn is_three_words_big_and_optional_for_free() {
        assert_eq!(size_of::<ShortStr>(), 24);
        assert_eq!(size_of::<Option<ShortStr>>(), 24);
    }

    #[test]
    fn clones_of_a_long_one_share_it() {
        let long = ShortStr::try_from("l".repeat(200)).unwrap();
        assert_eq!(long.clone().as_bytes().as_ptr(), long.as_bytes().as_ptr());
    }

    #[test]
    fn every_length_up_to_255_is_kept_and_256_is_refused() {
        for len in 0..=255 {
            let text = "y".repeat(len);
            let short = ShortStr::try_from(text.as_str()).unwrap();
            assert_eq!((short.len(), short.as_str().unwrap()), (len, text.as_str()));
            assert_eq!(short, ShortStr::try_from(Bytes::from(text.clone())).unwrap());
            assert_eq!(short, ShortStr::try_from(&text).unwrap());
            assert_eq!(short.clone().into_bytes(), text.as_bytes());
        }
        let refused = ShortStr::try_from("y".repeat(256)).unwrap_err();
        assert_eq!(refused.len(), 256);
        assert_eq!(refused.to_string(), "a short string has at most 255 octets, not 256");
    }

    #[test]
    fn a_literal_is_inline_or_static() {
        const LONG: ShortStr = ShortStr::from_static("a literal that has more than 22 octets");
        assert_eq!(LONG, "a literal that has more than 22 octets");
        assert_eq!(short_str!("exactly 22 octets long"), "exactly 22 octets long");
    }

    #[test]
    fn octets_that_are_no_text_are_kept_and_shown() {
        let odd = ShortStr::try_from(&b"a\xff"[..]).unwrap();
        assert!(odd.as_str().is_err());
        assert_eq!(
            (odd.to_string(), format!("{odd:?}")),
            ("a\u{fffd}".into(), r#"b"a\xff""#.into())
        );
        assert_eq!(format!("{:?} {:>4}", short_str!("q"), short_str!("q")), "\"q\"    q");
    }

    #[test]
    fn a_map_can_be_asked_by_octets_and_order_is_by_octets() {
        let map = HashMap::from([(short_str!("k"), 1)]);
        assert_eq!(map.get(&b"k"[..]), Some(&1));
        assert!(short_str!("B") < short_str!("a"));
        assert!(short_str!("a") < short_str!("a longer one that is not stored inline"));
    }
}
