//! A small broker in memory, for unit tests without RabbitMQ.
//!
//! [`MemoryBroker`] speaks the compiled specification to any number of connections, over pipes in memory or on a TCP
//! port. It routes and queues as RabbitMQ does, refuses with RabbitMQ's codes and texts, and the project's own tests
//! hold both to the same contract. Tests look into its queues, and have it block, refuse, close and break off.
//!
//! ```
//! use amqp_connector::testing::broker::MemoryBroker;
//! use amqp_connector::{BasicConsume, BasicPublish, Prefetch, QueueDeclare};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = MemoryBroker::start();
//! let connection = broker.connect().await?;
//! let channel = connection.channel_open().await?;
//! channel.queue_declare(QueueDeclare::new("jobs")).await?;
//! let outcome = channel.basic_publish(BasicPublish::new("", "jobs", "work")).await?.await;
//! println!("{outcome}");
//!
//! let mut jobs = channel.basic_consume(BasicConsume::new("jobs", Prefetch::Count(1))).await?;
//! let job = jobs.recv().await.ok_or("the consumer has ended")?;
//! assert_eq!(job.body.clone().into_bytes(), "work");
//! assert_eq!(broker.queue("jobs").map(|queue| queue.unacknowledged), Some(1));
//! job.ack()?;
//!
//! connection.close().await;
//! assert_eq!(broker.queue("jobs").map(|queue| queue.unacknowledged), Some(0));
//! # Ok(()) }
//! ```
//!
//! # What it does
//!
//! Login by PLAIN and AMQPLAIN, and by a challenge where its [`Settings`] say so; heartbeats, virtual hosts; exchanges of the four types with alternates and bindings
//! between them; queues that are durable, exclusive, deleting themselves or named by the broker, with dead letters,
//! time to live and a maximum length; publishing with returns, confirms and transactions; consuming, getting, settling,
//! prefetch of consumers and channels, recover. "Durable" is kept and compared; nothing outlives the broker.
//!
//! # What it does not do
//!
//! It refuses, by closing the connection with 540 (`NOT_IMPLEMENTED`) and a text that names what was asked for:
//! quorum queues and streams, arguments that it does not know (`x-expires`, `x-max-length-bytes`, priorities, ..), answers
//! without a queue (`amq.rabbitmq.reply-to`) and methods of other classes. There are no permissions, plugins and no
//! management.
//!
//! # Bounds
//!
//! As with RabbitMQ, a body has 128 MiB at most, a client has 10 seconds to log in and 30 to answer a close, and one that
//! does not read gets nothing more once 1 MiB waits for it. What lies in queues has no bound but theirs.
//!
//! # Time
//!
//! It has tokio's clock, so it works with a paused one: time to live and heartbeats pass as the test advances it.

mod core;
mod info;
mod settings;
mod shared;
mod task;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, ToSocketAddrs};

pub use info::{BindingInfo, ConnectionInfo, ExchangeInfo, QueueInfo};
pub use settings::Settings;
use shared::{Life, Shared};

use self::core::Core;
use crate::connect::Connector;
use crate::connection::Connection;
use crate::error::ConnectError;

/// Octets that the pipe of a connection holds in each direction.
const PIPE: usize = 64 << 10;
/// How long accepting rests when there is no socket to be had.
const REST: Duration = Duration::from_millis(50);

/// A broker in memory. See the [module's documentation](self) for an example and for what it does.
///
/// Cheap to clone; all clones are the same broker.
///
/// # Drop
///
/// With its last handle the broker ends: connections and listeners break off, and no task or socket is left.
#[derive(Clone, Debug)]
#[must_use = "the broker ends when its last handle is dropped"]
pub struct MemoryBroker {
    life: Arc<Life>,
    /// As whom [`connect`](Self::connect) logs in.
    user: (String, String),
}

impl MemoryBroker {
    /// A broker with the default [`Settings`]. It needs no port, no file and, before the first connection, no
    /// runtime.
    pub fn start() -> Self {
        Self::start_with(Settings::default())
    }

    /// A broker with these settings.
    pub fn start_with(settings: Settings) -> Self {
        let user = settings.users.first().cloned().unwrap_or_default();
        Self { life: Arc::new(Life(Arc::new(Shared::new(settings)))), user }
    }

    fn with<R>(&self, work: impl FnOnce(&mut Core) -> R) -> R {
        self.life.0.with(work)
    }

    /// A connection to virtual host `/`, as `guest`.
    ///
    /// # Errors
    ///
    /// As [`Connector::connect_with`] and [`Greeted::authenticate`](crate::Greeted::authenticate); not while the
    /// broker is as it was started.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it drops the transport.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let (user, password) = &self.user;
        self.connect_as(&Connector::new(), user, password).await
    }

    /// A connection by this connector, whose host and port do not matter.
    ///
    /// ```
    /// use amqp_connector::Connector;
    /// use amqp_connector::testing::broker::MemoryBroker;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::start();
    /// let connector = Connector::new().connection_name("billing");
    /// let connection = broker.connect_as(&connector, "guest", "guest").await?;
    /// assert_eq!(broker.connections()[0].name.as_deref(), Some("billing"));
    /// connection.close().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Connector::connect_with`] and [`Greeted::authenticate`](crate::Greeted::authenticate).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it drops the transport.
    pub async fn connect_as(
        &self,
        connector: &Connector,
        user: &str,
        password: &str,
    ) -> Result<Connection, ConnectError> {
        connector.connect_with(self.transport()).await?.authenticate(user, password).await
    }

    /// The client's end of a new connection, for [`Connector::connect_with`] or for octets of a test's own.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime: the other end is served by a task.
    #[must_use]
    pub fn transport(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(PIPE);
        tokio::spawn(task::serve(self.life.0.clone(), server));
        client
    }

    /// Accepts connections on a TCP port until the broker ends; port 0 is any free one. Gives the address.
    ///
    /// ```
    /// use amqp_connector::Connection;
    /// use amqp_connector::testing::broker::MemoryBroker;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::start();
    /// let address = broker.listen("127.0.0.1:0").await?;
    /// let connection = Connection::open(&format!("amqp://guest:guest@{address}/%2f")).await?;
    /// connection.close().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing listens.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = self.life.0.clone();
        let accepting = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        // Without it the answers only come later.
                        let _ = stream.set_nodelay(true);
                        tokio::spawn(task::serve(shared.clone(), stream));
                    }
                    Err(_) => tokio::time::sleep(REST).await,
                }
            }
        });
        self.life.0.keep(accepting.abort_handle());
        Ok(address)
    }

    /// From now on it is a broker without memory: who publishes is told that it is blocked, and nothing more is read from
    /// it, not even the message. As with RabbitMQ, who does not publish learns nothing of it. Where the specification has
    /// no `connection.blocked`, nobody is told.
    ///
    /// ```
    /// use amqp_connector::BasicPublish;
    /// use amqp_connector::testing::broker::MemoryBroker;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::start();
    /// let connection = broker.connect().await?;
    /// let channel = connection.channel_open().await?;
    /// broker.block("low on memory");
    /// let first = channel.basic_publish(BasicPublish::new("", "jobs", "work")).await?;
    /// // .. what does the program do now?
    /// broker.unblock();
    /// println!("{}", first.await);
    /// connection.close().await;
    /// # Ok(()) }
    /// ```
    pub fn block(&self, reason: &str) {
        self.with(|core| core.set_blocked(Some(reason)));
    }

    /// Ends a [`block`](Self::block).
    pub fn unblock(&self) {
        self.with(|core| core.set_blocked(None));
    }

    /// Refuses all messages from now on: their publishers get a nack, if they asked for confirms.
    pub fn refuse_publishes(&self) {
        self.with(|core| core.set_refuses(true));
    }

    /// Takes messages again.
    pub fn accept_publishes(&self) {
        self.with(|core| core.set_refuses(false));
    }

    /// Closes all connections with this code and text, as an administrator may: 320 is `CONNECTION_FORCED`. New ones
    /// are welcome.
    ///
    /// ```
    /// use amqp_connector::testing::broker::MemoryBroker;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let broker = MemoryBroker::start();
    /// let connection = broker.connect().await?;
    /// broker.close_connections(320, "CONNECTION_FORCED - maintenance");
    /// assert_eq!(connection.closed().await.code().map(|code| code.0), Some(320));
    /// # Ok(()) }
    /// ```
    pub fn close_connections(&self, code: u16, text: &str) {
        self.with(|core| core.close_all(code, text));
    }

    /// Ends the transports of all connections without a word, as a broker that crashed. New ones are welcome, and find
    /// all queues that belong to no connection as they were.
    pub fn cut(&self) {
        self.with(Core::cut_all);
    }

    /// The queue of this name in virtual host `/`, or else in any other.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<QueueInfo> {
        let mut queues = self.queues();
        queues.retain(|queue| queue.name == name);
        queues.sort_by_key(|queue| queue.virtual_host != "/");
        queues.into_iter().next()
    }

    /// All queues.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueInfo> {
        self.with(|core| core.queues())
    }

    /// All exchanges, with those that are always there.
    #[must_use]
    pub fn exchanges(&self) -> Vec<ExchangeInfo> {
        self.with(|core| core.exchanges())
    }

    /// All bindings but those of the default exchange.
    #[must_use]
    pub fn bindings(&self) -> Vec<BindingInfo> {
        self.with(|core| core.bindings())
    }

    /// All connections whose handshake is done.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.with(|core| core.connections())
    }
}
