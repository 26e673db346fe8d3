//! How to reach a broker: the first of the three steps to a channel, connect, authenticate, open.
//!
//! Each step is a type of its own, so that a wrong order does not compile; the second one is [`Greeted`]. The work of
//! the steps is the handshake's; here are the values, the deadlines and the TCP connection.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amqp_types::protocol;
use amqp_types::{FieldTable, FieldValue, ShortStr};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::connect::greeted::Greeted;
use crate::connect::handshake::Handshake;
use crate::connect::sasl::Mechanism;
#[cfg(feature = "rustls")]
use crate::connect::tls::Tls;
use crate::connect::transport::{Place, TcpOptions, Transport, dialling, names};
#[cfg(feature = "rustls")]
use crate::error::TlsError;
use crate::error::{Address, ConnectError, Step};
use crate::name::{self, InvalidName};
use crate::options::{Options, WhileBlocked};
use crate::recovery::Recovery;
use crate::recovery::supervisor::{Dial, random};
use crate::session::after;

/// What the program's own transport is called in errors.
const GIVEN: &str = "the given transport";

/// Where AMQP over TLS is offered.
#[cfg(feature = "rustls")]
const TLS_PORT: u16 = 5671;

/// Where a broker is and how to speak to it. Cheap to clone; every connection begins here.
///
/// The defaults are localhost, the specification's port (5672; with TLS 5671), virtual host `/`.
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
    /// None is the usual one, which is another with TLS.
    pub(super) port: Option<u16>,
    /// Where else the same broker is reached.
    alternatives: Vec<Address>,
    shuffled: bool,
    /// In place of host and port.
    socket_path: Option<PathBuf>,
    tcp: TcpOptions,
    #[cfg(feature = "rustls")]
    tls: Option<Tls>,
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
            port: None,
            alternatives: Vec::new(),
            shuffled: false,
            socket_path: None,
            tcp: TcpOptions::default(),
            #[cfg(feature = "rustls")]
            tls: None,
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
        self.port = Some(port);
        self
    }

    /// Another place where the broker is reached, such as another node of its cluster; may be called several times. They
    /// are tried in the order in which they were given, the first one being [`host`](Self::host) and
    /// [`port`](Self::port), until one accepts the connection. The time for that is shared equally among them. Whenever
    /// a [recovery](Self::recovery) connects again, it begins with the next.
    pub fn alternative(mut self, host: impl Into<String>, port: u16) -> Self {
        self.alternatives.push(Address { host: host.into(), port });
        self
    }

    /// Tries the [places](Self::alternative) in any order, another one for each connection, so that many clients spread over the
    /// nodes of a cluster.
    pub fn shuffled(mut self, shuffled: bool) -> Self {
        self.shuffled = shuffled;
        self
    }

    /// Reaches the broker by a Unix socket, in place of [`host`](Self::host) and [`port`](Self::port).
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.socket_path = Some(path.into());
        self
    }

    /// Whether TCP sends small segments at once (`TCP_NODELAY`). Default: yes.
    pub fn tcp_nodelay(mut self, nodelay: bool) -> Self {
        self.tcp.nodelay = nodelay;
        self
    }

    /// Has TCP ask for a sign of life when the link was idle for so long, and as often. Default: it does not, since
    /// [heartbeats](Self::heartbeat) do.
    pub fn tcp_keepalive(mut self, idle: Duration) -> Self {
        self.tcp.keepalive = Some(idle);
        self
    }

    /// For how long what was sent may stay unacknowledged before TCP gives the link up (`TCP_USER_TIMEOUT`; Linux). Default:
    /// the operating system's, which is many minutes.
    pub fn tcp_user_timeout(mut self, time: Duration) -> Self {
        self.tcp.user_timeout = Some(time);
        self
    }

    /// Protects connections by TLS. The port is 5671 then, unless one is [set](Self::port).
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
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

    /// Reaches the server, by TCP unless something else was set, and exchanges greetings: the first step. One deadline
    /// ([`Options::connect_timeout`]) is over all of it: names, TCP, TLS and greetings.
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
    pub async fn connect(&self) -> Result<Greeted<Transport>, ConnectError> {
        self.check()?;
        let places = self.places();
        let address = names(&places);
        let time = self.options.connect_timeout;
        #[cfg(not(feature = "rustls"))]
        let dial = dialling(places, time, self.tcp);
        #[cfg(feature = "rustls")]
        let dial = dialling(places, time, self.tcp, self.tls.clone());
        let connected = self.connect_at(address.clone(), &dial).await;
        #[cfg(feature = "rustls")]
        if self.tls.is_some() {
            return connected.map_err(|error| refused(error, address));
        }
        connected
    }

    fn places(&self) -> Vec<Place> {
        #[cfg(feature = "rustls")]
        let usual = if self.tls.is_some() { TLS_PORT } else { protocol::DEFAULT_PORT };
        #[cfg(not(feature = "rustls"))]
        let usual = protocol::DEFAULT_PORT;
        let (host, port) = (self.host.clone(), self.port.unwrap_or(usual));
        let first = match &self.socket_path {
            #[cfg(unix)]
            Some(path) => Place::Unix(path.clone()),
            _ => Place::Tcp(Address { host, port }),
        };
        let others = self.alternatives.iter().cloned().map(Place::Tcp);
        let mut places: Vec<Place> = std::iter::once(first).chain(others).collect();
        if self.shuffled {
            places.sort_by_cached_key(|_| random());
        }
        places
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
        let dial: Dial<T> = Arc::new(move || {
            let dialled = dial();
            Box::pin(async { dialled.await.map_err(|source| io_error(GIVEN, source)) })
        });
        self.connect_by_dialling(&dial).await
    }

    pub(crate) async fn connect_by_dialling<T>(
        &self,
        dial: &Dial<T>,
    ) -> Result<Greeted<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.connect_at(GIVEN.to_owned(), dial).await
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
        let io = within(deadline, Step::Transport, dial()).await?;
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
        self.greet(io, GIVEN.to_owned(), deadline, None).await
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

/// With TLS 1.3 a server says what it thinks of our certificate when our side of the handshake is done.
#[cfg(feature = "rustls")]
fn refused(error: ConnectError, address: String) -> ConnectError {
    let source = match error {
        ConnectError::Io { step: Step::Greeting, source, .. } => source,
        ConnectError::EndOfStream { step: Step::Greeting } => io::ErrorKind::UnexpectedEof.into(),
        error => return error,
    };
    ConnectError::Tls { address, source: TlsError::Refused(source) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffled_places_are_all_there_and_each_comes_first_at_times() {
        let connector = Connector::new().host("a").alternative("b", 1).alternative("c", 2);
        let names = |connector: &Connector| -> Vec<String> {
            connector.places().iter().map(ToString::to_string).collect()
        };
        let given = names(&connector);
        assert_eq!(given[1..], ["b:1", "c:2"]);
        let shuffled = connector.shuffled(true);
        let mut firsts = std::collections::BTreeSet::new();
        // That one of three is never first in so many draws does not happen.
        for _ in 0..1000 {
            let mut names = names(&shuffled);
            firsts.insert(names[0].clone());
            names.sort();
            assert_eq!(names, given);
        }
        assert_eq!(firsts.len(), 3);
    }
}
