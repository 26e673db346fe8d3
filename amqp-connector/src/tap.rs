//! A look at every frame of a connection: what a program's [`tap`](crate::Connector::tap) is shown, and when.
//!
//! Called where frames leave and enter, by the handshake and the driver, and never under the session's lock: what it
//! calls is the user's code. Without a tap it is one look for all frames of a read, and one for all of a write. Changes
//! no octet.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use amqp_types::frame::{FrameRef, Frames};
use amqp_types::protocol::{FRAMING, INFO};
use amqp_types::reflect::Described;
use bytes::BytesMut;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From us to the broker.
    Sent,
    /// From the broker to us.
    Received,
}

/// A frame that passes, as a [tap](crate::Connector::tap) sees it.
///
/// Shown, it is one line: direction, channel, and the frame by the names of the specification, such as
/// `-> 1 queue.purge queue="jobs" no-wait=false`. Secrets are not shown, and what is long is cut; see [`Described`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Tapped<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// When it was read, or handed out to be written.
    pub time: SystemTime,
    /// The frame, with all of its octets: those of secrets, too. Shown by `Debug` it has none of them.
    pub frame: FrameRef<'a>,
}

impl<'a> Tapped<'a> {
    /// The frame by the names of the specification.
    #[must_use]
    pub fn describe(&self) -> Described<'a> {
        Described::new(&INFO, self.frame)
    }
}

impl fmt::Display for Tapped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.direction {
            Direction::Sent => "->",
            Direction::Received => "<-",
        };
        write!(f, "{arrow} {} {}", self.frame.channel, self.describe())
    }
}

/// What a program has given.
#[derive(Clone)]
pub(crate) struct Tap(Arc<dyn Fn(&Tapped<'_>) + Send + Sync>);

impl Tap {
    pub(crate) fn new(see: impl Fn(&Tapped<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(see))
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

/// The tap of one transport.
#[derive(Debug)]
pub(crate) struct Tapping {
    tap: Tap,
    /// What is sent and not a whole frame yet.
    sent: BytesMut,
}

impl Tapping {
    pub(crate) fn new(tap: Tap) -> Self {
        Self { tap, sent: BytesMut::new() }
    }

    /// Shows what was read.
    #[cold]
    pub(crate) fn received(&self, frames: Frames) {
        self.show(Direction::Received, frames);
    }

    /// Shows what is about to be written, in these pieces.
    #[cold]
    pub(crate) fn sent<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        for piece in pieces {
            self.sent.extend_from_slice(piece);
        }
        loop {
            match FRAMING.split(&mut self.sent, u32::MAX) {
                Ok(Some(frames)) => self.show(Direction::Sent, frames),
                Ok(None) => return,
                // The octets that open a connection are no frame.
                Err(_) => return self.sent.clear(),
            }
        }
    }

    fn show(&self, direction: Direction, mut frames: Frames) {
        let time = SystemTime::now();
        while let Some(frame) = frames.next_frame() {
            (self.tap.0)(&Tapped { direction, time, frame });
        }
    }
}
