//! Tests of the session with frames and a made-up clock.
//!
//! [`Bench`] is a session with nobody around it: a test lets frames in, looks at the frames that come out,
//! and moves the clock. No I/O, no tasks; wakers count how often they were woken.

#![allow(
    clippy::field_reassign_with_default,
    reason = "as users set options of a non-exhaustive struct"
)]

mod blame;
mod bodies;
mod bounds;
mod calls;
amqp_types::if_spec! { connection.blocked => { mod blocked; } else {} }
mod causes;
mod channels;
mod consume;
mod events;
mod explore;
mod hostile;
mod output;
mod publish;
mod recovery;
mod room;
mod shutdown;
mod slow_link;
mod stalls;

mod streams;
mod time;
mod unreadable;

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use amqp_types::content::{Assembler, ContentHeader, Incoming};
use amqp_types::frame::{Frame, FrameKind};
use amqp_types::protocol::{FRAMING, Method, Spec, basic, channel, connection};
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod, ContentMethod, Method as _, Request};
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{
    CallId, CallOptions, CallReply, ChannelKey, InFlight, Leftovers, Message, Place, Session,
    Settle,
};
use crate::error::Result;
use crate::options::{Options, Tuning};

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counter() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn reset(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// A session, its clock, and what it sent.
struct Bench {
    session: Session,
    now: Instant,
    out: BytesMut,
}

/// What a publish was told.
type Published = Poll<Result<Option<u64>>>;

impl Bench {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        Self::tuned(options, 4096, 0)
    }

    fn tuned(options: Options, frame_max: u32, heartbeat: u16) -> Self {
        let now = Instant::now();
        let tuning = Tuning { channel_max: 3, frame_max, heartbeat };
        let session = Session::new(options, tuning, now);
        Self { session, now, out: BytesMut::new() }
    }

    /// What the lock's holder does after each operation.
    fn run<R>(&mut self, operation: impl FnOnce(&mut Session) -> R) -> R {
        let result = operation(&mut self.session);
        if let Some(effects) = self.session.take_effects() {
            effects.run(&tracing::Span::none());
        }
        result
    }

    /// Lets time pass as a driver that is polled whenever it has asked to be.
    fn pass_awake(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let due = self.session.poll_timeout().map_or(end, |at| at.clamp(self.now, end));
            self.pass(due - self.now);
        }
    }

    /// Lets time pass in which the driver is not polled; it then finds nothing to read.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        self.run(|session| session.handle_look(now, true));
        self.run(|session| session.handle_timeout(now));
    }

    /// As a driver: takes what there is and says that it is written.
    fn write(&mut self) {
        let mut segments = VecDeque::new();
        loop {
            self.run(|session| session.take_output(&mut segments));
            if segments.is_empty() {
                break;
            }
            let mut octets = 0;
            for segment in segments.drain(..) {
                let written = segment.to_vec();
                octets += written.len();
                self.out.extend_from_slice(&written);
            }
            self.tell_written(octets, true);
        }
    }

    /// As a driver: tells that so much of what it took is written now, and whether that is all of it.
    fn tell_written(&mut self, octets: usize, drained: bool) {
        let now = self.now;
        self.run(|session| session.handle_progress(now));
        self.run(|session| session.handle_written(octets, drained, now));
    }

    /// The frames sent since the last look.
    fn frames(&mut self) -> Vec<Frame> {
        self.write();
        let mut frames = Vec::new();
        while let Some(frame) = FRAMING.decode(&mut self.out, u32::MAX).expect("frames") {
            frames.push(frame);
        }
        assert!(self.out.is_empty(), "half a frame");
        frames
    }

    /// The methods and contents sent since the last look, with their channels.
    fn sent(&mut self) -> Vec<(u16, Incoming<Spec>)> {
        let mut assemblers: Vec<Assembler<Spec>> = vec![Assembler::new(); 5];
        let frames = self.frames();
        let all = frames.into_iter().filter_map(|frame| {
            let id = frame.channel;
            let incoming = assemblers[usize::from(id)].push(frame).expect("in order");
            incoming.map(|incoming| (id, incoming))
        });
        all.collect()
    }

    /// The names of the methods sent since the last look, with their channels.
    fn names(&mut self) -> Vec<(u16, &'static str)> {
        let sent = self.sent().into_iter();
        sent.map(|(id, incoming)| match incoming {
            Incoming::Method(method) | Incoming::Content { method, .. } => {
                (id, method.info().full_name)
            }
        })
        .collect()
    }

    /// The one method sent since the last look.
    fn only<M: amqp_types::Method<Protocol = Spec>>(&mut self) -> M {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        match sent.remove(0) {
            (_, Incoming::Method(method) | Incoming::Content { method, .. }) => {
                M::from_any(method).unwrap_or_else(|other| panic!("{other:?}"))
            }
        }
    }

    fn nothing_sent(&mut self) {
        assert_eq!(self.names(), []);
    }

    fn frame(&mut self, kind: FrameKind, channel: u16, payload: impl Into<Bytes>) {
        let (frame, now) = (Frame { kind, channel, payload: payload.into() }, self.now);
        self.run(|session| session.handle_frame((&frame).into(), now));
    }

    fn receive<M: amqp_types::Method<Protocol = Spec>>(&mut self, channel: u16, method: M) {
        let mut payload = BytesMut::new();
        method.encode(&mut Writer::new(&mut payload)).expect("encodes");
        self.frame(FrameKind::Method, channel, payload.freeze());
    }

    fn receive_content<M>(&mut self, channel: u16, method: M, body: &[u8])
    where
        M: ContentMethod<Protocol = Spec, Properties = basic::Properties>,
    {
        self.receive_with(channel, method, &basic::Properties::default(), body);
    }

    fn receive_with<M>(&mut self, channel: u16, method: M, properties: &M::Properties, body: &[u8])
    where
        M: ContentMethod<Protocol = Spec>,
    {
        self.receive(channel, method);
        let mut payload = BytesMut::new();
        // A peer may write what we do not.
        ContentHeader::write(properties, body.len() as u64, &mut Writer::verbatim(&mut payload))
            .expect("encodes");
        self.frame(FrameKind::Header, channel, payload.freeze());
        for piece in body.chunks(4000) {
            self.frame(FrameKind::Body, channel, Bytes::copy_from_slice(piece));
        }
    }

    #[track_caller]
    fn options<R: Request>(&self) -> CallOptions {
        CallOptions {
            accepts: <R::Reply as amqp_types::Reply>::accepts,
            place: Location::caller(),
            within: None,
            now: self.now,
        }
    }

    #[track_caller]
    fn call<R: Request<Protocol = Spec>>(&mut self, key: ChannelKey, request: R) -> CallId {
        let options = self.options::<R>();
        let method = request.into_any();
        self.run(|session| session.call(key, &method, &options)).expect("sent")
    }

    /// Sends what has no reply.
    #[track_caller]
    fn send<M: amqp_types::Method<Protocol = Spec>>(
        &mut self,
        key: ChannelKey,
        method: M,
    ) -> Result<()> {
        let (method, place) = (method.into_any(), Location::caller());
        self.run(|session| session.send(key, &method, place))
    }

    fn poll(&mut self, call: CallId) -> Poll<Result<Box<CallReply>>> {
        self.run(|session| session.poll_call(call, Waker::noop()))
    }

    fn reply(&mut self, call: CallId) -> Method {
        match self.poll(call) {
            Poll::Ready(Ok(reply)) => reply.method,
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => panic!("no reply"),
        }
    }

    fn error(&mut self, call: CallId) -> crate::Error {
        match self.poll(call) {
            Poll::Ready(Ok(reply)) => panic!("{:?}", reply.method),
            Poll::Ready(Err(error)) => error,
            Poll::Pending => panic!("no answer"),
        }
    }

    fn abandon(&mut self, call: CallId) {
        self.run(|session| session.abandon_call(call));
    }

    fn begin_open(&mut self) -> (ChannelKey, CallId) {
        let options = self.options::<channel::Open>();
        self.run(|session| session.open(&options)).expect("a number is free")
    }

    /// An open channel.
    fn open(&mut self) -> ChannelKey {
        let (key, call) = self.begin_open();
        self.receive(key.id, channel::OpenOk::default());
        self.reply(call);
        self.frames();
        key
    }

    /// A consumer that the peer has confirmed under this tag; gives its number.
    fn consume(&mut self, key: ChannelKey, tag: &str, no_ack: bool) -> u64 {
        let call = self.call(key, basic::Consume { no_ack, ..Default::default() });
        self.receive(key.id, basic::ConsumeOk { consumer_tag: short(tag) });
        self.frames();
        let id = match self.poll(call) {
            Poll::Ready(Ok(reply)) => reply.consumer.expect("a consumer").0,
            _ => panic!("no consumer"),
        };
        self.run(|session| session.mark_claimed(key, id));
        id
    }

    fn deliver(&mut self, key: ChannelKey, tag: &str, delivery_tag: u64, body: &[u8]) {
        let deliver =
            basic::Deliver { consumer_tag: short(tag), delivery_tag, ..Default::default() };
        self.receive_content(key.id, deliver, body);
    }

    /// A publish by a task of its own, which has no place in any line.
    fn publish(&mut self, key: ChannelKey, body: impl Into<Bytes>) -> Published {
        let mut message = message(body);
        let mut place = Place::None;
        self.publish_from(key, &mut message, &mut place, Waker::noop())
    }

    fn publish_from(
        &mut self,
        key: ChannelKey,
        message: &mut Message,
        place: &mut Place,
        waker: &Waker,
    ) -> Published {
        self.run(|session| {
            session.poll_publish(key, message, Location::caller(), place, Some(waker))
        })
        .map_ok(|accepted| accepted.tag)
    }

    #[track_caller]
    fn accepted(&mut self, key: ChannelKey, body: impl Into<Bytes>) -> Option<u64> {
        match self.publish(key, body) {
            Poll::Ready(Ok(tag)) => tag,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn is_closing_with(&mut self, code: u16) {
        let close = self.only::<connection::Close>();
        assert_eq!(close.reply_code, code, "{}", close.reply_text);
        assert!(self.session.close_reason().is_some());
    }

    fn left(&mut self) -> Leftovers {
        self.write();
        self.session.leftovers()
    }
}

fn short(text: &str) -> amqp_types::ShortStr {
    amqp_types::ShortStr::try_from(text).expect("short")
}

fn message(body: impl Into<Bytes>) -> Message {
    Message {
        publish: basic::Publish { routing_key: short("q"), ..Default::default() },
        properties: None,
        body: body.into(),
    }
}
