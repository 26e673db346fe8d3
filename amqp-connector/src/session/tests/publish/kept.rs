//! Messages that are kept: to be handed back, or because they came back.

use super::super::*;
use super::confirming::{ack, closes, detach, nack, ready};
use crate::{ConfirmOptions, Outcome};

/// The outcome and, where it is kept, the body.
fn claim(bench: &mut Bench, key: ChannelKey, tag: u64) -> Option<(Outcome, Option<Bytes>)> {
    match bench.run(|session| session.poll_confirm(key, tag, Waker::noop())) {
        Poll::Ready(claimed) => {
            let message = claimed.kept.then(|| bench.run(|it| it.take_message(key, tag)));
            let body = message.flatten().map(|message| message.body);
            Some((claimed.outcome.expect("confirm mode"), body))
        }
        Poll::Pending => None,
    }
}

fn mandatory(body: &[u8]) -> Message {
    let mut message = message(Bytes::copy_from_slice(body));
    message.publish.mandatory = true;
    message
}

pub(super) fn give_back(bench: &mut Bench, key: ChannelKey, body: &[u8]) {
    let returned = basic::Return { reply_code: 312, routing_key: short("q"), ..Default::default() };
    bench.receive_content(key.id, returned, body);
}

#[test]
fn a_message_that_failed_is_handed_back_and_one_that_was_acked_is_not_kept() {
    let (mut bench, key) = ready(ConfirmOptions::new().retain(true));
    for body in ["one", "two", "three"] {
        bench.accepted(key, body);
    }
    ack(&mut bench, key, 3, false);
    nack(&mut bench, key, 2);
    assert!(matches!(claim(&mut bench, key, 3), Some((Outcome::Acked, None))));
    let second = claim(&mut bench, key, 2);
    assert!(matches!(&second, Some((Outcome::Nacked, Some(body))) if body == "two"), "{second:?}");
    closes(&mut bench, key, 404, "NOT_FOUND");
    let first = claim(&mut bench, key, 1);
    assert!(
        matches!(&first, Some((Outcome::Unknown(_), Some(body))) if body == "one"),
        "{first:?}"
    );
    let left = bench.left();
    assert_eq!((left.kept, left.confirms), (0, 0));
}

#[test]
fn messages_whose_confirmation_nobody_holds_are_had_from_the_channel_in_their_order() {
    let (mut bench, key) = ready(ConfirmOptions::new().retain(true));
    for body in ["one", "two", "three", "four", "five"] {
        bench.accepted(key, body);
    }
    for tag in [5, 1, 2, 3] {
        detach(&mut bench, key, tag);
    }
    nack(&mut bench, key, 3);
    ack(&mut bench, key, 2, false);
    bench.receive(0, connection::Close { reply_code: 320, ..Default::default() });
    let bodies = |bench: &mut Bench| -> Vec<Bytes> {
        let messages = bench.run(|session| session.take_failed(key));
        messages.into_iter().map(|message| message.body).collect()
    };
    assert_eq!(bodies(&mut bench), ["one", "three", "five"]);
    // The last one has an owner still.
    assert_eq!(bodies(&mut bench), [""; 0]);
    detach(&mut bench, key, 4);
    assert_eq!(bodies(&mut bench), ["four"]);
}

#[test]
fn a_failed_message_that_is_not_taken_by_its_confirmation_s_owner_is_had_from_the_channel() {
    let (mut bench, key) = ready(ConfirmOptions::new().retain(true));
    for body in ["one", "two"] {
        bench.accepted(key, body);
    }
    nack(&mut bench, key, 1);
    nack(&mut bench, key, 2);
    for tag in [1, 2] {
        let claimed = bench.run(|session| session.poll_confirm(key, tag, Waker::noop()));
        assert!(matches!(claimed, Poll::Ready(claimed) if claimed.kept));
    }
    // Their owners still may.
    assert_eq!(bench.run(|session| session.take_failed(key)).len(), 0);
    bench.run(|session| session.leave_message(key, 2));
    let messages = bench.run(|session| session.take_failed(key));
    assert_eq!(messages.iter().map(|it| &*it.body).collect::<Vec<_>>(), [b"two"]);
    let first = bench.run(|session| session.take_message(key, 1)).expect("kept");
    assert_eq!(first.body, "one");
    assert_eq!(bench.left().kept, 0);
}

#[test]
fn what_is_kept_counts_in_the_budget_until_it_is_acked_or_taken() {
    let (mut bench, key) = ready(ConfirmOptions::new().retain(true).retained_budget(5000));
    for _ in 0..3 {
        let tag = bench.accepted(key, vec![0; 2000]).expect("confirm mode");
        detach(&mut bench, key, tag);
    }
    let (woken, waker) = counter();
    let (mut more, mut place) = (message("x"), Place::None);
    assert!(bench.publish_from(key, &mut more, &mut place, &waker).is_pending());
    nack(&mut bench, key, 1);
    nack(&mut bench, key, 2);
    nack(&mut bench, key, 3);
    assert_eq!(woken.get(), 0, "somebody may be about to take them");
    assert!(bench.publish_from(key, &mut more, &mut place, &waker).is_pending());
    assert_eq!(bench.run(|session| session.take_failed(key)).len(), 3);
    assert!(woken.get() > 0);
    assert!(bench.publish_from(key, &mut more, &mut place, &waker).is_ready());
}

#[test]
fn messages_that_came_back_count_in_the_budget_until_their_outcome_is_taken_or_forgotten() {
    let (mut bench, key) = ready(ConfirmOptions::new().retained_budget(7000));
    // The first has no answer, so that the others stay in the ring; then they move aside.
    bench.accepted(key, "x");
    let unroutable = |bench: &mut Bench| {
        let mut lost = mandatory(&[0; 2000]);
        let accepted = bench.publish_from(key, &mut lost, &mut Place::None, Waker::noop());
        let Poll::Ready(Ok(Some(tag))) = accepted else { panic!("{accepted:?}") };
        give_back(bench, key, &[0; 2000]);
        ack(bench, key, tag, false);
        tag
    };
    let tags = [(); 3].map(|()| unroutable(&mut bench));
    let full = |bench: &mut Bench| {
        let (mut more, mut place) = (message("x"), Place::None);
        let polled = bench.publish_from(key, &mut more, &mut place, Waker::noop());
        bench.run(|session| session.leave(key, &mut place));
        polled.is_pending()
    };
    assert!(full(&mut bench));
    assert!(matches!(claim(&mut bench, key, tags[1]), Some((Outcome::Returned(_), None))));
    assert!(!full(&mut bench));
    unroutable(&mut bench);
    assert!(full(&mut bench));
    detach(&mut bench, key, tags[2]);
    assert!(!full(&mut bench));
    unroutable(&mut bench);
    ack(&mut bench, key, 1, false);
    assert!(full(&mut bench), "aside they count, too");
    assert!(claim(&mut bench, key, tags[0]).is_some());
    assert!(!full(&mut bench));
}

#[test]
fn a_message_that_came_back_is_let_go_if_nobody_holds_its_confirmation() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    // The first has no answer, so that the other stays in the ring.
    bench.accepted(key, "x");
    let mut lost = mandatory(&[0; 2000]);
    let accepted = bench.publish_from(key, &mut lost, &mut Place::None, Waker::noop());
    let Poll::Ready(Ok(Some(tag))) = accepted else { panic!("{accepted:?}") };
    detach(&mut bench, key, tag);
    give_back(&mut bench, key, &[0; 2000]);
    assert!(bench.left().kept >= 4000, "it is not known yet whose it is");
    ack(&mut bench, key, tag, false);
    assert_eq!(bench.left().kept, 0);
}

#[test]
fn a_kept_message_in_front_does_not_make_the_others_add_up() {
    let (mut bench, key) = ready(ConfirmOptions::new().retain(true));
    bench.accepted(key, "kept");
    detach(&mut bench, key, 1);
    nack(&mut bench, key, 1);
    let first = bench.left().kept;
    for _ in 0..10_000 {
        let tag = bench.accepted(key, "x").expect("confirm mode");
        detach(&mut bench, key, tag);
        ack(&mut bench, key, tag, false);
    }
    assert_eq!(bench.left().kept, first);
    let channel = bench.session.channels.get(key).expect("open");
    let entries = channel.confirms.as_ref().map_or(0, |confirms| confirms.kept_entries());
    assert!(entries < 200, "{entries} entries for one message");
}

#[test]
fn the_last_handle_takes_the_kept_messages_with_it() {
    let (mut bench, key) = ready(ConfirmOptions::new().retain(true));
    bench.accepted(key, "x");
    detach(&mut bench, key, 1);
    bench.run(|session| session.release_channel(key));
    bench.receive(key.id, channel::CloseOk::default());
    assert_eq!(bench.left(), Leftovers::default());
}
