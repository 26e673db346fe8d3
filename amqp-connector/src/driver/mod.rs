//! The one task of a connection: it owns the transport and moves octets, and nothing else.
//!
//! Each poll goes round: read once, hand the frames to the session under one lock together with the clock,
//! take what there is to write, write it. Reading never waits for a write, so a peer that finishes writing
//! before it reads cannot hang us. All protocol is the session's.

mod timer;

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use amqp_types::frame::Frames;
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::codec::Framed;

use self::timer::Timer;
use crate::codec::{CodecError, FrameCodec};
use crate::measure::Batch;
use crate::session::{Chunk, Ready, Segment, Session, WriteQueue};
use crate::shared::Shared;

/// Slices of one vectored write.
const SLICES: usize = 64;
/// Rounds of one poll, octets read and written in them, and frames handed to the session; after that other tasks get
/// their turn, above all the consumers of what was read, while it is still in the processor's caches.
const ROUNDS: usize = 16;
const READ_OCTETS: usize = 256 << 10;
const WRITE_OCTETS: usize = 1 << 20;
const FRAMES: usize = 2048;

/// The future that runs a connection over the transport `T`.
///
/// [`Greeted::authenticate`](crate::Greeted::authenticate) spawns it on the current tokio runtime;
/// [`Greeted::authenticate_with_driver`](crate::Greeted::authenticate_with_driver) hands it out, to be
/// awaited or spawned elsewhere, inside a tokio runtime with time enabled. It ends when the connection is
/// closed and the transport shut down.
///
/// # Drop
///
/// Dropping it ends the connection at once: every waiter gets the reason. That needs no runtime.
#[must_use = "the connection makes no progress unless its driver is polled"]
pub struct Driver<T> {
    shared: Arc<Shared>,
    framed: Framed<T, FrameCodec>,
    /// What was read and not handed to the session yet.
    frames: Option<Frames>,
    /// What is being written.
    queue: WriteQueue,
    /// Octets written, and chunks emptied, since the session was told last.
    written: usize,
    /// When octets were written last.
    wrote_at: Instant,
    /// The transport has flushed all that was written, and the session is to be told so.
    flushed: bool,
    report: bool,
    spent: Vec<Chunk>,
    /// A clone of our waker, until the session needs it: to clone is not done under the lock.
    spare: Option<Waker>,
    timer: Timer,
    /// What the session said last.
    wants_read: bool,
    /// Octets read and written, and frames handed over, in this poll.
    read: usize,
    wrote: usize,
    turn: usize,
    /// Somebody has woken us, or time is up: the session is to be asked.
    woken: bool,
    /// Nothing can be read in this poll any more: a waker is registered.
    read_pending: bool,
    /// When this poll began.
    now: Instant,
    /// What the session waits for.
    timeout: Option<Instant>,
    /// Octets of a frame that is not complete yet, and whether any came since the session was told last.
    partial: usize,
    received: usize,
    /// What is measured, and was not told yet.
    batch: Batch,
    state: DriverState,
}

enum DriverState {
    Running,
    /// Writing failed; what the peer said before is read first, since it may tell why.
    WriteFailed(Option<io::Error>),
    /// The session is closed: the rest is written and the transport shut down.
    Finishing,
    Done,
}

/// What one look at the transport's inbound side gave.
enum Read {
    /// There may be more.
    More,
    Pending,
    /// The session does not want to read now.
    Paused,
    End(Option<CodecError>),
}

/// What the session told under the lock.
struct View {
    closed: bool,
    aborted: bool,
    wants_read: bool,
    idle: bool,
    timeout: Option<Instant>,
}

impl<T> Driver<T> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        framed: Framed<T, FrameCodec>,
        frames: Option<Frames>,
    ) -> Self {
        let mut batch = Batch::default();
        batch.received(frames.as_ref().map_or(0, Frames::len));
        Self {
            shared,
            framed,
            frames,
            queue: WriteQueue::default(),
            written: 0,
            wrote_at: Instant::now(),
            flushed: true,
            report: false,
            spent: Vec::new(),
            spare: None,
            timer: Timer::default(),
            wants_read: true,
            read: 0,
            wrote: 0,
            turn: 0,
            woken: true,
            read_pending: false,
            now: Instant::now(),
            timeout: None,
            partial: 0,
            received: 0,
            batch,
            state: DriverState::Running,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    /// Takes the frames of one read.
    fn poll_read_frames(&mut self, cx: &mut Context<'_>) -> Read {
        if self.frames.is_some() {
            return Read::More;
        }
        if self.read_pending {
            return Read::Pending;
        }
        match Pin::new(&mut self.framed).poll_next(cx) {
            Poll::Ready(Some(Ok(frames))) => {
                self.read += frames.len();
                self.received += frames.len();
                self.batch.received(frames.len());
                self.partial = self.framed.read_buffer().len();
                self.frames = Some(frames);
                // There may be more, and then no waker is registered for it.
                Read::More
            }
            Poll::Ready(Some(Err(error))) => Read::End(Some(error)),
            Poll::Ready(None) => Read::End(None),
            Poll::Pending => {
                // Part of a large frame is a sign of life, too.
                let partial = self.framed.read_buffer().len();
                self.received += partial.saturating_sub(self.partial);
                self.partial = partial;
                self.read_pending = true;
                Read::Pending
            }
        }
    }

    /// Whether the session would learn nothing and, since it was asked in this very poll, has nothing to say.
    fn has_nothing_to_tell(&mut self) -> bool {
        let woken = std::mem::take(&mut self.woken);
        let running = matches!(self.state, DriverState::Running);
        running && !woken && self.received == 0 && !self.report && self.written == 0
    }

    /// One lock: in goes what was read and the time, out comes what is to be written.
    fn exchange(&mut self, cx: &mut Context<'_>, read: &mut Read, now: Instant) -> View {
        let received = std::mem::take(&mut self.received);
        let (overdue, quiet) =
            (self.timeout.is_some_and(|at| at <= now), matches!(read, Read::Pending));
        let mut frames = self.frames.take();
        let copy_max = self.framed.codec().copy_max();
        let Self { shared, queue, written, wrote_at, .. } = self;
        let Self { flushed, report, spent, spare, state, turn, batch, .. } = self;
        let driver = Ready::holding(cx.waker(), spare.take());
        let waits = queue.is_empty();
        let view = shared.with(|session| {
            if overdue {
                session.handle_look(now, quiet);
            }
            if received > 0 {
                session.handle_received(received, now);
            }
            if let Some(frames) = &mut frames {
                session.copy_from_now(copy_max);
                while *turn < FRAMES
                    && let Some(frame) = frames.next_frame()
                {
                    session.handle_frame(frame, now);
                    *turn += 1;
                }
            }
            if *written > 0 {
                session.handle_progress(*wrote_at);
            }
            if matches!(read, Read::End(_)) || matches!(state, DriverState::WriteFailed(_)) {
                handle_end(session, read, state);
            }
            session.handle_timeout(now);
            session.ensure_close_deadline(now);
            *report = false;
            let drained = queue.is_empty() && *flushed;
            session.handle_written(std::mem::take(written), drained, now);
            while let Some(chunk) = spent.pop() {
                session.recycle(chunk);
            }
            if queue.is_empty() && !matches!(state, DriverState::WriteFailed(_)) {
                session.take_output(queue.segments());
                *flushed &= queue.is_empty();
            }
            session.set_driver(&driver);
            session.take_counts(batch);
            View {
                closed: session.is_closed() || session.is_lost(),
                aborted: session.is_aborted(),
                wants_read: session.wants_read(),
                idle: session.take_idle(),
                timeout: session.poll_timeout(),
            }
        });
        shared.instruments.tell(batch);
        let again = driver.is_wanted();
        *spare = driver.into_spare();
        if again {
            // It was notified twice in one poll.
            let driver = Ready::holding(cx.waker(), Some(cx.waker().clone()));
            shared.with(|session| session.set_driver(&driver));
        }
        self.frames = frames.filter(|frames| !frames.is_empty());
        if let Some(tapping) = self.framed.codec_mut().tapping()
            && waits
        {
            tapping.sent(self.queue.pieces());
        }
        view
    }

    /// Writes what was taken. Ready once all of it is written and flushed.
    fn poll_write_queue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.queue.fill(&mut slices);
            let io = Pin::new(self.framed.get_mut());
            let slices = slices.get(..count).unwrap_or_default();
            let result = match io.is_write_vectored() {
                true => io.poll_write_vectored(cx, slices),
                false => io.poll_write(cx, slices.first().map_or(&[], |slice| slice)),
            };
            match result {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(octets)) => {
                    self.written += octets;
                    self.batch.sent(octets);
                    self.wrote_at = self.now;
                    self.wrote += octets;
                    let spent = &mut self.spent;
                    self.queue.advance(octets, |segment| {
                        if let Segment::Chunk(mut chunk) = segment {
                            // Here, outside the lock: bodies are users' values.
                            chunk.clear();
                            spent.push(chunk);
                        }
                    });
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let flushed = Pin::new(self.framed.get_mut()).poll_flush(cx);
        if let Poll::Ready(Ok(())) = flushed {
            self.report |= !self.flushed;
            self.flushed = true;
        }
        flushed
    }

    /// One round. Ready: the connection is over. Pending with `true`: another round is worth it.
    fn poll_round(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let finishing = matches!(self.state, DriverState::Finishing);
        let mut read = match finishing || !self.wants_read {
            true => Read::Paused,
            false => self.poll_read_frames(cx),
        };
        if matches!(read, Read::Pending) && self.has_nothing_to_tell() {
            let due = self.timer.poll(cx, self.timeout);
            self.woken = due;
            return Poll::Ready(due);
        }
        let view = self.exchange(cx, &mut read, self.now);
        self.wants_read = view.wants_read;
        self.timeout = view.timeout;
        if view.idle {
            self.tidy();
        }
        if view.aborted {
            self.state = DriverState::Done;
            return Poll::Ready(true);
        }
        if view.closed && !finishing {
            self.state = match self.state {
                // There is nothing to write to any more.
                DriverState::WriteFailed(_) => DriverState::Done,
                _ => DriverState::Finishing,
            };
            return Poll::Ready(true);
        }
        if finishing {
            return self.poll_finish(cx, view.timeout);
        }
        let wrote = match self.state {
            DriverState::WriteFailed(_) => Poll::Pending,
            _ => self.poll_write_queue(cx),
        };
        match wrote {
            Poll::Ready(Err(error)) => {
                self.state = DriverState::WriteFailed(Some(error));
                return Poll::Ready(true);
            }
            Poll::Ready(Ok(())) if self.written > 0 || self.report => return Poll::Ready(true),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        let resumed = matches!(read, Read::Paused) && view.wants_read;
        let due = self.timer.poll(cx, view.timeout);
        match matches!(read, Read::More) || resumed || due {
            true => Poll::Ready(true),
            false => Poll::Ready(false),
        }
    }

    /// Writes the last octets and shuts the transport down, or gives that up at the deadline.
    fn poll_finish(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<bool> {
        let done = match self.poll_write_queue(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(()),
            // The session may hold more than one turn.
            Poll::Ready(Ok(())) if self.written > 0 || self.report => return Poll::Ready(true),
            Poll::Ready(Ok(())) => Pin::new(self.framed.get_mut()).poll_shutdown(cx).map(|_| ()),
        };
        if done.is_ready() || self.timer.poll(cx, deadline) {
            self.state = DriverState::Done;
            return Poll::Ready(true);
        }
        Poll::Ready(false)
    }
}

/// The end of the inbound side, or of the outbound side once the inbound one has nothing more to say.
#[cold]
fn handle_end(session: &mut Session, read: &mut Read, state: &mut DriverState) {
    match std::mem::replace(read, Read::Pending) {
        Read::End(end) => {
            let failed = match state {
                DriverState::WriteFailed(error) => error.take(),
                _ => None,
            };
            let failed = match end {
                Some(CodecError::Frame(error)) => {
                    session.handle_frame_error(&error);
                    failed
                }
                Some(CodecError::Io(error)) => {
                    session.handle_io_end(Some(error));
                    failed
                }
                None => {
                    session.handle_io_end(failed);
                    None
                }
            };
            session.discard_io_error(failed);
        }
        quiet @ (Read::Pending | Read::Paused) => {
            if let DriverState::WriteFailed(error) = state {
                session.handle_io_end(error.take());
                session.drop_output();
            }
            *read = quiet;
        }
        Read::More => *read = Read::More,
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Driver<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        (this.read, this.wrote, this.turn) = (0, 0, 0);
        (this.woken, this.read_pending, this.now) = (true, false, Instant::now());
        if !this.spare.as_ref().is_some_and(|spare| spare.will_wake(cx.waker())) {
            this.spare = Some(cx.waker().clone());
        }
        for _ in 0..ROUNDS {
            let enough =
                this.read >= READ_OCTETS || this.wrote >= WRITE_OCTETS || this.turn >= FRAMES;
            if enough {
                break;
            }
            if matches!(this.state, DriverState::Done) {
                this.finish();
                return Poll::Ready(());
            }
            match this.poll_round(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) | Poll::Pending => return Poll::Pending,
            }
        }
        yield_turn(cx);
        Poll::Pending
    }
}

/// Asks to be polled again, behind the tasks that have given up their turn for us: a driver that woke itself
/// at once would always be found ready before them.
fn yield_turn(cx: &mut Context<'_>) {
    let turn = pin!(tokio::task::yield_now());
    if turn.poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}

impl<T> Driver<T> {
    /// Frees the buffers of a burst.
    fn tidy(&mut self) {
        let mut source = std::mem::take(self.framed.read_buffer_mut());
        self.framed.codec_mut().tidy(&mut source);
        *self.framed.read_buffer_mut() = source;
    }

    /// Nothing moves any more: whoever still waits gets the reason.
    fn finish(&mut self) {
        self.queue.clear();
        let Self { shared, batch, .. } = self;
        shared.with(|session| {
            session.handle_driver_gone();
            session.take_counts(batch);
        });
        shared.instruments.tell(batch);
    }
}

impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<T> fmt::Debug for Driver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
