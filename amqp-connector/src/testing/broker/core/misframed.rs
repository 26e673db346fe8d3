//! What a broker says of frames that make no method and no content.
//!
//! Called where frames are put together. Changes nothing.

use amqp_types::DecodeErrorKind;
use amqp_types::content::AssembleError;
use amqp_types::frame::{Frame, FrameKind};
use amqp_types::protocol::basic;

use crate::testing::broker::core::fault::Fault;

/// The class that a method or header says it is of.
pub(crate) fn class_of(frame: &Frame) -> u16 {
    frame.payload.first_chunk::<2>().map_or(0, |class| u16::from_be_bytes(*class))
}

/// What a broker says of a frame of this kind and class that makes no method or content, and of which method it speaks.
pub(crate) fn assemble_fault(
    error: &AssembleError,
    kind: FrameKind,
    class: u16,
) -> (Fault, (u16, u16)) {
    let publish = <basic::Publish as amqp_types::Method>::INFO;
    // The only content that a client sends.
    let content = (publish.class_id, publish.method_id);
    match *error {
        AssembleError::WrongChannel { class_id, method_id, channel } => {
            let fault = if channel == 0 { Fault::out_of_place() } else { Fault::unimplemented() };
            (fault, (class_id, method_id))
        }
        AssembleError::UnexpectedFrame { expected, .. } => misplaced(expected, content),
        AssembleError::WrongClass { .. } => wrong_class(class, content),
        AssembleError::BodyTooLarge { size, max } => {
            let text = format!("message size {size} is larger than configured max size {max}");
            (Fault::precondition(text), content)
        }
        AssembleError::Properties(_) => (Fault::internal(), (0, 0)),
        AssembleError::Decode(ref inner) => match (inner.kind(), kind) {
            (DecodeErrorKind::UnexpectedClass, _) => wrong_class(class, content),
            (DecodeErrorKind::UnknownClass(_) | DecodeErrorKind::UnknownMethod(..), _) => {
                (Fault::command_invalid(inner.to_string()), (0, 0))
            }
            (DecodeErrorKind::BadWeight(_), _) => misplaced(FrameKind::Header, content),
            (_, FrameKind::Header) => (Fault::internal(), (0, 0)),
            _ => (Fault::frame(inner.to_string()), (0, 0)),
        },
        _ => (Fault::unexpected_frame(error.to_string()), content),
    }
}

fn wrong_class(found: u16, content: (u16, u16)) -> (Fault, (u16, u16)) {
    let expected = content.0;
    let text =
        format!("expected content header for class {expected}, got one for class {found} instead");
    (Fault::unexpected_frame(text), content)
}

fn misplaced(expected: FrameKind, content: (u16, u16)) -> (Fault, (u16, u16)) {
    let class = content.0;
    match expected {
        FrameKind::Header => {
            let text = format!(
                "expected content header for class {class}, got non content header frame instead"
            );
            (Fault::unexpected_frame(text), content)
        }
        FrameKind::Body => {
            let text = "expected content body, got non content body frame instead";
            (Fault::unexpected_frame(text), content)
        }
        _ => {
            let text = "expected method frame, got non method frame instead";
            (Fault::unexpected_frame(text), (0, 0))
        }
    }
}
