//! Contents whose properties cannot be read: where they end is known all the same.
//!
//! What stands in the properties is the message's author's, whom the peer may have believed: no receiver needs to give up
//! its peer for that. The part of an [`Assembler`] that passes such contents over. Keeps nothing of their bodies.

use super::header::size_of_unreadable;
use super::{AssembleError, Assembler};
use crate::DecodeError;
use crate::frame::{FrameKind, FrameRef};
use crate::method::Protocol;

impl<P: Protocol> Assembler<P> {
    /// The method of the content whose header gave [`AssembleError::Properties`], once.
    #[must_use]
    pub fn take_unreadable(&mut self) -> Option<P::Method> {
        self.method.take()
    }

    /// A frame of another kind than belongs here, unless a body is passed over.
    #[cold]
    pub(super) fn pass_over(&mut self, frame: FrameRef<'_>) -> Result<bool, AssembleError> {
        let (passing, found) = (self.expected == FrameKind::Heartbeat, frame.kind);
        if !passing || found != FrameKind::Body {
            let expected = if passing { FrameKind::Body } else { self.expected };
            return Err(AssembleError::UnexpectedFrame { expected, found });
        }
        let received = frame.payload.len() as u64;
        let Some(rest) = self.size.checked_sub(received) else {
            return Err(AssembleError::BodyOverrun { size: self.size, received });
        };
        self.size = rest;
        if rest == 0 {
            self.expected = FrameKind::Method;
        }
        Ok(false)
    }

    /// The properties of the content under way cannot be read. Gives the error, after which its body is passed over if
    /// it is known how long that is.
    #[cold]
    pub(super) fn unreadable(&mut self, frame: FrameRef<'_>, error: DecodeError) -> AssembleError {
        match size_of_unreadable(frame.payload, self.class_id) {
            Some(size) => {
                (self.size, self.lent, self.properties) = (size, None, None);
                self.expected = match size {
                    0 => FrameKind::Method,
                    _ => FrameKind::Heartbeat,
                };
                AssembleError::Properties(error)
            }
            None => error.into(),
        }
    }
}
