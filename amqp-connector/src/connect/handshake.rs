//! The road from a fresh transport to an open virtual host, step by step.
//!
//! Runs before there is a session: it sends one method at a time and waits for the answer. The caller
//! ([`Connector`](crate::Connector)) holds the deadline over each step.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use amqp_types::frame::{FrameKind, Frames};
use amqp_types::protocol::{self, FRAMING, Method, PROTOCOL_HEADER, ReplyCode, connection};
use amqp_types::{AnyMethod, FrameError, Method as _};
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::Framed;

use crate::codec::{CodecError, FrameCodec, READ_MIN};
use crate::connect::login::encode;
use crate::connect::sasl::Exchange;
use crate::error::{CloseCause, CloseReason, ConnectError, Scope, Step};
use crate::name::named;
use crate::options::{Options, Tuning};
use crate::outcome::ServerProperties;
use crate::tap::Tap;

/// The largest frame taken before a size is agreed on, where the user has asked for no limit.
const FIRST_FRAME_MAX: u32 = 128 << 10;

/// A transport on which the handshake runs, and the name errors call it by.
pub(crate) struct Handshake<T> {
    pub(crate) framed: Framed<T, FrameCodec>,
    /// What was read and not looked at yet.
    pub(crate) frames: Option<Frames>,
    address: String,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Handshake<T> {
    /// Sends the protocol header and waits for the server's `connection.start`.
    pub(crate) async fn greet(
        io: T,
        address: String,
        options: &Options,
        tap: Option<Tap>,
    ) -> Result<(Self, connection::Start), ConnectError> {
        let cap = match options.frame_max {
            0 => FIRST_FRAME_MAX,
            size => size.max(FRAMING.min_size),
        };
        let framed = Framed::with_capacity(io, FrameCodec::new(cap, tap), READ_MIN);
        let mut this = Self { framed, frames: None, address };
        this.write(Step::Greeting, &PROTOCOL_HEADER).await?;
        let start = match this.receive(Step::Greeting).await? {
            Method::Connection(connection::Method::Start(start)) => start,
            other => return Err(unexpected(Step::Greeting, &other)),
        };
        let version = protocol::VERSION;
        if (start.version_major, start.version_minor) != (version.major, version.minor) {
            let offered = header_of(start.version_major, start.version_minor);
            return Err(ConnectError::VersionOffered { offered });
        }
        Ok((this, start))
    }

    /// The frame of `start-ok` and the answers to the server's challenges, then its `tune`.
    pub(crate) async fn log_in(
        &mut self,
        start_ok: &[u8],
        mut exchange: Exchange,
    ) -> Result<connection::Tune, ConnectError> {
        let step = Step::Authentication;
        self.write(step, start_ok).await?;
        let mut received = self.receive(step).await;
        while let Ok(Method::Connection(connection::Method::Secure(secure))) = &received {
            let response = exchange.respond(&secure.challenge)?;
            self.send(step, &connection::SecureOk { response }.into_any()).await?;
            received = self.receive(step).await;
        }
        match received {
            Ok(Method::Connection(connection::Method::Tune(tune))) => Ok(tune),
            Ok(other) => Err(unexpected(step, &other)),
            Err(ConnectError::EndOfStream { .. }) => {
                Err(ConnectError::CredentialsRefused { reason: None })
            }
            Err(ConnectError::Io { source, .. })
                if source.kind() == io::ErrorKind::ConnectionReset =>
            {
                Err(ConnectError::CredentialsRefused { reason: None })
            }
            Err(ConnectError::Closed { reason, .. }) if is_refusal(&reason) => {
                Err(ConnectError::CredentialsRefused { reason: Some(reason) })
            }
            Err(error) => Err(error),
        }
    }

    /// `tune-ok` and `open`, then the server's `open-ok`.
    pub(crate) async fn open(
        &mut self,
        options: &Options,
        offer: &connection::Tune,
        server: &ServerProperties,
        virtual_host: &str,
    ) -> Result<Tuning, ConnectError> {
        let step = Step::OpenVirtualHost;
        if offer.frame_max != 0 && offer.frame_max < FRAMING.min_size {
            return Err(ConnectError::FrameMax { offered: offer.frame_max });
        }
        let (tuning, tune_ok) = Tuning::negotiate(options, offer);
        if let Some(least) = least_frame_max(server)
            && (1..least).contains(&tune_ok.frame_max)
        {
            let (frame_max, server) = (tune_ok.frame_max, server.to_string());
            return Err(ConnectError::FrameMaxRefused { frame_max, least, server });
        }
        let open = connection::Open {
            virtual_host: named("virtual host", virtual_host)?,
            ..Default::default()
        };
        let open = encode(&open.into_any(), tuning.frame_max)?;
        self.framed.codec_mut().set_frame_max(tuning.frame_max);
        self.send(step, &tune_ok.into_any()).await?;
        self.write(step, &open).await?;
        match self.receive(step).await {
            Ok(method) => opened(method).map(|()| tuning),
            // A server that is shutting down has nothing against the virtual host.
            Err(ConnectError::Closed { reason, .. })
                if reason.code() != Some(ReplyCode::CONNECTION_FORCED) =>
            {
                Err(ConnectError::VirtualHost { name: virtual_host.to_owned(), reason })
            }
            Err(error) => Err(error),
        }
    }

    async fn send(&mut self, step: Step, method: &Method) -> Result<(), ConnectError> {
        let encoded = encode(method, FRAMING.min_size)?;
        self.write(step, &encoded).await
    }

    async fn write(&mut self, step: Step, octets: &[u8]) -> Result<(), ConnectError> {
        if let Some(tapping) = self.framed.codec_mut().tapping() {
            tapping.sent([octets]);
        }
        let io = self.framed.get_mut();
        let written = match io.write_all(octets).await {
            Ok(()) => io.flush().await,
            Err(error) => Err(error),
        };
        written.map_err(|error| self.io_error(step, error))
    }

    fn io_error(&self, step: Step, source: io::Error) -> ConnectError {
        ConnectError::Io { step, address: self.address.clone(), source }
    }

    /// The next method on channel 0. A close is answered and becomes the error.
    async fn receive(&mut self, step: Step) -> Result<Method, ConnectError> {
        loop {
            let Some(frame) = self.frames.as_mut().and_then(Frames::next_frame) else {
                let read = poll_fn(|cx| Pin::new(&mut self.framed).poll_next(cx)).await;
                self.frames = match read {
                    None => return Err(ConnectError::EndOfStream { step }),
                    Some(Err(CodecError::Io(error))) => return Err(self.io_error(step, error)),
                    Some(Err(CodecError::Frame(error))) => return Err(frame_error(step, error)),
                    Some(Ok(frames)) => Some(frames),
                };
                continue;
            };
            match (frame.kind, frame.channel) {
                (FrameKind::Heartbeat, _) => {}
                (FrameKind::Method, 0) => {
                    let method = Method::decode(frame.payload)
                        .map_err(|source| ConnectError::Decode { step, source })?;
                    return match method {
                        Method::Connection(connection::Method::Close(close)) => {
                            let ok = connection::CloseOk::default().into_any();
                            // The reason matters more than whether the answer still gets through.
                            let _ = self.send(step, &ok).await;
                            Err(ConnectError::Closed { step, reason: close_reason(&close) })
                        }
                        method => Ok(method),
                    };
                }
                _ => {
                    return Err(ConnectError::Unexpected { step, method: "a frame of a channel" });
                }
            }
        }
    }
}

/// What a server takes at the least where that is more than the specification's least: it would end the transport without a
/// word. RabbitMQ has to since tokens, which are long, must fit into one frame.
fn least_frame_max(server: &ServerProperties) -> Option<u32> {
    let rabbitmq = server.product() == Some("RabbitMQ");
    (rabbitmq && server.version()? >= (4, 1)).then_some(8192)
}

fn opened(method: Method) -> Result<(), ConnectError> {
    let step = Step::OpenVirtualHost;
    amqp_types::if_spec! { connection.redirect => {
        if let Method::Connection(connection::Method::Redirect(redirect)) = &method {
            let to = crate::error::Address::parse(&redirect.host.to_string_lossy());
            let known_hosts = crate::error::Address::parse_list(&redirect.known_hosts.to_string_lossy());
            return Err(ConnectError::Redirected { to, known_hosts });
        }
    } else {} }
    match method {
        Method::Connection(connection::Method::OpenOk(_)) => Ok(()),
        other => Err(unexpected(step, &other)),
    }
}

fn unexpected(step: Step, method: &Method) -> ConnectError {
    ConnectError::Unexpected { step, method: method.info().full_name }
}

/// The first octets tell whether the peer is a server of another version, or no AMQP server at all.
fn frame_error(step: Step, error: FrameError) -> ConnectError {
    match (step, error) {
        (_, FrameError::ProtocolHeader(offered)) => ConnectError::VersionOffered { offered },
        (Step::Greeting, source) => ConnectError::NotAmqp { source },
        (step, source) => ConnectError::Frame { step, source },
    }
}

fn is_refusal(reason: &CloseReason) -> bool {
    reason
        .code()
        .is_some_and(|code| code == ReplyCode::ACCESS_REFUSED || code == ReplyCode::NOT_ALLOWED)
}

fn close_reason(close: &connection::Close) -> CloseReason {
    let blamed = protocol::INFO.method_by_id(close.class_id, close.method_id);
    let text = close.reply_text.to_string_lossy();
    CloseReason::new(Scope::Connection, CloseCause::PeerClosed, text)
        .with_code(ReplyCode(close.reply_code))
        .with_method(blamed.map(|method| method.full_name))
}

/// The protocol header of the bundled version that a `connection.start` names, or its plain form.
fn header_of(major: u8, minor: u8) -> [u8; 8] {
    protocol::BUNDLED
        .iter()
        .find(|spec| (spec.version.major, spec.version.minor) == (major, minor))
        .map_or([b'A', b'M', b'Q', b'P', 1, 1, major, minor], |spec| spec.protocol_header)
}
