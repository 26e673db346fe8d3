//! A transport that knows frames, and does one thing to one of them.
//!
//! It stands between the client and the broker, takes both directions apart into frames, counts them, and at the n-th
//! one of a direction does what its [`Plan`] says. Heartbeats are not counted: how many there are depends on the time.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long the link takes to bring something, once a frame was hit: client and broker may then go on between
/// themselves for ever, and as long as they do virtual time would stand still.
const LAG: Duration = Duration::from_millis(20);

/// What happens to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// From here on this direction's octets go nowhere, heartbeats too.
    Silence,
    /// From here on both directions' octets go nowhere.
    Dead,
    /// From here on nothing is taken in either direction: buffers that are full.
    Stuck,
    /// From here on only heartbeats pass in this direction.
    Mute,
    /// This frame alone is missing.
    Lost,
    /// This frame comes twice.
    Twice,
    /// Both directions end before this frame.
    Cut,
    /// Both directions fail before this frame.
    Reset,
    /// Both directions end in the middle of this frame.
    Truncated,
    /// The second half of this frame is missing; what follows comes.
    Shortened,
    /// One bit of an octet is another.
    Flipped(Part),
}

/// The octet that is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Type,
    Channel,
    /// The size's high octet: far more than there is.
    SizeHigh,
    /// The size's low octet: a few more or less than there are.
    SizeLow,
    PayloadFirst,
    PayloadMiddle,
    PayloadLast,
    End,
}

impl Fault {
    pub(crate) const ALL: [Self; 18] = [
        Self::Silence,
        Self::Dead,
        Self::Stuck,
        Self::Mute,
        Self::Lost,
        Self::Twice,
        Self::Cut,
        Self::Reset,
        Self::Truncated,
        Self::Shortened,
        Self::Flipped(Part::Type),
        Self::Flipped(Part::Channel),
        Self::Flipped(Part::SizeHigh),
        Self::Flipped(Part::SizeLow),
        Self::Flipped(Part::PayloadFirst),
        Self::Flipped(Part::PayloadMiddle),
        Self::Flipped(Part::PayloadLast),
        Self::Flipped(Part::End),
    ];

    /// Whether the connection cannot outlive it, whatever its user does.
    pub(crate) fn is_fatal(self) -> bool {
        matches!(
            self,
            Self::Silence | Self::Dead | Self::Stuck | Self::Cut | Self::Reset | Self::Truncated
        )
    }

    /// Whether a peer that keeps the protocol's rules can bring it about.
    pub(crate) fn is_honest(self) -> bool {
        self.is_fatal() || self == Self::Mute
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the broker to the client.
    Inbound,
    /// From the client to the broker.
    Outbound,
}

/// Which frame is hit, and by what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) direction: Direction,
    /// From 0; none if there are not so many.
    pub(crate) frame: usize,
    pub(crate) fault: Fault,
}

/// How many frames have come by, inbound and outbound, and whether one was hit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) inbound: usize,
    pub(crate) outbound: usize,
    pub(crate) hit: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Passing,
    Muted,
    Silent,
}

/// One direction.
#[derive(Debug, Default)]
struct Line {
    state: State,
    /// What has not made a frame yet.
    raw: Vec<u8>,
    /// What may go on.
    ready: Vec<u8>,
}

/// How both directions are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Cut,
    Reset,
    Stuck,
}

pub(crate) struct Tap {
    io: Option<DuplexStream>,
    plan: Option<Plan>,
    seen: Arc<Mutex<Seen>>,
    inbound: Line,
    outbound: Line,
    end: Option<End>,
    reader: Option<Waker>,
    lag: Option<Pin<Box<Sleep>>>,
}

impl Tap {
    /// The transport, and what it has seen.
    pub(crate) fn new(io: DuplexStream, plan: Option<Plan>) -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::<Mutex<Seen>>::default();
        let tap = Self {
            io: Some(io),
            plan,
            seen: seen.clone(),
            inbound: Line::default(),
            outbound: Line::default(),
            end: None,
            reader: None,
            lag: None,
        };
        (tap, seen)
    }

    fn line(&mut self, direction: Direction) -> &mut Line {
        match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }

    /// Takes octets of one direction, and lets go what may pass.
    fn take(&mut self, direction: Direction, octets: &[u8]) {
        self.line(direction).raw.extend_from_slice(octets);
        while self.end.is_none() {
            let line = self.line(direction);
            let Some(length) = frame_length(&line.raw) else { return };
            let frame = line.raw.drain(..length).collect();
            self.pass(direction, frame);
        }
    }

    fn pass(&mut self, direction: Direction, mut frame: Vec<u8>) {
        let heartbeat = frame[0] == 8;
        let fault = if heartbeat { None } else { self.count(direction) };
        match fault {
            None => {}
            Some(Fault::Silence) => self.line(direction).state = State::Silent,
            Some(Fault::Dead) => {
                self.inbound.state = State::Silent;
                self.outbound.state = State::Silent;
            }
            Some(Fault::Mute) => self.line(direction).state = State::Muted,
            Some(Fault::Stuck) => return self.finish(End::Stuck),
            Some(Fault::Cut) => return self.finish(End::Cut),
            Some(Fault::Reset) => return self.finish(End::Reset),
            Some(Fault::Lost) => return,
            Some(Fault::Twice) => frame.extend_from_within(..),
            Some(Fault::Truncated | Fault::Shortened) => frame.truncate(frame.len() / 2),
            Some(Fault::Flipped(part)) => flip(&mut frame, part),
        }
        let line = self.line(direction);
        if line.state == State::Passing || (line.state == State::Muted && heartbeat) {
            line.ready.extend_from_slice(&frame);
        }
        if fault == Some(Fault::Truncated) {
            self.finish(End::Cut);
        }
    }

    /// Counts a frame, and tells what is to happen to it.
    fn count(&mut self, direction: Direction) -> Option<Fault> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = match direction {
            Direction::Inbound => &mut seen.inbound,
            Direction::Outbound => &mut seen.outbound,
        };
        *frame += 1;
        let number = *frame - 1;
        let plan = self.plan.filter(|it| it.direction == direction && it.frame == number)?;
        seen.hit = true;
        Some(plan.fault)
    }

    fn begin_lag(&mut self) {
        if self.seen.lock().unwrap_or_else(PoisonError::into_inner).hit {
            self.lag = Some(Box::pin(sleep(LAG)));
        }
    }

    fn finish(&mut self, end: End) {
        self.end = Some(end);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Gives the broker what may pass, and lets go of it once all is over.
    fn poll_forward(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(io) = &mut self.io else { return Poll::Ready(Ok(())) };
        while !self.outbound.ready.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, &self.outbound.ready))?;
            self.outbound.ready.drain(..written);
        }
        if matches!(self.end, Some(End::Cut | End::Reset)) {
            self.io = None;
        }
        Poll::Ready(Ok(()))
    }
}

/// The length of the first frame, if it is whole. The protocol's header counts as one.
fn frame_length(raw: &[u8]) -> Option<usize> {
    let head = raw.first_chunk::<8>()?;
    if head.starts_with(b"AMQP") {
        return Some(8);
    }
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    (raw.len() >= size + 8).then_some(size + 8)
}

fn flip(frame: &mut [u8], part: Part) {
    let last = frame.len() - 1;
    let (at, bit) = match part {
        Part::Type => (0, 1),
        Part::Channel => (2, 1),
        Part::SizeHigh => (3, 0x10),
        Part::SizeLow => (6, 4),
        Part::PayloadFirst => (7, 1),
        Part::PayloadMiddle => (usize::midpoint(7, last), 4),
        Part::PayloadLast => (last - 1, 1),
        Part::End => (last, 1),
    };
    frame[at.min(last)] ^= bit;
}

impl AsyncRead for Tap {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.inbound.ready.is_empty() && this.end != Some(End::Stuck) {
                let octets = this.inbound.ready.len().min(buf.remaining());
                buf.put_slice(&this.inbound.ready[..octets]);
                this.inbound.ready.drain(..octets);
                return Poll::Ready(Ok(()));
            }
            match (this.end, &mut this.io) {
                (Some(End::Reset), _) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                (Some(End::Stuck), _) => return Poll::Pending,
                (Some(End::Cut), _) | (None, None) => return Poll::Ready(Ok(())),
                (None, Some(io)) => {
                    this.reader = Some(cx.waker().clone());
                    if let Some(lag) = &mut this.lag {
                        ready!(lag.as_mut().poll(cx));
                        this.lag = None;
                    }
                    let mut octets = [0; 4096];
                    let mut part = ReadBuf::new(&mut octets);
                    ready!(Pin::new(io).poll_read(cx, &mut part))?;
                    if part.filled().is_empty() {
                        return match this.inbound.state {
                            // Its end does not come through either.
                            State::Silent => Poll::Pending,
                            _ => Poll::Ready(Ok(())),
                        };
                    }
                    this.take(Direction::Inbound, part.filled());
                    this.begin_lag();
                }
            }
        }
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_forward(cx))?;
        match this.end {
            Some(End::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(End::Cut) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(End::Stuck) => return Poll::Pending,
            None => {}
        }
        this.take(Direction::Outbound, buf);
        // What does not go at once goes with the next write or flush.
        let _ = this.poll_forward(cx)?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.end {
            Some(End::Stuck) => Poll::Pending,
            _ => this.poll_forward(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.end == Some(End::Stuck) {
            return Poll::Pending;
        }
        ready!(this.poll_forward(cx))?;
        match &mut this.io {
            // A dead line does not tell of the end.
            Some(_) if this.outbound.state == State::Silent => Poll::Ready(Ok(())),
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
