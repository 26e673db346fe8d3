//! Bodies on their way to readers: what has come of each and was not read, and when the socket pauses for that.
//!
//! One for each channel that has consumers of streamed bodies. Plain data: `incoming` fills it from frames and
//! empties it for handles. As with [`Backlog`](crate::session::consume::backlog::Backlog), reading from the socket
//! pauses when much waits; here it stays paused as long as the reader makes progress, since a body has no end in
//! sight and its reader may be as slow as a disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::error::CloseReason;
use crate::session::Caller;
use crate::session::consume::backlog::Crowd;
use crate::session::effects::{Effects, Garbage};

/// Octets by which what waits grows until reading pauses, and this part of the budget if that is less.
const PRESSURE: usize = 1 << 20;
const PART: usize = 8;
/// A pause is a number of these moments: after each it is seen whether the reader made progress.
const MOMENT: Duration = Duration::from_millis(25);
/// A pause for a reader that made none for as long as the connection waits for it.
const SHORT: Duration = Duration::from_millis(2);
/// What a piece counts besides its octets.
const PIECE: usize = 64;

/// How long reading may pause for a reader.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Patience {
    /// Without progress of the reader's.
    pub(in crate::session) idle: Duration,
    /// At a stretch: whatever else the peer has to tell waits as long.
    pub(in crate::session) stretch: Duration,
}

/// One body, as far as it has come and was not read.
pub(in crate::session) struct IncomingBody {
    /// The delivery's number.
    tag: u64,
    consumer: u64,
    pieces: VecDeque<Bytes>,
    /// Octets in all, and still to come.
    size: u64,
    rest: u64,
    /// A handle reads it, or will.
    claimed: bool,
    waker: Option<Waker>,
    /// It broke off.
    end: Option<Arc<CloseReason>>,
}

/// What a reader finds.
pub(in crate::session) enum Found {
    Piece(Bytes),
    /// It was read to its end.
    End,
    /// It broke off.
    Broken(Arc<CloseReason>),
    Nothing,
    /// Nobody knows such a body.
    Unknown,
}

/// The bodies of one channel, in the order of their deliveries.
pub(crate) struct Bodies {
    bodies: VecDeque<IncomingBody>,
    /// The one whose pieces come now, unless nobody wants them.
    current: Option<u64>,
    /// What waits in all of them.
    octets: usize,
    /// Octets by which that grows until reading pauses.
    step: usize,
    pause_at: usize,
    /// Since when reading is paused.
    pausing: Option<Instant>,
    /// Somebody read something since that was looked at last.
    progressed: bool,
    /// For how long nobody has.
    idle: Duration,
    /// The channel is over: nobody counts any more.
    over: bool,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            bodies: VecDeque::new(),
            current: None,
            octets: 0,
            step: PRESSURE,
            pause_at: PRESSURE,
            pausing: None,
            progressed: true,
            idle: Duration::ZERO,
            over: false,
        }
    }
}

impl Bodies {
    /// Whether more waits than may. One piece alone is always let in.
    pub(in crate::session) fn is_over(&self, budget: usize) -> bool {
        let last = self.bodies.back().and_then(|body| body.pieces.back());
        let alone = last.is_some_and(|piece| piece.len() + PIECE == self.octets);
        self.octets > budget && !alone
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn len(&self) -> usize {
        self.bodies.len()
    }

    /// There is a consumer with this budget.
    pub(in crate::session) fn bound(&mut self, budget: usize) {
        self.step = self.step.min(budget / PART);
        self.pause_at = self.pause_at.min(self.octets.saturating_add(self.step));
    }

    pub(in crate::session) fn is_pausing(&self) -> bool {
        self.pausing.is_some()
    }

    fn position(&self, tag: u64) -> Option<usize> {
        self.bodies.iter().position(|body| body.tag == tag)
    }

    /// A body begins; one that nobody wants is let go of as it comes.
    pub(in crate::session) fn begin(&mut self, tag: u64, consumer: u64, size: u64, wanted: bool) {
        self.current = wanted.then_some(tag);
        if wanted {
            self.bodies.push_back(IncomingBody {
                tag,
                consumer,
                pieces: VecDeque::new(),
                size,
                rest: size,
                claimed: false,
                waker: None,
                end: None,
            });
        }
    }

    /// The consumer of the body whose pieces come now, if somebody wants them.
    pub(in crate::session) fn current(&self) -> Option<u64> {
        let current = self.current?;
        self.bodies.back().filter(|body| body.tag == current).map(|body| body.consumer)
    }

    /// Adds a piece to the body whose pieces come now; gives for how long reading should pause.
    pub(in crate::session) fn push(
        &mut self,
        piece: Bytes,
        rest: u64,
        crowd: &mut Crowd,
        effects: &mut Effects,
        now: Instant,
    ) -> Option<Duration> {
        let body = self.bodies.back_mut()?;
        let cost = piece.len() + PIECE;
        body.rest = rest;
        body.pieces.push_back(piece);
        effects.wake(body.waker.take());
        self.octets += cost;
        let crowded = crowd.add(cost);
        if self.octets <= self.pause_at {
            return crowded;
        }
        self.pause_at = self.octets.saturating_add(self.step);
        self.pausing.get_or_insert(now);
        let patient = std::mem::take(&mut self.progressed) || self.idle.is_zero();
        Some(if patient { MOMENT } else { SHORT })
    }

    /// The moment is over: whether reading should stay paused, and for how long.
    pub(in crate::session) fn end_pause(
        &mut self,
        now: Instant,
        patience: Patience,
    ) -> Option<Duration> {
        let since = self.pausing?;
        match std::mem::take(&mut self.progressed) {
            true => self.idle = Duration::ZERO,
            false => self.idle = self.idle.saturating_add(MOMENT),
        }
        let stretch = now.saturating_duration_since(since) >= patience.stretch;
        if stretch || self.idle > patience.idle || self.octets <= self.step / 2 {
            self.pausing = None;
            if stretch && self.idle <= patience.idle {
                // Just enough is read to hear what else there is.
                self.pause_at = self.octets;
            }
            return None;
        }
        Some(MOMENT)
    }

    /// What there is for a reader. Gives whether a pause is over by that.
    pub(in crate::session) fn take(&mut self, tag: u64, crowd: &mut Crowd) -> (Found, bool) {
        let Some(at) = self.position(tag) else { return (Found::Unknown, false) };
        let Some(body) = self.bodies.get_mut(at) else { return (Found::Unknown, false) };
        if let Some(piece) = body.pieces.pop_front() {
            let over = self.release(piece.len() + PIECE, crowd);
            return (Found::Piece(piece), over);
        }
        let found = match &body.end {
            Some(reason) => Found::Broken(reason.clone()),
            None if body.rest == 0 => Found::End,
            None => return (Found::Nothing, false),
        };
        self.bodies.remove(at);
        (found, false)
    }

    /// Keeps the waker of a reader; gives the one that it replaced.
    pub(in crate::session) fn wait(&mut self, tag: u64, waker: &dyn Caller) -> Option<Waker> {
        let at = self.position(tag)?;
        let body = self.bodies.get_mut(at)?;
        match &body.waker {
            Some(old) if waker.is_woken_by(old) => None,
            _ => waker.waker().and_then(|new| body.waker.replace(new)),
        }
    }

    fn release(&mut self, octets: usize, crowd: &mut Crowd) -> bool {
        if self.over {
            return false;
        }
        self.octets = self.octets.saturating_sub(octets);
        self.progressed = true;
        self.idle = Duration::ZERO;
        self.pause_at = self.pause_at.min(self.octets.saturating_add(self.step));
        let thinned = crowd.remove(octets);
        (self.octets <= self.step / 2 && self.pausing.take().is_some()) || thinned
    }

    /// A handle will read it. Gives how many octets it has in all.
    pub(in crate::session) fn claim(&mut self, tag: u64) -> Option<u64> {
        let at = self.position(tag)?;
        let body = self.bodies.get_mut(at)?;
        body.claimed = true;
        Some(body.size)
    }

    /// Lets go of the bodies that `gone` tells; what still comes of them is let go of then. Gives whether a pause
    /// is over by that.
    fn discard(
        &mut self,
        gone: impl Fn(&IncomingBody) -> bool,
        crowd: &mut Crowd,
        effects: &mut Effects,
    ) -> bool {
        let mut octets = 0;
        self.bodies.retain_mut(|body| {
            let goes = gone(body);
            if goes {
                octets += cost(&body.pieces);
                effects.discard(Garbage::Pieces(std::mem::take(&mut body.pieces)));
                effects.discard_waker(body.waker.take());
            }
            !goes
        });
        self.release(octets, crowd)
    }

    /// Its reader is gone.
    pub(in crate::session) fn discard_one(
        &mut self,
        tag: u64,
        crowd: &mut Crowd,
        effects: &mut Effects,
    ) -> bool {
        self.discard(|body| body.tag == tag, crowd, effects)
    }

    /// The consumer's handle is gone, and with it whoever could have read what it had not given out.
    pub(in crate::session) fn discard_unclaimed(
        &mut self,
        consumer: u64,
        crowd: &mut Crowd,
        effects: &mut Effects,
    ) -> bool {
        self.discard(|body| body.consumer == consumer && !body.claimed, crowd, effects)
    }

    /// What a consumer had not given out is let go of, from this delivery on.
    pub(in crate::session) fn discard_unseen(
        &mut self,
        consumer: u64,
        first: u64,
        crowd: &mut Crowd,
        effects: &mut Effects,
    ) -> bool {
        let unseen =
            |body: &IncomingBody| body.consumer == consumer && !body.claimed && body.tag >= first;
        self.discard(unseen, crowd, effects)
    }

    /// The channel ended: bodies that are not all there have broken off, and nothing of them is given out any more.
    pub(in crate::session) fn end(
        &mut self,
        reason: &Arc<CloseReason>,
        crowd: &mut Crowd,
        effects: &mut Effects,
    ) {
        if self.over {
            return;
        }
        self.break_off(reason, crowd, effects);
        // What is left is read or dropped when its reader likes: nobody else waits for it any more.
        crowd.remove(self.octets);
        (self.octets, self.over) = (0, true);
    }

    /// The channel goes on after its end: what is left is waited for again.
    pub(in crate::session) fn revive(&mut self, crowd: &mut Crowd) {
        if std::mem::take(&mut self.over) {
            self.octets = self.bodies.iter().map(|body| cost(&body.pieces)).sum();
            crowd.add(self.octets);
        }
    }

    /// Nothing more comes of those that are not all there.
    pub(in crate::session) fn break_off(
        &mut self,
        reason: &Arc<CloseReason>,
        crowd: &mut Crowd,
        effects: &mut Effects,
    ) {
        let mut octets = 0;
        let open = |body: &&mut IncomingBody| body.rest > 0 && body.end.is_none();
        for body in self.bodies.iter_mut().filter(open) {
            octets += cost(&body.pieces);
            effects.discard(Garbage::Pieces(std::mem::take(&mut body.pieces)));
            body.end = Some(reason.clone());
            effects.wake(body.waker.take());
        }
        self.release(octets, crowd);
        self.pausing = None;
        self.current = None;
    }
}

fn cost(pieces: &VecDeque<Bytes>) -> usize {
    pieces.iter().map(|piece| piece.len() + PIECE).sum()
}
