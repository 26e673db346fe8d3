//! Frames: cutting a stream of octets into them and putting them around payloads.
//!
//! Called by whoever moves octets: a connector's codec, a proxy, an analyser. The numbers that make
//! a frame come from the specification as [`Framing`]; nothing here looks into a payload.
//!
//! ```text
//! type:u8  channel:u16  size:u32  payload (size octets)  end:u8
//! ```

mod batch;
mod error;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub use batch::{FrameRef, Frames};
pub use error::FrameError;

use crate::EncodeError;
use crate::wire::Writer;

/// Octets of a frame before its payload.
pub const HEADER_SIZE: usize = 7;

/// Octets of a frame that are not payload. The negotiated frame-max counts them.
pub const OVERHEAD: usize = 8;

/// No more than this is made room for on the word of a frame's header alone.
const RESERVE: usize = 131_072;

/// The numbers that frames are made of; the emitted constant `FRAMING` holds a specification's.
///
/// ```
/// use amqp_types::frame::{Frame, FrameKind, Framing};
/// use bytes::BytesMut;
///
/// let framing = Framing::STANDARD;
/// let mut stream = BytesMut::new();
/// framing.put_heartbeat(&mut stream);
/// let frame = framing.decode(&mut stream, 4096)?;
/// assert_eq!(frame.map(|frame| frame.kind), Some(FrameKind::Heartbeat));
/// assert_eq!(framing.decode(&mut stream, 4096)?, None);
/// # Ok::<(), amqp_types::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Type of a frame that holds a method.
    pub method: u8,
    /// Type of a frame that holds a content header.
    pub header: u8,
    /// Type of a frame that holds a part of a body.
    pub body: u8,
    /// Type of a heartbeat.
    pub heartbeat: u8,
    /// The octet after the payload.
    pub end: u8,
    /// The frame size, in octets, that every peer accepts before another is agreed on.
    pub min_size: u32,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A method.
    Method,
    /// The header of a content.
    Header,
    /// A part of the body of a content.
    Body,
    /// Nothing: a sign of life.
    Heartbeat,
}

/// A frame.
///
/// `Debug` shows no payload of a method on channel 0, which may hold what a peer proves itself by, but its size.
/// [`Described`](crate::reflect::Described) shows it by names, without secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it holds.
    pub kind: FrameKind,
    /// The channel it belongs to; 0 is the connection itself.
    pub channel: u16,
    /// What it holds, without the octets around it.
    pub payload: Bytes,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("Frame", self.into(), f)
    }
}

/// Without secrets: those of every specification are in methods on channel 0.
fn show(name: &str, frame: FrameRef<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let FrameRef { kind, channel, payload } = frame;
    let mut shown = f.debug_struct(name);
    shown.field("kind", &kind).field("channel", &channel);
    match (kind, channel) {
        (FrameKind::Method, 0) => {
            shown.field("payload", &format_args!("[{} octets]", payload.len()))
        }
        _ => shown.field("payload", &payload),
    };
    shown.finish()
}

/// Where a frame begins whose payload is being written; see [`Framing::begin`].
#[derive(Clone, Copy, Debug)]
#[must_use = "the frame has no size and no end octet yet"]
pub struct FrameStart {
    at: usize,
}

/// What stands at the front of a stream.
enum Front {
    /// A whole frame with a payload of `len` octets.
    Frame { kind: FrameKind, channel: u16, len: usize },
    /// A part of a frame that lacks this many octets, as far as is known.
    Missing(usize),
}

impl Framing {
    /// The numbers that all published versions share.
    pub const STANDARD: Self =
        Self { method: 1, header: 2, body: 3, heartbeat: 8, end: 206, min_size: 4096 };

    /// Takes the next frame off the front of the buffer. `None`: the frame is not there in full
    /// yet, and nothing was taken.
    ///
    /// `frame_max` is the greatest whole frame allowed, in octets, [`OVERHEAD`] included; give
    /// `u32::MAX` for no limit. A frame that is too large is refused as soon as its header is there.
    /// The payload shares the buffer's memory.
    ///
    /// # Errors
    ///
    /// See [`FrameError`]. None can be recovered from: where the next frame begins is unknown.
    #[inline]
    pub fn decode(&self, buf: &mut BytesMut, frame_max: u32) -> Result<Option<Frame>, FrameError> {
        match self.front(buf, frame_max)? {
            Front::Frame { kind, channel, len } => {
                buf.advance(HEADER_SIZE);
                let payload = if len == 0 { Bytes::new() } else { buf.split_to(len).freeze() };
                buf.advance(1);
                Ok(Some(Frame { kind, channel, payload }))
            }
            Front::Missing(octets) => {
                buf.reserve(octets.min(RESERVE));
                Ok(None)
            }
        }
    }

    /// Takes all whole frames off the front of the buffer at once, which is much cheaper than one
    /// by one: their payloads are borrowed. `None`: not even one is there in full yet, and nothing
    /// was taken.
    ///
    /// `frame_max` and memory are as for [`decode`](Self::decode). Call it until there is `None`: an
    /// error behind whole frames is told by the next call, and room for the frame that is there in
    /// part is made by the call that finds nothing else.
    ///
    /// # Errors
    ///
    /// As for [`decode`](Self::decode), and only if there is no whole frame before it.
    ///
    /// ```
    /// use amqp_types::frame::{FrameKind, Framing};
    /// use bytes::BytesMut;
    ///
    /// let mut stream = BytesMut::from(&b"\x03\0\x01\0\0\0\x02hi\xce\x08\0\0\0\0\0\0\xce\x03\0"[..]);
    /// let mut frames = Framing::STANDARD.split(&mut stream, 4096)?.expect("two are whole");
    /// let mut kinds = Vec::new();
    /// while let Some(frame) = frames.next_frame() {
    ///     kinds.push((frame.kind, frame.payload.len()));
    /// }
    /// assert_eq!(kinds, [(FrameKind::Body, 2), (FrameKind::Heartbeat, 0)]);
    /// assert_eq!(stream.len(), 2);
    /// # Ok::<(), amqp_types::FrameError>(())
    /// ```
    #[inline]
    pub fn split(&self, buf: &mut BytesMut, frame_max: u32) -> Result<Option<Frames>, FrameError> {
        let mut whole = 0;
        loop {
            match self.front(buf.get(whole..).unwrap_or_default(), frame_max) {
                Ok(Front::Frame { len, .. }) => whole += len + OVERHEAD,
                _ if whole > 0 => break,
                Ok(Front::Missing(octets)) => {
                    buf.reserve(octets.min(RESERVE));
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Frames::new(*self, buf.split_to(whole).freeze())))
    }

    /// How many octets the first of these frames lacks; zero if it is whole, or cannot be one. Of a frame
    /// whose header is not there yet, no more than the header is known to be missing.
    #[inline]
    #[must_use]
    pub fn missing(&self, octets: &[u8], frame_max: u32) -> usize {
        match self.front(octets, frame_max) {
            Ok(Front::Missing(missing)) => missing.clamp(1, RESERVE),
            _ => 0,
        }
    }

    /// What stands at the front of these octets.
    #[inline]
    fn front(&self, octets: &[u8], frame_max: u32) -> Result<Front, FrameError> {
        let Some((kind, channel, size)) = octets.first_chunk().and_then(|it| self.header_of(it))
        else {
            return self.check_start(octets);
        };
        if kind == FrameKind::Heartbeat && (channel, size) != (0, 0) {
            return Err(FrameError::BadHeartbeat);
        }
        let len = match usize::try_from(size) {
            Ok(len) if u64::from(size) + OVERHEAD as u64 <= u64::from(frame_max) => len,
            _ => return Err(FrameError::FrameTooLarge { size, frame_max }),
        };
        match octets.get(HEADER_SIZE + len) {
            Some(&end) if end == self.end => Ok(Front::Frame { kind, channel, len }),
            Some(&end) => Err(FrameError::BadFrameEnd(end)),
            None => Ok(Front::Missing(HEADER_SIZE + len + 1 - octets.len())),
        }
    }

    /// Kind, channel and size of payload, unless the kind is unknown.
    #[inline]
    fn header_of(&self, header: &[u8; HEADER_SIZE]) -> Option<(FrameKind, u16, u32)> {
        let [octet, c0, c1, s0, s1, s2, s3] = *header;
        let kind = self.kind(octet)?;
        Some((kind, u16::from_be_bytes([c0, c1]), u32::from_be_bytes([s0, s1, s2, s3])))
    }

    /// What may come of octets that are too few, or of no known type: a peer that refuses our
    /// version answers with the header of its own.
    #[cold]
    fn check_start(&self, octets: &[u8]) -> Result<Front, FrameError> {
        const MARK: &[u8] = b"AMQP";
        match octets.first() {
            Some(octet) if self.kind(*octet).is_none() => {
                if !MARK.starts_with(octets.get(..MARK.len()).unwrap_or(octets)) {
                    return Err(FrameError::UnknownFrameType(*octet));
                }
                match octets.first_chunk() {
                    Some(header) => Err(FrameError::ProtocolHeader(*header)),
                    None => Ok(Front::Missing(0)),
                }
            }
            // How many are missing, the header would say.
            _ => Ok(Front::Missing(0)),
        }
    }

    /// The kind of frame that this type octet stands for.
    #[inline]
    #[must_use]
    pub const fn kind(&self, octet: u8) -> Option<FrameKind> {
        if octet == self.method {
            Some(FrameKind::Method)
        } else if octet == self.body {
            Some(FrameKind::Body)
        } else if octet == self.header {
            Some(FrameKind::Header)
        } else if octet == self.heartbeat {
            Some(FrameKind::Heartbeat)
        } else {
            None
        }
    }

    /// The type octet of this kind of frame.
    #[inline]
    #[must_use]
    pub const fn octet(&self, kind: FrameKind) -> u8 {
        match kind {
            FrameKind::Method => self.method,
            FrameKind::Header => self.header,
            FrameKind::Body => self.body,
            FrameKind::Heartbeat => self.heartbeat,
        }
    }

    /// The octets that go before a payload of `size` octets; [`end`](Self::end) (the field) goes
    /// after it. For writers that do not copy payloads.
    #[inline]
    #[must_use]
    pub const fn header_octets(&self, kind: FrameKind, channel: u16, size: u32) -> [u8; 7] {
        let [c0, c1] = channel.to_be_bytes();
        let [s0, s1, s2, s3] = size.to_be_bytes();
        [self.octet(kind), c0, c1, s0, s1, s2, s3]
    }

    /// Appends a frame.
    ///
    /// # Errors
    ///
    /// `TooLong` if the payload has more than 2³²−1 octets; nothing is appended.
    #[inline]
    pub fn encode(&self, frame: &Frame, buf: &mut BytesMut) -> Result<(), EncodeError> {
        self.put(frame.kind, frame.channel, &frame.payload, buf)
    }

    /// Appends a frame around these octets.
    ///
    /// # Errors
    ///
    /// `TooLong` if there are more than 2³²−1 octets; nothing is appended.
    #[inline]
    pub fn put(
        &self,
        kind: FrameKind,
        channel: u16,
        payload: &[u8],
        buf: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let size = frame_size(payload.len(), u32::MAX)?;
        buf.reserve(payload.len() + OVERHEAD);
        buf.extend_from_slice(&self.header_octets(kind, channel, size));
        buf.extend_from_slice(payload);
        buf.put_u8(self.end);
        Ok(())
    }

    /// Appends a heartbeat.
    #[inline]
    pub fn put_heartbeat(&self, buf: &mut BytesMut) {
        buf.extend_from_slice(&self.header_octets(FrameKind::Heartbeat, 0, 0));
        buf.put_u8(self.end);
    }

    /// Begins a frame whose payload is then written straight into the buffer, and which
    /// [`end`](Self::end()) completes.
    ///
    /// ```
    /// use amqp_types::{frame::{FrameKind, Framing}, wire::Writer};
    /// use bytes::BytesMut;
    ///
    /// let mut buffer = BytesMut::new();
    /// let start = Framing::STANDARD.begin(&mut buffer, FrameKind::Method, 1);
    /// Writer::new(&mut buffer).long(0x0014_000a);
    /// Framing::STANDARD.end(&mut buffer, start)?;
    /// assert_eq!(&buffer[..], b"\x01\0\x01\0\0\0\x04\0\x14\0\x0a\xce");
    /// # Ok::<(), amqp_types::EncodeError>(())
    /// ```
    #[inline]
    pub fn begin(&self, buf: &mut BytesMut, kind: FrameKind, channel: u16) -> FrameStart {
        let at = buf.len();
        buf.extend_from_slice(&self.header_octets(kind, channel, 0));
        FrameStart { at }
    }

    /// Completes the frame begun at `start` with all octets that were appended since.
    ///
    /// # Errors
    ///
    /// `TooLong` if these are more than 2³²−1, `NotInFrame` if the buffer was cut since. The frame
    /// is then taken back.
    #[inline]
    pub fn end(&self, buf: &mut BytesMut, start: FrameStart) -> Result<(), EncodeError> {
        self.end_within(buf, start, u32::MAX)
    }

    /// Like [`end`](Self::end()), for a frame that must not exceed `frame_max` octets,
    /// [`OVERHEAD`] included; give `u32::MAX` for no limit.
    ///
    /// # Errors
    ///
    /// As for [`end`](Self::end()), and `TooLong` beyond `frame_max`. The frame is then taken back.
    #[inline]
    pub fn end_within(
        &self,
        buf: &mut BytesMut,
        start: FrameStart,
        frame_max: u32,
    ) -> Result<(), EncodeError> {
        let size = buf
            .len()
            .checked_sub(start.at + HEADER_SIZE)
            .ok_or(EncodeError::NotInFrame)
            .and_then(|len| frame_size(len, frame_max));
        let place = start.at + 3..start.at + HEADER_SIZE;
        match (size, buf.get_mut(place).and_then(<[u8]>::first_chunk_mut)) {
            (Ok(size), Some(place)) => *place = size.to_be_bytes(),
            (size, _) => {
                Self::cancel(buf, start);
                return Err(size.err().unwrap_or(EncodeError::NotInFrame));
            }
        }
        buf.put_u8(self.end);
        Ok(())
    }

    /// Writes a whole frame: the octets around what `payload` writes.
    ///
    /// # Errors
    ///
    /// What `payload` says, `TooLong` beyond `frame_max` octets, [`OVERHEAD`] included, or 2³²−1 of
    /// payload, and `NotInFrame` if `payload` took back more than it wrote. Nothing of the frame is then
    /// left.
    ///
    /// ```
    /// use amqp_types::{frame::{FrameKind, Framing}, wire::Writer};
    /// use bytes::BytesMut;
    ///
    /// let mut buffer = BytesMut::new();
    /// let mut writer = Writer::new(&mut buffer);
    /// Framing::STANDARD.write(&mut writer, FrameKind::Method, 1, u32::MAX, |payload| {
    ///     payload.long(0x0014_000a);
    ///     Ok(())
    /// })?;
    /// writer.finish();
    /// assert_eq!(&buffer[..], b"\x01\0\x01\0\0\0\x04\0\x14\0\x0a\xce");
    /// # Ok::<(), amqp_types::EncodeError>(())
    /// ```
    #[inline]
    pub fn write(
        &self,
        writer: &mut Writer<'_>,
        kind: FrameKind,
        channel: u16,
        frame_max: u32,
        payload: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let start = writer.position();
        let header = u64::from(self.octet(kind)) << 56 | u64::from(channel) << 40;
        writer.put_7(header.to_be_bytes());
        writer.begin_payload();
        let ended = payload(writer).and_then(|()| {
            let len = writer.position().checked_sub(start + HEADER_SIZE);
            let size = frame_size(len.ok_or(EncodeError::NotInFrame)?, frame_max)?;
            let ended = writer.end_frame(start, size, self.end);
            if ended { Ok(()) } else { Err(EncodeError::NotInFrame) }
        });
        if ended.is_err() {
            writer.rewind(start);
        }
        ended
    }

    /// Takes back the frame begun at `start`, with everything that was appended since.
    pub fn cancel(buf: &mut BytesMut, start: FrameStart) {
        buf.truncate(start.at);
    }
}

/// The size field of a frame with a payload of this length.
#[inline]
fn frame_size(len: usize, frame_max: u32) -> Result<u32, EncodeError> {
    let too_long = || EncodeError::TooLong {
        what: "frame",
        len,
        max: (frame_max as usize).saturating_sub(OVERHEAD),
    };
    let size = u32::try_from(len).map_err(|_| too_long())?;
    let allowed = frame_max == u32::MAX || u64::from(size) + OVERHEAD as u64 <= frame_max.into();
    if allowed { Ok(size) } else { Err(too_long()) }
}
