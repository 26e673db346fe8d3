//! What can go wrong until a connection is open.

use std::fmt;
use std::io;

use amqp_types::protocol::{self, BUNDLED};
use amqp_types::{DecodeError, EncodeError, FrameError, InvalidShortStr};

use crate::error::{Address, CloseReason, TlsError, UriError};

/// The handshake steps, as errors name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Reaching the server: name resolution, TCP and TLS.
    Transport,
    /// Sending our protocol header and waiting for `connection.start`.
    Greeting,
    /// From `connection.start-ok` to `connection.tune`.
    Authentication,
    /// From `connection.tune-ok` to `connection.open-ok`.
    OpenVirtualHost,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transport => "reaching the server",
            Self::Greeting => "waiting for connection.start",
            Self::Authentication => "authenticating",
            Self::OpenVirtualHost => "opening the virtual host",
        })
    }
}

/// Why no connection came about.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URI cannot be used.
    Uri(UriError),
    /// The transport failed.
    Io {
        /// What was being done.
        step: Step,
        /// The server's address as it was given.
        address: String,
        /// The operating system's or transport's error.
        source: io::Error,
    },
    /// TLS did not come about.
    Tls {
        /// The server's address as it was given.
        address: String,
        /// Why.
        source: TlsError,
    },
    /// A step took longer than the connect timeout.
    Deadline {
        /// The step that did not end.
        step: Step,
    },
    /// The server does not speak the version that this build was compiled for.
    VersionOffered {
        /// The protocol header that the server answered with, or that its `connection.start` implies.
        offered: [u8; 8],
    },
    /// What answered is no AMQP server.
    NotAmqp {
        /// What is wrong with its first octets.
        source: FrameError,
    },
    /// The server sent a frame that breaks the protocol.
    Frame {
        /// What was being done.
        step: Step,
        /// What is wrong with it.
        source: FrameError,
    },
    /// The server sent a method that cannot be read.
    Decode {
        /// What was being done.
        step: Step,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The server sent a method that has no place in this step.
    Unexpected {
        /// What was being done.
        step: Step,
        /// The method that came.
        method: &'static str,
    },
    /// The server refused user and password: by saying so, or by ending the transport without a word, which is what
    /// brokers do, though not for this reason alone.
    CredentialsRefused {
        /// The server's words, where it had any.
        reason: Option<CloseReason>,
    },
    /// The server offers no mechanism that we can answer for.
    Mechanism {
        /// What the server offers.
        offered: String,
        /// What was wanted, in order.
        wanted: String,
    },
    /// The mechanism itself failed, or the server's challenge is not what it expects: then `source` is an
    /// [`UnexpectedChallenge`](crate::UnexpectedChallenge).
    Sasl {
        /// The mechanism's name.
        mechanism: String,
        /// What it failed with.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The virtual host does not exist, or the user may not enter it.
    VirtualHost {
        /// Its name.
        name: String,
        /// The server's words.
        reason: CloseReason,
    },
    /// The server closed the connection for another reason.
    Closed {
        /// What was being done.
        step: Step,
        /// The server's words.
        reason: CloseReason,
    },
    /// The server ended the transport without a word.
    EndOfStream {
        /// What was being done.
        step: Step,
    },
    /// The server offers frames that are smaller than the specification's least.
    FrameMax {
        /// What it offers, in octets.
        offered: u32,
    },
    /// Frames would be smaller than this server takes, which would end the transport without a word: RabbitMQ wants 8192
    /// octets since 4.1. Raise [`Options::frame_max`](crate::Options::frame_max), or leave it as it is by default. Nothing
    /// was agreed on.
    FrameMaxRefused {
        /// What would be agreed on, in octets.
        frame_max: u32,
        /// The least that this server takes.
        least: u32,
        /// Its product and version.
        server: String,
    },
    /// The server wants us to connect elsewhere (AMQP 0-8 and 0-9).
    Redirected {
        /// Where it sends us.
        to: Address,
        /// The hosts that it knows of, which may be as good.
        known_hosts: Vec<Address>,
    },
    /// A method of the handshake would be larger than the server has to take. Nothing of it was sent.
    TooLarge {
        /// The method.
        method: &'static str,
        /// What takes most of it.
        part: String,
        /// The size of its frame, in octets.
        len: usize,
        /// The largest frame that every server has to take at this point.
        max: usize,
    },
    /// Something that we were told to send cannot be sent.
    Invalid(EncodeError),
    /// A name that we were told to send is too long. Nothing was sent.
    InvalidName {
        /// What the name was to be, such as `virtual host`.
        what: &'static str,
        /// How long it is.
        source: InvalidShortStr,
    },
    /// There is no thread for a connection of the module `blocking`: the operating system has none, or nothing to wait for
    /// sockets by.
    NoThread {
        /// The operating system's error.
        source: io::Error,
    },
    /// A connection that is to be recovered cannot be made in this way; nothing was sent, or no more than the greeting.
    NoRecovery {
        /// What to do instead.
        text: &'static str,
    },
    /// The chosen mechanism cannot carry this user or password: PLAIN separates them by octets of zero, so they may hold
    /// none. They were not sent.
    InvalidCredentials {
        /// Which of them, `user` or `password`.
        what: &'static str,
        /// The mechanism.
        mechanism: &'static str,
    },
}

impl From<UriError> for ConnectError {
    fn from(error: UriError) -> Self {
        Self::Uri(error)
    }
}

impl From<EncodeError> for ConnectError {
    fn from(error: EncodeError) -> Self {
        Self::Invalid(error)
    }
}

impl ConnectError {
    /// Whether trying again, unchanged, may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io { .. }
            | Self::NoThread { .. }
            | Self::Deadline { .. }
            | Self::EndOfStream { .. } => true,
            Self::Tls { source, .. } => source.is_transient(),
            Self::Closed { reason, .. } => {
                reason.code() == Some(protocol::ReplyCode::CONNECTION_FORCED)
            }
            _ => false,
        }
    }

    /// The server's own account of why it closed the connection, where it gave one.
    #[must_use]
    pub fn close_reason(&self) -> Option<&CloseReason> {
        match self {
            Self::CredentialsRefused { reason } => reason.as_ref(),
            Self::VirtualHost { reason, .. } | Self::Closed { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(error) => error.fmt(f),
            Self::Io { step, address, source } => {
                write!(f, "{step} failed at {address}: {source}")?;
                match source.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        f.write_str("; is the broker running, and is this its port?")
                    }
                    _ => Ok(()),
                }
            }
            Self::Tls { address, source } => write!(f, "reaching {address}: {source}"),
            Self::Deadline { step } => {
                write!(f, "{step} took longer than the connect timeout")
            }
            Self::VersionOffered { offered } => offered_version(f, offered),
            Self::NotAmqp { source } => {
                write!(f, "what answered does not speak AMQP: {source}")
            }
            Self::Frame { step, source } => write!(f, "{step}: {source}"),
            Self::Decode { step, source } => write!(f, "{step}: {source}"),
            Self::Unexpected { step, method } => {
                write!(f, "{step}: the server sent {method}, which has no place there")
            }
            Self::CredentialsRefused { reason: Some(reason) } => {
                write!(f, "the server refused user or password: {}", reason.text())
            }
            Self::CredentialsRefused { reason: None } => f.write_str(
                "the server ended the transport without a word after the credentials: most likely it refuses user \
                 or password (RabbitMQ takes guest from its own host only); it may also be shutting down, or something \
                 between us have cut the link",
            ),
            Self::Mechanism { offered, wanted } => {
                write!(
                    f,
                    "no authentication mechanism in common: offered {offered}, wanted {wanted}"
                )
            }
            Self::Sasl { mechanism, source } => write!(f, "authenticating by {mechanism}: {source}"),
            Self::VirtualHost { name, reason } => {
                write!(f, "virtual host {name:?} cannot be opened: {}", reason.text())
            }
            Self::Closed { step, reason } => write!(f, "{step}: {reason}"),
            Self::EndOfStream { step } => {
                write!(f, "{step}: the server ended the transport without a word")
            }
            Self::FrameMax { offered } => write!(
                f,
                "the server offers frames of at most {offered} octets; {} is the least",
                protocol::FRAMING.min_size
            ),
            Self::FrameMaxRefused { frame_max, least, server } => write!(
                f,
                "{server} takes no frame-max below {least} octets, and {frame_max} was asked for: leave it, or raise it"
            ),
            Self::Redirected { to, .. } => write!(f, "the server redirects to {to}"),
            Self::TooLarge { method, part, len, max } => write!(
                f,
                "{method} would have {len} octets, and a server need not take more than {max} at this point; \
                 most of it is {part}"
            ),
            Self::Invalid(error) => error.fmt(f),
            Self::InvalidName { what, source } => write!(f, "the {what} is too long: {source}"),
            Self::NoThread { source } => write!(f, "no thread for the connection: {source}"),
            Self::NoRecovery { text } => f.write_str(text),
            Self::InvalidCredentials { what, mechanism } => {
                write!(f, "the {what} holds an octet of zero, which {mechanism} cannot carry")
            }
        }
    }
}

/// Says what the server speaks and how to recompile for it.
fn offered_version(f: &mut fmt::Formatter<'_>, offered: &[u8; 8]) -> fmt::Result {
    write!(f, "this build speaks AMQP specification {:?}, the server ", protocol::NAME)?;
    let [.., a, b, c, d] = *offered;
    if *offered == protocol::PROTOCOL_HEADER {
        return f.write_str("refuses the greeting of it, though it answers with the same one");
    }
    let speaks_0_9_1 =
        BUNDLED.iter().any(|spec| spec.name == protocol::NAME && spec.version.revision.is_some());
    let names: Vec<&str> = BUNDLED
        .iter()
        .filter(|spec| spec.protocol_header == *offered)
        .map(|spec| spec.name)
        .collect();
    match names.as_slice() {
        // The marker of AMQP 1.0's security layer, or AMQP 1.0 itself.
        [] if (b, c, d) == (1, 0, 0) && speaks_0_9_1 => {
            write!(
                f,
                "offers AMQP 1.0 ({a} {b} {c} {d}) alone, which no bundled specification is for"
            )
        }
        [] if (b, c, d) == (1, 0, 0) => {
            write!(f, "offers AMQP 1.0 ({a} {b} {c} {d}); RabbitMQ 4 answers so, and speaks ")?;
            f.write_str("0-9-1 too: recompile with AMQP_SPEC=rabbitmq")
        }
        [] => write!(
            f,
            "offers protocol header {a} {b} {c} {d}, for which no specification is bundled"
        ),
        names => {
            let choice = names.join(" or AMQP_SPEC=");
            write!(f, "offers protocol header {a} {b} {c} {d}: recompile with AMQP_SPEC={choice}")
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Uri(error) => Some(error),
            Self::Io { source, .. } | Self::NoThread { source } => Some(source),
            Self::Tls { source, .. } => Some(source),
            Self::NotAmqp { source } | Self::Frame { source, .. } => Some(source),
            Self::Decode { source, .. } => Some(source),
            Self::Sasl { source, .. } => Some(&**source),
            Self::Invalid(error) => Some(error),
            Self::InvalidName { source, .. } => Some(source),
            _ => None,
        }
    }
}
