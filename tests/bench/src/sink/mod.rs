//! The peer that a client is measured against: it does the handshake, and then discards or floods as cheaply
//! as possible, so that the client is the limit.
//!
//! A thread for each connection, which blocks. It answers every method that a server answers. Publishes are
//! counted and discarded, and confirmed once for each batch read (in virtual host `/each`: one by one). What
//! is published to queue `echo` of the default exchange comes back to the connection's consumer of that
//! queue. The message count that `queue.declare` answers is the number of contents received on the
//! connection. What makes no sense ends the connection, and is told on stderr.
//!
//! A consumer of a queue `flood.<body octets>` gets deliveries without end; with acks, as many as its
//! prefetch allows. Behind that may stand `.h<headers>`, `.x<batch>` (so many in turn with the connection's
//! other consumers), `.limit<count>`, `.after<consumers>` (none before the connection has so many flooded
//! consumers). A consumer of any other queue gets nothing.

mod answers;
mod channel;
mod connection;
mod flood;
mod link;
pub mod scanner;
mod session;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use amqp_types::FieldTable;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::frames::short;

/// Serves whoever comes, for ever; by TLS with this configuration.
///
/// # Errors
///
/// If no connections can be accepted any more.
pub fn serve(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>) -> io::Result<()> {
    loop {
        let (socket, _) = listener.accept()?;
        let tls = tls.cloned();
        let thread = std::thread::Builder::new().stack_size(256 << 10);
        thread.spawn(move || serve_one(&socket, tls))?;
    }
}

/// A configuration with a certificate of its own, which nobody vouches for.
///
/// # Errors
///
/// If the certificate cannot be made.
pub fn tls() -> anyhow::Result<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = builder.with_no_client_auth().with_single_cert(vec![made.cert.into()], key)?;
    Ok(Arc::new(config))
}

fn serve_one(socket: &TcpStream, tls: Option<Arc<ServerConfig>>) {
    let Err(error) = speak(socket, tls) else { return };
    // A client that has measured enough goes without a word.
    let gone =
        [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe, io::ErrorKind::UnexpectedEof];
    if !error.downcast_ref::<io::Error>().is_some_and(|error| gone.contains(&error.kind())) {
        eprintln!("sink: {error:#}");
    }
}

fn speak(socket: &TcpStream, tls: Option<Arc<ServerConfig>>) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    match tls {
        None => connection::serve(link::Plain(socket)),
        Some(config) => connection::serve(link::Tls::new(socket, config)?),
    }
}

/// What a client may look for before it uses confirms or nacks.
fn server_properties() -> FieldTable {
    let capabilities = [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "per_consumer_qos",
    ];
    let capabilities: FieldTable =
        capabilities.into_iter().map(|name| (short(name), true)).collect();
    FieldTable::default()
        .with(short("product"), "sink")
        .with(short("version"), env!("CARGO_PKG_VERSION"))
        .with(short("capabilities"), capabilities)
}
