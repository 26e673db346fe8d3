//! Nanoseconds per operation of the codec: `cargo bench -p amqp-types`.
//!
//! Each figure is the best of many short rounds, which on a busy machine says more than a
//! mean.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use amqp_types::content::{Assembler, ContentHeader};
use amqp_types::frame::{FrameKind, OVERHEAD};
use amqp_types::protocol::{FRAMING, Method, Spec, basic};
use amqp_types::wire::{Limits, Reader, Writer};
use amqp_types::{
    AnyMethod as _, EncodeError, FieldTable, Method as _, ShortStr, Timestamp, field_table,
    short_str,
};
use bytes::{Bytes, BytesMut};

const ROUNDS: u32 = 1000;
const ROUND: Duration = Duration::from_micros(300);

/// Measures `work`, which does `operations` operations.
fn measure<T>(name: &str, operations: u32, mut work: impl FnMut() -> T) {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, mut times) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            for _ in 0..10 {
                black_box(work());
            }
            times += 10;
        }
        let each = start.elapsed().as_secs_f64() / f64::from(times) / f64::from(operations);
        best = best.min(each * 1e9);
    }
    println!("{name:<58} {best:>9.1} ns");
}

fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>) -> Bytes {
    let mut buf = BytesMut::new();
    // Nothing here is too long; a payload cut short would show in what reads it.
    let _ = write(&mut Writer::new(&mut buf));
    buf.freeze()
}

fn ten_entries() -> FieldTable {
    field_table! {
        "x-match" => "all",
        "trace-id" => "4bf92f3577b34da6a3ce929d0e0e4736",
        "attempt" => 3,
        "priority" => 5_u8,
        "created" => Timestamp(1_700_000_000),
        "redelivered" => false,
        "source" => "orders-service",
        "ratio" => 0.5,
        "x-first-death-queue" => "orders.retry",
        "none" => (),
    }
}

fn deliver() -> basic::Deliver {
    basic::Deliver {
        consumer_tag: short_str!("ctag-1.consumer"),
        delivery_tag: 1,
        exchange: short_str!("amq.topic"),
        routing_key: short_str!("orders.created.eu"),
        ..Default::default()
    }
}

fn properties() -> basic::Properties {
    basic::Properties {
        content_type: Some(short_str!("application/json")),
        delivery_mode: Some(2),
        message_id: Some(short_str!("b7c5c9a0-0001")),
        ..Default::default()
    }
}

fn put_content(
    buf: &mut BytesMut,
    method: &basic::Publish,
    header: &ContentHeader<basic::Properties>,
    body: &[u8],
) -> Result<(), EncodeError> {
    let start = FRAMING.begin(buf, FrameKind::Method, 1);
    method.encode(&mut Writer::new(buf))?;
    FRAMING.end(buf, start)?;
    let start = FRAMING.begin(buf, FrameKind::Header, 1);
    header.encode(&mut Writer::new(buf))?;
    FRAMING.end(buf, start)?;
    FRAMING.put(FrameKind::Body, 1, body, buf)
}

fn primitives() -> Result<(), Box<dyn Error>> {
    for len in [0, 10, 22, 23, 60] {
        let text = ShortStr::try_from("x".repeat(len))?;
        let payload = written(|writer| {
            (0..100).for_each(|_| writer.short_str(&text));
            Ok(())
        });
        measure(&format!("short string of {len} octets, read"), 100, || {
            let mut reader = Reader::new(&payload);
            (0..100).for_each(|_| drop(black_box(reader.short_str())));
        });
    }
    let table = ten_entries();
    let payload = written(|writer| writer.table(&table));
    measure("table of ten entries, read", 1, || Reader::new(&payload).table());
    let mut buf = BytesMut::with_capacity(4096);
    measure("table of ten entries, written", 1, || {
        buf.clear();
        Writer::new(&mut buf).table(black_box(&table))
    });
    Ok(())
}

fn methods() {
    let payload = written(|writer| deliver().encode(writer));
    measure("basic.deliver, read", 1, || Method::decode(&payload));
    let header = ContentHeader { body_size: 16, properties: properties() };
    let payload = written(|writer| header.encode(writer));
    measure("content header with three properties, read", 1, || {
        ContentHeader::<basic::Properties>::decode(&payload)
    });
    let publish = basic::Publish {
        exchange: short_str!("amq.topic"),
        routing_key: short_str!("orders.created.eu"),
        ..Default::default()
    };
    let mut buf = BytesMut::with_capacity(4096);
    measure("basic.publish, header, body of 16 octets, written", 1, || {
        buf.clear();
        put_content(&mut buf, black_box(&publish), black_box(&header), &[b'x'; 16])
    });
}

fn streams() -> Result<(), Box<dyn Error>> {
    let mut whole = BytesMut::new();
    let header = ContentHeader { body_size: 16, properties: properties() };
    for _ in 0..100 {
        let payload = written(|writer| deliver().encode(writer));
        FRAMING.put(FrameKind::Method, 1, &payload, &mut whole)?;
        let payload = written(|writer| header.encode(writer));
        FRAMING.put(FrameKind::Header, 1, &payload, &mut whole)?;
        FRAMING.put(FrameKind::Body, 1, &[b'x'; 16], &mut whole)?;
    }
    let mut buf = BytesMut::with_capacity(whole.len());
    measure("three frames of a delivery, cut one by one", 100, || {
        buf.extend_from_slice(&whole);
        while let Ok(Some(frame)) = FRAMING.decode(&mut buf, u32::MAX) {
            black_box(frame);
        }
    });
    measure("three frames of a delivery, cut in a batch", 100, || {
        buf.extend_from_slice(&whole);
        while let Ok(Some(mut frames)) = FRAMING.split(&mut buf, u32::MAX) {
            while let Some(frame) = frames.next_frame() {
                black_box(frame);
            }
        }
    });
    let mut buf = BytesMut::with_capacity(whole.len() + OVERHEAD);
    let mut assembler = Assembler::<Spec>::new().with_limits(Limits::DEFAULT);
    measure("a whole delivery, put together and moved out", 100, || {
        buf.extend_from_slice(&whole);
        while let Ok(Some(mut frames)) = FRAMING.split(&mut buf, u32::MAX) {
            while let Some(frame) = frames.next_frame() {
                if let Ok(Some(incoming)) = assembler.push_ref(frame) {
                    black_box(&incoming);
                }
            }
        }
    });
    measure("a whole delivery, put together and looked at in place", 100, || {
        buf.extend_from_slice(&whole);
        while let Ok(Some(mut frames)) = FRAMING.split(&mut buf, u32::MAX) {
            while let Some(frame) = frames.next_frame() {
                if let Ok(Some(complete)) = assembler.push_in_place(frame) {
                    black_box(&complete);
                }
            }
        }
    });
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    primitives()?;
    methods();
    streams()
}
