//! [`Assembler`]: the frames of one channel, put together to methods with their contents.
//!
//! Called by receivers with the frames of one channel in order. It holds what has come of one
//! content and never makes room for a body that is only announced.

use bytes::Bytes;

use super::header::decode_into;
use super::{AssembleError, Body, Complete, Content, Incoming};
use crate::frame::{Frame, FrameKind, FrameRef};
use crate::method::{AnyMethod, Protocol};
use crate::wire::{Limits, Payload, Reader};

/// Small pieces of a body are copied together into pieces of about this many octets.
const TAIL: usize = 16 << 10;

/// Pieces of no more than this many octets are small.
const SMALL: usize = TAIL / 4;

/// When the first of small pieces comes, room is made for this many times its octets at most.
const FORESIGHT: usize = 8;

/// The class whose methods alone go on channel 0, and nowhere else.
const CONNECTION: &str = "connection";

/// Puts the frames of one channel together; a channel needs one of its own.
///
/// ```text
///          method without content          header of size > 0        body, size reached
///        +---+                           +-------------------+     +------------> out
///        |   v    method with content    |                   v     |
///     Idle ------------------------> Header                 Body --+
///                                        | header of size 0  | ^
///                                        +-------> out       +-+ body, size not reached
/// ```
///
/// After an error it is as new, but the peer is not to be trusted any more. One kind of error is nobody's but the
/// message's author's, [`AssembleError::Properties`]: after it the assembler passes the body over and goes on.
///
/// Methods and properties are some hundred octets big, so they lie here from their frame on;
/// [`push_in_place`](Self::push_in_place) lets the receiver move them once, to where it keeps them. A body that
/// is not to be held whole is lent: see [`push_part`](Self::push_part).
#[derive(Clone, Debug)]
pub struct Assembler<P: Protocol> {
    /// The kind of the next frame. `Method`: no content is under way, and what is still in the three
    /// places below is what a receiver left there. `Heartbeat`, which is never a content's: a body is passed over.
    pub(super) expected: FrameKind,
    /// The method of the content under way, if `expected` is not `Method`.
    pub(super) method: Option<P::Method>,
    /// The id of the class of `method`.
    pub(super) class_id: u16,
    /// The properties, if `expected` is `Body`.
    pub(super) properties: Option<P::Properties>,
    /// What has come of the body before `tail`; `body.len() + tail.len() < size` between frames, if
    /// `expected` is `Body`.
    body: Body,
    /// Small pieces of the body, copied together: kept as they came, a body of one-octet frames would
    /// take many times its size. `tail.len() <= TAIL`.
    tail: Vec<u8>,
    /// The length that the header said, less what was lent or passed over.
    pub(super) size: u64,
    /// Octets of the content under way that were lent so far, if it is lent.
    pub(super) lent: Option<u64>,
    pub(super) max_body: u64,
    copy_max: usize,
    limits: Limits,
}

impl<P: Protocol> Default for Assembler<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Protocol> Assembler<P> {
    /// How large a piece of a body is copied unless [`with_copy_max`](Self::with_copy_max) says
    /// otherwise: 4 KiB.
    pub const COPY_MAX: usize = 4 << 10;

    /// An assembler that takes bodies of any size, with the default [`Limits`] on tables.
    #[must_use]
    pub fn new() -> Self {
        Self {
            expected: FrameKind::Method,
            method: None,
            class_id: 0,
            properties: None,
            body: Body::new(),
            tail: Vec::new(),
            size: 0,
            lent: None,
            max_body: u64::MAX,
            copy_max: Self::COPY_MAX,
            limits: Limits::DEFAULT,
        }
    }

    /// Refuses bodies of more octets than this.
    #[must_use]
    pub fn with_max_body(mut self, octets: u64) -> Self {
        self.max_body = octets;
        self
    }

    /// Copies pieces of a body (what one frame holds of it) of up to this many octets out of the
    /// buffer they were read into; a body in one piece then is one allocation. Larger ones are not
    /// copied: they share the memory of that buffer, all of which stays until they are dropped. With
    /// `usize::MAX` none does.
    #[must_use]
    pub const fn with_copy_max(mut self, octets: usize) -> Self {
        self.copy_max = octets;
        self
    }

    /// As [`with_copy_max`](Self::with_copy_max), for the pieces that come from now on: what is worth
    /// a copy can depend on the buffer that they were read into, and on how many others are held already.
    #[inline]
    pub const fn set_copy_max(&mut self, octets: usize) {
        self.copy_max = octets;
    }

    /// Reads tables with these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether no content is under way.
    #[inline]
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.expected, FrameKind::Method)
    }

    /// Octets of the body under way that have come so far.
    #[must_use]
    pub fn buffered(&self) -> usize {
        if self.is_idle() { 0 } else { self.received() }
    }

    #[inline]
    fn received(&self) -> usize {
        self.body.len() + self.tail.len()
    }

    /// Takes the channel's next frame, and gives out what it completes. Heartbeats pass unseen.
    ///
    /// # Errors
    ///
    /// If the frame is not one that may follow, or its payload is malformed.
    #[inline]
    pub fn push(&mut self, frame: Frame) -> Result<Option<Incoming<P>>, AssembleError> {
        self.push_ref(FrameRef::from(&frame))
    }

    /// Like [`push`](Self::push), for a frame of a batch.
    ///
    /// # Errors
    ///
    /// If the frame is not one that may follow, or its payload is malformed.
    #[inline]
    pub fn push_ref(&mut self, frame: FrameRef<'_>) -> Result<Option<Incoming<P>>, AssembleError> {
        Ok(self.push_in_place(frame)?.and_then(Complete::take))
    }

    /// Like [`push`](Self::push), for a frame of a batch, and for a receiver that takes what is
    /// complete out of its place, or but looks at it there.
    ///
    /// # Errors
    ///
    /// If the frame is not one that may follow, or its payload is malformed.
    #[inline]
    pub fn push_in_place(
        &mut self,
        frame: FrameRef<'_>,
    ) -> Result<Option<Complete<'_, P>>, AssembleError> {
        let complete = match frame.kind {
            FrameKind::Heartbeat => return Ok(None),
            found if found != self.expected => self.pass_over(frame),
            FrameKind::Method => self.method(frame),
            FrameKind::Header => self.header(frame),
            FrameKind::Body => {
                self.body(frame.payload);
                self.body_is_complete()
            }
        };
        match complete {
            Ok(false) => Ok(None),
            Ok(true) => {
                self.expected = FrameKind::Method;
                let with_content = frame.kind != FrameKind::Method;
                let (properties, body) = (&mut self.properties, &mut self.body);
                let content = with_content.then_some(Content { properties, body });
                Ok(Some(Complete { method: &mut self.method, content }))
            }
            Err(error) => {
                self.reset(&error);
                Err(error)
            }
        }
    }

    /// As new, but after what is nobody's but the message's author's.
    #[cold]
    pub(super) fn reset(&mut self, error: &AssembleError) {
        if matches!(error, AssembleError::Properties(_)) {
            return;
        }
        *self = Self::new()
            .with_max_body(self.max_body)
            .with_copy_max(self.copy_max)
            .with_limits(self.limits);
    }

    /// Whether it is complete: has no content.
    fn method(&mut self, frame: FrameRef<'_>) -> Result<bool, AssembleError> {
        self.properties = None;
        self.body = Body::new();
        let mut reader = Reader::with_limits(frame.payload, self.limits);
        let info = P::Method::decode_into(&mut self.method, &mut reader)?;
        reader.finish()?;
        // 0-9-1 4.2.3: channel 0 is the connection's own, and the connection has no other.
        let misplaced = match frame.channel {
            0 => info.content || (info.class != CONNECTION && P::INFO.class(CONNECTION).is_some()),
            _ => info.class == CONNECTION,
        };
        if misplaced {
            return Err(AssembleError::WrongChannel {
                class_id: info.class_id,
                method_id: info.method_id,
                channel: frame.channel,
            });
        }
        if info.content {
            self.class_id = info.class_id;
            self.expected = FrameKind::Header;
        }
        Ok(!info.content)
    }

    /// Whether the content is complete: has no body.
    pub(super) fn header(&mut self, frame: FrameRef<'_>) -> Result<bool, AssembleError> {
        let read = decode_into(&mut self.properties, frame.payload, self.limits);
        let (found, size) = read.map_err(|error| self.unreadable(frame, error))?;
        if found != self.class_id {
            return Err(AssembleError::WrongClass { expected: self.class_id, found });
        }
        if size > self.max_body {
            return Err(AssembleError::BodyTooLarge { size, max: self.max_body });
        }
        self.size = size;
        self.expected = FrameKind::Body;
        Ok(size == 0)
    }

    /// Takes a piece of the body; small ones that are not all of it are copied together.
    #[inline]
    fn body(&mut self, piece: Payload<'_>) {
        if piece.len() > self.copy_max {
            self.flush_tail();
            self.body.push(piece.to_bytes());
        } else if piece.len() as u64 >= self.size {
            self.body.push(Bytes::copy_from_slice(&piece));
        } else {
            self.collect(&piece);
        }
    }

    /// Copies a piece, a small one to those before it.
    fn collect(&mut self, piece: &[u8]) {
        if piece.len() > SMALL {
            self.flush_tail();
            return self.body.push(Bytes::copy_from_slice(piece));
        }
        if self.tail.len() + piece.len() > TAIL {
            self.flush_tail();
        }
        if self.tail.is_empty() {
            let missing = self.size.saturating_sub(self.body.len() as u64);
            let missing = usize::try_from(missing).unwrap_or(TAIL).min(TAIL);
            self.tail.reserve_exact(missing.min(FORESIGHT.saturating_mul(piece.len())));
        }
        self.tail.extend_from_slice(piece);
    }

    #[inline]
    fn flush_tail(&mut self) {
        if !self.tail.is_empty() {
            self.body.push(std::mem::take(&mut self.tail).into());
        }
    }

    #[inline]
    fn body_is_complete(&mut self) -> Result<bool, AssembleError> {
        let received = self.received() as u64;
        if received > self.size {
            return Err(AssembleError::BodyOverrun { size: self.size, received });
        }
        let complete = received == self.size;
        if complete {
            self.flush_tail();
        }
        Ok(complete)
    }
}
