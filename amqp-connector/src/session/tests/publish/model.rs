//! Publishes of few contents at random on several channels, against a broker that is known to return some of them: a
//! model says what may be told of each.

use std::collections::BTreeMap;

use amqp_types::{FieldArray, FieldTable, FieldValue};
use amqp_types::protocol::confirm;

use super::super::*;
use crate::testing::Rng;
use crate::{Outcome, UnknownReason};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Ack,
    Nack,
    Return,
}

/// What is sent and how it comes back: as it is, without `BCC`, with a completed address, changed in a way that nobody
/// knows, sorted, or written in the one way that the wire has for two types of value; the last eight in pairs that differ
/// only in what the broker hides.
const CONTENTS: usize = 15;
const HIDDEN: usize = 7;

fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
    entries.iter().map(|(key, value)| (short(key), value.clone())).collect()
}

fn array(value: FieldValue) -> FieldValue {
    let table = FieldValue::Table(table(&[("in", value)]));
    FieldValue::Array(FieldArray::from(vec![FieldValue::Table(FieldTable::new()), table]))
}

/// `other` is whether it is sent in the other one of two ways.
fn content(n: usize, other: bool) -> (basic::Properties, &'static str) {
    let int = FieldValue::I32;
    let (entries, body): (&[(&str, FieldValue)], _) = match n {
        0 => (&[("n", int(1))], "one"),
        1 => (&[("n", int(2))], "one"),
        2 => (&[("n", int(3)), ("BCC", int(1))], "one"),
        3 => (&[("n", int(4))], "one"),
        4 => (&[("n", int(1))], "stamped"),
        5 if other => (&[("n", array(FieldValue::I64Alt(5)))], "one"),
        5 => (&[("n", array(FieldValue::I64(5)))], "one"),
        6 => (&[("n", int(6)), ("k", int(1)), ("BCC", int(1)), ("n", int(7))], "one"),
        7 => (&[("n", int(5)), ("BCC", int(7))], "two"),
        8 => (&[("n", int(5)), ("BCC", int(8))], "two"),
        9 | 10 => (&[("n", int(if n == 9 { 7 } else { 8 }))], "three"),
        11 => (&[("n", int(1)), ("k", int(1))], "one"),
        12 => (&[("k", int(1)), ("n", int(1))], "one"),
        _ => (&[], "one"),
    };
    let properties = basic::Properties::default();
    let properties = match n {
        3 => properties.with_reply_to(short("amq.rabbitmq.reply-to")),
        6 => properties.with_expiration(short("007")),
        _ => properties,
    };
    let properties = match n {
        14 => properties,
        _ => properties.with_headers(table(entries)),
    };
    (properties, body)
}

/// Those of a pair look alike when they come back.
fn is_hidden(n: usize) -> bool {
    n >= HIDDEN
}

fn pair(n: usize) -> usize {
    n.div_ceil(2)
}

/// How it comes back from a broker that rewrites properties, or from one that takes `BCC` out only.
fn changed(n: usize, rewrites: bool) -> basic::Properties {
    let (mut properties, _) = content(n, false);
    let int = FieldValue::I32;
    if !rewrites && n == 6 {
        let left = table(&[("n", int(6)), ("k", int(1)), ("n", int(7))]);
        return properties.with_headers(left);
    }
    if !rewrites && n > 10 {
        return properties;
    }
    let headers = match n {
        2 => table(&[("n", int(3))]),
        4 | 9 | 10 => table(&[("stamp", int(5))]),
        6 => table(&[("k", int(1)), ("n", int(6))]),
        7 | 8 => table(&[("n", int(5))]),
        11 | 12 => table(&[("k", int(1)), ("n", int(1))]),
        13 | 14 => return basic::Properties::default(),
        _ => return match properties.reply_to {
            Some(_) => properties.with_reply_to(short("amq.rabbitmq.reply-to.g2dkAB")),
            None => properties,
        },
    };
    properties.expiration = properties.expiration.map(|_| short("7"));
    properties.with_headers(headers)
}

struct Sent {
    content: usize,
    fate: Fate,
    /// A return came that may have been this one or another.
    doubtful: bool,
}

/// One channel with what the broker does with it.
struct Line {
    key: ChannelKey,
    /// What is published on it.
    contents: Vec<usize>,
    sent: Vec<Sent>,
    returned_to: usize,
    open: Vec<usize>,
    returns: usize,
    rewrites: bool,
}

fn publish(bench: &mut Bench, rng: &mut Rng, key: ChannelKey, n: usize) -> Option<u64> {
    let (properties, body) = content(n, rng.one_in(2));
    let publish = basic::Publish { mandatory: true, routing_key: short("k"), ..Default::default() };
    let mut message = Message { publish, properties: Some(properties), body: Bytes::from_static(body.as_bytes()) };
    match bench.publish_from(key, &mut message, &mut Place::None, Waker::noop()) {
        Poll::Ready(Ok(tag)) => tag,
        other => panic!("{other:?}"),
    }
}

fn give_back(bench: &mut Bench, key: ChannelKey, n: usize, rewrites: bool) {
    let returned = basic::Return { reply_code: 312, routing_key: short("k"), ..Default::default() };
    bench.receive_with(key.id, returned, &changed(n, rewrites), content(n, false).1.as_bytes());
}

/// A channel that goes into confirm mode after some publishes; what of them comes back does so when others are under way.
fn begin(bench: &mut Bench, rng: &mut Rng, rewrites: bool) -> Line {
    let key = bench.open();
    let before: Vec<_> = (0..rng.below(6)).map(|_| rng.below(CONTENTS)).collect();
    for n in &before {
        assert_eq!(publish(bench, rng, key, *n), None);
    }
    let no_wait = rng.one_in(2);
    let call = match no_wait {
        true => {
            bench.send(key, confirm::Select { no_wait }).expect("sent");
            None
        }
        false => Some(bench.call(key, confirm::Select::default())),
    };
    // Of one content alone, of few or of many.
    let many = [1, 3, CONTENTS][rng.below(3)];
    let contents = (0..many).map(|_| rng.below(CONTENTS)).collect();
    let (sent, open) = Default::default();
    let mut line = Line { key, contents, sent, returned_to: 0, open, returns: 0, rewrites };
    for _ in 0..rng.below(20) {
        line.publish(bench, rng);
    }
    for n in &before {
        if rng.one_in(2) {
            give_back(bench, key, *n, rewrites);
            line.returns += 1;
        }
    }
    if !no_wait || !before.is_empty() {
        bench.receive(key.id, confirm::SelectOk::default());
    }
    if let Some(call) = call {
        bench.reply(call);
    }
    line
}

impl Line {
    fn publish(&mut self, bench: &mut Bench, rng: &mut Rng) {
        let content = self.contents[rng.below(self.contents.len())];
        // Some contents are never returned, some always.
        let fate = match (content, rng.below(7)) {
            (1, _) => Fate::Ack,
            (2, 0..4) | (_, 0..2) => Fate::Return,
            (_, 2) => Fate::Nack,
            (2, _) => Fate::Return,
            _ => Fate::Ack,
        };
        let tag = publish(bench, rng, self.key, content);
        assert_eq!(tag, Some(self.sent.len() as u64 + 1));
        self.open.push(self.sent.len());
        self.sent.push(Sent { content, fate, doubtful: false });
    }

    /// The broker answers one or several publishes; it has looked at everything up to the last of them.
    fn answer(&mut self, bench: &mut Bench, rng: &mut Rng) {
        let at = rng.below(self.open.len());
        let index = self.open[at];
        for n in self.returned_to..=index {
            let Sent { content, fate: Fate::Return, .. } = self.sent[n] else { continue };
            give_back(bench, self.key, content, self.rewrites);
            self.returns += 1;
            if is_hidden(content) {
                for other in &self.open {
                    let other = &mut self.sent[*other];
                    other.doubtful |= pair(other.content) == pair(content);
                }
            }
        }
        self.returned_to = self.returned_to.max(index + 1);
        let positive = |n: usize| self.sent[n].fate != Fate::Nack;
        let same = self.open[..=at].iter().all(|n| positive(*n) == positive(index));
        let (multiple, delivery_tag) = (same && rng.one_in(2), index as u64 + 1);
        match positive(index) {
            true => bench.receive(self.key.id, basic::Ack { delivery_tag, multiple }),
            false => {
                bench.receive(self.key.id, basic::Nack { delivery_tag, multiple, requeue: false });
            }
        }
        match multiple {
            true => drop(self.open.drain(..=at)),
            false => drop(self.open.remove(at)),
        }
    }

    fn check(&mut self, bench: &mut Bench, what: &str) -> usize {
        let key = self.key;
        let mut told = BTreeMap::<usize, [usize; 4]>::new();
        let (mut returned, mut unknown) = (0, 0);
        for (n, sent) in self.sent.iter().enumerate() {
            let outcome =
                match bench.run(|it| it.poll_confirm(key, n as u64 + 1, Waker::noop())) {
                    Poll::Ready(claimed) => claimed.outcome.expect("confirm mode"),
                    Poll::Pending => panic!("{what}: publish {n} has no outcome"),
                };
            let told = told.entry(sent.content).or_default();
            assert_eq!(matches!(outcome, Outcome::Nacked), sent.fate == Fate::Nack, "{what}, {n}");
            match outcome {
                Outcome::Acked => told[0] += 1,
                Outcome::Returned(it) => {
                    assert_eq!(it.body.to_bytes(), content(sent.content, false).1, "{what}, {n}");
                    (told[1], returned) = (told[1] + 1, returned + 1);
                }
                Outcome::Nacked => {}
                Outcome::Unknown(UnknownReason::UnmatchedReturn) => {
                    let equal = self.sent.iter().filter(|it| it.content == sent.content);
                    let doubtful = equal.filter(|it| it.doubtful).count() > 0;
                    assert!(doubtful, "{what}: nothing is in doubt of publish {n}");
                    (told[2], unknown) = (told[2] + 1, unknown + 1);
                }
                other => panic!("{other:?}"),
            }
        }
        for (content, [acked, returned, unknown, _]) in told {
            let fated = |fate| {
                let all = self.sent.iter();
                all.filter(|it| it.content == content && it.fate == fate).count()
            };
            let (acks, returns) = (fated(Fate::Ack), fated(Fate::Return));
            let what = format!("{what}, content {content}");
            if is_hidden(content) {
                assert!(returned <= returns, "{what}: {returned} of {returns} came back");
                assert!(acked <= acks, "{what}: {acked} of {acks} were acked");
            } else {
                assert_eq!((acked, returned, unknown), (acks, returns, 0), "{what}");
            }
        }
        let news = std::iter::from_fn(|| bench.run(|session| session.take_returned(key)));
        assert_eq!(news.count() + returned, self.returns, "{what}: every return is told once");
        unknown
    }
}

#[test]
fn of_every_content_as_many_are_returned_as_came_back_and_nothing_is_guessed() {
    let [doubts, fewer] = [true, false].map(play);
    assert!(fewer > 0, "nothing was in doubt");
    assert!(fewer < doubts, "{fewer} and {doubts} were in doubt");
}

/// Tells how many outcomes were unknown.
fn play(rewrites: bool) -> usize {
    let mut unknown = 0;
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let mut bench = Bench::new();
        let mut lines: Vec<_> = (0..3).map(|_| begin(&mut bench, &mut rng, rewrites)).collect();
        for _ in 0..600 {
            let at = rng.below(lines.len());
            let line = &mut lines[at];
            match line.open.is_empty() || rng.one_in(2) {
                true => line.publish(&mut bench, &mut rng),
                false => line.answer(&mut bench, &mut rng),
            }
        }
        for line in &mut lines {
            while !line.open.is_empty() {
                line.answer(&mut bench, &mut rng);
            }
            unknown += line.check(&mut bench, &format!("seed {seed}, channel {}", line.key.id));
        }
        assert_eq!(bench.left(), Leftovers { channels: 3, ..Default::default() }, "seed {seed}");
    }
    unknown
}
