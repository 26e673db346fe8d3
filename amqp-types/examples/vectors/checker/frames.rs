//! Vectors of whole frames and of protocol headers.

use amqp_types::frame::{Frame, FrameKind};
use amqp_types::{FrameError, Protocol};
use bytes::{Bytes, BytesMut};

use super::json::Json;
use super::methods::compare;
use super::report::Outcome;

/// `{"channel","frame_type","payload_hex","hex"}`.
pub(crate) fn check<P: Protocol>(vector: Json<'_>) -> Outcome {
    let octets = vector.hex("hex")?;
    let kind_octet: u8 = vector.number("frame_type")?;
    let kind = P::FRAMING.kind(kind_octet).ok_or("no frame of ours has this type")?;
    if let Ok(name) = vector.text("frame_type_name")
        && name.replace(' ', "-") != kind_name(kind)
    {
        return Err(format!("type {kind_octet} is a {} for us", kind_name(kind)).into());
    }
    let expected =
        Frame { kind, channel: vector.number("channel")?, payload: vector.hex("payload_hex")? };
    check_pieces::<P>(&expected, &octets)?;
    let mut again = BytesMut::new();
    P::FRAMING.encode(&expected, &mut again).map_err(|error| error.to_string())?;
    compare("encoded", &again, &octets)
}

/// However the octets arrive, nothing comes out before the last of them, and then the frame.
fn check_pieces<P: Protocol>(expected: &Frame, octets: &Bytes) -> Outcome {
    let frame_max = u32::try_from(octets.len()).map_err(|error| error.to_string())?;
    let decode = |buf: &mut BytesMut| {
        P::FRAMING.decode(buf, frame_max).map_err(|error| format!("does not decode: {error}"))
    };
    let Some((last, head)) = octets.split_last() else {
        return Err("an empty frame".into());
    };
    let mut buf = BytesMut::new();
    for octet in head {
        buf.extend_from_slice(&[*octet]);
        let before = buf.clone();
        if decode(&mut buf)?.is_some() || buf != before {
            return Err(format!("something is taken after {} octets", before.len()).into());
        }
    }
    buf.extend_from_slice(&[*last]);
    buf.extend_from_slice(&[0, 1]);
    match decode(&mut buf)? {
        Some(frame) if frame == *expected && *buf == [0, 1] => Ok(()),
        Some(frame) if frame == *expected => {
            Err(format!("{} octets are left, not the two behind it", buf.len()).into())
        }
        other => Err(format!("decodes as {other:?}").into()),
    }
}

fn kind_name(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Method => "frame-method",
        FrameKind::Header => "frame-header",
        FrameKind::Body => "frame-body",
        FrameKind::Heartbeat => "frame-heartbeat",
    }
}

/// `{"hex"}`: the octets that open a connection.
pub(crate) fn check_protocol_header<P: Protocol>(vector: Json<'_>) -> Outcome {
    let octets = vector.hex("hex")?;
    compare("protocol header", &P::INFO.protocol_header, &octets)?;
    is_protocol_header::<P>(&octets)
}

/// Eight octets that the frame decoder knows for a protocol header, but not before the eighth.
pub(crate) fn is_protocol_header<P: Protocol>(octets: &[u8]) -> Outcome {
    let mut buf = BytesMut::new();
    for octet in octets.iter().take(7) {
        buf.extend_from_slice(&[*octet]);
        match P::FRAMING.decode(&mut buf, u32::MAX) {
            Ok(None) => {}
            other => return Err(format!("taken for {other:?} after {}", buf.len()).into()),
        }
    }
    let mut buf = BytesMut::from(octets);
    match P::FRAMING.decode(&mut buf, u32::MAX) {
        Err(FrameError::ProtocolHeader(header)) if header == octets => Ok(()),
        other => Err(format!("taken for {other:?}").into()),
    }
}
