//! Which publishes the reason of a close names.

use std::panic::Location;
use std::sync::Arc;

use super::super::*;
use super::confirming::{ack, closes, ready};
use super::select;
use crate::ConfirmOptions;

#[track_caller]
fn publish_to(bench: &mut Bench, key: ChannelKey, exchange: &str, routing_key: &str) -> u32 {
    publish(bench, key, exchange, routing_key, message("x"))
}

/// Asks that the message is returned where it does not reach a consumer at once.
#[track_caller]
fn publish_immediate(bench: &mut Bench, key: ChannelKey, exchange: &str, routing_key: &str) -> u32 {
    let mut message = message("x");
    message.publish.immediate = true;
    publish(bench, key, exchange, routing_key, message)
}

#[track_caller]
fn publish(
    bench: &mut Bench,
    key: ChannelKey,
    exchange: &str,
    routing_key: &str,
    mut message: Message,
) -> u32 {
    message.publish.exchange = short(exchange);
    message.publish.routing_key = short(routing_key);
    let caller = Location::caller();
    let mut place = Place::None;
    let accepted = bench.run(|session| {
        session.poll_publish(key, &mut message, caller, &mut place, Some(Waker::noop()))
    });
    assert!(accepted.is_ready());
    caller.line()
}

#[test]
fn a_close_names_the_only_publish_to_the_exchange_that_it_names() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    publish_to(&mut bench, key, "", "fine");
    let line = publish_to(&mut bench, key, "it's gone", "lost");
    publish_to(&mut bench, key, "it's gone", "not lost");
    publish_to(&mut bench, key, "it", "another");
    ack(&mut bench, key, 1, false);
    ack(&mut bench, key, 3, false);
    closes(&mut bench, key, 404, "NOT_FOUND - no exchange 'it's gone' in vhost '/'");
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    let blamed = reason.publish().expect("blamed");
    assert_eq!(blamed.exchange(), Some(&short("it's gone")));
    assert_eq!(blamed.routing_key(), Some(&short("lost")));
    assert_eq!(blamed.delivery_tag(), Some(2));
    assert_eq!(blamed.place().map(|place| place.line()), Some(line));
    assert_eq!(reason.place(), blamed.place());
    assert_eq!(reason.unconfirmed(), [2..=2, 4..=4]);
    assert!(reason.to_string().contains("with routing key \"lost\" at "), "{reason}");
}

#[test]
fn a_close_that_names_no_exchange_tells_what_is_certain() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    for routing_key in ["one", "two"] {
        publish_to(&mut bench, key, "amq.topic", routing_key);
    }
    closes(&mut bench, key, 406, "PRECONDITION_FAILED - invalid expiration");
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    let blamed = reason.publish().expect("something is certain");
    assert_eq!(blamed.exchange(), Some(&short("amq.topic")));
    assert_eq!((blamed.routing_key(), blamed.delivery_tag()), (None, None));
    assert_eq!(reason.unconfirmed(), [1..=2]);
}

#[test]
fn of_several_publishes_that_fit_only_what_they_have_in_common_is_told() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    publish_to(&mut bench, key, "k2x", "good");
    publish_to(&mut bench, key, "other", "other");
    publish_to(&mut bench, key, "k2x", "bad");
    closes(&mut bench, key, 404, "NOT_FOUND - no exchange 'k2x' in vhost '/'");
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    let blamed = reason.publish().expect("blamed");
    assert_eq!(blamed.exchange(), Some(&short("k2x")));
    assert_eq!((blamed.routing_key(), blamed.delivery_tag()), (None, None));
    assert_eq!((blamed.place(), reason.place()), (None, None));
    assert_eq!((blamed.count(), blamed.candidates()), (2, &[1..=1, 3..=3][..]));
    assert!(reason.to_string().ends_with("(caused by basic.publish, one of 2 publishes)"), "{reason}");
}

#[test]
fn of_ten_thousand_equal_publishes_the_address_and_place_are_told_and_the_text_stays_short() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let mut line = 0;
    for _ in 0..10_000 {
        line = publish_to(&mut bench, key, "x", "k");
    }
    closes(&mut bench, key, 404, "NOT_FOUND - no exchange 'x' in vhost '/'");
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    let blamed = reason.publish().expect("blamed");
    assert_eq!(blamed.routing_key(), Some(&short("k")));
    assert_eq!(blamed.place().map(|place| place.line()), Some(line));
    assert_eq!((blamed.count(), blamed.delivery_tag()), (10_000, None));
    assert_eq!(blamed.candidates(), [1..=10_000]);
    assert!(reason.to_string().len() < 300, "{reason}");
}

/// What RabbitMQ says.
const IMMEDIATE: &str = "NOT_IMPLEMENTED - immediate=true";

/// The peer closes the connection for a publish.
fn connection_closes(bench: &mut Bench, text: &str) -> Arc<crate::CloseReason> {
    let (class_id, method_id) = (basic::Publish::CLASS_ID, basic::Publish::METHOD_ID);
    let reply_text = short(text);
    bench.receive(0, connection::Close { reply_code: 540, reply_text, class_id, method_id });
    bench.session.close_reason().expect("closed").clone()
}

#[test]
fn a_close_of_the_connection_names_the_only_publish_that_it_can_be() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    bench.open();
    let line = publish_to(&mut bench, key, "x", "k");
    let reason = connection_closes(&mut bench, IMMEDIATE);
    let blamed = reason.publish().expect("blamed");
    assert_eq!(blamed.exchange(), Some(&short("x")));
    assert_eq!(blamed.routing_key(), Some(&short("k")));
    assert_eq!((blamed.channel(), blamed.delivery_tag()), (Some(key.id), Some(1)));
    assert_eq!(reason.place().map(|place| place.line()), Some(line));
}

#[test]
fn a_close_of_the_connection_tells_on_how_many_channels_publishes_fit() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let other = bench.open();
    select(&mut bench, other);
    publish_to(&mut bench, key, "x", "k");
    publish_to(&mut bench, other, "x", "l");
    publish_to(&mut bench, other, "x", "l");
    let reason = connection_closes(&mut bench, IMMEDIATE);
    let blamed = reason.publish().expect("blamed");
    assert_eq!((blamed.count(), blamed.channels(), blamed.channel()), (3, 2, None));
    assert_eq!((blamed.exchange(), blamed.routing_key()), (Some(&short("x")), None));
    assert!(blamed.candidates().is_empty() && blamed.delivery_tag().is_none());
    assert_eq!((blamed.candidates_on(key.id), blamed.candidates_on(other.id)), (&[1..=1][..], &[1..=2][..]));
    assert!(reason.to_string().ends_with("one of 3 publishes on 2 channels)"), "{reason}");
}

#[test]
fn a_close_of_the_connection_names_no_publish_if_a_channel_without_confirms_may_be_meant() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let other = bench.open();
    publish_to(&mut bench, key, "x", "k");
    publish_to(&mut bench, other, "y", "l");
    publish_to(&mut bench, other, "y", "l");
    let reason = connection_closes(&mut bench, IMMEDIATE);
    assert_eq!((reason.publish(), reason.place()), (None, None));
    // Of the only one of its channel it is known whether it may be.
    for immediate in [false, true] {
        let (mut bench, key) = ready(ConfirmOptions::new());
        let other = bench.open();
        publish_to(&mut bench, key, "x", "k");
        let line = match immediate {
            true => publish_immediate(&mut bench, other, "y", "l"),
            false => publish_to(&mut bench, other, "y", "l"),
        };
        let reason = connection_closes(&mut bench, IMMEDIATE);
        let blamed = reason.publish().expect("blamed");
        assert_eq!(blamed.count(), 2 - usize::from(immediate));
        assert_eq!(reason.place().map(|place| place.line()), immediate.then_some(line));
    }
}

#[test]
fn a_close_for_immediate_names_the_only_publish_that_asked_for_it() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let other = bench.open();
    select(&mut bench, other);
    publish_to(&mut bench, key, "x", "k");
    publish_to(&mut bench, other, "x", "k");
    let line = publish_immediate(&mut bench, key, "y", "l");
    publish_to(&mut bench, key, "x", "k");
    let reason = connection_closes(&mut bench, IMMEDIATE);
    let blamed = reason.publish().expect("blamed");
    assert_eq!((blamed.count(), blamed.channel(), blamed.delivery_tag()), (1, Some(key.id), Some(2)));
    assert_eq!((blamed.exchange(), blamed.routing_key()), (Some(&short("y")), Some(&short("l"))));
    assert_eq!(reason.place().map(|place| place.line()), Some(line));
}

#[test]
fn of_several_publishes_that_asked_for_immediate_each_can_be_the_one() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    for (exchange, immediate) in [("x", true), ("x", false), ("y", true), ("immediate", false)] {
        match immediate {
            true => publish_immediate(&mut bench, key, exchange, "k"),
            false => publish_to(&mut bench, key, exchange, "k"),
        };
    }
    let reason = connection_closes(&mut bench, IMMEDIATE);
    let blamed = reason.publish().expect("blamed");
    assert_eq!((blamed.count(), blamed.candidates()), (2, &[1..=1, 3..=3][..]));
}

#[test]
fn an_exchange_whose_name_has_immediate_in_it_is_no_matter() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    publish_immediate(&mut bench, key, "x", "k");
    publish_to(&mut bench, key, "immediate", "k");
    closes(&mut bench, key, 404, "NOT_FOUND - no exchange 'immediate' in vhost '/'");
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    assert_eq!(reason.publish().and_then(|it| it.delivery_tag()), Some(2));
}

#[test]
fn a_close_of_the_connection_tells_what_had_no_answer_on_each_channel() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let other = bench.open();
    select(&mut bench, other);
    bench.open();
    for _ in 0..4 {
        publish_to(&mut bench, key, "x", "k");
    }
    ack(&mut bench, key, 2, false);
    let close = |bench: &mut Bench| {
        bench.receive(0, connection::Close { reply_code: 320, ..Default::default() });
        bench.session.close_reason().expect("closed").clone()
    };
    publish_to(&mut bench, other, "x", "k");
    publish_to(&mut bench, other, "x", "k");
    ack(&mut bench, other, 1, false);
    let reason = close(&mut bench);
    assert_eq!(reason.unconfirmed(), [], "tags are a channel's");
    assert_eq!(reason.unconfirmed_on(key.id), [1..=1, 3..=4]);
    assert_eq!(reason.unconfirmed_on(other.id), [2..=2]);
    assert_eq!(reason.unconfirmed_on(3), []);

    let (mut bench, key) = ready(ConfirmOptions::new());
    let closed = bench.open();
    select(&mut bench, closed);
    publish_to(&mut bench, closed, "x", "k");
    closes(&mut bench, closed, 404, "NOT_FOUND");
    let reason = bench.run(|session| session.channel_close_reason(closed)).expect("closed");
    assert_eq!((reason.unconfirmed(), reason.unconfirmed_on(closed.id)), (&[1..=1][..], &[1..=1][..]));
    publish_to(&mut bench, key, "x", "k");
    let reason = close(&mut bench);
    assert_eq!((reason.unconfirmed(), reason.unconfirmed_on(key.id)), (&[1..=1][..], &[1..=1][..]));
    assert_eq!(reason.unconfirmed_on(closed.id), [], "its end was another");
}

#[test]
fn a_name_that_looks_like_the_end_of_another_is_not_taken_for_it() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let text = "NOT_FOUND - no exchange 'it's' in vhost 'y' in vhost '/'";
    let other = bench.open();
    publish_to(&mut bench, other, "it's' in vhost 'y", "k");
    publish_to(&mut bench, other, "it's' in vhost 'y", "k");
    closes(&mut bench, other, 404, text);
    let reason = bench.run(|session| session.channel_close_reason(other)).expect("closed");
    assert_eq!(reason.publish(), None, "it can be either name");
    publish_to(&mut bench, key, "it", "k");
    publish_to(&mut bench, key, "it's' in vhost 'y", "k");
    closes(&mut bench, key, 404, text);
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    assert_eq!(reason.publish().and_then(|it| it.delivery_tag()), Some(2));
}

#[test]
fn a_close_for_another_method_blames_no_publish() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    publish_to(&mut bench, key, "x", "k");
    let reply_text = short("NOT_FOUND - no exchange 'x' in vhost '/'");
    bench.receive(
        key.id,
        channel::Close { reply_code: 404, reply_text, class_id: 50, method_id: 20 },
    );
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    assert_eq!((reason.publish(), reason.unconfirmed()), (None, &[1..=1][..]));
}

#[test]
fn a_name_that_the_text_cuts_off_is_found_all_the_same() {
    let (mut bench, key) = ready(ConfirmOptions::new());
    let name = "e".repeat(240);
    publish_to(&mut bench, key, "other", "k");
    publish_to(&mut bench, key, &name, "k");
    let text: String = format!("NOT_FOUND - no exchange '{name}").chars().take(250).collect();
    closes(&mut bench, key, 404, &(text + "..."));
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    assert_eq!(reason.publish().and_then(|it| it.delivery_tag()), Some(2));
}

#[test]
fn what_went_before_the_broker_said_that_it_confirms_may_be_to_blame_too() {
    use amqp_types::protocol::confirm;
    for (text, names) in [("NOT_FOUND - no exchange 'gone' in vhost '/'", true), ("odd", false)] {
        let mut bench = Bench::new();
        let key = bench.open();
        let line = publish_to(&mut bench, key, "gone", "before");
        let select = bench.call(key, confirm::Select::default());
        publish_to(&mut bench, key, "fine", "after");
        closes(&mut bench, key, 404, text);
        let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
        let blamed = reason.publish().expect("there is one at least");
        assert_eq!((blamed.count(), blamed.channels()), (if names { 1 } else { 2 }, 1), "{text}");
        assert_eq!(blamed.place().map(|place| place.line()), names.then_some(line));
        assert_eq!(blamed.routing_key(), names.then(|| short("before")).as_ref());
        assert_eq!(blamed.delivery_tag(), None);
        assert!(bench.error(select).close_reason().is_some());

        // Once it has said so it has taken what came before.
        let mut bench = Bench::new();
        let key = bench.open();
        publish_to(&mut bench, key, "gone", "before");
        select_and_publish(&mut bench, key, text);
    }
}

#[track_caller]
fn select_and_publish(bench: &mut Bench, key: ChannelKey, text: &str) {
    select(bench, key);
    let line = publish_to(bench, key, "gone", "after");
    closes(bench, key, 404, text);
    let reason = bench.run(|session| session.channel_close_reason(key)).expect("closed");
    let blamed = reason.publish().expect("blamed");
    assert_eq!((blamed.count(), blamed.delivery_tag()), (1, Some(1)), "{text}");
    assert_eq!(blamed.place().map(|place| place.line()), Some(line));
}
