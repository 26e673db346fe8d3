//! The tokio-util adapter: octets off the transport become frames.
//!
//! Used by the handshake and the driver through `Framed`. Output does not pass here: the session encodes
//! it, and the driver writes it with vectored writes. Looks into no payload.

use amqp_types::FrameError;
use amqp_types::frame::Frame;
use amqp_types::protocol::FRAMING;
use bytes::BytesMut;
use std::io;
use tokio_util::codec::{Decoder, Encoder};

/// Cuts the inbound stream into frames of at most the negotiated size.
#[derive(Debug)]
pub(crate) struct FrameCodec {
    frame_max: u32,
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
    pub(crate) fn new(frame_max: u32) -> Self {
        Self { frame_max }
    }

    pub(crate) fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        FRAMING.decode(source, self.frame_max).map_err(CodecError::Frame)
    }

    fn decode_eof(&mut self, source: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        match self.decode(source)? {
            None if !source.is_empty() => {
                let text = "the transport ended in the middle of a frame";
                Err(CodecError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, text)))
            }
            frame => Ok(frame),
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
