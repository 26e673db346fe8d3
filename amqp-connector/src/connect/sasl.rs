//! The responses of the authentication mechanisms that need no challenge.
//!
//! Used by the handshake. Keeps nothing, and never shows a password.

use amqp_types::wire::Writer;
use amqp_types::{EncodeError, FieldTable, FieldValue};
use bytes::{Bytes, BytesMut};

use crate::error::ConnectError;

/// An authentication mechanism (SASL) that the connector can answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// `PLAIN`: user and password, each after a zero octet (RFC 4616).
    Plain,
    /// `AMQPLAIN`: user and password as a field table with the keys `LOGIN` and `PASSWORD`.
    AmqPlain,
}

impl Mechanism {
    /// The mechanism's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::AmqPlain]
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn response(self, user: &str, password: &str) -> Result<Bytes, ConnectError> {
        match self {
            Self::Plain => {
                for (what, text) in [("user", user), ("password", password)] {
                    if text.contains('\0') {
                        let mechanism = self.name();
                        return Err(ConnectError::InvalidCredentials { what, mechanism });
                    }
                }
                Ok(["\0", user, "\0", password].concat().into())
            }
            Self::AmqPlain => Ok(amqplain(user, password)?),
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
}
