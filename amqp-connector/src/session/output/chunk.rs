//! Pieces of output: encoded frames with the bodies that stand between them, and how they are written.
//!
//! A body of a few KiB is copied behind its header; a larger one stays the user's `Bytes`, and the chunk
//! remembers where it belongs. Filled under the session's lock; the driver writes from [`WriteQueue`] with
//! vectored writes and gives the chunks back. Does no I/O itself.

use std::collections::VecDeque;
use std::io::IoSlice;

use amqp_types::frame::FrameKind;
use amqp_types::protocol::FRAMING;
use amqp_types::wire::{Limits, Writer};
use bytes::{Bytes, BytesMut};

/// A chunk of this many octets of frames is closed, so that none is reallocated at a size that would hold
/// the lock for long.
const FULL: usize = 64 << 10;
/// Room of a fresh chunk: the last content that is put into it may pass `FULL`.
const CAPACITY: usize = FULL + (16 << 10);
/// A chunk with this many bodies, or octets with them, is closed.
const BODIES_FULL: usize = 24;
const OCTETS_FULL: usize = 256 << 10;

static FRAME_END: [u8; 1] = [FRAMING.end];

/// Encoded frames, and bodies that stand between their octets.
#[derive(Default)]
pub(crate) struct Chunk {
    /// Longer than what it holds, and never cut: memory that is used again need not be filled again.
    frames: BytesMut,
    /// Octets of the frames.
    used: usize,
    /// Where in `frames` each body belongs, in order.
    bodies: Vec<(usize, Bytes)>,
    /// Octets of the bodies.
    inserted: usize,
    /// On the tables in what is written.
    limits: Limits,
}

impl Chunk {
    /// A chunk that need not grow till it is full.
    pub(crate) fn with_room(limits: Limits) -> Self {
        Self { frames: BytesMut::with_capacity(CAPACITY), limits, ..Self::default() }
    }

    /// All octets, the bodies' included.
    pub(crate) fn len(&self) -> usize {
        self.used + self.inserted
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// It has no buffer yet.
    pub(crate) fn is_unused(&self) -> bool {
        self.frames.capacity() == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used >= FULL || self.bodies.len() >= BODIES_FULL || self.inserted >= OCTETS_FULL
    }

    /// Appends what `write` writes; nothing if that fails.
    #[inline]
    pub(crate) fn write<E>(
        &mut self,
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut writer = Writer::over(&mut self.frames, self.used).with_limits(self.limits);
        write(&mut writer)?;
        self.used = writer.position();
        Ok(())
    }

    /// Appends octets as they are.
    pub(crate) fn append(&mut self, octets: &[u8]) {
        let mut writer = Writer::over(&mut self.frames, self.used);
        writer.octets(octets);
        self.used = writer.position();
    }

    /// Puts a body after what was appended so far, without a copy.
    pub(crate) fn insert(&mut self, body: Bytes) {
        self.inserted += body.len();
        self.bodies.push((self.used, body));
    }

    /// Drops the bodies: not to be called under the lock.
    pub(crate) fn clear(&mut self) {
        self.bodies.clear();
        self.inserted = 0;
        self.used = 0;
    }

    /// Whether a burst has made its buffer larger than it should stay.
    pub(crate) fn is_oversized(&self) -> bool {
        self.frames.capacity() > 4 * FULL
    }

    /// Piece `n` of its octets in order; pieces may be empty.
    fn piece(&self, n: usize) -> Option<&[u8]> {
        let body = self.bodies.get(n / 2);
        if n % 2 == 1 {
            return body.map(|(_, body)| &body[..]);
        }
        let from = match (n / 2).checked_sub(1) {
            Some(before) => self.bodies.get(before)?.0,
            None => 0,
        };
        let to = body.map_or(self.used, |(at, _)| *at);
        self.frames.get(from..to)
    }
}

/// One contiguous piece of output.
pub(crate) enum Segment {
    /// Comes back by [`Outbox::recycle`](crate::session::output::outbox::Outbox::recycle).
    Chunk(Chunk),
    /// One frame of a large body.
    Frame { header: [u8; 7], body: Bytes },
}

impl Segment {
    /// A body frame on this channel.
    pub(crate) fn frame(channel: u16, body: Bytes) -> Self {
        // Shorter than frame-max, which is a u32.
        let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
        Self::Frame { header: FRAMING.header_octets(FrameKind::Body, channel, size), body }
    }

    /// All octets.
    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::Chunk(chunk) => chunk.len(),
            Self::Frame { header, body } => header.len() + body.len() + FRAME_END.len(),
        }
    }

    fn piece(&self, n: usize) -> Option<&[u8]> {
        match (self, n) {
            (Self::Chunk(chunk), n) => chunk.piece(n),
            (Self::Frame { header, .. }, 0) => Some(header),
            (Self::Frame { body, .. }, 1) => Some(body),
            (Self::Frame { .. }, 2) => Some(&FRAME_END),
            (Self::Frame { .. }, _) => None,
        }
    }

    /// All of its octets, for tests.
    #[cfg(test)]
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        (0..).map_while(|n| self.piece(n)).flatten().copied().collect()
    }
}

/// What the driver is writing: segments, and how far the first one is written.
#[derive(Default)]
pub(crate) struct WriteQueue {
    segments: VecDeque<Segment>,
    /// Octets of the first segment that are written.
    offset: usize,
}

impl WriteQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Where the session puts more output.
    pub(crate) fn segments(&mut self) -> &mut VecDeque<Segment> {
        &mut self.segments
    }

    /// Fills `slices` with what comes next; gives how many it filled.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut free, mut count, mut skip) = (slices.iter_mut(), 0, self.offset);
        for segment in &self.segments {
            for octets in (0..).map_while(|n| segment.piece(n)) {
                let rest = octets.get(skip..).unwrap_or_default();
                skip = skip.saturating_sub(octets.len());
                if rest.is_empty() {
                    continue;
                }
                let Some(slice) = free.next() else { return count };
                *slice = IoSlice::new(rest);
                count += 1;
            }
        }
        count
    }

    /// All octets of what was put into it, in order; before any is written.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().flat_map(|segment| (0..).map_while(|n| segment.piece(n)))
    }

    /// Goes on by what was written; segments that are done go to `done`.
    pub(crate) fn advance(&mut self, octets: usize, mut done: impl FnMut(Segment)) {
        self.offset += octets;
        while let Some(len) = self.segments.front().map(Segment::len)
            && len <= self.offset
        {
            self.offset -= len;
            if let Some(front) = self.segments.pop_front() {
                done(front);
            }
        }
    }

    /// Gives up what is left.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> Chunk {
        let mut chunk = Chunk::with_room(Limits::DEFAULT);
        chunk.append(b"ab");
        chunk.insert(Bytes::from_static(b"CDE"));
        chunk.append(b"f");
        chunk.insert(Bytes::from_static(b"GH"));
        chunk
    }

    #[test]
    fn bodies_stand_where_they_were_put() {
        let chunk = chunk();
        assert_eq!(chunk.len(), 8);
        assert_eq!(Segment::Chunk(chunk).to_vec(), b"abCDEfGH");
        let frame = Segment::frame(5, Bytes::from_static(b"xy"));
        assert_eq!(frame.to_vec(), [FRAMING.body, 0, 5, 0, 0, 0, 2, b'x', b'y', FRAMING.end]);
    }

    #[test]
    fn whatever_is_written_at_once_the_octets_are_the_same() {
        for (slots, step) in [(1, 1), (2, 3), (64, 7), (64, 100)] {
            let mut queue = WriteQueue::default();
            queue.segments().push_back(Segment::Chunk(chunk()));
            queue.segments().push_back(Segment::frame(1, Bytes::from_static(b"z")));
            queue.segments().push_back(Segment::Chunk(chunk()));
            let (mut written, mut done) = (vec![], 0);
            while !queue.is_empty() {
                let mut slices = vec![IoSlice::new(&[]); slots];
                let count = queue.fill(&mut slices);
                assert!(count > 0 && slices[..count].iter().all(|slice| !slice.is_empty()));
                let some: Vec<u8> =
                    slices[..count].iter().flat_map(|s| s.iter()).take(step).copied().collect();
                written.extend_from_slice(&some);
                queue.advance(some.len(), |_| done += 1);
            }
            let frame = [FRAMING.body, 0, 1, 0, 0, 0, 1, b'z', FRAMING.end];
            assert_eq!(written, [&b"abCDEfGH"[..], &frame, b"abCDEfGH"].concat());
            assert_eq!(done, 3);
        }
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let mut chunk = chunk();
        let failed = chunk.write(|writer| {
            writer.octets(b"gone");
            Err(())
        });
        assert_eq!((failed, chunk.len()), (Err(()), 8));
        chunk.append(b"i");
        assert_eq!(Segment::Chunk(chunk).to_vec(), b"abCDEfGHi");
    }

    #[test]
    fn a_chunk_that_is_used_again_holds_nothing_of_before() {
        let mut chunk = chunk();
        chunk.clear();
        assert!(chunk.is_empty());
        chunk.append(b"x");
        assert_eq!(Segment::Chunk(chunk).to_vec(), b"x");
    }

    #[test]
    fn a_chunk_is_full_by_octets_and_by_bodies() {
        let mut chunk = Chunk::with_room(Limits::DEFAULT);
        assert!(chunk.is_empty() && !chunk.is_full());
        for _ in 0..BODIES_FULL {
            chunk.insert(Bytes::from_static(b"1"));
        }
        assert!(chunk.is_full());
        chunk.clear();
        assert!(!chunk.is_full());
        chunk.append(&[0; FULL]);
        assert!(chunk.is_full());
    }
}
