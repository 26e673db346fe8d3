//! Why TLS did not come about.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What went wrong with TLS. Never holds a key.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    File {
        /// Where it was to be.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// Something that was to be in PEM is not there, or cannot be used.
    Pem {
        /// What it was to be, such as `private key`.
        what: &'static str,
        /// The file's path, or that it was given as octets.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// TLS was asked for, but the transport was given: it would be used as it is. Let it be encrypted itself, and ask for no TLS.
    GivenTransport,
    /// The operating system trusts nobody, as far as is to be found out: name authorities.
    NoRoots {
        /// What went wrong when they were looked for.
        why: String,
    },
    /// What the server was reached by, or was said to be called, is neither a host's name nor an address.
    ServerName(String),
    /// The server's certificate is not believed: it comes from no authority that is trusted, is for another name, or is
    /// out of date.
    Certificate(io::Error),
    /// The handshake failed for another reason.
    Handshake(io::Error),
    /// The server ended the link, with a reason or without, when the handshake was done on this side: it demands a certificate,
    /// or does not believe the one that it was shown; or it is going down.
    Refused(io::Error),
}

impl TlsError {
    /// Whether trying again, unchanged, may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Handshake(_) | Self::Refused(_))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(f, "{} cannot be read: {source}", path.display()),
            Self::Pem { what, place, why } => write!(f, "no usable {what} in {place}: {why}"),
            Self::NoRoots { why } => {
                f.write_str("the operating system names no authorities to trust; name some")?;
                match why.as_str() {
                    "" => Ok(()),
                    why => write!(f, " ({why})"),
                }
            }
            Self::GivenTransport => f.write_str(
                "TLS was asked for, but a transport that is given is used as it is; let it be encrypted itself, \
                 and ask for no TLS",
            ),
            Self::ServerName(name) => {
                write!(f, "{name:?} is neither a host's name nor an address")
            }
            Self::Certificate(source) => {
                write!(f, "the server's certificate is not believed: {source}")
            }
            Self::Handshake(source) => write!(f, "the TLS handshake failed: {source}"),
            Self::Refused(source) => write!(
                f,
                "the server ended the link after the TLS handshake; most likely it demands a certificate or does \
                 not believe the one that it was shown: {source}"
            ),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. }
            | Self::Certificate(source)
            | Self::Handshake(source)
            | Self::Refused(source) => Some(source),
            _ => None,
        }
    }
}
