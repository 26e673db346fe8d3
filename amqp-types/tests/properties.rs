//! What is written reads as it was and is written the same again, whatever it is.

#![cfg(test)]

mod support;

use amqp_types::content::{Assembler, ContentHeader, Incoming};
use amqp_types::frame::{Frame, FrameKind, Framing};
use amqp_types::reflect::{ClassInfo, DynamicMethod, MethodInfo, SpecInfo};
use amqp_types::wire::{Limits, Reader, Writer};
use amqp_types::{AnyMethod, AnyProperties, Body, Protocol, protocol};
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use support::strategies::{frame, method, properties, short_octets, short_str, table};
use support::written;

/// A made-up specification: long runs of bits, up to 31 properties.
#[allow(clippy::wrong_self_convention)] // It has a field named `self`.
mod synthetic {
    amqp_types::protocol! { "tests/vectors/synthetic-a.xml" }
}

fn methods(spec: &'static SpecInfo) -> Vec<&'static MethodInfo> {
    spec.methods().collect()
}

fn content_classes(spec: &'static SpecInfo) -> Vec<&'static ClassInfo> {
    spec.classes.iter().copied().filter(|class| class.has_content()).collect()
}

/// Ends of a stream: a good one, and some that are no frame.
const MALFORMED: &[&[u8]] = &[b"", b"\x04", b"\x08\0\x01\0\0\0\0\xce", b"\x01\0\x01\0\0\0\0\0"];

/// Both codecs write and read the same.
fn check_method<P: Protocol>(dynamic: &DynamicMethod) {
    let octets = written(|writer| dynamic.encode(writer));
    let typed = P::Method::decode(&octets).unwrap();
    assert_eq!(typed.info(), dynamic.info());
    assert_eq!(typed.values(), dynamic.values());
    assert_eq!(written(|writer| typed.encode(writer)), octets);
    assert_eq!(&DynamicMethod::decode(P::INFO, &octets).unwrap(), dynamic);
}

fn check_header<P: Protocol>(header: &ContentHeader<amqp_types::reflect::DynamicProperties>) {
    let octets = written(|writer| header.encode_dynamic(writer));
    let typed = ContentHeader::<P::Properties>::decode_any(&octets, Limits::DEFAULT).unwrap();
    assert_eq!(typed.body_size, header.body_size);
    assert_eq!(typed.properties.values(), header.properties.values());
    assert_eq!(written(|writer| typed.encode_any(writer)), octets);
    assert_eq!(&ContentHeader::decode_dynamic(P::INFO, &octets).unwrap(), header);
}

proptest! {
    #[test]
    fn short_strings(text in short_str(), octets in short_octets(), more in vec(any::<u8>(), 0..30)) {
        let payload = written(|writer| {
            writer.short_str(&text);
            writer.short_str(&octets);
            more.iter().for_each(|octet| writer.octet(*octet));
            Ok(())
        });
        let mut reader = Reader::new(&payload);
        prop_assert_eq!(reader.short_str().unwrap(), text);
        prop_assert_eq!(reader.short_octets().unwrap(), octets);
        prop_assert_eq!(reader.remaining(), more.len());
    }

    #[test]
    fn tables(table in table()) {
        let octets = written(|writer| writer.table(&table));
        let mut reader = Reader::new(&octets);
        let again = reader.table().unwrap();
        prop_assert_eq!(reader.finish(), Ok(()));
        prop_assert_eq!(&again, &table);
        prop_assert_eq!(written(|writer| writer.table(&again)), octets);
    }

    #[test]
    fn a_table_is_written_within_limits_exactly_if_it_is_read_within_them(
        table in table(), depth in 0_u8..6, entries in 0_u32..20, table_size in 0_u32..300,
    ) {
        let limits = Limits::default().with_depth(depth).with_entries(entries);
        let limits = limits.with_table_size(table_size);
        let mut octets = BytesMut::new();
        let written = Writer::verbatim(&mut octets).with_limits(limits).table(&table);
        let octets = support::written(|writer| writer.table(&table));
        let read = Reader::with_limits(&octets, limits).table();
        prop_assert_eq!(written.is_ok(), read.is_ok(), "{:?} {:?}", written, read);
    }

    #[test]
    fn a_table_cut_short_is_an_error_within_what_is_there(table in table(), cut in any::<Index>()) {
        let octets = written(|writer| writer.table(&table));
        let cut = octets.slice(..cut.index(octets.len()));
        let error = Reader::new(&cut).table().unwrap_err();
        prop_assert!(error.offset() <= cut.len());
    }

    #[test]
    fn frames_in_any_pieces(frames in vec(frame(), 0..6), cuts in vec(any::<Index>(), 0..6)) {
        let mut stream = BytesMut::new();
        for frame in &frames {
            Framing::STANDARD.encode(frame, &mut stream).unwrap();
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let (mut buf, mut decoded, mut given) = (BytesMut::new(), Vec::new(), 0);
        for cut in cuts {
            buf.extend_from_slice(&stream[given..cut]);
            given = cut;
            while let Some(frame) = Framing::STANDARD.decode(&mut buf, 1000).unwrap() {
                decoded.push(frame);
            }
        }
        prop_assert_eq!(decoded, frames);
        prop_assert!(buf.is_empty());
    }

    #[test]
    fn batches_of_frames_are_the_frames_whatever_the_cut(
        frames in vec(frame(), 0..12),
        cuts in vec(any::<Index>(), 0..4),
        bad in select(MALFORMED),
    ) {
        let mut stream = BytesMut::new();
        for frame in &frames {
            Framing::STANDARD.encode(frame, &mut stream).unwrap();
        }
        stream.extend_from_slice(bad);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let (mut one_by_one, mut buf) = (BytesMut::new(), BytesMut::new());
        let (mut given, mut errors) = (0, (None, None));
        for cut in cuts {
            let piece = &stream[given..cut];
            given = cut;
            one_by_one.extend_from_slice(piece);
            buf.extend_from_slice(piece);
            let mut expected = Vec::new();
            let error = loop {
                match Framing::STANDARD.decode(&mut one_by_one, 1000) {
                    Ok(Some(frame)) => expected.push(frame),
                    end => break end.err(),
                }
            };
            let batch = Framing::STANDARD.split(&mut buf, 1000);
            prop_assert_eq!(batch.is_err(), expected.is_empty() && error.is_some());
            let mut frames = Vec::new();
            if let Ok(Some(mut batch)) = batch {
                while let Some(frame) = batch.next_frame() {
                    frames.push(frame.to_frame());
                }
            }
            prop_assert_eq!(frames, expected);
            prop_assert_eq!(&buf, &one_by_one);
            errors = (error, Framing::STANDARD.split(&mut buf, 1000).err());
        }
        prop_assert_eq!(errors.0, errors.1);
        prop_assert_eq!(errors.0.is_some(), !bad.is_empty());
    }

    #[test]
    fn methods_of_the_compiled_specification(
        dynamic in select(methods(&protocol::INFO)).prop_flat_map(method),
    ) {
        check_method::<protocol::Spec>(&dynamic);
    }

    #[test]
    fn methods_of_a_made_up_specification(
        dynamic in select(methods(&synthetic::INFO)).prop_flat_map(method),
    ) {
        check_method::<synthetic::Spec>(&dynamic);
    }

    #[test]
    fn headers_of_the_compiled_specification(
        properties in select(content_classes(&protocol::INFO)).prop_flat_map(properties),
        body_size in any::<u64>(),
    ) {
        check_header::<protocol::Spec>(&ContentHeader { body_size, properties });
    }

    #[test]
    fn headers_of_a_made_up_specification(
        properties in select(content_classes(&synthetic::INFO)).prop_flat_map(properties),
        body_size in any::<u64>(),
    ) {
        check_header::<synthetic::Spec>(&ContentHeader { body_size, properties });
    }

    #[test]
    fn a_content_is_put_together_from_any_pieces(
        properties in select(content_classes(&protocol::INFO)).prop_flat_map(properties),
        pieces in vec(vec(any::<u8>(), 0..40), 0..5),
    ) {
        let class = properties.info();
        let info = class.methods.iter().find(|method| method.content).unwrap();
        let body: Body = pieces.iter().cloned().map(Bytes::from).collect();
        let header = ContentHeader { body_size: body.len() as u64, properties };
        let mut payloads = vec![
            (FrameKind::Method, written(|writer| DynamicMethod::new(info).encode(writer))),
            (FrameKind::Header, written(|writer| header.encode_dynamic(writer))),
        ];
        // An empty body has no frame; empty pieces at the end would come after it.
        let last = pieces.iter().rposition(|piece| !piece.is_empty()).map_or(0, |at| at + 1);
        let pieces = pieces.into_iter().take(last);
        payloads.extend(pieces.map(|piece| (FrameKind::Body, piece.into())));
        let mut assembler = Assembler::<protocol::Spec>::new();
        let mut out = Vec::new();
        for (kind, payload) in payloads {
            prop_assert!(out.is_empty(), "complete before its last frame");
            out.extend(assembler.push(Frame { kind, channel: 1, payload }).unwrap());
        }
        let [Incoming::Content { method, properties, body: put_together }] = &out[..] else {
            panic!("no content: {out:?}");
        };
        prop_assert_eq!(method.info(), *info);
        prop_assert_eq!(&properties.values()[..], header.properties.values());
        prop_assert_eq!(put_together, &body);
        prop_assert!(assembler.is_idle());
    }
}

/// One default instance of every method, not by chance alone.
#[test]
fn every_method_as_it_is_by_default() {
    for info in protocol::INFO.methods() {
        check_method::<protocol::Spec>(&DynamicMethod::new(info));
        // Nothing that is zero or empty is refused.
        let mut buf = BytesMut::new();
        DynamicMethod::new(info).encode(&mut Writer::new(&mut buf)).unwrap();
    }
}
