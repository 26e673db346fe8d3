//! What leaves: cut at frame-max, in order on each channel, in turns between channels, within the budget.

use super::*;
use crate::session::output::outbox::SHARED_MAX;

/// (channel, kind, payload octets) of each frame.
fn shape(frames: &[Frame]) -> Vec<(u16, FrameKind, usize)> {
    frames.iter().map(|frame| (frame.channel, frame.kind, frame.payload.len())).collect()
}

#[test]
fn bodies_are_cut_at_frame_max() {
    for size in [0, 1, 4087, 4088, 4089, 10_000, SHARED_MAX, SHARED_MAX + 1] {
        let mut bench = Bench::new();
        let key = bench.open();
        bench.accepted(key, vec![0; size]);
        let frames = bench.frames();
        assert_eq!((frames[0].kind, frames[1].kind), (FrameKind::Method, FrameKind::Header));
        let bodies: Vec<usize> = frames[2..].iter().map(|frame| frame.payload.len()).collect();
        assert_eq!(bodies.len(), size.div_ceil(4088), "{size}");
        assert_eq!(bodies.iter().sum::<usize>(), size);
        assert!(bodies.iter().all(|length| (1..=4088).contains(length)));
    }
}

#[test]
fn without_a_limit_a_body_is_one_frame() {
    let mut bench = Bench::tuned(Options::default(), 1 << 20, 0);
    let key = bench.open();
    bench.accepted(key, vec![0; 1_000_000]);
    assert_eq!(bench.frames().len(), 3);
}

#[test]
fn large_bodies_take_turns_with_other_channels() {
    let mut options = Options::default();
    options.outbound_budget = 64 << 20;
    let mut bench = Bench::with(options);
    let (first, second, small) = (bench.open(), bench.open(), bench.open());
    // Many turns of the driver.
    bench.accepted(first, vec![1; 3_000_000]);
    bench.accepted(second, vec![2; 3_000_000]);
    bench.accepted(small, "small");
    let frames = bench.frames();
    let shape = shape(&frames);
    let last = |id| shape.iter().rposition(|frame| frame.0 == id).expect("sent");
    assert!(last(small.id) < 10, "the small one does not wait for the large ones");
    assert!(last(first.id).abs_diff(last(second.id)) <= 2, "the large ones take turns");
    let mut other_bodies = 0;
    for pair in shape.windows(2).filter(|pair| pair[0].1 == FrameKind::Body) {
        other_bodies += usize::from(pair[0].0 != pair[1].0);
    }
    assert!(other_bodies > shape.len() / 2, "one frame each");
}

#[test]
fn later_frames_of_a_channel_stay_behind_its_large_body() {
    let mut bench = Bench::new();
    let (key, other) = (bench.open(), bench.open());
    bench.accepted(key, vec![1; 200_000]);
    bench.run(|session| {
        session
            .settle(key, 1, Settle::Ack { multiple: false }, &InFlight::default())
            .expect("open");
    });
    bench.accepted(key, "behind");
    bench.accepted(key, vec![2; 200_000]);
    bench.call(key, basic::Get::default());
    bench.accepted(other, "elsewhere");
    let names = bench.names();
    let of_key: Vec<_> =
        names.iter().filter(|(id, _)| *id == key.id).map(|(_, name)| *name).collect();
    assert_eq!(
        of_key,
        ["basic.publish", "basic.ack", "basic.publish", "basic.publish", "basic.get"]
    );
    assert_eq!(names[0], (other.id, "basic.publish"), "the other channel does not wait");
    assert_eq!(bench.left().octets, 0);
}

#[test]
fn a_large_body_stays_behind_what_its_channel_sent_before() {
    let mut bench = Bench::new();
    let key = bench.open();
    for n in 0..40_u8 {
        bench.accepted(key, vec![n; 30_000]);
    }
    bench.accepted(key, vec![99; 100_000]);
    let sent = bench.sent();
    let sizes: Vec<usize> = sent
        .iter()
        .map(|(_, incoming)| match incoming {
            Incoming::Content { body, .. } => body.len(),
            Incoming::Method(method) => panic!("{method:?}"),
        })
        .collect();
    assert_eq!(sizes.len(), 41);
    assert_eq!(sizes.last(), Some(&100_000));
}

#[test]
fn the_budget_makes_publishers_wait_in_order() {
    let mut options = Options::default();
    options.outbound_budget = 10_000;
    let mut bench = Bench::with(options);
    let (key, other) = (bench.open(), bench.open());
    bench.accepted(key, vec![0; 9000]);
    let mut large = (message(vec![1; 8000]), Place::None, counter());
    let mut small = (message(vec![2; 3000]), Place::None, counter());
    assert!(bench.publish_from(key, &mut large.0, &mut large.1, &large.2.1).is_pending());
    assert!(bench.publish_from(other, &mut small.0, &mut small.1, &small.2.1).is_pending());
    bench.write();
    assert_eq!((large.2.0.get(), small.2.0.get()), (1, 0), "both do not fit");
    assert!(bench.publish_from(other, &mut small.0, &mut small.1, &small.2.1).is_pending());
    let mut late = (message(vec![3; 2500]), Place::None, counter());
    let late_comer = bench.publish_from(other, &mut late.0, &mut late.1, &late.2.1);
    assert!(late_comer.is_pending(), "the room is kept");
    bench.run(|session| session.leave(other, &mut late.1));
    assert!(bench.publish_from(key, &mut large.0, &mut large.1, &large.2.1).is_ready());
    bench.write();
    assert_eq!(small.2.0.get(), 1);
    assert!(bench.publish_from(other, &mut small.0, &mut small.1, &small.2.1).is_ready());
    bench.frames();
    assert_eq!(bench.left(), Leftovers { channels: 2, ..Default::default() });
}

#[test]
fn a_waiting_publisher_that_gives_up_lets_the_next_one_go() {
    let mut options = Options::default();
    options.outbound_budget = 100;
    let mut bench = Bench::with(options);
    let key = bench.open();
    bench.accepted(key, vec![0; 1000]);
    let mut first = (message("x"), Place::None, counter());
    let mut second = (message("y"), Place::None, counter());
    assert!(bench.publish_from(key, &mut first.0, &mut first.1, &first.2.1).is_pending());
    assert!(bench.publish_from(key, &mut second.0, &mut second.1, &second.2.1).is_pending());
    bench.write();
    assert_eq!(first.2.0.get(), 1);
    bench.run(|session| session.leave(key, &mut first.1));
    assert_eq!(second.2.0.get(), 1);
    assert!(bench.publish_from(key, &mut second.0, &mut second.1, &second.2.1).is_ready());
}

#[test]
fn a_message_over_the_whole_budget_goes_alone() {
    let mut options = Options::default();
    options.outbound_budget = 100;
    let mut bench = Bench::with(options);
    let key = bench.open();
    bench.accepted(key, vec![0; 500_000]);
    assert!(bench.publish(key, "x").is_pending());
    bench.frames();
}

#[test]
fn settling_calls_and_closes_need_no_room() {
    let mut options = Options::default();
    options.outbound_budget = 100;
    let mut bench = Bench::with(options);
    let key = bench.open();
    bench.accepted(key, vec![0; 1000]);
    bench.run(|session| {
        session
            .settle(key, 1, Settle::Ack { multiple: false }, &InFlight::default())
            .expect("open");
    });
    bench.call(key, basic::Get::default());
    bench.run(|session| session.close_channel(key, 200.into(), ""));
    let names: Vec<_> = bench.names().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["basic.publish", "basic.ack", "basic.get", "channel.close"]);
}

#[test]
fn a_content_that_is_under_way_is_completed_when_its_channel_closes() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.accepted(key, vec![0; 1_000_000]);
    bench.run(|session| session.close_channel(key, 200.into(), ""));
    let names: Vec<_> = bench.names().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["basic.publish", "channel.close"]);
    bench.receive(key.id, channel::CloseOk::default());
    assert_eq!(bench.left(), Leftovers { retired: 1, ..Default::default() });
}

#[test]
fn the_number_of_a_channel_is_not_used_again_before_its_last_octet_left() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.accepted(key, vec![0; 1_000_000]);
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    let (other, _) = bench.begin_open();
    assert_ne!(other.id, key.id, "its close-ok is still behind the body");
    let names = bench.names();
    let of_key: Vec<_> =
        names.iter().filter(|(id, _)| *id == key.id).map(|(_, name)| *name).collect();
    assert_eq!(of_key, ["basic.publish", "channel.close-ok"]);
    // It rests until all others are in use.
    bench.begin_open();
    let (again, _) = bench.begin_open();
    assert_eq!(again.id, key.id);
}
