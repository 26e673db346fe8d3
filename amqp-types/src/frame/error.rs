//! [`FrameError`]: octets that are no frame.
//!
//! Raised while a stream is cut into frames, and nowhere else. Holds no piece of the stream beyond
//! the few octets that show what is wrong.

use std::error::Error;
use std::fmt;

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
