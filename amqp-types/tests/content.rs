//! Contents in frames: what the assembler gives out, and what it refuses.

#![cfg(test)]

use amqp_types::content::{AssembleError, Assembler, ContentHeader, Incoming, Part};
use amqp_types::frame::{Frame, FrameKind};
use amqp_types::wire::{Limits, Writer};
use amqp_types::{
    Body, DecodeErrorKind, EncodeError, Method, Properties, Protocol, field_table, short_str,
};
use bytes::{Bytes, BytesMut};

mod rabbit {
    amqp_types::protocol! { "specs/amqp0-9-1-rabbitmq.xml" }
}

/// A made-up specification with several classes that carry content, and none named "connection".
#[allow(clippy::wrong_self_convention)] // It has a field named `self`.
mod synthetic {
    amqp_types::protocol! { "tests/vectors/synthetic-a.xml" }
}

use rabbit::basic;

fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>) -> Bytes {
    let mut buf = BytesMut::new();
    write(&mut Writer::new(&mut buf)).unwrap();
    buf.freeze()
}

fn method(method: &impl Method) -> Frame {
    let payload = written(|writer| method.encode(writer));
    Frame { kind: FrameKind::Method, channel: 1, payload }
}

fn header<P: Properties>(body_size: u64, properties: P) -> Frame {
    let header = ContentHeader { body_size, properties };
    let payload = written(|writer| header.encode(writer));
    Frame { kind: FrameKind::Header, channel: 1, payload }
}

fn body(octets: &'static str) -> Frame {
    Frame { kind: FrameKind::Body, channel: 1, payload: octets.into() }
}

fn deliver() -> basic::Deliver {
    basic::Deliver { routing_key: short_str!("orders"), delivery_tag: 7, ..Default::default() }
}

fn properties() -> basic::Properties {
    basic::Properties {
        content_type: Some(short_str!("text/plain")),
        headers: Some(field_table! { "n" => 1 }),
        ..Default::default()
    }
}

/// Pushes frames that complete nothing but with the last.
fn push_all<P: Protocol>(
    assembler: &mut Assembler<P>,
    frames: impl IntoIterator<Item = Frame>,
) -> Result<Incoming<P>, AssembleError> {
    let mut out = None;
    for frame in frames {
        assert_eq!(out, None);
        out = assembler.push(frame)?;
    }
    Ok(out.expect("complete"))
}

#[test]
fn a_content_comes_with_its_method_properties_and_body() {
    let mut assembler = Assembler::<rabbit::Spec>::new();
    for pieces in [&["hello"][..], &["he", "llo"], &["", "hell", "", "o"]] {
        let frames = [method(&deliver()), header(5, properties())].into_iter();
        let content = push_all(&mut assembler, frames.chain(pieces.iter().copied().map(body)));
        let expected = Incoming::Content {
            method: deliver().into_any(),
            properties: properties().into_any(),
            body: Body::from("hello"),
        };
        assert_eq!(content, Ok(expected));
        assert!(assembler.is_idle());
    }
}

#[test]
fn an_empty_body_has_no_frame() {
    let mut assembler = Assembler::<rabbit::Spec>::default();
    let frames = [method(&deliver()), header(0, properties())];
    let content = push_all(&mut assembler, frames);
    assert!(matches!(content, Ok(Incoming::Content { body, .. }) if body.is_empty()));
    let extra = assembler.push(body("x")).unwrap_err();
    let expected =
        AssembleError::UnexpectedFrame { expected: FrameKind::Method, found: FrameKind::Body };
    assert_eq!(extra, expected);
}

#[test]
fn a_method_without_content_stands_alone() {
    let mut assembler = Assembler::<rabbit::Spec>::new();
    let ack = basic::Ack { delivery_tag: 1, multiple: true };
    assert_eq!(assembler.push(method(&ack)), Ok(Some(Incoming::Method(ack.into_any()))));
}

#[test]
fn a_frame_out_of_order_is_refused_and_forgotten() {
    use FrameKind::{Body, Header, Method};
    for (before, wrong, expected, found) in [
        (vec![], header(1, properties()), Method, Header),
        (vec![], body("x"), Method, Body),
        (vec![method(&deliver())], method(&deliver()), Header, Method),
        (vec![method(&deliver())], body("x"), Header, Body),
        (vec![method(&deliver()), header(1, properties())], method(&deliver()), Body, Method),
        (vec![method(&deliver()), header(1, properties())], header(1, properties()), Body, Header),
    ] {
        let mut assembler = Assembler::<rabbit::Spec>::new();
        for frame in before {
            assert_eq!(assembler.push(frame), Ok(None));
        }
        let error = AssembleError::UnexpectedFrame { expected, found };
        assert_eq!(assembler.push(wrong), Err(error));
        assert!(assembler.is_idle());
        assert!(error.to_string().contains("frame where a"));
    }
}

#[test]
fn a_body_is_no_longer_than_announced_and_no_larger_than_allowed() {
    let mut assembler = Assembler::<rabbit::Spec>::new().with_max_body(5);
    let frames = [method(&deliver()), header(5, properties()), body("hell"), body("oo")];
    let overrun = push_all(&mut assembler, frames);
    assert_eq!(overrun, Err(AssembleError::BodyOverrun { size: 5, received: 6 }));

    let frames = [method(&deliver()), header(6, properties())];
    let too_large = push_all(&mut assembler, frames);
    assert_eq!(too_large, Err(AssembleError::BodyTooLarge { size: 6, max: 5 }));
    assert_eq!(assembler.buffered(), 0);
}

#[test]
fn an_announced_size_makes_no_room() {
    let mut assembler = Assembler::<rabbit::Spec>::new();
    assert_eq!(assembler.push(method(&deliver())), Ok(None));
    assert_eq!(assembler.push(header(u64::MAX, properties())), Ok(None));
    assert_eq!(assembler.push(body("abc")), Ok(None));
    assert_eq!((assembler.buffered(), assembler.is_idle()), (3, false));
}

#[test]
fn a_header_is_of_the_class_of_its_method() {
    let mut assembler = Assembler::<synthetic::Spec>::new();
    let frames = [
        method(&synthetic::fifteen::Send::default()),
        header(0, synthetic::many::Properties::default()),
    ];
    let wrong = push_all(&mut assembler, frames);
    assert_eq!(wrong, Err(AssembleError::WrongClass { expected: 301, found: 302 }));
}

#[test]
fn channel_0_is_the_connection_s_own() {
    let on = |channel, frame: Frame| {
        Assembler::<rabbit::Spec>::new().push(Frame { channel, ..frame }).map(|_| ())
    };
    let close = method(&rabbit::connection::Close::default());
    let declare = method(&rabbit::queue::Declare::default());
    assert_eq!((on(0, close.clone()), on(1, declare.clone())), (Ok(()), Ok(())));
    for (channel, frame) in [(1, close), (0, declare), (0, method(&deliver()))] {
        let error = on(channel, frame).unwrap_err();
        assert!(matches!(error, AssembleError::WrongChannel { .. }), "{error}");
    }
    // A specification without such a class keeps only contents from it.
    let on_0 = |frame: Frame| {
        Assembler::<synthetic::Spec>::new().push(Frame { channel: 0, ..frame }).map(|_| ())
    };
    assert_eq!(on_0(method(&synthetic::r#box::Nothing::default())), Ok(()));
    assert!(on_0(method(&synthetic::many::Send::default())).is_err());
}

#[test]
fn heartbeats_pass_unseen() {
    let mut assembler = Assembler::<rabbit::Spec>::new();
    let heartbeat = Frame { kind: FrameKind::Heartbeat, channel: 0, payload: Bytes::new() };
    let frames = [method(&deliver()), heartbeat, header(1, properties()), body("x")];
    assert!(push_all(&mut assembler, frames).is_ok());
}

#[test]
fn limits_hold_in_headers_too() {
    let mut assembler =
        Assembler::<rabbit::Spec>::new().with_limits(Limits::default().with_entries(1));
    let headers = field_table! { "a" => 1, "b" => 2 };
    let properties = basic::Properties { headers: Some(headers), ..Default::default() };
    let refused = push_all(&mut assembler, [method(&deliver()), header(0, properties)]);
    let Err(AssembleError::Properties(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), DecodeErrorKind::TooManyEntries);
}

#[test]
fn a_header_may_be_read_as_one_class_only() {
    let payload = header(0, synthetic::many::Properties::default()).payload;
    assert!(ContentHeader::<synthetic::many::Properties>::decode(&payload).is_ok());
    let error = ContentHeader::<synthetic::fifteen::Properties>::decode(&payload).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::UnexpectedClass, 0));
    let longer = Bytes::from([&payload[..], b"x"].concat());
    let error = ContentHeader::<synthetic::many::Properties>::decode(&longer).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (DecodeErrorKind::TrailingBytes, payload.len()));
}

#[test]
fn a_body_of_tiny_frames_takes_no_more_than_its_size() {
    const SIZE: usize = 100_000;
    let mut assembler = Assembler::<rabbit::Spec>::new();
    assembler.push(method(&deliver())).unwrap();
    assembler.push(header(SIZE as u64, properties())).unwrap();
    let mut complete = None;
    for n in 0..SIZE {
        assert_eq!(assembler.buffered(), n);
        let payload = Bytes::from(vec![u8::try_from(n % 251).unwrap()]);
        complete = assembler.push(Frame { kind: FrameKind::Body, channel: 1, payload }).unwrap();
    }
    let Some(Incoming::Content { body, .. }) = complete else { panic!("not complete") };
    assert!(body.chunks().len() < 10, "{} chunks", body.chunks().len());
    let octets = body.into_bytes();
    assert!((0..SIZE).all(|n| usize::from(octets[n]) == n % 251));
}

/// The chunks of a body that came in frames of these lengths, and the memory they were in.
fn chunks_of(lengths: &[usize], copy_max: usize) -> (Vec<Bytes>, std::ops::Range<*const u8>) {
    let size: usize = lengths.iter().sum();
    let mut stream = BytesMut::new();
    for frame in [method(&deliver()), header(size as u64, properties())] {
        rabbit::FRAMING.encode(&frame, &mut stream).unwrap();
    }
    for length in lengths {
        rabbit::FRAMING.put(FrameKind::Body, 1, &vec![b'x'; *length], &mut stream).unwrap();
    }
    let read_into = stream.as_ptr_range();
    let mut frames = rabbit::FRAMING.split(&mut stream, u32::MAX).unwrap().unwrap();
    let mut assembler = Assembler::<rabbit::Spec>::new().with_copy_max(copy_max);
    let mut complete = None;
    while let Some(frame) = frames.next_frame() {
        complete = assembler.push_ref(frame).unwrap();
    }
    let Some(Incoming::Content { body, .. }) = complete else { panic!("not complete") };
    assert_eq!(body.len(), size);
    (body.chunks().to_vec(), read_into)
}

#[test]
fn a_small_body_is_copied_out_of_the_read_buffer_and_a_large_one_is_not() {
    let small = Assembler::<rabbit::Spec>::COPY_MAX;
    for (lengths, chunks, shared) in [
        (&[1][..], 1, 0),
        (&[small], 1, 0),
        (&[small + 1], 1, 1),
        (&[small, 1], 1, 0),
        (&[small + 1, 1, small, small + 1], 3, 2),
        (&[small; 9], 3, 0),
    ] {
        let (pieces, read_into) = chunks_of(lengths, small);
        let sharing = pieces.iter().filter(|piece| read_into.contains(&piece.as_ptr())).count();
        assert_eq!((pieces.len(), sharing), (chunks, shared), "{lengths:?}");
    }
    let (pieces, read_into) = chunks_of(&[1], 0);
    assert!(read_into.contains(&pieces[0].as_ptr()));
}

#[test]
fn where_everything_is_copied_pieces_of_any_size_keep_no_octet_of_the_read_buffer() {
    let (small, large) = (Assembler::<rabbit::Spec>::COPY_MAX, 131_064);
    for (lengths, chunks) in [
        (&[large][..], 1),
        (&[large, large, 1], 3),
        (&[small, small, small + 1, 1], 3),
        (&[9000, 9000, 9000], 3),
    ] {
        let (pieces, read_into) = chunks_of(lengths, usize::MAX);
        assert!(pieces.iter().all(|piece| !read_into.contains(&piece.as_ptr())), "{lengths:?}");
        assert_eq!(pieces.len(), chunks, "{lengths:?}");
    }
}

#[test]
fn what_is_left_in_place_does_not_reach_the_next_content() {
    let mut assembler = Assembler::<rabbit::Spec>::new();
    let first = [method(&deliver()), header(5, properties()), body("first")];
    let ack = method(&basic::Ack { delivery_tag: 1, multiple: false });
    let last = [method(&deliver()), header(0, basic::Properties::default())];
    let mut seen = Vec::new();
    for frame in first.iter().chain([&ack]).chain(&last) {
        if let Some(complete) = assembler.push_in_place(frame.into()).unwrap() {
            let content = complete.content.as_ref();
            seen.push(content.map(|it| (it.properties.clone().unwrap(), it.body.to_bytes())));
            assert!(complete.method.is_some());
        }
        assert_eq!(assembler.buffered(), 0);
    }
    let empty = (basic::Properties::default().into_any(), Bytes::new());
    assert_eq!(seen, [Some((properties().into_any(), "first".into())), None, Some(empty)]);
}

/// What a receiver that has every content lent is given, as text.
fn lent<'a>(
    assembler: &mut Assembler<rabbit::Spec>,
    frames: impl IntoIterator<Item = &'a Frame>,
) -> Result<Vec<String>, AssembleError> {
    let mut seen = Vec::new();
    for frame in frames {
        match assembler.push_part(frame.into())? {
            None => assembler.lend(),
            Some(Part::Complete(complete)) => seen.push(format!("{:?}", complete.take().unwrap())),
            Some(Part::Header { method, properties, size }) => {
                assert!(method.take().is_some() && properties.take().is_some());
                seen.push(format!("header of {size}"));
            }
            Some(Part::Piece { octets, rest }) => seen.push(format!("{octets:?}, {rest} to come")),
        }
        assert_eq!(assembler.buffered(), 0);
    }
    Ok(seen)
}

#[test]
fn a_content_that_is_lent_comes_piece_by_piece_and_nothing_of_it_is_kept() {
    let mut assembler = Assembler::<rabbit::Spec>::new().with_max_body(3);
    let heartbeat = Frame { kind: FrameKind::Heartbeat, channel: 0, payload: Bytes::new() };
    for _ in 0..2 {
        let frames = [
            method(&deliver()),
            header(5, properties()),
            body("hel"),
            heartbeat.clone(),
            body(""),
            body("lo"),
            method(&deliver()),
            header(0, properties()),
        ];
        let seen = lent(&mut assembler, &frames).unwrap();
        let pieces = ["b\"hel\", 2 to come", "b\"\", 2 to come", "b\"lo\", 0 to come"];
        assert_eq!(seen[0], "header of 5", "the limit is on what is put together");
        assert_eq!(seen[1..4], pieces);
        assert_eq!(seen[4], "header of 0");
        assert!(assembler.is_idle() && assembler.awaiting_header().is_none());
        // The next one is put together again.
        let complete =
            push_all(&mut assembler, [method(&deliver()), header(3, properties()), body("end")]);
        assert!(matches!(complete, Ok(Incoming::Content { body, .. }) if body.to_bytes() == "end"));
    }
}

#[test]
fn a_content_that_is_lent_obeys_the_same_order() {
    use FrameKind::{Body, Header, Method};
    for (before, wrong, expected, found) in [
        (vec![method(&deliver())], method(&deliver()), Header, Method),
        (vec![method(&deliver())], body("x"), Header, Body),
        (vec![method(&deliver()), header(2, properties())], method(&deliver()), Body, Method),
        (
            vec![method(&deliver()), header(2, properties()), body("x")],
            header(1, properties()),
            Body,
            Header,
        ),
    ] {
        let mut assembler = Assembler::<rabbit::Spec>::new();
        lent(&mut assembler, &before).unwrap();
        let error = AssembleError::UnexpectedFrame { expected, found };
        assert_eq!(lent(&mut assembler, [&wrong]).unwrap_err(), error);
        assert!(assembler.is_idle());
        let complete =
            push_all(&mut assembler, [method(&deliver()), header(1, properties()), body("x")]);
        assert!(complete.is_ok(), "it is as new");
    }
    let mut assembler = Assembler::<rabbit::Spec>::new();
    let frames = [method(&deliver()), header(5, properties()), body("hell"), body("oo")];
    let overrun = lent(&mut assembler, &frames);
    assert_eq!(overrun, Err(AssembleError::BodyOverrun { size: 5, received: 6 }));
    let refused = lent(&mut assembler, [&method(&deliver()), &body("x")]);
    assert!(refused.is_err());
    assembler.lend();
    assert!(push_all(&mut assembler, [method(&deliver()), header(0, properties())]).is_ok());
}

#[test]
fn a_content_that_was_begun_to_be_lent_can_be_put_together_from_there() {
    let mut assembler = Assembler::<rabbit::Spec>::new();
    lent(&mut assembler, &[method(&deliver()), header(5, properties()), body("he")]).unwrap();
    assert!(assembler.push_in_place((&body("l")).into()).unwrap().is_none());
    let frame = body("lo");
    let complete = assembler.push_in_place((&frame).into()).unwrap().expect("complete");
    assert_eq!(complete.content.expect("a body").body.to_bytes(), "llo");
    let seen = lent(&mut assembler, &[method(&deliver()), header(1, properties()), body("x")]);
    assert_eq!(seen.unwrap()[1], "b\"x\", 0 to come");
}

/// Of one word of flags, of two, and of three.
#[test]
fn a_bare_header_is_what_is_written_where_every_property_is_absent() {
    fn check<P: Properties>() {
        let bare = written(|writer| {
            ContentHeader::<P>::write_bare(77, writer);
            Ok(())
        });
        let header = ContentHeader { body_size: 77, properties: P::default() };
        assert_eq!(bare, written(|writer| header.encode(writer)), "{}", P::INFO.name);
    }
    check::<basic::Properties>();
    check::<synthetic::fifteen::Properties>();
    check::<synthetic::sixteen::Properties>();
    check::<synthetic::many::Properties>();
}
