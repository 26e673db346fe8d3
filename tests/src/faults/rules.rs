//! What may be and what may not, of one message: pure questions that the ledger asks.
//!
//! A broker gives a message again when it cannot know that it was acked: the consumer's connection was lost, or the broker
//! was killed before it had written the ack down. In no other case.

use std::time::{Duration, Instant};

use super::ledger::{Entry, Kind, Seen, Told};

/// A kill counts as before a delivery only if it was this long ago: what is read from a connection can have been sent
/// before the node died.
const SETTLED: Duration = Duration::from_secs(10);

/// Who has a message, and when that was as losses and kills count time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    consumer: usize,
    epoch: u32,
    losses: u32,
    kills: usize,
    acked: bool,
}

impl Holding {
    pub(super) fn new(seen: Seen, kills: usize) -> Self {
        let Seen { consumer, epoch, losses, acked, .. } = seen;
        Self { consumer, epoch, losses, kills, acked }
    }
}

/// How it can be that a message came again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    AfterLoss,
    AfterKill,
    /// No loss is known that would explain it. The broker may know of it first: then it will be known soon.
    OnlyIfLost,
}

/// How many of the kills are long enough ago to be before anything that is read now.
pub(super) fn settled(kills: &[Instant], now: Instant) -> usize {
    kills.iter().filter(|at| now.duration_since(**at) >= SETTLED).count()
}

/// A message that `before` had has come again.
pub(super) fn again(before: Holding, losses: &[u32], kills: usize) -> Judgement {
    let lost = losses.get(before.consumer).is_some_and(|losses| *losses > before.losses);
    match (lost || !before.acked, kills > before.kills) {
        (true, _) => Judgement::AfterLoss,
        (false, true) => Judgement::AfterKill,
        (false, false) => Judgement::OnlyIfLost,
    }
}

/// Whether a message came twice on one incarnation of a channel, though no broker was killed that may have forgotten its
/// ack: whatever else is lost, that may not be.
pub(super) fn same_epoch(before: Holding, now: Holding, kills: usize) -> bool {
    (before.consumer, before.epoch) == (now.consumer, now.epoch) && kills == before.kills
}

/// Whether it may come again without the broker's saying so: only if the broker has forgotten that it was delivered.
pub(super) fn may_be_unmarked(before: Holding, kills: usize) -> bool {
    kills > before.kills
}

/// What is wrong with an outcome.
pub(super) fn outcome(kind: Kind, told: Told) -> Option<&'static str> {
    match (kind, told) {
        (Kind::Unroutable, Told::Acked) => Some("acked, though it fits no queue"),
        (Kind::Unroutable, Told::Nacked) => Some("nacked, though it fits no queue"),
        (Kind::Rejected, Told::Acked) => Some("acked, though its queue is full"),
        (Kind::Wanted | Kind::Rejected, Told::Returned) => {
            Some("came back, though there is its queue")
        }
        _ => None,
    }
}

/// What is wrong with a message whose round is over.
pub(super) fn end(entry: &Entry) -> Option<&'static str> {
    match (entry.kind, entry.told, entry.seen) {
        (_, Told::Pending, _) => Some("its outcome never came"),
        (Kind::Wanted, Told::Acked, 0) => Some("LOST: acked, and never consumed"),
        (_, Told::Returned, 1..) => Some("came back, and was consumed"),
        _ => None,
    }
}
