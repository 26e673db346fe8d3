//! Bodies of more than 4 GiB, in and out, in a few MiB of memory.
//!
//! User, driver and transport run on the thread whose allocations are counted. The transport makes what it lets the
//! client read, and looks at the frames that are written.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed expectation ends its test"
)]

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use amqp_connector::amqp_types::Method as _;
use amqp_connector::amqp_types::content::ContentHeader;
use amqp_connector::amqp_types::frame::{FrameKind, OVERHEAD};
use amqp_connector::amqp_types::protocol::FRAMING;
use amqp_connector::amqp_types::wire::Writer;
use amqp_connector::protocol::{basic, channel};
use amqp_connector::testing::{Replay, ReplayControl};
use amqp_connector::{
    BasicConsume, BasicPublishStream, Channel, Connection, Connector, Outcome, Prefetch,
};
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

/// More than a u32 can tell.
const SIZE: u64 = (4 << 30) + 12_345;
/// What a client may hold meanwhile, in octets.
const MEMORY: u64 = 8 << 20;
const FRAME: usize = 131_072;

/// What is to be read, and what was written.
#[derive(Default)]
struct Mill {
    /// Frames to be read first.
    start: BytesMut,
    /// Octets of a body that are still to be made.
    body: u64,
    frame: BytesMut,
    /// Octets of the frame under way that were written, its size, and all of the bodies.
    at: usize,
    header: [u8; 7],
    bodies: u64,
}

impl Mill {
    fn fill(&mut self, buf: &mut ReadBuf<'_>) {
        while buf.remaining() > 0 {
            let source = if self.start.is_empty() { &mut self.frame } else { &mut self.start };
            if source.is_empty() {
                if self.body == 0 {
                    return;
                }
                let size = usize::try_from(self.body).unwrap().min(FRAME - OVERHEAD);
                self.body -= size as u64;
                // The same memory each time.
                source.clear();
                source.reserve(FRAME);
                let length = u32::try_from(size).unwrap();
                source.extend_from_slice(&FRAMING.header_octets(FrameKind::Body, 1, length));
                source.resize(source.len() + size, b'x');
                source.extend_from_slice(&[FRAMING.end]);
            }
            let fitting = source.len().min(buf.remaining());
            buf.put_slice(&source[..fitting]);
            source.advance(fitting);
        }
    }

    /// Looks at frames: their headers, their ends, and how long the bodies are.
    fn look(&mut self, mut octets: &[u8]) {
        while let Some(first) = octets.first().copied() {
            let size = u32::from_be_bytes([
                self.header[3],
                self.header[4],
                self.header[5],
                self.header[6],
            ]);
            let end = 7 + usize::try_from(size).unwrap();
            match self.at {
                at @ 0..7 => {
                    self.header[at] = first;
                    octets = &octets[1..];
                    self.at += 1;
                }
                at if at < end => {
                    let some = octets.len().min(end - at);
                    if self.header[0] == FRAMING.body {
                        self.bodies += some as u64;
                    }
                    octets = &octets[some..];
                    self.at += some;
                }
                _ => {
                    assert_eq!(first, FRAMING.end);
                    octets = &octets[1..];
                    self.at = 0;
                }
            }
        }
    }
}

/// A [`Replay`] for the handshake and the calls, with a mill beside it.
struct Transport {
    replay: Replay,
    mill: Arc<Mutex<Mill>>,
    begun: bool,
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        self.mill.lock().unwrap().fill(buf);
        if buf.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.replay).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mill = self.mill.clone();
        let mut mill = mill.lock().unwrap();
        for slice in slices {
            // The protocol header is no frame.
            let skipped = if std::mem::replace(&mut self.begun, true) { 0 } else { 8 };
            mill.look(&slice[skipped.min(slice.len())..]);
        }
        Pin::new(&mut self.replay).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.replay).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.replay).poll_shutdown(cx)
    }
}

struct Stage {
    runtime: Runtime,
    control: ReplayControl,
    mill: Arc<Mutex<Mill>>,
    _connection: Connection,
    channel: Channel,
}

fn stage() -> Stage {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (replay, control) = Replay::new();
    let mill = Arc::<Mutex<Mill>>::default();
    let io = Transport { replay, mill: mill.clone(), begun: false };
    let (connection, channel) = runtime.block_on(async {
        let greeted = Connector::new().connect_with(io).await.unwrap();
        let connection = greeted.authenticate("guest", "guest").await.unwrap();
        control.answer(1, channel::OpenOk::default());
        let channel = connection.channel_open().await.unwrap();
        (connection, channel)
    });
    Stage { runtime, control, mill, _connection: connection, channel }
}

#[test]
fn a_body_of_more_than_4_gib_is_published_in_little_memory() {
    let stage = stage();
    let spent = allocation_counter::measure(|| {
        stage.runtime.block_on(async {
            let publish = BasicPublishStream::new("", "films", SIZE);
            let reader = tokio::io::repeat(b'x').take(SIZE);
            let confirmation = stage.channel.basic_publish_reader(publish, reader).await.unwrap();
            assert!(matches!(confirmation.await, Outcome::Accepted));
            stage.channel.flush().await.unwrap();
        });
    });
    assert_eq!(stage.mill.lock().unwrap().bodies, SIZE);
    println!("{spent:?}");
    assert!(spent.bytes_max <= MEMORY, "{spent:?}");
    // Buffers are used again.
    assert!(spent.bytes_total <= 4 * MEMORY, "{spent:?}");
}

#[test]
fn a_body_of_more_than_4_gib_is_consumed_in_little_memory() {
    let stage = stage();
    let mut consumer = stage.runtime.block_on(async {
        let consume = BasicConsume::new("films", Prefetch::Count(1)).tag("c");
        stage.control.answer(1, basic::QosOk::default());
        stage.control.answer(1, basic::ConsumeOk { consumer_tag: "c".try_into().unwrap() });
        stage.channel.basic_consume_streamed(consume).await.unwrap()
    });
    let mut start = BytesMut::new();
    let deliver = basic::Deliver {
        consumer_tag: "c".try_into().unwrap(),
        delivery_tag: 1,
        ..Default::default()
    };
    let mut payload = BytesMut::new();
    deliver.encode(&mut Writer::new(&mut payload)).unwrap();
    FRAMING.put(FrameKind::Method, 1, &payload, &mut start).unwrap();
    payload.clear();
    let properties = basic::Properties::default();
    ContentHeader::write(&properties, SIZE, &mut Writer::new(&mut payload)).unwrap();
    FRAMING.put(FrameKind::Header, 1, &payload, &mut start).unwrap();
    {
        let mut mill = stage.mill.lock().unwrap();
        (mill.start, mill.body) = (start, SIZE);
    }
    // Wakes the reader.
    stage.control.play(0);
    let spent = allocation_counter::measure(|| {
        stage.runtime.block_on(async {
            let mut delivery = consumer.recv().await.unwrap();
            assert_eq!(delivery.body_len, SIZE);
            let mut came = 0;
            while let Some(piece) = delivery.body.chunk().await.unwrap() {
                assert!(piece.first() == Some(&b'x') && piece.last() == Some(&b'x'));
                came += piece.len() as u64;
            }
            assert_eq!(came, SIZE);
            delivery.ack().unwrap();
        });
    });
    println!("{spent:?}");
    assert!(spent.bytes_max <= MEMORY, "{spent:?}");
    assert!(spent.bytes_total <= 8 * MEMORY, "{spent:?}");
}
