//! How a broker is reached: where it is, the handshake up to an open virtual host, and what may go wrong on the way.
//!
//! Ends with a session and a driver, which it starts; nothing of what follows is its business.

mod by_uri;
mod connector;
mod greeted;
mod handshake;
mod login;
mod reach;
mod redirect;
mod sasl;
mod span;
#[cfg(feature = "__tls")]
mod tls;
mod transport;
mod uri;

pub use connector::Connector;
pub use greeted::Greeted;
pub use sasl::{Mechanism, SaslError, SaslExchange, SaslMechanism, UnexpectedChallenge};
#[cfg(feature = "__tls")]
pub use tls::Tls;
pub use transport::Transport;
