//! The run of one streamed publish, from its channel's claim to its last piece.
//!
//! Its source is polled only while there is room for a piece, and its last piece is kept back till it has ended:
//! so a body that is too long, too, is never complete on the wire.

use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use amqp_types::ShortStr;
use bytes::Bytes;
use tokio::time::Instant;

use super::{BasicPublishStream, Source, SourceError};
use crate::call::ChannelOpen;
use crate::deadline::Deadline;
use crate::error::{BrokenStream, Error, ErrorKind, Result, StreamFault};
use crate::handle::{ChannelHandle, ConnectionHandle};
use crate::measure::Stamp;
use crate::outcome::Outcome;
use crate::publish::Confirmation;
use crate::session::{Place, StreamHead, after};
use crate::shared::Shared;
use crate::turn::{poll_turn, spend, unit};

/// Empty pieces in a row after which other tasks have their turn, even where the runtime has no budget for that.
const EMPTY_MAX: usize = 32;

/// Publishes on this channel; resolves when all of the body is accepted for sending. One that is its `own` is
/// given up for a block of the broker's.
pub(crate) async fn publish(
    channel: Arc<ChannelHandle>,
    publish: BasicPublishStream,
    mut source: impl Source,
    own: bool,
    place: &'static Location<'static>,
) -> Result<Confirmation> {
    let options = &channel.shared().options;
    let mut head = match publish.head(channel.shared(), place) {
        Ok(head) => head,
        Err(error) => {
            unit().await;
            return Err(error);
        }
    };
    let BasicPublishStream { message, length, source_timeout, .. } = publish;
    let names = (message.publish.exchange, message.publish.routing_key);
    let patience = source_timeout.unwrap_or(options.source_timeout);
    let patience = Patience::new(channel.shared(), patience);
    let mut run = Run {
        channel: &channel,
        names,
        place,
        length,
        given: 0,
        line: Place::None,
        claimed: false,
        own,
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
    drop((run, patience));
    Ok(Confirmation::of(channel, tag))
}

amqp_types::if_spec! { tx.select => {
    /// Publishes in a transaction, on a channel of its own; resolves when it is committed.
    pub(crate) async fn publish_in_tx(
        connection: Arc<ConnectionHandle>,
        opening: ChannelOpen,
        stream: BasicPublishStream,
        source: impl Source,
        place: &'static Location<'static>,
    ) -> Result<Outcome> {
        use amqp_types::protocol::tx;

        use crate::call::Completion;

        // What can be told now is told before anything is sent.
        let shared = connection.shared();
        let refused = stream.head(shared, place).err();
        let blocked = || shared.with(|session| session.refuses_publishes());
        if let Some(error) = refused.or_else(blocked) {
            unit().await;
            return Err(error);
        }
        drop(connection);
        let channel = opening.await?;
        let handle = channel.handle();
        Completion::new(handle.clone(), Ok(tx::Select::default())).at(place).await?;
        drop(publish(handle.clone(), stream, source, true, place).await?);
        Completion::new(handle.clone(), Ok(tx::Commit::default())).at(place).await?;
        let key = handle.key();
        // It comes before the commit's answer.
        let (now, timeout) = (Instant::now(), handle.shared().options.close_timeout);
        let returned = handle.shared().with(|session| {
            let returned = session.take_returned(key);
            // The message is where it belongs, whatever becomes of the channel: nobody waits for that.
            session.shut_down_channel(key, now, timeout);
            returned
        });
        Ok(returned.map_or(Outcome::Acked, |returned| Outcome::Returned(Box::new(returned))))
    }
} else {
    /// There are no transactions.
    pub(crate) async fn publish_in_tx(
        _connection: Arc<ConnectionHandle>,
        _opening: ChannelOpen,
        _stream: BasicPublishStream,
        _source: impl Source,
        _place: &'static Location<'static>,
    ) -> Result<Outcome> {
        Err(Error::unsupported("tx.select"))
    }
} }

impl BasicPublishStream {
    /// What is sent before the body, if it can be sent.
    fn head(&self, shared: &Shared, place: &'static Location<'static>) -> Result<StreamHead> {
        if let Some(invalid) = &self.invalid {
            return Err(invalid.clone().into());
        }
        let padding_max = self.padding_max.unwrap_or(shared.options.padding_max);
        let head = StreamHead::new(self.message.clone(), self.length, padding_max, place);
        shared.with(|session| session.check_head(&head))?;
        Ok(head)
    }
}

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
    /// Nothing else is on the channel.
    own: bool,
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
        patience: &mut Patience<'_>,
    ) -> Poll<Result<Next>> {
        for _ in 0..EMPTY_MAX {
            // A source that always has something must leave the driver its turns.
            ready!(poll_turn(cx));
            spend(cx);
            ready!(self.poll_room(cx, patience))?;
            let asked = source.poll_piece(cx);
            match asked {
                Poll::Ready(Some(Ok(piece))) if !piece.is_empty() => {
                    patience.renew();
                    return Poll::Ready(Ok(Next::Piece(piece)));
                }
                Poll::Ready(None) => return Poll::Ready(Ok(Next::End)),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(self.fail(StreamFault::Failed, Some(error))));
                }
                // Pieces without an octet are not what was promised.
                Poll::Ready(Some(Ok(_))) | Poll::Pending => {
                    if patience.poll(cx).is_ready() {
                        let timeout = patience.timeout;
                        return Poll::Ready(Err(self.fail(StreamFault::Stalled { timeout }, None)));
                    }
                    if asked.is_pending() {
                        ready!(self.poll_interrupted(cx));
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when there is nothing to wait for any more, whatever the source would give.
    fn poll_interrupted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (key, own) = (self.channel.key(), self.own);
        let shared = self.channel.shared();
        shared.poll(cx, |session, waker| session.poll_interrupted(key, own, waker))
    }

    /// Whether the source may be asked.
    fn poll_room(&mut self, cx: &mut Context<'_>, patience: &mut Patience<'_>) -> Poll<Result<()>> {
        let Self { channel, line, own, .. } = self;
        let key = channel.key();
        let room = channel
            .shared()
            .poll(cx, |session, waker| session.poll_source_room(key, *own, line, waker));
        if room.is_pending() {
            // The time of a source that is not asked does not count.
            patience.pause();
        }
        let room = ready!(room);
        match &room {
            Err(error) if error.kind() == ErrorKind::Blocked => {
                self.fail(StreamFault::Blocked, None);
            }
            Err(_) => self.claimed = false,
            Ok(()) => {}
        }
        Poll::Ready(room)
    }

    fn push(
        &mut self,
        head: &mut StreamHead,
        begun: bool,
        piece: &mut Bytes,
    ) -> Result<Option<u64>> {
        let key = self.channel.key();
        let now = Stamp::now();
        self.channel.shared().with(|session| {
            session.publish_at(now);
            session.push_piece(key, head, begun, piece)
        })
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
struct Patience<'a> {
    timeout: Duration,
    /// What is left of it, and since when that runs.
    left: Duration,
    since: Option<Instant>,
    deadline: Deadline<'a>,
}

impl<'a> Patience<'a> {
    fn new(shared: &'a Shared, timeout: Duration) -> Self {
        let deadline = Deadline::new(shared, Instant::now());
        Self { timeout, left: timeout, since: None, deadline }
    }

    /// The source has given octets.
    fn renew(&mut self) {
        (self.left, self.since) = (self.timeout, None);
    }

    /// The source is not asked now.
    fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// The source has no octets now: ready when it has taken too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            self.deadline.reset(after(now, self.left));
        }
        self.deadline.poll(cx)
    }
}
