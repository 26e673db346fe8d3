//! Publishing: what is checked, where a message goes, and how its publisher is answered.
//!
//! Called with whole contents, and with those of a transaction at its commit.

use std::sync::Arc;
use std::time::Duration;

use amqp_types::protocol::basic::{self, Properties, Publish};
use amqp_types::{FieldValue, Method as _, ShortStr};
use bytes::Bytes;

use crate::testing::broker::core::Core;
use crate::testing::broker::core::channel::Mode;
use crate::testing::broker::core::fault::{Fault, Handled};
use crate::testing::broker::core::topology::Message;

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
        properties: Properties,
        body: Bytes,
    ) -> Handled {
        if publish.immediate {
            return Err(Fault::not_implemented("immediate=true"));
        }
        self.check_exchange(id, &publish.exchange)?;
        self.check_user(id, &properties)?;
        let ttl = expiration(&properties)?;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.held |= self.blocked.is_some();
        }
        let message = Message {
            exchange: publish.exchange.clone(),
            key: publish.routing_key.clone(),
            properties: Arc::new(properties),
            body,
            redelivered: false,
            expires: ttl.and_then(|ttl| self.now.instant.checked_add(ttl)),
        };
        let sequence = match &mut self.channel_mut(id, number)?.mode {
            Mode::Transaction(transaction) => {
                transaction.publishes.push((publish.mandatory, message));
                return Ok(());
            }
            Mode::Confirm(count) => {
                *count += 1;
                Some(*count)
            }
            Mode::Plain => None,
        };
        let fate = self.put_message(id, number, publish.mandatory, message);
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

    /// Routes a message into its queues, and returns it where nobody takes it and its publisher wants to know.
    fn put_message(&mut self, id: u64, number: u16, mandatory: bool, message: Message) -> Fate {
        let host = self.host_of(id);
        if self.refuses {
            return Fate::Refused;
        }
        let (keys, message) = with_copies(message);
        let headers = message.properties.headers.clone();
        let routed =
            self.hosts.get(&host).map(|it| it.route(&message.exchange, &keys, headers.as_ref()));
        let queues = routed.unwrap_or_default();
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

    /// The publishes of a transaction that is committed.
    #[allow(dead_code, reason = "there are specifications without transactions")]
    pub(crate) fn put_all(&mut self, id: u64, number: u16, publishes: Vec<(bool, Message)>) {
        for (mandatory, message) in publishes {
            self.put_message(id, number, mandatory, message);
        }
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

/// The routing keys of a message: its own, and those of the headers CC and BCC, of which the latter is not passed on.
fn with_copies(mut message: Message) -> (Vec<ShortStr>, Message) {
    let mut keys = vec![message.key.clone()];
    let Some(headers) = &message.properties.headers else { return (keys, message) };
    for name in ["CC", "BCC"] {
        let copies = headers.get_array(name).into_iter().flat_map(|array| array.iter());
        let copies = copies.filter_map(FieldValue::as_str);
        keys.extend(copies.filter_map(|key| ShortStr::try_from(key).ok()));
    }
    if headers.contains_key("BCC") {
        let properties = Arc::make_mut(&mut message.properties);
        if let Some(headers) = &mut properties.headers {
            headers.remove("BCC");
        }
    }
    (keys, message)
}

/// The time that a message lives, from its property.
fn expiration(properties: &Properties) -> Handled<Option<Duration>> {
    let Some(text) = &properties.expiration else { return Ok(None) };
    let millis = text.as_str().ok().and_then(|text| text.parse::<u32>().ok());
    match millis {
        Some(millis) => Ok(Some(Duration::from_millis(millis.into()))),
        None => Err(Fault::precondition(format!("invalid expiration '{text}'"))),
    }
}
