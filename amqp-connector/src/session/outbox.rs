//! Octets on their way to the socket: what the session has encoded and the driver has not written yet.
//!
//! Small contents go inline into chunks of one shared queue. A body above [`INLINE_MAX`] stays the user's
//! `Bytes` in its channel's own queue, later frames of that channel behind it, and the driver takes turns,
//! one frame each, between such channels and the shared queue: no large body delays another channel. Does
//! no I/O; filled under the session's lock by `session::send`, emptied by the driver.

use std::collections::VecDeque;

use amqp_types::protocol::FRAMING;
use bytes::{Bytes, BytesMut};

/// Bodies up to this many octets are copied into the shared queue.
pub(crate) const INLINE_MAX: usize = 64 << 10;
/// A chunk that holds this much is closed and a new one begun, so that no chunk is ever reallocated at a
/// size that would hold the lock for long.
const CHUNK: usize = 64 << 10;
/// Octets of the shared queue, and of large bodies, handed to the driver in one turn.
const TURN: usize = 512 << 10;
const SPARE_CHUNKS: usize = 8;

static FRAME_END: [u8; 1] = [FRAMING.end];

/// One contiguous piece of output.
pub(crate) enum Segment {
    /// Encoded frames; the buffer comes back by [`Outbox::recycle`].
    Chunk(BytesMut),
    /// A part of a large body, or of its frame's envelope.
    Shared(Bytes),
}

impl Segment {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Chunk(chunk) => chunk,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// What waits in the queue of a channel that has a large content under way.
pub(crate) enum LargeItem {
    /// Whole frames.
    Frames(BytesMut),
    /// The rest of a body, cut into frames as it is taken.
    Body(Bytes),
}

/// The shared queue, and the turns of the channels with large contents.
#[derive(Default)]
pub(crate) struct Outbox {
    ready: VecDeque<BytesMut>,
    tail: BytesMut,
    spare: Vec<BytesMut>,
    /// Channels with a large content, and how far the shared queue must be taken before their turn: what
    /// a channel sent before stands there.
    turns: VecDeque<(u16, u64)>,
    /// Counts the turns that the driver took, and the last one that it has written.
    round: u64,
    written_round: u64,
    /// Octets queued and not yet reported as written, large bodies included.
    outstanding: usize,
    /// Octets ever put into the shared queue, taken from it, and written: written <= taken <= queued.
    queued: u64,
    taken: u64,
    written: u64,
}

impl Outbox {
    /// The chunk to append frames to. The caller reports what it appended by [`Outbox::appended`].
    pub(crate) fn chunk(&mut self) -> &mut BytesMut {
        if self.tail.len() >= CHUNK {
            let fresh = self.spare.pop().unwrap_or_default();
            self.ready.push_back(std::mem::replace(&mut self.tail, fresh));
        }
        &mut self.tail
    }

    pub(crate) fn appended(&mut self, octets: usize) {
        self.outstanding += octets;
        self.queued += octets as u64;
    }

    /// Counts octets that wait in a channel's own queue, and gives the channel its turn.
    pub(crate) fn queued_large(&mut self, channel: u16, octets: usize, was_empty: bool) {
        self.outstanding += octets;
        if was_empty {
            self.turns.push_back((channel, self.queued));
        }
    }

    /// Octets that are not written yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Counts frames put behind a large body that is queued already.
    pub(crate) fn appended_large(&mut self, octets: usize) {
        self.outstanding += octets;
    }

    /// Where the shared queue ends now, to wait for by [`Outbox::written_to`].
    pub(crate) fn position(&self) -> u64 {
        self.queued
    }

    /// How far the shared queue is known to be written.
    pub(crate) fn written_to(&self) -> u64 {
        self.written
    }

    /// The driver has written all that it took.
    pub(crate) fn drained(&mut self) {
        self.written = self.taken;
        self.written_round = self.round;
    }

    /// The turn that the driver is taking.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// The last turn that is known to be written.
    pub(crate) fn written_round(&self) -> u64 {
        self.written_round
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.tail.is_empty() && self.turns.is_empty()
    }

    /// The driver wrote `octets`, or gave them up.
    pub(crate) fn written(&mut self, octets: usize) {
        self.outstanding = self.outstanding.saturating_sub(octets);
    }

    /// Takes back a written chunk. One that a burst has made large is given up instead.
    pub(crate) fn recycle(&mut self, mut chunk: BytesMut) {
        if chunk.capacity() <= 4 * CHUNK && self.spare.len() < SPARE_CHUNKS {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    /// Frees the buffers that a burst left behind; called when nothing is waiting.
    pub(crate) fn shrink(&mut self) {
        self.spare.truncate(1);
        self.ready.shrink_to(4);
    }

    /// Moves up to one turn of the shared queue to `out`.
    pub(crate) fn take_shared(&mut self, out: &mut VecDeque<Segment>) {
        self.round += 1;
        let mut budget = TURN;
        while let Some(chunk) = self.ready.pop_front() {
            budget = budget.saturating_sub(chunk.len());
            self.taken += chunk.len() as u64;
            out.push_back(Segment::Chunk(chunk));
            if budget == 0 {
                return;
            }
        }
        if !self.tail.is_empty() {
            let fresh = self.spare.pop().unwrap_or_default();
            self.taken += self.tail.len() as u64;
            out.push_back(Segment::Chunk(std::mem::replace(&mut self.tail, fresh)));
        }
    }

    /// Whether a channel has a large content under way.
    pub(crate) fn has_large(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The channels whose turn it is in this round, each to give one frame by [`take_frame`].
    pub(crate) fn next_turn(&mut self) -> Option<u16> {
        let taken = self.taken;
        let at = self.turns.iter().position(|(_, after)| *after <= taken)?;
        self.turns.remove(at).map(|(channel, _)| channel)
    }

    /// Gives a channel its next turn, behind the others.
    pub(crate) fn again(&mut self, channel: u16) {
        self.turns.push_back((channel, 0));
    }

    pub(crate) fn turn_budget() -> usize {
        TURN
    }

    /// Drops everything that was not taken; the connection is gone. Gives back nothing: chunks hold
    /// copies, never a user's buffer.
    pub(crate) fn clear(&mut self) {
        self.ready.clear();
        self.tail = BytesMut::new();
        self.spare.clear();
        self.turns.clear();
        self.outstanding = 0;
    }
}

/// Takes one frame from a channel's own queue; gives its size in octets, envelope included.
pub(crate) fn take_frame(
    queue: &mut VecDeque<LargeItem>,
    channel: u16,
    frame_max: u32,
    out: &mut VecDeque<Segment>,
) -> usize {
    match queue.pop_front() {
        None => 0,
        Some(LargeItem::Frames(frames)) => {
            let size = frames.len();
            out.push_back(Segment::Chunk(frames));
            size
        }
        Some(LargeItem::Body(mut rest)) => {
            let room = (frame_max as usize).saturating_sub(amqp_types::frame::OVERHEAD).max(1);
            let piece = rest.split_to(room.min(rest.len()));
            let size = piece.len() + amqp_types::frame::OVERHEAD;
            out.push_back(Segment::Shared(envelope(channel, piece.len())));
            out.push_back(Segment::Shared(piece));
            out.push_back(Segment::Shared(Bytes::from_static(&FRAME_END)));
            if !rest.is_empty() {
                queue.push_front(LargeItem::Body(rest));
            }
            size
        }
    }
}

/// The seven octets before a body frame's payload.
fn envelope(channel: u16, length: usize) -> Bytes {
    let mut header = [0_u8; 7];
    header[0] = FRAMING.body;
    header[1..3].copy_from_slice(&channel.to_be_bytes());
    // A piece is at most frame-max, which is a u32.
    header[3..7].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    Bytes::copy_from_slice(&header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_bounded_and_taken_in_order() {
        let mut outbox = Outbox::default();
        for n in 0..5_u8 {
            outbox.chunk().extend_from_slice(&vec![n; CHUNK]);
            outbox.appended(CHUNK);
        }
        assert_eq!(outbox.outstanding(), 5 * CHUNK);
        let mut out = VecDeque::new();
        outbox.take_shared(&mut out);
        let firsts: Vec<u8> = out.iter().map(|segment| segment.as_slice()[0]).collect();
        assert_eq!(firsts, [0, 1, 2, 3, 4]);
        assert!(out.iter().all(|segment| segment.as_slice().len() == CHUNK));
        outbox.drained();
        assert_eq!(outbox.written_to(), outbox.position());
        assert!(outbox.is_empty());
        outbox.written(5 * CHUNK);
        assert_eq!(outbox.outstanding(), 0);
    }

    #[test]
    fn a_large_body_leaves_frame_by_frame_without_a_copy() {
        let body = Bytes::from(vec![7_u8; 10_000]);
        let mut queue = VecDeque::from([LargeItem::Body(body.clone())]);
        let mut out = VecDeque::new();
        let mut sizes = vec![];
        while !queue.is_empty() {
            sizes.push(take_frame(&mut queue, 5, 4096, &mut out));
        }
        assert_eq!(sizes, [4096, 4096, 10_000 - 2 * 4088 + 8]);
        let pieces: Vec<_> = out.iter().filter(|s| s.as_slice().len() > 8).collect();
        assert_eq!(pieces[0].as_slice().as_ptr(), body.as_ptr());
        assert_eq!(out[0].as_slice(), [FRAMING.body, 0, 5, 0, 0, 0x0f, 0xf8]);
    }

    #[test]
    fn a_chunk_that_a_burst_made_large_is_given_up() {
        let mut outbox = Outbox::default();
        outbox.recycle(BytesMut::with_capacity(64 * CHUNK));
        assert!(outbox.spare.is_empty());
        for _ in 0..20 {
            outbox.recycle(BytesMut::with_capacity(CHUNK));
        }
        assert_eq!(outbox.spare.len(), SPARE_CHUNKS);
        outbox.shrink();
        assert_eq!(outbox.spare.len(), 1);
    }
}
