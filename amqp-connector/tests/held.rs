//! What waits unread, and what a user holds, takes about the memory that it counts, whatever is read beside it.
//!
//! A body can be a part of the buffer that it was read into, hundreds of times as large. Here one consumer keeps, and
//! another one of the same connection lets go at once, so that each buffer holds little of what is kept. User, driver and
//! transport run on the thread whose memory is counted.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed expectation ends its test"
)]

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use amqp_connector::amqp_types::content::ContentHeader;
use amqp_connector::amqp_types::frame::{FrameKind, OVERHEAD};
use amqp_connector::amqp_types::protocol::{FRAMING, Spec};
use amqp_connector::amqp_types::wire::Writer;
use amqp_connector::amqp_types::{Method, ShortStr};
use amqp_connector::protocol::{basic, channel};
use amqp_connector::testing::{Replay, ReplayControl};
use amqp_connector::{BasicConsume, Channel, Connection, Connector, Consumer, Prefetch};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

/// What may be held beside what is counted: read buffers that are shared, the present one, and lists.
const BESIDE: usize = 6 << 20;
const FRAME: usize = 131_072;

/// Octets to be read again and again.
#[derive(Default)]
struct Tape {
    octets: Vec<u8>,
    at: usize,
    laps: usize,
    reader: Option<Waker>,
}

/// A [`Replay`] for the handshake and the calls, with a tape beside it.
struct Transport {
    replay: Replay,
    tape: Arc<Mutex<Tape>>,
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut tape = self.tape.lock().unwrap();
        if tape.laps == 0 {
            tape.reader = Some(cx.waker().clone());
            drop(tape);
            return Pin::new(&mut self.replay).poll_read(cx, buf);
        }
        while buf.remaining() > 0 && tape.laps > 0 {
            let fitting = (tape.octets.len() - tape.at).min(buf.remaining());
            buf.put_slice(&tape.octets[tape.at..][..fitting]);
            tape.at += fitting;
            if tape.at == tape.octets.len() {
                tape.at = 0;
                tape.laps -= 1;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.replay).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.replay).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.replay).poll_shutdown(cx)
    }
}

/// The frames of a content.
fn content<M>(octets: &mut Vec<u8>, method: M, properties: basic::Properties, body: usize)
where
    M: Method<Protocol = Spec>,
{
    let mut frames = bytes::BytesMut::new();
    let mut writer = Writer::new(&mut frames);
    let write = FRAMING.write(&mut writer, FrameKind::Method, 1, u32::MAX, |it| method.encode(it));
    write.unwrap();
    let header = ContentHeader { body_size: body as u64, properties };
    let write = FRAMING.write(&mut writer, FrameKind::Header, 1, u32::MAX, |it| header.encode(it));
    write.unwrap();
    writer.finish();
    for piece in vec![b'x'; body].chunks(FRAME - OVERHEAD) {
        FRAMING.put(FrameKind::Body, 1, piece, &mut frames).unwrap();
    }
    octets.extend_from_slice(&frames);
}

fn delivery(octets: &mut Vec<u8>, consumer_tag: &str, body: usize) {
    let consumer_tag = ShortStr::try_from(consumer_tag).unwrap();
    let deliver = basic::Deliver { consumer_tag, delivery_tag: 1, ..Default::default() };
    content(octets, deliver, basic::Properties::default(), body);
}

struct Stage {
    runtime: Runtime,
    control: ReplayControl,
    tape: Arc<Mutex<Tape>>,
    connection: Connection,
    channel: Channel,
}

impl Stage {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.unwrap();
        let (replay, control) = Replay::new();
        let tape = Arc::<Mutex<Tape>>::default();
        let transport = Transport { replay, tape: tape.clone() };
        let (connection, channel) = runtime.block_on(async {
            let greeted = Connector::new().connect_with(transport).await.unwrap();
            let connection = greeted.authenticate("guest", "guest").await.unwrap();
            control.answer(1, channel::OpenOk::default());
            let channel = connection.channel_open().await.unwrap();
            (connection, channel)
        });
        Self { runtime, control, tape, connection, channel }
    }

    fn consumer(&self, tag: &str) -> Consumer {
        self.control.answer(1, basic::QosOk::default());
        self.control.answer(1, basic::ConsumeOk { consumer_tag: tag.try_into().unwrap() });
        let consume = BasicConsume::new("jobs", Prefetch::Unlimited).no_ack(true).tag(tag);
        self.runtime.block_on(self.channel.basic_consume(consume)).unwrap()
    }

    fn play(&self, octets: Vec<u8>, laps: usize) {
        let mut tape = self.tape.lock().unwrap();
        *tape = Tape { octets, laps, at: 0, reader: tape.reader.take() };
        let reader = tape.reader.take();
        drop(tape);
        reader.unwrap().wake();
    }
}

/// Runs `work` and tells how much memory was in use at most, in octets, beyond what was before.
fn memory(stage: &Stage, work: impl AsyncFnOnce()) -> usize {
    let spent = allocation_counter::measure(|| stage.runtime.block_on(work()));
    assert!(stage.connection.close_reason().is_none());
    usize::try_from(spent.bytes_max).unwrap()
}

/// How many messages of a size are to be kept, and beside how large ones.
const MIXTURES: [(usize, usize, usize); 7] = [
    (20_000, 16, 20_000),
    (5000, 4200, 250_000),
    (2000, 4200, 16),
    (1000, 20_000, 250_000),
    (500, 40_000, 40_000),
    (300, 70_000, 200_000),
    (60, 400_000, 100_000),
];

#[test]
fn what_waits_unread_takes_about_what_it_counts_whatever_comes_beside_it() {
    for (count, size, beside) in MIXTURES {
        let stage = Stage::new();
        let (mut slow, mut fast) = (stage.consumer("slow"), stage.consumer("fast"));
        let mut lap = Vec::new();
        delivery(&mut lap, "slow", size);
        delivery(&mut lap, "fast", beside);
        stage.play(lap, count);
        let memory = memory(&stage, async || {
            for _ in 0..count {
                fast.recv().await.unwrap();
            }
        });
        println!("{count} of {size} octets beside {beside}: {memory} octets");
        // A delivery counts its own size, too.
        let counted = count * (size + 512);
        assert!(memory <= counted + counted / 16 + BESIDE, "{size} beside {beside}: {memory}");
        let unread = stage.runtime.block_on(async {
            let mut unread = 0;
            while unread < count {
                unread += usize::from(slow.recv().await.unwrap().body.len() == size);
            }
            unread
        });
        assert_eq!(unread, count);
    }
}

#[test]
fn deliveries_that_a_user_holds_take_about_their_size_whatever_comes_beside_them() {
    for (count, size, beside) in MIXTURES {
        let stage = Stage::new();
        let (mut slow, mut fast) = (stage.consumer("slow"), stage.consumer("fast"));
        let mut lap = Vec::new();
        delivery(&mut lap, "slow", size);
        delivery(&mut lap, "fast", beside);
        stage.play(lap, count);
        let mut held = Vec::with_capacity(count);
        let memory = memory(&stage, async || {
            for _ in 0..count {
                held.push(slow.recv().await.unwrap());
                fast.recv().await.unwrap();
            }
        });
        println!("{count} of {size} octets beside {beside}: {memory} octets");
        let octets = count * (size + 512);
        assert!(memory <= octets + octets / 16 + BESIDE, "{size} beside {beside}: {memory}");
        drop(held);
    }
}

#[test]
fn returns_that_nobody_takes_take_about_what_they_count() {
    let stage = Stage::new();
    let mut fast = stage.consumer("fast");
    let (count, size) = (1000, 5000);
    let mut lap = Vec::new();
    content(&mut lap, basic::Return::default(), basic::Properties::default(), size);
    delivery(&mut lap, "fast", 250_000);
    stage.play(lap, count);
    let memory = memory(&stage, async || {
        for _ in 0..count {
            fast.recv().await.unwrap();
        }
    });
    println!("{count} returns of {size} octets: {memory} octets");
    assert!(memory <= count * (size + 512) + BESIDE, "{memory}");
}
