//! Where in its stream a consumer that has said an offset is started again.

use amqp_types::{FieldValue, field_table};

use super::super::recovery::{bench, lose, reopen, resume};
use super::settling::User;
use super::*;
use crate::Unsettled;
use crate::session::consume::offsets::arguments;
use crate::session::{Keeps, Reopening};

fn start(offset: &str, no_ack: bool) -> basic::Consume {
    let mut consume = basic::Consume { no_ack, ..Default::default() };
    if let Some(arguments) = arguments(&mut consume) {
        arguments.set(short("x-stream-offset"), offset);
    }
    consume
}

/// Where it begins, or is started again; nothing where no consumer can say that.
fn offset(consume: &basic::Consume) -> Option<FieldValue> {
    arguments(&mut consume.clone())?.get("x-stream-offset").cloned()
}

#[track_caller]
fn begins_at(consume: &basic::Consume, offset_or_word: impl Into<FieldValue>) {
    if arguments(&mut basic::Consume::default()).is_some() {
        assert_eq!(offset(consume), Some(offset_or_word.into()));
    }
}

/// A consumer of a stream on a channel of its own, of a connection that comes back.
fn reading(no_ack: bool) -> (Bench, User) {
    let mut bench = bench(Options::default());
    let key = bench.open();
    let user = consume(&mut bench, key, "s", no_ack);
    (bench, user)
}

fn consume(bench: &mut Bench, key: ChannelKey, tag: &str, no_ack: bool) -> User {
    let call = bench.call(key, start("next", no_ack));
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short(tag) });
    bench.frames();
    let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!("no consumer") };
    let id = reply.consumer.expect("a consumer").0;
    bench.run(|session| session.mark_claimed(key, id));
    User { key, id, in_flight: InFlight::default() }
}

/// Deliveries with these numbers, of these offsets.
fn deliver(bench: &mut Bench, key: ChannelKey, of: impl IntoIterator<Item = (u64, i64)>) {
    for (delivery_tag, offset) in of {
        let deliver =
            basic::Deliver { consumer_tag: short("s"), delivery_tag, ..Default::default() };
        let headers = field_table! { "x-stream-offset" => offset };
        let properties = basic::Properties { headers: Some(headers), ..Default::default() };
        bench.receive_with(key.id, deliver, &properties, b"x");
    }
}

/// The connection is lost and comes back; gives what the consumer is started again by.
fn again(bench: &mut Bench, key: ChannelKey) -> basic::Consume {
    lose(bench);
    resume(bench, 3);
    reopen(bench, key);
    let lasting = bench.run(|session| session.lasting(key)).expect("it comes back");
    let [restart] = &lasting.consumers[..] else { panic!("one consumer") };
    let options = bench.options::<basic::Consume>();
    let request = restart.consume.clone().into_any();
    let call = bench
        .run(|session| session.restore_call(key, &request, &options, Some(restart.id)))
        .expect("sent");
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("s") });
    bench.reply(call);
    bench.run(|session| session.restored(key));
    bench.frames();
    restart.consume.clone()
}

const ACK: Settle = Settle::Ack { multiple: false };

#[test]
fn one_that_got_nothing_yet_begins_where_it_was_to_begin() {
    let (mut bench, user) = reading(false);
    begins_at(&again(&mut bench, user.key), "next");
}

#[test]
fn it_goes_on_with_the_oldest_that_was_not_acked() {
    let (mut bench, user) = reading(false);
    deliver(&mut bench, user.key, [(1, 40), (2, 41), (3, 45), (4, 46)]);
    user.take(&mut bench);
    for tag in [1, 2, 4] {
        user.ack(&mut bench, tag);
    }
    begins_at(&again(&mut bench, user.key), 45_i64);
    // Numbers go on, and so does what is known of the place: nothing came since.
    begins_at(&again(&mut bench, user.key), 45_i64);
    deliver(&mut bench, user.key, [(1, 45), (2, 46)]);
    user.take(&mut bench);
    user.ack(&mut bench, 5);
    begins_at(&again(&mut bench, user.key), 46_i64);
}

#[test]
fn it_goes_on_behind_the_last_one_when_all_are_acked_one_by_one_or_at_once() {
    for multiple in [false, true] {
        let (mut bench, user) = reading(false);
        deliver(&mut bench, user.key, [(1, 7), (2, 8), (3, 9)]);
        user.take(&mut bench);
        match multiple {
            false => {
                for tag in 1..=3 {
                    user.ack(&mut bench, tag);
                }
            }
            true => {
                user.drop(&mut bench, 1, Unsettled::Leave);
                user.drop(&mut bench, 2, Unsettled::Leave);
                let all = Settle::Ack { multiple: true };
                user.settle(&mut bench, 3, all).expect("settled");
            }
        }
        begins_at(&again(&mut bench, user.key), 10_i64);
    }
}

#[test]
fn what_nobody_has_read_and_what_was_dropped_unsettled_comes_again() {
    let (mut bench, user) = reading(false);
    deliver(&mut bench, user.key, [(1, 0), (2, 1), (3, 2)]);
    begins_at(&again(&mut bench, user.key), 0_i64);
    deliver(&mut bench, user.key, [(1, 0), (2, 1), (3, 2)]);
    user.take(&mut bench);
    user.ack(&mut bench, 4);
    user.drop(&mut bench, 5, Unsettled::Leave);
    user.ack(&mut bench, 6);
    begins_at(&again(&mut bench, user.key), 1_i64);
    // One whose consumer does not leave what is dropped was acknowledged by that.
    deliver(&mut bench, user.key, [(1, 1), (2, 2)]);
    user.take(&mut bench);
    bench.run(|session| {
        session.drop_unsettled(user.key, 7, Unsettled::Requeue, &user.in_flight, Keeps::Yes)
    });
    begins_at(&again(&mut bench, user.key), 2_i64);
}

#[test]
fn without_acks_it_goes_on_behind_what_it_was_given_which_stays_readable() {
    let (mut bench, user) = reading(true);
    deliver(&mut bench, user.key, [(1, 3), (2, 4)]);
    begins_at(&again(&mut bench, user.key), 5_i64);
    assert_eq!(drain(&mut bench, user.key, user.id).0, [1, 2]);
}

#[test]
fn an_open_delivery_of_another_consumer_does_not_hold_it_up() {
    let (mut bench, user) = reading(false);
    bench.consume(user.key, "other", false);
    bench.deliver(user.key, "other", 1, b"x");
    deliver(&mut bench, user.key, [(2, 60)]);
    user.take(&mut bench);
    user.ack(&mut bench, 2);
    assert_eq!(bench.only::<basic::Ack>().delivery_tag, 2, "no ack is held back");
    lose(&mut bench);
    resume(&mut bench, 3);
    reopen(&mut bench, user.key);
    let lasting = bench.run(|session| session.lasting(user.key)).expect("it comes back");
    let [stream, other] = &lasting.consumers[..] else { panic!("two consumers") };
    begins_at(&stream.consume, 61_i64);
    assert_eq!(offset(&other.consume), None);
}

#[test]
fn it_may_begin_on_a_channel_where_something_else_is_unsettled() {
    let mut bench = bench(Options::default());
    let key = bench.open();
    let other = User::new(&mut bench, key, "other");
    for tag in 1..=3 {
        bench.deliver(key, "other", tag, b"x");
    }
    other.take(&mut bench);
    let user = consume(&mut bench, key, "s", false);
    deliver(&mut bench, key, [(4, 10), (5, 11)]);
    user.take(&mut bench);
    other.ack(&mut bench, 2);
    assert_eq!(bench.only::<basic::Ack>().delivery_tag, 2);
    other.settle(&mut bench, 3, Settle::Ack { multiple: true }).expect("settled");
    user.ack(&mut bench, 4);
    bench.frames();
    lose(&mut bench);
    resume(&mut bench, 3);
    let lasting = bench.run(|session| session.lasting(key)).expect("it comes back");
    begins_at(&lasting.consumers[1].consume, 11_i64);
}

#[test]
fn acks_that_are_held_back_count_as_the_user_s_word() {
    let mut bench = bench(Options::default());
    let key = bench.open();
    let delay = Duration::from_secs(1);
    bench.run(|session| session.coalesce_acks(key, 10, delay)).expect("nothing has come");
    let user = consume(&mut bench, key, "s", false);
    deliver(&mut bench, key, [(1, 20), (2, 21), (3, 22)]);
    user.take(&mut bench);
    user.ack(&mut bench, 1);
    user.ack(&mut bench, 2);
    bench.nothing_sent();
    begins_at(&again(&mut bench, key), 22_i64);
}

#[test]
fn what_a_recover_has_taken_back_comes_again() {
    let (mut bench, user) = reading(false);
    deliver(&mut bench, user.key, [(1, 30), (2, 31), (3, 32)]);
    user.take(&mut bench);
    user.ack(&mut bench, 1);
    let recover = basic::Recover { requeue: true };
    let _ = bench.run(|session| {
        let options = CallOptions {
            accepts: |_, _| false,
            place: Location::caller(),
            within: None,
            now: Instant::now(),
        };
        session.call(user.key, &recover.into_any(), &options).map(drop)
    });
    deliver(&mut bench, user.key, [(4, 33)]);
    begins_at(&again(&mut bench, user.key), 31_i64);
}

#[test]
fn an_offset_that_does_not_rise_is_none_of_a_stream() {
    let (mut bench, user) = reading(false);
    deliver(&mut bench, user.key, [(1, 5), (2, -1), (3, 4), (4, 6)]);
    user.take(&mut bench);
    for tag in 1..=4 {
        user.ack(&mut bench, tag);
    }
    begins_at(&again(&mut bench, user.key), 7_i64);
}

#[test]
fn a_peer_that_sends_more_than_any_prefetch_allows_fills_no_memory_and_loses_nothing() {
    let (mut bench, user) = reading(false);
    let many = 70_000;
    deliver(&mut bench, user.key, (1..=many).zip(0..));
    let mut taken = 0;
    while taken < many {
        taken += user.take(&mut bench).len() as u64;
    }
    user.settle(&mut bench, many, Settle::Ack { multiple: true }).expect("settled");
    begins_at(&again(&mut bench, user.key), 65536_i64);
}

#[test]
fn a_channel_that_is_reopened_goes_on_there_too() {
    let (mut bench, user) = reading(false);
    deliver(&mut bench, user.key, [(1, 50), (2, 51)]);
    user.take(&mut bench);
    user.settle(&mut bench, 1, ACK).expect("settled");
    bench.receive(user.key.id, channel::Close { reply_code: 404, ..Default::default() });
    let begun = bench.run(|session| session.poll_reopen(user.key, &mut None, Waker::noop()));
    let Poll::Ready(Ok(Reopening::Begun(new))) = begun else { panic!("it can be reopened") };
    let lasting = bench.run(|session| session.lasting(new)).expect("it comes back");
    begins_at(&lasting.consumers[0].consume, 51_i64);
}
