//! Why a URI cannot be used.

use std::fmt;

/// What is wrong with a URI. Never holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// The scheme is none that this build can connect by.
    Scheme(String),
    /// A `%` is not followed by two hexadecimal digits, or the octets are no UTF-8.
    Escape {
        /// The part it stands in, such as `virtual host`.
        part: &'static str,
    },
    /// The port is no number up to 65535. Empty where it has other characters than a port could, since it may be the
    /// password of a URI that lacks its host.
    Port(String),
    /// The host is empty where one must stand, or an IPv6 literal is not closed.
    Host,
    /// An `@` stands behind where user and password end: one of them has a character that must be escaped. What is wrong
    /// with the rest is not told, since it may be a part of the password.
    Unescaped,
    /// The path has more than one segment; a slash in a virtual host is written `%2f`.
    VirtualHost,
    /// A query key that is not known.
    UnknownKey(String),
    /// A query key of TLS stands in a URI that asks for none.
    NeedsTls(String),
    /// One of the query keys `certfile` and `keyfile` stands without the other.
    Identity,
    /// The value of a query key cannot be used.
    Value {
        /// The key.
        key: String,
        /// The value as it stands.
        value: String,
    },
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme(scheme) if scheme == "amqps" => {
                f.write_str("amqps:// needs the feature `rustls` or `native-tls` of amqp-connector")
            }
            Self::Scheme(scheme) => write!(f, "URI scheme {scheme:?} is not amqp://"),
            Self::Escape { part } => write!(f, "bad percent-escape in the URI's {part}"),
            Self::Port(port) if port.is_empty() => f.write_str(
                "the URI's port is no number (behind a user and a password stand an @ and the host)",
            ),
            Self::Port(port) => write!(f, "URI port {port:?} is no number up to 65535"),
            Self::Host => f.write_str("the URI's host is malformed"),
            Self::Unescaped => f.write_str(
                "the URI's user or password has a character that must be percent-escaped, such as / ? #",
            ),
            Self::VirtualHost => f.write_str(
                "the URI's path has more than one segment; write a slash in a virtual host as %2f",
            ),
            Self::UnknownKey(key) => write!(
                f,
                "unknown URI query key {key:?} (known: heartbeat, channel_max, frame_max, \
                 connection_timeout, auth_mechanism, locale, name; of amqps:// also cacertfile, certfile, keyfile, \
                 verify, server_name_indication)"
            ),
            Self::NeedsTls(key) => write!(f, "URI query key {key} needs amqps://"),
            Self::Identity => f.write_str("the URI query keys certfile and keyfile need each other"),
            Self::Value { key, value } => write!(f, "URI query key {key}: bad value {value:?}"),
        }
    }
}

impl std::error::Error for UriError {}
