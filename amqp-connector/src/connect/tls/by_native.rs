//! TLS by what the operating system has: OpenSSL, SChannel, Security Framework.

use std::io;

use native_tls::{Certificate, TlsConnector};
use tokio_native_tls::TlsStream;

use super::pem::{Identity, Pem, Trust};
use crate::connect::transport::Socket;
use crate::error::TlsError;

pub(super) type Stream = TlsStream<Socket>;

pub(super) async fn shake_hands(
    config: TlsConnector,
    name: &str,
    socket: Socket,
) -> Result<Stream, TlsError> {
    if name.is_empty() {
        // It would be left out, and no name be verified.
        return Err(TlsError::ServerName(String::new()));
    }
    let connected = tokio_native_tls::TlsConnector::from(config).connect(name, socket).await;
    connected.map_err(handshake_failed)
}

/// The kinds of error are not told: only the text is, by each operating system another.
fn handshake_failed(error: native_tls::Error) -> TlsError {
    let text = error.to_string().to_lowercase();
    let error = io::Error::other(error);
    // An alert is what the server thinks of our certificate.
    match text.contains("certificate") && !text.contains("alert") {
        true => TlsError::Certificate(error),
        false => TlsError::Handshake(error),
    }
}

/// Everything that a handshake needs.
pub(super) fn config(trust: &Trust, identity: Option<&Identity>) -> Result<TlsConnector, TlsError> {
    let mut builder = TlsConnector::builder();
    match trust {
        Trust::Platform => {}
        Trust::Anybody => {
            builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true);
        }
        Trust::Only(pem) => {
            builder.disable_built_in_roots(true);
            for authority in authorities(pem)? {
                builder.add_root_certificate(authority);
            }
        }
    }
    if let Some((chain, key)) = identity {
        let (chain_octets, key_octets) = (chain.read()?, key.read()?);
        // It says of the two together what is wrong with one.
        if Certificate::from_pem(&chain_octets).is_err() {
            return Err(chain.bad("certificate", "there is none that can be read"));
        }
        let identity = native_tls::Identity::from_pkcs8(&chain_octets, &key_octets);
        let bad_key = |error| key.bad("private key", error);
        builder.identity(identity.map_err(bad_key)?);
    }
    builder.build().map_err(|error| TlsError::Handshake(io::Error::other(error)))
}

fn authorities(pem: &Pem) -> Result<Vec<Certificate>, TlsError> {
    let octets = pem.read()?;
    let read = Certificate::stack_from_pem(&octets);
    let read = read.map_err(|error| pem.bad("certificate", error))?;
    match read.is_empty() {
        true => Err(pem.bad("certificate", "there is none")),
        false => Ok(read),
    }
}
