//! Deliveries without end: blocks of them, made once, in which only the delivery tags change.
//!
//! Consumers that nothing bounds share one block, in which they take turns. Each one that a prefetch or a
//! limit bounds has a block of its own, of which as much is sent as it may have. Called by the session; does
//! no I/O.

use amqp_types::protocol::basic;
use amqp_types::{EncodeError, ShortStr};
use bytes::BytesMut;

use super::channel::Channels;
use crate::frames;

/// Octets of a block, unless one round of its consumers has more.
const BLOCK: usize = 256 << 10;

/// What a queue's name asks for: `flood.<body octets>`, then
/// any of `.h<headers>`, `.x<batch>`, `.limit<count>`, `.after<consumers>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Octets of each body.
    body: usize,
    /// Entries of the table `headers`.
    headers: usize,
    /// Deliveries to one consumer before it is the next one's turn.
    batch: usize,
    /// Deliveries in all.
    limit: Option<u64>,
    /// Flooded consumers that the connection must have before any gets a delivery.
    after: usize,
}

impl Asked {
    /// `None` if it is a queue of any other name.
    pub(crate) fn parse(queue: &str) -> Option<Self> {
        let mut parts = queue.strip_prefix("flood.")?.split('.');
        let body = parts.next()?.parse().ok()?;
        let mut asked = Self { body, headers: 0, batch: 1, limit: None, after: 0 };
        for part in parts {
            if let Some(limit) = part.strip_prefix("limit") {
                asked.limit = Some(limit.parse().ok()?);
            } else if let Some(after) = part.strip_prefix("after") {
                asked.after = after.parse().ok()?;
            } else if let Some(headers) = part.strip_prefix('h') {
                asked.headers = headers.parse().ok()?;
            } else {
                asked.batch = part.strip_prefix('x')?.parse().ok().filter(|batch| *batch > 0)?;
            }
        }
        Some(asked)
    }
}

/// One flooded consumer.
#[derive(Debug)]
struct Flood {
    channel: u16,
    consumer_tag: ShortStr,
    asked: Asked,
    /// One delivery, and where in it the tag stands.
    unit: (BytesMut, usize),
    /// Deliveries that may still be sent; `None` is no bound.
    left: Option<u64>,
    /// Its block, if it is bounded.
    own: Option<Block>,
}

/// Deliveries behind each other.
#[derive(Debug, Default)]
struct Block {
    octets: Vec<u8>,
    marks: Vec<Mark>,
}

/// One delivery of a block.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Where its tag stands.
    tag_at: usize,
    /// Where it ends.
    end: usize,
    channel: u16,
    /// Its consumer's place in [`Floods::floods`].
    consumer: usize,
}

/// A part of a block, with the right tags: what is to be written next.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// The consumer whose block it is; `None` is the shared one.
    of: Option<usize>,
    from: usize,
    to: usize,
}

/// All floods of a connection.
#[derive(Debug, Default)]
pub(crate) struct Floods {
    /// Never shortened while the connection lasts, so that a place in it stays what it was.
    floods: Vec<Option<Flood>>,
    shared: Block,
    /// Consumers have come or gone since the shared block was made.
    stale: bool,
    chunk: Option<Chunk>,
    /// Flooded consumers that must be there before any gets a delivery.
    after: usize,
    /// Whose turn it is: 0 is the shared block, then the consumers.
    turn: usize,
}

impl Floods {
    /// Begins a flood. `prefetch` is what bounds it, if it is to be acknowledged.
    pub(crate) fn begin(
        &mut self,
        channel: u16,
        consumer_tag: ShortStr,
        asked: Asked,
        prefetch: Option<u16>,
        frame_max: usize,
    ) -> Result<(), EncodeError> {
        let unit = unit(channel, &consumer_tag, asked, frame_max)?;
        let left = match (prefetch.map(u64::from), asked.limit) {
            (Some(prefetch), Some(limit)) => Some(prefetch.min(limit)),
            (prefetch, limit) => prefetch.or(limit),
        };
        let consumer = self.floods.len();
        self.after = self.after.max(asked.after);
        let own = left.map(|left| {
            let mut block = Block::default();
            let mut count = (BLOCK / unit.0.len()).max(1);
            count = count.min(usize::try_from(left).unwrap_or(count).max(1));
            (0..count).for_each(|_| block.push(&unit, channel, consumer));
            block
        });
        self.stale |= own.is_none();
        // What the limit leaves after what may be sent before the first ack.
        let limit = asked.limit.map(|limit| limit - left.unwrap_or(0).min(limit));
        let asked = Asked { limit, ..asked };
        self.floods.push(Some(Flood { channel, consumer_tag, asked, unit, left, own }));
        Ok(())
    }

    /// Ends the flood of one consumer, or of all of a channel.
    pub(crate) fn end(&mut self, channel: u16, consumer_tag: Option<&ShortStr>) {
        for place in &mut self.floods {
            let ends = place.as_ref().is_some_and(|flood| {
                flood.channel == channel
                    && consumer_tag.is_none_or(|tag| *tag == flood.consumer_tag)
            });
            if ends && let Some(flood) = place.as_mut() {
                self.stale |= flood.own.is_none();
                flood.left = Some(0);
                // A block of which a part still has to be written stays.
                flood.asked.limit = Some(0);
            }
        }
    }

    /// A delivery of this consumer was settled.
    #[inline]
    pub(crate) fn settled(&mut self, consumer: usize) {
        if let Some(Some(flood)) = self.floods.get_mut(consumer) {
            match &mut flood.asked.limit {
                Some(0) => return,
                Some(limit) => *limit -= 1,
                None => {}
            }
            if let Some(left) = &mut flood.left {
                *left += 1;
            }
        }
    }

    /// What is to be written next, from [`wrote`](Self::wrote)'s place on; empty if nothing is.
    pub(crate) fn next(&mut self, channels: &mut Channels) -> Result<&[u8], EncodeError> {
        if self.chunk.is_none() {
            self.chunk = self.prepare(channels);
        }
        let Some(Chunk { of, from, to }) = self.chunk else { return Ok(&[]) };
        let block = match of {
            None => Some(&self.shared),
            Some(consumer) => self.flood(consumer).and_then(|flood| flood.own.as_ref()),
        };
        Ok(block.and_then(|block| block.octets.get(from..to)).unwrap_or(&[]))
    }

    /// So many octets of what [`next`](Self::next) gave were written.
    pub(crate) fn wrote(&mut self, octets: usize) {
        self.chunk = self.chunk.and_then(|chunk| {
            let from = chunk.from + octets;
            (from < chunk.to).then_some(Chunk { from, ..chunk })
        });
    }

    /// Whether something is half written: nothing else may be written before the rest of it.
    pub(crate) fn is_within_chunk(&self) -> bool {
        self.chunk.is_some()
    }

    fn flood(&self, consumer: usize) -> Option<&Flood> {
        self.floods.get(consumer).and_then(Option::as_ref)
    }

    /// The next chunk: of the shared block in whole, of a consumer's as much as it may have.
    fn prepare(&mut self, channels: &mut Channels) -> Option<Chunk> {
        if self.floods.len() < self.after {
            return None;
        }
        if self.stale {
            self.stale = false;
            self.share();
        }
        let turns = self.floods.len() + 1;
        for _ in 0..turns {
            let turn = self.turn;
            self.turn = (turn + 1) % turns;
            let Some(consumer) = turn.checked_sub(1) else {
                let count = self.shared.marks.len();
                if count > 0 {
                    let to = self.shared.stamp(count, channels);
                    return Some(Chunk { of: None, from: 0, to });
                }
                continue;
            };
            let Some(Some(flood)) = self.floods.get_mut(consumer) else { continue };
            let (Some(block), Some(left)) = (&mut flood.own, &mut flood.left) else { continue };
            let count = usize::try_from(*left).unwrap_or(usize::MAX).min(block.marks.len());
            if count > 0 {
                *left -= count as u64;
                let to = block.stamp(count, channels);
                return Some(Chunk { of: Some(consumer), from: 0, to });
            }
        }
        None
    }

    /// Makes the shared block: rounds over all consumers that nothing bounds.
    fn share(&mut self) {
        self.shared = Block::default();
        let unbounded =
            |flood: &&Option<Flood>| flood.as_ref().is_some_and(|flood| flood.left.is_none());
        if self.floods.iter().filter(unbounded).count() == 0 {
            return;
        }
        while self.shared.octets.len() < BLOCK {
            for (consumer, flood) in self.floods.iter().enumerate() {
                let Some(flood) = flood.as_ref().filter(|flood| flood.left.is_none()) else {
                    continue;
                };
                for _ in 0..flood.asked.batch {
                    self.shared.push(&flood.unit, flood.channel, consumer);
                }
            }
        }
    }
}

impl Block {
    fn push(&mut self, (unit, tag_at): &(BytesMut, usize), channel: u16, consumer: usize) {
        let tag_at = self.octets.len() + tag_at;
        self.octets.extend_from_slice(unit);
        self.marks.push(Mark { tag_at, end: self.octets.len(), channel, consumer });
    }

    /// Gives the first so many deliveries their tags, and tells where they end.
    fn stamp(&mut self, count: usize, channels: &mut Channels) -> usize {
        let mut end = 0;
        for mark in self.marks.iter().take(count) {
            let tag = channels.get(mark.channel).delivered(Some(mark.consumer));
            if let Some(place) = self.octets.get_mut(mark.tag_at..mark.tag_at + 8) {
                place.copy_from_slice(&tag.to_be_bytes());
            }
            end = mark.end;
        }
        end
    }
}

/// One delivery, and where in it the tag stands.
fn unit(
    channel: u16,
    consumer_tag: &ShortStr,
    asked: Asked,
    frame_max: usize,
) -> Result<(BytesMut, usize), EncodeError> {
    let mut octets = BytesMut::new();
    let deliver = basic::Deliver {
        consumer_tag: consumer_tag.clone(),
        routing_key: frames::short("flood"),
        ..Default::default()
    };
    frames::method(&mut octets, channel, &deliver)?;
    frames::content(&mut octets, channel, asked.headers, &frames::body(asked.body), frame_max)?;
    // Behind the frame's header, class, method and the consumer's tag.
    let tag_at = 7 + 4 + 1 + consumer_tag.len();
    Ok((octets, tag_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: usize) -> Asked {
        Asked { body, headers: 0, batch: 1, limit: None, after: 0 }
    }

    #[test]
    fn a_queues_name_says_what_is_asked_for() {
        assert_eq!(Asked::parse("flood.16"), Some(asked(16)));
        let all = Asked { body: 1024, headers: 10, batch: 3, limit: Some(7), after: 9 };
        assert_eq!(Asked::parse("flood.1024.h10.x3.limit7.after9"), Some(all));
        for other in ["flood", "flood.", "flood.16.", "flood.16.y", "flood.16.x0", "echo"] {
            assert_eq!(Asked::parse(other), None, "{other}");
        }
    }
}
