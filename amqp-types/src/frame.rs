//! Frames: cutting a stream of octets into them and putting them around payloads.
//!
//! Called by whoever moves octets: a connector's codec, a proxy, an analyser. The numbers that make
//! a frame come from the specification as [`Framing`]; nothing here looks into a payload.
//!
//! ```text
//! type:u8  channel:u16  size:u32  payload (size octets)  end:u8
//! ```

use std::error::Error;
use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::EncodeError;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it holds.
    pub kind: FrameKind,
    /// The channel it belongs to; 0 is the connection itself.
    pub channel: u16,
    /// What it holds, without the octets around it.
    pub payload: Bytes,
}

/// Where a frame begins whose payload is being written; see [`Framing::begin`].
#[derive(Clone, Copy, Debug)]
#[must_use = "the frame has no size and no end octet yet"]
pub struct FrameStart {
    at: usize,
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
        let Some(&[octet, c0, c1, s0, s1, s2, s3]) = buf.first_chunk::<HEADER_SIZE>() else {
            return self.check_start(buf);
        };
        let Some(kind) = self.kind(octet) else {
            return self.check_start(buf);
        };
        let channel = u16::from_be_bytes([c0, c1]);
        let size = u32::from_be_bytes([s0, s1, s2, s3]);
        if kind == FrameKind::Heartbeat && (channel, size) != (0, 0) {
            return Err(FrameError::BadHeartbeat);
        }
        let len = match usize::try_from(size) {
            Ok(len) if u64::from(size) + OVERHEAD as u64 <= u64::from(frame_max) => len,
            _ => return Err(FrameError::FrameTooLarge { size, frame_max }),
        };
        match buf.get(HEADER_SIZE + len) {
            Some(&end) if end == self.end => {}
            Some(&end) => return Err(FrameError::BadFrameEnd(end)),
            None => {
                let missing = HEADER_SIZE + len + 1 - buf.len();
                buf.reserve(missing.min(RESERVE));
                return Ok(None);
            }
        }
        buf.advance(HEADER_SIZE);
        let payload = if len == 0 { Bytes::new() } else { buf.split_to(len).freeze() };
        buf.advance(1);
        Ok(Some(Frame { kind, channel, payload }))
    }

    /// What may come of octets that are too few, or of no known type: a peer that refuses our
    /// version answers with the header of its own.
    #[cold]
    fn check_start(&self, buf: &BytesMut) -> Result<Option<Frame>, FrameError> {
        const MARK: &[u8] = b"AMQP";
        match buf.first() {
            None => Ok(None),
            Some(octet) if self.kind(*octet).is_some() => Ok(None),
            Some(_) if MARK.starts_with(buf.get(..MARK.len()).unwrap_or(buf)) => {
                Ok(match buf.first_chunk() {
                    Some(header) => return Err(FrameError::ProtocolHeader(*header)),
                    None => None,
                })
            }
            Some(octet) => Err(FrameError::UnknownFrameType(*octet)),
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

/// Octets that are no frame. The stream cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// No frame has this type; what follows is not AMQP.
    UnknownFrameType(u8),
    /// The header announces a payload of more than `frame_max` octets less the overhead.
    FrameTooLarge {
        /// The announced size of the payload, in octets.
        size: u32,
        /// The greatest whole frame allowed, in octets.
        frame_max: u32,
    },
    /// This octet stands where the frame's end belongs.
    BadFrameEnd(u8),
    /// A heartbeat with a payload or on a channel other than 0.
    BadHeartbeat,
    /// Instead of a frame, the peer sent this protocol header: the version it speaks.
    ProtocolHeader([u8; 8]),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFrameType(octet) => write!(f, "unknown frame type {octet}"),
            Self::FrameTooLarge { size, frame_max } => {
                write!(f, "payload of {size} octets in a frame of at most {frame_max}")
            }
            Self::BadFrameEnd(octet) => write!(f, "frame ends in 0x{octet:02x}"),
            Self::BadHeartbeat => f.write_str("malformed heartbeat"),
            Self::ProtocolHeader([_, _, _, _, a, b, c, d]) => {
                write!(f, "the peer speaks another protocol version: AMQP {a} {b} {c} {d}")
            }
        }
    }
}

impl Error for FrameError {}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u32 = 131_072;

    fn decode(octets: &[u8]) -> Result<Option<Frame>, FrameError> {
        Framing::STANDARD.decode(&mut BytesMut::from(octets), MAX)
    }

    #[test]
    fn a_frame_is_taken_whole_or_not_at_all() {
        let whole = b"\x03\0\x07\0\0\0\x02hi\xce";
        for cut in 0..whole.len() {
            let mut buf = BytesMut::from(&whole[..cut]);
            assert_eq!(Framing::STANDARD.decode(&mut buf, MAX), Ok(None));
            assert_eq!(buf, whole[..cut]);
        }
        let mut twice = BytesMut::from(&[&whole[..], whole].concat()[..]);
        for left in [whole.len(), 0] {
            let frame = Framing::STANDARD.decode(&mut twice, MAX).unwrap().unwrap();
            assert_eq!((frame.kind, frame.channel), (FrameKind::Body, 7));
            assert_eq!((&frame.payload[..], twice.len()), (&b"hi"[..], left));
        }
    }

    #[test]
    fn a_frame_too_large_is_refused_from_its_header() {
        let error = FrameError::FrameTooLarge { size: MAX - 7, frame_max: MAX };
        assert_eq!(decode(b"\x03\0\x01\0\x01\xff\xf9"), Err(error));
        assert_eq!(decode(b"\x03\0\x01\0\x01\xff\xf8"), Ok(None));
        assert!(decode(b"\x01\0\x01\xff\xff\xff\xff").is_err());
    }

    #[test]
    fn an_announced_size_alone_makes_little_room() {
        let mut buf = BytesMut::from(&b"\x03\0\x01\xff\xff\xff\0"[..]);
        assert_eq!(Framing::STANDARD.decode(&mut buf, u32::MAX), Ok(None));
        assert!(buf.capacity() < 2 * RESERVE);
    }

    #[test]
    fn a_protocol_header_is_told_from_an_unknown_type() {
        for cut in 0..8 {
            assert_eq!(decode(&b"AMQP\0\0\x09\x01"[..cut]), Ok(None));
        }
        let header = *b"AMQP\0\0\x09\x01";
        assert_eq!(decode(&header), Err(FrameError::ProtocolHeader(header)));
        assert_eq!(
            FrameError::ProtocolHeader(header).to_string(),
            "the peer speaks another protocol version: AMQP 0 0 9 1"
        );
        assert_eq!(decode(b"AMP"), Err(FrameError::UnknownFrameType(b'A')));
        assert_eq!(decode(b"A\0\0\0\0\0\0\xce"), Err(FrameError::UnknownFrameType(b'A')));
        assert_eq!(decode(b"HTTP/1.1 400"), Err(FrameError::UnknownFrameType(b'H')));
        assert_eq!(decode(b"\x04"), Err(FrameError::UnknownFrameType(4)));
    }

    #[test]
    fn malformed_heartbeats_and_ends_are_refused() {
        assert_eq!(decode(b"\x08\0\x01\0\0\0\0\xce"), Err(FrameError::BadHeartbeat));
        assert_eq!(decode(b"\x08\0\0\0\0\0\x01"), Err(FrameError::BadHeartbeat));
        assert_eq!(decode(b"\x08\0\0\0\0\0\0\xcd"), Err(FrameError::BadFrameEnd(0xcd)));
    }

    #[test]
    fn other_numbers_make_other_frames() {
        let framing =
            Framing { method: 11, header: 12, body: 13, heartbeat: 9, end: 190, min_size: 8192 };
        let mut buf = BytesMut::new();
        framing.put_heartbeat(&mut buf);
        framing.put(FrameKind::Method, 1, b"m", &mut buf).unwrap();
        assert_eq!(&buf[..], b"\x09\0\0\0\0\0\0\xbe\x0b\0\x01\0\0\0\x01m\xbe");
        let kinds: Vec<_> = std::iter::from_fn(|| framing.decode(&mut buf, MAX).unwrap())
            .map(|frame| frame.kind)
            .collect();
        assert_eq!(kinds, [FrameKind::Heartbeat, FrameKind::Method]);
    }

    #[test]
    fn a_frame_written_in_place_is_the_same_frame() {
        let framing = Framing::STANDARD;
        let mut in_place = BytesMut::from("before");
        let start = framing.begin(&mut in_place, FrameKind::Header, 3);
        in_place.extend_from_slice(b"payload");
        framing.end(&mut in_place, start).unwrap();
        let mut copied = BytesMut::from("before");
        let payload = Bytes::from_static(b"payload");
        let frame = Frame { kind: FrameKind::Header, channel: 3, payload };
        framing.encode(&frame, &mut copied).unwrap();
        assert_eq!(in_place, copied);
    }

    #[test]
    fn a_frame_that_cannot_be_completed_is_taken_back() {
        let framing = Framing::STANDARD;
        let mut buf = BytesMut::from("before");
        let start = framing.begin(&mut buf, FrameKind::Method, 1);
        buf.extend_from_slice(b"12345");
        let error = EncodeError::TooLong { what: "frame", len: 5, max: 4 };
        assert_eq!(framing.end_within(&mut buf, start, 12), Err(error));
        assert_eq!(buf, "before");
        let start = framing.begin(&mut buf, FrameKind::Method, 1);
        buf.truncate(9);
        assert_eq!(framing.end(&mut buf, start), Err(EncodeError::NotInFrame));
        assert_eq!(buf, "before");
    }
}
