//! [`AssembleError`]: frames that make no content.
//!
//! Raised by the assembler, and nowhere else. Plain data: holds nothing of the peer's.

use std::error::Error;
use std::fmt;

use crate::DecodeError;
use crate::frame::FrameKind;

/// A frame that cannot follow on those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssembleError {
    /// A frame of another kind belongs here.
    UnexpectedFrame {
        /// The kind that belongs here.
        expected: FrameKind,
        /// The kind that came.
        found: FrameKind,
    },
    /// A connection's method on another channel than 0, or another class's on channel 0.
    WrongChannel {
        /// The id of the method's class.
        class_id: u16,
        /// The id of the method.
        method_id: u16,
        /// The channel it came on.
        channel: u16,
    },
    /// The header is of another class than the method before it.
    WrongClass {
        /// The id of the method's class.
        expected: u16,
        /// The id of the header's class.
        found: u16,
    },
    /// More body came than the header said.
    BodyOverrun {
        /// The length that the header said, in octets.
        size: u64,
        /// The octets that came.
        received: u64,
    },
    /// The header says more than the receiver takes.
    BodyTooLarge {
        /// The length that the header said, in octets.
        size: u64,
        /// The most that the receiver takes, in octets.
        max: u64,
    },
    /// The properties of a content cannot be read: they are malformed, or beyond the receiver's
    /// [`Limits`](crate::wire::Limits). But whose content it is and how long its body is could be: the assembler
    /// passes the body over, and takes the channel's next frames as if there had been no error.
    /// [`Assembler::take_unreadable`](super::Assembler::take_unreadable) gives the method.
    Properties(DecodeError),
    /// The payload is malformed.
    Decode(DecodeError),
}

impl From<DecodeError> for AssembleError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl fmt::Display for AssembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedFrame { expected, found } => {
                write!(f, "{found:?} frame where a {expected:?} frame belongs")
            }
            Self::WrongChannel { class_id, method_id, channel } => {
                write!(f, "method {class_id}.{method_id} on channel {channel}")
            }
            Self::WrongClass { expected, found } => {
                write!(f, "content header of class {found} after a method of class {expected}")
            }
            Self::BodyOverrun { size, received } => {
                write!(f, "{received} octets of a body of {size}")
            }
            Self::BodyTooLarge { size, max } => {
                write!(f, "body of {size} octets, at most {max} are taken")
            }
            Self::Properties(error) => write!(f, "the properties cannot be read: {error}"),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl Error for AssembleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Decode(error) | Self::Properties(error) => Some(error),
            _ => None,
        }
    }
}
