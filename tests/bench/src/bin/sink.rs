//! The peer that a client is measured against; [`amqp_bench::sink`] says what it does.
//!
//! `sink [--port 0]` prints `tls 127.0.0.1:PORT`, where it speaks TLS, and `listening 127.0.0.1:PORT`, then serves until its stdin ends or it is killed.

use std::io::{self, Read};
use std::net::TcpListener;

use amqp_bench::sink;
use anyhow::{Context as _, Result, bail};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 0,
        (Some("--port"), Some(port)) => port.parse().context("--port")?,
        _ => bail!("sink [--port PORT]"),
    };
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let (tls, by_tls) = (sink::tls()?, TcpListener::bind(("127.0.0.1", 0))?);
    println!("tls {}", by_tls.local_addr()?);
    println!("listening {}", listener.local_addr()?);
    std::thread::spawn(move || sink::serve(&by_tls, Some(&tls)));
    std::thread::spawn(|| {
        let mut octets = [0; 64];
        while io::stdin().read(&mut octets).is_ok_and(|count| count > 0) {}
        std::process::exit(0);
    });
    sink::serve(&listener, None)?;
    Ok(())
}
