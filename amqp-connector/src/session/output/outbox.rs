//! Octets on their way to the socket: what the session has encoded and the driver has not written yet.
//!
//! Contents go into chunks of one shared queue. A body above [`SHARED_MAX`] stays in its channel's own queue,
//! later frames of that channel behind it, and the driver takes turns, one frame each, between such channels
//! and the shared queue: no large body delays another channel. Does no I/O; filled under the session's lock by
//! `session::output`, emptied by the driver.

use std::collections::VecDeque;

use amqp_types::wire::Limits;
use bytes::Bytes;

use crate::session::output::chunk::{Chunk, Segment};
use crate::session::stream::outgoing::OutgoingStream;

/// Bodies up to this many octets go into the shared queue.
pub(crate) const SHARED_MAX: usize = 64 << 10;
/// Octets of the shared queue, and of large bodies, handed to the driver in one turn.
const TURN: usize = 512 << 10;
/// Empty chunks kept for the next burst, as many as the outbound budget's default holds.
const SPARE_CHUNKS: usize = 64;

/// What waits in the queue of a channel that has a large content under way.
pub(crate) enum LargeItem {
    /// Whole frames.
    Frames(Chunk),
    /// The rest of a body, cut into frames as it is taken.
    Body(Bytes),
    /// A body that comes piece by piece.
    Stream(Box<OutgoingStream>),
}

/// The shared queue, and the turns of the channels with large contents.
#[derive(Default)]
pub(crate) struct Outbox {
    ready: VecDeque<Chunk>,
    tail: Chunk,
    spare: Vec<Chunk>,
    /// On the tables in what is sent.
    limits: Limits,
    /// Channels with a large content, and how far the shared queue must be taken before their turn: what
    /// a channel sent before stands there.
    turns: VecDeque<(u16, u64)>,
    /// Counts the turns that the driver took, and the last one that it has written.
    round: u64,
    written_round: u64,
    /// Octets put into the shared queue and not yet reported as written, and those of them that the driver has taken.
    shared: usize,
    shared_taken: usize,
    /// Octets put into channels' own queues and not yet reported as written.
    large: usize,
    /// Octets ever put into the shared queue, taken from it, and written: written <= taken <= queued.
    queued: u64,
    taken: u64,
    written: u64,
}

impl Outbox {
    /// One whose tables are held within these limits.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The chunk to append frames to. The caller reports what it appended by [`Outbox::appended`].
    #[inline]
    pub(crate) fn chunk(&mut self) -> &mut Chunk {
        if self.tail.is_full() || self.tail.is_unused() {
            self.begin_chunk();
        }
        &mut self.tail
    }

    /// An empty chunk.
    pub(crate) fn fresh(&mut self) -> Chunk {
        self.spare.pop().unwrap_or_else(|| Chunk::with_room(self.limits))
    }

    fn begin_chunk(&mut self) {
        let fresh = self.fresh();
        let full = std::mem::replace(&mut self.tail, fresh);
        if !full.is_empty() {
            self.ready.push_back(full);
        }
    }

    pub(crate) fn appended(&mut self, octets: usize) {
        self.shared += octets;
        self.queued += octets as u64;
    }

    /// Counts octets that wait in a channel's own queue, and gives the channel its turn.
    pub(crate) fn queued_large(&mut self, channel: u16, octets: usize, was_empty: bool) {
        self.large += octets;
        if was_empty {
            self.turns.push_back((channel, self.queued));
        }
    }

    /// Octets that are not written yet.
    #[inline]
    pub(crate) fn outstanding(&self) -> usize {
        self.shared + self.large
    }

    /// Those of them that were put into the shared queue.
    #[inline]
    pub(crate) fn shared(&self) -> usize {
        self.shared
    }

    /// Those of them that were put into channels' own queues.
    pub(crate) fn large(&self) -> usize {
        self.large
    }

    /// Counts frames put behind a large body that is queued already.
    pub(crate) fn appended_large(&mut self, octets: usize) {
        self.large += octets;
    }

    /// Where the shared queue ends now, to wait for by [`Outbox::written_to`].
    pub(crate) fn position(&self) -> u64 {
        self.queued
    }

    /// How far the shared queue is known to be written.
    pub(crate) fn written_to(&self) -> u64 {
        self.written
    }

    /// How far the shared queue is written, whether or not the transport has flushed it.
    pub(crate) fn shared_written(&self) -> u64 {
        self.taken - self.shared_taken as u64
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

    /// The driver wrote `octets`. In each turn it has those of the shared queue first.
    pub(crate) fn written(&mut self, octets: usize) {
        let shared = octets.min(self.shared_taken);
        self.shared_taken -= shared;
        self.shared = self.shared.saturating_sub(shared);
        self.gave_up_large(octets - shared);
    }

    /// So many octets of channels' own queues are written, or will never be.
    pub(crate) fn gave_up_large(&mut self, octets: usize) {
        self.large = self.large.saturating_sub(octets);
    }

    /// Takes back a written chunk, which was cleared. One that a burst has made large is given up instead.
    pub(crate) fn recycle(&mut self, chunk: Chunk) {
        if !chunk.is_oversized() && !chunk.is_unused() && self.spare.len() < SPARE_CHUNKS {
            self.spare.push(chunk);
        }
    }

    /// Frees the buffers that a burst left behind.
    pub(crate) fn tidy(&mut self) {
        self.spare = Vec::new();
        self.ready.shrink_to(4);
        if self.tail.is_empty() {
            self.tail = Chunk::default();
        }
    }

    /// Moves up to one turn of the shared queue to `out`.
    pub(crate) fn take_shared(&mut self, out: &mut VecDeque<Segment>) {
        self.round += 1;
        let mut budget = TURN;
        while let Some(chunk) = self.ready.pop_front() {
            budget = budget.saturating_sub(chunk.len());
            self.take(chunk.len());
            out.push_back(Segment::Chunk(chunk));
            if budget == 0 {
                return;
            }
        }
        if !self.tail.is_empty() {
            self.take(self.tail.len());
            let fresh = self.spare.pop().unwrap_or_default();
            out.push_back(Segment::Chunk(std::mem::replace(&mut self.tail, fresh)));
        }
    }

    fn take(&mut self, octets: usize) {
        self.taken += octets as u64;
        self.shared_taken += octets;
    }

    /// Whether a channel has a large content under way.
    pub(crate) fn has_large(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The channels whose turn it is in this round, each to give one frame by [`take_frame`].
    pub(crate) fn next_turn(&mut self) -> Option<u16> {
        let taken = self.taken;
        if let Some((_, after)) = self.turns.front()
            && *after <= taken
        {
            return self.turns.pop_front().map(|(channel, _)| channel);
        }
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

    /// Another transport takes the place of one that is gone: what was queued for that counts as given up, and where
    /// the queue ends now is no place in it.
    pub(crate) fn restart(&mut self) {
        self.queued += 1;
        (self.taken, self.written, self.written_round) = (self.queued, self.queued, self.round);
    }

    /// Gives up everything that was not taken; the connection is gone. Gives it back, to be dropped outside
    /// the lock: chunks may hold users' bodies.
    pub(crate) fn clear(&mut self) -> VecDeque<Chunk> {
        self.spare.clear();
        self.turns.clear();
        (self.shared, self.shared_taken, self.large) = (0, 0, 0);
        self.ready.push_back(std::mem::take(&mut self.tail));
        std::mem::take(&mut self.ready)
    }
}

/// Takes one frame from a channel's own queue, unless a stream is in front of it; gives its size in octets,
/// envelope included.
pub(crate) fn take_frame(
    queue: &mut VecDeque<LargeItem>,
    channel: u16,
    frame_max: u32,
    out: &mut VecDeque<Segment>,
) -> usize {
    match queue.front_mut() {
        Some(LargeItem::Body(rest)) => {
            let room = (frame_max as usize).saturating_sub(amqp_types::frame::OVERHEAD).max(1);
            let piece = rest.split_to(room.min(rest.len()));
            let over = rest.is_empty();
            let size = piece.len() + amqp_types::frame::OVERHEAD;
            out.push_back(Segment::frame(channel, piece));
            if over {
                queue.pop_front();
            }
            size
        }
        Some(LargeItem::Frames(frames)) => {
            let frames = std::mem::take(frames);
            queue.pop_front();
            let size = frames.len();
            out.push_back(Segment::Chunk(frames));
            size
        }
        Some(LargeItem::Stream(_)) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 64 << 10;

    #[test]
    fn chunks_are_bounded_and_taken_in_order() {
        let mut outbox = Outbox::default();
        for n in 0..5_u8 {
            outbox.chunk().append(&vec![n; CHUNK]);
            outbox.appended(CHUNK);
        }
        assert_eq!(outbox.outstanding(), 5 * CHUNK);
        let mut out = VecDeque::new();
        outbox.take_shared(&mut out);
        let firsts: Vec<u8> = out.iter().map(|segment| segment.to_vec()[0]).collect();
        assert_eq!(firsts, [0, 1, 2, 3, 4]);
        assert!(out.iter().all(|segment| segment.to_vec().len() == CHUNK));
        outbox.drained();
        assert_eq!(outbox.written_to(), outbox.position());
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
        let Some(Segment::Frame { body: first, .. }) = out.front() else { panic!("a frame") };
        assert_eq!(first.as_ptr(), body.as_ptr());
    }

    #[test]
    fn spare_chunks_are_bounded_and_go_when_it_is_quiet() {
        let mut outbox = Outbox::default();
        let mut grown = Chunk::with_room(Limits::DEFAULT);
        grown.append(&vec![0; 64 * CHUNK]);
        grown.clear();
        outbox.recycle(grown);
        assert!(outbox.spare.is_empty());
        for _ in 0..2 * SPARE_CHUNKS {
            outbox.recycle(Chunk::with_room(Limits::DEFAULT));
        }
        assert_eq!(outbox.spare.len(), SPARE_CHUNKS);
        outbox.chunk().append(b"x");
        outbox.tidy();
        assert!(outbox.spare.is_empty());
        let mut out = VecDeque::new();
        outbox.take_shared(&mut out);
        assert_eq!(out[0].to_vec(), b"x");
    }
}
