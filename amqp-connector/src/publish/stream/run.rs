//! The run of one streamed publish, from its channel's claim to its last piece.
//!
//! Its source is polled only while there is room for a piece, and its last piece is kept back till it has ended:
//! so a body that is too long, too, is never complete on the wire.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_types::ShortStr;
use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::{BasicPublishStream, Source, SourceError};
use crate::channel::Channel;
use crate::error::{BrokenStream, Error, Result, StreamFault};
use crate::handle::ChannelHandle;
use crate::outcome::Outcome;
use crate::publish::Confirmation;
use crate::session::{Place, StreamHead, after};
use crate::turn::{poll_turn, spend, unit};

/// Publishes on this channel; resolves when all of the body is accepted for sending.
pub(crate) async fn publish(
    channel: Arc<ChannelHandle>,
    publish: BasicPublishStream,
    mut source: impl Source,
    place: &'static Location<'static>,
) -> Result<Confirmation> {
    let options = &channel.shared().options;
    let BasicPublishStream { message, length, stall_timeout, padding_max, invalid } = publish;
    if let Some(invalid) = invalid {
        unit().await;
        return Err(invalid.into());
    }
    let names = (message.publish.exchange.clone(), message.publish.routing_key.clone());
    let padding_max = padding_max.unwrap_or(options.padding_max);
    let mut head = StreamHead::new(message, length, padding_max, place);
    let patience = Patience::new(stall_timeout.unwrap_or(options.stall_timeout));
    let mut run = Run {
        channel: &channel,
        names,
        place,
        length,
        given: 0,
        line: Place::None,
        claimed: false,
    };
    run.claim(&head).await?;
    let (mut patience, mut tag, mut begun, mut last) = (patience, None, false, None);
    loop {
        let next = poll_fn(|cx| run.poll_next(cx, &mut source, &mut patience)).await;
        let mut piece = match next? {
            Next::Piece(piece) => piece,
            Next::End if run.given < length => return Err(run.fail(StreamFault::Short, None)),
            Next::End => break,
        };
        run.given = run.given.saturating_add(piece.len() as u64);
        if run.given > length {
            return Err(run.fail(StreamFault::Long, None));
        }
        if run.given == length {
            last = Some(piece);
        } else {
            tag = run.push(&mut head, begun, &mut piece)?.or(tag);
            begun = true;
        }
    }
    let tag = run.push(&mut head, begun, &mut last.unwrap_or_default())?.or(tag);
    run.claimed = false;
    drop(run);
    Ok(Confirmation::of(channel, tag))
}

amqp_types::if_spec! { tx.select => {
    /// Publishes in a transaction, on a channel of its own; resolves when it is committed.
    pub(crate) async fn publish_in_tx(
        opening: impl Future<Output = Result<Channel>>,
        stream: BasicPublishStream,
        source: impl Source,
        place: &'static Location<'static>,
    ) -> Result<Outcome> {
        use amqp_types::protocol::tx;

        use crate::call::Completion;

        let channel = opening.await?;
        let handle = channel.handle();
        Completion::new(handle.clone(), Ok(tx::Select::default())).at(place).await?;
        drop(publish(handle.clone(), stream, source, place).await?);
        Completion::new(handle.clone(), Ok(tx::Commit::default())).at(place).await?;
        let key = handle.key();
        // It comes before the commit's answer.
        let returned = handle.shared().with(|session| session.take_returned(key));
        // The message is where it belongs, whatever becomes of the channel.
        let _ = channel.close().await;
        Ok(returned.map_or(Outcome::Acked, |returned| Outcome::Returned(Box::new(returned))))
    }
} else {
    /// There are no transactions.
    pub(crate) async fn publish_in_tx(
        _opening: impl Future<Output = Result<Channel>>,
        _stream: BasicPublishStream,
        _source: impl Source,
        _place: &'static Location<'static>,
    ) -> Result<Outcome> {
        Err(Error::unsupported("tx.select"))
    }
} }

/// What the source was asked for.
enum Next {
    Piece(Bytes),
    End,
}

/// A streamed publish under way.
///
/// # Drop
///
/// While it owns the channel, the body breaks off.
struct Run<'a> {
    channel: &'a ChannelHandle,
    names: (ShortStr, ShortStr),
    place: &'static Location<'static>,
    length: u64,
    given: u64,
    line: Place,
    claimed: bool,
}

impl Run<'_> {
    async fn claim(&mut self, head: &StreamHead) -> Result<()> {
        let Self { channel, line, .. } = self;
        let key = channel.key();
        let claim = poll_fn(|cx| {
            ready!(poll_turn(cx));
            let claimed = channel
                .shared()
                .poll(cx, |session, waker| session.poll_claim(key, head, line, waker));
            if claimed.is_ready() {
                spend(cx);
            }
            claimed
        });
        claim.await?;
        self.claimed = true;
        Ok(())
    }

    /// The next piece that is not empty, or the end.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl Source,
        patience: &mut Patience,
    ) -> Poll<Result<Next>> {
        loop {
            // A source that always has something must leave the driver its turns.
            ready!(poll_turn(cx));
            spend(cx);
            let Self { channel, line, .. } = self;
            let key = channel.key();
            let room = channel
                .shared()
                .poll(cx, |session, waker| session.poll_source_room(key, line, waker));
            if room.is_pending() {
                // The time of a source that is not asked does not count.
                patience.rest();
            }
            if let Err(error) = ready!(room) {
                self.claimed = false;
                return Poll::Ready(Err(error));
            }
            match source.poll_piece(cx) {
                Poll::Ready(Some(Ok(piece))) if piece.is_empty() => patience.rest(),
                Poll::Ready(Some(Ok(piece))) => {
                    patience.rest();
                    return Poll::Ready(Ok(Next::Piece(piece)));
                }
                Poll::Ready(None) => return Poll::Ready(Ok(Next::End)),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(self.fail(StreamFault::Failed, Some(error))));
                }
                Poll::Pending => {
                    ready!(patience.poll(cx));
                    let timeout = patience.timeout;
                    return Poll::Ready(Err(self.fail(StreamFault::Stalled { timeout }, None)));
                }
            }
        }
    }

    fn push(
        &mut self,
        head: &mut StreamHead,
        begun: bool,
        piece: &mut Bytes,
    ) -> Result<Option<u64>> {
        let key = self.channel.key();
        self.channel.shared().with(|session| session.push_piece(key, head, begun, piece))
    }

    /// The source broke its promise.
    fn fail(&mut self, fault: StreamFault, source: Option<SourceError>) -> Error {
        self.claimed = false;
        let lengths = (self.given, self.length);
        let broken = BrokenStream::new(fault, lengths, self.names.clone(), self.place);
        let broken = Arc::new(broken.with_source(source));
        let key = self.channel.key();
        self.channel.shared().with(|session| session.break_stream(key, &broken));
        Error::broken(broken)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let Self { channel, line, .. } = self;
        if !matches!(line, Place::None | Place::Gone) {
            let key = channel.key();
            channel.shared().with(|session| session.leave(key, line));
        }
        if self.claimed {
            self.fail(StreamFault::Dropped, None);
        }
    }
}

/// How long the source may take for a piece.
struct Patience {
    timeout: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl Patience {
    fn new(timeout: Duration) -> Self {
        Self { timeout, sleep: None, running: false }
    }

    /// The source has given something, or is not asked.
    fn rest(&mut self) {
        self.running = false;
    }

    /// The source has nothing now: ready when it has taken too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.running, true) {
            let until = after(Instant::now(), self.timeout);
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(until),
                none => *none = Some(Box::pin(tokio::time::sleep_until(until))),
            }
        }
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}
