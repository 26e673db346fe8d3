//! The methods of channel 0: greeting, login, tuning, opening a virtual host, and the end.
//!
//! Called with what came on channel 0.

use std::time::Duration;

use amqp_types::protocol::{self, FRAMING, Method, connection};
use amqp_types::wire::Reader;
use amqp_types::{AnyMethod as _, FieldTable, FieldValue, Method as _, short_str};
use bytes::{BufMut as _, Bytes, BytesMut};

use crate::testing::broker::core::Core;
use crate::testing::broker::core::connection::Phase;
use crate::testing::broker::core::fault::{Fault, Handled};

/// RabbitMQ's mechanism with a challenge, and what the two say.
const DEMO: &str = "RABBIT-CR-DEMO";
const DEMO_CHALLENGE: &[u8] = b"Please tell me your password";
const DEMO_ANSWER: &[u8] = b"My password is ";

/// What clients are offered.
const TUNE: (u16, u32, u16) = (2047, 131_072, 60);

impl Core {
    pub(crate) fn greet(&mut self, id: u64) {
        let yes = FieldValue::Bool(true);
        let mut capabilities = FieldTable::new()
            .with(short_str!("authentication_failure_close"), yes.clone())
            .with(short_str!("consumer_cancel_notify"), yes.clone())
            .with(short_str!("per_consumer_qos"), yes.clone());
        let extensions = [
            amqp_types::if_spec! { confirm.select => { Some(short_str!("publisher_confirms")) } else { None } },
            amqp_types::if_spec! { basic.nack => { Some(short_str!("basic.nack")) } else { None } },
            amqp_types::if_spec! { connection.blocked => { Some(short_str!("connection.blocked")) } else { None } },
            amqp_types::if_spec! { exchange.bind => { Some(short_str!("exchange_exchange_bindings")) } else { None } },
        ];
        for name in extensions.into_iter().flatten() {
            capabilities.insert(name, yes.clone());
        }
        let text = |text: &'static str| FieldValue::LongString(text.into());
        let start = connection::Start {
            version_major: protocol::VERSION.major,
            version_minor: protocol::VERSION.minor,
            server_properties: FieldTable::new()
                .with(short_str!("product"), text("in-memory broker"))
                .with(short_str!("version"), text(env!("CARGO_PKG_VERSION")))
                .with(short_str!("capabilities"), FieldValue::Table(capabilities)),
            mechanisms: Bytes::from_static(match self.settings.challenges {
                true => b"AMQPLAIN PLAIN RABBIT-CR-DEMO",
                false => b"AMQPLAIN PLAIN",
            }),
            locales: Bytes::from_static(b"en_US"),
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = Phase::StartOk;
        }
        self.send(id, 0, &start.into_any());
    }

    pub(crate) fn take_connection_method(&mut self, id: u64, method: Method) -> Handled {
        let Some(phase) = self.connections.get(&id).map(|it| it.phase) else { return Ok(()) };
        let name = method.info().full_name;
        let Method::Connection(method) = method else {
            return Err(Fault::command_invalid(format!("{name} on channel 0")));
        };
        match (phase, method) {
            (_, connection::Method::CloseOk(_)) if phase == Phase::Closing => self.end(id),
            (_, connection::Method::Close(_)) => {
                self.end_channels(id);
                self.send(id, 0, &connection::CloseOk::default().into_any());
                self.end(id);
            }
            (Phase::Closing | Phase::Ended, _) => {}
            (Phase::StartOk, connection::Method::StartOk(start_ok)) => {
                self.log_in(id, &start_ok)?
            }
            (Phase::SecureOk, connection::Method::SecureOk(secure_ok)) => {
                self.take_answer(id, &secure_ok)?
            }
            (Phase::TuneOk, connection::Method::TuneOk(tune_ok)) => self.tune(id, &tune_ok)?,
            (Phase::Open, connection::Method::Open(open)) => self.open_host(id, &open)?,
            (Phase::Running, method) => self.take_running_method(id, method)?,
            _ => return Err(Fault::command_invalid(format!("unexpected {name}"))),
        }
        Ok(())
    }

    #[allow(clippy::unused_self, reason = "there are specifications without these methods")]
    #[allow(
        clippy::needless_pass_by_ref_mut,
        unused_variables,
        reason = "there are specifications without these methods"
    )]
    fn take_running_method(&mut self, id: u64, method: connection::Method) -> Handled {
        let method = Method::Connection(method);
        amqp_types::if_spec! { connection.update_secret => {
            if let Method::Connection(connection::Method::UpdateSecret(_)) = method {
                self.send(id, 0, &connection::UpdateSecretOk::default().into_any());
                return Ok(());
            }
        } else {} }
        let _ = method;
        Err(Fault::out_of_place())
    }

    fn log_in(&mut self, id: u64, start_ok: &connection::StartOk) -> Handled {
        let mechanism = start_ok.mechanism.to_string_lossy();
        let credentials = match &*mechanism {
            "PLAIN" => plain(&start_ok.response),
            "AMQPLAIN" => amqplain(&start_ok.response),
            DEMO if self.settings.challenges => None,
            _ => {
                return Err(Fault::not_allowed(format!(
                    "mechanism '{mechanism}' is not supported"
                )));
            }
        };
        let capabilities = start_ok.client_properties.get_table("capabilities");
        let can = |name: &str| capabilities.and_then(|table| table.get_bool(name)) == Some(true);
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        connection.takes_blocks = can("connection.blocked");
        connection.takes_cancels = can("consumer_cancel_notify");
        connection.name = start_ok.client_properties.get_str("connection_name").map(str::to_owned);
        connection.reports_refusals = can("authentication_failure_close");
        if mechanism == DEMO {
            connection.user = String::from_utf8_lossy(&start_ok.response).into_owned();
            connection.phase = Phase::SecureOk;
            let challenge = Bytes::from_static(DEMO_CHALLENGE);
            self.send(id, 0, &connection::Secure { challenge }.into_any());
            return Ok(());
        }
        self.let_in(id, &mechanism, credentials)
    }

    /// The answer to the challenge, for the user that was named before.
    fn take_answer(&mut self, id: u64, secure_ok: &connection::SecureOk) -> Handled {
        let user = self.connections.get(&id).map(|it| it.user.clone()).unwrap_or_default();
        let Some(password) = secure_ok.response.strip_prefix(DEMO_ANSWER) else {
            return Err(Fault::syntax("Invalid response"));
        };
        let password = String::from_utf8(password.to_vec()).ok();
        self.let_in(id, DEMO, password.map(|password| (user, password)))
    }

    /// Who is known goes on to tuning.
    fn let_in(
        &mut self,
        id: u64,
        mechanism: &str,
        credentials: Option<(String, String)>,
    ) -> Handled {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let known = credentials.filter(|(user, password)| {
            self.settings.users.iter().any(|(name, secret)| name == user && secret == password)
        });
        let Some((user, _)) = known else {
            if !connection.reports_refusals {
                self.end(id);
                return Ok(());
            }
            let text = format!(
                "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
            );
            return Err(Fault::access_refused(text));
        };
        connection.user = user;
        connection.phase = Phase::TuneOk;
        let (channel_max, frame_max, heartbeat) = TUNE;
        let tune = connection::Tune { channel_max, frame_max, heartbeat };
        self.send(id, 0, &tune.into_any());
        Ok(())
    }

    fn tune(&mut self, id: u64, tune_ok: &connection::TuneOk) -> Handled {
        let (channel_max, frame_max, _) = TUNE;
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        if tune_ok.frame_max > frame_max || tune_ok.frame_max < FRAMING.min_size {
            let text = format!("negotiated frame_max = {} is out of range", tune_ok.frame_max);
            return Err(Fault::not_allowed(text));
        }
        if tune_ok.channel_max > channel_max || tune_ok.channel_max == 0 {
            let text = format!("negotiated channel_max = {} is out of range", tune_ok.channel_max);
            return Err(Fault::not_allowed(text));
        }
        connection.frame_max = tune_ok.frame_max;
        connection.channel_max = tune_ok.channel_max;
        connection.heartbeat = Duration::from_secs(tune_ok.heartbeat.into());
        connection.phase = Phase::Open;
        Ok(())
    }

    fn open_host(&mut self, id: u64, open: &connection::Open) -> Handled {
        let name = open.virtual_host.to_string_lossy().into_owned();
        if !self.hosts.contains_key(&name) {
            return Err(Fault::not_allowed(format!("vhost {name} not found")));
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.host = name;
            connection.phase = Phase::Running;
        }
        self.send(id, 0, &connection::OpenOk::default().into_any());
        Ok(())
    }
}

/// User and password of a PLAIN response: each after a zero octet.
fn plain(response: &[u8]) -> Option<(String, String)> {
    let mut parts = response.split(|octet| *octet == 0).skip(1);
    let mut part = || String::from_utf8(parts.next()?.to_vec()).ok();
    Some((part()?, part()?))
}

/// Those of an AMQPLAIN response: a table without its length.
fn amqplain(response: &[u8]) -> Option<(String, String)> {
    let mut table = BytesMut::new();
    table.put_u32(u32::try_from(response.len()).ok()?);
    table.extend_from_slice(response);
    let table = table.freeze();
    let table = Reader::new(&table).table().ok()?;
    Some((table.get_str("LOGIN")?.to_owned(), table.get_str("PASSWORD")?.to_owned()))
}
