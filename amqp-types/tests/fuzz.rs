//! The fuzz targets over their seeds, mutated seeds and random octets: a short run in every test
//! run. `fuzz/README.md` says how to run the real thing.

#![cfg(test)]

mod fuzz_entries;
mod support;

use fuzz_entries::{frame, header, method, table};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use support::{load, octets};

/// The payloads of the vectors, by the name of the target they are for.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let files: &[&str] = match target {
        "frame" => &["frames-0-9-1-rabbit.json"],
        "header" => &["headers-0-9-1-rabbit.json", "headers-0-9-1.json"],
        _ => &["methods-0-9-1-rabbit.json", "tables-0-9-1.json"],
    };
    let malformed = load("malformed-0-9-1.json").into_iter().filter(|vector| {
        let level = vector["level"].as_str().unwrap();
        level == target || target == "frame" && matches!(level, "stream" | "session")
    });
    let vectors = files.iter().flat_map(|file| load(file)).chain(malformed);
    vectors.map(|vector| octets(&vector["hex"]).to_vec()).collect()
}

/// Where tables stand in the seeds for methods: connection.start-ok begins with one.
fn tables() -> Vec<Vec<u8>> {
    let begin = [0, 10, 0, 11];
    seeds("method")
        .iter()
        .filter_map(|seed| seed.strip_prefix(&begin))
        .map(<[u8]>::to_vec)
        .collect()
}

#[test]
fn seeds_pass() {
    seeds("frame").iter().for_each(|seed| frame(seed));
    seeds("method").iter().for_each(|seed| method(seed));
    seeds("header").iter().for_each(|seed| header(seed));
    assert!(tables().len() > 50);
    tables().iter().for_each(|seed| table(seed));
}

/// A seed with a few octets changed, taken out or put in.
fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), any::<u8>(), 0..4);
    (select(seeds), vec(change, 1..4)).prop_map(|(mut seed, changes)| {
        for (place, octet, how) in changes {
            let at = place.index(seed.len() + 1);
            match how {
                0 => seed.insert(at, octet),
                1 => seed.truncate(at),
                _ if at == seed.len() => seed.push(octet),
                2 => seed[at] ^= 1 << (octet % 8),
                _ => seed[at] = octet,
            }
        }
        seed
    })
}

proptest! {
    #[test]
    fn mutated_frames_pass(octets in mutated(seeds("frame"))) {
        frame(&octets);
    }

    #[test]
    fn mutated_methods_pass(octets in mutated(seeds("method"))) {
        method(&octets);
    }

    #[test]
    fn mutated_headers_pass(octets in mutated(seeds("header"))) {
        header(&octets);
    }

    #[test]
    fn mutated_tables_pass(octets in mutated(tables())) {
        table(&octets);
    }

    #[test]
    fn random_octets_pass(octets in vec(any::<u8>(), 0..200)) {
        frame(&octets);
        method(&octets);
        header(&octets);
        table(&octets);
    }
}
