//! A tiny broker over the scripted peer: one queue, any number of channels, confirms, heartbeats.
//!
//! It checks the client as it goes: settled tags must be outstanding on their channel, and whatever the
//! peer itself checks. Deterministic: what it does depends on what comes and on its seed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use amqp_connector::amqp_types::{AnyMethod, Body, reflect::Value};
use amqp_connector::protocol::{Method, Properties, basic, channel, connection, queue};
use amqp_connector::testing::{Event, Peer, Rng};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a broker does of its own accord.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Friendly,
    /// Closes the channel that the n-th event comes on.
    ClosesChannel(usize),
    /// Closes the connection at the n-th event.
    ClosesConnection(usize),
    /// Drops the transport at the n-th event.
    Vanishes(usize),
    /// Answers nothing from the n-th event on, but lives.
    Mute(usize),
    /// Pauses the channel of the n-th event until the client has answered.
    Pauses(usize),
    /// Blocks publishing at the n-th event until its next heartbeat.
    Blocks(usize),
}

#[derive(Default)]
struct View {
    confirms: Option<u64>,
    unconfirmed: Vec<u64>,
    next_tag: u64,
    unsettled: BTreeMap<u64, Message>,
    consumers: Vec<(String, bool)>,
    closing: bool,
}

type Message = (basic::Properties, Body);

pub(crate) struct Broker<T> {
    peer: Peer<T>,
    rng: Rng,
    mood: Mood,
    seen: usize,
    ready: VecDeque<Message>,
    channels: BTreeMap<u16, View>,
    names: u64,
    /// It says everything about closes twice.
    pub(crate) repeats: bool,
    /// What the client did last, but for heartbeats.
    pub(crate) last: String,
    pub(crate) log: Vec<String>,
}

/// How the conversation went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The client ended the transport, or the broker did.
    Over,
    /// The client said nothing for two heartbeats.
    ClientSilent,
    /// The client broke a rule.
    Broken(String),
    /// The transport ended within a frame.
    Truncated,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Broker<T> {
    pub(crate) fn new(peer: Peer<T>, seed: u64, mood: Mood) -> Self {
        Self {
            peer,
            rng: Rng::new(seed),
            mood,
            seen: 0,
            ready: VecDeque::new(),
            channels: BTreeMap::new(),
            names: 0,
            repeats: false,
            last: "nothing".to_owned(),
            log: Vec::new(),
        }
    }

    /// Serves the connection to its end, the handshake included.
    pub(crate) async fn run(&mut self) -> Verdict {
        let mut last_heard = Instant::now();
        let mut next_beat = Instant::now() + HEARTBEAT / 2;
        loop {
            let due = next_beat.min(last_heard + 2 * HEARTBEAT);
            match tokio::time::timeout_at(due, self.peer.next()).await {
                Ok(Ok(Event::End)) => return Verdict::Over,
                Ok(Ok(event)) => {
                    last_heard = Instant::now();
                    self.log.push(format!("{:?} {event}", last_heard));
                    if let Some(verdict) = self.handle(event).await {
                        return verdict;
                    }
                }
                Ok(Err(error)) if error.is_truncation() => return Verdict::Truncated,
                Ok(Err(error)) => return Verdict::Broken(error.to_string()),
                Err(_) => {
                    let now = Instant::now();
                    if now >= last_heard + 2 * HEARTBEAT {
                        return Verdict::ClientSilent;
                    }
                    // A client that does not read must not stop the broker's own clock.
                    let beat = self.peer.send_heartbeat();
                    let _ = tokio::time::timeout(HEARTBEAT, beat).await;
                    self.unblock().await;
                    next_beat = now + HEARTBEAT / 2;
                }
            }
        }
    }

    async fn handle(&mut self, event: Event) -> Option<Verdict> {
        self.seen += 1;
        match &event {
            Event::ProtocolHeader(_) => self.last = "the protocol header".to_owned(),
            Event::Method { method, .. } | Event::Content { method, .. } => {
                self.last = method.info().full_name.to_owned();
            }
            _ => {}
        }
        match (self.mood, &event) {
            (Mood::Vanishes(at), _) if self.seen >= at => return Some(Verdict::Over),
            (Mood::Mute(at), _) if self.seen >= at => return None,
            (Mood::ClosesConnection(at), Event::Method { .. } | Event::Content { .. })
                if self.seen >= at && self.seen > 4 =>
            {
                self.mood = Mood::Friendly;
                let close = connection::Close { reply_code: 320, ..Default::default() };
                self.peer.send(0, close.clone()).await;
                if self.repeats {
                    self.peer.send(0, close).await;
                }
                return None;
            }
            (
                Mood::ClosesChannel(at),
                Event::Method { channel, .. } | Event::Content { channel, .. },
            ) if self.seen >= at
                && self.channels.get(channel).is_some_and(|view| !view.closing) =>
            {
                self.mood = Mood::Friendly;
                let close = channel::Close { reply_code: 404, ..Default::default() };
                let id = *channel;
                self.forget(id);
                self.channels.entry(id).or_default().closing = true;
                self.peer.send(id, close.clone()).await;
                if self.repeats {
                    self.peer.send(id, close).await;
                }
            }
            (Mood::Pauses(at), Event::Method { channel, .. } | Event::Content { channel, .. })
                if self.seen >= at
                    && self.channels.get(channel).is_some_and(|view| !view.closing) =>
            {
                self.mood = Mood::Friendly;
                self.peer.send(*channel, channel::Flow { active: false }).await;
            }
            (Mood::Blocks(at), _) if self.seen == at && at > 4 => {
                amqp_connector::amqp_types::if_spec! { connection.blocked => {
                    self.peer.send(0, connection::Blocked::default()).await;
                } else {} }
            }
            _ => {}
        }
        match event {
            Event::ProtocolHeader(_) => {
                let start = self.peer.start();
                self.peer.send(0, start).await;
                None
            }
            Event::Method { channel: 0, method } => self.control(method).await,
            Event::Method { channel, method } => self.method(channel, method).await,
            Event::Content { channel, method, properties, body } => {
                if let (
                    Method::Basic(basic::Method::Publish(publish)),
                    Properties::Basic(properties),
                ) = (method, properties)
                {
                    self.publish(channel, publish, properties, body).await;
                }
                None
            }
            _ => None,
        }
    }

    async fn unblock(&mut self) {
        if matches!(self.mood, Mood::Blocks(at) if self.seen >= at) {
            amqp_connector::amqp_types::if_spec! { connection.blocked => {
                self.peer.send(0, connection::Unblocked::default()).await;
            } else {} }
        }
    }

    async fn control(&mut self, method: Method) -> Option<Verdict> {
        match &method {
            Method::Connection(connection::Method::StartOk(_)) => {
                let seconds = u16::try_from(HEARTBEAT.as_secs()).expect("small");
                let tune = connection::Tune { channel_max: 9, frame_max: 4096, heartbeat: seconds };
                self.peer.send(0, tune).await;
            }
            _ => {
                self.answer(0, &method).await;
            }
        }
        None
    }

    /// Answers, and says everything about closes twice if it does.
    async fn answer(&mut self, id: u16, method: &Method) {
        self.peer.answer(id, method).await;
        let closes = matches!(
            method,
            Method::Channel(channel::Method::Close(_))
                | Method::Connection(connection::Method::Close(_))
        );
        if closes && self.repeats {
            self.peer.answer(id, method).await;
        }
    }

    async fn method(&mut self, id: u16, method: Method) -> Option<Verdict> {
        let view = self.channels.entry(id).or_default();
        if view.closing {
            match &method {
                Method::Channel(channel::Method::CloseOk(_)) => {
                    self.channels.remove(&id);
                }
                Method::Channel(channel::Method::Close(_)) => {
                    self.answer(id, &method).await;
                }
                _ => {}
            }
            return None;
        }
        match &method {
            Method::Basic(basic::Method::Ack(ack)) => {
                return self.settle(id, ack.delivery_tag, ack.multiple, false);
            }
            Method::Basic(basic::Method::Reject(reject)) => {
                let verdict = self.settle(id, reject.delivery_tag, false, reject.requeue);
                self.deliver().await;
                return verdict;
            }
            Method::Basic(basic::Method::Get(get)) => {
                let empty = get.queue == *"none";
                self.get(id, get.no_ack, empty).await;
            }
            Method::Basic(basic::Method::Consume(consume)) => {
                self.names += 1;
                let tag = match consume.consumer_tag.is_empty() {
                    true => format!("amq.ctag-{}", self.names),
                    false => consume.consumer_tag.to_string(),
                };
                let consumer_tag = tag.as_str().try_into().expect("short");
                view.consumers.push((tag, consume.no_ack));
                if !is_no_wait(&method) {
                    self.peer.send(id, basic::ConsumeOk { consumer_tag }).await;
                }
                self.deliver().await;
            }
            Method::Basic(basic::Method::Cancel(cancel)) => {
                view.consumers.retain(|(tag, _)| cancel.consumer_tag != *tag.as_str());
                if !is_no_wait(&method) {
                    let consumer_tag = cancel.consumer_tag.clone();
                    self.peer.send(id, basic::CancelOk { consumer_tag }).await;
                }
            }
            Method::Queue(queue::Method::Declare(declare)) => {
                let queue = match declare.queue.is_empty() {
                    true => "amq.gen-1".try_into().expect("short"),
                    false => declare.queue.clone(),
                };
                let ok = queue::DeclareOk { queue, ..Default::default() };
                self.peer.send(id, ok).await;
            }
            Method::Channel(channel::Method::FlowOk(ok)) if !ok.active => {
                self.peer.send(id, channel::Flow { active: true }).await;
            }
            Method::Channel(channel::Method::Close(_)) => {
                self.forget(id);
                self.answer(id, &method).await;
                self.deliver().await;
            }
            _ => return self.other(id, method).await,
        }
        None
    }

    async fn other(&mut self, id: u16, method: Method) -> Option<Verdict> {
        amqp_connector::amqp_types::if_spec! { confirm.select => {
            if let Method::Confirm(amqp_connector::protocol::confirm::Method::Select(_)) = &method {
                self.channels.entry(id).or_default().confirms = Some(0);
            }
        } else {} }
        amqp_connector::amqp_types::if_spec! { basic.nack => {
            if let Method::Basic(basic::Method::Nack(nack)) = &method {
                let verdict = self.settle(id, nack.delivery_tag, nack.multiple, nack.requeue);
                self.deliver().await;
                return verdict;
            }
        } else {} }
        if !is_no_wait(&method) {
            self.peer.answer(id, &method).await;
        }
        None
    }

    fn forget(&mut self, id: u16) {
        if let Some(view) = self.channels.remove(&id) {
            self.ready.extend(view.unsettled.into_values());
        }
    }

    fn settle(&mut self, id: u16, tag: u64, multiple: bool, requeue: bool) -> Option<Verdict> {
        let view = self.channels.entry(id).or_default();
        let tags: Vec<u64> = match multiple {
            true => view.unsettled.range(..=tag).map(|(tag, _)| *tag).collect(),
            false => vec![tag],
        };
        for tag in tags {
            match view.unsettled.remove(&tag) {
                Some(message) if requeue => self.ready.push_back(message),
                Some(_) => {}
                None => {
                    let text = format!("tag {tag} settled on channel {id}, where it is not open");
                    return Some(Verdict::Broken(text));
                }
            }
        }
        None
    }

    async fn publish(
        &mut self,
        id: u16,
        publish: basic::Publish,
        properties: basic::Properties,
        body: Body,
    ) {
        let view = self.channels.entry(id).or_default();
        if view.closing {
            return;
        }
        let tag = view.confirms.as_mut().map(|count| {
            *count += 1;
            *count
        });
        view.unconfirmed.extend(tag);
        if publish.mandatory && publish.routing_key == *"nowhere" {
            let returned = basic::Return {
                reply_code: 312,
                reply_text: "NO_ROUTE".try_into().expect("short"),
                exchange: publish.exchange,
                routing_key: publish.routing_key,
            };
            self.peer.send_content(id, returned, properties, body.to_bytes()).await;
        } else if publish.routing_key != *"void" {
            self.ready.push_back((properties, body));
        }
        if tag.is_some() && !self.rng.one_in(3) {
            self.confirm(id).await;
        }
        self.deliver().await;
    }

    /// Confirms what is unconfirmed, in one of the ways that brokers do.
    async fn confirm(&mut self, id: u16) {
        let view = self.channels.entry(id).or_default();
        let mut tags = std::mem::take(&mut view.unconfirmed);
        let Some(last) = tags.last().copied() else { return };
        amqp_connector::amqp_types::if_spec! { confirm.select => {
            if self.rng.one_in(2) {
                self.peer.send(id, basic::Ack { delivery_tag: last, multiple: true }).await;
                return;
            }
            while !tags.is_empty() {
                let tag = tags.remove(self.rng.below(tags.len()));
                self.peer.send(id, basic::Ack { delivery_tag: tag, multiple: false }).await;
            }
        } else {
            tags.clear();
            unreachable!("publish {last} on channel {id}: the specification has no confirms");
        } }
    }

    /// Confirms everything that is still unconfirmed.
    async fn confirm_all(&mut self) {
        let ids: Vec<u16> = self.channels.keys().copied().collect();
        for id in ids {
            self.confirm(id).await;
        }
    }

    /// Queue `none` is always empty: asking for it makes the broker confirm.
    async fn get(&mut self, id: u16, no_ack: bool, empty: bool) {
        self.confirm_all().await;
        let first = if empty { None } else { self.ready.pop_front() };
        let Some(message) = first else {
            self.peer.send(id, basic::GetEmpty::default()).await;
            return;
        };
        let view = self.channels.entry(id).or_default();
        view.next_tag += 1;
        let got = basic::GetOk { delivery_tag: view.next_tag, ..Default::default() };
        let (properties, body) = message.clone();
        if !no_ack {
            view.unsettled.insert(got.delivery_tag, message);
        }
        self.peer.send_content(id, got, properties, body.to_bytes()).await;
    }

    async fn deliver(&mut self) {
        let consumer = self.channels.iter().find_map(|(id, view)| {
            let (tag, no_ack) = view.consumers.first()?;
            Some((*id, tag.clone(), *no_ack))
        });
        let Some((id, tag, no_ack)) = consumer else { return };
        self.confirm_all().await;
        while let Some(message) = self.ready.pop_front() {
            let view = self.channels.entry(id).or_default();
            view.next_tag += 1;
            let deliver = basic::Deliver {
                consumer_tag: tag.as_str().try_into().expect("short"),
                delivery_tag: view.next_tag,
                ..Default::default()
            };
            let (properties, body) = message.clone();
            if !no_ack {
                view.unsettled.insert(deliver.delivery_tag, message);
            }
            self.peer.send_content(id, deliver, properties, body.to_bytes()).await;
        }
    }

    /// Messages that are settled by nobody.
    pub(crate) fn messages(&self) -> usize {
        let unsettled: usize = self.channels.values().map(|view| view.unsettled.len()).sum();
        self.ready.len() + unsettled
    }
}

fn is_no_wait(method: &Method) -> bool {
    let fields = method.info().fields.iter();
    fields
        .zip(method.values())
        .any(|(field, value)| field.name.replace('-', "") == "nowait" && value == Value::Bit(true))
}
