//! The memory that is read into: how much at once, and used again once nobody holds a part of it.
//!
//! Bodies of some KiB are parts of a read buffer till their owner drops them. A buffer that is full is put
//! aside, and taken again when all its parts are gone, since memory that was used lately is much cheaper to
//! read into than fresh memory. Called by the codec; does no I/O and looks into no octet.

use std::collections::VecDeque;

use bytes::BytesMut;

/// Octets asked of the transport at once: on a quiet connection, and where reads come back full.
pub(crate) const READ_MIN: usize = 16 << 10;
const READ_MAX: usize = 256 << 10;
/// Buffers put aside; one more and the oldest is left to those who hold its parts.
const ASIDE: usize = 16;

/// Buffers to read into.
#[derive(Debug)]
pub(crate) struct ReadBuffers {
    /// Handles of the buffers put aside, empty ones: what they hold belongs to others.
    aside: VecDeque<BytesMut>,
    /// Room to be made for the next read.
    size: usize,
    /// Octets taken since room was made last.
    taken: usize,
}

impl Default for ReadBuffers {
    fn default() -> Self {
        Self { aside: VecDeque::new(), size: READ_MIN, taken: 0 }
    }
}

impl ReadBuffers {
    /// Octets that were read have become frames.
    pub(crate) fn taken(&mut self, octets: usize) {
        self.taken += octets;
    }

    /// Makes room behind what `source` holds: for the `missing` octets of its first frame, and for a decent
    /// read.
    pub(crate) fn make_room(&mut self, source: &mut BytesMut, missing: usize) {
        let read = std::mem::take(&mut self.taken) + source.len();
        if read >= self.size / 2 {
            self.size = (self.size * 2).min(READ_MAX);
        } else if read < self.size / 32 {
            self.size = (self.size / 2).max(READ_MIN);
        }
        let wanted = missing.max(self.size / 2);
        if source.capacity() - source.len() >= wanted {
            return;
        }
        let room = missing.max(self.size);
        if source.capacity() > 0 && source.try_reclaim(room) {
            return;
        }
        let mut fresh = self.reuse(room + source.len());
        fresh.extend_from_slice(source);
        source.clear();
        let full = std::mem::replace(source, fresh);
        self.put_aside(full);
    }

    fn reuse(&mut self, room: usize) -> BytesMut {
        let free = self.aside.iter_mut().position(|buffer| buffer.try_reclaim(room));
        match free.and_then(|at| self.aside.remove(at)) {
            Some(buffer) => buffer,
            None => BytesMut::with_capacity(room),
        }
    }

    fn put_aside(&mut self, full: BytesMut) {
        // Smaller ones would never be taken again.
        self.aside.push_back(full);
        if self.aside.len() > ASIDE {
            self.aside.pop_front();
        }
    }

    /// Frees what was put aside, and a large `source` that holds nothing.
    pub(crate) fn tidy(&mut self, source: &mut BytesMut) {
        self.aside = VecDeque::new();
        self.size = READ_MIN;
        if source.is_empty() && source.capacity() > READ_MIN {
            *source = BytesMut::with_capacity(READ_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A read of `octets` that become a frame which somebody may keep.
    fn read(buffers: &mut ReadBuffers, source: &mut BytesMut, octets: usize) -> bytes::Bytes {
        buffers.make_room(source, 1);
        assert!(source.capacity() >= READ_MIN / 2);
        let octets = octets.min(source.capacity());
        source.resize(octets, 7);
        buffers.taken(octets);
        source.split_to(octets).freeze()
    }

    #[test]
    fn full_reads_grow_the_buffer_and_small_ones_shrink_it() {
        let (mut buffers, mut source) = (ReadBuffers::default(), BytesMut::new());
        for _ in 0..20 {
            drop(read(&mut buffers, &mut source, usize::MAX));
        }
        assert_eq!(buffers.size, READ_MAX);
        for _ in 0..20 {
            drop(read(&mut buffers, &mut source, 100));
        }
        assert_eq!(buffers.size, READ_MIN);
        buffers.tidy(&mut source);
        assert_eq!(source.capacity(), READ_MIN);
    }

    #[test]
    fn buffers_are_used_again_once_their_parts_are_gone() {
        let (mut buffers, mut source) = (ReadBuffers::default(), BytesMut::new());
        let mut places = std::collections::HashSet::new();
        let mut held = VecDeque::new();
        for round in 0..200 {
            let part = read(&mut buffers, &mut source, usize::MAX);
            if round >= 100 {
                places.insert(part.as_ptr());
            }
            held.push_back(part);
            if held.len() > 3 {
                held.pop_front();
            }
        }
        assert!(places.len() <= 6, "{} buffers for four parts", places.len());
    }

    #[test]
    fn parts_that_are_kept_for_ever_pin_no_more_than_themselves() {
        let (mut buffers, mut source) = (ReadBuffers::default(), BytesMut::new());
        let kept: Vec<_> = (0..100).map(|_| read(&mut buffers, &mut source, usize::MAX)).collect();
        assert!(buffers.aside.len() <= ASIDE);
        assert!(kept.iter().all(|part| part.iter().all(|octet| *octet == 7)));
    }
}
