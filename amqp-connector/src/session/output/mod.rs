//! Encoding methods and contents into the outbox.
//!
//! Everything that leaves goes through here, so frame-max, contiguity per channel and the outbound count
//! are held in one place. A method that does not fit a frame leaves nothing behind. Never waits: whether
//! there is room is asked before.

pub(in crate::session) mod chunk;
pub(in crate::session) mod outbox;

use std::collections::VecDeque;

use amqp_types::content::ContentHeader;
use amqp_types::frame::{FrameKind, OVERHEAD};
use amqp_types::protocol::FRAMING;
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod, EncodeError, Method, Properties};
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::session::Session;
use crate::session::channel::ChannelState;
use crate::session::output::chunk::{Chunk, Segment};
use crate::session::output::outbox::{LargeItem, Outbox, SHARED_MAX, take_frame};

/// Bodies up to this many octets are copied behind their header; larger ones are written from where they
/// are, by vectored writes.
const COPY_MAX: usize = 8 << 10;

/// Writes one frame whose payload `encode` writes.
#[inline]
pub(in crate::session) fn put_frame(
    writer: &mut Writer<'_>,
    kind: FrameKind,
    channel: u16,
    frame_max: u32,
    encode: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<()> {
    let before = writer.position();
    FRAMING.write(writer, kind, channel, u32::MAX, encode)?;
    if writer.position() - before > frame_max as usize {
        return Err(beyond_frame_max(kind));
    }
    Ok(())
}

#[cold]
fn beyond_frame_max(kind: FrameKind) -> Error {
    Error::invalid(match kind {
        FrameKind::Header => "the content's properties do not fit into one frame (frame-max)",
        _ => "the method's arguments do not fit into one frame (frame-max)",
    })
}

/// Appends the frames of a content, up to its body unless that is small.
fn put_start(
    chunk: &mut Chunk,
    channel: u16,
    frame_max: u32,
    method: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    header: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    body: &Bytes,
) -> Result<()> {
    chunk.write(|writer| {
        put_frame(writer, FrameKind::Method, channel, frame_max, method)?;
        put_frame(writer, FrameKind::Header, channel, frame_max, header)?;
        if body.len() <= COPY_MAX {
            copy_body(writer, channel, frame_max, body);
        }
        Ok(())
    })
}

/// Writes the frames of a small body.
#[inline(always)]
fn copy_body(writer: &mut Writer<'_>, channel: u16, frame_max: u32, mut rest: &[u8]) {
    while !rest.is_empty() {
        let part;
        (part, rest) = rest.split_at_checked(body_room(frame_max)).unwrap_or((rest, &[]));
        // Shorter than frame-max, which is a u32.
        let size = u32::try_from(part.len()).unwrap_or(u32::MAX);
        writer.octets(&FRAMING.header_octets(FrameKind::Body, channel, size));
        writer.octets(part);
        writer.octet(FRAMING.end);
    }
}

/// Puts a body between the octets of its frames.
fn insert_body(chunk: &mut Chunk, channel: u16, frame_max: u32, body: &Bytes) {
    let mut rest = body.clone();
    while !rest.is_empty() {
        let part = rest.split_to(body_room(frame_max).min(rest.len()));
        let size = u32::try_from(part.len()).unwrap_or(u32::MAX);
        chunk.append(&FRAMING.header_octets(FrameKind::Body, channel, size));
        chunk.insert(part);
        chunk.append(&[FRAMING.end]);
    }
}

/// Octets of a body that one frame takes.
pub(in crate::session) fn body_room(frame_max: u32) -> usize {
    (frame_max as usize).saturating_sub(OVERHEAD).max(1)
}

/// Runs `encode` on the place where the channel's next frames belong, and counts what it wrote.
#[inline]
fn append(
    outbox: &mut Outbox,
    channel: Option<&mut ChannelState>,
    encode: impl FnOnce(&mut Chunk) -> Result<()>,
) -> Result<()> {
    // The channel's later frames must not overtake its large body.
    let Some(channel) = channel.filter(|channel| !channel.large.is_empty()) else {
        let chunk = outbox.chunk();
        let before = chunk.len();
        encode(chunk)?;
        let octets = chunk.len() - before;
        outbox.appended(octets);
        return Ok(());
    };
    if let Some(LargeItem::Frames(chunk)) = channel.large.back_mut()
        && !chunk.is_full()
    {
        let before = chunk.len();
        encode(chunk)?;
        let octets = chunk.len() - before;
        outbox.appended_large(octets);
        channel.large_octets += octets;
        return Ok(());
    }
    let mut chunk = outbox.fresh();
    if let Err(error) = encode(&mut chunk) {
        outbox.recycle(chunk);
        return Err(error);
    }
    outbox.appended_large(chunk.len());
    channel.large_octets += chunk.len();
    channel.large.push_back(LargeItem::Frames(chunk));
    Ok(())
}

/// Encodes a content behind what its channel has sent: the frames of what `method` and `header` write, and those of the
/// body. Each caller has a copy of its own, so that none makes the path of publishes longer.
#[inline]
pub(in crate::session) fn put_content(
    outbox: &mut Outbox,
    channel: &mut ChannelState,
    frame_max: u32,
    method: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    header: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    body: &Bytes,
) -> Result<()> {
    let (id, size) = (channel.key.id, body.len());
    if size <= SHARED_MAX {
        return append(outbox, Some(channel), |chunk| {
            put_start(chunk, id, frame_max, method, header, body)?;
            if size > COPY_MAX {
                insert_body(chunk, id, frame_max, body);
            }
            Ok(())
        });
    }
    let mut start = outbox.fresh();
    let put = put_start(&mut start, id, frame_max, method, header, body);
    if put.is_err() {
        outbox.recycle(start);
        return put;
    }
    let frames = size.div_ceil(body_room(frame_max));
    let octets = start.len() + size + frames * OVERHEAD;
    let was_empty = channel.large.is_empty();
    channel.large.push_back(LargeItem::Frames(start));
    channel.large.push_back(LargeItem::Body(body.clone()));
    channel.large_octets += octets;
    outbox.queued_large(id, octets, was_empty);
    Ok(())
}

/// Encodes a method without content behind what its channel has sent.
#[inline]
pub(in crate::session) fn put_method(
    outbox: &mut Outbox,
    channel: &mut ChannelState,
    frame_max: u32,
    encode: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<()> {
    let id = channel.key.id;
    append(outbox, Some(channel), |chunk| {
        chunk.write(|writer| put_frame(writer, FrameKind::Method, id, frame_max, encode))
    })
}

impl Session {
    /// Encodes a method without content on channel 0.
    pub(in crate::session) fn send_control<M: AnyMethod>(&mut self, method: &M) -> Result<()> {
        let frame_max = self.tuning.frame_max;
        append(&mut self.outbox, None, |chunk| {
            chunk.write(|writer| {
                put_frame(writer, FrameKind::Method, 0, frame_max, |w| method.encode(w))
            })
        })?;
        self.notify_driver();
        Ok(())
    }

    /// Encodes a method without content on channel `id`, whatever its phase.
    pub(in crate::session) fn send_method<M: AnyMethod>(
        &mut self,
        id: u16,
        method: &M,
    ) -> Result<()> {
        self.send_on(id, |writer| method.encode(writer))
    }

    /// As [`send_method`](Self::send_method), of one method's own type: cheaper where there are many.
    #[inline]
    pub(in crate::session) fn send_one<M: Method>(&mut self, id: u16, method: &M) -> Result<()> {
        self.send_on(id, |writer| method.encode(writer))
    }

    /// Whether a method fits a frame, asked before something is sent that is of no use without it.
    pub(crate) fn check_fits<M: AnyMethod>(&mut self, id: u16, method: &M) -> Result<()> {
        let frame_max = self.tuning.frame_max;
        let mut fits = Ok(());
        // It is written and taken back.
        let _: Result<(), ()> = self.outbox.chunk().write(|writer| {
            let encode = |writer: &mut Writer<'_>| method.encode(writer);
            fits = put_frame(writer, FrameKind::Method, id, frame_max, encode);
            Err(())
        });
        fits
    }

    #[inline]
    fn send_on(
        &mut self,
        id: u16,
        encode: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> Result<()> {
        let frame_max = self.tuning.frame_max;
        let Some(channel) = self.channels.by_id(id) else { return Err(Error::stale(None)) };
        put_method(&mut self.outbox, channel, frame_max, encode)?;
        self.notify_driver();
        Ok(())
    }

    /// Encodes a content: method, header and body frames, contiguous on their channel.
    pub(in crate::session) fn send_content<M: Method, P: Properties>(
        &mut self,
        id: u16,
        method: &M,
        properties: &P,
        body: &Bytes,
    ) -> Result<()> {
        let Some(channel) = self.channels.by_id(id) else { return Err(Error::stale(None)) };
        let frame_max = self.tuning.frame_max;
        let size = body.len() as u64;
        let method = |writer: &mut Writer<'_>| method.encode(writer);
        let header = |writer: &mut Writer<'_>| ContentHeader::write(properties, size, writer);
        put_content(&mut self.outbox, channel, frame_max, method, header, body)?;
        self.notify_driver();
        Ok(())
    }

    /// Encodes a heartbeat.
    pub(in crate::session) fn send_heartbeat(&mut self) {
        let chunk = self.outbox.chunk();
        let before = chunk.len();
        chunk.append(&FRAMING.header_octets(FrameKind::Heartbeat, 0, 0));
        chunk.append(&[FRAMING.end]);
        let octets = chunk.len() - before;
        self.outbox.appended(octets);
    }

    /// Moves output to the driver: a turn of the shared queue, then a frame of each channel that has a
    /// large content under way.
    pub(crate) fn take_output(&mut self, out: &mut VecDeque<Segment>) {
        self.outbox.take_shared(out);
        let mut budget = Outbox::turn_budget();
        while budget > 0 {
            let Some(id) = self.outbox.next_turn() else { break };
            let Some(channel) = self.channels.by_id(id) else { continue };
            let frame_max = self.tuning.frame_max;
            let items = channel.large.len();
            let mut size = take_frame(&mut channel.large, id, frame_max, out);
            if size == 0 {
                size = channel.take_streamed(frame_max, out, &mut self.outbox, &mut self.effects);
            }
            budget = budget.saturating_sub(size);
            channel.large_octets = channel.large_octets.saturating_sub(size);
            channel.large_round = self.outbox.round();
            if channel.large.len() < items {
                channel.large_taken += 1;
                self.unsent.note_taken();
            }
            let waiting = channel.is_short().then_some(channel.key);
            if channel.large.is_empty() {
                // A queue that held large items once should not keep their slots.
                channel.large.shrink_to(4);
                self.retire_if_closed(id);
            } else if size > 0 {
                self.outbox.again(id);
            }
            if let Some(key) = waiting {
                self.wake_behind(key);
            }
        }
        if !self.outbox.has_large()
            && let Some(close) = self.close_behind.take()
        {
            let _ = self.send_control(&close.into_any());
            self.outbox.take_shared(out);
        }
    }

    /// The driver wrote `octets`; `drained`: everything it had taken.
    pub(crate) fn handle_written(
        &mut self,
        octets: usize,
        drained: bool,
        now: tokio::time::Instant,
    ) {
        if octets > 0 {
            self.heartbeat.sent(now);
            self.note_moved(octets, now);
            self.outbox.written(octets);
        }
        if drained {
            self.outbox.drained();
            (self.answers, self.sent_back) = (0, 0);
            self.wake_flush_waiters();
        }
        if !self.unsent.is_empty() {
            self.look_for_sent(drained);
        }
        self.wake_room();
        if !self.waiting_behind.is_empty() {
            self.wake_all_behind();
        }
    }

    pub(crate) fn recycle(&mut self, chunk: Chunk) {
        self.outbox.recycle(chunk);
    }
}
