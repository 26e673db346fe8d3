//! What a client may send when, checked on the frames that a session wrote.
//!
//! Knows the protocol's dialogues and nothing of the session: it is told every frame that went out and every
//! message that came in, in their order, and panics at the first that breaks a rule.

use std::collections::{BTreeMap, BTreeSet};

use amqp_types::AnyMethod;
use amqp_types::frame::{Frame, FrameKind};
use amqp_types::protocol::{Method, basic, channel, connection};

/// How far a channel or the connection is, as both sides have told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Shut,
    Opening,
    Open,
    /// The client's close is not answered.
    Closing,
}

#[derive(Debug, Default)]
struct Channel {
    life: Life,
    /// Closes of the peer that the client has not answered.
    owes: usize,
    /// What is missing of a content: its header, or octets of its body.
    header: bool,
    body: u64,
    /// Deliveries that came and are not settled.
    unsettled: BTreeSet<u64>,
    /// Those whose numbers were in use.
    settled: BTreeSet<u64>,
    /// Tags of consumers that were asked for and not cancelled.
    consumers: BTreeSet<String>,
    flows: usize,
    cancels: usize,
}

/// The dialogue so far.
#[derive(Debug, Default)]
pub(super) struct Rules {
    channels: BTreeMap<u16, Channel>,
    /// The client has sent its close, or its answer to the peer's.
    closing: bool,
    over: bool,
    owes: usize,
}

impl Rules {
    /// A frame of the client's.
    pub(super) fn sent(&mut self, frame: &Frame) {
        assert!(!self.over, "a frame after connection.close-ok: {frame:?}");
        match (frame.kind, frame.channel) {
            (FrameKind::Heartbeat, id) => assert_eq!(id, 0, "a heartbeat on a channel"),
            (FrameKind::Method, 0) => self.sent_control(&decode(frame)),
            (_, 0) => panic!("content on channel 0"),
            (kind, id) => {
                assert!(!self.closing, "channel {id}: {kind:?} after connection.close");
                let channel = self.channels.entry(id).or_default();
                match kind {
                    FrameKind::Method => channel.sent(id, &decode(frame)),
                    FrameKind::Header => channel.sent_header(id, &frame.payload),
                    _ => channel.sent_body(id, frame.payload.len() as u64),
                }
            }
        }
    }

    fn sent_control(&mut self, method: &Method) {
        match method {
            Method::Connection(connection::Method::CloseOk(_)) => {
                assert_eq!(self.owes, 1, "connection.close-ok to no close");
                self.owes = 0;
                self.over = true;
            }
            Method::Connection(connection::Method::Close(_)) => {
                assert!(!self.closing, "connection.close twice");
                let half = self.channels.iter().find(|(_, it)| it.header || it.body > 0);
                assert!(half.is_none(), "connection.close within a content: {half:?}");
                self.closing = true;
            }
            Method::Connection(_) => {
                assert!(!self.closing, "{} after connection.close", name(method));
            }
            method => panic!("{} on channel 0", name(method)),
        }
    }

    /// A method of the peer's reached the client.
    pub(super) fn came(&mut self, id: u16, method: &Method) {
        match method {
            Method::Connection(connection::Method::Close(_)) => self.owes += 1,
            Method::Connection(connection::Method::CloseOk(_)) => self.over = true,
            method if id != 0 => self.channels.entry(id).or_default().came(method),
            _ => {}
        }
    }

    /// Nothing comes or goes any more: whether the client has answered all that it had to.
    pub(super) fn check_end(&self) {
        assert_eq!(self.owes, 0, "connection.close was not answered");
        if self.over {
            return;
        }
        for (id, channel) in &self.channels {
            let Channel { owes, flows, cancels, header, body, .. } = channel;
            let owed = (*owes, *flows, *cancels, *header, *body);
            assert_eq!(owed, (0, 0, 0, false, 0), "channel {id} owes: {channel:?}");
        }
    }

    /// The deliveries of an open channel that the client has not settled.
    pub(super) fn unsettled(&self, id: u16) -> Option<&BTreeSet<u64>> {
        let channel = self.channels.get(&id)?;
        (channel.life == Life::Open).then_some(&channel.unsettled)
    }
}

impl Channel {
    fn sent(&mut self, id: u16, method: &Method) {
        let name = name(method);
        let whole = !self.header && self.body == 0;
        assert!(whole, "channel {id}: {name} within a content: {self:?}");
        match method {
            Method::Channel(channel::Method::CloseOk(_)) => {
                assert!(self.owes > 0, "channel {id}: close-ok to no close");
                self.owes -= 1;
                return;
            }
            _ => assert_eq!(self.owes, 0, "channel {id}: {name} before close-ok"),
        }
        match method {
            Method::Channel(channel::Method::Open(_)) => {
                assert_eq!(self.life, Life::Shut, "channel {id}: open");
                self.life = Life::Opening;
            }
            Method::Channel(channel::Method::Close(_)) => {
                let lives = matches!(self.life, Life::Opening | Life::Open);
                assert!(lives, "channel {id}: close while {:?}", self.life);
                self.life = Life::Closing;
            }
            method => {
                assert_eq!(self.life, Life::Open, "channel {id}: {name}");
                self.sent_request(id, method);
            }
        }
        self.header = method.info().content;
    }

    fn sent_request(&mut self, id: u16, method: &Method) {
        match method {
            Method::Channel(channel::Method::FlowOk(_)) => {
                self.flows = self.flows.checked_sub(1).expect("flow-ok to no flow");
            }
            Method::Basic(method) => self.sent_basic(id, method),
            _ => {}
        }
    }

    fn sent_basic(&mut self, id: u16, method: &basic::Method) {
        amqp_types::if_spec! { basic.nack => {
            if let basic::Method::Nack(nack) = method {
                return self.settle(id, nack.delivery_tag, nack.multiple);
            }
        } else {} }
        match method {
            basic::Method::Ack(ack) => self.settle(id, ack.delivery_tag, ack.multiple),
            basic::Method::Reject(reject) => self.settle(id, reject.delivery_tag, false),
            basic::Method::Consume(consume) => {
                let fresh = self.consumers.insert(consume.consumer_tag.to_string());
                assert!(fresh, "channel {id}: {} consumes twice", consume.consumer_tag);
            }
            basic::Method::Cancel(cancel) => {
                // One that the peer has cancelled may have crossed it.
                self.consumers.remove(&*cancel.consumer_tag.to_string());
            }
            basic::Method::CancelOk(_) => {
                self.cancels = self.cancels.checked_sub(1).expect("cancel-ok to no cancel");
            }
            _ => {}
        }
    }

    /// As RabbitMQ: the tag itself must be one that is open.
    fn settle(&mut self, id: u16, tag: u64, multiple: bool) {
        let again = if self.settled.contains(&tag) { "again" } else { "that never came" };
        assert!(self.unsettled.contains(&tag), "channel {id}: settles {tag} {again}");
        let tags: Vec<u64> = match multiple {
            true => self.unsettled.range(..=tag).copied().collect(),
            false => vec![tag],
        };
        for tag in tags {
            self.unsettled.remove(&tag);
            self.settled.insert(tag);
        }
    }

    fn sent_header(&mut self, id: u16, payload: &[u8]) {
        assert!(self.header, "channel {id}: a header without its method");
        self.header = false;
        // Behind the class and the weight.
        let size = payload.get(4..12).and_then(|octets| octets.try_into().ok());
        self.body = u64::from_be_bytes(size.expect("a header's size"));
    }

    fn sent_body(&mut self, id: u16, octets: u64) {
        assert!(!self.header, "channel {id}: a body before its header");
        self.body = self.body.checked_sub(octets).expect("no more body than was announced");
    }

    fn came(&mut self, method: &Method) {
        match method {
            Method::Channel(channel::Method::OpenOk(_)) if self.life == Life::Opening => {
                self.life = Life::Open;
            }
            Method::Channel(channel::Method::Close(_)) => {
                // One that crosses the client's own is answered, and the client's, too.
                let life = if self.life == Life::Closing { Life::Closing } else { Life::Shut };
                let (header, body, owes) = (self.header, self.body, self.owes + 1);
                *self = Self { life, header, body, owes, ..Self::default() };
            }
            Method::Channel(channel::Method::CloseOk(_)) => *self = Self::default(),
            Method::Channel(channel::Method::Flow(_)) if self.life == Life::Open => self.flows += 1,
            Method::Basic(basic::Method::Cancel(cancel)) if self.life == Life::Open => {
                self.consumers.remove(&*cancel.consumer_tag.to_string());
                self.cancels += usize::from(!cancel.no_wait);
            }
            Method::Basic(basic::Method::Deliver(deliver)) if self.life == Life::Open => {
                self.unsettled.insert(deliver.delivery_tag);
            }
            Method::Basic(basic::Method::GetOk(got)) if self.life == Life::Open => {
                self.unsettled.insert(got.delivery_tag);
            }
            _ => {}
        }
    }
}

fn decode(frame: &Frame) -> Method {
    Method::decode(&frame.payload).expect("a method")
}

fn name(method: &Method) -> &'static str {
    method.info().full_name
}
