//! Where a broker is and how to speak to it: plain values, until a connection is wanted (`reach`).

use std::path::PathBuf;
use std::time::Duration;

use amqp_types::protocol;
use amqp_types::{FieldTable, FieldValue, ShortStr};

use crate::connect::sasl::Mechanism;
#[cfg(feature = "__tls")]
use crate::connect::tls::Tls;
use crate::connect::transport::TcpOptions;
use crate::error::Address;
use crate::name::{self, InvalidName};
use crate::options::{Options, WhileBlocked};
use crate::recovery::Recovery;
use crate::tap::{Tap, Tapped};

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
    pub(super) host: String,
    /// None is the usual one, which is another with TLS.
    pub(super) port: Option<u16>,
    /// Where else the same broker is reached.
    pub(super) alternatives: Vec<Address>,
    pub(super) shuffled: bool,
    /// In place of host and port.
    pub(super) socket_path: Option<PathBuf>,
    pub(super) tcp: TcpOptions,
    #[cfg(feature = "__tls")]
    pub(super) tls: Option<Tls>,
    pub(super) virtual_host: String,
    pub(super) options: Options,
    pub(super) mechanisms: Vec<Mechanism>,
    pub(super) locale: String,
    pub(super) client_properties: FieldTable,
    pub(super) redirects: u8,
    pub(super) recovery: Option<Recovery>,
    pub(super) tap: Option<Tap>,
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
            #[cfg(feature = "__tls")]
            tls: None,
            virtual_host: "/".to_owned(),
            options: Options::default(),
            mechanisms: vec![Mechanism::Plain, Mechanism::AmqPlain],
            locale: "en_US".to_owned(),
            client_properties: client_properties(),
            redirects: 0,
            recovery: None,
            tap: None,
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
    #[cfg(feature = "__tls")]
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

    /// Shows every frame of its connections to `see`, in both directions, from the server's greeting on and through all
    /// recoveries: for debugging, and for tools. A frame is shown when it was read, or when it is handed out to be written.
    /// `see` runs in the task that moves the connection's octets, which waits for it, and may use the connection.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let connector = amqp_connector::Connector::new().tap(|tapped| eprintln!("{tapped}"));
    /// let connection = connector.open("guest", "guest").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// It prints `<- 0 connection.start version-major=0 ..`, `-> 0 connection.start-ok ..` and so on.
    pub fn tap(mut self, see: impl Fn(&Tapped<'_>) + Send + Sync + 'static) -> Self {
        self.tap = Some(Tap::new(see));
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
