//! A channel: its state, its frames, and which part of the core handles which method.
//!
//! Called with frames of channels other than 0. A fault is turned into a close of the channel or the connection here.

use std::collections::{BTreeMap, BTreeSet};

use amqp_types::content::{Assembler, Incoming};
use amqp_types::frame::{Frame, FrameKind};
use amqp_types::protocol::{self, Method, Properties, Spec, channel};
use amqp_types::wire::Limits;
use amqp_types::{AnyMethod as _, Body, Method as _, ShortStr};

use crate::testing::broker::core::Core;
use crate::testing::broker::core::connection::Phase;
use crate::testing::broker::core::fault::{Fault, Handled};
use crate::testing::broker::core::misframed::{assemble_fault, class_of};
use crate::testing::broker::core::topology::Message;

/// The largest body that is taken, as in RabbitMQ.
const MAX_BODY: u64 = 128 << 20;

/// A message that a channel has and has not settled.
#[derive(Clone, Debug)]
pub(crate) struct Unsettled {
    pub(crate) queue: ShortStr,
    /// Its place in the queue.
    pub(crate) position: u64,
    pub(crate) message: Message,
    /// None if it was got.
    pub(crate) consumer: Option<ShortStr>,
}

#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) queue: ShortStr,
    pub(crate) no_ack: bool,
    /// 0: without limit.
    pub(crate) prefetch: u16,
    pub(crate) unsettled: u16,
}

/// What becomes of a settled message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ack,
    Requeue,
    Reject,
}

/// A message on its way to its queues.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) mandatory: bool,
    pub(crate) message: Message,
    pub(crate) queues: BTreeSet<ShortStr>,
}

/// What waits for a commit.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) publishes: Vec<Routed>,
    pub(crate) settled: Vec<(u64, Unsettled, Verdict)>,
}

/// How publishes are answered.
#[derive(Debug, Default)]
pub(crate) enum Mode {
    #[default]
    Plain,
    /// The number of publishes since the mode was selected.
    Confirm(u64),
    Transaction(Transaction),
}

#[derive(Debug)]
pub(crate) struct Channel {
    assembler: Assembler<Spec>,
    /// Closed by the broker, not answered yet: all but the answer is passed over.
    closing: bool,
    pub(crate) consumers: BTreeMap<ShortStr, Consumer>,
    pub(crate) unsettled: BTreeMap<u64, Unsettled>,
    pub(crate) last_tag: u64,
    /// What new consumers get; 0 is no limit.
    pub(crate) prefetch: u16,
    /// Of the channel as a whole; 0 is no limit.
    pub(crate) shared_prefetch: u16,
    pub(crate) mode: Mode,
    /// What an empty name means.
    pub(crate) last_queue: ShortStr,
}

impl Channel {
    fn new() -> Self {
        Self {
            assembler: Assembler::new().with_max_body(MAX_BODY).with_limits(Limits::GREATEST),
            closing: false,
            consumers: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            last_tag: 0,
            prefetch: 0,
            shared_prefetch: 0,
            mode: Mode::Plain,
            last_queue: ShortStr::EMPTY,
        }
    }

    /// Whether a consumer's prefetch, and the channel's own, leave room for another message.
    pub(crate) fn has_room_for(&self, consumer: &Consumer) -> bool {
        let limit = usize::from(self.shared_prefetch);
        let held = || self.unsettled.values().filter(|it| it.consumer.is_some()).count();
        let own_room = consumer.prefetch == 0 || consumer.unsettled < consumer.prefetch;
        own_room && (limit == 0 || held() < limit)
    }
}

impl Core {
    pub(crate) fn channel_mut(&mut self, id: u64, number: u16) -> Handled<&mut Channel> {
        let connection = self.connections.get_mut(&id);
        let channel = connection.and_then(|connection| connection.channels.get_mut(&number));
        channel.ok_or_else(|| Fault::channel("expected 'channel.open'"))
    }

    pub(crate) fn take_channel_frame(&mut self, id: u64, frame: Frame) {
        let (number, kind, class) = (frame.channel, frame.kind, class_of(&frame));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.phase {
            Phase::Running => {}
            Phase::Closing | Phase::Ended => return,
            _ => {
                let fault = Fault::command_invalid("a channel's frame before connection.open");
                return self.fail_connection(id, &fault, (0, 0));
            }
        }
        let Some(channel) = connection.channels.get_mut(&number) else {
            return self.open_channel(id, &frame);
        };
        if channel.closing {
            let answer = Method::decode(&frame.payload).ok().filter(|_| kind == FrameKind::Method);
            return self.take_after_close(id, number, answer);
        }
        match channel.assembler.push(frame) {
            // A publish, of which the content is still to come.
            Ok(None) if kind == FrameKind::Method => self.hold(id),
            Ok(None) => {}
            Ok(Some(incoming)) => self.take_incoming(id, number, incoming),
            Err(error) => {
                let (fault, at) = assemble_fault(&error, kind, class);
                self.fail(id, number, &fault, at);
            }
        }
    }

    fn open_channel(&mut self, id: u64, frame: &Frame) {
        let method =
            Method::decode(&frame.payload).ok().filter(|_| frame.kind == FrameKind::Method);
        match method {
            Some(Method::Channel(channel::Method::Open(_))) => {}
            // An answer that crossed a close of both sides.
            Some(Method::Channel(channel::Method::CloseOk(_))) => return,
            other => {
                let at = other.map_or((0, 0), |it| (it.info().class_id, it.info().method_id));
                return self.fail_connection(id, &Fault::channel("expected 'channel.open'"), at);
            }
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let most = connection.channel_max;
        // Their number counts, not how they are numbered.
        if connection.channels.len() >= usize::from(most) {
            let open = connection.channels.len();
            let text = format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({most})"
            );
            return self.fail_connection(id, &Fault::not_allowed(text), (0, 0));
        }
        connection.channels.insert(frame.channel, Channel::new());
        self.send(id, frame.channel, &channel::OpenOk::default().into_any());
    }

    fn take_after_close(&mut self, id: u64, number: u16, answer: Option<Method>) {
        match answer {
            Some(Method::Channel(channel::Method::CloseOk(_))) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.channels.remove(&number);
                }
            }
            Some(Method::Channel(channel::Method::Close(_))) => {
                self.send(id, number, &channel::CloseOk::default().into_any());
            }
            _ => {}
        }
    }

    fn take_incoming(&mut self, id: u64, number: u16, incoming: Incoming<Spec>) {
        let (method, content) = match incoming {
            Incoming::Method(method) => (method, None),
            Incoming::Content { method, properties, body } => (method, Some((properties, body))),
        };
        let info = method.info();
        let taken = match info.from_client {
            true => self.take_method(id, number, method, content),
            false => Err(Fault::unimplemented()),
        };
        if let Err(fault) = taken {
            self.fail(id, number, &fault, (info.class_id, info.method_id));
        }
    }

    /// Closes the channel, or the connection where it is that bad.
    fn fail(&mut self, id: u64, number: u16, fault: &Fault, at: (u16, u16)) {
        if !fault.is_soft() {
            return self.fail_connection(id, fault, at);
        }
        self.end_channel(id, number);
        let Ok(channel) = self.channel_mut(id, number) else { return };
        channel.closing = true;
        let close = channel::Close {
            reply_code: fault.code,
            reply_text: fault.reply_text(),
            class_id: at.0,
            method_id: at.1,
            ..Default::default()
        };
        self.send(id, number, &close.into_any());
    }

    fn take_method(
        &mut self,
        id: u64,
        number: u16,
        method: Method,
        content: Option<(Properties, Body)>,
    ) -> Handled {
        let name = method.info().full_name;
        match method {
            Method::Channel(method) => self.take_own_method(id, number, method),
            Method::Exchange(method) => self.take_exchange_method(id, number, method),
            Method::Queue(method) => self.take_queue_method(id, number, method),
            Method::Basic(protocol::basic::Method::Publish(publish)) => match content {
                Some((Properties::Basic(properties), body)) => {
                    self.publish(id, number, &publish, properties, body.into_bytes())
                }
                _ => Err(Fault::unexpected_frame("basic.publish without its content")),
            },
            Method::Basic(method) => self.take_basic_method(id, number, method),
            other => self.take_other_method(id, number, other, name),
        }
    }

    fn take_own_method(&mut self, id: u64, number: u16, method: channel::Method) -> Handled {
        match method {
            channel::Method::Open(_) => Err(Fault::channel("second 'channel.open' seen")),
            channel::Method::Close(_) => {
                self.end_channel(id, number);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.channels.remove(&number);
                }
                self.send(id, number, &channel::CloseOk::default().into_any());
                Ok(())
            }
            channel::Method::Flow(flow) if flow.active => {
                let ok = channel::FlowOk { active: true, ..Default::default() };
                self.send(id, number, &ok.into_any());
                Ok(())
            }
            channel::Method::Flow(_) => Err(Fault::not_implemented("active=false")),
            channel::Method::FlowOk(_) | channel::Method::CloseOk(_) => Err(Fault::unimplemented()),
            other => Err(unknown(Method::Channel(other).info().full_name)),
        }
    }

    #[allow(unused_variables, reason = "there are specifications without these methods")]
    fn take_other_method(&mut self, id: u64, number: u16, method: Method, name: &str) -> Handled {
        amqp_types::if_spec! { tx.select => {
            if let Method::Tx(method) = &method {
                return self.take_tx_method(id, number, method);
            }
        } else {} }
        amqp_types::if_spec! { confirm.select => {
            if let Method::Confirm(protocol::confirm::Method::Select(select)) = &method {
                return self.confirm_select(id, number, select);
            }
        } else {} }
        amqp_types::if_spec! { access.request => {
            if let Method::Access(protocol::access::Method::Request(_)) = &method {
                let ok = protocol::access::RequestOk { ticket: 1, ..Default::default() };
                self.send(id, number, &ok.into_any());
                return Ok(());
            }
        } else {} }
        Err(unknown(name))
    }

    /// What a channel held goes back to the queues, and its consumers end.
    pub(crate) fn end_channel(&mut self, id: u64, number: u16) {
        let Ok(channel) = self.channel_mut(id, number) else { return };
        let consumers = std::mem::take(&mut channel.consumers);
        let mut unsettled: Vec<Unsettled> =
            std::mem::take(&mut channel.unsettled).into_values().collect();
        if let Mode::Transaction(transaction) = std::mem::take(&mut channel.mode) {
            unsettled.extend(transaction.settled.into_iter().map(|(_, unsettled, _)| unsettled));
        }
        let host = self.host_of(id);
        // Consumers first, so that nothing is delivered to them again.
        let mut left = Vec::new();
        for (tag, consumer) in consumers {
            self.detach_consumer(&host, &consumer.queue, &(id, number, tag));
            left.push(consumer.queue);
        }
        self.requeue(&host, unsettled);
        for queue in left {
            self.remove_if_unused(&host, &queue);
        }
    }
}

/// What this broker does not do, told with its name.
fn unknown(name: &str) -> Fault {
    Fault::not_implemented(format!("the in-memory broker does not have {name}"))
}
