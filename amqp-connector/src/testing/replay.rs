//! [`Replay`]: a transport for measurements, whose peer costs next to nothing.
//!
//! Used by the project's allocation tests and instruction counts, through [`testing`](super). It reads nothing of
//! what it is sent, so what it plays must fit what the client has asked for. It never waits and has no clock.

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use amqp_types::protocol::{self, Method, Spec, basic, connection};
use amqp_types::{FieldTable, Method as _, ServerMethod};
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::{content_frames, method_frame};

/// Octets of the largest frame that is offered, and played.
const FRAME_MAX: u32 = 131_072;

/// A transport that is its own peer: it plays what was encoded beforehand, and drops what is written.
///
/// It answers a handshake by itself, without heartbeats, and then nothing that its [`ReplayControl`] was not
/// told to answer.
///
/// ```
/// use amqp_connector::protocol::{basic, channel};
/// use amqp_connector::testing::{Flood, Replay};
/// use amqp_connector::{BasicConsume, Connector, Prefetch};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (io, control) = Replay::new();
/// let connection = Connector::new().connect_with(io).await?.authenticate("guest", "guest").await?;
/// control.answer(1, channel::OpenOk::default());
/// let channel = connection.channel_open().await?;
///
/// let deliver = basic::Deliver { consumer_tag: "c".try_into()?, ..Default::default() };
/// control.load(Flood::new(1, &deliver, &basic::Properties::default(), b"hello", 10));
/// control.answer(1, basic::QosOk::default());
/// control.answer(1, basic::ConsumeOk { consumer_tag: "c".try_into()? });
/// let consume = BasicConsume::new("jobs", Prefetch::Count(100)).tag("c");
/// let mut consumer = channel.basic_consume(consume).await?;
/// control.play(3);
/// for tag in 1..=30 {
///     let delivery = consumer.recv().await.ok_or("over")?;
///     assert_eq!((delivery.delivery_tag(), delivery.body.len()), (tag, 5));
/// }
/// # Ok(()) }
/// ```
pub struct Replay {
    deck: Arc<Mutex<Deck>>,
}

/// What a [`Replay`] plays, and what was written to it.
#[derive(Clone)]
pub struct ReplayControl {
    deck: Arc<Mutex<Deck>>,
}

/// Deliveries, encoded once, to be played any number of times: see [`ReplayControl::load`].
#[derive(Debug)]
pub struct Flood {
    frames: BytesMut,
    /// Where the delivery tags stand, and the one that comes next.
    tags: Vec<usize>,
    next_tag: u64,
}

#[derive(Default)]
struct Deck {
    /// Methods to be read before the flood goes on; and those that come there by the next write.
    methods: BytesMut,
    answers: BytesMut,
    flood: Option<Flood>,
    /// How often the flood is still to be played, and what of it was read this time.
    laps: usize,
    at: usize,
    /// A lap is over: the client finds nothing to read once, as on a socket that it has emptied.
    breath: bool,
    reader: Option<Waker>,
    written: usize,
    watched: Range<usize>,
    seen: usize,
}

impl Replay {
    /// A transport, and the handle to control it by.
    #[must_use]
    pub fn new() -> (Self, ReplayControl) {
        let deck = Arc::<Mutex<Deck>>::default();
        let control = ReplayControl { deck: deck.clone() };
        control.send(
            0,
            connection::Start {
                version_major: protocol::VERSION.major,
                version_minor: protocol::VERSION.minor,
                server_properties: FieldTable::new(),
                mechanisms: Bytes::from_static(b"PLAIN"),
                locales: Bytes::from_static(b"en_US"),
            },
        );
        control.send(0, connection::Tune { channel_max: 2047, frame_max: FRAME_MAX, heartbeat: 0 });
        control.send(0, connection::OpenOk::default());
        (Self { deck }, control)
    }
}

impl Flood {
    /// `count` equal deliveries on `channel`, whose tags count up from 1.
    #[must_use]
    pub fn new(
        channel: u16,
        deliver: &basic::Deliver,
        properties: &basic::Properties,
        body: &[u8],
        count: usize,
    ) -> Self {
        let frame = |delivery_tag| {
            let mut frame = BytesMut::new();
            let deliver = basic::Deliver { delivery_tag, ..deliver.clone() };
            method_frame(&mut frame, channel, &deliver.into_any());
            frame
        };
        // Where it stands is the specification's to say: there two frames differ.
        let (mut delivery, other) = (frame(0), frame(u64::MAX));
        let tag = delivery.iter().zip(&other).take_while(|(a, b)| a == b).count();
        content_frames(&mut delivery, channel, properties, body, FRAME_MAX);
        let size = delivery.len();
        let frames = BytesMut::from_iter(delivery.repeat(count));
        let tags = (0..count).map(|n| n * size + tag).collect();
        let mut flood = Self { frames, tags, next_tag: 1 };
        flood.number();
        flood
    }

    /// How many deliveries one lap has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tags.len()
    }

    /// Gives the deliveries of the next lap their tags.
    fn number(&mut self) {
        for &at in &self.tags {
            let place = self.frames.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<8>);
            if let Some(place) = place {
                *place = self.next_tag.to_be_bytes();
            }
            self.next_tag += 1;
        }
    }
}

impl ReplayControl {
    fn deck(&self) -> MutexGuard<'_, Deck> {
        lock(&self.deck)
    }

    /// Lets the client read a method.
    pub fn send<M>(&self, channel: u16, method: M)
    where
        M: ServerMethod + amqp_types::Method<Protocol = Spec>,
    {
        let mut deck = self.deck();
        method_frame(&mut deck.methods, channel, &method.into_any());
        wake(deck);
    }

    /// Lets the client read a method once it has written something.
    pub fn answer<M>(&self, channel: u16, method: M)
    where
        M: ServerMethod + amqp_types::Method<Protocol = Spec>,
    {
        let method: Method = method.into_any();
        method_frame(&mut self.deck().answers, channel, &method);
    }

    /// The deliveries that [`play`](Self::play) plays.
    pub fn load(&self, flood: Flood) {
        self.deck().flood = Some(flood);
    }

    /// Lets the client read the loaded deliveries `laps` times. After each time there is nothing to read for
    /// a moment.
    pub fn play(&self, laps: usize) {
        let mut deck = self.deck();
        deck.laps += laps;
        wake(deck);
    }

    /// How many octets were written.
    #[must_use]
    pub fn written(&self) -> usize {
        self.deck().written
    }

    /// Counts what is written straight out of this memory: see [`seen`](Self::seen).
    pub fn watch(&self, memory: &[u8]) {
        let Range { start, end } = memory.as_ptr_range();
        self.deck().watched = start.addr()..end.addr();
    }

    /// How many octets were written straight out of the memory that is watched, not out of a copy.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.deck().seen
    }
}

impl Deck {
    fn fill(&mut self, buf: &mut ReadBuf<'_>) {
        // Not between the frames of a delivery.
        if self.at == 0 && !self.methods.is_empty() {
            let read = put(buf, Some(&self.methods));
            self.methods.advance(read);
        }
        let Some(flood) = &mut self.flood else { return };
        if self.laps > 0 && self.methods.is_empty() {
            self.at += put(buf, flood.frames.get(self.at..));
            if self.at == flood.frames.len() {
                self.at = 0;
                self.laps -= 1;
                self.breath = true;
                flood.number();
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let size = slices.iter().map(|slice| slice.len()).sum();
        let watched = slices.iter().filter(|slice| self.watched.contains(&slice.as_ptr().addr()));
        self.seen += watched.map(|slice| slice.len()).sum::<usize>();
        self.written += size;
        self.methods.extend_from_slice(&self.answers);
        self.answers.clear();
        size
    }
}

/// Copies as much as there is room for, and tells how much that was.
fn put(buf: &mut ReadBuf<'_>, octets: Option<&[u8]>) -> usize {
    let octets = octets.unwrap_or_default();
    let fitting = octets.get(..buf.remaining()).unwrap_or(octets);
    buf.put_slice(fitting);
    fitting.len()
}

fn lock(deck: &Mutex<Deck>) -> MutexGuard<'_, Deck> {
    deck.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes whoever reads, after the lock.
fn wake(mut deck: MutexGuard<'_, Deck>) {
    let reader = deck.reader.take();
    drop(deck);
    if let Some(reader) = reader {
        reader.wake();
    }
}

impl AsyncRead for Replay {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut deck = lock(&self.deck);
        if std::mem::take(&mut deck.breath) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        deck.fill(buf);
        if buf.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        match &mut deck.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            None => deck.reader = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl AsyncWrite for Replay {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut deck = lock(&self.deck);
        let written = deck.write(slices);
        if !deck.methods.is_empty() {
            wake(deck);
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

impl fmt::Debug for ReplayControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayControl").finish_non_exhaustive()
    }
}
