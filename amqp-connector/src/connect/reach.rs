//! Reaching a broker: the first of the three steps to a channel, connect, authenticate, open.
//!
//! Each step is a type of its own, so that a wrong order does not compile; the second one is [`Greeted`]. The work of
//! the steps is the handshake's, and the transport's; here are the deadlines.

use std::future::Future;
use std::io;
use std::sync::Arc;

use amqp_types::protocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::Span;

use crate::connect::connector::Connector;
use crate::connect::greeted::Greeted;
use crate::connect::handshake::Handshake;
use crate::connect::span::{in_step, log_greeting};
use crate::connect::transport::{Place, Transport, dialling};
#[cfg(feature = "__tls")]
use crate::error::TlsError;
use crate::error::{Address, ConnectError, Step};
#[cfg(doc)]
use crate::options::Options;
use crate::recovery::supervisor::{Dial, Dialling, Opening, random};
use crate::session::after;

/// What the program's own transport is called in errors.
const GIVEN: &str = "the given transport";

/// Where AMQP over TLS is offered.
#[cfg(feature = "__tls")]
const TLS_PORT: u16 = 5671;

impl Connector {
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
        let span = self.span(places.first());
        let time = self.options.connect_timeout;
        #[cfg(not(feature = "__tls"))]
        let dial = dialling(places, time, self.tcp);
        #[cfg(feature = "__tls")]
        let dial = dialling(places, time, self.tcp, self.tls.clone());
        self.connect_by_dialling(&dial, span).await
    }

    fn places(&self) -> Vec<Place> {
        #[cfg(feature = "__tls")]
        let usual = if self.tls.is_some() { TLS_PORT } else { protocol::DEFAULT_PORT };
        #[cfg(not(feature = "__tls"))]
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
    /// As [`Connector::connect`]; and if [`tls`](Self#method.tls) is set, since what is given is used as it is: let it be
    /// encrypted itself.
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
        self.check_given()?;
        let open = move || -> Opening<T> {
            let dialled = dial();
            Box::pin(async { dialled.await.map_err(given_failed) })
        };
        let dial = Arc::new(Dialling { address: GIVEN.to_owned(), open: Box::new(open) });
        self.connect_by_dialling(&dial, self.span(None)).await
    }

    /// The first step, for the first time or again.
    pub(crate) async fn connect_by_dialling<T>(
        &self,
        dial: &Dial<T>,
        span: Span,
    ) -> Result<Greeted<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let deadline = after(Instant::now(), self.options.connect_timeout);
        let io = within(&span, deadline, Step::Transport, (dial.open)()).await?;
        let greeted = self.greet(io, &dial.address, deadline, Some(dial.clone()), span).await;
        #[cfg(feature = "__tls")]
        if self.tls.is_some() {
            return greeted.map_err(|error| refused(error, &dial.address));
        }
        greeted
    }

    /// Exchanges greetings over any transport: the first step where TCP is not what is wanted.
    ///
    /// # Errors
    ///
    /// As [`Connector::connect`]; and if [`tls`](Self#method.tls) is set, since what is given is used as it is: let it be
    /// encrypted itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it drops the transport.
    pub async fn connect_with<T>(&self, io: T) -> Result<Greeted<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.check_given()?;
        let deadline = after(Instant::now(), self.options.connect_timeout);
        self.greet(io, GIVEN, deadline, None, self.span(None)).await
    }

    /// A transport of the program's own is used as it is: without the TLS that is asked for, it would be in the clear.
    fn check_given(&self) -> Result<(), ConnectError> {
        #[cfg(feature = "__tls")]
        if self.tls.is_some() {
            let address = GIVEN.to_owned();
            return Err(ConnectError::Tls { address, source: TlsError::GivenTransport });
        }
        self.check()
    }

    async fn greet<T>(
        &self,
        io: T,
        address: &str,
        deadline: Instant,
        dial: Option<Dial<T>>,
        span: Span,
    ) -> Result<Greeted<T>, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let greet = Handshake::greet(io, address.to_owned(), &self.options, self.tap.clone());
        let (handshake, start) = within(&span, deadline, Step::Greeting, greet).await?;
        log_greeting(&span, &start.server_properties, &start.mechanisms);
        Ok(Greeted::new(handshake, start, self.clone(), dial, span))
    }
}

/// Runs a step against its deadline.
pub(super) async fn within<R>(
    span: &Span,
    deadline: Instant,
    step: Step,
    work: impl Future<Output = Result<R, ConnectError>>,
) -> Result<R, ConnectError> {
    let timed = async {
        match tokio::time::timeout_at(deadline, work).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Deadline { step }),
        }
    };
    in_step(span, step, timed).await
}

fn given_failed(source: io::Error) -> ConnectError {
    ConnectError::Io { step: Step::Transport, address: GIVEN.to_owned(), source }
}

/// With TLS 1.3 a server says what it thinks of our certificate when our side of the handshake is done.
#[cfg(feature = "__tls")]
fn refused(error: ConnectError, address: &str) -> ConnectError {
    let source = match error {
        ConnectError::Io { step: Step::Greeting, source, .. } => source,
        ConnectError::EndOfStream { step: Step::Greeting } => io::ErrorKind::UnexpectedEof.into(),
        error => return error,
    };
    ConnectError::Tls { address: address.to_owned(), source: TlsError::Refused(source) }
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
