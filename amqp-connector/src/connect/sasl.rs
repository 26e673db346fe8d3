//! The authentication mechanisms (SASL): the five that the connector knows, and the trait for others.
//!
//! Chosen from and asked by the handshake, once for each attempt to connect. Keeps nothing, and never shows a password.

use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use amqp_types::wire::Writer;
use amqp_types::{EncodeError, FieldTable, FieldValue};
use bytes::{Bytes, BytesMut};

use crate::error::ConnectError;

/// What RABBIT-CR-DEMO asks, and how its answer begins.
const DEMO_CHALLENGE: &[u8] = b"Please tell me your password";
const DEMO_ANSWER: &str = "My password is ";

/// An authentication mechanism (SASL).
#[derive(Clone)]
#[non_exhaustive]
pub enum Mechanism {
    /// `PLAIN`: user and password, each after a zero octet (RFC 4616).
    Plain,
    /// `AMQPLAIN`: user and password as a field table with the keys `LOGIN` and `PASSWORD`.
    AmqPlain,
    /// `EXTERNAL`: whoever the transport says, such as the owner of a TLS client certificate (RFC 4422). User and
    /// password are not sent.
    External,
    /// `ANONYMOUS`: nobody in particular (RFC 4505). User and password are not sent.
    Anonymous,
    /// `RABBIT-CR-DEMO`: RabbitMQ's demonstration of challenges. The user, and the password once it is asked for.
    RabbitCrDemo,
    /// One of the program's own.
    Custom(Arc<dyn SaslMechanism>),
}

/// An authentication mechanism of the program's own; see [`Mechanism::custom`].
///
/// ```
/// use amqp_connector::{Bytes, Connector, Mechanism, SaslError, SaslExchange, SaslMechanism};
///
/// /// Sends the user, and the octets of each challenge in reverse order.
/// struct Reverse;
///
/// impl SaslMechanism for Reverse {
///     fn name(&self) -> &str {
///         "REVERSE"
///     }
///
///     fn begin(&self, user: &str, _password: &str) -> Box<dyn SaslExchange> {
///         Box::new(Reversing(user.to_owned()))
///     }
/// }
///
/// struct Reversing(String);
///
/// impl SaslExchange for Reversing {
///     fn initial(&mut self) -> Result<Bytes, SaslError> {
///         Ok(self.0.clone().into())
///     }
///
///     fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
///         Ok(challenge.iter().rev().copied().collect())
///     }
/// }
///
/// let connector = Connector::new().mechanisms([Mechanism::custom(Reverse), Mechanism::Plain]);
/// ```
pub trait SaslMechanism: Send + Sync + 'static {
    /// The mechanism's name on the wire, of at most 255 octets.
    fn name(&self) -> &str;

    /// Begins an exchange for one attempt to connect, with the user and password that were given. Called once the server
    /// is known to offer the mechanism.
    fn begin(&self, user: &str, password: &str) -> Box<dyn SaslExchange>;
}

/// One exchange with a server, begun by [`SaslMechanism::begin`]. Whatever fails here ends the attempt as
/// [`ConnectError::Sasl`]; errors are shown, so they must hold no secret.
pub trait SaslExchange: Send {
    /// What is sent unasked, in `connection.start-ok`.
    ///
    /// # Errors
    ///
    /// If there is nothing that could be sent.
    fn initial(&mut self) -> Result<Bytes, SaslError>;

    /// The answer to a challenge (`connection.secure`).
    ///
    /// # Errors
    ///
    /// If the challenge is not what the mechanism expects; [`UnexpectedChallenge`] says just that.
    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError>;
}

/// What a mechanism fails with.
pub type SaslError = Box<dyn Error + Send + Sync>;

/// The server's challenge is none that the mechanism has, or comes when there should be no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnexpectedChallenge;

impl fmt::Display for UnexpectedChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server's challenge has no place in it")
    }
}

impl Error for UnexpectedChallenge {}

impl Mechanism {
    /// A mechanism of the program's own.
    pub fn custom(mechanism: impl SaslMechanism) -> Self {
        Self::Custom(Arc::new(mechanism))
    }

    /// The mechanism's name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
            Self::External => "EXTERNAL",
            Self::Anonymous => "ANONYMOUS",
            Self::RabbitCrDemo => "RABBIT-CR-DEMO",
            Self::Custom(mechanism) => mechanism.name(),
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::AmqPlain, Self::External, Self::Anonymous, Self::RabbitCrDemo]
            .into_iter()
            .find(|mechanism| mechanism.is_named(name))
    }

    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }

    /// Begins an exchange, and gives what is sent unasked.
    pub(crate) fn begin(
        &self,
        user: &str,
        password: &str,
    ) -> Result<(Exchange, Bytes), ConnectError> {
        let mut steps: Box<dyn SaslExchange> = match self {
            Self::Custom(mechanism) => mechanism.begin(user, password),
            Self::RabbitCrDemo => Box::new(Demo { password: Some(password.to_owned()) }),
            _ => Box::new(Unasked),
        };
        let response = match self {
            Self::Custom(_) => steps.initial().map_err(|source| self.failed(source))?,
            known => known.response(user, password)?,
        };
        Ok((Exchange { mechanism: self.clone(), steps }, response))
    }

    /// What is sent unasked, as far as it can be known before a server is reached: an exchange of the program's own is
    /// begun for a server only.
    pub(crate) fn response(&self, user: &str, password: &str) -> Result<Bytes, ConnectError> {
        match self {
            Self::Plain => {
                for (what, text) in [("user", user), ("password", password)] {
                    if text.contains('\0') {
                        return Err(ConnectError::InvalidCredentials { what, mechanism: "PLAIN" });
                    }
                }
                Ok(["\0", user, "\0", password].concat().into())
            }
            Self::AmqPlain => Ok(amqplain(user, password)?),
            Self::RabbitCrDemo => Ok(user.to_owned().into()),
            Self::External | Self::Anonymous | Self::Custom(_) => Ok(Bytes::new()),
        }
    }

    fn failed(&self, source: SaslError) -> ConnectError {
        ConnectError::Sasl { mechanism: self.name().to_owned(), source }
    }
}

/// By name alone, as servers know them.
impl PartialEq for Mechanism {
    fn eq(&self, other: &Self) -> bool {
        self.is_named(other.name())
    }
}

impl Eq for Mechanism {}

impl Hash for Mechanism {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().to_ascii_uppercase().hash(state);
    }
}

/// The name alone: what is behind one of the program's own may hold anything.
impl fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An exchange under way.
pub(crate) struct Exchange {
    mechanism: Mechanism,
    steps: Box<dyn SaslExchange>,
}

impl Exchange {
    pub(crate) fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, ConnectError> {
        self.steps.respond(challenge).map_err(|source| self.mechanism.failed(source))
    }
}

/// What follows where all is said unasked: nothing.
struct Unasked;

impl SaslExchange for Unasked {
    fn initial(&mut self) -> Result<Bytes, SaslError> {
        Ok(Bytes::new())
    }

    fn respond(&mut self, _: &[u8]) -> Result<Bytes, SaslError> {
        Err(UnexpectedChallenge.into())
    }
}

/// The one challenge of `RABBIT-CR-DEMO`: the password is kept until it was told.
struct Demo {
    password: Option<String>,
}

impl SaslExchange for Demo {
    fn initial(&mut self) -> Result<Bytes, SaslError> {
        Ok(Bytes::new())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        match self.password.take() {
            Some(password) if challenge == DEMO_CHALLENGE => {
                Ok([DEMO_ANSWER, &password].concat().into())
            }
            _ => Err(UnexpectedChallenge.into()),
        }
    }
}

/// The body of a field table: the long string around it has the length already.
fn amqplain(user: &str, password: &str) -> Result<Bytes, EncodeError> {
    let table: FieldTable = [("LOGIN", user), ("PASSWORD", password)]
        .into_iter()
        .filter_map(|(key, text)| {
            let key = key.try_into().ok()?;
            Some((key, FieldValue::from(text)))
        })
        .collect();
    let mut encoded = BytesMut::new();
    Writer::new(&mut encoded).table(&table)?;
    let mut body = encoded.freeze();
    let length = size_of::<u32>().min(body.len());
    Ok(body.split_off(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_zero_separated() {
        let response = Mechanism::Plain.response("a", "b").expect("short");
        assert_eq!(&response[..], b"\0a\0b");
    }

    #[test]
    fn plain_cannot_carry_what_separates_user_and_password() {
        for (user, password, which) in [("a\0b", "c", "user"), ("a", "b\0", "password")] {
            let error = Mechanism::Plain.response(user, password).expect_err("ambiguous");
            assert!(
                matches!(error, ConnectError::InvalidCredentials { what, .. } if what == which)
            );
            assert!(!error.to_string().contains('\0') && !error.is_transient(), "{error}");
            Mechanism::AmqPlain.response(user, password).expect("its strings have lengths");
        }
    }

    #[test]
    fn amqplain_is_a_table_body_without_its_length() {
        let response = Mechanism::AmqPlain.response("guest", "guest").expect("short");
        assert_eq!(&response[..], b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest");
    }

    #[test]
    fn external_and_anonymous_send_no_user_and_no_password() {
        for mechanism in [Mechanism::External, Mechanism::Anonymous] {
            let (mut exchange, response) = mechanism.begin("user", "password").expect("nothing");
            assert!(response.is_empty());
            exchange.respond(b"").expect_err("no challenge");
        }
    }

    #[test]
    fn the_demo_tells_its_password_once_and_to_its_own_question_only() {
        let begun = || Mechanism::RabbitCrDemo.begin("user", "password").expect("begun");
        let (mut exchange, response) = begun();
        assert_eq!(&response[..], b"user");
        let answer = exchange.respond(DEMO_CHALLENGE).expect("the password");
        assert_eq!(&answer[..], b"My password is password");
        exchange.respond(DEMO_CHALLENGE).expect_err("once");
        begun().0.respond(b"Tell me").expect_err("another question");
    }

    #[test]
    fn all_but_custom_mechanisms_are_known_by_name() {
        for name in ["PLAIN", "amqplain", "EXTERNAL", "ANONYMOUS", "Rabbit-CR-Demo"] {
            let mechanism = Mechanism::by_name(name).expect("known");
            assert!(mechanism.is_named(name));
        }
        assert!(Mechanism::by_name("SCRAM-SHA-256").is_none());
    }
}
