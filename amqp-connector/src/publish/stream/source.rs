//! Where the octets of a streamed body come from: a stream of pieces, or a reader.
//!
//! Polled by the future of a streamed publish, in the user's own task and never under the session's lock.

use std::collections::VecDeque;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// An error of the user's.
pub(crate) type SourceError = Box<dyn Error + Send + Sync>;

/// Gives a body piece by piece; `None` at its end.
pub(crate) trait Source {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, SourceError>>>;
}

/// Pieces as they come.
pub(crate) struct Pieces<S>(pub(crate) Pin<Box<S>>);

impl<S, E> Source for Pieces<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<SourceError>,
{
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, SourceError>>> {
        self.0.as_mut().poll_next(cx).map_err(Into::into)
    }
}

/// Buffers that a reader's pieces are parts of, at most.
const BUFFERS: usize = 16;

/// What a reader gives, read straight into the pieces.
pub(crate) struct Reads<R> {
    reader: Pin<Box<R>>,
    /// Octets of a piece, which fill a frame.
    size: usize,
    buffer: BytesMut,
    /// Handles of buffers that are full: memory to be used again once its octets are written.
    aside: VecDeque<BytesMut>,
}

impl<R> Reads<R> {
    pub(crate) fn new(reader: R, size: usize) -> Self {
        let (buffer, aside) = (BytesMut::new(), VecDeque::new());
        Self { reader: Box::pin(reader), size, buffer, aside }
    }

    fn make_room(&mut self) {
        if self.buffer.capacity() > 0 {
            return;
        }
        let free = self.aside.iter_mut().position(|buffer| buffer.try_reclaim(self.size));
        self.buffer = match free.and_then(|at| self.aside.remove(at)) {
            Some(buffer) => buffer,
            None => BytesMut::with_capacity(self.size),
        };
    }

    /// What was read so far; the rest of its buffer is for what comes next, if that is worth it.
    fn piece(&mut self) -> Bytes {
        let piece = self.buffer.split().freeze();
        if self.buffer.capacity() < self.size / 4 {
            self.aside.push_back(std::mem::take(&mut self.buffer));
            if self.aside.len() > BUFFERS {
                self.aside.pop_front();
            }
        }
        piece
    }
}

impl<R: AsyncRead> Source for Reads<R> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, SourceError>>> {
        self.make_room();
        while self.buffer.len() < self.buffer.capacity() {
            match poll_read_buf(self.reader.as_mut(), cx, &mut self.buffer) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                // What is there goes out at once; the end, or the wait, is met again.
                _ if !self.buffer.is_empty() => break,
                Poll::Ready(Ok(0)) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Some(Ok(self.piece())))
    }
}
