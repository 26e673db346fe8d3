//! TLS by rustls.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::pem::{Identity, Pem, Trust};
use crate::connect::transport::Socket;
use crate::error::TlsError;

pub(super) type Stream = TlsStream<Socket>;

pub(super) async fn shake_hands(
    config: Arc<ClientConfig>,
    name: &str,
    socket: Socket,
) -> Result<Stream, TlsError> {
    let bad_name = |_| TlsError::ServerName(name.to_owned());
    let server_name = ServerName::try_from(name.to_owned()).map_err(bad_name)?;
    let connected = TlsConnector::from(config).connect(server_name, socket).await;
    connected.map_err(handshake_failed)
}

fn handshake_failed(error: io::Error) -> TlsError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(_)) => TlsError::Certificate(error),
        _ => TlsError::Handshake(error),
    }
}

/// Everything that a handshake needs.
pub(super) fn config(trust: &Trust, identity: Option<&Identity>) -> Result<ClientConfig, TlsError> {
    // Named, since a program may have compiled rustls with several, of which none is the default then.
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| handshake_failed(io::Error::other(error)))?;
    let builder = match trust {
        Trust::Anybody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        }
        Trust::Only(pem) => builder.with_root_certificates(only(pem)?),
        Trust::Platform => builder.with_root_certificates(platform()?),
    };
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder
            .with_client_auth_cert(certificates(chain)?, private_key(key)?)
            .map_err(|error| key.bad("private key", error)),
    }
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let octets = pem.read()?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let read = read.map_err(|error| pem.bad("certificate", error))?;
    match read.is_empty() {
        true => Err(pem.bad("certificate", "there is none")),
        false => Ok(read),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    let octets = pem.read()?;
    PrivateKeyDer::from_pem_slice(&octets).map_err(|error| pem.bad("private key", error))
}

fn only(pem: &Pem) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| pem.bad("authority", error))?;
    }
    Ok(roots)
}

fn platform() -> Result<RootCertStore, TlsError> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Stores have old certificates in them that nothing can read any more.
    let (taken, _) = roots.add_parsable_certificates(loaded.certs);
    if taken == 0 {
        let why: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        return Err(TlsError::NoRoots { why: why.join("; ") });
    }
    Ok(roots)
}

/// Believes every certificate; that the server has its key is still verified.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
