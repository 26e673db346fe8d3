//! Clients of all kinds, by the octet, against the core alone: whatever they send, it panics nowhere, and nothing of what
//! they had is left when they are gone.

use std::time::Duration;

use amqp_types::content::ContentHeader;
use amqp_types::frame::FrameKind;
use amqp_types::protocol::{
    FRAMING, PROTOCOL_HEADER, Spec, basic, channel, connection, exchange, queue,
};
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod as _, FieldTable, Method, ShortStr, short_str};
use bytes::BytesMut;
use tokio::time::Instant;

use super::{Core, Now};
use crate::testing::Rng;
use crate::testing::broker::settings::Settings;

const SEEDS: u64 = 3000;

fn on(channel: u16, method: impl Method<Protocol = Spec>) -> BytesMut {
    let (mut payload, mut frame) = (BytesMut::new(), BytesMut::new());
    let mut writer = Writer::new(&mut payload);
    method.into_any().encode(&mut writer).unwrap();
    writer.finish();
    FRAMING.put(FrameKind::Method, channel, &payload, &mut frame).unwrap();
    frame
}

/// What a client sends until it has channels 1 and 2.
fn logged_in() -> BytesMut {
    let start_ok = connection::StartOk {
        mechanism: short_str!("PLAIN"),
        response: bytes::Bytes::from_static(b"\0guest\0guest"),
        ..Default::default()
    };
    let tune_ok = connection::TuneOk { channel_max: 3, frame_max: 4096, heartbeat: 1 };
    let open = connection::Open { virtual_host: short_str!("/"), ..Default::default() };
    let mut octets = BytesMut::from(&PROTOCOL_HEADER[..]);
    octets.extend(on(0, start_ok));
    octets.extend(on(0, tune_ok));
    octets.extend(on(0, open));
    octets.extend(on(1, channel::Open::default()));
    octets.extend(on(2, channel::Open::default()));
    octets
}

fn queue_name(rng: &mut Rng) -> ShortStr {
    let names = [short_str!("a"), short_str!("b"), short_str!("c"), short_str!("")];
    names[rng.below(names.len())].clone()
}

fn arguments(rng: &mut Rng) -> FieldTable {
    let mut table = FieldTable::new();
    for (name, value) in [
        (short_str!("x-max-length"), 2),
        (short_str!("x-message-ttl"), 1000),
        (short_str!("x-match"), 1),
        (short_str!("x-unheard-of"), 1),
    ] {
        if rng.one_in(6) {
            table.insert(name, value);
        }
    }
    if rng.one_in(3) {
        table.insert(short_str!("x-dead-letter-exchange"), ["", "x", "amq.fanout"][rng.below(3)]);
    }
    table
}

fn content(rng: &mut Rng, channel: u16) -> BytesMut {
    let exchanges = [short_str!(""), short_str!("x"), short_str!("amq.fanout"), short_str!("none")];
    let publish = basic::Publish {
        exchange: exchanges[rng.below(4).min(rng.below(4))].clone(),
        routing_key: queue_name(rng),
        mandatory: rng.one_in(2),
        ..Default::default()
    };
    let properties = basic::Properties {
        expiration: rng.one_in(4).then_some(short_str!("5")),
        headers: rng.one_in(4).then(|| FieldTable::new().with(short_str!("CC"), "a")),
        ..Default::default()
    };
    let body = vec![7; rng.below(6000)];
    let mut octets = on(channel, publish);
    let mut payload = BytesMut::new();
    let mut writer = Writer::new(&mut payload);
    ContentHeader::write(&properties, body.len() as u64, &mut writer).unwrap();
    writer.finish();
    FRAMING.put(FrameKind::Header, channel, &payload, &mut octets).unwrap();
    for piece in body.chunks(4000) {
        FRAMING.put(FrameKind::Body, channel, piece, &mut octets).unwrap();
    }
    octets
}

/// Something that a client may send, with or without sense.
fn anything(rng: &mut Rng) -> BytesMut {
    let channel = 1 + u16::from(rng.one_in(2));
    let name = queue_name(rng);
    let no_wait = rng.one_in(5);
    match rng.below(16) {
        0 | 1 => on(
            channel,
            queue::Declare {
                queue: name,
                exclusive: rng.one_in(3),
                auto_delete: rng.one_in(3),
                arguments: arguments(rng),
                no_wait,
                ..Default::default()
            },
        ),
        2 => on(
            channel,
            exchange::Declare {
                exchange: short_str!("x"),
                r#type: [short_str!("headers"), short_str!("topic")][rng.below(2)].clone(),
                no_wait,
                ..Default::default()
            },
        ),
        3 => on(
            channel,
            queue::Bind {
                queue: name.clone(),
                exchange: [short_str!("x"), short_str!("amq.fanout")][rng.below(2)].clone(),
                routing_key: name,
                arguments: arguments(rng),
                no_wait,
                ..Default::default()
            },
        ),
        4 | 5 => on(
            channel,
            basic::Consume {
                queue: name,
                no_ack: rng.one_in(3),
                exclusive: rng.one_in(5),
                no_wait,
                ..Default::default()
            },
        ),
        6 => on(channel, basic::Get { queue: name, no_ack: rng.one_in(3), ..Default::default() }),
        7 => on(
            channel,
            basic::Ack {
                delivery_tag: rng.below(4) as u64,
                multiple: rng.one_in(2),
                ..Default::default()
            },
        ),
        8 => {
            on(channel, basic::Reject { delivery_tag: rng.below(4) as u64, requeue: rng.one_in(2) })
        }
        9 => on(channel, basic::Recover { requeue: !rng.one_in(5), ..Default::default() }),
        10 => on(
            channel,
            basic::Qos { prefetch_count: 1, global: rng.one_in(2), ..Default::default() },
        ),
        11 => on(channel, queue::Delete { queue: name, no_wait, ..Default::default() }),
        12 => {
            let mut both = on(channel, channel::Close::default());
            both.extend(on(channel, channel::Open::default()));
            both
        }
        _ => content(rng, channel),
    }
}

#[test]
fn whatever_clients_send_nothing_of_theirs_is_left_when_they_are_gone() {
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed);
        let mut now = Now { instant: Instant::now(), unix: 0 };
        let mut core = Core::new(Settings::new(), now);
        let clients = [core.connect(), core.connect()];
        for client in clients {
            core.receive(client, &logged_in());
        }
        for _ in 0..40 {
            let client = clients[rng.below(2)];
            let mut octets = anything(&mut rng);
            if rng.one_in(25) {
                let at = rng.below(octets.len());
                octets[at] ^= 1 << rng.below(8);
            }
            for piece in octets.chunks(1 + rng.below(octets.len())) {
                core.receive(client, piece);
            }
            match rng.below(12) {
                0 => core.set_blocked(rng.one_in(2).then_some("low on memory")),
                1 => core.set_refuses(rng.one_in(2)),
                2 => {
                    now.instant += Duration::from_millis(500);
                    core.set_now(now);
                }
                _ => {}
            }
            if let Some(connection) = core.connection_mut(client) {
                connection.tick(now.instant);
                if rng.one_in(2) {
                    connection.output().clear();
                }
            }
            core.written(client, 0);
            drop(core.take_wakers());
        }
        for client in clients {
            core.disconnect(client);
        }
        assert!(core.connections().is_empty(), "seed {seed}");
        for queue in core.queues() {
            let left = (queue.unacknowledged, queue.consumers, queue.exclusive);
            assert_eq!(left, (0, 0, false), "seed {seed}: {queue:?}");
        }
    }
}
