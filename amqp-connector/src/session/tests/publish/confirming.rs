//! Confirm mode beyond the single outcome: limits, counts, and what a close tells.

use super::super::*;
use super::select;
use crate::session::Awaited;
use crate::{ConfirmCounts, ConfirmOptions, ErrorKind};

pub(super) fn ready(options: ConfirmOptions) -> (Bench, ChannelKey) {
    let mut bench = Bench::tuned(Options::default(), 131_072, 0);
    let key = bench.open();
    bench.run(|session| session.set_confirm_options(key, options));
    select(&mut bench, key);
    (bench, key)
}

pub(super) fn ack(bench: &mut Bench, key: ChannelKey, delivery_tag: u64, multiple: bool) {
    bench.receive(key.id, basic::Ack { delivery_tag, multiple });
}

pub(super) fn nack(bench: &mut Bench, key: ChannelKey, delivery_tag: u64) {
    bench.receive(key.id, basic::Nack { delivery_tag, ..Default::default() });
}

pub(super) fn detach(bench: &mut Bench, key: ChannelKey, tag: u64) {
    bench.run(|session| session.detach_confirm(key, tag));
}

fn answered(
    bench: &mut Bench,
    key: ChannelKey,
    wait: &mut Wait,
    waker: &Waker,
) -> Poll<Result<ConfirmCounts>> {
    let Wait { awaited, ticket } = wait;
    bench.run(|session| session.poll_answered(key, awaited, ticket, waker))
}

/// One task that waits for all publishes.
#[derive(Default)]
struct Wait {
    awaited: Awaited,
    ticket: Option<u64>,
}

pub(super) fn closes(bench: &mut Bench, key: ChannelKey, code: u16, text: &str) {
    let (class_id, method_id) = (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID);
    let reply_text = short(text);
    bench.receive(key.id, channel::Close { reply_code: code, reply_text, class_id, method_id });
}

#[test]
fn the_limit_of_octets_holds_publishers_until_the_broker_answers() {
    let (mut bench, key) = ready(ConfirmOptions::new().unconfirmed_octets_max(1000));
    bench.accepted(key, vec![0; 900]);
    bench.accepted(key, vec![0; 5000]);
    let (woken, waker) = counter();
    let (mut third, mut place) = (message("x"), Place::None);
    assert!(bench.publish_from(key, &mut third, &mut place, &waker).is_pending());
    detach(&mut bench, key, 1);
    detach(&mut bench, key, 2);
    ack(&mut bench, key, 1, false);
    assert_eq!(woken.get(), 0, "the second alone is over the limit");
    ack(&mut bench, key, 2, false);
    assert_eq!(woken.get(), 1);
    assert!(bench.publish_from(key, &mut third, &mut place, &waker).is_ready());
}

#[test]
fn one_publish_goes_however_low_the_limit_of_octets_is() {
    let (mut bench, key) = ready(ConfirmOptions::new().unconfirmed_octets_max(0));
    bench.accepted(key, "x");
    let refused = bench.run(|session| {
        let (mut second, mut place) = (message("x"), Place::None);
        session.poll_publish(key, &mut second, Location::caller(), &mut place, None)
    });
    let Poll::Ready(Err(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), ErrorKind::Full);
    ack(&mut bench, key, 1, false);
    bench.accepted(key, "x");
}

#[test]
fn a_thousand_large_bodies_are_within_the_default_limits() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    for _ in 0..1000 {
        bench.accepted(key, vec![0; 64 << 10]);
        bench.write();
        bench.out.clear();
    }
}

#[test]
fn a_channel_has_its_own_limit_and_may_change_it() {
    let (mut bench, key) = ready(ConfirmOptions::new().unconfirmed_max(1));
    bench.accepted(key, "x");
    let (woken, waker) = counter();
    let (mut second, mut place) = (message("x"), Place::None);
    assert!(bench.publish_from(key, &mut second, &mut place, &waker).is_pending());
    bench.run(|session| {
        session.set_confirm_options(key, ConfirmOptions::new().unconfirmed_max(2));
    });
    assert_eq!(woken.get(), 1);
    assert!(bench.publish_from(key, &mut second, &mut place, &waker).is_ready());
}

#[test]
fn the_wait_for_confirms_ends_with_the_last_publish_before_it_and_tells_the_counts() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let (woken, waker) = counter();
    let mut target = Wait::default();
    let now = answered(&mut bench, key, &mut target, &waker);
    assert!(matches!(now, Poll::Ready(Ok(counts)) if counts == ConfirmCounts::default()));
    for _ in 1..=4 {
        bench.accepted(key, "x");
    }
    target = Wait::default();
    assert!(answered(&mut bench, key, &mut target, &waker).is_pending());
    bench.accepted(key, "later");
    ack(&mut bench, key, 4, false);
    nack(&mut bench, key, 2);
    ack(&mut bench, key, 1, false);
    assert_eq!(woken.get(), 0, "the third is not answered");
    assert!(answered(&mut bench, key, &mut target, &waker).is_pending());
    ack(&mut bench, key, 3, false);
    assert_eq!(woken.get(), 1);
    let counts = answered(&mut bench, key, &mut target, &waker);
    let Poll::Ready(Ok(counts)) = counts else { panic!("{counts:?}") };
    assert_eq!((counts.acked, counts.nacked, counts.all_acked()), (3, 1, false));
    ack(&mut bench, key, 5, false);
    let counts = answered(&mut bench, key, &mut Wait::default(), &waker);
    let Poll::Ready(Ok(counts)) = counts else { panic!("{counts:?}") };
    assert_eq!((counts.acked, counts.nacked), (1, 0), "since the last time");
}

#[test]
fn waits_for_confirms_side_by_side_are_told_the_same_outcomes() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    bench.accepted(key, "x");
    bench.accepted(key, "x");
    let (mut one, mut other) = (Wait::default(), Wait::default());
    assert!(answered(&mut bench, key, &mut one, Waker::noop()).is_pending());
    assert!(answered(&mut bench, key, &mut other, Waker::noop()).is_pending());
    nack(&mut bench, key, 1);
    ack(&mut bench, key, 2, false);
    let mut counts = |wait: &mut Wait| match answered(&mut bench, key, wait, Waker::noop()) {
        Poll::Ready(Ok(counts)) => (counts.acked, counts.nacked),
        other => panic!("{other:?}"),
    };
    assert_eq!(counts(&mut one), (1, 1));
    // It begins when the first has ended.
    assert_eq!(counts(&mut Wait::default()), (0, 0));
    assert_eq!(counts(&mut other), (1, 1));
    assert_eq!(counts(&mut Wait::default()), (0, 0));
}

#[test]
fn the_wait_for_confirms_fails_with_the_channel_unless_all_were_answered() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    bench.accepted(key, "x");
    let mut before = Wait::default();
    assert!(answered(&mut bench, key, &mut before, Waker::noop()).is_pending());
    ack(&mut bench, key, 1, false);
    bench.accepted(key, "x");
    let (woken, waker) = counter();
    let mut after = Wait::default();
    assert!(answered(&mut bench, key, &mut after, &waker).is_pending());
    closes(&mut bench, key, 404, "NOT_FOUND");
    assert_eq!(woken.get(), 1);
    let failed = answered(&mut bench, key, &mut after, &waker);
    let Poll::Ready(Err(error)) = failed else { panic!("{failed:?}") };
    assert_eq!(error.close_reason().and_then(|it| it.code()).map(|code| code.0), Some(404));
    let counts = answered(&mut bench, key, &mut before, &waker);
    let Poll::Ready(Ok(counts)) = counts else { panic!("{counts:?}") };
    assert_eq!((counts.acked, counts.unknown), (1, 1));
}

#[test]
fn without_confirm_mode_there_is_nothing_to_wait_for() {
    let mut bench = Bench::new();
    let key = bench.open();
    let refused = answered(&mut bench, key, &mut Wait::default(), Waker::noop());
    let Poll::Ready(Err(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
