//! Single frames, octet by octet.

use super::*;

const MAX: u32 = 131_072;

fn decode(octets: &[u8]) -> Result<Option<Frame>, FrameError> {
    Framing::STANDARD.decode(&mut BytesMut::from(octets), MAX)
}

#[test]
fn a_frame_is_taken_whole_or_not_at_all() {
    let whole = b"\x03\0\x07\0\0\0\x02hi\xce";
    for cut in 0..whole.len() {
        let mut buf = BytesMut::from(&whole[..cut]);
        assert_eq!(Framing::STANDARD.decode(&mut buf, MAX), Ok(None));
        assert_eq!(buf, whole[..cut]);
    }
    let mut twice = BytesMut::from(&[&whole[..], whole].concat()[..]);
    for left in [whole.len(), 0] {
        let frame = Framing::STANDARD.decode(&mut twice, MAX).unwrap().unwrap();
        assert_eq!((frame.kind, frame.channel), (FrameKind::Body, 7));
        assert_eq!((&frame.payload[..], twice.len()), (&b"hi"[..], left));
    }
}

#[test]
fn a_frame_too_large_is_refused_from_its_header() {
    let error = FrameError::FrameTooLarge { size: MAX - 7, frame_max: MAX };
    assert_eq!(decode(b"\x03\0\x01\0\x01\xff\xf9"), Err(error));
    assert_eq!(decode(b"\x03\0\x01\0\x01\xff\xf8"), Ok(None));
    assert!(decode(b"\x01\0\x01\xff\xff\xff\xff").is_err());
}

#[test]
fn an_announced_size_alone_makes_little_room() {
    let mut buf = BytesMut::from(&b"\x03\0\x01\xff\xff\xff\0"[..]);
    assert_eq!(Framing::STANDARD.decode(&mut buf, u32::MAX), Ok(None));
    assert!(buf.capacity() < 2 * RESERVE);
}

#[test]
fn a_protocol_header_is_told_from_an_unknown_type() {
    for cut in 0..8 {
        assert_eq!(decode(&b"AMQP\0\0\x09\x01"[..cut]), Ok(None));
    }
    let header = *b"AMQP\0\0\x09\x01";
    assert_eq!(decode(&header), Err(FrameError::ProtocolHeader(header)));
    assert_eq!(
        FrameError::ProtocolHeader(header).to_string(),
        "the peer speaks another protocol version: AMQP 0 0 9 1"
    );
    assert_eq!(decode(b"AMP"), Err(FrameError::UnknownFrameType(b'A')));
    assert_eq!(decode(b"A\0\0\0\0\0\0\xce"), Err(FrameError::UnknownFrameType(b'A')));
    assert_eq!(decode(b"HTTP/1.1 400"), Err(FrameError::UnknownFrameType(b'H')));
    assert_eq!(decode(b"\x04"), Err(FrameError::UnknownFrameType(4)));
}

#[test]
fn malformed_heartbeats_and_ends_are_refused() {
    assert_eq!(decode(b"\x08\0\x01\0\0\0\0\xce"), Err(FrameError::BadHeartbeat));
    assert_eq!(decode(b"\x08\0\0\0\0\0\x01"), Err(FrameError::BadHeartbeat));
    assert_eq!(decode(b"\x08\0\0\0\0\0\0\xcd"), Err(FrameError::BadFrameEnd(0xcd)));
}

#[test]
fn other_numbers_make_other_frames() {
    let framing =
        Framing { method: 11, header: 12, body: 13, heartbeat: 9, end: 190, min_size: 8192 };
    let mut buf = BytesMut::new();
    framing.put_heartbeat(&mut buf);
    framing.put(FrameKind::Method, 1, b"m", &mut buf).unwrap();
    assert_eq!(&buf[..], b"\x09\0\0\0\0\0\0\xbe\x0b\0\x01\0\0\0\x01m\xbe");
    let kinds: Vec<_> = std::iter::from_fn(|| framing.decode(&mut buf, MAX).unwrap())
        .map(|frame| frame.kind)
        .collect();
    assert_eq!(kinds, [FrameKind::Heartbeat, FrameKind::Method]);
}

#[test]
fn a_frame_written_in_place_is_the_same_frame() {
    let framing = Framing::STANDARD;
    let mut in_place = BytesMut::from("before");
    let start = framing.begin(&mut in_place, FrameKind::Header, 3);
    in_place.extend_from_slice(b"payload");
    framing.end(&mut in_place, start).unwrap();
    let mut copied = BytesMut::from("before");
    let payload = Bytes::from_static(b"payload");
    let frame = Frame { kind: FrameKind::Header, channel: 3, payload };
    framing.encode(&frame, &mut copied).unwrap();
    assert_eq!(in_place, copied);
    let mut written = BytesMut::from("before");
    let mut writer = Writer::new(&mut written);
    let kind = FrameKind::Header;
    let payload = |writer: &mut Writer<'_>| {
        writer.octets(b"payload");
        Ok(())
    };
    framing.write(&mut writer, kind, 3, 15, payload).unwrap();
    writer.finish();
    assert_eq!(written, copied);
}

#[test]
fn nothing_is_left_of_a_frame_that_cannot_be_written() {
    let mut buf = BytesMut::from("before");
    let mut writer = Writer::new(&mut buf);
    let mut write = |payload: fn(&mut Writer<'_>) -> Result<(), EncodeError>| {
        Framing::STANDARD.write(&mut writer, FrameKind::Method, 1, 12, payload)
    };
    let too_long = write(|writer| {
        writer.octets(b"12345");
        Ok(())
    });
    assert_eq!(too_long, Err(EncodeError::TooLong { what: "frame", len: 5, max: 4 }));
    let refused = write(|writer| {
        writer.long(1);
        Err(EncodeError::NonFinite)
    });
    assert_eq!(refused, Err(EncodeError::NonFinite));
    let taken_back = write(|writer| {
        writer.rewind(8);
        Ok(())
    });
    assert_eq!(taken_back, Err(EncodeError::NotInFrame));
    drop(writer);
    assert_eq!(buf, "before");
}

#[test]
fn a_frame_that_cannot_be_completed_is_taken_back() {
    let framing = Framing::STANDARD;
    let mut buf = BytesMut::from("before");
    let start = framing.begin(&mut buf, FrameKind::Method, 1);
    buf.extend_from_slice(b"12345");
    let error = EncodeError::TooLong { what: "frame", len: 5, max: 4 };
    assert_eq!(framing.end_within(&mut buf, start, 12), Err(error));
    assert_eq!(buf, "before");
    let start = framing.begin(&mut buf, FrameKind::Method, 1);
    buf.truncate(9);
    assert_eq!(framing.end(&mut buf, start), Err(EncodeError::NotInFrame));
    assert_eq!(buf, "before");
}

#[test]
fn a_batch_ends_where_a_frame_is_cut_short_or_malformed() {
    let whole = b"\x03\0\x07\0\0\0\x02hi\xce\x08\0\0\0\0\0\0\xce";
    let split = |after: &[u8]| {
        let mut buf = BytesMut::from(&[&whole[..], after].concat()[..]);
        let mut frames = Framing::STANDARD.split(&mut buf, MAX).unwrap().unwrap();
        let kinds: Vec<_> =
            std::iter::from_fn(|| frames.next_frame().map(|frame| frame.kind)).collect();
        assert_eq!(kinds, [FrameKind::Body, FrameKind::Heartbeat]);
        assert_eq!(buf, after);
        Framing::STANDARD.split(&mut buf, MAX).map(|more| more.is_some())
    };
    assert_eq!(split(b""), Ok(false));
    assert_eq!(split(b"\x03\0\x07\0\0\0\x02h"), Ok(false));
    assert_eq!(split(b"\x04"), Err(FrameError::UnknownFrameType(4)));
    assert_eq!(split(b"\x03\0\x07\0\0\0\0\0"), Err(FrameError::BadFrameEnd(0)));
}

#[test]
fn a_part_of_a_frame_gets_the_room_it_lacks_once_the_batch_is_taken() {
    let mut buf = BytesMut::from(&b"\x08\0\0\0\0\0\0\xce\x03\0\x01\0\0\xff\0x"[..]);
    let frames = Framing::STANDARD.split(&mut buf, MAX).unwrap();
    assert_eq!(frames.map(|frames| frames.len()), Some(8));
    assert!(Framing::STANDARD.split(&mut buf, MAX).unwrap().is_none());
    assert!(buf.capacity() >= 0xff00 + OVERHEAD);
    let mut buf = BytesMut::from(&b"\x03\0\x01\xff\xff\xff\0"[..]);
    assert!(Framing::STANDARD.split(&mut buf, u32::MAX).unwrap().is_none());
    assert!(buf.capacity() < 2 * RESERVE);
}

#[test]
fn a_payload_of_a_batch_can_be_kept_without_a_copy() {
    let mut buf = BytesMut::from(&b"\x03\0\x01\0\0\0\x02hi\xce"[..]);
    let place = buf[7..].as_ptr();
    let mut frames = Framing::STANDARD.split(&mut buf, MAX).unwrap().unwrap();
    let payload = frames.next_frame().unwrap().payload;
    assert_eq!(format!("{payload:?}"), r#"b"hi""#);
    let kept = payload.to_bytes();
    drop(frames);
    assert_eq!((kept.as_ptr(), &kept[..]), (place, &b"hi"[..]));
}
