//! The hot paths, each to be run a number of times: what `cargo xtask check instructions` counts.
//!
//! `hot_paths --list` tells the paths, and for each how often makes a steady figure; `hot_paths PATH TIMES` runs
//! one, single-threaded, without sockets, clock or chance, so that another run executes the same instructions.
//! Without a path it tells how long each takes: `cargo bench -p amqp-tests`.

mod codec;
mod connector;
mod values;

use std::error::Error;
use std::time::Instant;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// A path: everything that it needs, and then it this many times.
type Run = fn(usize) -> Result;

struct HotPath {
    name: &'static str,
    /// How often makes a steady figure; a multiple of what is done in one go.
    times: usize,
    run: Run,
}

const fn path(name: &'static str, times: usize, run: Run) -> HotPath {
    HotPath { name, times, run }
}

const PATHS: [HotPath; 24] = [
    path("publish-16", 6000, |n| connector::publish(16, 0, n)),
    path("publish-1k", 6000, |n| connector::publish(1 << 10, 0, n)),
    path("publish-64k", 500, |n| connector::publish(64 << 10, 0, n)),
    path("publish-1m", 100, |n| connector::publish(1 << 20, 0, n)),
    path("publish-headers-10", 2000, |n| connector::publish(16, 10, n)),
    path("publish-confirm-16", 6000, |n| connector::publish_confirm(16, n)),
    path("deliver-16", 6000, |n| connector::deliver(16, 0, n)),
    path("deliver-1k", 6000, |n| connector::deliver(1 << 10, 0, n)),
    path("deliver-64k", 500, |n| connector::deliver(64 << 10, 0, n)),
    path("deliver-1m", 100, |n| connector::deliver(1 << 20, 0, n)),
    path("deliver-headers-10", 2000, |n| connector::deliver(16, 10, n)),
    path("deliver-ack-16", 6000, |n| connector::deliver_ack(16, n)),
    path("deliver-coalesced-16", 6000, |n| connector::deliver_coalesced(16, n)),
    path("call", 2000, connector::call),
    path("encode-publish", 10_000, codec::encode_publish),
    path("decode-deliver", 10_000, codec::decode_deliver),
    path("encode-header", 10_000, |n| codec::encode_header(0, n)),
    path("decode-header", 10_000, |n| codec::decode_header(0, n)),
    path("encode-header-10", 2000, |n| codec::encode_header(10, n)),
    path("decode-header-10", 2000, |n| codec::decode_header(10, n)),
    path("encode-table", 2000, codec::encode_table),
    path("decode-table", 2000, codec::decode_table),
    path("encode-ack", 10_000, codec::encode_ack),
    path("decode-ack", 10_000, codec::decode_ack),
];

fn main() -> Result {
    // cargo says `--bench` to a benchmark.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        [] => PATHS.iter().try_for_each(tell),
        ["--list"] => {
            PATHS.iter().for_each(|path| println!("{} {}", path.name, path.times));
            Ok(())
        }
        [name, times] => match PATHS.iter().find(|path| path.name == name) {
            Some(path) => (path.run)(times.parse()?),
            None => Err(format!("no path `{name}`; --list tells them").into()),
        },
        _ => Err("hot_paths [--list | PATH TIMES]".into()),
    }
}

/// How long it takes, the preparation subtracted; the best of several rounds.
fn tell(path: &HotPath) -> Result {
    let mut best = [f64::INFINITY; 2];
    for _ in 0..5 {
        for (times, best) in [path.times, 5 * path.times].into_iter().zip(&mut best) {
            let begin = Instant::now();
            (path.run)(times)?;
            *best = best.min(begin.elapsed().as_secs_f64());
        }
    }
    let [once, more] = best;
    println!("{:20} {:10.1} ns", path.name, (more - once) * 1e9 / (4 * path.times) as f64);
    Ok(())
}
