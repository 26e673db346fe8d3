//! Acks that are held back, at random: the peer settles what the user settled, and never more.

use std::collections::BTreeSet;

use super::coalescing::DELAY;
use super::settling::User;
use super::*;
use crate::Unsettled;

/// Numbers that are the same in each run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("small")
    }

    pub(super) fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        (!from.is_empty()).then(|| from.swap_remove(self.roll(from.len())))
    }
}

/// The peer's side of the matter, and what the user did.
#[derive(Default)]
pub(super) struct Books {
    pub(super) last: u64,
    /// Sent, and not settled for the peer.
    pub(super) waiting: BTreeSet<u64>,
    pub(super) acked: BTreeSet<u64>,
    pub(super) rejected: BTreeSet<u64>,
    pub(super) user_acked: BTreeSet<u64>,
    pub(super) user_rejected: BTreeSet<u64>,
    /// Acks that were sent.
    pub(super) sent: usize,
}

impl Books {
    pub(super) fn next(&mut self, no_ack: bool) -> u64 {
        self.last += 1;
        if !no_ack {
            self.waiting.insert(self.last);
        }
        self.last
    }

    /// As RabbitMQ: the tag itself must be one that waits, else the channel is closed with 406.
    fn settle(&mut self, tag: u64, multiple: bool, ack: bool) {
        assert!(self.waiting.contains(&tag), "406: unknown delivery tag {tag}");
        let all: Vec<u64> =
            self.waiting.range(if multiple { 0 } else { tag }..=tag).copied().collect();
        for tag in all {
            self.waiting.remove(&tag);
            if ack { &mut self.acked } else { &mut self.rejected }.insert(tag);
        }
    }

    /// What the user settles with a multiple: all that was delivered up to there and is not settled.
    fn user_settles_to(&mut self, tag: u64, ack: bool) {
        let all: Vec<u64> = (1..=tag)
            .filter(|tag| self.waiting.contains(tag) && !self.user_acked.contains(tag))
            .collect();
        if ack { &mut self.user_acked } else { &mut self.user_rejected }.extend(all);
    }

    /// Takes in what was sent, and compares.
    pub(super) fn look(&mut self, bench: &mut Bench) {
        for (_, incoming) in bench.sent() {
            let Incoming::Method(Method::Basic(method)) = incoming else { continue };
            match method {
                basic::Method::Ack(ack) => {
                    self.sent += 1;
                    self.settle(ack.delivery_tag, ack.multiple, true);
                }
                basic::Method::Reject(reject) => self.settle(reject.delivery_tag, false, false),
                #[allow(unused_variables, reason = "not every specification has a nack")]
                other => {
                    amqp_types::if_spec! { basic.nack => {
                        if let basic::Method::Nack(nack) = other {
                            self.settle(nack.delivery_tag, nack.multiple, false);
                        }
                    } else {} }
                }
            }
        }
        assert!(self.acked.is_subset(&self.user_acked), "acked what was not");
        assert!(self.rejected.is_subset(&self.user_rejected), "rejected what was not");
    }
}

/// Three consumers, of which one is without acks, and a get; each settles in any way and order.
fn settle_at_random(seed: u64) -> (usize, usize) {
    let mut dice = Dice(seed);
    let mut bench = Bench::new();
    let key = bench.open();
    let count = 1 + dice.roll(20);
    bench.run(|session| session.coalesce_acks(key, count, DELAY)).expect("nothing has come");
    let users = [User::new(&mut bench, key, "a"), User::new(&mut bench, key, "b")];
    bench.consume(key, "no-ack", true);
    let mut books = Books::default();
    let mut open: Vec<u64> = Vec::new();
    let settled_to = |bench: &mut Bench| {
        bench.run(|session| session.channels.get(key).map_or(0, |channel| channel.settled_to))
    };
    for _ in 0..300 {
        match dice.roll(20) {
            0..=5 => {
                let which = dice.roll(2);
                let tag = books.next(false);
                bench.deliver(key, ["a", "b"][which], tag, b"x");
                open.extend(users[which].take(&mut bench));
            }
            6 => {
                let delivery_tag = books.next(true);
                bench.deliver(key, "no-ack", delivery_tag, b"x");
            }
            7 | 8 => {
                let no_ack = dice.roll(3) == 0;
                let call = bench.call(key, basic::Get { no_ack, ..Default::default() });
                books.look(&mut bench);
                let delivery_tag = books.next(no_ack);
                bench.receive_content(
                    key.id,
                    basic::GetOk { delivery_tag, ..Default::default() },
                    b"x",
                );
                match dice.roll(3) {
                    0 => {
                        bench.abandon(call);
                        if !no_ack {
                            books.user_rejected.insert(delivery_tag);
                        }
                    }
                    _ => {
                        bench.reply(call);
                        if !no_ack {
                            open.push(delivery_tag);
                        }
                    }
                }
            }
            9 => {
                // For a consumer that is gone: it goes back.
                let delivery_tag = books.next(false);
                books.user_rejected.insert(delivery_tag);
                bench.deliver(key, "nobody", delivery_tag, b"x");
            }
            10..=15 => {
                let Some(tag) = dice.take(&mut open) else { continue };
                if tag > settled_to(&mut bench) {
                    books.user_acked.insert(tag);
                    users[0].ack(&mut bench, tag);
                }
            }
            16 | 17 => {
                let Some(tag) = dice.take(&mut open) else { continue };
                if tag > settled_to(&mut bench) {
                    let policy = [Unsettled::Leave, Unsettled::Requeue, Unsettled::Reject];
                    let policy = policy[dice.roll(3)];
                    if policy != Unsettled::Leave {
                        books.user_rejected.insert(tag);
                    }
                    users[1].drop(&mut bench, tag, policy);
                }
            }
            18 => {
                let Some(tag) = dice.take(&mut open) else { continue };
                let ack = dice.roll(2) == 0
                    || Settle::Nack { multiple: true, requeue: true }.check().is_err();
                if tag > settled_to(&mut bench) && dice.roll(3) == 0 {
                    books.look(&mut bench);
                    books.user_settles_to(tag, ack);
                    let settle = match ack {
                        true => Settle::Ack { multiple: true },
                        false => Settle::Nack { multiple: true, requeue: true },
                    };
                    users[0].settle(&mut bench, tag, settle).expect("settled");
                }
            }
            _ => bench.pass(DELAY),
        }
        books.look(&mut bench);
    }
    let (mut position, mut ticket) = (None, None);
    let _ = bench.run(|session| session.poll_flush(key, &mut position, &mut ticket, Waker::noop()));
    books.look(&mut bench);
    assert_eq!((&books.acked, &books.rejected), (&books.user_acked, &books.user_rejected));
    (books.acked.len(), books.sent)
}

#[test]
fn the_peer_settles_what_the_user_settled_and_never_more() {
    let (mut acked, mut sent) = (0, 0);
    for seed in 1..=150 {
        let (more_acked, more_sent) =
            settle_at_random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        acked += more_acked;
        sent += more_sent;
    }
    println!("{acked} deliveries acked by {sent} acks");
    assert!(sent < acked, "nothing was coalesced");
}
