//! [`Payload`]: octets to read that are borrowed from the [`Bytes`] which own them.
//!
//! What a [`Reader`](super::Reader) reads from. Knows nothing of what the octets mean.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// The payload of a frame, borrowed from the buffer it was read into, with the means to keep it.
///
/// ```
/// use amqp_types::wire::Payload;
/// use bytes::Bytes;
///
/// let buffer = Bytes::from_static(b"octets");
/// let payload = Payload::from(&buffer);
/// assert_eq!((&payload[..2], payload.to_bytes()), (&b"oc"[..], buffer.clone()));
/// ```
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    octets: &'a [u8],
    /// Invariant: `octets` are some of these.
    owner: &'a Bytes,
}

impl<'a> Payload<'a> {
    /// The caller vouches that `octets` are some of `owner`'s.
    #[inline]
    pub(crate) const fn part(octets: &'a [u8], owner: &'a Bytes) -> Self {
        Self { octets, owner }
    }

    /// The octets.
    #[inline]
    #[must_use]
    pub const fn as_slice(self) -> &'a [u8] {
        self.octets
    }

    /// The octets to be kept. They are not copied: as long as the `Bytes` are there, so is the whole
    /// buffer that the frame was read into.
    #[inline]
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        self.keep(self.octets)
    }

    /// Some of the octets, to be kept; the caller vouches that they are.
    #[inline]
    pub(super) fn keep(self, part: &[u8]) -> Bytes {
        self.owner.slice_ref(part)
    }
}

impl<'a> From<&'a Bytes> for Payload<'a> {
    #[inline]
    fn from(octets: &'a Bytes) -> Self {
        Self { octets, owner: octets }
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.octets
    }
}

impl AsRef<[u8]> for Payload<'_> {
    fn as_ref(&self) -> &[u8] {
        self.octets
    }
}

/// By octets.
impl PartialEq for Payload<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.octets == other.octets
    }
}

impl Eq for Payload<'_> {}

/// As a byte string.
impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.octets.escape_ascii())
    }
}
