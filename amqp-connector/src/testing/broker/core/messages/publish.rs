//! Publishing: what is checked, where a message goes, and how its publisher is answered.
//!
//! Called with whole contents, and with those of a transaction at its commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amqp_types::protocol::basic::{self, Properties, Publish};
use amqp_types::{FieldValue, Method as _, ShortStr};
use bytes::Bytes;

use crate::testing::broker::core::Core;
use crate::testing::broker::core::channel::{Mode, Routed};
use crate::testing::broker::core::fault::{Fault, Handled};
use crate::testing::broker::core::topology::Message;
use crate::testing::broker::core::topology::declare::check_reply_to;
use crate::testing::broker::core::topology::policy::{check_lifetime, type_name};

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    Refused,
}

impl Core {
    pub(crate) fn publish(
        &mut self,
        id: u64,
        number: u16,
        publish: &Publish,
        mut properties: Properties,
        body: Bytes,
    ) -> Handled {
        if publish.immediate {
            return Err(Fault::not_implemented("immediate=true"));
        }
        self.check_exchange(id, &publish.exchange)?;
        self.check_user(id, &properties)?;
        check_answer(publish, &properties)?;
        let ttl = expiration(&properties)?;
        let copies = take_copies(&mut properties)?;
        let message = Message {
            exchange: publish.exchange.clone(),
            key: publish.routing_key.clone(),
            properties: Arc::new(properties),
            body,
            copies,
            redelivered: false,
            ttl,
            expires: None,
        };
        let host = self.host_of(id);
        let queues = self.queues_for(&host, &message);
        let routed = Routed { mandatory: publish.mandatory, message, queues };
        let sequence = match &mut self.channel_mut(id, number)?.mode {
            Mode::Transaction(transaction) => {
                transaction.publishes.push(routed);
                return Ok(());
            }
            Mode::Confirm(count) => {
                *count += 1;
                Some(*count)
            }
            Mode::Plain => None,
        };
        let fate = self.put_message(id, number, routed);
        if let Some(sequence) = sequence {
            self.confirm(id, number, sequence, fate);
        }
        Ok(())
    }

    fn check_exchange(&mut self, id: u64, name: &ShortStr) -> Handled {
        let host = self.host_of(id);
        match self.host_mut(id)?.exchanges.get(name) {
            None => Err(Fault::no_exchange(name, &host)),
            Some(exchange) if exchange.internal => {
                let text =
                    format!("cannot publish to internal exchange '{name}' in vhost '{host}'");
                Err(Fault::access_refused(text))
            }
            Some(_) => Ok(()),
        }
    }

    fn check_user(&self, id: u64, properties: &Properties) -> Handled {
        let user = self.connections.get(&id).map(|it| it.user.as_str()).unwrap_or_default();
        match &properties.user_id {
            Some(claimed) if *claimed != *user => Err(Fault::precondition(format!(
                "user_id property set to '{claimed}' but authenticated user was '{user}'"
            ))),
            _ => Ok(()),
        }
    }

    /// Where a message goes by all of its keys.
    pub(crate) fn queues_for(&self, host: &str, message: &Message) -> BTreeSet<ShortStr> {
        let Some(host) = self.hosts.get(host) else { return BTreeSet::new() };
        let headers = message.properties.headers.as_ref();
        match message.copies.is_empty() {
            true => host.route(&message.exchange, std::slice::from_ref(&message.key), headers),
            false => {
                let keys = std::iter::once(&message.key).chain(&message.copies);
                host.route(&message.exchange, &keys.cloned().collect::<Vec<_>>(), headers)
            }
        }
    }

    /// Puts a message into its queues, and returns it where nobody takes it and its publisher wants to know.
    fn put_message(&mut self, id: u64, number: u16, routed: Routed) -> Fate {
        let Routed { mandatory, message, queues } = routed;
        let host = self.host_of(id);
        if self.refuses {
            return Fate::Refused;
        }
        if queues.is_empty() && mandatory {
            self.return_message(id, number, &message);
        }
        let mut fate = Fate::Taken;
        for queue in queues {
            if !self.enqueue(&host, &queue, message.clone()) {
                fate = Fate::Refused;
            }
        }
        fate
    }

    fn return_message(&mut self, id: u64, number: u16, message: &Message) {
        let method = basic::Return {
            reply_code: 312,
            reply_text: amqp_types::short_str!("NO_ROUTE"),
            exchange: message.exchange.clone(),
            routing_key: message.key.clone(),
            ..Default::default()
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.put_content(number, &method.into_any(), &message.properties, &message.body);
            self.wakers.extend(connection.waker.take());
        }
    }

    #[allow(unused_variables, reason = "there are specifications without confirms")]
    fn confirm(&mut self, id: u64, number: u16, delivery_tag: u64, fate: Fate) {
        amqp_types::if_spec! { confirm.select => {
            let method = match fate {
                Fate::Taken => basic::Ack { delivery_tag, ..Default::default() }.into_any(),
                Fate::Refused => basic::Nack { delivery_tag, ..Default::default() }.into_any(),
            };
            self.send(id, number, &method);
        } else {
            let _ = (Fate::Taken, Fate::Refused) ;
        } }
    }

    /// The publishes of a transaction that is committed. Whether all were taken.
    #[allow(dead_code, reason = "there are specifications without transactions")]
    pub(crate) fn put_all(&mut self, id: u64, number: u16, publishes: Vec<Routed>) -> bool {
        let mut taken = true;
        for routed in publishes {
            taken &= self.put_message(id, number, routed) == Fate::Taken;
        }
        taken
    }

    #[allow(dead_code, reason = "there are specifications without confirms")]
    pub(crate) fn select_confirms(&mut self, id: u64, number: u16) -> Handled {
        let mode = &mut self.channel_mut(id, number)?.mode;
        match mode {
            Mode::Transaction(_) => {
                return Err(Fault::precondition("cannot switch from tx to confirm mode"));
            }
            Mode::Plain => *mode = Mode::Confirm(0),
            Mode::Confirm(_) => {}
        }
        Ok(())
    }

    amqp_types::if_spec! { confirm.select => {
        pub(crate) fn confirm_select(
            &mut self,
            id: u64,
            number: u16,
            select: &amqp_types::protocol::confirm::Select,
        ) -> Handled {
            self.select_confirms(id, number)?;
            if !select.no_wait {
                let ok = amqp_types::protocol::confirm::SelectOk::default();
                self.send(id, number, &ok.into_any());
            }
            Ok(())
        }
    } else {} }
}

/// The further routing keys of a message: those of the headers CC and BCC, of which the latter is not passed on.
fn take_copies(properties: &mut Properties) -> Handled<Vec<ShortStr>> {
    let mut copies = Vec::new();
    let Some(headers) = &mut properties.headers else { return Ok(copies) };
    for name in ["CC", "BCC"] {
        match headers.get(name) {
            None => {}
            Some(FieldValue::Array(keys)) => {
                let keys = keys.iter().filter_map(FieldValue::as_str);
                copies.extend(keys.filter_map(|key| ShortStr::try_from(key).ok()));
            }
            Some(other) => {
                let kind = type_name(other);
                let text =
                    format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}");
                return Err(Fault::precondition(text));
            }
        }
    }
    headers.remove("BCC");
    Ok(copies)
}

/// Refuses what is to be answered, or is an answer, without a queue.
fn check_answer(publish: &Publish, properties: &Properties) -> Handled {
    if publish.exchange.is_empty() {
        check_reply_to(&publish.routing_key)?;
    }
    properties.reply_to.as_ref().map_or(Ok(()), check_reply_to)
}

/// The time that a message lives, from its property.
fn expiration(properties: &Properties) -> Handled<Option<Duration>> {
    let Some(text) = &properties.expiration else { return Ok(None) };
    let invalid = |why| Fault::precondition(format!("invalid expiration '{text}': {why}"));
    let all = text.as_str().unwrap_or_default();
    let sign = usize::from(all.starts_with(['+', '-']));
    let digits = all.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
    let (number, rest) = all.split_at_checked(sign + digits).unwrap_or_default();
    if digits == 0 {
        return Err(invalid("no_integer".to_owned()));
    }
    if !rest.is_empty() {
        return Err(invalid(format!("{{leftover_string,\"{rest}\"}}")));
    }
    let too_large = || invalid(format!("{{value_too_large,{number}}}"));
    let millis = number.parse::<i128>().map_err(|_| too_large())?;
    check_lifetime(millis).map_err(invalid)?;
    Ok(u64::try_from(millis).ok().map(Duration::from_millis))
}
