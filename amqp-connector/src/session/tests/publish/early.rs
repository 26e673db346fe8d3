//! Publishes that the broker does not answer while it answers later ones: they cost their own place in the limit and no other.

use std::collections::BTreeMap;

use super::super::*;
use super::confirming::{ack, closes, detach, ready};
use super::pairing::{answer, give_back, headers, mandatory, publish};
use crate::testing::Rng;
use crate::{ConfirmOptions, ErrorKind, Outcome};

fn claim(bench: &mut Bench, key: ChannelKey, tag: u64) -> Option<Outcome> {
    match bench.run(|session| session.poll_confirm(key, tag, Waker::noop())) {
        Poll::Ready(claimed) => Some(claimed.outcome.expect("confirm mode")),
        Poll::Pending => None,
    }
}

fn is_full(bench: &mut Bench, key: ChannelKey) -> bool {
    let refused = bench.run(|session| {
        let (mut more, mut place) = (message("x"), Place::None);
        session.poll_publish(key, &mut more, Location::caller(), &mut place, None)
    });
    match refused {
        Poll::Ready(Err(error)) => {
            assert_eq!(error.kind(), ErrorKind::Full);
            true
        }
        Poll::Ready(Ok(_)) => false,
        Poll::Pending => panic!("it waits"),
    }
}

fn slots(bench: &mut Bench, key: ChannelKey) -> usize {
    let channel = bench.session.channels.get(key).expect("open");
    channel.confirms.as_ref().expect("confirms").slots_kept()
}

#[test]
fn one_publish_without_an_answer_takes_one_place_in_the_limit() {
    let (mut bench, key) = ready(ConfirmOptions::new().unconfirmed_max(10));
    bench.accepted(key, "x");
    for n in 0..3000 {
        let tag = bench.accepted(key, "x").expect("confirm mode");
        bench.write();
        bench.out.clear();
        if n % 2 == 0 {
            detach(&mut bench, key, tag);
        }
        ack(&mut bench, key, tag, false);
        if n % 2 == 1 {
            assert!(claim(&mut bench, key, tag).is_some_and(|it| it.is_acked()));
        }
    }
    let open: Vec<u64> = (0..9).filter_map(|_| bench.accepted(key, "x")).collect();
    assert!(is_full(&mut bench, key));
    // Answered and not awaited they still count.
    ack(&mut bench, key, open[8], false);
    assert!(is_full(&mut bench, key));
    assert!(claim(&mut bench, key, open[8]).is_some());
    assert!(!is_full(&mut bench, key));
    assert!(is_full(&mut bench, key));
    ack(&mut bench, key, 1, false);
    assert!(claim(&mut bench, key, 1).is_some_and(|it| it.is_acked()));
    assert!(!is_full(&mut bench, key));
}

#[test]
fn what_is_over_behind_a_publish_without_an_answer_does_not_add_up() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let stuck: Vec<u64> = [(); 3].map(|()| bench.accepted(key, "x").expect("confirm mode")).into();
    for n in 0_u64..50_000 {
        let mut more = message("x");
        // Each comes from elsewhere than the one before it.
        more.publish.routing_key = short(if n % 2 == 0 { "one" } else { "other" });
        let tag = publish(&mut bench, key, more);
        bench.write();
        bench.out.clear();
        ack(&mut bench, key, tag, false);
        assert!(claim(&mut bench, key, tag).is_some());
    }
    let kept = slots(&mut bench, key);
    assert!(kept < 3000, "{kept} are kept for three");
    assert_eq!(bench.left().confirms, 3);
    // It is still known where they went.
    closes(&mut bench, key, 404, "NOT_FOUND - no queue 'q'");
    for tag in stuck {
        let Some(Outcome::Unknown(reason)) = claim(&mut bench, key, tag) else { panic!("{tag}") };
        let text = format!("{reason:?}");
        assert!(text.contains("routing_key: Some(\"q\")") || text.contains("\"q\""), "{text}");
    }
    assert_eq!(bench.left().confirms, 0);
}

#[derive(Default)]
struct Model {
    /// Without an answer, and whether its confirmation is dropped.
    open: BTreeMap<u64, bool>,
    /// Answered and not taken, with whether it was acked.
    told: BTreeMap<u64, char>,
}

impl Model {
    fn answer(&mut self, tag: u64, outcome: char) {
        if self.open.remove(&tag) == Some(false) {
            self.told.insert(tag, outcome);
        }
    }

    fn any(&self, rng: &mut Rng, of: &BTreeMap<u64, impl Sized>) -> Option<u64> {
        (!of.is_empty()).then(|| of.keys().nth(rng.below(of.len())).copied()).flatten()
    }
}

fn letter(outcome: Option<Outcome>) -> char {
    match outcome {
        None => '.',
        Some(Outcome::Acked) => 'a',
        Some(Outcome::Nacked) => 'n',
        Some(Outcome::Returned(_)) => 'r',
        Some(_) => 'u',
    }
}

/// Mostly answered at once, but some late, in any order, single and multiple; some dropped, and some that come back.
#[test]
fn whatever_stays_unanswered_every_outcome_is_told_once_and_the_limit_counts_exactly() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let (mut bench, key) = ready(ConfirmOptions::new());
        let mut model = Model::default();
        let stuck_of = 20 + rng.below(200);
        let multiples_of = 500 + rng.below(5000);
        for n in 0..6000 {
            let body = format!("{n}");
            let tag = publish(&mut bench, key, mandatory(headers(&[]), &body));
            bench.write();
            bench.out.clear();
            model.open.insert(tag, false);
            let comes_back = rng.one_in(50);
            if comes_back {
                give_back(&mut bench, key, &headers(&[]), &body);
            }
            if comes_back || !rng.one_in(stuck_of) {
                answer(&mut bench, key, tag, false, true);
                model.answer(tag, if comes_back { 'r' } else { 'a' });
            }
            if rng.one_in(60) && let Some(tag) = model.any(&mut rng, &model.open) {
                let positive = rng.one_in(2);
                answer(&mut bench, key, tag, false, positive);
                model.answer(tag, if positive { 'a' } else { 'n' });
            }
            if rng.one_in(60) && let Some(tag) = model.any(&mut rng, &model.open) {
                detach(&mut bench, key, tag);
                model.open.insert(tag, true);
            }
            if rng.one_in(multiples_of) && let Some(last) = model.any(&mut rng, &model.open) {
                answer(&mut bench, key, last, true, true);
                let covered: Vec<u64> = model.open.range(..=last).map(|(tag, _)| *tag).collect();
                covered.into_iter().for_each(|tag| model.answer(tag, 'a'));
            }
            while (model.told.len() > 40 || rng.one_in(2))
                && let Some(tag) = model.any(&mut rng, &model.told)
            {
                let expected = model.told.remove(&tag);
                assert_eq!(Some(letter(claim(&mut bench, key, tag))), expected, "seed {seed}, {tag}");
            }
            let held = model.open.len() + model.told.len();
            assert_eq!(bench.left().confirms, held, "seed {seed}, {tag}");
            assert_eq!(bench.run(|session| session.unconfirmed(key)), model.open.len());
        }
        let most = 4 * (model.open.len() + model.told.len()) + 8 * 512;
        assert!(slots(&mut bench, key) < most, "{} of {most}", slots(&mut bench, key));
        bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
        let open: Vec<u64> = model.open.keys().copied().collect();
        open.into_iter().for_each(|tag| model.answer(tag, 'u'));
        for (tag, expected) in model.told {
            assert_eq!(letter(claim(&mut bench, key, tag)), expected, "seed {seed}, {tag}");
        }
        let left = bench.left();
        assert_eq!((left.confirms, left.kept), (0, 0), "seed {seed}");
    }
}
