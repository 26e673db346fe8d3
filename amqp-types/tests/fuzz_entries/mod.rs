//! What the fuzz targets do with their octets: one function for each decoder.
//!
//! `fuzz/` drives them with an engine, `tests/fuzz.rs` with the vectors and random octets in every
//! test run. Each checks more than the absence of panics: two ways to the same value must agree,
//! and what was read and written again must read as the same.

#![allow(unreachable_pub)] // Unreachable here, but not in `fuzz/`.

use std::collections::HashMap;

use amqp_types::content::{AssembleError, Assembler, ContentHeader};
use amqp_types::frame::Frame;
use amqp_types::protocol::{FRAMING, INFO, Method, Properties, Spec};
use amqp_types::reflect::{DynamicMethod, DynamicProperties};
use amqp_types::wire::{Limits, Reader, Writer};
use amqp_types::{AnyMethod, AnyProperties, EncodeError, FieldTable, FrameError};
use bytes::{Bytes, BytesMut};

const FRAME_MAX: u32 = 131_072;

/// Limits that a fuzzer reaches.
const TIGHT: Limits = Limits::DEFAULT.with_depth(3).with_entries(8).with_table_size(64);

/// A stream of frames: whole or octet by octet they are the same, and so are they when written
/// again; then what they carry is put together.
pub fn frame(data: &[u8]) {
    let (frames, error, rest) = decode_stream([data]);
    let octet_by_octet = decode_stream(data.chunks(1));
    assert_eq!((&frames, error), (&octet_by_octet.0, octet_by_octet.1));

    let mut again = BytesMut::new();
    for frame in &frames {
        FRAMING.encode(frame, &mut again).expect("it was a frame before");
    }
    assert_eq!(again, data[..data.len() - rest]);
    assemble(frames);
}

/// The frames, the error that ended them, and how many octets are left.
fn decode_stream<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<FrameError>, usize) {
    let mut stream = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        stream.extend_from_slice(chunk);
        loop {
            match FRAMING.decode(&mut stream, FRAME_MAX) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error), stream.len()),
            }
        }
    }
    (frames, None, stream.len())
}

fn assemble(frames: Vec<Frame>) {
    let mut channels: HashMap<u16, Assembler<Spec>> = HashMap::new();
    for frame in frames {
        let assembler =
            channels.entry(frame.channel).or_insert_with(|| Assembler::new().with_max_body(1000));
        match assembler.push(frame) {
            Ok(_) => assert!(assembler.buffered() <= 1000),
            Err(AssembleError::Decode(_)) => assert!(assembler.is_idle()),
            Err(error) => assert!(assembler.is_idle() && !error.to_string().is_empty()),
        }
    }
}

/// The payload of a method frame: the emitted codec and the one driven by descriptions agree.
pub fn method(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let _ = Method::decode_limited(&payload, TIGHT);
    let typed = Method::decode(&payload);
    let dynamic = DynamicMethod::decode(&INFO, &payload);
    let (typed, dynamic) = match (typed, dynamic) {
        (Ok(typed), Ok(dynamic)) => (typed, dynamic),
        (typed, dynamic) => return assert_eq!(typed.err(), dynamic.err()),
    };
    assert_eq!(typed.info(), dynamic.info());
    let octets = written(|writer| typed.encode(writer));
    let again = Method::decode(&octets).expect("it was a method before");
    // As text, in which not-a-number equals itself.
    assert_eq!(format!("{again:?}"), format!("{typed:?}"));
    assert_eq!(written(|writer| again.encode(writer)), octets);

    let octets = written(|writer| dynamic.encode(writer));
    let again = DynamicMethod::decode(&INFO, &octets).expect("it was a method before");
    assert_eq!(format!("{again:?}"), format!("{dynamic:?}"));
    let mut strict = BytesMut::new();
    if typed.encode(&mut Writer::new(&mut strict)).is_ok() {
        assert!(Method::decode(&strict.freeze()).is_ok());
    }
}

/// The payload of a header frame: the emitted codec and the one driven by descriptions agree.
pub fn header(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let _ = ContentHeader::<Properties>::decode_any(&payload, TIGHT);
    let typed = ContentHeader::<Properties>::decode_any(&payload, Limits::DEFAULT);
    let dynamic = ContentHeader::<DynamicProperties>::decode_dynamic(&INFO, &payload);
    let (typed, dynamic) = match (typed, dynamic) {
        (Ok(typed), Ok(dynamic)) => (typed, dynamic),
        (typed, dynamic) => return assert_eq!(typed.err(), dynamic.err()),
    };
    assert_eq!(typed.properties.info(), dynamic.properties.info());
    let octets = written(|writer| typed.encode_any(writer));
    let again = ContentHeader::<Properties>::decode_any(&octets, Limits::DEFAULT);
    let again = again.expect("it was a header before");
    assert_eq!(format!("{again:?}"), format!("{typed:?}"));
    assert_eq!(written(|writer| again.encode_any(writer)), octets);

    let octets = written(|writer| dynamic.encode_dynamic(writer));
    let again = ContentHeader::<DynamicProperties>::decode_dynamic(&INFO, &octets);
    assert_eq!(format!("{:?}", again.expect("it was a header before")), format!("{dynamic:?}"));
}

/// A table with its length before it.
pub fn table(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let _ = Reader::with_limits(&payload, TIGHT).table();
    let mut reader = Reader::new(&payload);
    let Ok(table) = reader.table() else {
        return;
    };
    let octets = written(|writer| writer.table(&table));
    assert_eq!(octets.len(), reader.position());
    let again = Reader::new(&octets).table().expect("it was a table before");
    assert_eq!(format!("{again:?}"), format!("{table:?}"));
    assert_eq!(written(|writer| writer.table(&again)), octets);
    ask(&table);
}

/// Every key is found.
fn ask(table: &FieldTable) {
    for (key, value) in table {
        assert!(table.contains_key(key));
        let _ = (value.as_i64(), value.as_u64(), value.as_f64(), value.as_str());
        if let Some(inner) = value.as_table() {
            ask(inner);
        }
    }
}

fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>) -> Bytes {
    let mut buf = BytesMut::new();
    write(&mut Writer::verbatim(&mut buf)).expect("a verbatim writer writes what was read");
    buf.freeze()
}
