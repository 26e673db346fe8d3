//! What changes by a request being sent: consumers, prefetch, the mode of the channel.
//!
//! Called where calls and other requests are sent, before their reply can come. Waits for nothing.

use std::panic::Location;

use amqp_types::protocol::{self, Method, basic};
use amqp_types::{Method as _, ShortStr};

use crate::error::Result;
use crate::session::Session;
use crate::session::calls::CallId;
use crate::session::channel::ChannelKey;
#[allow(unused_imports, reason = "not every specification has confirms")]
use crate::session::channel::Sent;
use crate::session::consume::consumer::ConsumerState;
use crate::session::consume::offsets::reads_stream;
#[allow(unused_imports, reason = "not every specification has confirms")]
use crate::session::publish::confirm::Confirms;

impl Session {
    pub(in crate::session) fn consumer_of(&mut self, call: CallId) -> Option<&mut ConsumerState> {
        let id = self.pending_call(call.key, call.id)?.consumer?;
        self.channels.get(call.key)?.consumers.by_id(id)
    }

    /// Sends a `basic.qos` for the consumer that follows it. RabbitMQ takes one that is not global for the end of the
    /// channel's own limit: so where there is one, it is sent only if it changes anything, and the limit again.
    pub(crate) fn send_qos(
        &mut self,
        key: ChannelKey,
        qos: basic::Qos,
        place: &'static Location<'static>,
    ) -> Result<()> {
        let channel = self.open_channel(key)?;
        let (prefetch_count, global) = (channel.prefetch_global, true);
        if prefetch_count == 0 {
            self.send_one_qos(key, qos, place);
        } else if channel.prefetch != qos.prefetch_count || !channel.prefetch_global_stands {
            self.send_one_qos(key, qos, place);
            let qos = basic::Qos { prefetch_count, global, ..Default::default() };
            self.send_one_qos(key, qos, place);
        }
        Ok(())
    }

    fn send_one_qos(
        &mut self,
        key: ChannelKey,
        qos: basic::Qos,
        place: &'static Location<'static>,
    ) {
        let qos = qos.into_any();
        self.note_request(key, &qos);
        self.send_unawaited::<basic::QosOk>(key, &qos, Some(place));
    }

    /// What changes by a request being sent. A consumer exists from then on, so that no delivery can come
    /// before it; the number that it is found by is given.
    pub(super) fn note_request(&mut self, key: ChannelKey, request: &Method) -> Option<u64> {
        match request {
            Method::Basic(basic::Method::Qos(qos)) => {
                let channel = self.channels.get(key)?;
                match qos.global {
                    true => channel.prefetch_global = qos.prefetch_count,
                    false => channel.prefetch = qos.prefetch_count,
                }
                channel.prefetch_global_stands = qos.global;
                channel.bound_coalescer();
                None
            }
            Method::Basic(basic::Method::Get(_)) => {
                self.channels.get(key)?.consumed = true;
                None
            }
            Method::Basic(basic::Method::Consume(consume)) => {
                let (id, budget) = (self.fresh_id(), self.options.consumer_budget);
                let start = self.start_of(key, consume);
                let channel = self.channels.get(key)?;
                // A copy: the user's own octets must not be dropped under the lock.
                let tag = ShortStr::try_from(consume.consumer_tag.as_bytes()).unwrap_or_default();
                let mut consumer =
                    ConsumerState::new(id, tag, consume.no_ack, channel.prefetch, budget);
                consumer.start = start;
                let unlimited = channel.prefetch == 0 && channel.prefetch_global == 0;
                consumer.backlog.paced = consume.no_ack || unlimited;
                let follows = consumer.start.as_deref_mut().is_some_and(reads_stream);
                if follows {
                    consumer.unread.note_keeps();
                    consumer.offsets = Some(Box::default());
                    channel.keeps = true;
                    channel.follow_offsets();
                }
                channel.consumers.push(consumer);
                channel.consumed = true;
                channel.bound_coalescer();
                self.coalesces |= follows;
                Some(id)
            }
            Method::Basic(basic::Method::Cancel(cancel)) => {
                let channel = self.channels.get(key)?;
                channel.consumers.to_cancel(cancel.consumer_tag.as_bytes())
            }
            method => {
                self.note_select(key, method);
                self.note_transaction(key, method);
                self.note_recover(key, method);
                None
            }
        }
    }

    /// Where messages were published before, only the answer to a `confirm.select` tells whose a return is: one without
    /// a reply is then sent as one whose reply is for nobody.
    #[allow(unused_variables, reason = "not every specification has confirms")]
    pub(super) fn select_with_reply(
        &mut self,
        key: ChannelKey,
        method: &Method,
        place: &'static Location<'static>,
    ) -> bool {
        amqp_types::if_spec! { confirm.select => {
            if let Method::Confirm(protocol::confirm::Method::Select(_)) = method
                && let Some(channel) = self.channels.get(key)
                && channel.confirms.is_none()
                && !matches!(channel.sent, Sent::Nothing)
            {
                let select = protocol::confirm::Select { no_wait: false }.into_any();
                self.note_request(key, &select);
                self.send_unawaited::<protocol::confirm::SelectOk>(key, &select, Some(place));
                return true;
            }
        } else {} }
        false
    }

    /// The broker counts publishes from where the `confirm.select` stands among them, and so do we; and those
    /// behind a `tx.select` are in a transaction.
    #[allow(unused_variables, reason = "not every specification has confirms")]
    fn note_select(&mut self, key: ChannelKey, request: &Method) {
        amqp_types::if_spec! { tx.select => {
            if let Method::Tx(protocol::tx::Method::Select(_)) = request
                && let Some(channel) = self.channels.get(key)
            {
                channel.tx = true;
            }
        } else {} }
        amqp_types::if_spec! { confirm.select => {
            if let Method::Confirm(protocol::confirm::Method::Select(select)) = request
                && let Some(options) = self.channels.get(key).map(|it| it.confirm_options.clone())
            {
                let limits = self.confirm_limits(&options);
                if let Some(channel) = self.channels.get(key) {
                    let begun = select.no_wait;
                    channel
                        .confirms
                        .get_or_insert_with(|| Confirms::new(limits, options.keeps(), begun));
                }
            }
        } else {} }
    }
}
