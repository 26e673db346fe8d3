//! The memory that is read into: how much at once, and used again once nobody holds a part of it.
//!
//! Large pieces of bodies are parts of a read buffer till their owner drops them. A buffer that is full is put
//! aside, and taken again when all its parts are gone, since memory that was used lately is much cheaper to
//! read into than fresh memory. One part holds all of its buffer, so that buffers that may be held have a bound: once
//! they are so many, what is read is copied to where it is kept, until some of them are free again. Called by the codec;
//! does no I/O and looks into no octet.

use std::collections::VecDeque;

use amqp_types::content::Assembler;
use amqp_types::protocol::Spec;
use bytes::BytesMut;

/// Octets asked of the transport at once: on a quiet connection, and where reads come back full.
pub(crate) const READ_MIN: usize = 16 << 10;
const READ_MAX: usize = 256 << 10;
/// Buffers put aside, and their octets. While there are as many and parts of each are held, no other may be held.
const ASIDE: usize = 32;
const ASIDE_OCTETS: usize = 4 << 20;
/// A piece that is less than this part of its buffer is copied: it is not to hold so much more than itself.
const SMALL_PART: usize = 32;

/// Buffers to read into.
#[derive(Debug)]
pub(crate) struct ReadBuffers {
    aside: VecDeque<Aside>,
    /// The size of the present one.
    capacity: usize,
    /// Parts of the present one may be held.
    shared: bool,
    /// Room to be made for the next read.
    size: usize,
    /// Octets taken since room was made last.
    taken: usize,
}

/// A buffer put aside: an empty handle, since what it holds belongs to others.
#[derive(Debug)]
struct Aside {
    handle: BytesMut,
    /// The whole buffer's size.
    capacity: usize,
}

impl Aside {
    /// Whether nobody holds a part of it any more.
    fn is_free(&mut self) -> bool {
        self.handle.try_reclaim(self.capacity)
    }
}

impl Default for ReadBuffers {
    fn default() -> Self {
        Self { aside: VecDeque::new(), capacity: 0, shared: true, size: READ_MIN, taken: 0 }
    }
}

impl ReadBuffers {
    /// Octets that were read have become frames.
    pub(crate) fn taken(&mut self, octets: usize) {
        self.taken += octets;
    }

    /// Up to how many octets of what was read last are to be copied by whoever keeps them.
    pub(crate) fn copy_max(&self) -> usize {
        match self.shared {
            true => (self.capacity / SMALL_PART).max(Assembler::<Spec>::COPY_MAX),
            false => usize::MAX,
        }
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
            // Nobody holds a part of it.
            self.shared = self.shared || self.has_place();
            return;
        }
        let (mut fresh, capacity) = self.reuse(room + source.len());
        fresh.extend_from_slice(source);
        source.clear();
        let handle = std::mem::replace(source, fresh);
        self.put_aside(handle);
        self.capacity = capacity;
        self.shared = self.has_place();
    }

    /// Room for so many octets, and how large the buffer is.
    fn reuse(&mut self, room: usize) -> (BytesMut, usize) {
        let fits = |it: &mut Aside| it.capacity >= room && it.is_free();
        let free = self.aside.iter_mut().position(fits);
        match free.and_then(|at| self.aside.remove(at)) {
            Some(Aside { handle, capacity }) => (handle, capacity),
            None => {
                let fresh = BytesMut::with_capacity(room);
                let capacity = fresh.capacity();
                (fresh, capacity)
            }
        }
    }

    /// Whether the present buffer may be put aside while parts of it are held. Lets go of what is free if there are
    /// too many.
    fn has_place(&mut self) -> bool {
        let fits = |aside: &VecDeque<Aside>| {
            let octets: usize = aside.iter().map(|it| it.capacity).sum();
            aside.len() < ASIDE && octets + self.capacity <= ASIDE_OCTETS
        };
        if fits(&self.aside) {
            return true;
        }
        self.aside.retain_mut(|it| !it.is_free());
        fits(&self.aside)
    }

    /// What nobody may hold a part of needs no looking after.
    fn put_aside(&mut self, handle: BytesMut) {
        if self.shared && self.capacity > 0 {
            self.aside.push_back(Aside { handle, capacity: self.capacity });
        }
    }

    /// Frees what was put aside and is not held, and a large `source` that holds nothing.
    pub(crate) fn tidy(&mut self, source: &mut BytesMut) {
        self.size = READ_MIN;
        let large = source.is_empty() && self.capacity > READ_MIN;
        if large {
            let handle = std::mem::replace(source, BytesMut::with_capacity(READ_MIN));
            self.put_aside(handle);
            self.capacity = source.capacity();
        }
        self.aside.retain_mut(|it| !it.is_free());
        self.aside.shrink_to_fit();
        if large {
            self.shared = self.has_place();
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
    fn parts_that_are_kept_for_ever_hold_so_many_octets_of_buffers_and_no_more() {
        let (mut buffers, mut source) = (ReadBuffers::default(), BytesMut::new());
        let mut held = Vec::new();
        let mut hold = |buffers: &mut ReadBuffers, source: &mut BytesMut, release: usize| {
            held.truncate(held.len() - release);
            for _ in 0..200 {
                let part = read(buffers, source, usize::MAX);
                if buffers.copy_max() < usize::MAX {
                    held.push(part);
                }
            }
            assert_eq!(buffers.copy_max(), usize::MAX);
            assert!(held.iter().all(|part| part.iter().all(|octet| *octet == 7)));
            let octets: usize = held.iter().map(bytes::Bytes::len).sum();
            assert!(octets > ASIDE_OCTETS * 3 / 4 && octets <= ASIDE_OCTETS, "{octets}");
            held.len()
        };
        let all = hold(&mut buffers, &mut source, 0);
        buffers.tidy(&mut source);
        let after_a_pause = hold(&mut buffers, &mut source, 0);
        assert!(after_a_pause <= all + 4, "a pause frees none that is held");
        hold(&mut buffers, &mut source, all / 2);
    }

    #[test]
    fn small_parts_of_large_buffers_are_to_be_copied() {
        let (mut buffers, mut source) = (ReadBuffers::default(), BytesMut::new());
        drop(read(&mut buffers, &mut source, 100));
        assert_eq!(buffers.copy_max(), 4 << 10);
        for _ in 0..20 {
            drop(read(&mut buffers, &mut source, usize::MAX));
        }
        assert_eq!(buffers.copy_max(), READ_MAX / SMALL_PART);
    }
}
