//! TLS by rustls (feature `rustls`): whom to trust, what to show, and the handshake.
//!
//! Plain values until a connection is opened; files are read then, each time anew, so that renewed certificates are seen.

mod material;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::connect::transport::Socket;
use crate::error::TlsError;
use material::{Pem, Trust};

/// How TLS protects a connection; see [`Connector::tls`](crate::Connector::tls).
///
/// By default the server has to show a certificate for the name it was reached by, from an authority that the operating
/// system trusts. Files are read whenever a connection is opened, a lost one again included.
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
    identity: Option<(Pem, Pem)>,
    server_name: Option<String>,
    trusts_all: bool,
    config: Option<Arc<ClientConfig>>,
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

    /// Shows this certificate to the server: a chain of certificates and the key of the first, both in PEM. With
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
    pub fn rustls_config(mut self, config: Arc<ClientConfig>) -> Self {
        self.config = Some(config);
        self
    }

    pub(super) async fn shake_hands(
        &self,
        socket: Socket,
        host: &str,
    ) -> Result<TlsStream<Socket>, TlsError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let bad_name = |_| TlsError::ServerName(name.to_owned());
        let server_name = ServerName::try_from(name.to_owned()).map_err(bad_name)?;
        let config = match &self.config {
            Some(config) => config.clone(),
            None => self.read_config().await?,
        };
        if self.trusts_all && self.config.is_none() {
            tracing::warn!(host, "the server's certificate is not verified: anybody may be it");
        }
        let connected = TlsConnector::from(config).connect(server_name, socket).await;
        connected.map_err(TlsError::from_handshake)
    }

    /// Reads the files aside: they may lie anywhere.
    async fn read_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let trust = match (&self.authorities, self.trusts_all) {
            (_, true) => Trust::Anybody,
            (Some(pem), false) => Trust::Only(pem.clone()),
            (None, false) => Trust::Platform,
        };
        let identity = self.identity.clone();
        let reading = move || material::config(&trust, identity.as_ref());
        let read = tokio::task::spawn_blocking(reading).await;
        read.unwrap_or_else(|error| Err(TlsError::Handshake(io::Error::other(error)))).map(Arc::new)
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
            .field("rustls_config", &self.config.is_some())
            .finish()
    }
}
