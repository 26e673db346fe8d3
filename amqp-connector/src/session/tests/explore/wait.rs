//! What a user awaits: how it is polled, let go of, and what it gives.
//!
//! Each does what its handle's future does. What it gives is held against what was asked for, and against what the broker
//! has said.

use amqp_types::protocol::queue;

use super::super::*;
use super::broker::{Broker, Told};
use super::reader::Reader;
use crate::error::{Error, ErrorKind};
use crate::session::Line;
use crate::{Outcome, UnknownReason};

/// A publish that was accepted.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) key: ChannelKey,
    pub(super) tag: Option<u64>,
    pub(super) body: Bytes,
}

/// A delivery that is with the user.
pub(super) struct Held {
    pub(super) key: ChannelKey,
    pub(super) tag: u64,
    pub(super) in_flight: Arc<InFlight>,
}

pub(super) enum Asked {
    Open(ChannelKey),
    Select,
    Declare(amqp_types::ShortStr),
    Get(amqp_types::ShortStr),
    Consume(amqp_types::ShortStr),
    Cancel,
}

pub(super) enum Kind {
    Call(CallId, Asked),
    Publish(Box<Message>, Place),
    Outcome(Sent),
    Recv,
    /// Of the consumer of this number.
    Cancelled(u64),
    Flush(Option<u64>, Option<u64>),
    ChannelClosed(Option<u64>, Instant),
    Finished(Option<u64>, Instant),
}

/// What a wait has given.
pub(super) enum Got {
    Nothing,
    Channel(ChannelKey),
    Sent(Sent),
    Held(Held),
    Reader(Reader),
}

pub(super) struct Wait {
    pub(super) key: ChannelKey,
    kind: Kind,
    woken: Arc<Count>,
    waker: Waker,
}

impl Wait {
    pub(super) fn new(key: ChannelKey, kind: Kind) -> Self {
        let (woken, waker) = counter();
        Self { key, kind, woken, waker }
    }

    pub(super) fn is_woken(&self) -> bool {
        self.woken.get() > 0
    }

    /// As [`poll`](Self::poll), if it was woken.
    pub(super) fn look(
        &mut self,
        reader: Option<&mut Reader>,
        bench: &mut Bench,
        broker: &Broker,
    ) -> Poll<Got> {
        match self.woken.reset() {
            0 => Poll::Pending,
            _ => self.poll(reader, bench, broker),
        }
    }

    pub(super) fn poll(
        &mut self,
        reader: Option<&mut Reader>,
        bench: &mut Bench,
        broker: &Broker,
    ) -> Poll<Got> {
        let Self { key, kind, waker, .. } = self;
        let (key, mut result) = (*key, Ok(()));
        match kind {
            Kind::Call(call, asked) => return poll_call(key, *call, asked, waker, bench),
            Kind::Publish(message, place) => {
                let body = message.body.clone();
                match std::task::ready!(bench.publish_from(key, message, place, waker)) {
                    Ok(tag) => return Poll::Ready(Got::Sent(Sent { key, tag, body })),
                    Err(error) => result = Err(error),
                }
            }
            Kind::Outcome(sent) => {
                if let Some(tag) = sent.tag {
                    let claimed = bench.run(|session| session.poll_confirm(key, tag, waker));
                    let outcome = std::task::ready!(claimed).outcome.expect("confirm mode");
                    check_outcome(bench, sent, &outcome, broker);
                }
            }
            Kind::Recv => return poll_recv(reader, waker, bench),
            Kind::Cancelled(id) => {
                let cancelled = bench.run(|session| session.poll_cancelled(key, *id, waker));
                result = std::task::ready!(cancelled);
            }
            Kind::Flush(position, ticket) => {
                let flushed = bench.run(|it| it.poll_flush(key, position, ticket, waker));
                result = std::task::ready!(flushed);
            }
            Kind::ChannelClosed(..) | Kind::Finished(..) => {
                std::task::ready!(self.poll_close(bench));
            }
        }
        if let Err(error) = result {
            check_excused(bench, key, &error);
        }
        Poll::Ready(Got::Nothing)
    }

    /// A close, which has a deadline of its own.
    fn poll_close(&mut self, bench: &mut Bench) -> Poll<()> {
        let Self { key, kind, waker, .. } = self;
        let (key, now) = (*key, bench.now);
        let (closed, until) = match kind {
            Kind::ChannelClosed(ticket, until) => {
                (bench.run(|it| it.poll_channel_closed(key, ticket, waker)), *until)
            }
            Kind::Finished(ticket, until) => {
                (bench.run(|it| it.poll_finished(ticket, waker)), *until)
            }
            _ => return Poll::Ready(()),
        };
        if closed.is_pending() && now < until {
            return Poll::Pending;
        }
        if closed.is_pending() {
            self.leave(bench);
            match self.kind {
                Kind::Finished(..) => bench.run(Session::give_up_closing),
                _ => bench.run(|session| session.give_up_draining(key)),
            }
        }
        let over = bench.session.is_closed() || !matches!(self.kind, Kind::Finished(..));
        assert!(over, "close has ended, the connection has not");
        Poll::Ready(())
    }

    /// Lets go of it.
    pub(super) fn leave(&mut self, bench: &mut Bench) {
        let key = self.key;
        let (line, ticket) = match &mut self.kind {
            Kind::Call(call, asked) => {
                bench.abandon(*call);
                if let Asked::Open(key) = asked {
                    bench.run(|session| session.release_channel(*key));
                }
                return;
            }
            Kind::Publish(_, place) => return bench.run(|session| session.leave(key, place)),
            Kind::Outcome(sent) => return forget(bench, sent),
            Kind::Recv | Kind::Cancelled(_) => return,
            Kind::Flush(_, ticket) => (Line::Flushed, ticket),
            Kind::ChannelClosed(ticket, _) => (Line::ChannelClosed(key), ticket),
            Kind::Finished(ticket, _) => (Line::Finished, ticket),
        };
        if let Some(ticket) = ticket.take() {
            bench.run(|session| session.leave_line(line, ticket));
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Call(..) => "a call",
            Kind::Publish(..) => "a publish",
            Kind::Outcome(_) => "an outcome",
            Kind::Recv => "a delivery",
            Kind::Cancelled(_) => "a cancel",
            Kind::Flush(..) => "a flush",
            Kind::ChannelClosed(..) => "a channel's close",
            Kind::Finished(..) => "the connection's close",
        }
    }

    /// Whether it ends however long nothing comes.
    pub(super) fn is_bounded(&self) -> bool {
        !matches!(self.kind, Kind::Publish(..) | Kind::Outcome(_) | Kind::Recv)
    }

    /// Whether it ends as soon as nothing can come of its channel any more.
    pub(super) fn ends_with_channel(&self) -> bool {
        !matches!(self.kind, Kind::ChannelClosed(..) | Kind::Flush(..))
    }

    /// When its own time is up.
    pub(super) fn alarm(&self) -> Option<Instant> {
        match &self.kind {
            Kind::ChannelClosed(_, at) | Kind::Finished(_, at) => Some(*at),
            _ => None,
        }
    }

    pub(super) fn look_at_clock(&self, now: Instant) {
        if self.alarm().is_some_and(|at| at <= now) {
            self.waker.wake_by_ref();
        }
    }
}

fn poll_call(
    key: ChannelKey,
    call: CallId,
    asked: &Asked,
    waker: &Waker,
    bench: &mut Bench,
) -> Poll<Got> {
    let in_flight = Arc::new(InFlight::default());
    let polled = bench.run(|session| {
        let reply = session.poll_call(call, waker);
        match (&reply, asked) {
            (Poll::Ready(Ok(_)), Asked::Get(_)) => session.take_off(key, 1, &in_flight),
            (Poll::Ready(Ok(reply)), _) => session.note_raw_reply(key, reply),
            _ => {}
        }
        reply
    });
    Poll::Ready(match std::task::ready!(polled) {
        Ok(reply) => answered(key, asked, *reply, in_flight, bench),
        Err(error) => {
            if let Asked::Open(key) = asked {
                bench.run(|session| session.release_channel(*key));
            }
            check_excused(bench, key, &error);
            Got::Nothing
        }
    })
}

/// A reply, which is to be the one that was asked for.
fn answered(
    key: ChannelKey,
    asked: &Asked,
    reply: CallReply,
    in_flight: Arc<InFlight>,
    bench: &mut Bench,
) -> Got {
    let CallReply { method, consumer, .. } = reply;
    match (asked, &method) {
        (Asked::Open(key), Method::Channel(channel::Method::OpenOk(_))) => Got::Channel(*key),
        (Asked::Declare(name), Method::Queue(queue::Method::DeclareOk(ok))) => {
            assert_eq!(ok.queue, *name, "another call's reply");
            Got::Nothing
        }
        (Asked::Get(name), Method::Basic(basic::Method::GetOk(got))) => {
            assert_eq!(got.routing_key, *name, "another call's reply");
            Got::Held(Held { key, tag: got.delivery_tag, in_flight })
        }
        (Asked::Consume(name), Method::Basic(basic::Method::ConsumeOk(ok))) => {
            assert_eq!(ok.consumer_tag, *name, "another call's reply");
            let (id, tag) = consumer.expect("a consumer");
            let unread = bench.run(|session| session.mark_claimed(key, id));
            Got::Reader(Reader::new(key, id, tag, unread))
        }
        (asked, method) => {
            let expected = match asked {
                Asked::Select => "confirm.select-ok",
                Asked::Cancel => "basic.cancel-ok",
                _ => "another call's reply",
            };
            assert_eq!(method.info().full_name, expected);
            Got::Nothing
        }
    }
}

fn poll_recv(reader: Option<&mut Reader>, waker: &Waker, bench: &mut Bench) -> Poll<Got> {
    let Some(reader) = reader else { return Poll::Ready(Got::Nothing) };
    let received = std::task::ready!(reader.poll(bench, waker));
    Poll::Ready(received.map_or(Got::Nothing, |queued| {
        let (key, in_flight) = (reader.key, reader.in_flight.clone());
        Got::Held(Held { key, tag: queued.delivery_tag, in_flight })
    }))
}

/// Only a channel or connection that is over, or about to be, is an excuse; or an answer that did not come in time.
pub(super) fn check_excused(bench: &mut Bench, key: ChannelKey, error: &Error) {
    let timeout = error.kind() == ErrorKind::Timeout;
    let over = bench.session.close_reason().is_some()
        || bench.session.channels.get(key).is_none_or(|channel| channel.close_reason().is_some());
    assert!(over || timeout, "{error}");
}

pub(super) fn check_outcome(bench: &mut Bench, sent: &Sent, outcome: &Outcome, broker: &Broker) {
    let told = broker.told.get(&sent.body).copied();
    match outcome {
        Outcome::Acked => assert_eq!(told, Some(Told::Acked), "{:?}", sent.body),
        Outcome::Nacked => assert_eq!(told, Some(Told::Nacked), "{:?}", sent.body),
        Outcome::Returned(returned) => {
            assert_eq!(returned.body.to_bytes(), sent.body);
            assert_eq!(told, Some(Told::Returned), "{:?}", sent.body);
        }
        Outcome::Unknown(UnknownReason::Closed(reason)) => {
            let channel = bench.run(|session| session.channel_close_reason(sent.key));
            let same = channel.is_some_and(|channel| Arc::ptr_eq(&channel, reason));
            assert!(same, "unknown for another reason than the channel's");
        }
        other => panic!("{other:?}"),
    }
}

/// Drops the confirmation of a publish.
pub(super) fn forget(bench: &mut Bench, sent: &Sent) {
    if let Some(tag) = sent.tag {
        drop(bench.run(|session| session.detach_confirm(sent.key, tag)));
    }
}
