//! The second step to a channel: a server that has greeted us gets credentials and opens a virtual host.
//!
//! Made by [`Connector`]; ends with a session, a driver and the handle of the connection.

use std::fmt;
use std::sync::Arc;

use amqp_types::FieldTable;
use amqp_types::protocol::connection;
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::connect::connector::{Connector, within};
use crate::connect::error::{ConnectError, Step};
use crate::connect::handshake::Handshake;
use crate::connect::sasl::Mechanism;
use crate::connection::Connection;
use crate::driver::Driver;
use crate::session::{Session, after};
use crate::shared::Shared;

/// A server that has greeted us and waits for credentials: the second step.
#[must_use = "the server waits for `authenticate`"]
pub struct Greeted<T> {
    handshake: Handshake<T>,
    start: connection::Start,
    connector: Connector,
}

impl<T> Greeted<T> {
    pub(super) fn new(
        handshake: Handshake<T>,
        start: connection::Start,
        connector: Connector,
    ) -> Self {
        Self { handshake, start, connector }
    }

    /// What the server tells about itself: product, version, capabilities.
    #[must_use]
    pub fn server_properties(&self) -> &FieldTable {
        &self.start.server_properties
    }

    /// The names of the mechanisms that the server offers.
    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        let names = std::str::from_utf8(&self.start.mechanisms).unwrap_or_default();
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
        let (connection, driver) = self.authenticate_with_driver(user, password).await?;
        tokio::spawn(driver);
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
        mut self,
        user: &str,
        password: &str,
    ) -> Result<(Connection, Driver<T>), ConnectError> {
        let options = self.connector.options.clone();
        let deadline = after(Instant::now(), options.connect_timeout);
        let start_ok = self.start_ok(user, password)?;
        let log_in = self.handshake.log_in(&start_ok);
        let offer = within(deadline, Step::Authentication, log_in).await?;
        let open = self.handshake.open(&options, &offer, &self.connector.virtual_host);
        let tuning = within(deadline, Step::OpenVirtualHost, open).await?;
        tracing::debug!(?tuning, "connection open");
        let session = Session::new(options.clone(), tuning, Instant::now());
        let shared = Shared::new(session, options, tuning, self.start.server_properties);
        let shared = Arc::new(shared);
        let driver = Driver::new(shared.clone(), self.handshake.framed, self.handshake.frames);
        Ok((Connection::new(shared), driver))
    }

    fn start_ok(&self, user: &str, password: &str) -> Result<BytesMut, ConnectError> {
        let wanted = &self.connector.mechanisms;
        let chosen = wanted.iter().copied().find(|mechanism| {
            self.mechanisms().any(|offered| Mechanism::by_name(offered) == Some(*mechanism))
        });
        let Some(mechanism) = chosen else {
            let names: Vec<&str> = wanted.iter().map(|mechanism| mechanism.name()).collect();
            return Err(ConnectError::Mechanism {
                offered: String::from_utf8_lossy(&self.start.mechanisms).into_owned(),
                wanted: names.join(" "),
            });
        };
        self.connector.start_ok(mechanism, user, password)
    }
}

impl<T> fmt::Debug for Greeted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greeted")
            .field("server_properties", &self.start.server_properties)
            .finish_non_exhaustive()
    }
}
