//! Messages whose properties cannot be read: what they cost, which is themselves.
//!
//! A message's properties are its author's, whom a broker believes: RabbitMQ passes on tables of any depth. If they cost
//! the connection, or a channel, whoever may publish could end every consumer of a queue, again and again, since the message
//! goes back to the queue each time. Where the content ends is known all the same, so that nothing else is lost. Called by
//! `incoming`. Sees nothing of the bodies.

use amqp_types::protocol::{Method, ReplyCode, basic};
use amqp_types::{AnyMethod, DecodeError, ShortStr};
use tracing::Level;

use crate::error::{CloseCause, CloseReason, Error, Scope};
use crate::outcome::Event;
use crate::session::Session;
use crate::session::calls::full_name;
use crate::session::calls::pending::{Undo, take_answered};
use crate::session::channel::ChannelKey;
use crate::session::consume::unread::Keeps;

impl Session {
    /// A content came whose properties cannot be read.
    #[cold]
    pub(in crate::session) fn handle_unreadable(&mut self, key: ChannelKey, error: DecodeError) {
        let method = self.channels.get(key).and_then(|it| it.assembler.take_unreadable());
        let Some(method) = method else { return };
        let name = full_name(&method);
        let (exchange, routing_key) = match method {
            Method::Basic(basic::Method::Deliver(deliver)) => {
                self.refuse_delivery(key, &deliver);
                (deliver.exchange, deliver.routing_key)
            }
            Method::Basic(basic::Method::Return(returned)) => {
                self.doubt_return(key, &returned);
                (returned.exchange, returned.routing_key)
            }
            Method::Basic(basic::Method::GetOk(got)) => {
                let address = (got.exchange.clone(), got.routing_key.clone());
                self.refuse_got(key, got, error);
                address
            }
            method => return self.refuse_content(key, &method, error),
        };
        self.tell_unreadable(key, name, (exchange, routing_key), error);
    }

    fn tell_unreadable(
        &mut self,
        key: ChannelKey,
        method: &'static str,
        (exchange, routing_key): (ShortStr, ShortStr),
        error: DecodeError,
    ) {
        let channel = key.id;
        self.effects.log(Level::ERROR, move || {
            tracing::error!(channel, method, %error, "a message cannot be read, and is passed over");
        });
        self.record(|| Event::Unreadable { channel, method, exchange, routing_key, error });
    }

    /// Back in its queue it would come again, here or elsewhere.
    fn refuse_delivery(&mut self, key: ChannelKey, deliver: &basic::Deliver) {
        let Some(channel) = self.channels.get(key) else { return };
        let tag = deliver.delivery_tag.wrapping_add(channel.tag_base);
        channel.last_tag = tag;
        let receiver = channel.consumers.receiver(&deliver.consumer_tag);
        let no_ack = receiver.as_ref().is_some_and(|consumer| consumer.no_ack);
        // For whom it goes back, or stays, as everything that comes for nobody does.
        let late = match receiver {
            None => Some((0, Keeps::No)),
            Some(consumer) if consumer.end.is_some() => {
                consumer.late += 1;
                Some((consumer.id, consumer.unread.keeps()))
            }
            Some(consumer) => match consumer.unread.keeps() {
                Keeps::No if consumer.looks_kept() => Some((consumer.id, Keeps::Perhaps)),
                Keeps::No => None,
                keeps => Some((consumer.id, keeps)),
            },
        };
        self.note_told(key, |coalescer| coalescer.delivered(tag, !no_ack));
        // The close of one that drains gives back what is not settled.
        if no_ack || self.channels.get(key).is_some_and(|channel| channel.is_draining()) {
            return;
        }
        match late {
            Some((id, keeps)) => self.give_back_late(key, id, tag, keeps),
            None if self.note_sent_back() => self.reject(key, tag, false),
            None => {}
        }
    }

    fn doubt_return(&mut self, key: ChannelKey, returned: &basic::Return) {
        let confirms = self.channels.get(key).and_then(|channel| channel.confirms.as_mut());
        if let Some(confirms) = confirms {
            let (exchange, routing_key) = (&returned.exchange, &returned.routing_key);
            confirms.returned_unreadable(exchange.as_bytes(), routing_key.as_bytes());
        }
    }

    fn refuse_got(&mut self, key: ChannelKey, got: basic::GetOk, error: DecodeError) {
        let mut method = Method::Basic(basic::Method::GetOk(got));
        self.number_got(key, &mut method);
        let Some(channel) = self.channels.get(key) else { return };
        let Some(call) = take_answered(&mut channel.calls, &method) else {
            return self.handle_reply(key, method, None);
        };
        let Method::Basic(basic::Method::GetOk(got)) = method else { return };
        let (tag, open) = (got.delivery_tag, call.undo == Undo::Requeue);
        channel.last_tag = tag;
        if !channel.unanswered.is_empty() {
            self.note_answered(key, &call);
        }
        self.note_told(key, |coalescer| coalescer.delivered(tag, open));
        if open && self.note_sent_back() {
            self.reject(key, tag, false);
        }
        self.fail_calls([call], &Error::unreadable("basic.get-ok", error));
    }

    /// A content of a class of which not enough is known to do without it.
    fn refuse_content(&mut self, key: ChannelKey, method: &Method, error: DecodeError) {
        let text = format!("the content of {} cannot be read: {error}", method.info().full_name);
        let cause = CloseCause::ProtocolViolation;
        let reason = CloseReason::new(Scope::Channel(key.id), cause, text)
            .with_code(ReplyCode::SYNTAX_ERROR)
            .with_method(Some(full_name(method)));
        self.close_channel_because(key, reason);
    }
}
