//! Deliveries whose bodies are streams: from their frames to their readers.
//!
//! The delivery itself goes the way of all deliveries, with an empty body, once its header has come; what comes of
//! its body waits in the channel's [`Bodies`] under the delivery's number.

use std::collections::VecDeque;
use std::task::Poll;

use amqp_types::Body;
use amqp_types::content::{Complete, Content, Part};
use amqp_types::frame::FrameRef;
use amqp_types::protocol::{Method, ReplyCode, basic};
use amqp_types::wire::Payload;
use bytes::Bytes;
use tokio::time::Instant;

use crate::error::{CloseCause, CloseReason, Error, Result, Scope};
use crate::outcome::ConsumerEnd;
use crate::session::Caller;
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::consume::backlog::Queued;
use crate::session::consume::deliver;
use crate::session::stream::bodies::{Bodies, Found, Patience};
use crate::session::{CallId, Session};

/// Pieces up to this many octets are copied in any case, so that they do not keep the buffer they were read into.
const COPY_MAX: usize = 16 << 10;

impl Session {
    /// The consumer that a call starts wants the bodies of its deliveries as streams.
    pub(crate) fn stream_consumer(&mut self, call: CallId) {
        let Some(consumer) = self.consumer_of(call) else { return };
        consumer.streamed = true;
        consumer.backlog.paced = true;
        let budget = consumer.budget;
        if let Some(channel) = self.channels.get(call.key) {
            channel.bodies.get_or_insert_default().bound(budget);
            channel.set_streaming(|streaming| streaming.consuming = true);
        }
    }

    /// Takes a frame of a channel that has streamed bodies.
    pub(in crate::session) fn handle_part(
        &mut self,
        key: ChannelKey,
        frame: FrameRef<'_>,
        now: Instant,
    ) {
        let Some(channel) = self.channels.get(key) else { return };
        let ChannelState {
            assembler,
            consumers,
            coalescer,
            last_tag,
            tag_base,
            bodies: Some(bodies),
            ..
        } = channel
        else {
            return;
        };
        let (crowd, effects) = (&mut self.crowd, &mut self.effects);
        assembler.set_copy_max(self.copy_max);
        match assembler.push_part(frame) {
            Err(error) => self.handle_assemble_error(key, &error),
            Ok(None) => {
                if let Some(Method::Basic(basic::Method::Deliver(method))) =
                    assembler.awaiting_header()
                    && consumers.receiver(&method.consumer_tag).is_some_and(|it| it.streamed)
                {
                    assembler.lend();
                }
            }
            Ok(Some(Part::Header { method, properties, size })) => {
                let Some(Method::Basic(basic::Method::Deliver(method))) = method else { return };
                method.delivery_tag = method.delivery_tag.wrapping_add(*tag_base);
                *last_tag = method.delivery_tag;
                let receiver = consumers.receiver(&method.consumer_tag);
                let wanted = receiver.filter(|consumer| consumer.end.is_none()).map(|it| it.id);
                bodies.begin(method.delivery_tag, wanted.unwrap_or(0), size, wanted.is_some());
                let content = Content { properties, body: &mut Body::new() };
                let coalescer = coalescer.as_deref_mut();
                let delivered = deliver(consumers, coalescer, method, content, crowd, effects);
                self.handle_delivered(key, delivered, now);
            }
            Ok(Some(Part::Piece { octets, .. })) if octets.is_empty() => {}
            Ok(Some(Part::Piece { octets, rest })) => {
                let piece = kept(octets, self.copy_max);
                self.handle_piece(key, piece, rest, now);
            }
            Ok(Some(Part::Complete(Complete {
                method: Some(Method::Basic(basic::Method::Deliver(method))),
                content: Some(content),
            }))) => {
                method.delivery_tag = method.delivery_tag.wrapping_add(*tag_base);
                *last_tag = method.delivery_tag;
                let coalescer = coalescer.as_deref_mut();
                let delivered = deliver(consumers, coalescer, method, content, crowd, effects);
                self.handle_delivered(key, delivered, now);
            }
            Ok(Some(Part::Complete(complete))) => {
                if let Some(incoming) = complete.take() {
                    self.handle_incoming(key, incoming);
                }
            }
        }
    }

    /// A piece of the body that is under way; `rest` of it is still to come.
    fn handle_piece(&mut self, key: ChannelKey, piece: Bytes, rest: u64, now: Instant) {
        let Some(channel) = self.channels.get(key) else { return };
        let Some(bodies) = &mut channel.bodies else { return };
        let Some(consumer) = bodies.current() else { return };
        self.effects.counts.piece_delivered(piece.len());
        let pause = bodies.push(piece, rest, &mut self.crowd, &mut self.effects, now);
        let budget = channel.consumers.by_id(consumer).map(|consumer| consumer.budget);
        let budget = budget.unwrap_or(self.options.consumer_budget);
        if bodies.is_over(budget) {
            self.end_unread(key, consumer, budget);
        } else if let Some(pause) = pause {
            self.begin_pause(now + pause);
        }
    }

    /// More waits unread than may: there is no way to have the peer stop but to close the channel.
    fn end_unread(&mut self, key: ChannelKey, consumer: u64, budget: usize) {
        if let Some(consumer) =
            self.channels.get(key).and_then(|channel| channel.consumers.by_id(consumer))
        {
            consumer.end.get_or_insert(ConsumerEnd::Overflow);
        }
        let text =
            format!("streamed bodies were not read, and more than {budget} octets of them wait");
        let reason = CloseReason::new(Scope::Channel(key.id), CloseCause::LimitExceeded, text)
            .with_code(ReplyCode::RESOURCE_ERROR);
        self.close_channel_because(key, reason);
    }

    /// A delivery is given out; gives the length of its body, if that is known.
    pub(crate) fn claim_body(&mut self, key: ChannelKey, tag: u64) -> Option<u64> {
        self.bodies(key)?.claim(tag)
    }

    /// The next piece of a body, or its end.
    pub(crate) fn poll_body(
        &mut self,
        key: ChannelKey,
        tag: u64,
        waker: &dyn Caller,
    ) -> Poll<Option<Result<Bytes>>> {
        let Some(bodies) = self.channels.get(key).and_then(|channel| channel.bodies.as_mut())
        else {
            return Poll::Ready(Some(Err(Error::stale(None))));
        };
        let (found, over) = bodies.take(tag, &mut self.crowd);
        let poll = match found {
            Found::Piece(piece) => Poll::Ready(Some(Ok(piece))),
            Found::End => Poll::Ready(None),
            Found::Broken(reason) => Poll::Ready(Some(Err(Error::closed(reason)))),
            Found::Unknown => Poll::Ready(Some(Err(Error::stale(None)))),
            Found::Nothing => {
                let old = bodies.wait(tag, waker);
                self.effects.discard_waker(old);
                Poll::Pending
            }
        };
        if over {
            self.consumer_caught_up();
        }
        poll
    }

    /// Nobody reads the body any more: what still comes of it is let go of.
    pub(crate) fn drop_body(&mut self, key: ChannelKey, tag: u64) {
        let Some(bodies) = self.channels.get(key).and_then(|channel| channel.bodies.as_mut())
        else {
            return;
        };
        if bodies.discard_one(tag, &mut self.crowd, &mut self.effects) {
            self.consumer_caught_up();
        }
    }

    /// The handle of a consumer is gone, and with it whoever could have read what it had not given out.
    pub(in crate::session) fn drop_bodies(&mut self, key: ChannelKey, consumer: u64) {
        let Some(bodies) = self.channels.get(key).and_then(|channel| channel.bodies.as_mut())
        else {
            return;
        };
        if bodies.discard_unclaimed(consumer, &mut self.crowd, &mut self.effects) {
            self.consumer_caught_up();
        }
    }

    /// Deliveries that nobody has seen are let go of, and with them their bodies.
    pub(in crate::session) fn drop_unseen_bodies(
        &mut self,
        key: ChannelKey,
        consumer: u64,
        unseen: &[VecDeque<Queued>],
    ) {
        let Some(first) = unseen.iter().flatten().next() else { return };
        let Some(bodies) = self.channels.get(key).and_then(|channel| channel.bodies.as_mut())
        else {
            return;
        };
        let first = first.delivery_tag;
        if bodies.discard_unseen(consumer, first, &mut self.crowd, &mut self.effects) {
            self.consumer_caught_up();
        }
    }

    fn bodies(&mut self, key: ChannelKey) -> Option<&mut Bodies> {
        self.channels.get(key)?.bodies.as_deref_mut()
    }

    /// How long reading may pause for a reader. At a stretch no longer than lets what the peer has sent behind a body
    /// be heard in time by calls and heartbeats of ours. The peer's own patience is another matter: RabbitMQ resets a
    /// connection that has not taken for some 30 s what it has to send.
    pub(in crate::session) fn patience(&self) -> Patience {
        let mut stretch = self.options.call_timeout / 4;
        if self.tuning.heartbeat > 0 {
            stretch = stretch.min(std::time::Duration::from_secs(self.tuning.heartbeat.into()));
        }
        Patience { idle: self.options.reader_patience, stretch }
    }
}

/// The piece to be kept.
fn kept(octets: Payload<'_>, copy_max: usize) -> Bytes {
    match octets.len() <= copy_max.max(COPY_MAX) {
        true => Bytes::copy_from_slice(&octets),
        false => octets.to_bytes(),
    }
}
