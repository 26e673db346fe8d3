//! An AMQP client for tokio, typed from the XML specification that it is compiled with.
//!
//! Which version of the protocol it speaks is decided when it is compiled: [`amqp_types`] reads an AMQP
//! XML specification and emits every method from it. `AMQP_SPEC=0-8 cargo build` makes it speak 0-8; the
//! names below stay the same.
//!
//! # Four things to know
//!
//! - A [`Connector`] knows where a broker is. Its three steps are types: [`Connector::connect`], then
//!   [`Greeted::authenticate`], then [`Connection::channel_open`]. [`Connection::open`] takes a URI.
//! - [`Connection`] and [`Channel`] are cheap handles. One task, the [`Driver`], owns the socket. What
//!   a handle's owner does or leaves undone does not stall it, with two exceptions: reading pauses for a streamed body
//!   ([`StreamConsumer`]) whose reader is slow, and for moments while a consumer of unlimited prefetch catches up.
//! - [`Channel::basic_publish`] gives a [`Confirmation`], which resolves to the message's [`Outcome`] in
//!   every case. [`Channel::basic_consume`] gives a [`Consumer`], a stream that ends with a reason. Bodies too
//!   large to be held go by [`Connection::publish_stream`] and [`Channel::basic_consume_streamed`].
//! - Every method of the compiled specification that belongs to a channel can be sent by
//!   [`Channel::call`], [`Channel::send`] and [`Channel::send_content`]; opening, tuning and closing are the
//!   handles' own.
//!
//! ```no_run
//! use amqp_connector::{BasicConsume, BasicPublish, Connection, Prefetch, QueueDeclare};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Connection::open("amqp://guest:guest@localhost:5672/%2f").await?;
//! let channel = connection.channel_open().await?;
//! channel.queue_declare(QueueDeclare::new("jobs")).await?;
//! let outcome = channel.basic_publish(BasicPublish::new("", "jobs", "work")).await?.await;
//! println!("{outcome}");
//!
//! let mut jobs = channel.basic_consume(BasicConsume::new("jobs", Prefetch::Count(10))).await?;
//! if let Some(job) = jobs.recv().await {
//!     job.ack()?;
//! }
//! connection.close().await;
//! # Ok(()) }
//! ```
//!
//! # Panics
//!
//! Connections need a tokio runtime with I/O and time enabled (`enable_all`); connecting panics without, and so does a
//! [`Driver`] that is polled elsewhere. Everything else may be awaited anywhere: on a thread that knows of no runtime, on a
//! runtime without timers, and at first on one that is gone and then on another. On the runtime that the connection was made
//! on, closes, shutdowns and streamed publishes have timers of their own; elsewhere a thread keeps their deadlines, so that they end
//! in time though nobody may poll the driver. The deadlines of calls are the driver's. Dropping handles needs no runtime.
//!
//! # Features
//!
//! None is on by default, and each only adds.
//!
//! - `blocking`: connections and calls for programs without async.
//! - `cli`: nothing of the library, but the program `amqp` for the command line
//!   (`cargo install amqp-connector --features cli`).
//! - `metrics`: what a connection counts, told by the facade of that name.
//! - `rustls`: TLS, by `amqps://` URIs and [`Connector`]'s `tls`.
//! - `native-tls`: the same by what the operating system has; needs OpenSSL's headers on Linux.
//! - `trace-context`: the trace that a message belongs to, by W3C's rules, in its headers.
//! - `serde`: a [`Topology`], and the values in its tables, as values of serde's.
//! - `testing`: a scripted peer and a broker in memory, for tests.
//!
//! # Cancel safety
//!
//! Each future says what may have happened when it is dropped before it resolves. None gives one call's reply to
//! another, and none leaves a channel unusable but a streamed publish whose body has begun
//! ([`Channel::basic_publish_stream`] and its like): a body that breaks off ends its channel, or the connection.

amqp_types::if_spec! { basic.consume_ok => {} else {
    compile_error!(
        "the connector needs a specification with the classes connection, channel, exchange, queue and \
         basic; AMQP_SPEC names one without basic.consume-ok"
    );
} }

pub mod arguments;
#[cfg(feature = "blocking")]
pub mod blocking;
mod call;
mod channel;
mod codec;
mod connect;
mod connection;
mod consumer;
mod deadline;
mod driver;
mod error;
mod handle;
mod measure;
mod name;
mod options;
mod outcome;
mod publish;
mod recovery;
pub mod rpc;
mod session;
mod shared;
mod tap;
#[cfg(feature = "testing")]
pub mod testing;
pub mod topology;
#[cfg(feature = "trace-context")]
mod trace_context;
mod turn;
pub mod typed;
mod watch;

pub use amqp_types;
pub use amqp_types::protocol::{self, basic};
pub use amqp_types::{Body, FieldTable, FieldValue, LongStr, ShortStr};
pub use bytes::Bytes;

pub use call::{
    Access, Call, CallWithContent, ChannelOpen, Completion, Consume, Content, Get, Recover,
    Recovered,
};
pub use channel::{
    AccessRequest, AccessTicket, BasicConsume, BasicGet, Channel, ExchangeBind, ExchangeDeclare,
    ExchangeDelete, ExchangeUnbind, Prefetch, QueueBind, QueueDeclare, QueueDelete, QueueUnbind,
};
#[cfg(feature = "__tls")]
pub use connect::Tls;
pub use connect::{
    Connector, Greeted, Mechanism, SaslError, SaslExchange, SaslMechanism, Transport,
    UnexpectedChallenge,
};
pub use connection::Connection;
pub use consumer::{
    Acker, BodyStream, ConsumeStreamed, Consumer, Delivery, Recv, RecvStreamed, ShutdownReport,
    StreamConsumer, StreamedDelivery,
};
pub use driver::Driver;
pub use error::{
    Address, BlamedPublish, BrokenStream, CloseCause, CloseReason, ConnectError, Error, ErrorKind,
    Initiator, Result, Scope, Step, StreamFault, TlsError, UriError,
};
pub use options::{ConfirmOptions, Options, Pace, Tuning, Unsettled, WhileBlocked};
pub use outcome::{
    Alert, Binding, ConfirmCounts, ConsumerEnd, DeclaredExchange, DeclaredQueue, Destination,
    Entity, Epoch, Event, IncomingMethod, Outcome, RecoveryEvent, RecoveryFailure, RecoveryReport,
    RecoveryStep, Reopened, Returned, ServerProperties, ServerVersion, Topology, UnknownReason,
};
pub use publish::{BasicPublish, BasicPublishStream, Confirmation, Publish, Returns};
pub use recovery::Recovery;
pub use tap::{Direction, Tapped};
#[cfg(feature = "trace-context")]
pub use trace_context::{InvalidTraceContext, TraceContext};
pub use watch::{BlockedWatch, Events, Incoming};
