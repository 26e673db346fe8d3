//! The budget of messages that are kept, whatever users and brokers do in whatever order.

use super::super::*;
use super::confirming::{ack, detach, nack, ready};
use super::kept::give_back;
use crate::testing::Rng;
use crate::ConfirmOptions;

/// What an entry counts beside its body, at the most.
const OVERHEAD: usize = 1024;
const BUDGET: usize = 16_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// It has not asked for the outcome, or there was none.
    Waits,
    /// It knows that the publish failed, and has not taken the message.
    Knows,
    Gone,
}

/// A publish as its test knows it.
struct Known {
    body: usize,
    mandatory: bool,
    fate: char,
    came_back: bool,
    answered: bool,
    owner: Owner,
    taken: bool,
}

impl Known {
    fn has_failed(&self) -> bool {
        self.answered && matches!(self.fate, 'n' | 'u')
    }

    /// How often its body is kept.
    fn copies(&self, retain: bool) -> usize {
        let sent = match self.answered {
            false => self.mandatory || retain,
            true => self.has_failed() && retain && !self.taken,
        };
        let back = self.came_back && (!self.answered || self.owner == Owner::Waits);
        usize::from(sent) + usize::from(back)
    }
}

/// A channel whose user and broker do anything in any order.
struct Play {
    rng: Rng,
    seed: u64,
    bench: Bench,
    key: ChannelKey,
    retain: bool,
    all: Vec<Known>,
    /// The broker has looked at so many.
    seen: usize,
}

impl Play {
    fn new(seed: u64) -> Self {
        let (rng, retain) = (Rng::new(seed), seed.is_multiple_of(2));
        let (bench, key) = ready(ConfirmOptions::new().retain(retain).retained_budget(BUDGET));
        Self { rng, seed, bench, key, retain, all: Vec::new(), seen: 0 }
    }

    fn body(n: usize, octets: usize) -> Vec<u8> {
        let mut body = n.to_be_bytes().to_vec();
        body.resize(octets, 0);
        body
    }

    /// What is kept is what has to be.
    fn check(&mut self) {
        let copies = self.all.iter().map(|known| (known.copies(self.retain), known.body));
        let (count, octets) = copies.fold((0, 0), |(count, octets), (copies, body)| {
            (count + copies, octets + copies * body)
        });
        let kept = self.bench.left().kept;
        let most = octets + count * OVERHEAD;
        assert!((octets..=most).contains(&kept), "seed {}: {kept}, not {octets}", self.seed);
    }

    fn publish(&mut self) {
        let (n, octets, mandatory) = (self.all.len(), 8 + self.rng.below(3000), self.rng.one_in(2));
        let mut sent = message(Self::body(n, octets));
        sent.publish.mandatory = mandatory;
        let (mut place, full) = (Place::None, self.bench.left().kept >= BUDGET);
        match self.bench.publish_from(self.key, &mut sent, &mut place, Waker::noop()) {
            Poll::Ready(Ok(tag)) => assert!(!full && tag == Some(n as u64 + 1)),
            Poll::Ready(Err(error)) => panic!("seed {}: {error}", self.seed),
            Poll::Pending => {
                assert!(full, "seed {}", self.seed);
                let key = self.key;
                self.bench.run(|session| session.leave(key, &mut place));
                return;
            }
        }
        self.bench.frames();
        let fate = match self.rng.below(3) {
            0 if mandatory => 'r',
            1 => 'n',
            _ => 'a',
        };
        let (came_back, answered, owner, taken) = (false, false, Owner::Waits, false);
        self.all.push(Known { body: octets, mandatory, fate, came_back, answered, owner, taken });
    }

    fn answer(&mut self) {
        let open: Vec<_> = (0..self.all.len()).filter(|n| !self.all[*n].answered).collect();
        if open.is_empty() {
            return;
        }
        let n = open[self.rng.below(open.len())];
        while self.seen <= n {
            if self.all[self.seen].fate == 'r' {
                self.all[self.seen].came_back = true;
                let body = Self::body(self.seen, self.all[self.seen].body);
                give_back(&mut self.bench, self.key, &body);
                self.check();
            }
            self.seen += 1;
        }
        match self.all[n].fate {
            'n' => nack(&mut self.bench, self.key, n as u64 + 1),
            _ => ack(&mut self.bench, self.key, n as u64 + 1, false),
        }
        self.all[n].answered = true;
    }

    /// The owner of some confirmation does what it may.
    fn own(&mut self, n: usize) {
        let (key, tag, rng) = (self.key, n as u64 + 1, &mut self.rng);
        let known = &mut self.all[n];
        match known.owner {
            Owner::Waits if rng.one_in(2) => {
                detach(&mut self.bench, key, tag);
                known.owner = Owner::Gone;
            }
            Owner::Waits => {
                let polled = self.bench.run(|it| it.poll_confirm(key, tag, Waker::noop()));
                let Poll::Ready(claimed) = polled else {
                    assert!(!known.answered, "seed {}: {tag} has no outcome", self.seed);
                    return;
                };
                assert_eq!(claimed.kept, self.retain && known.has_failed(), "seed {}", self.seed);
                known.owner = if claimed.kept { Owner::Knows } else { Owner::Gone };
            }
            Owner::Knows if rng.one_in(2) => {
                let message = self.bench.run(|it| it.take_message(key, tag)).expect("kept");
                assert_eq!(message.body, Self::body(n, known.body));
                (known.owner, known.taken) = (Owner::Gone, true);
            }
            Owner::Knows => {
                self.bench.run(|it| it.leave_message(key, tag));
                known.owner = Owner::Gone;
            }
            Owner::Gone => {}
        }
    }

    fn take_failed(&mut self) {
        let (key, retain) = (self.key, self.retain);
        let bodies = self.bench.run(|session| session.take_failed(key)).into_iter();
        let bodies: Vec<_> = bodies.map(|message| message.body.to_vec()).collect();
        let mut expected = Vec::new();
        for (n, known) in self.all.iter_mut().enumerate() {
            if retain && known.has_failed() && known.owner == Owner::Gone && !known.taken {
                known.taken = true;
                expected.push(Self::body(n, known.body));
            }
        }
        assert_eq!(bodies, expected, "seed {}", self.seed);
    }

    fn end(&mut self) {
        let code = channel::Close { reply_code: 404, ..Default::default() };
        self.bench.receive(self.key.id, code);
        for known in self.all.iter_mut().filter(|known| !known.answered) {
            (known.answered, known.came_back, known.fate) = (true, false, 'u');
        }
    }
}

#[test]
fn whatever_becomes_of_messages_their_budget_counts_what_is_held_and_nothing_else() {
    for seed in 0..200 {
        let mut play = Play::new(seed);
        for _ in 0..400 {
            match play.rng.below(8) {
                0..=2 => play.publish(),
                3 | 4 => play.answer(),
                5 if play.rng.one_in(8) => play.take_failed(),
                _ if play.all.is_empty() => {}
                _ => {
                    let n = play.rng.below(play.all.len());
                    play.own(n);
                }
            }
            play.check();
        }
        let ends = play.rng.one_in(2);
        if ends {
            play.end();
        }
        while play.all.iter().any(|known| !known.answered) {
            play.answer();
        }
        play.check();
        for n in 0..play.all.len() {
            while play.all[n].owner != Owner::Gone {
                play.own(n);
            }
        }
        play.take_failed();
        assert_eq!(play.bench.left().kept, 0, "seed {seed}");
        assert!(play.all.len() > 20, "seed {seed}");
        assert!(ends || play.bench.publish(play.key, "x").is_ready(), "seed {seed}");
    }
}
