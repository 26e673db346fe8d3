//! Certificates and keys: from where they lie to a configuration of rustls.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

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

use crate::error::TlsError;

/// Something in PEM.
#[derive(Clone)]
pub(super) enum Pem {
    Octets(Arc<[u8]>),
    File(PathBuf),
}

impl Pem {
    pub(super) fn octets(pem: impl Into<Vec<u8>>) -> Self {
        Self::Octets(pem.into().into())
    }

    fn read(&self) -> Result<Cow<'_, [u8]>, TlsError> {
        match self {
            Self::Octets(octets) => Ok(Cow::Borrowed(octets)),
            Self::File(path) => match std::fs::read(path) {
                Ok(octets) => Ok(Cow::Owned(octets)),
                Err(source) => Err(TlsError::File { path: path.clone(), source }),
            },
        }
    }

    /// Where it is, for errors.
    fn place(&self) -> String {
        match self {
            Self::Octets(_) => "what was given".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    fn bad(&self, what: &'static str, why: impl fmt::Display) -> TlsError {
        TlsError::Pem { what, place: self.place(), why: why.to_string() }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let octets = self.read()?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
        let read = read.map_err(|error| self.bad("certificate", error))?;
        match read.is_empty() {
            true => Err(self.bad("certificate", "there is none")),
            false => Ok(read),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let octets = self.read()?;
        PrivateKeyDer::from_pem_slice(&octets).map_err(|error| self.bad("private key", error))
    }
}

/// Without what it holds: that may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

/// Which servers are believed.
pub(super) enum Trust {
    Platform,
    Only(Pem),
    Anybody,
}

/// Everything that a handshake needs.
pub(super) fn config(
    trust: &Trust,
    identity: Option<&(Pem, Pem)>,
) -> Result<ClientConfig, TlsError> {
    // Named, since a program may have compiled rustls with several, of which none is the default then.
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::from_rustls)?;
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
            .with_client_auth_cert(chain.certificates()?, key.key()?)
            .map_err(|error| key.bad("private key", error)),
    }
}

fn only(pem: &Pem) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in pem.certificates()? {
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
