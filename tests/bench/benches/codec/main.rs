//! The codec, beside amq-protocol (lapin's): the same values, the same octets. `cargo bench --bench codec`.
//!
//! Encoding writes whole frames into a buffer that is large enough; decoding reads payloads, except of a delivery:
//! its three frames come off a stream, and ours are put together to a content as well. What is decoded is dropped
//! within the time that is measured.

#![allow(clippy::expect_used, reason = "a failed expectation ends its measurement")]

mod values;

use std::hint::black_box;

use amq_protocol::frame::{AMQPFrame, parse_frame, parsing};
use amq_protocol::protocol::parse_class;
use amq_protocol::types as their;
use amqp_types::content::{Assembler, ContentHeader};
use amqp_types::frame::FrameKind;
use amqp_types::protocol::{FRAMING, Method, Spec, basic as ours};
use amqp_types::wire::{Reader, Writer};
use amqp_types::{AnyMethod as _, Method as _};
use bytes::BytesMut;
use divan::Bencher;

use values::*;

const FRAME_MAX: u32 = 131_072;

fn main() {
    same_octets();
    // Long enough that neither the timer nor a busy machine shows in the median.
    divan::Divan::default().sample_size(1000).sample_count(200).config_with_args().main();
}

/// Times `write` into a buffer that is emptied before.
fn write(bencher: Bencher<'_, '_>, write: impl Fn(&mut BytesMut) -> Written) {
    let mut buffer = BytesMut::with_capacity(ROOM);
    bencher.bench_local(|| {
        buffer.clear();
        write(&mut buffer).expect("frames");
        black_box(&mut buffer);
    });
}

/// Times writing these frames into a buffer from its start.
fn generate_all(bencher: Bencher<'_, '_>, frames: &[AMQPFrame]) {
    let mut buffer = [0; ROOM];
    bencher.bench_local(|| {
        generate(&mut buffer, black_box(frames));
        black_box(&mut buffer);
    });
}

/// Times a reader, and dropping what it reads.
fn read<T>(bencher: Bencher<'_, '_>, read: impl Fn() -> T) {
    bencher.bench_local(|| drop(black_box(read())));
}

mod encode {
    use super::*;

    mod publish {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            let (publish, header) = (our_publish(), our_header(false));
            write(bencher, |buffer| {
                put(buffer, FrameKind::Method, |writer| black_box(&publish).encode(writer))?;
                put(buffer, FrameKind::Header, |writer| black_box(&header).encode(writer))?;
                FRAMING.put(FrameKind::Body, 1, black_box(&BODY), buffer)
            });
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            let body = AMQPFrame::Body(1, BODY.to_vec());
            generate_all(bencher, &[their_publish(), their_header(false), body]);
        }
    }

    mod header_0 {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            let header = our_header(false);
            write(bencher, |buffer| {
                put(buffer, FrameKind::Header, |writer| black_box(&header).encode(writer))
            });
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            generate_all(bencher, &[their_header(false)]);
        }
    }

    mod header_10 {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            let header = our_header(true);
            write(bencher, |buffer| {
                put(buffer, FrameKind::Header, |writer| black_box(&header).encode(writer))
            });
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            generate_all(bencher, &[their_header(true)]);
        }
    }

    mod table {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            let table = our_table();
            write(bencher, |buffer| Writer::new(buffer).table(black_box(&table)));
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            let (table, mut buffer) = (their_table(), [0; ROOM]);
            bencher.bench_local(|| {
                let room: &mut [u8] = black_box(&mut buffer);
                let write = their::generation::gen_field_table(black_box(&table));
                write(room.into()).expect("room for a table").position
            });
        }
    }

    mod ack {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            write(bencher, |buffer| {
                put(buffer, FrameKind::Method, |writer| black_box(&OUR_ACK).encode(writer))
            });
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            generate_all(bencher, &[their_ack()]);
        }
    }
}

mod decode {
    use super::*;

    mod deliver {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            let mut stream = BytesMut::from_iter(delivery().repeat(100));
            let batch = FRAMING.split(&mut stream, FRAME_MAX).ok().flatten().expect("frames");
            let mut frames = batch.clone();
            let mut assembler = Assembler::<Spec>::new();
            bencher.bench_local(move || {
                if frames.is_empty() {
                    frames = batch.clone();
                }
                for _ in 0..3 {
                    let frame = frames.next_frame().expect("whole deliveries");
                    drop(black_box(assembler.push_ref(frame).expect("a content")));
                }
            });
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            let stream = delivery();
            read(bencher, || {
                let mut rest: &[u8] = black_box(&stream);
                [(); 3].map(|()| {
                    let (after, frame) = parse_frame(rest).expect("a frame");
                    rest = after;
                    frame
                })
            });
        }
    }

    mod header_0 {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            let payload = payload(|writer| our_header(false).encode(writer));
            read(bencher, || ContentHeader::<ours::Properties>::decode(black_box(&payload)));
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            let payload = payload(|writer| our_header(false).encode(writer));
            read(bencher, || parsing::parse_content_header(black_box(&payload[..])).expect("one"));
        }
    }

    mod header_10 {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            let payload = payload(|writer| our_header(true).encode(writer));
            read(bencher, || ContentHeader::<ours::Properties>::decode(black_box(&payload)));
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            let payload = payload(|writer| our_header(true).encode(writer));
            read(bencher, || parsing::parse_content_header(black_box(&payload[..])).expect("one"));
        }
    }

    mod table {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            let payload = payload(|writer| writer.table(&our_table()));
            read(bencher, || Reader::new(black_box(&payload)).table().expect("a table"));
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            let payload = payload(|writer| writer.table(&our_table()));
            read(bencher, || {
                their::parsing::parse_field_table(black_box(&payload[..])).expect("a table")
            });
        }
    }

    mod ack {
        use super::*;

        #[divan::bench]
        fn ours(bencher: Bencher<'_, '_>) {
            let payload = payload(|writer| OUR_ACK.encode(writer));
            read(bencher, || Method::decode(black_box(&payload)).expect("a method"));
        }

        #[divan::bench]
        fn amq_protocol(bencher: Bencher<'_, '_>) {
            let payload = payload(|writer| OUR_ACK.encode(writer));
            read(bencher, || parse_class(black_box(&payload[..])).expect("a method"));
        }
    }
}
