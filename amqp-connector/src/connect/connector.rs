//! How to reach a broker: the first of the three steps to a channel, connect, authenticate, open.
//!
//! Each step is a type of its own, so that a wrong order does not compile; the second one is [`Greeted`]. The work of
//! the steps is the handshake's; here are the values, the deadlines and the TCP connection.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amqp_types::protocol;
use amqp_types::{FieldTable, FieldValue, ShortStr};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::connect::greeted::Greeted;
use crate::connect::handshake::Handshake;
use crate::connect::sasl::Mechanism;
use crate::connect::uri::Uri;
use crate::connection::Connection;
use crate::error::{ConnectError, Step};
use crate::name::{self, InvalidName};
use crate::options::{Options, WhileBlocked};
use crate::recovery::Recovery;
use crate::recovery::supervisor::Dial;
use crate::session::after;

/// Where a broker is and how to speak to it. Cheap to clone; every connection begins here.
///
/// The defaults are localhost, the specification's port (5672), virtual host `/`.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use amqp_connector::Connector;
///
/// let connection = Connector::new().connect().await?.authenticate("guest", "guest").await?;
/// let channel = connection.channel_open().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a connector does nothing until `connect` is called"]
pub struct Connector {
    host: String,
    port: u16,
    /// Where else the same broker is reached.
    alternatives: Vec<(String, u16)>,
    pub(super) virtual_host: String,
    pub(super) options: Options,
    pub(super) mechanisms: Vec<Mechanism>,
    pub(super) locale: String,
    pub(super) client_properties: FieldTable,
    pub(super) redirects: u8,
    pub(super) recovery: Option<Recovery>,
    /// A name that cannot be sent, reported when it would be.
    pub(super) invalid: Option<InvalidName>,
}

impl Default for Connector {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: protocol::DEFAULT_PORT,
            alternatives: Vec::new(),
            virtual_host: "/".to_owned(),
            options: Options::default(),
            mechanisms: vec![Mechanism::Plain, Mechanism::AmqPlain],
            locale: "en_US".to_owned(),
            client_properties: client_properties(),
            redirects: 0,
            recovery: None,
            invalid: None,
        }
    }
}

impl Connector {
    /// A connector with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The server's name or address; IPv6 addresses without brackets.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// The server's port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Another place where the broker is reached, such as another node of its cluster; may be called several times. They
    /// are tried in the order in which they were given, the first one being [`host`](Self::host) and
    /// [`port`](Self::port), until one accepts the connection. The time for that is shared equally among them. Whenever
    /// a [recovery](Self::recovery) connects again, it begins with the next.
    pub fn alternative(mut self, host: impl Into<String>, port: u16) -> Self {
        self.alternatives.push((host.into(), port));
        self
    }

    /// The virtual host to open.
    pub fn virtual_host(mut self, virtual_host: impl Into<String>) -> Self {
        self.virtual_host = virtual_host.into();
        self
    }

    /// All limits and deadlines at once. Replaces what [`heartbeat`](Self::heartbeat) and the other setters of single
    /// options have set before.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The heartbeat interval; see [`Options::heartbeat`].
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.options.heartbeat = Some(interval);
        self
    }

    /// The deadline of each handshake step; see [`Options::connect_timeout`].
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// What publishes do while the broker blocks them; see [`Options::publish_while_blocked`].
    pub fn publish_while_blocked(mut self, policy: WhileBlocked) -> Self {
        self.options.publish_while_blocked = policy;
        self
    }

    /// What the deadlines of calls do meanwhile; see [`Options::call_while_blocked`].
    pub fn call_while_blocked(mut self, policy: WhileBlocked) -> Self {
        self.options.call_while_blocked = policy;
        self
    }

    /// Has connections come back by themselves when they are lost. Default: they end.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// The mechanisms to authenticate by, the preferred first. Default: PLAIN, then AMQPLAIN.
    pub fn mechanisms(mut self, mechanisms: impl Into<Vec<Mechanism>>) -> Self {
        self.mechanisms = mechanisms.into();
        self
    }

    /// The connection's name, as the broker's management shows it.
    pub fn connection_name(self, name: &str) -> Self {
        let name = FieldValue::LongString(name.to_owned().into());
        self.client_property("connection_name", name)
    }

    /// One of the properties that the broker is told about this client. A name over 255 octets is refused
    /// when connecting.
    pub fn client_property(mut self, name: &str, value: FieldValue) -> Self {
        let name = name::short_str("client property's name", name, &mut self.invalid);
        self.client_properties.set(name, value);
        self
    }

    /// The locale of the server's texts, as it is offered by the server. Default `en_US`.
    pub fn locale(mut self, locale: impl Into<String>) -> Self {
        self.locale = locale.into();
        self
    }

    /// A connector by URI (see [`Connection::open`]), and the user and password that the URI names or
    /// `guest`, for [`Greeted::authenticate`].
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
        let mut connector = Self {
            host: uri.host.unwrap_or(defaults.host),
            port: uri.port.unwrap_or(defaults.port),
            alternatives: Vec::new(),
            virtual_host: uri.virtual_host.unwrap_or(defaults.virtual_host),
            mechanisms: mechanisms(&uri.mechanisms, defaults.mechanisms)?,
            locale: uri.locale.unwrap_or(defaults.locale),
            client_properties: defaults.client_properties,
            redirects: 0,
            recovery: None,
            invalid: None,
            options,
        };
        if let Some(name) = uri.name {
            connector = connector.connection_name(&name);
        }
        let user = uri.user.unwrap_or_else(|| "guest".to_owned());
        let password = uri.password.unwrap_or_else(|| "guest".to_owned());
        Ok((connector, user, password))
    }

    /// Reaches the server by TCP and exchanges greetings: the first step.
    ///
    /// # Errors
    ///
    /// If something that was set cannot be sent, such as a virtual host over 255 octets or client properties that do not
    /// fit into a first frame: then nothing is begun. If the server cannot be reached, speaks another version or no AMQP at all, or does not answer
    /// within [`Options::connect_timeout`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it closes the socket.
    pub async fn connect(&self) -> Result<Greeted<TcpStream>, ConnectError> {
        self.check()?;
        let places: Arc<[(String, u16)]> = std::iter::once((self.host.clone(), self.port))
            .chain(self.alternatives.clone())
            .collect();
        let names: Vec<String> =
            places.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        self.connect_at(names.join(" or "), &self.dial_tcp(places)).await
    }

    /// Tries these places in turn; each time beginning with the next one.
    fn dial_tcp(&self, places: Arc<[(String, u16)]>) -> Dial<TcpStream> {
        let count = u32::try_from(places.len()).unwrap_or(u32::MAX).max(1);
        let (share, first) = (self.options.connect_timeout / count, AtomicUsize::new(0));
        Arc::new(move || {
            let (places, first) = (places.clone(), first.fetch_add(1, Ordering::Relaxed));
            Box::pin(async move {
                let mut failed = io::Error::from(io::ErrorKind::TimedOut);
                for at in 0..places.len() {
                    let Some((host, port)) = places.get(first.wrapping_add(at) % places.len())
                    else {
                        break;
                    };
                    let connecting = TcpStream::connect((host.as_str(), *port));
                    // The last one has what is left of the step's time.
                    let connected = match at + 1 < places.len() {
                        true => tokio::time::timeout(share, connecting).await,
                        false => Ok(connecting.await),
                    };
                    match connected {
                        Ok(Ok(stream)) => {
                            stream.set_nodelay(true)?;
                            return Ok(stream);
                        }
                        Ok(Err(error)) => failed = error,
                        Err(_) => failed = io::ErrorKind::TimedOut.into(),
                    }
                    tracing::debug!(host, port, error = %failed, "not reached");
                }
                Err(failed)
            })
        })
    }

    /// Opens a transport by `dial` and exchanges greetings over it: the first step where TCP is not what is wanted, and
    /// the connection is to be [recovered](Self::recovery). Then `dial` is called again.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use amqp_connector::{Connector, Recovery};
    /// use tokio::net::UnixStream;
    ///
    /// let connector = Connector::new().recovery(Recovery::new());
    /// let dial = || UnixStream::connect("/run/amqp-proxy.socket");
    /// let connection = connector.connect_by(dial).await?.authenticate("guest", "guest").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Connector::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it drops the transport.
    pub async fn connect_by<T, F>(
        &self,
        dial: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Greeted<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        self.check()?;
        let dial: Dial<T> = Arc::new(move || Box::pin(dial()));
        self.connect_by_dialling(&dial).await
    }

    pub(crate) async fn connect_by_dialling<T>(
        &self,
        dial: &Dial<T>,
    ) -> Result<Greeted<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.connect_at("the given transport".to_owned(), dial).await
    }

    async fn connect_at<T>(
        &self,
        address: String,
        dial: &Dial<T>,
    ) -> Result<Greeted<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let deadline = after(Instant::now(), self.options.connect_timeout);
        let io = within(deadline, Step::Transport, async {
            dial().await.map_err(|source| io_error(&address, source))
        })
        .await?;
        self.greet(io, address, deadline, Some(dial.clone())).await
    }

    /// Exchanges greetings over any transport: the first step where TCP is not what is wanted.
    ///
    /// # Errors
    ///
    /// As [`Connector::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it drops the transport.
    pub async fn connect_with<T>(&self, io: T) -> Result<Greeted<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.check()?;
        let deadline = after(Instant::now(), self.options.connect_timeout);
        self.greet(io, "the given transport".to_owned(), deadline, None).await
    }

    async fn greet<T>(
        &self,
        io: T,
        address: String,
        deadline: Instant,
        dial: Option<Dial<T>>,
    ) -> Result<Greeted<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let greet = Handshake::greet(io, address, &self.options);
        let (handshake, start) = within(deadline, Step::Greeting, greet).await?;
        Ok(Greeted::new(handshake, start, self.clone(), dial))
    }
}

impl Connection {
    /// Connects, authenticates and opens the virtual host in one step.
    ///
    /// The URI follows RabbitMQ's URI specification: `amqp://user:password@host:port/vhost`, each part
    /// optional and percent-encoded, with the query keys `heartbeat` (seconds), `channel_max`,
    /// `frame_max`, `connection_timeout` (milliseconds), `auth_mechanism`, `locale` and `name`.
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
    /// If the URI is malformed or has an unknown key, and as [`Connector::connect`] and [`Greeted::authenticate`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it closes the socket.
    pub async fn open(uri: &str) -> Result<Self, ConnectError> {
        let (connector, user, password) = Connector::from_uri(uri)?;
        connector.open(&user, &password).await
    }
}

/// Runs a step against its deadline.
pub(super) async fn within<R>(
    deadline: Instant,
    step: Step,
    work: impl Future<Output = Result<R, ConnectError>>,
) -> Result<R, ConnectError> {
    match tokio::time::timeout_at(deadline, work).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Deadline { step }),
    }
}

fn io_error(address: &str, source: io::Error) -> ConnectError {
    ConnectError::Io { step: Step::Transport, address: address.to_owned(), source }
}

fn mechanisms(names: &[String], default: Vec<Mechanism>) -> Result<Vec<Mechanism>, ConnectError> {
    if names.is_empty() {
        return Ok(default);
    }
    let known = |name: &String| {
        Mechanism::by_name(name).ok_or_else(|| {
            let (key, value) = ("auth_mechanism".to_owned(), name.clone());
            ConnectError::Uri(crate::error::UriError::Value { key, value })
        })
    };
    names.iter().map(known).collect()
}

/// What the broker is told about this library, and the extensions that the compiled specification can
/// stand: a broker that finds one of them declared uses it.
fn client_properties() -> FieldTable {
    let text = |text: &'static str| FieldValue::LongString(text.into());
    let names = [
        Some("authentication_failure_close"),
        Some("consumer_cancel_notify"),
        amqp_types::if_spec! { connection.blocked => { Some("connection.blocked") } else { None } },
        amqp_types::if_spec! { confirm.select => { Some("publisher_confirms") } else { None } },
        amqp_types::if_spec! { basic.nack => { Some("basic.nack") } else { None } },
        amqp_types::if_spec! { exchange.bind => { Some("exchange_exchange_bindings") } else { None } },
    ];
    let capabilities: FieldTable =
        names.into_iter().flatten().map(|name| (short_str(name), FieldValue::Bool(true))).collect();
    FieldTable::new()
        .with(short_str("product"), text(env!("CARGO_PKG_NAME")))
        .with(short_str("version"), text(env!("CARGO_PKG_VERSION")))
        .with(short_str("platform"), text("Rust"))
        .with(short_str("specification"), text(protocol::NAME))
        .with(short_str("capabilities"), FieldValue::Table(capabilities))
}

fn short_str(text: &'static str) -> ShortStr {
    ShortStr::try_from(text).unwrap_or_default()
}
