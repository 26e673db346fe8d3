//! [`Frames`]: many frames taken off a stream at once, and [`FrameRef`], a frame that is borrowed.
//!
//! Made by [`Framing::split`] for receivers. A frame of its own shares the buffer by counting
//! references, twice for each frame; here that is done once for all of them. Looks into no payload.

use std::fmt;

use bytes::Bytes;

use super::{Frame, FrameKind, Framing, HEADER_SIZE, OVERHEAD};
use crate::wire::Payload;

/// Whole frames, one behind the other, given out in order by [`next_frame`](Self::next_frame).
///
/// As long as it is there, or a [`Bytes`] made of one of its payloads is, the buffer that was read
/// into cannot be used again.
#[derive(Clone)]
pub struct Frames {
    framing: Framing,
    /// Invariant: nothing but whole frames, as [`Framing::split`] found them.
    octets: Bytes,
    /// Where the next frame begins, or the end.
    at: usize,
}

/// A frame whose payload is borrowed from the buffer it was read into. Shown by `Debug` as a [`Frame`] is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// What it holds.
    pub kind: FrameKind,
    /// The channel it belongs to; 0 is the connection itself.
    pub channel: u16,
    /// What it holds, without the octets around it.
    pub payload: Payload<'a>,
}

impl Frames {
    /// The caller vouches for whole frames.
    #[inline]
    pub(super) const fn new(framing: Framing, octets: Bytes) -> Self {
        Self { framing, octets, at: 0 }
    }

    /// The next frame. It is borrowed: its payload can be read, and kept by
    /// [`Payload::to_bytes`].
    #[inline]
    pub fn next_frame(&mut self) -> Option<FrameRef<'_>> {
        let header = self.octets.get(self.at..)?.first_chunk::<HEADER_SIZE>()?;
        let (kind, channel, size) = self.framing.header_of(header)?;
        let (start, len) = (self.at + HEADER_SIZE, usize::try_from(size).ok()?);
        let payload = Payload::part(&self.octets, start, len)?;
        self.at += len + OVERHEAD;
        Some(FrameRef { kind, channel, payload })
    }

    /// How many octets the frames take that were not given out yet, [`OVERHEAD`] included.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.octets.len() - self.at
    }

    /// Whether all frames were given out.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Their number of octets alone.
impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for FrameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::show("FrameRef", *self, f)
    }
}

impl FrameRef<'_> {
    /// The frame with a payload that shares the buffer's memory.
    #[must_use]
    pub fn to_frame(self) -> Frame {
        Frame { kind: self.kind, channel: self.channel, payload: self.payload.to_bytes() }
    }
}

impl<'a> From<&'a Frame> for FrameRef<'a> {
    #[inline]
    fn from(frame: &'a Frame) -> Self {
        Self { kind: frame.kind, channel: frame.channel, payload: (&frame.payload).into() }
    }
}
