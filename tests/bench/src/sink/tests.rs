//! The sink without sockets: frames in, frames out.

use std::collections::BTreeMap;

use amqp_types::Properties as _;
use amqp_types::content::{Assembler, Incoming};
use amqp_types::protocol::{
    FRAMING, Method, PROTOCOL_HEADER, Spec, basic, channel, confirm, connection, queue,
};
use bytes::BytesMut;

use super::scanner::{Scanner, Wrong};
use super::session::Session;
use crate::cases::{DISCARD, ECHO};
use crate::frames::{self, short};

/// A connection, as a client sees it.
struct Sink {
    session: Session,
    scanner: Scanner,
    octets: BytesMut,
    /// What it has written and has not been looked at.
    written: BytesMut,
    assemblers: BTreeMap<u16, Assembler<Spec>>,
}

impl Sink {
    /// With channels 1 and 2.
    fn open(vhost: &str) -> Self {
        let mut sink = Self {
            session: Session::new(),
            scanner: Scanner::default(),
            octets: BytesMut::new(),
            written: BytesMut::new(),
            assemblers: BTreeMap::new(),
        };
        assert_eq!(sink.session.greet(b"AMQP"), Ok(0), "only a part of it");
        assert_eq!(sink.session.greet(&PROTOCOL_HEADER), Ok(PROTOCOL_HEADER.len()));
        assert!(matches!(
            sink.read().as_slice(),
            [(0, Method::Connection(connection::Method::Start(_)))]
        ));
        sink.add(0, &connection::StartOk::default());
        sink.add(0, &connection::TuneOk { frame_max: 4096, ..Default::default() });
        let open = connection::Open { virtual_host: short(vhost), ..Default::default() };
        sink.add(0, &open);
        sink.add(1, &channel::Open::default());
        sink.add(2, &channel::Open::default());
        sink.send().unwrap();
        assert_eq!(sink.read().len(), 4, "tune, open-ok, twice open-ok");
        sink
    }

    /// A method that goes with the next batch.
    fn add<M: amqp_types::Method<Protocol = Spec>>(&mut self, channel: u16, method: &M) {
        frames::method(&mut self.octets, channel, method).unwrap();
    }

    /// A message that goes with the next batch.
    fn publish(&mut self, channel: u16, routing_key: &str, body: &[u8]) {
        frames::publish(&mut self.octets, channel, routing_key, 2, body, 4096).unwrap();
    }

    /// The batch.
    fn send(&mut self) -> Result<(), Wrong> {
        let octets = self.octets.split();
        assert_eq!(self.scanner.scan(&octets, &mut self.session)?, octets.len());
        self.session.end_of_batch()
    }

    fn call<M: amqp_types::Method<Protocol = Spec>>(&mut self, channel: u16, method: &M) {
        self.add(channel, method);
        self.send().unwrap();
    }

    /// What it writes when this many octets are taken at most.
    fn take(&mut self, mut most: usize) -> Vec<(u16, Incoming<Spec>)> {
        while most > 0 {
            let octets = self.session.next().unwrap();
            let count = octets.len().min(most).min(1000);
            if count == 0 {
                break;
            }
            self.written.extend_from_slice(&octets[..count]);
            self.session.wrote(count);
            most -= count;
        }
        let mut taken = Vec::new();
        while let Some(frame) = FRAMING.decode(&mut self.written, 131_072).unwrap() {
            let channel = frame.channel;
            let assembler = self.assemblers.entry(channel).or_default();
            taken.extend(assembler.push(frame).unwrap().map(|incoming| (channel, incoming)));
        }
        taken
    }

    /// The methods that it writes, where none has content.
    fn read(&mut self) -> Vec<(u16, Method)> {
        let methods = self.take(usize::MAX).into_iter();
        methods
            .map(|(channel, incoming)| match incoming {
                Incoming::Method(method) => (channel, method),
                Incoming::Content { method, .. } => panic!("a content: {method:?}"),
            })
            .collect()
    }

    /// The deliveries that it writes: channel, tag, octets of the body.
    fn deliveries(&mut self, most: usize) -> Vec<(u16, u64, usize)> {
        let taken = self.take(most).into_iter();
        taken
            .filter_map(|(channel, incoming)| match incoming {
                Incoming::Content { method, body, .. } => match method {
                    Method::Basic(basic::Method::Deliver(deliver)) => {
                        Some((channel, deliver.delivery_tag, body.len()))
                    }
                    other => panic!("{other:?}"),
                },
                Incoming::Method(_) => None,
            })
            .collect()
    }

    fn consume(&mut self, channel: u16, queue: &str, tag: &str, prefetch: Option<u16>) {
        let no_ack = prefetch.is_none();
        if let Some(prefetch_count) = prefetch {
            self.call(channel, &basic::Qos { prefetch_count, ..Default::default() });
        }
        let (queue, consumer_tag) = (short(queue), short(tag));
        self.call(channel, &basic::Consume { queue, consumer_tag, no_ack, ..Default::default() });
    }

    fn ack(&mut self, delivery_tag: u64, multiple: bool) -> Result<(), Wrong> {
        self.add(1, &basic::Ack { delivery_tag, multiple });
        self.send()
    }
}

fn ack(delivery_tag: u64, multiple: bool) -> Method {
    Method::Basic(basic::Method::Ack(basic::Ack { delivery_tag, multiple }))
}

#[test]
fn a_batch_of_publishes_is_confirmed_at_once_and_counted() {
    let mut sink = Sink::open("/");
    for channel in [1, 2] {
        sink.call(channel, &confirm::Select::default());
    }
    assert_eq!(sink.read().len(), 2);
    for (channel, body) in [(1, 16), (2, 0), (1, 10_000), (1, 1)] {
        sink.publish(channel, DISCARD, &frames::body(body));
    }
    sink.send().unwrap();
    assert_eq!(sink.read(), [(1, ack(3, true)), (2, ack(1, true))]);
    sink.call(1, &queue::Declare { queue: short(DISCARD), ..Default::default() });
    let declared = queue::DeclareOk { queue: short(DISCARD), message_count: 4, consumer_count: 0 };
    assert_eq!(sink.read(), [(1, Method::Queue(queue::Method::DeclareOk(declared)))]);
}

#[test]
fn a_publish_is_confirmed_when_its_body_is_there() {
    let mut sink = Sink::open("/");
    sink.call(1, &confirm::Select::default());
    sink.read();
    sink.publish(1, DISCARD, &frames::body(100));
    let rest = sink.octets.split_off(sink.octets.len() - 50);
    sink.send().unwrap();
    assert_eq!(sink.read(), []);
    sink.octets = rest;
    sink.send().unwrap();
    assert_eq!(sink.read(), [(1, ack(1, true))]);
}

#[test]
fn each_publish_is_confirmed_by_itself_where_that_is_asked_for() {
    let mut sink = Sink::open("/each");
    sink.call(1, &confirm::Select::default());
    sink.read();
    sink.publish(1, DISCARD, b"one");
    sink.publish(1, DISCARD, b"two");
    sink.send().unwrap();
    assert_eq!(sink.read(), [(1, ack(1, false)), (1, ack(2, false))]);
}

#[test]
fn what_is_published_to_echo_comes_back() {
    let mut sink = Sink::open("/");
    sink.publish(1, ECHO, b"nobody is there");
    sink.consume(2, ECHO, "me", None);
    sink.read();
    let long = frames::body(10_000);
    sink.publish(1, ECHO, &long);
    sink.publish(1, "echoes", b"another name");
    sink.publish(1, ECHO, b"");
    sink.send().unwrap();
    let taken = sink.take(usize::MAX);
    let [(2, first), (2, second)] = taken.as_slice() else { panic!("{taken:?}") };
    for (incoming, tag, expected) in [(first, 1, long.as_slice()), (second, 2, b"")] {
        let Incoming::Content { method, properties, body } = incoming else { panic!("{first:?}") };
        let deliver = basic::Deliver {
            consumer_tag: short("me"),
            delivery_tag: tag,
            routing_key: short(ECHO),
            ..Default::default()
        };
        assert_eq!(method, &Method::Basic(basic::Method::Deliver(deliver)));
        assert_eq!(properties, &frames::properties(2).into_any());
        assert_eq!(body.to_bytes(), expected);
    }
}

#[test]
fn a_flood_without_acks_has_no_end_and_numbers_its_deliveries() {
    let mut sink = Sink::open("/");
    sink.consume(1, "flood.5000", "me", None);
    let deliveries = sink.deliveries(3 << 20);
    assert!(deliveries.len() > 500);
    for (at, delivery) in deliveries.iter().enumerate() {
        assert_eq!(*delivery, (1, at as u64 + 1, 5000));
    }
}

#[test]
fn consumers_take_turns_once_all_are_there() {
    let mut sink = Sink::open("/");
    sink.consume(1, "flood.16.x2.after3", "a", None);
    sink.consume(1, "flood.17.x1.after3", "b", None);
    assert_eq!(sink.read().len(), 2);
    sink.consume(2, "flood.18.x1.after3", "c", None);
    let deliveries = sink.deliveries(1 << 20);
    let turns = [(1, 1, 16), (1, 2, 16), (1, 3, 17), (2, 1, 18), (1, 4, 16)];
    assert_eq!(deliveries[..turns.len()], turns);
}

#[test]
fn a_flood_with_acks_keeps_to_its_prefetch() {
    let mut sink = Sink::open("/");
    sink.consume(1, "flood.16", "me", Some(10));
    let tags = |sink: &mut Sink| {
        sink.deliveries(usize::MAX).into_iter().map(|(_, tag, _)| tag).collect::<Vec<_>>()
    };
    assert_eq!(tags(&mut sink), Vec::from_iter(1..=10));
    sink.ack(4, false).unwrap();
    assert_eq!(tags(&mut sink), [11]);
    sink.ack(6, true).unwrap();
    assert_eq!(tags(&mut sink), Vec::from_iter(12..=16));
    sink.ack(0, true).unwrap();
    assert_eq!(tags(&mut sink), Vec::from_iter(17..=26));
    assert!(sink.ack(26 + 1, false).is_err(), "it was never delivered");
    assert!(sink.ack(16, false).is_err(), "it was acknowledged before");
}

#[test]
fn a_flood_ends_at_its_limit_or_when_it_is_cancelled() {
    let mut sink = Sink::open("/");
    sink.consume(1, "flood.16.limit25", "all", None);
    assert_eq!(sink.deliveries(usize::MAX).len(), 25);
    sink.consume(1, "flood.16.limit12", "some", Some(10));
    assert_eq!(sink.deliveries(usize::MAX).len(), 10);
    sink.ack(0, true).unwrap();
    assert_eq!(sink.deliveries(usize::MAX).len(), 2);

    sink.consume(2, "flood.16", "endless", None);
    assert!(!sink.deliveries(100_000).is_empty());
    sink.call(2, &basic::Cancel { consumer_tag: short("endless"), ..Default::default() });
    // Ends at all, and the answer comes behind the last delivery.
    let rest = sink.take(usize::MAX);
    let last = rest.last().map(|(channel, incoming)| match incoming {
        Incoming::Method(method) => (*channel, method.clone()),
        other => panic!("{other:?}"),
    });
    let cancelled = basic::CancelOk { consumer_tag: short("endless") };
    assert_eq!(last, Some((2, Method::Basic(basic::Method::CancelOk(cancelled)))));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut session = Session::new();
    assert!(session.greet(b"GET / HTTP/1.1").is_err());
    let mut sink = Sink::open("/");
    sink.add(1, &basic::GetEmpty::default());
    assert!(sink.send().is_err());
    let mut sink = Sink::open("/");
    frames::body_frames(&mut sink.octets, 1, b"no publish before it", 4096).unwrap();
    assert!(sink.send().is_err());
}
