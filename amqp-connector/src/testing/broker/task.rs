//! The task of one connection: octets between a transport and the core, and the clock.
//!
//! Reads and writes at the same time, so that neither side waits for the other. Knows nothing of AMQP.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::shared::Shared;

/// Octets that are read at once.
const CHUNK: usize = 16 << 10;

/// Serves a connection until it ends.
pub(super) async fn serve<T: AsyncRead + AsyncWrite + Unpin>(shared: Arc<Shared>, io: T) {
    let id = shared.with(super::core::Core::connect);
    let mut task = Task { entry: Entry { shared, id }, io, output: BytesMut::new(), timer: None };
    if !task.entry.shared.has_ended() {
        poll_fn(|cx| task.poll(cx)).await;
    }
}

/// The connection's place in the core, given back however the task ends.
struct Entry {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.with(|core| core.disconnect(self.id));
    }
}

struct Task<T> {
    entry: Entry,
    io: T,
    output: BytesMut,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What the core wants of the task.
struct Wants {
    over: bool,
    reads: bool,
    /// More waits to be written than may; the core has to know when that changes.
    full: bool,
    deadline: Option<Instant>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Task<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(wants) = self.ask(cx) else { return Poll::Ready(()) };
            if wants.over && (self.output.is_empty() || self.is_cut()) {
                return Poll::Ready(());
            }
            let waiting = self.output.len();
            if self.write(cx).is_err() {
                return Poll::Ready(());
            }
            if wants.full && self.output.len() < waiting {
                continue;
            }
            if wants.over && self.output.is_empty() {
                continue;
            }
            let read = match wants.reads {
                true => self.read(cx),
                false => Poll::Pending,
            };
            match read {
                Poll::Ready(true) => continue,
                Poll::Ready(false) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if self.wait(cx, wants.deadline).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Tells the core the time, takes what is to be written, and asks how to go on. None if the connection is gone.
    fn ask(&mut self, cx: &Context<'_>) -> Option<Wants> {
        let waker = cx.waker().clone();
        let (id, output) = (self.entry.id, &mut self.output);
        self.entry.shared.with(|core| {
            let expiry = core.next_expiry();
            core.written(id, output.len());
            let now = Instant::now();
            let connection = core.connection_mut(id)?;
            connection.tick(now);
            connection.set_waker(waker);
            output.unsplit(connection.output().split());
            let deadline = connection.deadline().into_iter().chain(expiry).min();
            let (over, full) = (connection.is_over(), connection.is_full());
            Some(Wants { over, full, reads: connection.reads(), deadline })
        })
    }

    fn is_cut(&self) -> bool {
        self.entry
            .shared
            .with(|core| core.connection_mut(self.entry.id).is_none_or(|it| it.is_cut()))
    }

    fn write(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        while !self.output.is_empty() {
            match Pin::new(&mut self.io).poll_write(cx, &self.output) {
                Poll::Ready(Ok(0)) => return Err(std::io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => self.output.advance(written),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    /// Whether something came; if not, the transport has ended.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut octets = [0; CHUNK];
        let mut buffer = ReadBuf::new(&mut octets);
        match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(false),
            Poll::Ready(Ok(())) => {
                self.entry.shared.with(|core| core.receive(self.entry.id, buffer.filled()));
                Poll::Ready(true)
            }
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}
