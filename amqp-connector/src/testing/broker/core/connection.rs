//! One connection as the core sees it: what it has negotiated, its channels, and octets in both directions.
//!
//! Frames are cut and put together here, and what breaks the rules of framing ends the connection here.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use amqp_types::content::{Assembler, ContentHeader, Incoming};
use amqp_types::frame::{Frame, FrameError, FrameKind, OVERHEAD};
use amqp_types::protocol::{FRAMING, Method, PROTOCOL_HEADER, Spec, basic, connection};
use amqp_types::wire::{Limits, Writer};
use amqp_types::{AnyMethod as _, Method as _, ShortStr};
use bytes::{Buf, BytesMut};
use tokio::time::Instant;

use crate::testing::broker::core::Core;
use crate::testing::broker::core::channel::Channel;
use crate::testing::broker::core::fault::{Fault, Handled};
use crate::testing::broker::core::misframed::{assemble_fault, class_of};

/// How long a client may take to log in, as in RabbitMQ.
const LOGIN: Duration = Duration::from_secs(10);
/// How long a client may take to answer a close, and to read the last of it, as in RabbitMQ.
const FAREWELL: Duration = Duration::from_secs(30);
/// Octets that may wait for a client to read them: then nothing is delivered to it and nothing is read from it, until
/// half of them are gone.
const BACKLOG: usize = 1 << 20;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Header,
    StartOk,
    SecureOk,
    TuneOk,
    Open,
    Running,
    /// Closed by the broker, not answered yet.
    Closing,
    /// Nothing is read any more; what is to be written still is.
    Ended,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) phase: Phase,
    /// When it was opened, or began to end.
    since: Instant,
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) name: Option<String>,
    pub(crate) takes_blocks: bool,
    pub(crate) takes_cancels: bool,
    pub(crate) reports_refusals: bool,
    pub(crate) channel_max: u16,
    pub(crate) frame_max: u32,
    pub(crate) heartbeat: Duration,
    pub(crate) channels: BTreeMap<u16, Channel>,
    /// It has published while the broker was blocked: nothing of it is read before that ends.
    pub(crate) held: bool,
    /// It has as much to read as may wait.
    full: bool,
    /// For the methods on channel 0.
    assembler: Assembler<Spec>,
    input: BytesMut,
    output: BytesMut,
    /// Octets that its task has taken and not written yet.
    in_transit: usize,
    /// The transport ends at once, whatever is to be written.
    is_cut: bool,
    pub(crate) waker: Option<Waker>,
    last_read: Instant,
    last_written: Instant,
}

impl Connection {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Header,
            since: now,
            user: String::new(),
            host: String::new(),
            name: None,
            takes_blocks: false,
            takes_cancels: false,
            reports_refusals: false,
            channel_max: 0,
            frame_max: FRAMING.min_size,
            heartbeat: Duration::ZERO,
            channels: BTreeMap::new(),
            held: false,
            full: false,
            assembler: Assembler::new().with_limits(Limits::GREATEST),
            input: BytesMut::new(),
            output: BytesMut::new(),
            in_transit: 0,
            is_cut: false,
            waker: None,
            last_read: now,
            last_written: now,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether its octets are to be read. If not, its transport has to fill up.
    pub(crate) fn reads(&self) -> bool {
        !self.held && !self.full && self.phase != Phase::Ended
    }

    /// Whether nothing is left to do but to end the transport.
    pub(crate) fn is_over(&self) -> bool {
        self.is_cut || (self.phase == Phase::Ended && self.output.is_empty())
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(crate) fn cut(&mut self) {
        self.is_cut = true;
    }

    /// Whom to wake when there is something to write.
    pub(crate) fn set_waker(&mut self, waker: Waker) {
        self.waker = Some(waker);
    }

    pub(crate) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Whether nothing more is to be written for it as long as that can be helped.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Looks how much waits to be read by the client.
    fn measure(&mut self) {
        let waiting = self.output.len() + self.in_transit;
        self.full = waiting >= BACKLOG || (self.full && waiting > BACKLOG / 2);
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
    }

    /// How long it may stay as far as it is.
    fn patience(&self) -> Option<Duration> {
        match self.phase {
            Phase::Running => None,
            Phase::Closing | Phase::Ended => Some(FAREWELL),
            _ => Some(LOGIN),
        }
    }

    /// When it has to be looked at, if nothing else comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let leave = self.patience().and_then(|patience| self.since.checked_add(patience));
        if self.heartbeat.is_zero() {
            return leave;
        }
        let send = self.last_written.checked_add(self.heartbeat / 2);
        let judge = self.last_read.checked_add(self.heartbeat * 2).filter(|_| self.reads());
        leave.into_iter().chain(send).chain(judge).min()
    }

    /// Sends a heartbeat when it is time, and ends a connection that has fallen silent or takes too long.
    pub(crate) fn tick(&mut self, now: Instant) {
        let stayed = now.saturating_duration_since(self.since);
        if self.patience().is_some_and(|patience| stayed >= patience) {
            return self.cut();
        }
        if self.heartbeat.is_zero() || self.phase == Phase::Ended {
            return;
        }
        if self.reads() && now.saturating_duration_since(self.last_read) >= self.heartbeat * 2 {
            self.cut();
        } else if now.saturating_duration_since(self.last_written) >= self.heartbeat / 2 {
            FRAMING.put_heartbeat(&mut self.output);
            self.last_written = now;
        }
    }

    /// A method to be written.
    pub(crate) fn put(&mut self, channel: u16, method: &Method) {
        if self.phase == Phase::Ended {
            return;
        }
        let mut writer = Writer::new(&mut self.output).with_limits(Limits::GREATEST);
        let put =
            FRAMING.write(&mut writer, FrameKind::Method, channel, self.frame_max, |writer| {
                method.encode(writer)
            });
        writer.finish();
        if put.is_err() {
            self.cut();
        }
        self.measure();
    }

    /// A method and its content, the body in pieces of the negotiated size.
    pub(crate) fn put_content(
        &mut self,
        channel: u16,
        method: &Method,
        properties: &basic::Properties,
        body: &[u8],
    ) {
        self.put(channel, method);
        let mut writer = Writer::new(&mut self.output).with_limits(Limits::GREATEST);
        // As in RabbitMQ, of whatever size: nothing of a header could be left out.
        let header = FRAMING.write(&mut writer, FrameKind::Header, channel, u32::MAX, |writer| {
            ContentHeader::write(properties, body.len() as u64, writer)
        });
        writer.finish();
        if header.is_err() {
            self.cut();
        }
        let room = usize::try_from(self.frame_max).unwrap_or(usize::MAX).saturating_sub(OVERHEAD);
        for piece in body.chunks(room.max(1)) {
            if FRAMING.put(FrameKind::Body, channel, piece, &mut self.output).is_err() {
                self.cut();
            }
        }
        self.measure();
    }

    /// Cuts the next frame off what was read.
    fn next_frame(&mut self) -> Handled<Option<Frame>> {
        FRAMING.decode(&mut self.input, self.frame_max).map_err(|error| match error {
            FrameError::FrameTooLarge { size, frame_max } => {
                let (size, most) = (u64::from(size) + OVERHEAD as u64, frame_max);
                Fault::frame(format!("frame of {size} octets, at most {most} are allowed"))
            }
            error => Fault::frame(error.to_string()),
        })
    }
}

impl Core {
    /// Tells how much a connection's task has still to write. Where that makes room, what waited for it goes on.
    pub(crate) fn written(&mut self, id: u64, left: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let was_full = connection.full;
        connection.in_transit = left;
        connection.measure();
        if !was_full || connection.full {
            return;
        }
        let channels: Vec<u16> = connection.channels.keys().copied().collect();
        for channel in channels {
            self.pump_channel(id, channel);
        }
        self.receive(id, &[]);
    }

    /// Octets from the transport.
    pub(crate) fn receive(&mut self, id: u64, octets: &[u8]) {
        let now = self.now.instant;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.input.extend_from_slice(octets);
        if !octets.is_empty() {
            connection.last_read = now;
        }
        if connection.phase == Phase::Header && !self.take_header(id) {
            return;
        }
        while let Some(connection) = self.connections.get_mut(&id).filter(|it| it.reads()) {
            match connection.next_frame() {
                Ok(Some(frame)) => self.take_frame(id, frame),
                Ok(None) => break,
                Err(fault) => {
                    connection.input.clear();
                    self.fail_connection(id, &fault, (0, 0));
                    break;
                }
            }
        }
    }

    /// Whether the protocol header is there and the right one; another is answered with ours.
    fn take_header(&mut self, id: u64) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        let Some(header) = connection.input.first_chunk::<8>().copied() else { return false };
        connection.input.advance(header.len());
        if header != PROTOCOL_HEADER {
            connection.output.extend_from_slice(&PROTOCOL_HEADER);
            connection.enter(Phase::Ended, self.now.instant);
            self.wakers.extend(connection.waker.take());
            return false;
        }
        self.greet(id);
        true
    }

    fn take_frame(&mut self, id: u64, frame: Frame) {
        let (number, kind, class) = (frame.channel, frame.kind, class_of(&frame));
        if kind == FrameKind::Heartbeat {
            return;
        }
        if number != 0 {
            return self.take_channel_frame(id, frame);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let result = match connection.assembler.push(frame) {
            Ok(Some(Incoming::Method(method))) => {
                let info = method.info();
                let at = (info.class_id, info.method_id);
                self.take_connection_method(id, method).map_err(|fault| (fault, at))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(assemble_fault(&error, kind, class)),
        };
        if let Err((fault, at)) = result {
            self.fail_connection(id, &fault, at);
        }
    }

    /// Closes a connection for what it did.
    pub(crate) fn fail_connection(&mut self, id: u64, fault: &Fault, at: (u16, u16)) {
        self.close_connection(id, fault.code, fault.reply_text(), at);
    }

    pub(crate) fn close_connection(&mut self, id: u64, code: u16, text: ShortStr, at: (u16, u16)) {
        let Some(connection) = self.connections.get(&id) else { return };
        match connection.phase {
            Phase::Closing | Phase::Ended => return,
            // Nobody has said yet that the other side speaks AMQP at all.
            Phase::Header => return self.end(id),
            _ => {}
        }
        let close = connection::Close {
            reply_code: code,
            reply_text: text,
            class_id: at.0,
            method_id: at.1,
            ..Default::default()
        };
        self.send(id, 0, &close.into_any());
        self.end_channels(id);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.enter(Phase::Closing, self.now.instant);
            connection.held = false;
        }
    }

    pub(crate) fn end_channels(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        let channels: Vec<u16> = connection.channels.keys().copied().collect();
        for channel in channels {
            self.end_channel(id, channel);
        }
        self.remove_owned_queues(id);
    }

    /// Deletes the queues that belong to a connection, before it is told that it is closed.
    fn remove_owned_queues(&mut self, id: u64) {
        let name = self.host_of(id);
        let Some(host) = self.hosts.get(&name) else { return };
        let owned = host.queues.iter().filter(|(_, queue)| queue.owner == Some(id));
        let owned: Vec<ShortStr> = owned.map(|(name, _)| name.clone()).collect();
        for queue in owned {
            self.remove_queue(&name, &queue);
        }
    }

    /// Ends a connection once all is written.
    pub(crate) fn end(&mut self, id: u64) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.enter(Phase::Ended, self.now.instant);
            self.wakers.extend(connection.waker.take());
        }
    }
}
