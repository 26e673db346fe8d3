//! From a URI to a connector, and to a connection.

use crate::connect::connector::Connector;
use crate::connect::sasl::Mechanism;
#[cfg(feature = "__tls")]
use crate::connect::tls::Tls;
use crate::connect::uri::Uri;
#[cfg(feature = "__tls")]
use crate::connect::uri::UriTls;
use crate::connection::Connection;
use crate::error::{ConnectError, UriError};

impl Connector {
    /// A connector by URI (see [`Connection::open`]), and the user and password that the URI names or
    /// `guest`, for [`Greeted::authenticate`](crate::Greeted::authenticate).
    ///
    /// # Errors
    ///
    /// If the URI is malformed or has an unknown key.
    pub fn from_uri(uri: &str) -> Result<(Self, String, String), ConnectError> {
        let uri = Uri::parse(uri)?;
        let defaults = Self::default();
        let mut options = defaults.options.clone();
        options.heartbeat = uri.heartbeat.or(options.heartbeat);
        options.channel_max = uri.channel_max.unwrap_or(options.channel_max);
        options.frame_max = uri.frame_max.unwrap_or(options.frame_max);
        options.connect_timeout = uri.connection_timeout.unwrap_or(options.connect_timeout);
        let mut connector = defaults.options(options);
        if let Some(host) = uri.host {
            connector = connector.host(host);
        }
        if let Some(port) = uri.port {
            connector = connector.port(port);
        }
        if let Some(virtual_host) = uri.virtual_host {
            connector = connector.virtual_host(virtual_host);
        }
        if let Some(locale) = uri.locale {
            connector = connector.locale(locale);
        }
        if !uri.mechanisms.is_empty() {
            connector = connector.mechanisms(mechanisms(&uri.mechanisms)?);
        }
        #[cfg(feature = "__tls")]
        if let Some(tls) = uri.tls {
            connector = connector.tls(tls_of(tls));
        }
        if let Some(name) = uri.name {
            connector = connector.connection_name(&name);
        }
        let user = uri.user.unwrap_or_else(|| "guest".to_owned());
        let password = uri.password.unwrap_or_else(|| "guest".to_owned());
        Ok((connector, user, password))
    }
}

impl Connection {
    /// Connects, authenticates and opens the virtual host in one step.
    ///
    /// The URI follows RabbitMQ's URI specification: `amqp://user:password@host:port/vhost`, each part
    /// optional and percent-encoded, with the query keys `heartbeat` (seconds), `channel_max`,
    /// `frame_max`, `connection_timeout` (milliseconds), `auth_mechanism`, `locale` and `name`. With the feature `rustls` or `native-tls` also
    /// `amqps://`, with `cacertfile`, `certfile` and `keyfile` (paths), `verify` (`verify_peer`, which is the default, or
    /// `verify_none`) and `server_name_indication`.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let uri = "amqp://guest:guest@localhost:5672/%2f?heartbeat=10";
    /// let connection = amqp_connector::Connection::open(uri).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the URI is malformed or has an unknown key, and as [`Connector::connect`] and [`Greeted::authenticate`](crate::Greeted::authenticate).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it closes the socket.
    pub async fn open(uri: &str) -> Result<Self, ConnectError> {
        let (connector, user, password) = Connector::from_uri(uri)?;
        connector.open(&user, &password).await
    }
}

fn mechanisms(names: &[String]) -> Result<Vec<Mechanism>, ConnectError> {
    let known = |name: &String| {
        Mechanism::by_name(name).ok_or_else(|| {
            let (key, value) = ("auth_mechanism".to_owned(), name.clone());
            ConnectError::Uri(UriError::Value { key, value })
        })
    };
    names.iter().map(known).collect()
}

#[cfg(feature = "__tls")]
fn tls_of(uri: UriTls) -> Tls {
    let mut tls = Tls::new();
    if let Some(path) = uri.authorities {
        tls = tls.authorities_file(path);
    }
    if let Some((chain, key)) = uri.identity {
        tls = tls.identity_files(chain, key);
    }
    if let Some(name) = uri.server_name {
        tls = tls.server_name(name);
    }
    match uri.verify {
        true => tls,
        false => tls.danger_trust_any_server(),
    }
}
