//! What one seed stands for.

use std::time::Duration;

use amqp_connector::testing::{Ending, Faults, Rng};

use crate::broker::Mood;

/// What a seed has chosen.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) inbound: Faults,
    pub(super) outbound: Faults,
    pub(super) mood: Mood,
    /// The broker says everything about closes twice.
    pub(super) repeats: bool,
    pub(super) pipe: usize,
    pub(super) messages: usize,
    pub(super) largest: usize,
    /// Whether the client lets go of futures before they resolve.
    pub(super) impatient: bool,
    /// Whether another task works beside, on a channel of its own.
    pub(super) busy: bool,
    pub(super) farewell: Farewell,
    /// Single delays are long enough for a heartbeat or a deadline to be missed.
    lags: bool,
}

/// How the client ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    Close,
    /// Without time for anything that is under way.
    AtOnce,
    /// Two tasks close it.
    Twice,
    Abort,
    /// Its handles are dropped.
    Drop,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let piece = [0, 0, 3, 40, 4000][rng.below(5)];
        // A deadline must not pass merely because octets come one by one.
        let largest = if piece == 0 || piece > 1000 { 150_000 } else { 600 };
        let (inbound, outbound) = match rng.below(6) {
            0 => (Ending::Never, Ending::Never),
            1..4 => (Ending::Never, ending(&mut rng)),
            _ => (ending(&mut rng), Ending::Never),
        };
        let mood = match rng.below(12) {
            0 => Mood::ClosesChannel(5 + rng.below(30)),
            1 => Mood::ClosesConnection(5 + rng.below(30)),
            2 => Mood::Vanishes(rng.below(70)),
            3 => Mood::Mute(rng.below(70)),
            4 => Mood::Pauses(5 + rng.below(30)),
            5 => Mood::Blocks(5 + rng.below(30)),
            _ => Mood::Friendly,
        };
        let lags = rng.one_in(8);
        Self {
            seed,
            inbound: faults(&mut rng, piece, inbound, lags),
            outbound: faults(&mut rng, piece, outbound, lags),
            mood,
            pipe: [64, 1000, 64 << 10][rng.below(3)],
            messages: rng.below(12),
            largest,
            impatient: rng.one_in(4),
            repeats: rng.one_in(4),
            busy: rng.one_in(3),
            farewell: match rng.below(8) {
                0 => Farewell::AtOnce,
                1 => Farewell::Twice,
                2 => Farewell::Abort,
                3 => Farewell::Drop,
                _ => Farewell::Close,
            },
            lags,
        }
    }

    /// Whether nothing stands in the way of success.
    pub(super) fn is_harmless(&self) -> bool {
        self.inbound.ending == Ending::Never
            && self.outbound.ending == Ending::Never
            && !self.lags
            && matches!(self.mood, Mood::Friendly | Mood::Pauses(_) | Mood::Blocks(_))
    }

    /// Whether the client's farewell cuts off what it has written.
    pub(super) fn is_abrupt(&self) -> bool {
        matches!(self.farewell, Farewell::Abort | Farewell::AtOnce)
    }
}

fn ending(rng: &mut Rng) -> Ending {
    [Ending::Cut, Ending::Reset, Ending::HalfOpen, Ending::Silence][rng.below(4)]
}

fn faults(rng: &mut Rng, piece: usize, ending: Ending, lags: bool) -> Faults {
    // Small numbers cut in the handshake, larger ones in the middle of what follows.
    let octets = match rng.below(4) {
        0 => rng.below(600),
        1 | 2 => rng.below(3000),
        _ => rng.below(100_000),
    };
    Faults {
        piece,
        pending: [0, 2, 10][rng.below(3)],
        delay: if lags { 20 } else { [0, 20][rng.below(2)] },
        longest: Duration::from_millis(if lags { 40_000 } else { 20 }),
        octets,
        ending,
    }
}
