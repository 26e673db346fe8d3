//! What the fuzz targets do with their octets: one function for each decoder.
//!
//! `fuzz/` drives them with an engine, `tests/fuzz.rs` with the vectors and random octets in every
//! test run. Each checks more than the absence of panics: two ways to the same value must agree,
//! and what was read and written again must read as the same.

#![allow(unreachable_pub)] // Unreachable here, but not in `fuzz/`.

use std::collections::HashMap;

use amqp_types::content::{AssembleError, Assembler, ContentHeader, Incoming, Part};
use amqp_types::frame::{Frame, FrameRef, OVERHEAD};
use amqp_types::protocol::{FRAMING, INFO, Method, Properties, Spec};
use amqp_types::reflect::{Described, DynamicMethod, DynamicProperties};
use amqp_types::wire::{Limits, Reader, Writer};
use amqp_types::{AnyMethod, AnyProperties, EncodeError, FieldTable, FrameError};
use bytes::{Bytes, BytesMut};

const FRAME_MAX: u32 = 131_072;

/// Limits that a fuzzer reaches.
const TIGHT: Limits = Limits::DEFAULT.with_depth(3).with_entries(8).with_table_size(64);

/// A stream of frames: in any pieces, one by one or in batches they are the same, and so are they
/// when written again; each is shown as one line; then what they carry is put together, the same from either.
pub fn frame(data: &[u8]) {
    let (frames, error, rest) = decode_stream([data]);
    let octet_by_octet = decode_stream(data.chunks(1));
    assert_eq!((&frames, error), (&octet_by_octet.0, octet_by_octet.1));

    let mut again = BytesMut::new();
    for frame in &frames {
        FRAMING.encode(frame, &mut again).expect("it was a frame before");
    }
    assert_eq!(again, data[..data.len() - rest]);

    for frame in &frames {
        let line = Described::new(&INFO, frame.into()).with_limit(8).to_string();
        assert!(!line.contains(char::is_control), "{line}");
    }

    let mut receiver = Receiver::default();
    frames.iter().cloned().for_each(|frame| receiver.push(frame));
    lent(&frames);
    for size in [1, 20, data.len().max(1)] {
        let split = split_stream(data.chunks(size));
        assert_eq!((&split.0, &split.1.given_out, split.2), (&frames, &receiver.given_out, error));
    }
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

/// The same, taken in batches: the frames, who received them, the error.
fn split_stream<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Receiver, Option<FrameError>) {
    let mut stream = BytesMut::new();
    let (mut frames, mut receiver) = (Vec::new(), Receiver::default());
    for chunk in chunks {
        stream.extend_from_slice(chunk);
        loop {
            let mut batch = match FRAMING.split(&mut stream, FRAME_MAX) {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => return (frames, receiver, Some(error)),
            };
            assert!(!batch.is_empty());
            let mut left = batch.len();
            while let Some(frame) = batch.next_frame() {
                left -= frame.payload.len() + OVERHEAD;
                frames.push(frame.to_frame());
                receiver.push_ref(frame);
            }
            assert_eq!((left, batch.len()), (0, 0));
        }
    }
    (frames, receiver, None)
}

/// The frames of each channel, with every content lent: what is given out is what an assembler without a limit puts
/// together, and nothing is kept.
fn lent(frames: &[Frame]) {
    let (mut lending, mut whole) = (HashMap::new(), HashMap::new());
    let mut bodies: HashMap<u16, (String, Vec<u8>)> = HashMap::new();
    for frame in frames {
        let lender = lending.entry(frame.channel).or_insert_with(Assembler::<Spec>::new);
        let expected =
            whole.entry(frame.channel).or_insert_with(Assembler::<Spec>::new).push(frame.clone());
        let body = bodies.entry(frame.channel).or_default();
        let over = match lender.push_part(FrameRef::from(frame)) {
            Ok(None) => {
                lender.lend();
                None
            }
            Ok(Some(Part::Complete(complete))) => complete.take(),
            Ok(Some(Part::Header { method, properties, size })) => {
                *body = (format!("{method:?} {properties:?}"), Vec::new());
                (size == 0).then(|| content(method, properties, &[]))
            }
            Ok(Some(Part::Piece { octets, rest })) => {
                body.1.extend_from_slice(&octets);
                let Ok(Some(whole)) = &expected else {
                    assert!(rest > 0 && expected == Ok(None));
                    continue;
                };
                let Incoming::Content { method, properties, body: octets } = whole else {
                    panic!("{whole:?}")
                };
                let begun = format!("{:?} {:?}", Some(method), Some(properties));
                assert_eq!((rest, &begun, octets.to_bytes()), (0, &body.0, body.1.clone().into()));
                continue;
            }
            Err(error) => {
                assert_eq!(Err(error), expected);
                continue;
            }
        };
        assert_eq!(lender.buffered(), 0);
        assert_eq!(format!("{:?}", Ok::<_, AssembleError>(over)), format!("{expected:?}"));
    }
}

fn content(
    method: &Option<Method>,
    properties: &Option<Properties>,
    body: &'static [u8],
) -> Incoming<Spec> {
    let (method, properties) = (method.clone().expect("it is there"), properties.clone());
    Incoming::Content { method, properties: properties.expect("they are there"), body: body.into() }
}

/// Puts contents together, and keeps what came of it.
#[derive(Default)]
struct Receiver {
    channels: HashMap<u16, Assembler<Spec>>,
    given_out: Vec<String>,
}

impl Receiver {
    fn push(&mut self, frame: Frame) {
        let assembler = self.assembler(frame.channel);
        let pushed = assembler.push(frame);
        self.check(pushed);
    }

    fn push_ref(&mut self, frame: FrameRef<'_>) {
        let assembler = self.assembler(frame.channel);
        let pushed = assembler.push_ref(frame);
        self.check(pushed);
    }

    fn assembler(&mut self, channel: u16) -> &mut Assembler<Spec> {
        self.channels
            .entry(channel)
            .or_insert_with(|| Assembler::new().with_max_body(1000).with_copy_max(100))
    }

    fn check(&mut self, pushed: Result<Option<Incoming<Spec>>, AssembleError>) {
        assert!(self.channels.values().all(|assembler| assembler.buffered() <= 1000));
        if let Err(error) = &pushed {
            assert!(!error.to_string().is_empty());
        }
        // As text, in which not-a-number equals itself.
        self.given_out.push(format!("{pushed:?}"));
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
