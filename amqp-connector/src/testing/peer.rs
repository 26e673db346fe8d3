//! [`Peer`]: the server's side of a connection, driven by a test's script.
//!
//! Called by tests. Sends what it is told, also what no server may send; of the client it demands the
//! protocol's rules. Never guesses: what was not expected ends the test.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use amqp_types::protocol::{FRAMING, Method, Spec, connection};
use amqp_types::wire::Writer;
use amqp_types::{
    Body, ClientMethod, ContentMethod, FieldTable, FieldValue, Properties as _, ServerMethod,
    ShortStr,
};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use super::wire::{Event, Observer, WireError, content_frames, default_reply, method_frame};

/// Octets that the pipe of [`Peer::new`] holds in each direction.
const PIPE: usize = 64 << 10;

/// The server's side of a connection. See the [module's documentation](super) for an example.
///
/// Each `expect` waits for what it names and gives it to the test; heartbeats are passed over. One that
/// waits longer than its patience (60 seconds of tokio's clock), or meets something else, panics with the
/// place of the call, what was expected and what came.
///
/// # Drop
///
/// Ends the transport, as a server that crashed.
pub struct Peer<T = DuplexStream> {
    io: T,
    observer: Observer,
    /// Seen, and not yet asked for.
    events: VecDeque<Event>,
    patience: Duration,
    pub(super) tune: connection::Tune,
    pub(super) server_properties: FieldTable,
    pub(super) mechanisms: Bytes,
}

impl Peer {
    /// A peer, and the transport to give to [`Connector::connect_with`](crate::Connector::connect_with).
    #[must_use]
    pub fn new() -> (DuplexStream, Self) {
        Self::with_pipe(PIPE)
    }

    /// As [`Peer::new`], over a pipe that holds `octets` in each direction.
    #[must_use]
    pub fn with_pipe(octets: usize) -> (DuplexStream, Self) {
        let (client, server) = tokio::io::duplex(octets);
        (client, Self::over(server))
    }
}

impl<T> Peer<T> {
    /// A peer over any transport, such as an accepted TCP connection.
    #[must_use]
    pub fn over(io: T) -> Self {
        let product = FieldValue::from("scripted peer");
        Self {
            io,
            observer: Observer::new(),
            events: VecDeque::new(),
            patience: Duration::from_secs(60),
            tune: connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 },
            server_properties: FieldTable::new().with(ShortStr::from_static("product"), product),
            mechanisms: Bytes::from_static(b"PLAIN AMQPLAIN"),
        }
    }

    /// What [`handshake`](Self::handshake) offers. Default: 2047 channels, frames of 131072 octets,
    /// heartbeats every 60 seconds.
    #[must_use]
    pub fn tune(mut self, channel_max: u16, frame_max: u32, heartbeat: u16) -> Self {
        self.tune = connection::Tune { channel_max, frame_max, heartbeat };
        self
    }

    /// What [`handshake`](Self::handshake) tells of the server.
    #[must_use]
    pub fn server_properties(mut self, properties: FieldTable) -> Self {
        self.server_properties = properties;
        self
    }

    /// The mechanisms that [`handshake`](Self::handshake) offers, with spaces between. Default:
    /// `PLAIN AMQPLAIN`.
    #[must_use]
    pub fn mechanisms(mut self, mechanisms: impl Into<Bytes>) -> Self {
        self.mechanisms = mechanisms.into();
        self
    }

    /// How long each expectation waits. Default 60 seconds.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many channels the client has open, as far as its frames were read.
    #[must_use]
    pub fn open_channels(&self) -> usize {
        self.observer.open_channels()
    }

    /// Ends the transport at once, as a server that crashed.
    pub fn cut(self) {
        drop(self);
    }

    /// The transport, with the octets that were read and not used.
    #[must_use]
    pub fn into_parts(mut self) -> (T, BytesMut) {
        let rest = self.observer.buffer().split();
        (self.io, rest)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Peer<T> {
    /// The next thing that the client does, heartbeats and its end included. Waits as long as it takes.
    ///
    /// # Errors
    ///
    /// If the client breaks a rule of the protocol.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, nothing is lost.
    pub async fn next(&mut self) -> Result<Event, WireError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        loop {
            if let Some(event) = self.observer.next()? {
                return Ok(event);
            }
            // A broken transport is as much of an end as a closed one.
            if !matches!(self.io.read_buf(self.observer.buffer()).await, Ok(1..)) {
                self.observer.at_end()?;
                return Ok(Event::End);
            }
        }
    }

    pub(super) async fn expected(&mut self, what: &str, place: &Location<'_>) -> Event {
        let patience = self.patience;
        loop {
            match tokio::time::timeout(patience, self.next()).await {
                Ok(Ok(Event::Heartbeat)) => {}
                Ok(Ok(event)) => return event,
                Ok(Err(error)) => {
                    panic!("{place}: expected {what}, but the client broke the protocol: {error}")
                }
                Err(_) => panic!("{place}: expected {what}, but nothing came in {patience:?}"),
            }
        }
    }

    /// Waits for a method without content; gives its channel too.
    #[track_caller]
    pub fn expect<M>(&mut self) -> impl Future<Output = (u16, M)>
    where
        M: ClientMethod<Protocol = Spec>,
    {
        let place = Location::caller();
        async move {
            match self.expected(M::NAME, place).await {
                Event::Method { channel, method } => match M::from_any(method) {
                    Ok(method) => (channel, method),
                    Err(method) => {
                        let came = Event::Method { channel, method };
                        panic!("{place}: expected {}, but got {came}", M::NAME)
                    }
                },
                other => panic!("{place}: expected {}, but got {other}", M::NAME),
            }
        }
    }

    /// As [`expect`](Self::expect), on this channel.
    #[track_caller]
    pub fn expect_on<M>(&mut self, channel: u16) -> impl Future<Output = M>
    where
        M: ClientMethod<Protocol = Spec>,
    {
        let place = Location::caller();
        let expected = self.expect::<M>();
        async move {
            let (came_on, method) = expected.await;
            let name = M::NAME;
            assert!(
                came_on == channel,
                "{place}: expected {name} on channel {channel}, but it came on {came_on}"
            );
            method
        }
    }

    /// Waits for a method with its content on this channel.
    #[track_caller]
    pub fn expect_content<M>(
        &mut self,
        channel: u16,
    ) -> impl Future<Output = (M, M::Properties, Body)>
    where
        M: ClientMethod<Protocol = Spec> + ContentMethod,
    {
        let place = Location::caller();
        async move {
            let what = format!("{} with content on channel {channel}", M::NAME);
            match self.expected(&what, place).await {
                Event::Content { channel: id, method, properties, body } if id == channel => {
                    match (M::from_any(method), M::Properties::from_any(properties)) {
                        (Ok(method), Ok(properties)) => (method, properties, body),
                        (Err(method), _) => {
                            panic!("{place}: expected {what}, but got {method:?}")
                        }
                        (_, Err(properties)) => {
                            panic!("{place}: expected {what}, but got {properties:?}")
                        }
                    }
                }
                other => panic!("{place}: expected {what}, but got {other}"),
            }
        }
    }

    /// Waits for the end of the transport; nothing but heartbeats may come before it.
    #[track_caller]
    pub fn expect_end(&mut self) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            match self.expected("the end of the transport", place).await {
                Event::End => {}
                other => panic!("{place}: expected the end of the transport, but got {other}"),
            }
        }
    }

    /// Waits for a heartbeat; nothing else may come before it.
    #[track_caller]
    pub fn expect_heartbeat(&mut self) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            match tokio::time::timeout(self.patience, self.next()).await {
                Ok(Ok(Event::Heartbeat)) => {}
                Ok(Ok(other)) => panic!("{place}: expected a heartbeat, but got {other}"),
                Ok(Err(error)) => panic!("{place}: expected a heartbeat, but {error}"),
                Err(_) => panic!("{place}: expected a heartbeat, but nothing came"),
            }
        }
    }

    /// Reads for this long; nothing but heartbeats may come.
    #[track_caller]
    pub fn expect_nothing(&mut self, time: Duration) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            let until = tokio::time::Instant::now() + time;
            while let Ok(event) = tokio::time::timeout_at(until, self.next()).await {
                match event {
                    Ok(Event::Heartbeat) => {}
                    Ok(other) => panic!("{place}: expected nothing, but got {other}"),
                    Err(error) => panic!("{place}: expected nothing, but {error}"),
                }
            }
        }
    }

    /// Sends a method without content.
    pub async fn send<M>(&mut self, channel: u16, method: M)
    where
        M: ServerMethod<Protocol = Spec>,
    {
        self.send_any(channel, &method.into_any()).await;
    }

    /// Sends any method without content, also one that no server may send.
    pub async fn send_any(&mut self, channel: u16, method: &Method) {
        let mut buffer = BytesMut::new();
        method_frame(&mut buffer, channel, method);
        self.observer.sent(channel, method);
        self.send_raw(&buffer).await;
    }

    /// Sends a method with its content, the body cut at the negotiated frame size.
    pub async fn send_content<M>(
        &mut self,
        channel: u16,
        method: M,
        properties: M::Properties,
        body: impl AsRef<[u8]>,
    ) where
        M: ServerMethod<Protocol = Spec> + ContentMethod,
    {
        let mut buffer = BytesMut::new();
        method_frame(&mut buffer, channel, &method.into_any());
        let frame_max = self.observer.frame_max();
        content_frames(&mut buffer, channel, &properties, body.as_ref(), frame_max);
        self.send_raw(&buffer).await;
    }

    /// Sends any octets. An error of the transport is ignored: the client may be gone, which an
    /// expectation tells better.
    pub async fn send_raw(&mut self, octets: &[u8]) {
        if self.io.write_all(octets).await.is_ok() {
            let _ = self.io.flush().await;
        }
    }

    /// Sends a heartbeat.
    pub async fn send_heartbeat(&mut self) {
        let mut buffer = BytesMut::new();
        FRAMING.put_heartbeat(&mut buffer);
        self.send_raw(&buffer).await;
    }

    /// Answers a request with the specification's reply to it, every argument zero. False if it has none.
    pub async fn answer(&mut self, channel: u16, request: &Method) -> bool {
        let Some(reply) = default_reply(request) else { return false };
        let mut buffer = BytesMut::new();
        let start = FRAMING.begin(&mut buffer, amqp_types::frame::FrameKind::Method, channel);
        let encoded = reply.encode(&mut Writer::new(&mut buffer));
        if encoded.is_err() || FRAMING.end(&mut buffer, start).is_err() {
            return false;
        }
        if let Ok(method) =
            <Method as amqp_types::AnyMethod>::decode(&Bytes::copy_from_slice(payload(&buffer)))
        {
            self.observer.sent(channel, &method);
        }
        self.send_raw(&buffer).await;
        true
    }

    /// Does nothing for this long, not even read.
    pub async fn silence(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub(super) async fn expect_at<M: ClientMethod<Protocol = Spec>>(
        &mut self,
        place: &Location<'_>,
    ) -> M {
        match self.expected(M::NAME, place).await {
            Event::Method { channel: 0, method } => match M::from_any(method) {
                Ok(method) => method,
                // By its name only: it may carry credentials.
                Err(other) => {
                    panic!(
                        "{place}: expected {}, but got {}",
                        M::NAME,
                        amqp_types::AnyMethod::info(&other).full_name
                    )
                }
            },
            other => panic!("{place}: expected {}, but got {other}", M::NAME),
        }
    }

    /// Puts an event back, so that the next expectation meets it first.
    pub fn put_back(&mut self, event: Event) {
        self.events.push_front(event);
    }
}

/// The payload of the one frame in `buffer`.
fn payload(buffer: &[u8]) -> &[u8] {
    let end = buffer.len().saturating_sub(1);
    buffer.get(amqp_types::frame::HEADER_SIZE..end).unwrap_or_default()
}

impl<T> std::fmt::Debug for Peer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("open_channels", &self.open_channels()).finish_non_exhaustive()
    }
}
