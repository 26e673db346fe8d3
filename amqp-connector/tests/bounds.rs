//! What tables make their reader hold, counted by the allocator: never more than SECURITY.md states.

#![allow(clippy::unwrap_used, clippy::panic)]

use amqp_connector::amqp_types::wire::Reader;
use bytes::Bytes;

/// Octets held for each octet of a frame, beside a little for small ones.
const EACH: u64 = 50;
const LITTLE: u64 = 4 << 10;

/// The most that is held for one frame, whatever its size.
const MOST: u64 = 10 << 20;

/// A table of one frame of the usual size, whose one value is an array of these octets, repeated.
fn array_of(item: &[u8], octets: usize) -> Vec<u8> {
    let items = item.repeat(octets / item.len());
    let mut table = Vec::new();
    table.extend((u32::try_from(items.len()).unwrap() + 6).to_be_bytes());
    table.extend(*b"\0A");
    table.extend(u32::try_from(items.len()).unwrap().to_be_bytes());
    table.extend(items);
    table
}

/// A table of these entries, repeated.
fn table_of(entry: &[u8], octets: usize) -> Vec<u8> {
    let entries = entry.repeat(octets / entry.len());
    let mut table = u32::try_from(entries.len()).unwrap().to_be_bytes().to_vec();
    table.extend(entries);
    table
}

/// Arrays in one another, the innermost holding something.
fn nested(levels: usize) -> Vec<u8> {
    (0..levels).fold(b"V".to_vec(), |inner, _| {
        let len = u32::try_from(inner.len()).unwrap();
        [&b"A"[..], &len.to_be_bytes(), &inner].concat()
    })
}

/// What is held at most while a table is read, and until it is let go of.
fn peak(octets: Vec<u8>) -> u64 {
    let octets = Bytes::from(octets);
    let spent = allocation_counter::measure(|| drop(Reader::new(&octets).table()));
    assert_eq!(spent.bytes_current, 0);
    spent.bytes_max
}

#[test]
fn tables_take_no_more_than_is_stated_whatever_they_hold() {
    let string = [&b"S\0\0\0\x1e"[..], &[b'x'; 30]].concat();
    let key = [&b"\x1e"[..], &[b'k'; 30], b"V"].concat();
    for octets in [100, 4_000, 131_000, 1_000_000] {
        let worst = [
            ("voids", array_of(b"V", octets)),
            ("booleans", array_of(b"t\x01", octets)),
            ("empty arrays", array_of(b"A\0\0\0\0", octets)),
            ("arrays of one", array_of(b"A\0\0\0\x01V", octets)),
            ("tables of one", array_of(b"F\0\0\0\x02\0V", octets)),
            ("nested arrays", array_of(&nested(60), octets)),
            ("empty strings", array_of(b"S\0\0\0\0", octets)),
            ("strings", array_of(&string, octets)),
            ("entries without names", table_of(b"\0V", octets)),
            ("entries with names", table_of(&key, octets)),
            ("entries with tables", table_of(b"\0F\0\0\0\x02\0V", octets)),
        ];
        for (what, table) in worst {
            let (len, peak) = (table.len() as u64, peak(table));
            println!("{what:24} {len:8} octets: {peak:9}, {:5.1} each", peak as f64 / len as f64);
            assert!(peak <= EACH * len + LITTLE, "{what}: {peak} octets for {len}");
            assert!(peak <= MOST, "{what}: {peak} octets for {len}");
        }
    }
}
