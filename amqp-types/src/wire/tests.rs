//! The primitive encodings, octet by octet.

use bytes::{Bytes, BytesMut};

use super::{ContentDomain, Limits, Reader, Writer};
use crate::DecodeErrorKind::{
    BadDiscriminator, InvalidUtf8, NestingTooDeep, TableTooLarge, TooManyEntries, TrailingBytes,
    Truncated, UnknownProperty, UnknownTableTag,
};
use crate::{
    Decimal, DecodeError, DecodeErrorKind, EncodeError, FieldArray, FieldTable, FieldValue,
    ShortStr, Timestamp, field_table, short_str,
};

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Bytes {
    let mut buf = BytesMut::new();
    write(&mut Writer::new(&mut buf));
    buf.freeze()
}

fn error<T: std::fmt::Debug>(
    payload: &'static [u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> (DecodeErrorKind, usize) {
    let error = read(&mut Reader::new(&Bytes::from_static(payload))).unwrap_err();
    (error.kind(), error.offset())
}

#[test]
fn numbers_are_big_endian() {
    let payload = written(|writer| {
        writer.octet(1);
        writer.short(0x0203);
        writer.long(0x0405_0607);
        writer.longlong(0x0809_0a0b_0c0d_0e0f);
        writer.timestamp(Timestamp(0x10));
    });
    let expected: Vec<u8> = (1..=15).chain([0; 7]).chain([16]).collect();
    assert_eq!(payload, expected);
    let mut reader = Reader::new(&payload);
    assert_eq!(reader.octet(), Ok(1));
    assert_eq!(reader.short(), Ok(0x0203));
    assert_eq!(reader.long(), Ok(0x0405_0607));
    assert_eq!(reader.longlong(), Ok(0x0809_0a0b_0c0d_0e0f));
    assert_eq!((reader.position(), reader.remaining()), (15, 8));
    assert_eq!(reader.timestamp(), Ok(Timestamp(16)));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn what_is_cut_short_is_told_with_its_place() {
    assert_eq!(error(b"", |r| r.octet()), (Truncated, 0));
    assert_eq!(error(b"\x01", |r| r.short()), (Truncated, 0));
    assert_eq!(error(b"\x02\x03a", |r| r.octet().and_then(|_| r.short_str())), (Truncated, 1));
    assert_eq!(error(b"\0\0\0\x05abcd", |r| r.long_str()), (Truncated, 0));
    assert_eq!(error(b"\xff\xff\xff\xffabcd", |r| r.long_str()), (Truncated, 0));
    assert_eq!(error(b"ab", |r| r.octet().and_then(|_| r.finish())), (TrailingBytes, 1));
}

#[test]
fn short_strings_of_every_length_at_every_distance_from_the_end() {
    for len in 0..=255_u8 {
        for after in [0, 1, 30] {
            let text = ShortStr::try_from(vec![b'a'; len.into()]).unwrap();
            let payload = written(|writer| {
                writer.short_str(&text);
                (0..after).for_each(|_| writer.octet(0xff));
            });
            let mut reader = Reader::new(&payload);
            assert_eq!(reader.short_str(), Ok(text));
            assert_eq!(reader.remaining(), after);
        }
    }
}

#[test]
fn no_string_keeps_the_buffer_that_it_was_read_into() {
    let payload = written(|writer| {
        writer.short_str(&ShortStr::try_from("x".repeat(24)).unwrap());
        writer.long_str(b"long").unwrap();
    });
    let mut reader = Reader::new(&payload);
    let (short, long) = (reader.short_str().unwrap(), reader.long_str().unwrap());
    assert_eq!((short.len(), &long[..]), (24, &b"long"[..]));
    assert!(payload.is_unique());
}

#[test]
fn short_strings_are_text_in_arguments_only() {
    assert_eq!(
        error(b"\0\x02\xff\xfe", |r| r.octet().and_then(|_| r.short_str())),
        (InvalidUtf8, 1)
    );
    let payload = Bytes::from_static(b"\x02\xff\xfe");
    assert_eq!(Reader::new(&payload).short_octets().unwrap().as_bytes(), b"\xff\xfe");
    let text = "ключ-鍵-🔑";
    let payload = written(|writer| writer.short_str(&short_str!("ключ-鍵-🔑")));
    assert_eq!(Reader::new(&payload).short_str().unwrap(), text);
}

#[test]
fn runs_of_bits_share_octets_lowest_first() {
    assert_eq!(&written(|writer| writer.bits([]))[..], b"");
    assert_eq!(&written(|writer| writer.bits([true, false, true]))[..], b"\x05");
    let nine = [true, false, false, false, false, false, false, true, true];
    assert_eq!(&written(|writer| writer.bits(nine))[..], b"\x81\x01");
    let payload = Bytes::from_static(b"\x81\xff\x07");
    let mut reader = Reader::new(&payload);
    assert_eq!(reader.bits(), Ok(nine)); // spare bits are ignored
    assert_eq!(reader.remaining(), 1);
    assert_eq!(error(b"\x81", |r| r.bits::<9>()), (Truncated, 1));
}

#[test]
fn flags_take_a_word_for_each_fifteen_properties() {
    let flags = |present: &[bool]| written(|writer| writer.property_flags(present));
    let mut present = [false; 31];
    assert_eq!(&flags(&[])[..], b"\0\0");
    present[0] = true;
    assert_eq!(&flags(&present[..14])[..], b"\x80\0");
    assert_eq!(&flags(&present[..15])[..], b"\x80\0");
    assert_eq!(&flags(&present[..16])[..], b"\x80\x01\0\0");
    (present[14], present[15], present[30]) = (true, true, true);
    assert_eq!(&flags(&present[..15])[..], b"\x80\x02");
    assert_eq!(&flags(&present)[..], b"\x80\x03\x80\x01\x80\0");
    let payload = flags(&present);
    let mut reader = Reader::new(&payload);
    assert_eq!(reader.property_flags(31), Ok([0x8002, 0x8000, 0x8000]));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn flag_words_may_be_left_out_or_superfluous_but_name_no_unknown_property() {
    let read = |payload: &'static [u8], declared| {
        Reader::new(&Bytes::from_static(payload)).property_flags::<2>(declared)
    };
    assert_eq!(read(b"\x80\0", 16), Ok([0x8000, 0]));
    assert_eq!(read(b"\x80\x01\0\x01\0\x01\0\0", 16), Ok([0x8000, 0]));
    assert_eq!(error(b"\0\x02", |r| r.property_flags::<1>(14)), (UnknownProperty, 0));
    assert_eq!(error(b"\x80\0", |r| r.property_flags::<1>(0)), (UnknownProperty, 0));
    assert_eq!(error(b"\0\x01\x40\0", |r| r.property_flags::<2>(16)), (UnknownProperty, 2));
    assert_eq!(error(b"\0\x01\0\x01\0\x04", |r| r.property_flags::<2>(30)), (UnknownProperty, 4));
    assert_eq!(error(b"\0\x01\0\x01", |r| r.property_flags::<1>(14)), (Truncated, 4));
}

#[test]
fn content_is_inline_or_a_reference() {
    for (content, expected) in [
        (ContentDomain::Inline(Bytes::from_static(b"x")), &b"\0\0\0\0\x01x"[..]),
        (ContentDomain::Reference(Bytes::from_static(b"x")), b"\x01\0\0\0\x01x"),
    ] {
        let payload = written(|writer| writer.content(&content).unwrap());
        assert_eq!(payload, expected);
        assert_eq!(Reader::new(&payload).content(), Ok(content));
    }
    assert_eq!(error(b"\x02\0\0\0\0", |r| r.content()), (BadDiscriminator(2), 0));
}

/// A table with each type of value once, and its octets.
fn every_type() -> (FieldTable, Vec<u8>) {
    let values: [(FieldValue, &[u8]); 18] = [
        (FieldValue::Bool(true), b"t\x01"),
        (FieldValue::I8(-2), b"b\xfe"),
        (FieldValue::U8(254), b"B\xfe"),
        (FieldValue::I16(-2), b"s\xff\xfe"),
        (FieldValue::U16(65534), b"u\xff\xfe"),
        (FieldValue::I32(-2), b"I\xff\xff\xff\xfe"),
        (FieldValue::U32(1), b"i\0\0\0\x01"),
        (FieldValue::I64(-2), b"l\xff\xff\xff\xff\xff\xff\xff\xfe"),
        (FieldValue::I64Alt(1), b"L\0\0\0\0\0\0\0\x01"),
        (FieldValue::F32(1.0), b"f\x3f\x80\0\0"),
        (FieldValue::F64(1.0), b"d\x3f\xf0\0\0\0\0\0\0"),
        (FieldValue::Decimal(Decimal::new(314, 2)), b"D\x02\0\0\x01\x3a"),
        (FieldValue::from("text"), b"S\0\0\0\x04text"),
        (FieldValue::ByteArray(b"\xff".into()), b"x\0\0\0\x01\xff"),
        (FieldValue::Array([1_u8, 2].into_iter().collect()), b"A\0\0\0\x04B\x01B\x02"),
        (FieldValue::Timestamp(Timestamp(7)), b"T\0\0\0\0\0\0\0\x07"),
        (FieldValue::Table(field_table! { "k" => () }), b"F\0\0\0\x03\x01kV"),
        (FieldValue::Void, b"V"),
    ];
    let entries: Vec<u8> =
        values.iter().flat_map(|(_, octets)| [&[1, octets[0]], *octets].concat()).collect();
    let size = u32::try_from(entries.len()).unwrap().to_be_bytes();
    let table = values
        .into_iter()
        .map(|(value, octets)| (ShortStr::try_from(&octets[..1]).unwrap(), value))
        .collect();
    (table, [&size[..], &entries].concat())
}

#[test]
fn tables_hold_every_type() {
    let (table, octets) = every_type();
    let mut buf = BytesMut::new();
    Writer::verbatim(&mut buf).table(&table).unwrap();
    assert_eq!(buf, octets);
    let payload = buf.freeze();
    let mut reader = Reader::new(&payload);
    assert_eq!(reader.table(), Ok(table));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn a_strict_writer_sends_what_everybody_reads() {
    let strict = |value: FieldValue| {
        let mut buf = BytesMut::new();
        let written = Writer::new(&mut buf).table(&FieldTable::new().with(ShortStr::EMPTY, value));
        written.map(|()| buf)
    };
    assert_eq!(strict(FieldValue::I64Alt(1)).unwrap()[5], b'l');
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(strict(float.into()), Err(EncodeError::NonFinite));
        #[allow(clippy::cast_possible_truncation)]
        let single = float as f32;
        assert_eq!(strict(single.into()), Err(EncodeError::NonFinite));
    }
    let decimal = |value| strict(Decimal::new(value, 0).into());
    assert!(decimal(0x7fff_ffff).is_ok());
    assert_eq!(decimal(0x8000_0000), Err(EncodeError::DecimalRange { value: 0x8000_0000 }));
    // Inside an array as well.
    let array: FieldArray = [f64::NAN].into_iter().collect();
    assert_eq!(strict(array.into()), Err(EncodeError::NonFinite));
}

#[test]
fn any_octet_but_zero_is_true() {
    let payload = Bytes::from_static(b"\0\0\0\x03\0t\x02");
    assert_eq!(Reader::new(&payload).table().unwrap().get_bool(""), Some(true));
}

#[test]
fn tags_without_a_meaning_are_refused() {
    let known = b"tbBsuIilLfdDSxATFV";
    for tag in (0..=255_u8).filter(|tag| !known.contains(tag)) {
        let payload = Bytes::from(vec![0, 0, 0, 5, 0, tag, 0, 0, 0]);
        let error = Reader::new(&payload).table().unwrap_err();
        assert_eq!((error.kind(), error.offset()), (UnknownTableTag(tag), 5));
    }
}

#[test]
fn inner_items_end_within_the_outer_one() {
    // An inner table, array or string that reaches past the table around it, though not past the
    // payload.
    assert_eq!(
        error(b"\0\0\0\x07\x01kF\0\0\0\x09\x01kI\0\0\0\x01zz", |r| r.table()),
        (Truncated, 7)
    );
    assert_eq!(error(b"\0\0\0\x07\x01kA\0\0\0\x05I\0\0\0\x01", |r| r.table()), (Truncated, 7));
    assert_eq!(error(b"\0\0\0\x09\x01kS\0\0\0\x04xyz", |r| r.table()), (Truncated, 7));
    assert_eq!(error(b"\0\0\0\x04\x01kI\0\0\0\x01", |r| r.table()), (Truncated, 7));
    assert_eq!(error(b"\0\0\0\x02\x09kkkkkkkkkkkkkkkkkkkkkkkkkk", |r| r.table()), (Truncated, 4));
}

/// Tables in tables; `depth` 1 is an empty table with nothing in it.
fn nested(depth: usize) -> Bytes {
    let mut payload = vec![0, 0, 0, 0];
    for _ in 1..depth {
        let len = u32::try_from(payload.len() + 2).unwrap();
        payload = [&len.to_be_bytes()[..], b"\0F", &payload].concat();
    }
    payload.into()
}

#[test]
fn nesting_is_limited() {
    let limits = Limits::default().with_depth(3);
    let read = |depth| Reader::with_limits(&nested(depth), limits).table();
    // The empty table at the very end costs nothing, and counts for nothing.
    assert!(read(4).is_ok());
    let error = read(5).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (NestingTooDeep, 18));
    assert_eq!(error.to_string(), "tables nested too deep at octet 18");
}

#[test]
fn the_greatest_depth_is_safe_on_a_small_stack() {
    let greatest = Limits::default().with_depth(u8::MAX);
    let work = move || {
        let payload = nested(256);
        let table = Reader::with_limits(&payload, greatest).table().unwrap();
        let mut buf = BytesMut::new();
        Writer::new(&mut buf).with_limits(greatest).table(&table).unwrap();
        assert_eq!(buf, payload);
        assert_eq!(table.clone(), table);
        assert!(format!("{table:?}").len() > 255);
        assert!(Reader::with_limits(&nested(10_000), greatest).table().is_err());
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn a_table_too_deep_to_be_read_is_not_written() {
    let mut table = field_table! { "" => () };
    for _ in 0..255 {
        table = field_table! { "" => table };
    }
    let written = Writer::verbatim(&mut BytesMut::new()).table(&table);
    assert_eq!(written, Err(EncodeError::NestingTooDeep { max: 255 }));
}

#[test]
fn what_the_default_limits_do_not_let_in_is_not_written_either() {
    let deep = |levels: usize| {
        let innermost = field_table! { "" => () };
        (1..levels).fold(innermost, |table, _| field_table! { "" => table })
    };
    let write = |table: &FieldTable| Writer::new(&mut BytesMut::new()).table(table);
    assert_eq!(write(&deep(64)), Ok(()));
    let error = write(&deep(65)).unwrap_err();
    assert_eq!(error, EncodeError::NestingTooDeep { max: 64 });
    assert_eq!(error.to_string(), "tables nested deeper than 64 levels, the limit on what is read");

    let values = |count| field_table! { "" => FieldArray::from(vec![FieldValue::Void; count]) };
    assert_eq!(write(&values(65_535)), Ok(()));
    let error = write(&values(65_536)).unwrap_err();
    assert_eq!(error, EncodeError::TooManyEntries { max: 65_536 });
    assert_eq!(error.to_string(), "more than 65536 values in tables, the limit on what is read");

    // A key without octets, the type, and the length.
    let octets = |count: usize| field_table! { "" => FieldValue::from(vec![0; count - 6]) };
    assert_eq!(write(&octets(16 << 20)), Ok(()));
    let error = write(&octets((16 << 20) + 1)).unwrap_err();
    let (len, max) = ((16 << 20) + 1, 16 << 20);
    assert_eq!(error, EncodeError::TooLong { what: "table", len, max });
}

#[test]
fn values_are_counted_for_each_payload() {
    let mut buf = BytesMut::new();
    let mut writer = Writer::new(&mut buf).with_limits(Limits::default().with_entries(3));
    let table = field_table! { "a" => 1, "b" => 2 };
    assert_eq!(writer.table(&table), Ok(()));
    assert_eq!(writer.table(&table), Err(EncodeError::TooManyEntries { max: 3 }));
    writer.begin_payload();
    assert_eq!(writer.table(&table), Ok(()));
}

#[test]
fn entries_and_octets_are_limited() {
    let payload = Bytes::from_static(b"\0\0\0\x0d\0V\0A\0\0\0\x03VVV\0V");
    let read = |limits| Reader::with_limits(&payload, limits).table().map(|table| table.len());
    assert_eq!(read(Limits::default().with_entries(6)), Ok(3));
    let error = read(Limits::default().with_entries(5)).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (TooManyEntries, 15));
    assert_eq!(read(Limits::default().with_table_size(13)), Ok(3));
    let error = read(Limits::default().with_table_size(12)).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (TableTooLarge, 0));
}

#[test]
fn wherever_the_buffer_ends_the_octets_are_the_same() {
    let (table, _) = every_type();
    let texts = ["", "short", &"long".repeat(60)].map(|text| ShortStr::try_from(text).unwrap());
    let write = |writer: &mut Writer<'_>| {
        writer.octet(1);
        writer.longlong(2);
        texts.iter().for_each(|text| writer.short_str(text));
        writer.long_str(&[b'x'; 100]).unwrap();
        writer.table(&table).unwrap();
        writer.bits([true; 9]);
    };
    let expected = written(write);
    for room in 0..2 * expected.len() {
        let mut appended = BytesMut::with_capacity(room);
        write(&mut Writer::new(&mut appended));
        assert_eq!(appended, expected);
        let mut used = BytesMut::from(&vec![0xaa; room][..]);
        let at = room / 2;
        let mut writer = Writer::over(&mut used, at);
        write(&mut writer);
        let end = writer.position();
        writer.finish();
        assert_eq!(used[at..end], expected);
        assert!(used.len() >= room && used[..at].iter().all(|octet| *octet == 0xaa));
    }
}

#[test]
fn what_is_taken_back_is_not_there() {
    let mut buf = BytesMut::from("before");
    let mut writer = Writer::new(&mut buf);
    writer.long(1);
    writer.rewind(8);
    writer.rewind(100);
    assert_eq!(writer.position(), 8);
    writer.finish();
    assert_eq!(buf, "before\0\0");
    assert_eq!(Writer::over(&mut buf, 100).position(), 8);
}
