//! The books of a load: what was published, what was told of it, and what was consumed; and what of that may not be.
//!
//! Books are kept for a round. A round is closed once every outcome has come and the queue is empty; then all of it is
//! judged, and of its messages only a count stays, so that the books of a long run are no larger than those of a short one.
//! What may not be is written down as it is found (see `rules` for what that is), and ends nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::rules::{self, Holding, Judgement};

/// How many faults of the client are written down; the rest is counted.
const WRITTEN_MAX: usize = 30;

/// What a message is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To be consumed.
    Wanted,
    /// To no queue, and mandatory: it comes back.
    Unroutable,
    /// To a queue that is full and rejects it.
    Rejected,
}

/// What was told of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet.
    Pending,
    /// The broker has it.
    Acked,
    /// The broker has not taken it.
    Nacked,
    /// It came back.
    Returned,
    /// Nobody can tell.
    Unknown,
}

/// One message of the round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) told: Told,
    /// Whether it was published more than once, after losses.
    pub(super) republished: bool,
    pub(super) seen: u8,
    /// Who has seen it last, and when as losses and kills count time.
    pub(super) holding: Holding,
}

/// Which message it is; stands in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// Its round.
    pub round: u32,
    /// Its place in the round.
    pub number: u32,
}

/// A delivery as a consumer saw it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Which consumer.
    pub consumer: usize,
    /// Of which epoch of its channel it is, in the order in which the consumer has met them.
    pub epoch: u32,
    /// How often its connection had been lost when it came, as far as was known.
    pub losses: u32,
    /// Whether the broker says that it had been delivered before.
    pub redelivered: bool,
    /// Whether the ack could be sent: not if the connection was lost since.
    pub acked: bool,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Totals {
    pub published: u64,
    pub acked: u64,
    pub nacked: u64,
    pub returned: u64,
    pub unknown: u64,
    pub consumed: u64,
    /// Consumed again after the consumer's connection was lost.
    pub again_after_loss: u64,
    /// Consumed again after a node was killed, with the consumer's connection as it was.
    pub again_after_kill: u64,
    /// Consumed again for no other reason than that it was published again.
    pub again_republished: u64,
    /// Consumed again without the broker's saying so.
    pub unmarked: u64,
    /// Published again by the connector, after a loss.
    pub republished: u64,
    /// Unknown, and consumed: it had arrived.
    pub unknown_consumed: u64,
    pub losses: u64,
    pub kills: u64,
    /// How many different nodes were killed.
    pub killed: u64,
    pub rounds: u64,
    pub recoveries: u64,
    /// Losses in the middle of a recovery, which goes on with the next one.
    pub interrupted: u64,
    /// How long the longest recovery took, from the loss to the last consume-ok.
    pub longest: Duration,
}

/// A message that came again though no reason was known.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    at: Instant,
    id: Id,
    before: Holding,
    now: Holding,
    /// Whether the loss of a connection can be the reason, which the broker may know of first.
    lost: bool,
}

/// The books.
#[derive(Debug)]
pub struct Ledger {
    entries: Vec<Entry>,
    pending: usize,
    unseen: usize,
    round: u32,
    open: bool,
    /// How often each consumer's connection was lost.
    losses: Vec<u32>,
    kills: Vec<Instant>,
    killed: BTreeSet<String>,
    /// Kills up to the end of the last round.
    kills_before: usize,
    /// What came again, and is right only for a reason that is not known yet.
    doubts: Vec<Doubt>,
    totals: Totals,
    faults: Vec<String>,
    more_faults: usize,
}

impl Ledger {
    /// Empty books for so many consumers, closed.
    pub fn new(consumers: usize) -> Self {
        Self {
            entries: Vec::new(),
            pending: 0,
            unseen: 0,
            round: 0,
            open: false,
            losses: vec![0; consumers],
            kills: Vec::new(),
            killed: BTreeSet::new(),
            kills_before: 0,
            doubts: Vec::new(),
            totals: Totals::default(),
            faults: Vec::new(),
            more_faults: 0,
        }
    }

    /// Begins a round: messages may be published.
    pub fn open(&mut self) {
        self.round += 1;
        self.entries.clear();
        self.open = true;
    }

    /// No more messages from now on; what was published is still to be told of.
    pub fn pause(&mut self) {
        self.open = false;
    }

    /// The next message, unless the round is over.
    pub fn publish(&mut self, kind: Kind) -> Option<Id> {
        if !self.open {
            return None;
        }
        let number = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Entry {
            kind,
            told: Told::Pending,
            republished: false,
            seen: 0,
            holding: Holding::default(),
        });
        self.pending += 1;
        self.totals.published += 1;
        Some(Id { round: self.round, number })
    }

    /// What became of a message, which may have been published again for that.
    pub fn told(&mut self, id: Id, told: Told, republished: bool) {
        let Some(entry) = self.entry(id) else {
            return self.fault(format!("{id:?} was told {told:?} after its round"));
        };
        if entry.told != Told::Pending {
            let before = entry.told;
            return self.fault(format!("{id:?} was told {told:?} after {before:?}"));
        }
        (entry.told, entry.republished) = (told, republished);
        let (kind, seen) = (entry.kind, entry.seen > 0);
        self.pending -= 1;
        self.totals.republished += u64::from(republished);
        match told {
            Told::Pending => {}
            Told::Acked => self.totals.acked += 1,
            Told::Nacked => self.totals.nacked += 1,
            Told::Returned => self.totals.returned += 1,
            Told::Unknown => self.totals.unknown += 1,
        }
        if told == Told::Acked && kind == Kind::Wanted && !seen {
            self.unseen += 1;
        }
        if told == Told::Unknown && seen {
            self.totals.unknown_consumed += 1;
        }
        if let Some(fault) = rules::outcome(kind, told) {
            self.fault(format!("{id:?}: {fault}"));
        }
    }

    /// A consumer has got a message.
    pub fn seen(&mut self, id: Id, seen: Seen) {
        let now = Instant::now();
        let kills = self.kills.len();
        let kills_settled = rules::settled(&self.kills, now);
        let holding = Holding::new(seen, kills_settled);
        if id.round != self.round {
            // All of it was consumed and acked when its round ended.
            if kills > self.kills_before {
                self.totals.again_after_kill += 1;
            } else {
                self.fault(format!(
                    "{id:?} came in round {} though no node was killed",
                    self.round
                ));
            }
            return;
        }
        let Some(entry) = self.entry(id) else {
            return self.fault(format!("{id:?} was consumed and never published"));
        };
        let before = entry.holding;
        entry.holding = holding;
        entry.seen = entry.seen.saturating_add(1);
        let (first, kind, told) = (entry.seen == 1, entry.kind, entry.told);
        if kind != Kind::Wanted {
            self.fault(format!("{id:?} was consumed though it is {kind:?}"));
        }
        if first {
            self.totals.consumed += 1;
            self.unseen -= usize::from(told == Told::Acked && kind == Kind::Wanted);
            self.totals.unknown_consumed += u64::from(told == Told::Unknown);
            return;
        }
        self.totals.unmarked += u64::from(!seen.redelivered);
        let unmarked = !seen.redelivered && !rules::may_be_unmarked(before, kills);
        let doubt = Doubt { at: now, id, before, now: holding, lost: true };
        if unmarked || rules::same_epoch(before, holding, kills) {
            self.doubts.push(Doubt { lost: false, ..doubt });
            return;
        }
        match rules::again(before, &self.losses, kills) {
            Judgement::AfterLoss => self.totals.again_after_loss += 1,
            Judgement::AfterKill => self.totals.again_after_kill += 1,
            Judgement::OnlyIfLost => self.doubts.push(doubt),
        }
    }

    /// A consumer's connection was lost.
    pub fn lost(&mut self, consumer: usize) {
        if let Some(losses) = self.losses.get_mut(consumer) {
            *losses += 1;
        }
    }

    /// Any connection was lost, for the count; perhaps while it was recovering.
    pub fn count_loss(&mut self, recovering: bool) {
        self.totals.losses += 1;
        self.totals.interrupted += u64::from(recovering);
    }

    /// A connection has come back after this time.
    pub fn recovered(&mut self, took: Duration) {
        self.totals.recoveries += 1;
        self.totals.longest = self.totals.longest.max(took);
    }

    /// How often a consumer's connection was lost.
    pub fn losses(&self, consumer: usize) -> u32 {
        self.losses.get(consumer).copied().unwrap_or(0)
    }

    /// The node of this name was killed, and is gone.
    pub fn killed(&mut self, name: &str) {
        self.kills.push(Instant::now());
        if self.killed.insert(name.to_owned()) {
            self.totals.killed += 1;
        }
        self.totals.kills += 1;
    }

    /// How many outcomes are still to come, and how many messages that the broker has are still to be consumed.
    pub fn missing(&self) -> (usize, usize) {
        (self.pending, self.unseen)
    }

    /// A consumer has ended: right once the rounds are over.
    pub fn ended(&mut self, consumer: usize, how: String) {
        if self.open || !self.entries.is_empty() {
            self.fault(format!("consumer {consumer} ended: {how}"));
        }
    }

    /// Judges the round, which is paused and has nothing to wait for any more.
    pub fn close(&mut self) {
        self.settle_doubts(Duration::ZERO);
        for (number, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            if let Some(fault) = rules::end(&entry) {
                self.fault(format!("message {number} of round {}: {fault}", self.round));
            }
        }
        (self.pending, self.unseen) = (0, 0);
        self.kills_before = self.kills.len();
        self.totals.rounds += 1;
    }

    /// Decides on what came again so long ago that a loss would be known by now.
    pub fn settle_doubts(&mut self, age: Duration) {
        for doubt in std::mem::take(&mut self.doubts) {
            let Doubt { at, id, before, now, lost } = doubt;
            let young = at.elapsed() < age;
            let judgement = rules::again(before, &self.losses, self.kills.len());
            let entry = self.entry(id).map(|entry| (entry.told, entry.republished));
            match (entry, judgement) {
                (_, Judgement::AfterLoss) if lost => self.totals.again_after_loss += 1,
                (_, Judgement::AfterKill) if lost => self.totals.again_after_kill += 1,
                (Some((_, true)), _) => self.totals.again_republished += 1,
                (Some((Told::Pending, _)), _) if !age.is_zero() => self.doubts.push(doubt),
                _ if lost && young => self.doubts.push(doubt),
                _ => {
                    let kind = match (lost, rules::same_epoch(before, now, self.kills.len())) {
                        (true, _) => "though nothing was lost",
                        (false, true) => "in one epoch",
                        (false, false) => "unmarked",
                    };
                    self.fault(format!("{id:?} came again {kind}: {before:?}, then {now:?}"));
                }
            }
        }
    }

    /// Writes down something that may not be.
    pub fn fault(&mut self, what: String) {
        if self.faults.len() < WRITTEN_MAX {
            self.faults.push(what);
        } else {
            self.more_faults += 1;
        }
    }

    /// What there was that may not be; and how much more than is written down.
    pub fn faults(&self) -> (&[String], usize) {
        (&self.faults, self.more_faults)
    }

    /// How many of each, of all rounds.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn entry(&mut self, id: Id) -> Option<&mut Entry> {
        let number = usize::try_from(id.number).ok().filter(|_| id.round == self.round)?;
        self.entries.get_mut(number)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
