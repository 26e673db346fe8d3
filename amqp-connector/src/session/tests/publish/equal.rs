//! Of messages that are equal in everything as many are told to have come back as did, and none that cannot have.

use super::super::*;
use crate::testing::Rng;
use super::pairing::{
    answer, give_back, headers, letter, looks, mandatory, outcome, outcomes, publish, ready,
};

/// What one kept message counts.
fn kept_of_one() -> usize {
    let (mut bench, key) = ready();
    equal(&mut bench, key);
    bench.left().kept
}

/// Publishes this, as the last of several that are equal.
fn equal(bench: &mut Bench, key: ChannelKey) -> u64 {
    publish(bench, key, mandatory(headers(&[]), "equal"))
}

#[test]
fn equal_messages_that_came_back_and_were_rejected_hand_their_returns_on_at_once() {
    let (mut bench, key) = ready();
    for _ in 0..1000 {
        publish(&mut bench, key, mandatory(headers(&[]), "same"));
    }
    for _ in 0..500 {
        give_back(&mut bench, key, &headers(&[]), "same");
    }
    answer(&mut bench, key, 500, true, false);
    answer(&mut bench, key, 1000, true, true);
    assert!(looks(&mut bench, key) < 20_000, "{}", looks(&mut bench, key));
    assert_eq!(outcomes(&mut bench, key, 1..=1000), "n".repeat(500) + &"r".repeat(500));
}

#[test]
fn a_return_passes_to_who_can_have_no_other() {
    let (mut bench, key) = ready();
    equal(&mut bench, key);
    equal(&mut bench, key);
    give_back(&mut bench, key, &headers(&[]), "equal");
    equal(&mut bench, key);
    give_back(&mut bench, key, &headers(&[]), "equal");
    // The second can have either, the third the later one only.
    answer(&mut bench, key, 2, false, true);
    answer(&mut bench, key, 3, false, true);
    answer(&mut bench, key, 1, false, false);
    assert_eq!(outcomes(&mut bench, key, 1..=3), "nrr");
    assert!(bench.run(|session| session.take_returned(key)).is_none());
}

#[test]
fn a_return_passes_on_though_the_one_that_can_have_no_other_is_answered_last() {
    let (mut bench, key) = ready();
    equal(&mut bench, key);
    equal(&mut bench, key);
    give_back(&mut bench, key, &headers(&[]), "equal");
    equal(&mut bench, key);
    give_back(&mut bench, key, &headers(&[]), "equal");
    answer(&mut bench, key, 2, false, true);
    answer(&mut bench, key, 1, false, false);
    answer(&mut bench, key, 3, false, true);
    assert_eq!(outcomes(&mut bench, key, 1..=3), "nrr");
    assert!(bench.run(|session| session.take_returned(key)).is_none());
}

#[test]
fn of_identical_messages_as_many_are_returned_as_came_back() {
    let (mut bench, key) = ready();
    // The second and the fourth cannot be routed; the first is still on its way to its queue.
    for _ in 0..5 {
        publish(&mut bench, key, mandatory(headers(&[]), "same"));
    }
    give_back(&mut bench, key, &headers(&[]), "same");
    answer(&mut bench, key, 2, false, true);
    give_back(&mut bench, key, &headers(&[]), "same");
    answer(&mut bench, key, 5, true, true);
    let outcomes = outcomes(&mut bench, key, 1..=5);
    assert_eq!(outcomes.matches('r').count(), 2, "{outcomes}");
    assert_eq!(outcomes.matches('a').count(), 3, "{outcomes}");
}

#[test]
fn a_return_is_never_of_an_equal_message_that_was_published_after_it() {
    let (mut bench, key) = ready();
    let (plain, equal) = (basic::Properties::default(), "equal");
    publish(&mut bench, key, mandatory(plain.clone(), equal));
    give_back(&mut bench, key, &plain, equal);
    publish(&mut bench, key, mandatory(plain.clone(), equal));
    // By its return the second is known to be there, too.
    publish(&mut bench, key, mandatory(plain.clone(), "other"));
    give_back(&mut bench, key, &plain, "other");
    for tag in [2, 1, 3] {
        answer(&mut bench, key, tag, false, true);
    }
    let told: String = (1..=3).map(|tag| letter(outcome(&mut bench, key, tag).as_ref())).collect();
    assert_eq!(told, "rar");
}

#[test]
fn a_return_is_never_of_an_equal_message_that_was_answered_before_it() {
    let (mut bench, key) = ready();
    for _ in 0..4 {
        equal(&mut bench, key);
    }
    give_back(&mut bench, key, &headers(&[]), "equal");
    give_back(&mut bench, key, &headers(&[]), "equal");
    answer(&mut bench, key, 3, false, true);
    give_back(&mut bench, key, &headers(&[]), "equal");
    // So what came back last is the fourth: it is not the third, and two of the others came back before it.
    for tag in [2, 1, 4] {
        answer(&mut bench, key, tag, false, true);
    }
    assert_eq!(outcomes(&mut bench, key, 1..=4), "arrr");
}

#[test]
fn a_return_that_can_be_of_none_any_more_is_told_at_once() {
    let (mut bench, key) = ready();
    let taken = |bench: &mut Bench| bench.run(|session| session.take_returned(key)).is_some();
    equal(&mut bench, key);
    equal(&mut bench, key);
    give_back(&mut bench, key, &headers(&[]), "equal");
    equal(&mut bench, key);
    answer(&mut bench, key, 1, false, false);
    assert!(!taken(&mut bench), "the second may be it");
    answer(&mut bench, key, 2, false, false);
    assert!(taken(&mut bench), "the third was published after it");
    assert_eq!(bench.left().kept, kept_of_one());
    answer(&mut bench, key, 3, false, true);
    assert_eq!(outcomes(&mut bench, key, 1..=3), "nna");
    assert!(!taken(&mut bench));
}

/// One equal message after another for ever, all of which come back while the first stays unanswered: what was given
/// away must not add up.
#[test]
fn returns_that_were_given_away_do_not_add_up() {
    let (mut bench, key) = ready();
    equal(&mut bench, key);
    give_back(&mut bench, key, &headers(&[]), "equal");
    for _ in 0..3000 {
        let tag = equal(&mut bench, key);
        bench.write();
        give_back(&mut bench, key, &headers(&[]), "equal");
        answer(&mut bench, key, tag, false, true);
        let outcome = outcome(&mut bench, key, tag);
        assert_eq!(letter(outcome.as_ref()), 'r');
    }
    let channel = bench.session.channels.get(key).expect("open");
    let given = channel.confirms.as_ref().expect("confirms").returns_given_away();
    assert!(given < 200, "{given} are remembered");
    answer(&mut bench, key, 1, false, true);
    assert_eq!(outcomes(&mut bench, key, 1..=1), "r");
}

/// Many equal messages, all of which come back; then they are answered in an order that no broker has.
#[test]
fn no_order_of_answers_makes_equal_messages_take_long() {
    let half = MANY / 2;
    let descending_then_nack = |bench: &mut Bench, key| {
        (half + 1..=MANY).rev().for_each(|tag| answer(bench, key, tag, false, true));
        answer(bench, key, half, true, false);
    };
    let middle_first = |bench: &mut Bench, key| {
        for n in 0..half {
            answer(bench, key, half + n + 1, false, true);
            answer(bench, key, half - n, false, n % 2 == 0);
        }
    };
    let ascending_nacks = |bench: &mut Bench, key| {
        (1..=MANY).for_each(|tag| answer(bench, key, tag, false, tag % 3 == 0));
    };
    type Answers<'a> = &'a dyn Fn(&mut Bench, ChannelKey);
    let orders: [Answers<'_>; 3] = [&descending_then_nack, &middle_first, &ascending_nacks];
    for (at, answers) in orders.into_iter().enumerate() {
        for late in [0, half, MANY] {
            let (mut bench, key) = ready();
            for n in 0..MANY + late {
                if n < MANY {
                    equal(&mut bench, key);
                    bench.write();
                }
                if n >= late {
                    give_back(&mut bench, key, &headers(&[]), "equal");
                }
            }
            answers(&mut bench, key);
            let looks = looks(&mut bench, key);
            assert!(looks < 50 * 2000, "order {at}, {late} late: {looks} looks");
            let told = outcomes(&mut bench, key, 1..=MANY);
            assert!(told.contains('r') && !told.contains('u'), "order {at}, {late} late: {told}");
        }
    }
}

const MANY: u64 = 2000;

/// What came back, by the tags that it can be of, and who was told to have come back: found by trying all.
#[derive(Default)]
struct Trying {
    ranges: Vec<(u64, u64)>,
    /// With how many had come back then.
    told: Vec<(u64, usize)>,
}

impl Trying {
    fn has_one_for(&mut self, tag: u64) -> bool {
        self.told.push((tag, self.ranges.len()));
        let mut holders = vec![None; self.ranges.len()];
        let all = (0..self.told.len()).all(|one| {
            self.find(one, &mut holders, &mut vec![false; self.ranges.len()])
        });
        if !all {
            self.told.pop();
        }
        all
    }

    fn find(&self, one: usize, holders: &mut [Option<usize>], seen: &mut [bool]) -> bool {
        let (tag, until) = self.told[one];
        for at in 0..until {
            let (past, to) = self.ranges[at];
            let is_new = past < tag && tag <= to && !std::mem::replace(&mut seen[at], true);
            if is_new && holders[at].is_none_or(|other| self.find(other, holders, seen)) {
                holders[at] = Some(one);
                return true;
            }
        }
        false
    }
}

#[test]
fn whoever_is_acked_is_told_to_have_come_back_if_all_who_were_told_so_can_have() {
    let mut told = 0;
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let (mut bench, key) = ready();
        let (mut trying, mut open) = (Trying::default(), Vec::new());
        let (mut published, mut returned_to) = (0, 0);
        let [publishes, returns, nacks] = [(); 3].map(|()| 1 + rng.below(8));
        while published < 60 || !open.is_empty() {
            let what = rng.below(publishes + returns + 4);
            let behind = open.iter().find(|tag| **tag > returned_to).copied();
            if what < publishes && published < 60 {
                published = equal(&mut bench, key);
                open.push(published);
            } else if let Some(first) = behind.filter(|_| what < publishes + returns) {
                give_back(&mut bench, key, &headers(&[]), "equal");
                trying.ranges.push((returned_to, published));
                returned_to = first;
            } else if !open.is_empty() {
                let tag = open.remove(rng.below(open.len()));
                let positive = !rng.one_in(nacks + 1);
                answer(&mut bench, key, tag, false, positive);
                let expected = match positive {
                    true if trying.has_one_for(tag) => 'r',
                    true => 'a',
                    false => 'n',
                };
                let outcome = outcome(&mut bench, key, tag);
                assert_eq!(letter(outcome.as_ref()), expected, "seed {seed}, publish {tag}");
            }
        }
        let news = std::iter::from_fn(|| bench.run(|session| session.take_returned(key))).count();
        assert_eq!(news + trying.told.len(), trying.ranges.len(), "seed {seed}");
        told += trying.told.len();
    }
    assert!(told > 1000, "{told}");
}
