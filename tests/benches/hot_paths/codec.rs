//! The paths through the codec alone: values to octets and back.

use std::hint::black_box;

use amqp_types::content::{Assembler, ContentHeader};
use amqp_types::frame::FrameKind;
use amqp_types::protocol::{FRAMING, Method, Spec, basic};
use amqp_types::wire::{Reader, Writer};
use amqp_types::{AnyMethod as _, EncodeError, Method as _};
use bytes::{Bytes, BytesMut};

use super::Result;
use super::values::{EXCHANGE, ROUTING_KEY, deliver, properties, table};

const BODY: [u8; 16] = [b'x'; 16];
/// Deliveries that are read in one go.
const BATCH: usize = 100;

fn frame(
    buffer: &mut BytesMut,
    kind: FrameKind,
    write: impl FnOnce(&mut Writer<'_>) -> std::result::Result<(), EncodeError>,
) -> Result {
    let start = FRAMING.begin(buffer, kind, 1);
    write(&mut Writer::new(buffer))?;
    Ok(FRAMING.end(buffer, start)?)
}

fn written(
    write: impl FnOnce(&mut Writer<'_>) -> std::result::Result<(), EncodeError>,
) -> Result<Bytes> {
    let mut buffer = BytesMut::new();
    write(&mut Writer::new(&mut buffer))?;
    Ok(buffer.freeze())
}

/// Encodes into a buffer that is large enough, from its start each time.
fn encode(times: usize, mut work: impl FnMut(&mut BytesMut) -> Result) -> Result {
    let mut buffer = BytesMut::with_capacity(4096);
    for _ in 0..times {
        buffer.clear();
        work(&mut buffer)?;
        black_box(&buffer);
    }
    Ok(())
}

/// The three frames of a publish.
pub(crate) fn encode_publish(times: usize) -> Result {
    let publish =
        basic::Publish { exchange: EXCHANGE, routing_key: ROUTING_KEY, ..Default::default() };
    let header = ContentHeader { body_size: BODY.len() as u64, properties: properties(0) };
    encode(times, |buffer| {
        frame(buffer, FrameKind::Method, |writer| black_box(&publish).encode(writer))?;
        frame(buffer, FrameKind::Header, |writer| black_box(&header).encode(writer))?;
        Ok(FRAMING.put(FrameKind::Body, 1, black_box(&BODY), buffer)?)
    })
}

/// The three frames of a delivery, cut and put together.
pub(crate) fn decode_deliver(times: usize) -> Result {
    let header = ContentHeader { body_size: BODY.len() as u64, properties: properties(0) };
    let mut delivery = BytesMut::new();
    frame(&mut delivery, FrameKind::Method, |writer| deliver().encode(writer))?;
    frame(&mut delivery, FrameKind::Header, |writer| header.encode(writer))?;
    FRAMING.put(FrameKind::Body, 1, &BODY, &mut delivery)?;
    let batch = delivery.repeat(BATCH);
    let mut buffer = BytesMut::with_capacity(batch.len());
    let mut assembler = Assembler::<Spec>::new();
    for _ in 0..times / BATCH {
        buffer.extend_from_slice(&batch);
        while let Some(mut frames) = FRAMING.split(&mut buffer, 131_072)? {
            while let Some(frame) = frames.next_frame() {
                black_box(assembler.push_ref(frame)?);
            }
        }
    }
    Ok(())
}

/// The payload of a header frame.
pub(crate) fn encode_header(headers: usize, times: usize) -> Result {
    let header = ContentHeader { body_size: 16, properties: properties(headers) };
    encode(times, |buffer| Ok(black_box(&header).encode(&mut Writer::new(buffer))?))
}

/// The payload of a header frame.
pub(crate) fn decode_header(headers: usize, times: usize) -> Result {
    let header = ContentHeader { body_size: 16, properties: properties(headers) };
    let payload = written(|writer| header.encode(writer))?;
    for _ in 0..times {
        black_box(ContentHeader::<basic::Properties>::decode(black_box(&payload))?);
    }
    Ok(())
}

/// A table of ten entries.
pub(crate) fn encode_table(times: usize) -> Result {
    let table = table(10);
    encode(times, |buffer| Ok(Writer::new(buffer).table(black_box(&table))?))
}

/// A table of ten entries.
pub(crate) fn decode_table(times: usize) -> Result {
    let table = table(10);
    let payload = written(|writer| writer.table(&table))?;
    for _ in 0..times {
        black_box(Reader::new(black_box(&payload)).table()?);
    }
    Ok(())
}

/// The frame of an acknowledgement.
pub(crate) fn encode_ack(times: usize) -> Result {
    let ack = basic::Ack { delivery_tag: 1, multiple: false };
    encode(times, |buffer| {
        frame(buffer, FrameKind::Method, |writer| black_box(&ack).encode(writer))
    })
}

/// The payload of an acknowledgement's frame, as a receiver does that knows nothing of what comes.
pub(crate) fn decode_ack(times: usize) -> Result {
    let payload = written(|writer| basic::Ack { delivery_tag: 1, multiple: false }.encode(writer))?;
    for _ in 0..times {
        black_box(Method::decode(black_box(&payload))?);
    }
    Ok(())
}
