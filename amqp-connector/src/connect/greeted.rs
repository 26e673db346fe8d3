//! The second step to a channel: a server that has greeted us gets credentials and opens a virtual host.
//!
//! Made by [`Connector`]; ends with a session, a driver and the handle of the connection.

use std::fmt;
use std::sync::Arc;

use amqp_types::protocol::connection;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::Span;

use crate::connect::connector::Connector;
use crate::connect::handshake::Handshake;
use crate::connect::reach::within;
use crate::connect::sasl::{Exchange, Mechanism};
use crate::connection::Connection;
use crate::driver::Driver;
use crate::error::{ConnectError, Step};
use crate::measure::Instruments;
use crate::options::Tuning;
use crate::outcome::ServerProperties;
use crate::recovery::supervisor::{Dial, Redial, supervise};
use crate::session::{Session, after};
use crate::shared::Shared;

/// A server that has greeted us and waits for credentials: the second step.
#[must_use = "the server waits for `authenticate`"]
pub struct Greeted<T> {
    handshake: Handshake<T>,
    server: ServerProperties,
    /// The names of the mechanisms that it offers, with blanks between.
    mechanisms: Bytes,
    connector: Connector,
    /// How the transport is opened, where it can be opened again.
    dial: Option<Dial<T>>,
    /// The connection's.
    pub(crate) span: Span,
}

impl<T> Greeted<T> {
    pub(super) fn new(
        handshake: Handshake<T>,
        start: connection::Start,
        connector: Connector,
        dial: Option<Dial<T>>,
        span: Span,
    ) -> Self {
        let server = ServerProperties::new(start.server_properties);
        Self { handshake, server, mechanisms: start.mechanisms, connector, dial, span }
    }

    /// What the server tells about itself: product, version, capabilities.
    #[must_use]
    pub fn server_properties(&self) -> &ServerProperties {
        &self.server
    }

    /// The names of the mechanisms that the server offers.
    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        let names = std::str::from_utf8(&self.mechanisms).unwrap_or_default();
        names.split_ascii_whitespace()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Greeted<T> {
    /// Authenticates, agrees on limits and opens the virtual host; the connection then lives in a task
    /// of the current tokio runtime until it is closed.
    ///
    /// # Errors
    ///
    /// If the credentials are too large for the one frame they have to fit into (then nothing is sent), if the server
    /// refuses them or the virtual host, if there is no mechanism in common, or if the server does not answer within [`Options::connect_timeout`](crate::Options::connect_timeout).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it drops the transport.
    pub async fn authenticate(self, user: &str, password: &str) -> Result<Connection, ConnectError>
    where
        T: Send + 'static,
    {
        let redial = self.redial(user, password)?;
        let (connection, driver) = self.log_in_to_connection(user, password).await?;
        match redial {
            None => drop(tokio::spawn(driver)),
            Some(redial) => {
                let shared = connection.handle().shared().clone();
                shared.with(|session| session.set_recovery(redial.policy.publishes));
                tokio::spawn(supervise(shared, driver, redial));
            }
        }
        Ok(connection)
    }

    /// As [`Greeted::authenticate`], but hands the connection's driver out instead of spawning it.
    ///
    /// # Errors
    ///
    /// As [`Greeted::authenticate`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it drops the transport.
    pub async fn authenticate_with_driver(
        self,
        user: &str,
        password: &str,
    ) -> Result<(Connection, Driver<T>), ConnectError> {
        if self.connector.recovery.is_some() {
            let text = "a connection that is recovered has a task of its own: use `authenticate`";
            return Err(ConnectError::NoRecovery { text });
        }
        self.log_in_to_connection(user, password).await
    }

    async fn log_in_to_connection(
        self,
        user: &str,
        password: &str,
    ) -> Result<(Connection, Driver<T>), ConnectError> {
        let server = self.server.clone();
        let options = self.connector.options.clone();
        let span = self.span.clone();
        let name = self.connector.client_properties.get_str("connection_name").map(str::to_owned);
        let (handshake, tuning) = self.log_in(user, password).await?;
        let mut session = Session::new(options.clone(), tuning, Instant::now());
        session.set_server(server);
        let instruments = Instruments::new(name.as_deref());
        let shared = Arc::new(Shared::new(session, options, span, instruments));
        let driver = Driver::new(shared.clone(), handshake.framed, handshake.frames);
        Ok((Connection::new(shared), driver))
    }

    /// Authenticates and opens the virtual host; gives the transport on which all that is done.
    pub(crate) async fn log_in(
        mut self,
        user: &str,
        password: &str,
    ) -> Result<(Handshake<T>, Tuning), ConnectError> {
        let options = self.connector.options.clone();
        let deadline = after(Instant::now(), options.connect_timeout);
        let (exchange, start_ok) = self.start_ok(user, password)?;
        let log_in = self.handshake.log_in(&start_ok, exchange);
        let offer = within(&self.span, deadline, Step::Authentication, log_in).await?;
        let open =
            self.handshake.open(&options, &offer, &self.server, &self.connector.virtual_host);
        let tuning = within(&self.span, deadline, Step::OpenVirtualHost, open).await?;
        tuning.log(&self.span);
        Ok((self.handshake, tuning))
    }

    /// What is needed to connect once more, where that is wanted.
    fn redial(&self, user: &str, password: &str) -> Result<Option<Redial<T>>, ConnectError> {
        let Some(policy) = self.connector.recovery.clone() else { return Ok(None) };
        let Some(dial) = self.dial.clone() else {
            let text = "a transport that was given once cannot be opened again: use `connect_by`";
            return Err(ConnectError::NoRecovery { text });
        };
        let connector = self.connector.clone();
        let (user, password) = (user.to_owned(), password.to_owned());
        Ok(Some(Redial { connector, dial, user, password, policy }))
    }

    /// The exchange by the first of the wanted mechanisms that is offered, and the frame that begins it.
    fn start_ok(&self, user: &str, password: &str) -> Result<(Exchange, BytesMut), ConnectError> {
        let wanted = &self.connector.mechanisms;
        let chosen = wanted
            .iter()
            .find(|mechanism| self.mechanisms().any(|offered| mechanism.is_named(offered)));
        let Some(mechanism) = chosen else {
            let names: Vec<&str> = wanted.iter().map(Mechanism::name).collect();
            return Err(ConnectError::Mechanism {
                offered: String::from_utf8_lossy(&self.mechanisms).into_owned(),
                wanted: names.join(" "),
            });
        };
        let (exchange, response) = mechanism.begin(user, password)?;
        Ok((exchange, self.connector.start_ok(mechanism, response, user, password)?))
    }
}

impl<T> fmt::Debug for Greeted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greeted").field("server_properties", &self.server).finish_non_exhaustive()
    }
}
