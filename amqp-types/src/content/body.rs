//! [`Body`]: the octets of a message, in the pieces they came in.

use bytes::{Bytes, BytesMut};

/// The body of a message: one piece of octets, or several if it came in several frames.
///
/// ```
/// use amqp_types::Body;
///
/// let body = Body::from("hello");
/// assert_eq!(body.len(), 5);
/// assert_eq!(body.into_bytes(), "hello");
///
/// let pieces: Body = ["hel", "lo"].map(bytes::Bytes::from).into_iter().collect();
/// assert_eq!(pieces.chunks().len(), 2);
/// assert_eq!(pieces, Body::from("hello"));
/// ```
#[derive(Clone, Debug)]
pub struct Body(Repr);

#[derive(Clone, Debug)]
enum Repr {
    One(Bytes),
    /// Boxed: rare, and it would make every body bigger.
    Many(Box<Chunks>),
}

/// Invariant: `len` is the sum of the pieces' lengths.
#[derive(Clone, Debug)]
struct Chunks {
    list: Vec<Bytes>,
    len: usize,
}

impl Body {
    /// An empty body.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::One(Bytes::new()))
    }

    /// The length in octets.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::One(bytes) => bytes.len(),
            Repr::Many(chunks) => chunks.len,
        }
    }

    /// Whether it has no octets.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in order; there is at least one, which may be empty.
    #[inline]
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        match &self.0 {
            Repr::One(bytes) => std::slice::from_ref(bytes),
            Repr::Many(chunks) => &chunks.list,
        }
    }

    /// All octets in one piece; copies only if there is more than one.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::One(bytes) => bytes,
            Repr::Many(chunks) => {
                let mut whole = BytesMut::with_capacity(chunks.len);
                chunks.list.iter().for_each(|chunk| whole.extend_from_slice(chunk));
                whole.freeze()
            }
        }
    }

    /// All octets in one piece; copies only if there is more than one.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.clone().into_bytes()
    }

    /// Appends a piece. Empty ones are dropped.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        match &mut self.0 {
            Repr::One(first) if first.is_empty() => *first = chunk,
            Repr::One(first) => {
                let len = first.len() + chunk.len();
                let list = vec![std::mem::take(first), chunk];
                self.0 = Repr::Many(Box::new(Chunks { list, len }));
            }
            Repr::Many(chunks) => {
                chunks.len += chunk.len();
                chunks.list.push(chunk);
            }
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Bytes> for Body {
    #[inline]
    fn from(bytes: Bytes) -> Self {
        Self(Repr::One(bytes))
    }
}

impl From<BytesMut> for Body {
    fn from(bytes: BytesMut) -> Self {
        bytes.freeze().into()
    }
}

impl From<Vec<u8>> for Body {
    fn from(octets: Vec<u8>) -> Self {
        Bytes::from(octets).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(octets: &'static [u8]) -> Self {
        Bytes::from_static(octets).into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(octets: &'static [u8; N]) -> Self {
        Bytes::from_static(octets).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Body> for Bytes {
    fn from(body: Body) -> Self {
        body.into_bytes()
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        let mut body = Self::new();
        body.extend(chunks);
        body
    }
}

impl Extend<Bytes> for Body {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, chunks: I) {
        chunks.into_iter().for_each(|chunk| self.push(chunk));
    }
}

/// By octets; how they are cut into pieces does not matter.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        let mut theirs = other.chunks().iter();
        let mut rest: &[u8] = &[];
        for chunk in self.chunks() {
            let mut mine = &chunk[..];
            while !mine.is_empty() {
                if rest.is_empty() {
                    let Some(next) = theirs.next() else { return false };
                    rest = next;
                }
                let (head, tail) = mine.split_at(mine.len().min(rest.len()));
                let Some(after) = rest.strip_prefix(head) else { return false };
                (mine, rest) = (tail, after);
            }
        }
        true
    }
}

impl Eq for Body {}

impl PartialEq<[u8]> for Body {
    fn eq(&self, other: &[u8]) -> bool {
        let mut rest = other;
        self.len() == other.len()
            && self.chunks().iter().all(|chunk| match rest.strip_prefix(&chunk[..]) {
                Some(after) => {
                    rest = after;
                    true
                }
                None => false,
            })
    }
}

impl PartialEq<&[u8]> for Body {
    fn eq(&self, other: &&[u8]) -> bool {
        *self == **other
    }
}

impl PartialEq<&str> for Body {
    fn eq(&self, other: &&str) -> bool {
        *self == *other.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_ignores_the_cuts() {
        let whole = Body::from("abcdef");
        let cut: Body = ["ab", "", "cd", "ef"].map(Bytes::from).into_iter().collect();
        assert_eq!((cut.chunks().len(), cut.len()), (3, 6));
        assert_eq!(whole, cut);
        assert_eq!(cut, "abcdef");
        assert_ne!(cut, "abcdeg");
        assert_ne!(cut, "abcde");
        assert_ne!(cut, Body::from("abcdeX"));
        assert_eq!(cut.to_bytes(), cut.into_bytes());
    }

    #[test]
    fn equality_of_all_cuts() {
        let cut = |at: usize, text: &'static str| {
            let (head, tail) = text.split_at(at);
            [head, tail].map(Bytes::from).into_iter().collect::<Body>()
        };
        for (one, other) in (0..=4).flat_map(|one| (0..=4).map(move |other| (one, other))) {
            assert_eq!(cut(one, "abcd"), cut(other, "abcd"));
            for different in ["Xbcd", "aXcd", "abXd", "abcX"] {
                assert_ne!(cut(one, "abcd"), cut(other, different));
            }
        }
    }

    #[test]
    fn one_piece_is_handed_out_as_it_is() {
        let octets = Bytes::from(vec![1, 2, 3]);
        let body = Body::from(octets.clone());
        assert_eq!(body.into_bytes().as_ptr(), octets.as_ptr());
        assert_eq!(Body::new().chunks().len(), 1);
        assert!(Body::default().is_empty());
    }
}
