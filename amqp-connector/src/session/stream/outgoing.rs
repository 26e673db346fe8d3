//! A content whose body comes piece by piece: its place in the channel's queue, and the room for its pieces.
//!
//! Called by the futures of `crate::publish::stream`. The driver takes the pieces by turns with other channels'
//! output, and makes the zeros of a stream that broke by itself. How one breaks is told in `breaking`.

use std::collections::VecDeque;
use std::panic::Location;
use std::task::{Poll, ready};

use amqp_types::content::ContentHeader;
use amqp_types::frame::{FrameKind, OVERHEAD};
use amqp_types::protocol::{self, Method, basic};
use amqp_types::{AnyMethod as _, Method as _, Properties as _};
use bytes::Bytes;

use crate::error::{Error, Result};
use crate::session::Caller;
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::output::chunk::{Chunk, Segment};
use crate::session::output::outbox::{LargeItem, Outbox};
use crate::session::output::{body_room, put_frame};
use crate::session::{Effects, Message, Place, Session};

/// Octets of a stream that may wait to be written before its source is left alone.
const WINDOW: usize = 512 << 10;
/// What a piece counts besides its octets.
const PIECE: usize = 64;

/// What a broken stream is completed with.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What a streamed publish begins with.
///
/// Method and properties are of no type of their own: encoders that are used in one more place would not be inlined
/// where plain publishes are encoded.
pub(crate) struct StreamHead {
    method: Method,
    header: ContentHeader<protocol::Properties>,
    /// It may come back.
    mandatory: bool,
    /// Where it goes, and who sends it.
    address: basic::Publish,
    place: &'static Location<'static>,
    /// Octets that may be made up to complete it, if it breaks.
    padding_max: u64,
}

impl StreamHead {
    pub(crate) fn new(
        message: Message,
        length: u64,
        padding_max: u64,
        place: &'static Location<'static>,
    ) -> Self {
        let Message { publish, properties, .. } = message;
        Self {
            mandatory: publish.mandatory || publish.immediate,
            address: publish.clone(),
            place,
            method: publish.into_any(),
            header: ContentHeader {
                body_size: length,
                properties: properties.unwrap_or_default().into_any(),
            },
            padding_max,
        }
    }
}

/// A body under way, in its place among what its channel sends.
pub(crate) struct OutgoingStream {
    pub(super) length: u64,
    /// Octets that were neither given nor made up yet.
    pub(super) missing: u64,
    pub(super) padding_max: u64,
    /// It broke: what is missing is made up.
    pub(super) padding: bool,
    /// Its source is left alone till less waits.
    full: bool,
    pieces: VecDeque<Bytes>,
    /// What they count.
    queued: usize,
    /// Its channel has no turn: there was nothing to take.
    pub(super) parked: bool,
}

/// What a turn took of a stream.
struct Taken {
    /// Octets of the frame; none if there was nothing to take.
    size: usize,
    /// They were made up, and are not counted in the outbox yet.
    made_up: bool,
    /// The source may be asked again.
    wanted: bool,
}

impl OutgoingStream {
    fn is_complete(&self) -> bool {
        self.missing == 0 && self.pieces.is_empty()
    }

    /// Takes one frame of it.
    fn take(&mut self, channel: u16, frame_max: u32, out: &mut VecDeque<Segment>) -> Taken {
        let room = body_room(frame_max);
        let (piece, made_up) = match self.pieces.pop_front() {
            Some(mut rest) => {
                let piece = rest.split_to(room.min(rest.len()));
                self.queued -= piece.len();
                match rest.is_empty() {
                    true => self.queued -= PIECE,
                    false => self.pieces.push_front(rest),
                }
                (piece, false)
            }
            None if self.padding => {
                let size = usize::try_from(self.missing).unwrap_or(usize::MAX);
                let zeros = ZEROS.get(..size.min(room)).unwrap_or(&ZEROS);
                self.missing = self.missing.saturating_sub(zeros.len() as u64);
                (Bytes::from_static(zeros), true)
            }
            None => (Bytes::new(), false),
        };
        if piece.is_empty() {
            self.parked = self.missing > 0;
            return Taken { size: 0, made_up: false, wanted: false };
        }
        let size = piece.len() + OVERHEAD;
        out.push_back(Segment::frame(channel, piece));
        let wanted = self.full && self.queued <= WINDOW / 2;
        self.full &= !wanted;
        Taken { size, made_up, wanted }
    }
}

/// What the item counts in the outbox.
pub(super) fn octets_of(item: &LargeItem, frame_max: u32) -> usize {
    match item {
        LargeItem::Frames(chunk) => chunk.len(),
        LargeItem::Body(body) => framed(body.len(), frame_max),
        LargeItem::Stream(stream) => {
            stream.pieces.iter().map(|piece| framed(piece.len(), frame_max)).sum()
        }
    }
}

/// The octets of a piece with its frames around it.
fn framed(size: usize, frame_max: u32) -> usize {
    size + size.div_ceil(body_room(frame_max)) * OVERHEAD
}

impl ChannelState {
    /// The body under way that is not all given yet.
    pub(super) fn outgoing(&mut self) -> Option<&mut OutgoingStream> {
        self.large.iter_mut().rev().find_map(|item| match item {
            LargeItem::Stream(stream) if stream.missing > 0 => Some(&mut **stream),
            _ => None,
        })
    }

    /// Takes a frame of the stream in front of the channel's own queue; gives its size in octets. With none the
    /// channel has no turn till more of the stream is given.
    #[cold]
    pub(in crate::session) fn take_streamed(
        &mut self,
        frame_max: u32,
        out: &mut VecDeque<Segment>,
        outbox: &mut Outbox,
        effects: &mut Effects,
    ) -> usize {
        let Some(LargeItem::Stream(stream)) = self.large.front_mut() else { return 0 };
        let taken = stream.take(self.key.id, frame_max, out);
        if stream.is_complete() {
            self.large.pop_front();
        }
        if taken.made_up {
            outbox.appended_large(taken.size);
            self.large_octets += taken.size;
        }
        if taken.wanted {
            effects.wake(self.source.take());
        }
        taken.size
    }
}

impl Session {
    /// Makes the channel the stream's own, once a publish may go on it. Nothing is sent yet.
    pub(crate) fn poll_claim(
        &mut self,
        key: ChannelKey,
        head: &StreamHead,
        place: &mut Place,
        waker: &dyn Caller,
    ) -> Poll<Result<()>> {
        ready!(self.wait_to_pass(key, 0, place, Some(waker)))?;
        self.leave(key, place);
        let Some(channel) = self.channels.get(key) else {
            return Poll::Ready(Err(Error::stale(None)));
        };
        if channel.confirms.is_some() && head.mandatory {
            let text = "a streamed message is not kept, so on a channel in confirm mode one that comes back \
                        could not be told from others: leave out mandatory and immediate";
            self.unspend(key);
            return Poll::Ready(Err(Error::invalid(text)));
        }
        channel.set_streaming(|streaming| streaming.publishing = true);
        Poll::Ready(Ok(()))
    }

    /// Waits until the source may be asked for its next piece, or the stream cannot go on.
    pub(crate) fn poll_source_room(
        &mut self,
        key: ChannelKey,
        own: bool,
        place: &mut Place,
        waker: &dyn Caller,
    ) -> Poll<Result<()>> {
        let size = body_room(self.tuning.frame_max);
        let refused = self.refuses_publishes();
        let channel = match self.live_channel(key) {
            Ok(channel) => channel,
            Err(error) => {
                self.leave(key, place);
                return Poll::Ready(Err(error));
            }
        };
        if let Some(error) = refused
            && channel.can_take_back(own)
        {
            self.leave(key, place);
            return Poll::Ready(Err(error));
        }
        let full = channel.outgoing().is_some_and(|stream| {
            stream.full |= stream.queued >= WINDOW;
            stream.full
        });
        if full {
            self.keep_source(key, waker);
            self.leave(key, place);
            return Poll::Pending;
        }
        let passed = self.pass_behind(key, size, place, Some(waker));
        match passed.is_pending() {
            true => self.keep_source(key, waker),
            false => self.leave(key, place),
        }
        passed
    }

    /// While the source has nothing: waits until the stream cannot go on, because its channel has ended, or the
    /// peer blocks us and nobody is to wait for that.
    pub(crate) fn poll_interrupted(
        &mut self,
        key: ChannelKey,
        own: bool,
        waker: &dyn Caller,
    ) -> Poll<()> {
        let refused = self.refuses_publishes().is_some();
        let Ok(channel) = self.live_channel(key) else { return Poll::Ready(()) };
        if refused && channel.can_take_back(own) {
            return Poll::Ready(());
        }
        self.keep_source(key, waker);
        Poll::Pending
    }

    fn keep_source(&mut self, key: ChannelKey, waker: &dyn Caller) {
        if let Some(channel) = self.channels.get(key) {
            self.effects.keep(&mut channel.source, waker);
        }
    }

    /// Adds a piece, which is taken; the first one sends what stands before the body. Gives the confirm tag with
    /// the first one. The last one gives the channel back to everybody.
    pub(crate) fn push_piece(
        &mut self,
        key: ChannelKey,
        head: &mut StreamHead,
        begun: bool,
        piece: &mut Bytes,
    ) -> Result<Option<u64>> {
        let tag = match begun {
            true => None,
            false => self.begin_stream(key, head)?,
        };
        let frame_max = self.tuning.frame_max;
        let channel = self.live_channel(key)?;
        if let Some(stream) = channel.outgoing()
            && !piece.is_empty()
        {
            let size = piece.len();
            stream.missing = stream.missing.saturating_sub(size as u64);
            stream.queued += size + PIECE;
            stream.pieces.push_back(std::mem::take(piece));
            let (parked, complete) = (std::mem::take(&mut stream.parked), stream.missing == 0);
            channel.large_octets += framed(size, frame_max);
            if complete {
                channel.set_streaming(|streaming| streaming.publishing = false);
                let source = channel.source.take();
                self.effects.discard_waker(source);
            }
            self.outbox.appended_large(framed(size, frame_max));
            if parked {
                self.outbox.again(key.id);
            }
        }
        self.notify_driver();
        Ok(tag)
    }

    /// Whether what stands before the body can be sent.
    pub(crate) fn check_head(&mut self, head: &StreamHead) -> Result<()> {
        let mut start = self.encode_head(0, head)?;
        // There is no body in it.
        start.clear();
        self.outbox.recycle(start);
        Ok(())
    }

    fn encode_head(&mut self, id: u16, head: &StreamHead) -> Result<Chunk> {
        let frame_max = self.tuning.frame_max;
        let mut start = self.outbox.fresh();
        let put = start.write(|writer| {
            put_frame(writer, FrameKind::Method, id, frame_max, |w| head.method.encode(w))?;
            put_frame(writer, FrameKind::Header, id, frame_max, |w| head.header.encode_any(w))
        });
        match put {
            Ok(()) => Ok(start),
            Err(error) => {
                self.outbox.recycle(start);
                Err(error)
            }
        }
    }

    /// Sends what stands before the body.
    fn begin_stream(&mut self, key: ChannelKey, head: &mut StreamHead) -> Result<Option<u64>> {
        let length = head.header.body_size;
        self.live_channel(key)?;
        self.stamp(key, &mut head.method);
        let start = self.encode_head(key.id, head)?;
        let Some(channel) = self.channels.get(key) else { return Ok(None) };
        let (octets, was_empty) = (start.len(), channel.large.is_empty());
        channel.large_octets += octets;
        channel.large.push_back(LargeItem::Frames(start));
        if length > 0 {
            channel.large.push_back(LargeItem::Stream(Box::new(OutgoingStream {
                length,
                missing: length,
                padding_max: head.padding_max,
                padding: false,
                full: false,
                pieces: VecDeque::new(),
                queued: 0,
                parked: false,
            })));
        } else {
            channel.set_streaming(|streaming| streaming.publishing = false);
        }
        if channel.confirms.is_none() {
            channel.note_sent(&head.address, head.place);
        }
        let counts = &mut self.effects.counts;
        counts.published(usize::try_from(length).unwrap_or(usize::MAX), channel.confirms.is_some());
        let tag = channel
            .confirms
            .as_mut()
            .map(|it| it.publish_streamed(&mut head.address, length, head.place, counts.stamp()));
        self.outbox.queued_large(key.id, octets, was_empty);
        Ok(tag)
    }
}
