//! TLS: whom to trust, what to show, and the handshake.
//!
//! Plain values until a connection is opened; files are read then, each time anew, so that renewed certificates are seen.
//! The handshake is `by_rustls` (feature `rustls`) or `by_native` (feature `native-tls`); nothing else knows of these.

#[cfg(feature = "native-tls")]
mod by_native;
#[cfg(feature = "rustls")]
mod by_rustls;
mod pem;

use std::fmt;
use std::io;
use std::path::PathBuf;
#[cfg(feature = "rustls")]
use std::sync::Arc;

#[cfg(feature = "rustls")]
use tokio_rustls::rustls::ClientConfig;
#[cfg(all(feature = "rustls", feature = "native-tls"))]
use tokio_util::either::Either;

use crate::connect::transport::Socket;
use crate::error::TlsError;
use pem::{Identity, Pem, Trust};

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
compile_error!("`__tls` does nothing by itself: turn on the feature `rustls` or `native-tls`");

/// What a handshake ends with.
#[cfg(all(feature = "rustls", feature = "native-tls"))]
pub(super) type Stream = Either<by_rustls::Stream, by_native::Stream>;
#[cfg(all(feature = "rustls", not(feature = "native-tls")))]
pub(super) type Stream = by_rustls::Stream;
#[cfg(all(feature = "native-tls", not(feature = "rustls")))]
pub(super) type Stream = by_native::Stream;

/// Who does it, and with which configuration of the program's own.
#[derive(Clone)]
enum Backend {
    #[cfg(feature = "rustls")]
    Rustls(Option<Arc<ClientConfig>>),
    #[cfg(feature = "native-tls")]
    Native(Option<native_tls::TlsConnector>),
}

impl Default for Backend {
    fn default() -> Self {
        #[cfg(feature = "rustls")]
        return Self::Rustls(None);
        #[cfg(not(feature = "rustls"))]
        Self::Native(None)
    }
}

impl Backend {
    /// Whether everything that a handshake needs was given.
    fn is_configured(&self) -> bool {
        match self {
            #[cfg(feature = "rustls")]
            Self::Rustls(config) => config.is_some(),
            #[cfg(feature = "native-tls")]
            Self::Native(config) => config.is_some(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "rustls")]
            Self::Rustls(_) => "rustls",
            #[cfg(feature = "native-tls")]
            Self::Native(_) => "native-tls",
        }
    }
}

/// How TLS protects a connection; see [`Connector::tls`](crate::Connector::tls).
///
/// By default the server has to show a certificate for the name it was reached by, from an authority that the operating
/// system trusts. It is done by rustls where that is compiled in (feature `rustls`), else by what the operating system has
/// (feature `native-tls`). Files are read whenever a connection is opened, a lost one again included.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use amqp_connector::{Connector, Tls};
///
/// let tls = Tls::new().authorities_file("/etc/rabbitmq/ca.pem");
/// let connector = Connector::new().host("broker.example").port(5671).tls(tls);
/// let connection = connector.open("user", "secret").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use = "it does nothing until a connector has it"]
pub struct Tls {
    authorities: Option<Pem>,
    /// The certificate and its key.
    identity: Option<Identity>,
    server_name: Option<String>,
    trusts_all: bool,
    backend: Backend,
}

impl Tls {
    /// Trusts whom the operating system trusts, and shows no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these authorities only: certificates in PEM.
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(Pem::octets(pem));
        self
    }

    /// As [`authorities`](Self::authorities), from a file.
    pub fn authorities_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities = Some(Pem::File(path.into()));
        self
    }

    /// Shows this certificate to the server: a chain of certificates and the key of the first, both in PEM, the key as
    /// PKCS #8 where the operating system's TLS is used. With
    /// [`Mechanism::External`](crate::Mechanism::External) that is who the client is.
    pub fn identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((Pem::octets(chain), Pem::octets(key)));
        self
    }

    /// As [`identity`](Self::identity), from two files, which may be the same one.
    pub fn identity_files(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((Pem::File(chain.into()), Pem::File(key.into())));
        self
    }

    /// The name that the server's certificate has to be for, and that the server is told (SNI). Default: the host that
    /// it is reached by, and `localhost` for a Unix socket.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Takes any certificate of any server: whoever stands between may read and change everything. For tests; each
    /// connection is told as a warning.
    pub fn danger_trust_any_server(mut self) -> Self {
        self.trusts_all = true;
        self
    }

    /// Uses a configuration of rustls as it is; of everything else that is set here only the
    /// [server's name](Self::server_name) counts then.
    #[cfg(feature = "rustls")]
    pub fn rustls_config(mut self, config: Arc<ClientConfig>) -> Self {
        self.backend = Backend::Rustls(Some(config));
        self
    }

    /// Lets the operating system do it: OpenSSL, SChannel or Security Framework. That is so by default where `rustls` is not
    /// compiled in.
    #[cfg(feature = "native-tls")]
    pub fn native_tls(mut self) -> Self {
        self.backend = Backend::Native(None);
        self
    }

    /// Uses a configuration of native-tls as it is; of everything else that is set here only the
    /// [server's name](Self::server_name) counts then.
    #[cfg(feature = "native-tls")]
    pub fn native_tls_config(mut self, config: native_tls::TlsConnector) -> Self {
        self.backend = Backend::Native(Some(config));
        self
    }

    pub(super) async fn shake_hands(&self, socket: Socket, host: &str) -> Result<Stream, TlsError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        if self.trusts_all && !self.backend.is_configured() {
            tracing::warn!(host, "the server's certificate is not verified: anybody may be it");
        }
        match &self.backend {
            #[cfg(feature = "rustls")]
            Backend::Rustls(config) => {
                let config = match config {
                    Some(config) => config.clone(),
                    None => self.read(by_rustls::config).await.map(Arc::new)?,
                };
                let stream = by_rustls::shake_hands(config, name, socket).await?;
                #[cfg(feature = "native-tls")]
                let stream = Either::Left(stream);
                Ok(stream)
            }
            #[cfg(feature = "native-tls")]
            Backend::Native(config) => {
                let config = match config {
                    Some(config) => config.clone(),
                    None => self.read(by_native::config).await?,
                };
                let stream = by_native::shake_hands(config, name, socket).await?;
                #[cfg(feature = "rustls")]
                let stream = Either::Right(stream);
                Ok(stream)
            }
        }
    }

    /// Makes a configuration of what was set. Files are read aside: they may lie anywhere.
    async fn read<C: Send + 'static>(
        &self,
        config: fn(&Trust, Option<&Identity>) -> Result<C, TlsError>,
    ) -> Result<C, TlsError> {
        let trust = match (&self.authorities, self.trusts_all) {
            (_, true) => Trust::Anybody,
            (Some(pem), false) => Trust::Only(pem.clone()),
            (None, false) => Trust::Platform,
        };
        let identity = self.identity.clone();
        let read = tokio::task::spawn_blocking(move || config(&trust, identity.as_ref())).await;
        read.unwrap_or_else(|error| Err(TlsError::Handshake(io::Error::other(error))))
    }
}

/// Without keys and certificates.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities)
            .field("identity", &self.identity.as_ref().map(|(chain, _)| chain))
            .field("server_name", &self.server_name)
            .field("trusts_all", &self.trusts_all)
            .field("backend", &self.backend.name())
            .field("is_configured", &self.backend.is_configured())
            .finish()
    }
}
