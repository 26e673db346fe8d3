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
    /// Invariant: `octets` are those of `owner` from `start` on.
    owner: &'a Bytes,
    start: usize,
}

impl<'a> Payload<'a> {
    /// `len` of the owner's octets from `start` on, if there are as many.
    #[inline]
    pub(crate) fn part(owner: &'a Bytes, start: usize, len: usize) -> Option<Self> {
        let octets = owner.get(start..)?.get(..len)?;
        Some(Self { octets, owner, start })
    }

    /// What the octets are some of, and where in it they begin.
    #[inline]
    pub(super) const fn place(self) -> (&'a Bytes, usize) {
        (self.owner, self.start)
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
        self.owner.slice_ref(self.octets)
    }
}

impl<'a> From<&'a Bytes> for Payload<'a> {
    #[inline]
    fn from(octets: &'a Bytes) -> Self {
        Self { octets, owner: octets, start: 0 }
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
