//! A socket that speaks just enough AMQP for [`raw`](super::raw) and [`floor`](super::floor).
//!
//! Everything written is encoded beforehand; of what is read only the frames are looked at. Which system
//! calls that takes is the [`Transport`]'s business.

use std::net::TcpStream;

use amqp_types::protocol::{
    Method, PROTOCOL_HEADER, Spec, basic, channel, confirm, connection, queue,
};
use amqp_types::{AnyMethod as _, FieldTable};
use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};

use super::transport::Transport;
use crate::cases::{DISCARD, PER_CHANNEL};
use crate::context::Context;
use crate::frames::{self, short};
use crate::sink::scanner::{Receiver, Scanner, Wrong};

const BUFFER: usize = 256 << 10;

/// A connection.
pub(super) struct Wire<T> {
    transport: T,
    scanner: Scanner,
    buffer: Vec<u8>,
    /// Octets at the buffer's front that are a part of a frame.
    kept: usize,
    /// What has come so far.
    pub(super) seen: Seen,
    /// The largest frame.
    pub(super) frame_max: usize,
}

/// What the peer has sent.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Deliveries that have come in full.
    pub(super) deliveries: u64,
    /// Publishes up to this tag are confirmed.
    confirmed: u64,
    /// Methods of any other kind.
    replies: u64,
    /// The latest of these.
    reply: Option<(u16, Bytes)>,
    /// Octets of the current delivery's body still to come.
    left: u64,
    /// Confirmations beyond that one, each of which stands for itself.
    singly: u64,
}

impl Receiver for Seen {
    #[inline]
    fn method(&mut self, channel: u16, payload: &[u8]) -> Result<(), Wrong> {
        const DELIVER: u32 = id::<basic::Deliver>();
        const ACK: u32 = id::<basic::Ack>();
        match payload.split_first_chunk().map(|(id, rest)| (u32::from_be_bytes(*id), rest)) {
            Some((DELIVER, _)) => {}
            Some((ACK, &[t0, t1, t2, t3, t4, t5, t6, t7, multiple])) => {
                let tag = u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
                self.confirm(tag, multiple & 1 != 0);
            }
            _ => {
                self.replies += 1;
                self.reply = Some((channel, Bytes::copy_from_slice(payload)));
            }
        }
        Ok(())
    }

    #[inline]
    fn header(&mut self, _channel: u16, payload: &[u8]) -> Result<(), Wrong> {
        let size = payload.get(4..).and_then(<[u8]>::first_chunk);
        self.left = size.map_or(0, |size| u64::from_be_bytes(*size));
        self.deliveries += u64::from(self.left == 0);
        Ok(())
    }

    #[inline]
    fn body(&mut self, _channel: u16, piece: &[u8]) -> Result<(), Wrong> {
        // Deliveries of several channels are not mixed by any peer of ours.
        self.left = self.left.saturating_sub(piece.len() as u64);
        self.deliveries += u64::from(self.left == 0);
        Ok(())
    }
}

impl Seen {
    fn confirm(&mut self, tag: u64, multiple: bool) {
        if multiple {
            self.singly = 0;
            self.confirmed = self.confirmed.max(tag);
        } else if tag == self.confirmed + 1 {
            self.confirmed = tag;
        } else {
            self.singly += 1;
        }
    }

    /// How many publishes are confirmed.
    pub(super) fn confirmations(&self) -> u64 {
        self.confirmed + self.singly
    }
}

/// A method's class and number, as its frame begins.
const fn id<M: amqp_types::Method>() -> u32 {
    (M::CLASS_ID as u32) << 16 | M::METHOD_ID as u32
}

impl<T: Transport> Wire<T> {
    /// Connects, with a channel 1.
    pub(super) fn open(ctx: &Context) -> Result<Self> {
        let mut wire = Self::connect(ctx)?;
        wire.call(1, &channel::Open::default())?;
        Ok(wire)
    }

    /// Connects.
    pub(super) fn connect(ctx: &Context) -> Result<Self> {
        let peer = &ctx.peer;
        let socket = TcpStream::connect((peer.host.as_str(), peer.port))?;
        socket.set_nodelay(true)?;
        let mut wire = Self {
            transport: T::new(socket)?,
            scanner: Scanner::default(),
            buffer: vec![0; BUFFER],
            kept: 0,
            seen: Seen::default(),
            frame_max: 4096,
        };
        wire.write(&PROTOCOL_HEADER)?;
        wire.reply()?;
        let start_ok = connection::StartOk {
            client_properties: FieldTable::default().with(short("product"), "amqp-bench"),
            mechanism: short("PLAIN"),
            response: format!("\0{}\0{}", peer.user, peer.password).into_bytes().into(),
            locale: short("en_US"),
        };
        let Method::Connection(connection::Method::Tune(tune)) = wire.call(0, &start_ok)? else {
            bail!("the peer does not let us in");
        };
        wire.frame_max = tune.frame_max as usize;
        let connection::Tune { channel_max, frame_max, .. } = tune;
        let mut answer = BytesMut::new();
        let tune_ok = connection::TuneOk { channel_max, frame_max, heartbeat: 0 };
        frames::method(&mut answer, 0, &tune_ok)?;
        let open = connection::Open { virtual_host: short(&peer.vhost), ..Default::default() };
        frames::method(&mut answer, 0, &open)?;
        wire.write(&answer)?;
        wire.reply()?;
        Ok(wire)
    }

    /// Closes the connection.
    pub(super) fn close(mut self) -> Result<()> {
        self.call(0, &connection::Close { reply_code: 200, ..Default::default() })?;
        Ok(())
    }

    /// Sends a method and waits for the reply. Deliveries and confirmations that come before it are counted.
    pub(super) fn call<M>(&mut self, channel: u16, method: &M) -> Result<Method>
    where
        M: amqp_types::Method<Protocol = Spec>,
    {
        let mut request = BytesMut::new();
        frames::method(&mut request, channel, method)?;
        self.write(&request)?;
        self.reply().with_context(|| M::NAME)
    }

    /// Waits for a method that is neither delivery nor confirmation.
    fn reply(&mut self) -> Result<Method> {
        let before = self.seen.replies;
        while self.seen.replies == before {
            self.read()?;
        }
        let (channel, payload) = self.seen.reply.take().context("a reply")?;
        let method = Method::decode(&payload)?;
        match method {
            Method::Connection(connection::Method::Close(close)) => bail!("{close:?}"),
            Method::Channel(channel::Method::Close(close)) => bail!("channel {channel}: {close:?}"),
            method => Ok(method),
        }
    }

    /// Writes it all.
    pub(super) fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.transport.write(octets).context("writing")
    }

    /// Waits for octets, reads what is there, and looks at its frames.
    pub(super) fn read(&mut self) -> Result<()> {
        let free = self.buffer.get_mut(self.kept..).unwrap_or_default();
        ensure!(!free.is_empty(), "a method or header is larger than {BUFFER} octets");
        let count = self.transport.read(free).context("reading")?;
        ensure!(count > 0, "the peer has gone");
        let end = self.kept + count;
        let read = self.buffer.get(..end).unwrap_or_default();
        let done = self.scanner.scan(read, &mut self.seen)?;
        self.buffer.copy_within(done..end, 0);
        self.kept = end - done;
        Ok(())
    }

    /// Makes the peer answer, so that it has read all that was written before; and checks that the sink has
    /// received this many messages.
    pub(super) fn has_received(&mut self, messages: u64) -> Result<()> {
        let declare = queue::Declare { queue: short(DISCARD), passive: true, ..Default::default() };
        let Method::Queue(queue::Method::DeclareOk(reply)) = self.call(1, &declare)? else {
            bail!("queue.declare has another answer");
        };
        ensure!(
            u64::from(reply.message_count) == messages & u64::from(u32::MAX),
            "{messages} messages were published, the sink has received {}",
            reply.message_count
        );
        Ok(())
    }

    /// Opens channels 2 to `last`.
    pub(super) fn open_channels(&mut self, last: usize) -> Result<()> {
        for channel in 2..=u16::try_from(last)? {
            self.call(channel, &channel::Open::default())?;
        }
        Ok(())
    }

    /// Confirms on channel 1.
    pub(super) fn confirm_select(&mut self) -> Result<()> {
        self.call(1, &confirm::Select::default()).map(drop)
    }

    /// A queue of our own on channel 1.
    pub(super) fn declare(&mut self, queue: &str, arguments: FieldTable) -> Result<()> {
        let declare = queue::Declare {
            queue: short(queue),
            exclusive: true,
            auto_delete: true,
            arguments,
            ..Default::default()
        };
        self.call(1, &declare).map(drop)
    }

    /// So many consumers, some to a channel, from channel `first` on. Opens the channels but for the first.
    pub(super) fn consume(
        &mut self,
        queue: &str,
        prefetch: Option<u16>,
        count: usize,
        first: u16,
    ) -> Result<()> {
        let mut channel = first;
        for consumer in 0..count {
            if consumer > 0 && consumer % PER_CHANNEL == 0 {
                channel += 1;
                self.call(channel, &channel::Open::default())?;
            }
            if let Some(prefetch_count) = prefetch {
                self.call(channel, &basic::Qos { prefetch_count, ..Default::default() })?;
            }
            let consume = basic::Consume {
                queue: short(queue),
                consumer_tag: short(&format!("consumer-{consumer}")),
                no_ack: prefetch.is_none(),
                ..Default::default()
            };
            self.call(channel, &consume)?;
        }
        Ok(())
    }
}
