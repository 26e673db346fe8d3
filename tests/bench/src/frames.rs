//! Octets made once and used often: methods and contents as frames, for the sink, `raw` and `floor`.
//!
//! Encodes by `amqp-types`, since what is made beforehand costs nothing while measuring.

use amqp_types::content::ContentHeader;
use amqp_types::frame::FrameKind;
use amqp_types::protocol::{FRAMING, Spec, basic};
use amqp_types::wire::Writer;
use amqp_types::{EncodeError, FieldTable, Method, ShortStr};
use bytes::BytesMut;

use crate::cases::{self, HeaderValue};

/// Octets of a frame that are not its payload.
pub const OVERHEAD: usize = amqp_types::frame::OVERHEAD;

/// Appends the frame of a method.
///
/// # Errors
///
/// If it cannot be encoded.
pub fn method<M>(out: &mut BytesMut, channel: u16, method: &M) -> Result<(), EncodeError>
where
    M: Method<Protocol = Spec>,
{
    let frame = FRAMING.begin(out, FrameKind::Method, channel);
    method.encode(&mut Writer::new(out))?;
    FRAMING.end(out, frame)
}

/// Appends the frames of a content: header and body, the latter in frames of at most `frame_max` octets.
///
/// # Errors
///
/// If it cannot be encoded.
pub fn content(
    out: &mut BytesMut,
    channel: u16,
    headers: usize,
    body: &[u8],
    frame_max: usize,
) -> Result<(), EncodeError> {
    let header = ContentHeader { body_size: body.len() as u64, properties: properties(headers) };
    let frame = FRAMING.begin(out, FrameKind::Header, channel);
    header.encode(&mut Writer::new(out))?;
    FRAMING.end(out, frame)?;
    body_frames(out, channel, body, frame_max)
}

/// Appends the frames of a body.
///
/// # Errors
///
/// None that a body that fits memory can cause.
pub fn body_frames(
    out: &mut BytesMut,
    channel: u16,
    body: &[u8],
    frame_max: usize,
) -> Result<(), EncodeError> {
    for piece in body.chunks(frame_max.saturating_sub(OVERHEAD).max(1)) {
        FRAMING.put(FrameKind::Body, channel, piece, out)?;
    }
    Ok(())
}

/// A whole publish to the default exchange: three frames or more.
///
/// # Errors
///
/// If it cannot be encoded.
pub fn publish(
    out: &mut BytesMut,
    channel: u16,
    routing_key: &str,
    headers: usize,
    body: &[u8],
    frame_max: usize,
) -> Result<(), EncodeError> {
    let publish = basic::Publish { routing_key: short(routing_key), ..Default::default() };
    method(out, channel, &publish)?;
    content(out, channel, headers, body, frame_max)
}

/// The properties of a message with so many headers.
#[must_use]
pub fn properties(headers: usize) -> basic::Properties {
    match headers {
        0 => basic::Properties::default(),
        _ => basic::Properties { headers: Some(table(headers)), ..Default::default() },
    }
}

/// The table `headers` of so many entries.
#[must_use]
pub fn table(headers: usize) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in cases::headers(headers) {
        match value {
            HeaderValue::Text(text) => table.insert(short(&name), text.as_str()),
            HeaderValue::Number(number) => table.insert(short(&name), number),
        }
    }
    table
}

/// A name, which is short; an empty one if it is not.
#[must_use]
pub fn short(text: &str) -> ShortStr {
    ShortStr::try_from(text).unwrap_or_default()
}

/// A body of so many octets.
#[must_use]
pub fn body(octets: usize) -> Vec<u8> {
    vec![b'x'; octets]
}
