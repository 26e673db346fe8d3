//! The parts of a script that most tests share: the handshake, opening, and the ends.
//!
//! Methods of [`Peer`], made of its expectations. Called by tests.

use std::future::Future;
use std::panic::Location;

use amqp_types::protocol::{self, Method, channel, connection};
use amqp_types::{Method as _, ShortStr};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::peer::Peer;
use super::wire::Event;

impl<T: AsyncRead + AsyncWrite + Unpin> Peer<T> {
    /// A whole handshake, up to `connection.open-ok`. Gives what the client said of itself.
    #[track_caller]
    pub fn handshake(&mut self) -> impl Future<Output = connection::StartOk> {
        let place = Location::caller();
        async move {
            let start_ok = self.greet_at(place).await;
            self.send(0, self.tune.clone()).await;
            self.expect_at::<connection::TuneOk>(place).await;
            self.expect_at::<connection::Open>(place).await;
            self.send(0, connection::OpenOk::default()).await;
            start_ok
        }
    }

    /// The handshake's first part: the protocol header, `connection.start` and the client's answer.
    #[track_caller]
    pub fn greet(&mut self) -> impl Future<Output = connection::StartOk> {
        let place = Location::caller();
        async move { self.greet_at(place).await }
    }

    async fn greet_at(&mut self, place: &Location<'_>) -> connection::StartOk {
        self.expect_header_at(place).await;
        self.send(0, self.start()).await;
        self.expect_at::<connection::StartOk>(place).await
    }

    /// Waits for the protocol header.
    #[track_caller]
    pub fn expect_header(&mut self) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move { self.expect_header_at(place).await }
    }

    async fn expect_header_at(&mut self, place: &Location<'_>) {
        match self.expected("the protocol header", place).await {
            Event::ProtocolHeader(_) => {}
            other => panic!("{place}: expected the protocol header, but got {other}"),
        }
    }

    /// The `connection.start` that [`greet`](Self::greet) sends.
    #[must_use]
    pub fn start(&self) -> connection::Start {
        connection::Start {
            version_major: protocol::VERSION.major,
            version_minor: protocol::VERSION.minor,
            server_properties: self.server_properties.clone(),
            mechanisms: self.mechanisms.clone(),
            locales: Bytes::from_static(b"en_US"),
        }
    }

    /// Lets the client open a channel; gives its number.
    #[track_caller]
    pub fn open_channel(&mut self) -> impl Future<Output = u16> {
        let place = Location::caller();
        async move {
            let channel = match self.expected(channel::Open::NAME, place).await {
                Event::Method { channel, method: Method::Channel(channel::Method::Open(_)) } => {
                    channel
                }
                other => panic!("{place}: expected channel.open, but got {other}"),
            };
            self.send(channel, channel::OpenOk::default()).await;
            channel
        }
    }

    /// Closes a channel and waits for the client's answer; whatever it had sent before is passed over.
    #[track_caller]
    pub fn close_channel(
        &mut self,
        channel: u16,
        code: u16,
        text: &'static str,
    ) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            let reply_text = ShortStr::try_from(text).unwrap_or_default();
            let close = channel::Close { reply_code: code, reply_text, ..Default::default() };
            self.send(channel, close).await;
            self.skip_to(place, "channel.close-ok", |event| {
                matches!(event, Event::Method { channel: id, method }
                    if *id == channel && matches!(method, Method::Channel(channel::Method::CloseOk(_))))
            })
            .await;
        }
    }

    /// Closes the connection, waits for the client's answer and then for the end of the transport;
    /// whatever the client had sent before is passed over.
    #[track_caller]
    pub fn close_connection(&mut self, code: u16, text: &'static str) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            let reply_text = ShortStr::try_from(text).unwrap_or_default();
            let close = connection::Close { reply_code: code, reply_text, ..Default::default() };
            self.send(0, close).await;
            self.skip_to(place, "connection.close-ok", |event| {
                matches!(event, Event::Method { channel: 0, method }
                    if matches!(method, Method::Connection(connection::Method::CloseOk(_))))
            })
            .await;
            self.skip_to(place, "the end of the transport", |event| *event == Event::End).await;
        }
    }

    /// Answers the client's `connection.close` and waits for the end of the transport. Gives the close.
    #[track_caller]
    pub fn expect_close(&mut self) -> impl Future<Output = connection::Close> {
        let place = Location::caller();
        async move {
            let close = self.expect_at::<connection::Close>(place).await;
            self.send(0, connection::CloseOk::default()).await;
            match self.expected("the end of the transport", place).await {
                Event::End => close,
                other => panic!("{place}: expected the end of the transport, but got {other}"),
            }
        }
    }

    async fn skip_to(&mut self, place: &Location<'_>, what: &str, found: impl Fn(&Event) -> bool) {
        loop {
            let event = self.expected(what, place).await;
            if found(&event) {
                return;
            }
            assert!(event != Event::End, "{place}: expected {what}, but the transport ended");
        }
    }
}
