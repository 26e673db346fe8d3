//! What `connection.start-ok` carries, put together and measured before anything is sent.
//!
//! Used by [`Connector`] before it connects, and by the second step before it logs in. Before a size is agreed on a
//! frame has the specification's least size at most: brokers answer a larger one by silence, as they do to a wrong
//! password. Never shows a password.

use amqp_types::frame::FrameKind;
use amqp_types::protocol::{FRAMING, Method, connection};
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod, FieldTable, Method as _};
use bytes::{Bytes, BytesMut};

use crate::connect::connector::Connector;
use crate::connect::sasl::Mechanism;
use crate::error::ConnectError;
use crate::name::named;

impl Connector {
    /// Whether what is known before the server is reached can be sent to it: nothing that cannot is begun.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        if let Some(invalid) = &self.invalid {
            return Err(invalid.clone().into());
        }
        named("virtual host", &self.virtual_host)?;
        self.measure("", "")
    }

    /// As [`check`](Self::check), with the credentials: the server will choose among the mechanisms, and what none of
    /// them can send is refused at once.
    pub(super) fn check_with(&self, user: &str, password: &str) -> Result<(), ConnectError> {
        self.check()?;
        self.measure(user, password)
    }

    /// One mechanism that fits is enough.
    fn measure(&self, user: &str, password: &str) -> Result<(), ConnectError> {
        let mut result = Ok(());
        for mechanism in &self.mechanisms {
            result = mechanism
                .response(user, password)
                .and_then(|response| self.start_ok(mechanism, response, user, password))
                .map(|_| ());
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// The encoded frame of `connection.start-ok`.
    pub(super) fn start_ok(
        &self,
        mechanism: &Mechanism,
        response: Bytes,
        user: &str,
        password: &str,
    ) -> Result<BytesMut, ConnectError> {
        let start_ok = connection::StartOk {
            client_properties: self.client_properties.clone(),
            mechanism: named("mechanism", mechanism.name())?,
            response,
            locale: named("locale", &self.locale)?,
        };
        encode(&start_ok.into_any(), FRAMING.min_size).map_err(|error| match error {
            ConnectError::TooLarge { method, len, max, .. } => {
                let part = self.largest_part(user.len() + password.len());
                ConnectError::TooLarge { method, part, len, max }
            }
            other => other,
        })
    }

    /// What takes most of a `connection.start-ok`.
    fn largest_part(&self, credentials: usize) -> String {
        let mut largest = (credentials, "user and password".to_owned());
        for (name, value) in self.client_properties.iter() {
            let mut encoded = BytesMut::new();
            let alone = FieldTable::new().with(name.clone(), value.clone());
            let _ = Writer::new(&mut encoded).table(&alone);
            if encoded.len() > largest.0 {
                largest =
                    (encoded.len(), format!("the client property {:?}", name.to_string_lossy()));
            }
        }
        format!("{} ({} octets)", largest.1, largest.0)
    }
}

/// A method's frame on channel 0, of at most `max` octets.
pub(super) fn encode(method: &Method, max: u32) -> Result<BytesMut, ConnectError> {
    let mut encoded = BytesMut::new();
    let start = FRAMING.begin(&mut encoded, FrameKind::Method, 0);
    method.encode(&mut Writer::new(&mut encoded))?;
    FRAMING.end(&mut encoded, start)?;
    let (method, len) = (method.info().full_name, encoded.len());
    match usize::try_from(max) {
        Ok(max) if max != 0 && len > max => {
            Err(ConnectError::TooLarge { method, part: "its fields".to_owned(), len, max })
        }
        _ => Ok(encoded),
    }
}
