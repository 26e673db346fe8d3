//! A broker as a model: it handles what the client sends at once, and what it sends waits until it arrives.
//!
//! What it does of its own accord ([`Event`]) is chosen by the search, among what is possible in its state. It checks
//! nothing but that it understands what comes; whether the client may send it is a matter of [`Rules`](super::rules::Rules).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use amqp_types::content::{Assembler, ContentHeader, Incoming};
use amqp_types::frame::{Frame, FrameKind};
use amqp_types::protocol::{Method, Spec, basic, channel, connection, queue};
use amqp_types::wire::Writer;
use bytes::{Bytes, BytesMut};

use super::super::short;

/// What a broker does without being asked, on a channel of this number.
#[allow(dead_code, reason = "not every specification has them all")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The first consumer gets a message.
    Deliver(u16),
    /// The oldest unconfirmed publish is confirmed; all are; the latest is, and not those before; it is not taken.
    Ack(u16),
    AckAll(u16),
    AckLast(u16),
    Nack(u16),
    /// The oldest unconfirmed publish comes back, and is confirmed.
    Return(u16),
    /// The first consumer's queue is deleted.
    Cancel(u16),
    CloseChannel(u16),
    /// A delivery that was in hand when the channel was closed comes after the close.
    Late(u16),
    FlowOff(u16),
    FlowOn(u16),
    Block,
    Unblock,
    CloseConnection,
}

/// What the broker has said of a publish, by its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Acked,
    Nacked,
    Returned,
}

/// A method on its way to the client, with its content.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) channel: u16,
    pub(super) method: Method,
    pub(super) frames: VecDeque<Frame>,
}

#[derive(Debug)]
struct Published {
    #[allow(dead_code, reason = "not every specification has confirms")]
    tag: u64,
    publish: basic::Publish,
    body: Bytes,
}

#[derive(Debug, Default)]
struct View {
    /// Our close is not answered.
    closing: bool,
    consumers: Vec<amqp_types::ShortStr>,
    last_tag: u64,
    unsettled: BTreeSet<u64>,
    /// How many were published since confirm mode was selected.
    confirms: Option<u64>,
    unconfirmed: VecDeque<Published>,
    paused: bool,
}

#[derive(Debug)]
pub(super) struct Broker {
    pub(super) inbound: VecDeque<Message>,
    channels: BTreeMap<u16, View>,
    assemblers: BTreeMap<u16, Assembler<Spec>>,
    blocked: bool,
    /// What it does not read while it blocks the client.
    unread: VecDeque<Frame>,
    /// It has closed, or answered the client's close.
    over: bool,
    messages: u64,
    pub(super) told: BTreeMap<Bytes, Told>,
}

impl Broker {
    pub(super) fn new() -> Self {
        Self {
            inbound: VecDeque::new(),
            channels: BTreeMap::new(),
            assemblers: BTreeMap::new(),
            blocked: false,
            unread: VecDeque::new(),
            over: false,
            messages: 0,
            told: BTreeMap::new(),
        }
    }

    /// What is open on a channel of this number, if it is.
    fn open(&self, id: u16) -> Option<&View> {
        self.channels.get(&id).filter(|view| !view.closing && !self.over)
    }

    /// The deliveries that are open on a channel of this number.
    pub(super) fn unsettled(&self, id: u16) -> Option<&BTreeSet<u64>> {
        self.open(id).map(|view| &view.unsettled)
    }

    pub(super) fn can(&self, event: Event) -> bool {
        let open = |id: u16| self.open(id);
        let unconfirmed = |id: u16| open(id).map_or(0, |view| view.unconfirmed.len());
        match event {
            Event::Deliver(id) | Event::Cancel(id) => {
                open(id).is_some_and(|view| !view.consumers.is_empty())
            }
            Event::Ack(id) | Event::Nack(id) => unconfirmed(id) > 0,
            Event::AckAll(id) | Event::AckLast(id) => unconfirmed(id) > 1,
            Event::Return(id) => open(id)
                .and_then(|view| view.unconfirmed.front())
                .is_some_and(|first| first.publish.mandatory),
            Event::CloseChannel(id) => open(id).is_some(),
            Event::Late(id) => {
                !self.over && self.channels.get(&id).is_some_and(|view| view.closing)
            }
            Event::FlowOff(id) => open(id).is_some_and(|view| !view.paused),
            Event::FlowOn(id) => open(id).is_some_and(|view| view.paused),
            Event::Block => !self.over && !self.blocked,
            Event::Unblock => !self.over && self.blocked,
            Event::CloseConnection => !self.over,
        }
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver(id) => self.deliver(id),
            Event::Ack(id) => self.confirm(id, 0, false, Told::Acked),
            Event::AckAll(id) => self.confirm(id, usize::MAX, true, Told::Acked),
            Event::AckLast(id) => self.confirm(id, usize::MAX, false, Told::Acked),
            Event::Nack(id) => self.confirm(id, 0, false, Told::Nacked),
            Event::Return(id) => self.give_back(id),
            Event::Cancel(id) => {
                let consumer_tag = self.channels.entry(id).or_default().consumers.remove(0);
                self.send(id, basic::Cancel { consumer_tag, no_wait: true });
            }
            Event::CloseChannel(id) => {
                let view = View { closing: true, ..View::default() };
                self.channels.insert(id, view);
                self.send(id, channel::Close { reply_code: 404, ..Default::default() });
            }
            Event::Late(id) => {
                let consumer_tag = queue_name(0, 1);
                let late = basic::Deliver { consumer_tag, delivery_tag: 99, ..Default::default() };
                self.send_content(id, late, b"late");
            }
            Event::FlowOff(id) | Event::FlowOn(id) => {
                let active = matches!(event, Event::FlowOn(_));
                self.channels.entry(id).or_default().paused = !active;
                self.send(id, channel::Flow { active });
            }
            Event::Block | Event::Unblock => self.block(event == Event::Block),
            Event::CloseConnection => {
                self.over = true;
                self.send(0, connection::Close { reply_code: 320, ..Default::default() });
            }
        }
    }

    /// A step towards a state in which nothing holds the client up, and every publish is confirmed; false in that state.
    pub(super) fn be_kind(&mut self) -> bool {
        let mut events = vec![Event::Unblock];
        for id in self.channels.keys().copied() {
            events.extend([Event::FlowOn(id), Event::AckAll(id), Event::Ack(id)]);
        }
        events.into_iter().find(|event| self.can(*event)).map(|event| self.happen(event)).is_some()
    }

    fn block(&mut self, blocked: bool) {
        self.blocked = blocked;
        amqp_types::if_spec! { connection.blocked => {
            match blocked {
                true => self.send(0, connection::Blocked::default()),
                false => self.send(0, connection::Unblocked::default()),
            }
        } else {} }
        for frame in std::mem::take(&mut self.unread) {
            self.take(frame);
        }
    }

    fn deliver(&mut self, id: u16) {
        self.messages += 1;
        let body = format!("d{}", self.messages);
        let view = self.channels.entry(id).or_default();
        view.last_tag += 1;
        view.unsettled.insert(view.last_tag);
        let deliver = basic::Deliver {
            consumer_tag: view.consumers[0].clone(),
            delivery_tag: view.last_tag,
            ..Default::default()
        };
        self.send_content(id, deliver, body.as_bytes());
    }

    #[allow(unused_variables, reason = "not every specification has confirms")]
    fn confirm(&mut self, id: u16, at: usize, multiple: bool, told: Told) {
        amqp_types::if_spec! { confirm.select => {
            let Some(view) = self.channels.get_mut(&id) else { return };
            let at = at.min(view.unconfirmed.len() - 1);
            let from = if multiple { 0 } else { at };
            let answered: Vec<Published> = view.unconfirmed.drain(from..=at).collect();
            let Some(delivery_tag) = answered.last().map(|it| it.tag) else { return };
            self.told.extend(answered.into_iter().map(|it| (it.body, told)));
            match told {
                Told::Nacked => {
                    self.send(id, basic::Nack { delivery_tag, multiple, requeue: false });
                }
                _ => self.send(id, basic::Ack { delivery_tag, multiple }),
            }
        } else {} }
    }

    fn give_back(&mut self, id: u16) {
        let Some(first) = self.channels.get(&id).and_then(|view| view.unconfirmed.front()) else {
            return;
        };
        let body = first.body.clone();
        let returned = basic::Return {
            reply_code: 312,
            routing_key: first.publish.routing_key.clone(),
            ..Default::default()
        };
        self.send_content(id, returned, &body);
        self.confirm(id, 0, false, Told::Returned);
    }

    /// A frame of the client's.
    pub(super) fn take(&mut self, frame: Frame) {
        if self.blocked {
            return self.unread.push_back(frame);
        }
        let id = frame.channel;
        let assembler = self.assemblers.entry(id).or_default();
        match assembler.push(frame).expect("the rules have seen it") {
            Some(Incoming::Method(method)) if id == 0 => self.take_control(&method),
            Some(Incoming::Method(method)) => self.take_method(id, &method),
            Some(Incoming::Content { method, body, .. }) => {
                self.publish(id, method, body.to_bytes());
            }
            None => {}
        }
    }

    fn take_control(&mut self, method: &Method) {
        if let Method::Connection(connection::Method::Close(_)) = method {
            self.over = true;
            self.send(0, connection::CloseOk::default());
        }
    }

    fn take_method(&mut self, id: u16, method: &Method) {
        if self.over {
            return;
        }
        let closing = self.channels.get(&id).is_some_and(|view| view.closing);
        match method {
            Method::Channel(channel::Method::Open(_)) => {
                self.channels.insert(id, View::default());
                self.send(id, channel::OpenOk::default());
            }
            Method::Channel(channel::Method::Close(_)) => {
                if !closing {
                    self.channels.remove(&id);
                }
                self.send(id, channel::CloseOk::default());
            }
            Method::Channel(channel::Method::CloseOk(_)) => {
                self.channels.remove(&id);
            }
            _ if closing => {}
            Method::Basic(method) => self.take_basic(id, method),
            Method::Queue(queue::Method::Declare(declare)) => {
                let queue = declare.queue.clone();
                self.send(id, queue::DeclareOk { queue, ..Default::default() });
            }
            method => self.take_other(id, method),
        }
    }

    fn take_basic(&mut self, id: u16, method: &basic::Method) {
        let view = self.channels.entry(id).or_default();
        amqp_types::if_spec! { basic.nack => {
            if let basic::Method::Nack(nack) = method {
                return view.settle(nack.delivery_tag, nack.multiple);
            }
        } else {} }
        match method {
            basic::Method::Ack(ack) => view.settle(ack.delivery_tag, ack.multiple),
            basic::Method::Reject(reject) => view.settle(reject.delivery_tag, false),
            basic::Method::Qos(_) => self.send(id, basic::QosOk::default()),
            basic::Method::Consume(consume) => {
                let consumer_tag = consume.consumer_tag.clone();
                view.consumers.push(consumer_tag.clone());
                self.send(id, basic::ConsumeOk { consumer_tag });
            }
            basic::Method::Cancel(cancel) => {
                let consumer_tag = cancel.consumer_tag.clone();
                view.consumers.retain(|tag| *tag != consumer_tag);
                self.send(id, basic::CancelOk { consumer_tag });
            }
            basic::Method::Get(get) => {
                view.last_tag += 1;
                view.unsettled.insert(view.last_tag);
                let (delivery_tag, routing_key) = (view.last_tag, get.queue.clone());
                let got = basic::GetOk { delivery_tag, routing_key, ..Default::default() };
                self.send_content(id, got, b"got");
            }
            _ => {}
        }
    }

    #[allow(unused_variables, reason = "not every specification has confirms")]
    fn take_other(&mut self, id: u16, method: &Method) {
        amqp_types::if_spec! { confirm.select => {
            use amqp_types::protocol::confirm;
            if let Method::Confirm(confirm::Method::Select(_)) = method {
                self.channels.entry(id).or_default().confirms.get_or_insert(0);
                self.send(id, confirm::SelectOk::default());
            }
        } else {} }
    }

    fn publish(&mut self, id: u16, method: Method, body: Bytes) {
        let view = self.channels.get_mut(&id).filter(|view| !view.closing);
        if let (Method::Basic(basic::Method::Publish(publish)), Some(view)) = (method, view)
            && let Some(count) = &mut view.confirms
        {
            *count += 1;
            view.unconfirmed.push_back(Published { tag: *count, publish, body });
        }
    }

    fn send<M: amqp_types::Method<Protocol = Spec>>(&mut self, id: u16, method: M) {
        let frames = VecDeque::from([method_frame(id, &method)]);
        self.inbound.push_back(Message { channel: id, method: method.into_any(), frames });
    }

    fn send_content<M>(&mut self, id: u16, method: M, body: &[u8])
    where
        M: amqp_types::Method<Protocol = Spec>,
    {
        let mut header = BytesMut::new();
        let properties = basic::Properties::default();
        ContentHeader::write(&properties, body.len() as u64, &mut Writer::new(&mut header))
            .expect("encodes");
        let body = Bytes::copy_from_slice(body);
        let frame = |kind, payload| Frame { kind, channel: id, payload };
        let frames = VecDeque::from([
            method_frame(id, &method),
            frame(FrameKind::Header, header.freeze()),
            frame(FrameKind::Body, body),
        ]);
        self.inbound.push_back(Message { channel: id, method: method.into_any(), frames });
    }
}

impl View {
    fn settle(&mut self, tag: u64, multiple: bool) {
        match multiple {
            true => self.unsettled.retain(|it| *it > tag),
            false => {
                self.unsettled.remove(&tag);
            }
        }
    }
}

fn method_frame<M: amqp_types::Method<Protocol = Spec>>(channel: u16, method: &M) -> Frame {
    let mut payload = BytesMut::new();
    method.encode(&mut Writer::new(&mut payload)).expect("encodes");
    Frame { kind: FrameKind::Method, channel, payload: payload.freeze() }
}

/// The name of a queue of a user's.
pub(super) fn queue_name(user: usize, n: usize) -> amqp_types::ShortStr {
    short(&format!("q{user}.{n}"))
}
