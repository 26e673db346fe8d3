//! Each case of the sink, for a moment, with the clients that this project wrote: they end, and count.
//!
//! Figures of a test build mean nothing and are not looked at.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends its test")]

use std::net::TcpListener;
use std::time::Duration;

use amqp_bench::cases::{self, Case};
use amqp_bench::clients::{self, Entry};
use amqp_bench::context::Context;
use amqp_bench::sink;

/// A sink in this process, and what a client must know.
fn context(workers: usize, by_tls: bool) -> Context {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = by_tls.then(|| sink::tls().unwrap());
    std::thread::spawn(move || sink::serve(&listener, tls.as_ref()));
    let url = match by_tls {
        true => format!("amqps://guest:guest@127.0.0.1:{port}/%2f?verify=verify_none"),
        false => format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
    };
    Context::new(&url, workers, Duration::from_millis(20)).unwrap()
}

/// Cases that a client says it cannot do.
fn run_all(client: &str, workers: usize) -> Vec<String> {
    let client = find(client);
    let (plain, by_tls) = (context(workers, false), context(workers, true));
    let mut unsupported = Vec::new();
    for case in cases::all().into_iter().filter(|case| !case.broker) {
        let Case { name, .. } = case.clone();
        let ctx = if case.tls { &by_tls } else { &plain };
        match (client.run)(case, ctx.clone()) {
            Ok(measured) => {
                assert!(measured.messages > 0, "{name} has counted nothing");
                assert!(measured.rss_peak_kib > 0, "{name}");
            }
            Err(error) if error.to_string().starts_with("unsupported: ") => unsupported.push(name),
            Err(error) => panic!("{name}: {error:#}"),
        }
    }
    unsupported
}

fn find(name: &str) -> Entry {
    clients::all().into_iter().find(|client| client.name == name).unwrap()
}

const TLS: [&str; 6] = [
    "tls-publish-16",
    "tls-consume-16",
    "tls-publish-1k",
    "tls-consume-1k",
    "tls-publish-64k",
    "tls-consume-64k",
];
const IN_FLIGHT: [&str; 4] = ["publish-16-64", "publish-1k-64", "publish-64k-64", "publish-1m-64"];

#[test]
fn our_client_does_every_case_with_two_workers() {
    assert_eq!(run_all("ours", 2), IN_FLIGHT);
}

#[test]
fn our_client_does_every_case_on_one_thread() {
    assert_eq!(run_all("ours", 1), IN_FLIGHT);
}

#[test]
fn the_floors_do_every_case_that_one_thread_can() {
    let expected: Vec<_> = IN_FLIGHT.into_iter().chain(["call-latency"]).chain(TLS).collect();
    assert_eq!(run_all("floor", 2), expected);
    assert_eq!(run_all("floor-epoll", 2), expected);
}

#[test]
fn raw_does_those_that_wait_for_nothing() {
    let unsupported = run_all("raw", 2);
    assert!(unsupported.iter().all(|name| !name.starts_with("consume-1")), "{unsupported:?}");
    assert!(unsupported.contains(&"publish-confirm-16".to_owned()));
    assert!(!unsupported.contains(&"publish-1m".to_owned()));
    assert!(unsupported.iter().all(|name| !TLS.contains(&name.as_str())), "{unsupported:?}");
}
