//! Returned messages find the publish that they were, and nobody else's.

use amqp_types::FieldTable;
use amqp_types::protocol::confirm;

use super::super::*;
use super::select;
use crate::testing::Rng;
use crate::{Outcome, ShortStr, UnknownReason};

pub(super) fn ready() -> (Bench, ChannelKey) {
    let mut bench = Bench::new();
    let key = bench.open();
    select(&mut bench, key);
    (bench, key)
}

pub(super) fn mandatory(properties: basic::Properties, body: &str) -> Message {
    let publish = basic::Publish { mandatory: true, routing_key: short("k"), ..Default::default() };
    Message { publish, properties: Some(properties), body: Bytes::copy_from_slice(body.as_bytes()) }
}

pub(super) fn publish(bench: &mut Bench, key: ChannelKey, mut message: Message) -> u64 {
    let mut place = Place::None;
    match bench.publish_from(key, &mut message, &mut place, Waker::noop()) {
        Poll::Ready(Ok(Some(tag))) => tag,
        other => panic!("{other:?}"),
    }
}

pub(super) fn give_back(bench: &mut Bench, key: ChannelKey, properties: &basic::Properties, body: &str) {
    let returned = basic::Return { reply_code: 312, routing_key: short("k"), ..Default::default() };
    bench.receive_with(key.id, returned, properties, body.as_bytes());
}

pub(super) fn answer(bench: &mut Bench, key: ChannelKey, delivery_tag: u64, multiple: bool, positive: bool) {
    match positive {
        true => bench.receive(key.id, basic::Ack { delivery_tag, multiple }),
        false => bench.receive(key.id, basic::Nack { delivery_tag, multiple, requeue: false }),
    }
}

pub(super) fn outcome(bench: &mut Bench, key: ChannelKey, tag: u64) -> Option<Outcome> {
    match bench.run(|session| session.poll_confirm(key, tag, Waker::noop())) {
        Poll::Ready(claimed) => Some(claimed.outcome.expect("confirm mode")),
        Poll::Pending => None,
    }
}

/// `a` acked, `n` nacked, `r` returned, `u` unknown because of a return that fits none, `.` pending.
pub(super) fn letter(outcome: Option<&Outcome>) -> char {
    match outcome {
        None => '.',
        Some(Outcome::Acked) => 'a',
        Some(Outcome::Nacked) => 'n',
        Some(Outcome::Returned(_)) => 'r',
        Some(Outcome::Unknown(UnknownReason::UnmatchedReturn)) => 'u',
        Some(other) => panic!("{other:?}"),
    }
}

pub(super) fn outcomes(bench: &mut Bench, key: ChannelKey, tags: std::ops::RangeInclusive<u64>) -> String {
    tags.map(|tag| letter(outcome(bench, key, tag).as_ref())).collect()
}

pub(super) fn headers(entries: &[(&str, i32)]) -> basic::Properties {
    let table = entries
        .iter()
        .fold(FieldTable::new(), |table, (key, value)| table.with(short(key), *value));
    basic::Properties::default().with_headers(table)
}

#[test]
fn messages_that_differ_in_their_headers_alone_are_told_apart() {
    let (mut bench, key) = ready();
    for n in 0..4 {
        publish(&mut bench, key, mandatory(headers(&[("n", n)]), "same"));
    }
    give_back(&mut bench, key, &headers(&[("n", 1)]), "same");
    give_back(&mut bench, key, &headers(&[("n", 3)]), "same");
    answer(&mut bench, key, 4, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=4), "arar");
}

#[test]
fn a_return_whose_publish_nobody_waits_for_is_nobody_elses() {
    let (mut bench, key) = ready();
    for body in ["one", "two", "three"] {
        publish(&mut bench, key, mandatory(headers(&[]), body));
    }
    bench.run(|session| session.detach_confirm(key, 2));
    give_back(&mut bench, key, &headers(&[]), "two");
    answer(&mut bench, key, 3, true, true);
    assert_eq!(outcome(&mut bench, key, 1).map(|it| it.is_acked()), Some(true));
    assert_eq!(outcome(&mut bench, key, 3).map(|it| it.is_acked()), Some(true));
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_return_that_fits_none_is_told_to_whoever_asks_for_returns() {
    let (mut bench, key) = ready();
    publish(&mut bench, key, mandatory(headers(&[]), "mine"));
    give_back(&mut bench, key, &headers(&[]), "whose?");
    let mut ticket = None;
    let returned = bench.run(|session| session.poll_returned(key, &mut ticket, Waker::noop()));
    let Poll::Ready(Ok(returned)) = returned else { panic!("{returned:?}") };
    assert_eq!(returned.body.to_bytes(), "whose?");
    answer(&mut bench, key, 1, false, true);
    assert_eq!(outcomes(&mut bench, key, 1..=1), "u");
}

#[test]
fn a_return_after_the_answer_to_its_publish_is_not_taken_for_another() {
    let (mut bench, key) = ready();
    for _ in 0..2 {
        publish(&mut bench, key, mandatory(headers(&[]), "same"));
    }
    answer(&mut bench, key, 1, false, true);
    give_back(&mut bench, key, &headers(&[]), "same");
    answer(&mut bench, key, 2, false, true);
    assert_eq!(outcomes(&mut bench, key, 1..=2), "ar");
}

#[test]
fn a_return_is_for_no_publish_before_the_one_that_came_back_last() {
    let (mut bench, key) = ready();
    for body in ["same", "other", "same"] {
        publish(&mut bench, key, mandatory(headers(&[]), body));
    }
    give_back(&mut bench, key, &headers(&[]), "other");
    give_back(&mut bench, key, &headers(&[]), "same");
    answer(&mut bench, key, 3, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=3), "arr");
}

#[test]
fn what_comes_back_before_the_select_ok_was_published_before_confirm_mode() {
    for (no_wait, abandoned) in [(false, false), (false, true), (true, false)] {
        let mut bench = Bench::new();
        let key = bench.open();
        let mut before = mandatory(headers(&[]), "same");
        let published = bench.publish_from(key, &mut before, &mut Place::None, Waker::noop());
        assert!(matches!(published, Poll::Ready(Ok(None))), "{published:?}");
        if no_wait {
            bench.send(key, confirm::Select { no_wait }).expect("sent");
        } else {
            let call = bench.call(key, confirm::Select::default());
            if abandoned {
                bench.abandon(call);
            }
        }
        let sent = bench.sent();
        assert!(format!("{:?}", sent.last()).contains("no_wait: false"), "{sent:?}");
        publish(&mut bench, key, mandatory(headers(&[]), "same"));
        // A second one changes nothing, and its answer comes later.
        bench.call(key, confirm::Select::default());
        give_back(&mut bench, key, &headers(&[]), "same");
        assert!(bench.run(|session| session.take_returned(key)).is_some());
        bench.receive(key.id, confirm::SelectOk::default());
        answer(&mut bench, key, 1, false, true);
        assert_eq!(outcomes(&mut bench, key, 1..=1), "a");
        publish(&mut bench, key, mandatory(headers(&[]), "same"));
        give_back(&mut bench, key, &headers(&[]), "same");
        bench.receive(key.id, confirm::SelectOk::default());
        answer(&mut bench, key, 2, false, true);
        assert_eq!(outcomes(&mut bench, key, 2..=2), "r");
        assert!(bench.session.close_reason().is_none());
    }
}

#[test]
fn a_select_without_a_reply_stays_one_where_nothing_was_published_before() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.send(key, confirm::Select { no_wait: true }).expect("sent");
    assert!(bench.only::<confirm::Select>().no_wait);
    publish(&mut bench, key, mandatory(headers(&[]), "same"));
    give_back(&mut bench, key, &headers(&[]), "same");
    answer(&mut bench, key, 1, false, true);
    assert_eq!(outcomes(&mut bench, key, 1..=1), "r");
}

pub(super) fn looks(bench: &mut Bench, key: ChannelKey) -> usize {
    bench.session.channels.get(key).expect("open").confirms.as_ref().expect("confirms").looks()
}

const MANY: u64 = 5000;

/// Publishes many, all of which come back, and answers them; every message may be looked at a few times.
fn come_back(message: fn(i32) -> basic::Properties, returned: fn(i32) -> basic::Properties) {
    for (shuffled, multiple) in [(false, false), (true, false), (false, true)] {
        let mut options = Options::default();
        options.unconfirmed_max = 20_000;
        options.retained_budget = usize::MAX;
        let mut bench = Bench::with(options);
        let key = bench.open();
        select(&mut bench, key);
        let all = i32::try_from(MANY).unwrap();
        for n in 0..all {
            publish(&mut bench, key, mandatory(message(n), "same"));
            bench.write();
        }
        for n in 0..all {
            give_back(&mut bench, key, &returned(n), "same");
        }
        match multiple {
            true => answer(&mut bench, key, MANY, true, true),
            false => {
                for n in 0..MANY {
                    // Every tag once, in another order than theirs.
                    let tag = if shuffled { n * 3 % MANY } else { n };
                    answer(&mut bench, key, tag + 1, false, true);
                }
            }
        }
        let looks = looks(&mut bench, key);
        assert!(looks < 20 * 5000, "{looks} looks");
        let outcomes = outcomes(&mut bench, key, 1..=MANY);
        assert!(outcomes.bytes().all(|it| it == b'r'), "{outcomes}");
    }
}

#[test]
fn many_returns_of_changed_messages_look_at_each_a_few_times_only() {
    come_back(|n| headers(&[("n", n), ("BCC", 7)]), |n| headers(&[("n", n)]));
}

#[test]
fn many_returns_of_messages_that_were_changed_in_unknown_ways_look_at_each_a_few_times_only() {
    come_back(|_| headers(&[("n", 1)]), |n| headers(&[("n", 1), ("stamp", n)]));
}

#[test]
fn many_returns_of_equal_messages_look_at_each_a_few_times_only() {
    come_back(|_| headers(&[]), |_| headers(&[]));
}

#[test]
fn many_returns_that_could_be_of_many_look_at_each_a_few_times_only() {
    let (mut bench, key) = ready();
    for n in 0..1000 {
        publish(&mut bench, key, mandatory(headers(&[("n", 1), ("BCC", n)]), "same"));
    }
    for _ in 0..1000 {
        give_back(&mut bench, key, &headers(&[("n", 1)]), "same");
    }
    assert!(looks(&mut bench, key) < 20_000, "{}", looks(&mut bench, key));
    answer(&mut bench, key, 1000, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=1000), "u".repeat(1000));
}

#[test]
fn what_came_back_and_is_no_outcome_at_the_end_is_told_in_its_order() {
    let (mut bench, key) = ready();
    let body = |n: u64| format!("{}", n * 37 % 100);
    for n in 0..100 {
        publish(&mut bench, key, mandatory(headers(&[]), &body(n)));
    }
    for n in 0..100 {
        give_back(&mut bench, key, &headers(&[]), &body(n));
    }
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    for n in 0..100 {
        let returned = bench.run(|session| session.take_returned(key)).expect("told");
        assert_eq!(returned.body.to_bytes(), body(n));
    }
}

/// What a broker does with one publish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Ack,
    Nack,
    Return,
}

/// Publishes at random, some not mandatory and some with a confirmation dropped, and answers as brokers may: returns in
/// publish order and each before its answer, answers in any order, single and multiple.
fn play(seed: u64, kinds: usize) -> (u64, u64) {
    let mut rng = Rng::new(seed);
    let (mut bench, key) = ready();
    let mut fates: Vec<(Fate, String, bool)> = Vec::new();
    let (mut returned_to, mut open) = (0_usize, Vec::<usize>::new());
    let (mut letters, mut checked) = (std::collections::BTreeMap::<u64, char>::new(), 0);
    while fates.len() < 300 || !open.is_empty() {
        if fates.len() < 300 && (open.is_empty() || rng.one_in(2)) {
            let body = format!("body {}", rng.below(kinds));
            let fate = match rng.below(7) {
                0 => Fate::Return,
                1 => Fate::Nack,
                _ => Fate::Ack,
            };
            let mut message = mandatory(headers(&[]), &body);
            message.publish.mandatory = fate == Fate::Return || !rng.one_in(4);
            let tag = publish(&mut bench, key, message);
            let dropped = rng.one_in(10);
            if dropped {
                bench.run(|session| session.detach_confirm(key, tag));
            }
            open.push(fates.len());
            fates.push((fate, body, dropped));
            continue;
        }
        // The broker has looked at everything up to here, so that it has returned what it returns.
        let at = rng.below(open.len());
        let index = open[at];
        while returned_to <= index {
            let (fate, body, _) = &fates[returned_to];
            if *fate == Fate::Return {
                give_back(&mut bench, key, &headers(&[]), body);
            }
            returned_to += 1;
        }
        let positive = fates[index].0 != Fate::Nack;
        let same = |index: usize| (fates[index].0 != Fate::Nack) == positive;
        let multiple = rng.one_in(3) && open[..=at].iter().all(|index| same(*index));
        answer(&mut bench, key, index as u64 + 1, multiple, positive);
        match multiple {
            true => drop(open.drain(..=at)),
            false => drop(open.remove(at)),
        }
    }
    for (n, (_, body, dropped)) in fates.iter().enumerate().filter(|(_, (_, _, it))| !it) {
        let tag = n as u64 + 1;
        let outcome = outcome(&mut bench, key, tag);
        if let Some(Outcome::Returned(returned)) = &outcome {
            assert_eq!(returned.body.to_bytes(), body.as_bytes(), "seed {seed}, publish {tag}");
        }
        assert!(!dropped);
        letters.insert(tag, letter(outcome.as_ref()));
    }
    let mut mispaired = 0;
    for (tag, letter) in &letters {
        let expected = match fates[usize::try_from(*tag).unwrap() - 1].0 {
            Fate::Ack => 'a',
            Fate::Nack => 'n',
            Fate::Return => 'r',
        };
        checked += 1;
        mispaired += u64::from(*letter != expected);
    }
    let returns = |letter: char| letters.values().filter(|it| **it == letter).count();
    if fates.iter().all(|(_, _, dropped)| !dropped) {
        let fated = fates.iter().filter(|(fate, _, _)| *fate == Fate::Return).count();
        assert_eq!(returns('r'), fated, "seed {seed}");
    }
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() }, "seed {seed}");
    (checked, mispaired)
}

#[test]
fn whatever_the_order_of_answers_every_distinct_message_gets_its_own_outcome() {
    for seed in 0..100 {
        let (checked, mispaired) = play(seed, usize::MAX >> 1);
        assert!(checked > 200);
        assert_eq!(mispaired, 0, "seed {seed}");
    }
}

#[test]
fn user_octets_in_a_name_are_no_matter() {
    let long = "k".repeat(200);
    let (mut bench, key) = ready();
    let mut message = mandatory(headers(&[]), "x");
    message.publish.routing_key = ShortStr::try_from(long.as_str()).unwrap();
    publish(&mut bench, key, message);
    let returned = basic::Return {
        reply_code: 312,
        routing_key: ShortStr::try_from(long).unwrap(),
        ..Default::default()
    };
    bench.receive_with(key.id, returned, &headers(&[]), b"x");
    answer(&mut bench, key, 1, false, true);
    assert_eq!(outcomes(&mut bench, key, 1..=1), "r");
}
