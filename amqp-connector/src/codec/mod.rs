//! The tokio-util adapter: octets off the transport become frames, a read's worth at once.
//!
//! Used by the handshake and the driver through `Framed`. Output does not pass here: the session encodes
//! it, and the driver writes it with vectored writes. Looks into no payload.

mod buffers;

use amqp_types::FrameError;
use amqp_types::frame::Frames;
use amqp_types::protocol::FRAMING;
use bytes::BytesMut;
use std::io;
use tokio_util::codec::{Decoder, Encoder};

pub(crate) use self::buffers::READ_MIN;
use self::buffers::ReadBuffers;
use crate::tap::{Tap, Tapping};

/// Cuts the inbound stream into frames of at most the negotiated size.
#[derive(Debug)]
pub(crate) struct FrameCodec {
    frame_max: u32,
    buffers: ReadBuffers,
    /// Who looks at what passes, if anybody does.
    tapping: Option<Box<Tapping>>,
}

/// Why no further frame can be read.
#[derive(Debug)]
pub(crate) enum CodecError {
    Io(io::Error),
    Frame(FrameError),
}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl FrameCodec {
    /// `frame_max` in octets, envelope included.
    pub(crate) fn new(frame_max: u32, tap: Option<Tap>) -> Self {
        let tapping = tap.map(|tap| Box::new(Tapping::new(tap)));
        Self { frame_max, buffers: ReadBuffers::default(), tapping }
    }

    pub(crate) fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
    }

    /// Up to how many octets whoever keeps a part of the frames that were read last is to copy it.
    pub(crate) fn copy_max(&self) -> usize {
        self.buffers.copy_max()
    }

    /// Who looks at what is sent.
    #[inline]
    pub(crate) fn tapping(&mut self) -> Option<&mut Tapping> {
        self.tapping.as_deref_mut()
    }

    /// Frees what a burst has made large; `source` is the buffer read into.
    pub(crate) fn tidy(&mut self, source: &mut BytesMut) {
        self.buffers.tidy(source);
    }
}

impl Decoder for FrameCodec {
    type Item = Frames;
    type Error = CodecError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Frames>, CodecError> {
        // Before the frames are looked for, since that makes room by itself where there is too little.
        let missing = FRAMING.missing(source, self.frame_max);
        if missing > 0 {
            self.buffers.make_room(source, missing);
        }
        let frames = FRAMING.split(source, self.frame_max).map_err(CodecError::Frame)?;
        if let Some(frames) = &frames {
            self.buffers.taken(frames.len());
            if let Some(tapping) = &self.tapping {
                tapping.received(frames.clone());
            }
        }
        Ok(frames)
    }

    fn decode_eof(&mut self, source: &mut BytesMut) -> Result<Option<Frames>, CodecError> {
        match self.decode(source)? {
            None if !source.is_empty() => {
                let text = "the transport ended in the middle of a frame";
                Err(CodecError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, text)))
            }
            frames => Ok(frames),
        }
    }
}

/// For the handshake, which sends one method at a time.
impl Encoder<BytesMut> for FrameCodec {
    type Error = CodecError;

    fn encode(&mut self, encoded: BytesMut, target: &mut BytesMut) -> Result<(), CodecError> {
        target.unsplit(encoded);
        Ok(())
    }
}
