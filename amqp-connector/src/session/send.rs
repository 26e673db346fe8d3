//! Encoding methods and contents into the outbox.
//!
//! Everything that leaves goes through here, so frame-max, contiguity per channel and the outbound count
//! are held in one place. A method that does not fit a frame leaves nothing behind. Never waits: whether
//! there is room is asked before.

use std::collections::VecDeque;

use amqp_types::content::ContentHeader;
use amqp_types::frame::{FrameKind, OVERHEAD};
use amqp_types::protocol::FRAMING;
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod, EncodeError, Method, Properties};
use bytes::{Bytes, BytesMut};

use super::Session;
use super::channel::ChannelState;
use super::outbox::{INLINE_MAX, LargeItem, Outbox, Segment, take_frame};
use crate::error::{Error, Result};

/// Appends one frame whose payload `encode` writes. On an error the buffer is as it was.
fn put_frame(
    buffer: &mut BytesMut,
    kind: FrameKind,
    channel: u16,
    frame_max: u32,
    encode: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<()> {
    let before = buffer.len();
    let start = FRAMING.begin(buffer, kind, channel);
    let encoded = encode(&mut Writer::new(buffer)).and_then(|()| FRAMING.end(buffer, start));
    let size = buffer.len() - before;
    let refused = match encoded {
        Err(error) => Error::from(error),
        Ok(()) if size > frame_max as usize => Error::invalid(match kind {
            FrameKind::Header => "the content's properties do not fit into one frame (frame-max)",
            _ => "the method's arguments do not fit into one frame (frame-max)",
        }),
        Ok(()) => return Ok(()),
    };
    buffer.truncate(before);
    Err(refused)
}

/// Appends the frames of a content up to its body.
fn put_content_start<M: Method, P: Properties>(
    buffer: &mut BytesMut,
    channel: u16,
    frame_max: u32,
    method: &M,
    properties: &P,
    body_size: usize,
) -> Result<()> {
    let before = buffer.len();
    put_frame(buffer, FrameKind::Method, channel, frame_max, |w| method.encode(w))?;
    put_frame(buffer, FrameKind::Header, channel, frame_max, |w| {
        ContentHeader::write(properties, body_size as u64, w)
    })
    .inspect_err(|_| buffer.truncate(before))
}

fn put_body(buffer: &mut BytesMut, channel: u16, frame_max: u32, body: &[u8]) -> Result<()> {
    let room = (frame_max as usize).saturating_sub(OVERHEAD).max(1);
    for piece in body.chunks(room) {
        let start = FRAMING.begin(buffer, FrameKind::Body, channel);
        buffer.extend_from_slice(piece);
        FRAMING.end(buffer, start)?;
    }
    Ok(())
}

/// Runs `encode` on the place where the channel's next frames belong, and counts what it wrote.
fn append<R>(
    outbox: &mut Outbox,
    large: &mut VecDeque<LargeItem>,
    encode: impl FnOnce(&mut BytesMut) -> Result<R>,
) -> Result<R> {
    match large.back_mut() {
        None => {
            let chunk = outbox.chunk();
            let before = chunk.len();
            let result = encode(chunk)?;
            let octets = chunk.len() - before;
            outbox.appended(octets);
            Ok(result)
        }
        // The channel's later frames must not overtake its large body.
        Some(LargeItem::Frames(frames)) => {
            let before = frames.len();
            let result = encode(frames)?;
            outbox.appended_large(frames.len() - before);
            Ok(result)
        }
        Some(LargeItem::Body(_)) => {
            let mut frames = BytesMut::new();
            let result = encode(&mut frames)?;
            outbox.appended_large(frames.len());
            large.push_back(LargeItem::Frames(frames));
            Ok(result)
        }
    }
}

impl Session {
    /// Encodes a method without content on channel 0.
    pub(super) fn send_control<M: AnyMethod>(&mut self, method: &M) -> Result<()> {
        let frame_max = self.tuning.frame_max;
        append(&mut self.outbox, &mut VecDeque::new(), |buffer| {
            put_frame(buffer, FrameKind::Method, 0, frame_max, |w| method.encode(w))
        })?;
        self.notify_driver();
        Ok(())
    }

    /// Encodes a method without content on channel `id`, whatever its phase.
    pub(super) fn send_method<M: AnyMethod>(&mut self, id: u16, method: &M) -> Result<()> {
        let frame_max = self.tuning.frame_max;
        let Some(channel) = self.channels.by_id(id) else { return Err(Error::stale(None)) };
        append(&mut self.outbox, &mut channel.large, |buffer| {
            put_frame(buffer, FrameKind::Method, id, frame_max, |w| method.encode(w))
        })?;
        self.notify_driver();
        Ok(())
    }

    /// Encodes a content: method, header and body frames, contiguous on their channel.
    pub(super) fn send_content<M: Method, P: Properties>(
        &mut self,
        id: u16,
        method: &M,
        properties: &P,
        body: &Bytes,
    ) -> Result<()> {
        let frame_max = self.tuning.frame_max;
        let Some(channel) = self.channels.by_id(id) else { return Err(Error::stale(None)) };
        let ChannelState { large, .. } = channel;
        if body.len() <= INLINE_MAX {
            append(&mut self.outbox, large, |buffer| {
                put_content_start(buffer, id, frame_max, method, properties, body.len())?;
                put_body(buffer, id, frame_max, body)
            })?;
        } else {
            let mut start = BytesMut::new();
            put_content_start(&mut start, id, frame_max, method, properties, body.len())?;
            let frames = body.len().div_ceil((frame_max as usize).saturating_sub(OVERHEAD).max(1));
            let octets = start.len() + body.len() + frames * OVERHEAD;
            let was_empty = large.is_empty();
            large.push_back(LargeItem::Frames(start));
            large.push_back(LargeItem::Body(body.clone()));
            self.outbox.queued_large(id, octets, was_empty);
        }
        self.notify_driver();
        Ok(())
    }

    /// Encodes a heartbeat.
    pub(super) fn send_heartbeat(&mut self) {
        let chunk = self.outbox.chunk();
        let before = chunk.len();
        FRAMING.put_heartbeat(chunk);
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
            let size = take_frame(&mut channel.large, id, self.tuning.frame_max, out);
            budget = budget.saturating_sub(size);
            channel.large_round = self.outbox.round();
            if channel.large.is_empty() {
                // A queue that held large items once should not keep their slots.
                channel.large.shrink_to(4);
                self.retire_if_closed(id);
            } else {
                self.outbox.again(id);
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
            self.outbox.written(octets);
        }
        if drained {
            self.outbox.drained();
            self.answers = 0;
            self.wake_flush_waiters();
            if self.outbox.is_empty() {
                self.outbox.shrink();
            }
        }
        self.wake_room();
    }

    pub(crate) fn recycle(&mut self, chunk: BytesMut) {
        self.outbox.recycle(chunk);
    }
}
