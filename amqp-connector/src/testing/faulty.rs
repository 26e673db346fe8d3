//! [`Faulty`]: a transport that behaves as badly as a network may, by a seed.
//!
//! Wraps the client's side of a pipe in tests. The same seed gives the same faults, as long as both sides
//! are deterministic too (a current-thread runtime with a paused clock). Delays use tokio's clock.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A small generator of random numbers (SplitMix64): good enough for faults, the same everywhere.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator whose numbers depend on the seed alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from(self.next_u64() % bound).unwrap_or(0)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// How a direction of the transport ends, once enough octets have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// It never does.
    Never,
    /// Both directions end: reading gives the end of the stream, writing a broken pipe.
    Cut,
    /// Both directions fail, as after a reset.
    Reset,
    /// This direction alone ends; the other goes on.
    HalfOpen,
    /// This direction falls silent: nothing passes any more and nothing tells so.
    Silence,
}

/// What is wrong with one direction of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The most octets that one read or write moves; 0 is no limit.
    pub piece: usize,
    /// One in so many polls is pending though it need not be; 0 is none.
    pub pending: usize,
    /// One in so many polls waits for a while first; 0 is none.
    pub delay: usize,
    /// How long such a wait is at most.
    pub longest: Duration,
    /// Octets after which the direction ends.
    pub octets: usize,
    /// How it ends.
    pub ending: Ending,
}

impl Faults {
    /// None at all.
    pub const NONE: Self = Self {
        piece: 0,
        pending: 0,
        delay: 0,
        longest: Duration::ZERO,
        octets: usize::MAX,
        ending: Ending::Never,
    };
}

/// One direction.
#[derive(Debug)]
struct Direction {
    faults: Faults,
    passed: usize,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Direction {
    fn new(faults: Faults) -> Self {
        Self { faults, passed: 0, sleep: None }
    }

    fn is_over(&self) -> bool {
        self.faults.ending != Ending::Never && self.passed >= self.faults.octets
    }

    /// Ready when octets may pass now, with the most that may.
    fn poll_pass(&mut self, rng: &mut Rng, cx: &mut Context<'_>) -> Poll<usize> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        } else {
            let Faults { pending, delay, longest, .. } = self.faults;
            if pending > 0 && rng.one_in(pending) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if delay > 0 && rng.one_in(delay) {
                let micros = usize::try_from(longest.as_micros()).unwrap_or(usize::MAX);
                let wait = Duration::from_micros(rng.below(micros) as u64);
                let mut sleep = Box::pin(tokio::time::sleep(wait));
                if sleep.as_mut().poll(cx).is_pending() {
                    self.sleep = Some(sleep);
                    return Poll::Pending;
                }
            }
        }
        let most = match self.faults.piece {
            0 => usize::MAX,
            piece => 1 + rng.below(piece),
        };
        Poll::Ready(match self.faults.ending {
            Ending::Never => most,
            _ => most.min(self.faults.octets.saturating_sub(self.passed)),
        })
    }
}

/// A transport with faults in both directions.
pub struct Faulty<T> {
    io: T,
    rng: Rng,
    inbound: Direction,
    outbound: Direction,
}

impl<T> Faulty<T> {
    /// Wraps `io`. `inbound` are the faults of reading, `outbound` those of writing.
    pub fn new(io: T, seed: u64, inbound: Faults, outbound: Faults) -> Self {
        Self {
            io,
            rng: Rng::new(seed),
            inbound: Direction::new(inbound),
            outbound: Direction::new(outbound),
        }
    }

    /// Octets that have passed inbound and outbound.
    pub fn passed(&self) -> (usize, usize) {
        (self.inbound.passed, self.outbound.passed)
    }

    /// The ending of the whole transport, if one of its directions has brought it about.
    fn common_end(&self) -> Option<Ending> {
        [&self.inbound, &self.outbound]
            .into_iter()
            .filter(|direction| direction.is_over())
            .map(|direction| direction.faults.ending)
            .find(|ending| matches!(ending, Ending::Cut | Ending::Reset))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Faulty<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.common_end() {
            Some(Ending::Reset) => {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            Some(_) => return Poll::Ready(Ok(())),
            None => {}
        }
        if this.inbound.is_over() {
            return match this.inbound.faults.ending {
                Ending::HalfOpen => Poll::Ready(Ok(())),
                // The other direction's end would have to wake it; a deadline does, too.
                _ => Poll::Pending,
            };
        }
        let most = ready!(this.inbound.poll_pass(&mut this.rng, cx)).min(buf.remaining());
        let mut piece = vec![0; most.min(64 << 10)];
        let mut part = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut this.io).poll_read(cx, &mut part))?;
        buf.put_slice(part.filled());
        this.inbound.passed += part.filled().len();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Faulty<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match this.common_end() {
            Some(Ending::Reset) => {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            Some(_) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            None => {}
        }
        if this.outbound.is_over() {
            return match this.outbound.faults.ending {
                Ending::HalfOpen => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                // What a dead network does: it is taken, and goes nowhere, until buffers are full.
                _ => Poll::Pending,
            };
        }
        let most = ready!(this.outbound.poll_pass(&mut this.rng, cx)).min(buf.len());
        let piece = buf.get(..most).unwrap_or(buf);
        let octets = ready!(Pin::new(&mut this.io).poll_write(cx, piece))?;
        this.outbound.passed += octets;
        Poll::Ready(Ok(octets))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.common_end() {
            Some(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            None => Pin::new(&mut self.io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outbound.is_over() && self.outbound.faults.ending == Ending::Silence {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T> fmt::Debug for Faulty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("inbound", &self.inbound.faults)
            .field("outbound", &self.outbound.faults)
            .finish_non_exhaustive()
    }
}
