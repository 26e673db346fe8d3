//! Every publish has one outcome, and it is the right one.

mod pacing;

use super::*;

amqp_types::if_spec! { confirm.select => {
    mod blaming;
    mod budget;
    mod changed;
    mod confirming;
    mod early;
    mod equal;
    mod kept;
    mod model;
    mod pairing;
    mod republish;

    use amqp_types::protocol::confirm;

    /// Puts the channel into confirm mode.
    pub(super) fn select(bench: &mut Bench, key: ChannelKey) {
        let call = bench.call(key, confirm::Select::default());
        bench.receive(key.id, confirm::SelectOk::default());
        bench.reply(call);
        bench.frames();
    }

    mod with_confirms {
        use amqp_types::protocol::confirm;

        use super::select;
        use super::super::*;
        use crate::{ErrorKind, Outcome, UnknownReason};

        fn ready() -> (Bench, ChannelKey) {
            let mut bench = Bench::new();
            let key = bench.open();
            select(&mut bench, key);
            (bench, key)
        }

        fn ack(bench: &mut Bench, key: ChannelKey, delivery_tag: u64, multiple: bool) {
            bench.receive(key.id, basic::Ack { delivery_tag, multiple });
        }

        fn nack(bench: &mut Bench, key: ChannelKey, delivery_tag: u64, multiple: bool) {
            bench.receive(key.id, basic::Nack { delivery_tag, multiple, requeue: false });
        }

        fn outcome(bench: &mut Bench, key: ChannelKey, tag: u64) -> Option<Outcome> {
            match bench.run(|session| session.poll_confirm(key, tag, Waker::noop())) {
                Poll::Ready(claimed) => Some(claimed.outcome.expect("confirm mode")),
                Poll::Pending => None,
            }
        }

        /// `a` acked, `n` nacked, `r` returned, `u` unknown, `.` pending.
        fn outcomes(bench: &mut Bench, key: ChannelKey, tags: impl IntoIterator<Item = u64>) -> String {
            let all = tags.into_iter().map(|tag| match outcome(bench, key, tag) {
                None => '.',
                Some(Outcome::Acked) => 'a',
                Some(Outcome::Nacked) => 'n',
                Some(Outcome::Returned(_)) => 'r',
                Some(Outcome::Unknown(_)) => 'u',
                Some(other) => panic!("{other:?}"),
            });
            all.collect()
        }

        fn mandatory(bench: &mut Bench, key: ChannelKey, routing_key: &str, body: &'static str) -> u64 {
            let mut message = message(body);
            message.publish.mandatory = true;
            message.publish.routing_key = short(routing_key);
            let (mut message, mut place) = (message, Place::None);
            match bench.publish_from(key, &mut message, &mut place, Waker::noop()) {
                Poll::Ready(Ok(Some(tag))) => tag,
                other => panic!("{other:?}"),
            }
        }

        fn give_back(bench: &mut Bench, key: ChannelKey, routing_key: &str, body: &str) {
            let returned = basic::Return {
                reply_code: 312,
                routing_key: short(routing_key),
                ..Default::default()
            };
            bench.receive_content(key.id, returned, body.as_bytes());
        }

        #[test]
        fn tags_count_from_one_and_acks_come_in_any_order() {
            let (mut bench, key) = ready();
            for tag in 1..=6 {
                assert_eq!(bench.accepted(key, "x"), Some(tag));
            }
            for tag in [4, 1, 6] {
                ack(&mut bench, key, tag, false);
            }
            nack(&mut bench, key, 2, false);
            assert_eq!(outcomes(&mut bench, key, 1..=6), "an.a.a");
            ack(&mut bench, key, 5, true);
            assert_eq!(outcomes(&mut bench, key, [3, 5]), "aa");
            assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
        }

        #[test]
        fn multiple_covers_everything_up_to_its_tag_and_nothing_twice() {
            let (mut bench, key) = ready();
            for _ in 1..=5 {
                bench.accepted(key, "x");
            }
            nack(&mut bench, key, 2, false);
            ack(&mut bench, key, 4, true);
            nack(&mut bench, key, 4, true);
            ack(&mut bench, key, 2, false);
            assert_eq!(outcomes(&mut bench, key, 1..=5), "anaa.");
            assert!(bench.session.close_reason().is_none());
        }

        #[test]
        fn tag_zero_with_multiple_covers_everything() {
            let (mut bench, key) = ready();
            for _ in 1..=3 {
                bench.accepted(key, "x");
            }
            nack(&mut bench, key, 0, true);
            assert_eq!(outcomes(&mut bench, key, 1..=3), "nnn");
            // Also where there is nothing.
            ack(&mut bench, key, 0, true);
            assert!(bench.session.close_reason().is_none());
        }

        #[test]
        fn a_waiter_is_woken_by_its_own_outcome() {
            let (mut bench, key) = ready();
            for _ in 1..=2 {
                bench.accepted(key, "x");
            }
            let (woken, waker) = counter();
            let poll = bench.run(|session| session.poll_confirm(key, 2, &waker));
            assert!(poll.is_pending());
            ack(&mut bench, key, 1, false);
            assert_eq!(woken.get(), 0);
            ack(&mut bench, key, 2, false);
            assert_eq!(woken.get(), 1);
        }

        #[test]
        fn a_return_goes_to_the_publish_with_the_same_content() {
            let (mut bench, key) = ready();
            // The same address for all: only the body tells them apart.
            for body in ["one", "two", "three"] {
                mandatory(&mut bench, key, "k", body);
            }
            give_back(&mut bench, key, "k", "two");
            assert_eq!(outcomes(&mut bench, key, 1..=3), "...", "an ack is still to come");
            ack(&mut bench, key, 3, true);
            assert_eq!(outcomes(&mut bench, key, [1, 3]), "aa");
            let Some(Outcome::Returned(returned)) = outcome(&mut bench, key, 2) else { panic!() };
            assert_eq!(returned.body.to_bytes(), "two");
            assert_eq!(returned.reply_code.0, 312);
        }

        #[test]
        fn identical_messages_are_returned_in_their_order() {
            let (mut bench, key) = ready();
            for _ in 1..=3 {
                mandatory(&mut bench, key, "k", "same");
            }
            give_back(&mut bench, key, "k", "same");
            ack(&mut bench, key, 1, false);
            give_back(&mut bench, key, "k", "same");
            ack(&mut bench, key, 3, true);
            assert_eq!(outcomes(&mut bench, key, 1..=3), "rra");
        }

        #[test]
        fn a_return_that_fits_none_makes_those_it_could_mean_unknown() {
            let (mut bench, key) = ready();
            mandatory(&mut bench, key, "k", "mine");
            mandatory(&mut bench, key, "other", "mine");
            bench.accepted(key, "not mandatory");
            give_back(&mut bench, key, "k", "changed on the way");
            ack(&mut bench, key, 3, true);
            let Some(Outcome::Unknown(reason)) = outcome(&mut bench, key, 1) else { panic!() };
            assert!(matches!(reason, UnknownReason::UnmatchedReturn));
            assert_eq!(outcomes(&mut bench, key, [2, 3]), "aa");
        }

        #[test]
        fn a_return_that_nothing_could_mean_harms_nobody_but_the_mandatory_ones() {
            let (mut bench, key) = ready();
            bench.accepted(key, "x");
            give_back(&mut bench, key, "elsewhere", "?");
            ack(&mut bench, key, 1, false);
            assert_eq!(outcomes(&mut bench, key, [1]), "a");
            assert!(bench.session.close_reason().is_none());
        }

        #[test]
        fn a_return_that_no_publish_is_acked_for_is_kept_for_who_asks() {
            let (mut bench, key) = ready();
            mandatory(&mut bench, key, "k", "x");
            give_back(&mut bench, key, "k", "x");
            nack(&mut bench, key, 1, false);
            assert_eq!(outcomes(&mut bench, key, [1]), "n");
            assert!(bench.run(|session| session.take_returned(key)).is_some());
        }

        #[test]
        fn a_return_goes_to_the_next_identical_message_when_the_first_is_nacked() {
            let (mut bench, key) = ready();
            for body in ["x", "other", "x", "x"] {
                mandatory(&mut bench, key, "k", body);
            }
            give_back(&mut bench, key, "k", "x");
            nack(&mut bench, key, 1, false);
            ack(&mut bench, key, 4, true);
            assert_eq!(outcomes(&mut bench, key, 1..=4), "nara");
            assert!(bench.run(|session| session.take_returned(key)).is_none());
        }

        #[test]
        fn a_return_goes_to_the_first_of_identical_messages_that_is_acked() {
            let (mut bench, key) = ready();
            for _ in 1..=3 {
                mandatory(&mut bench, key, "k", "x");
            }
            give_back(&mut bench, key, "k", "x");
            ack(&mut bench, key, 2, false);
            nack(&mut bench, key, 1, false);
            ack(&mut bench, key, 3, false);
            assert_eq!(outcomes(&mut bench, key, 1..=3), "nra");
        }

        #[test]
        fn a_return_is_not_lost_with_the_channel() {
            let (mut bench, key) = ready();
            for _ in 1..=2 {
                mandatory(&mut bench, key, "k", "x");
            }
            give_back(&mut bench, key, "k", "x");
            ack(&mut bench, key, 2, false);
            mandatory(&mut bench, key, "k", "y");
            give_back(&mut bench, key, "k", "y");
            bench.receive(key.id, channel::Close { reply_code: 541, ..Default::default() });
            assert_eq!(outcomes(&mut bench, key, 1..=3), "uru");
            assert!(bench.run(|session| session.take_returned(key)).is_some());
        }

        #[test]
        fn the_end_of_the_channel_makes_the_rest_unknown_with_its_reason() {
            let (mut bench, key) = ready();
            for _ in 1..=3 {
                bench.accepted(key, "x");
            }
            ack(&mut bench, key, 1, false);
            bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
            assert_eq!(outcomes(&mut bench, key, [1, 2]), "au");
            let Some(Outcome::Unknown(UnknownReason::Closed(reason))) = outcome(&mut bench, key, 3)
            else {
                panic!();
            };
            assert_eq!(reason.code().map(|code| code.0), Some(404));
        }

        #[test]
        fn confirm_mode_begins_where_the_select_stands_in_the_stream() {
            // Published before the select-ok is there, and counted by the broker all the same.
            let mut bench = Bench::new();
            let key = bench.open();
            assert_eq!(bench.accepted(key, "before"), None);
            let call = bench.call(key, confirm::Select::default());
            assert_eq!(bench.accepted(key, "behind it"), Some(1));
            bench.receive(key.id, confirm::SelectOk::default());
            bench.reply(call);
            assert_eq!(bench.accepted(key, "later"), Some(2));
            ack(&mut bench, key, 2, true);
            assert_eq!(outcomes(&mut bench, key, 1..=2), "aa");
            assert!(bench.session.close_reason().is_none());
        }

        #[test]
        fn a_select_that_was_given_up_still_selects() {
            let mut bench = Bench::new();
            let key = bench.open();
            let call = bench.call(key, confirm::Select::default());
            bench.abandon(call);
            let tag = bench.accepted(key, "x").expect("counted");
            bench.receive(key.id, confirm::SelectOk::default());
            ack(&mut bench, key, tag, false);
            assert_eq!(outcomes(&mut bench, key, [tag]), "a");
        }

        #[test]
        fn a_select_without_a_reply_selects_too() {
            let mut bench = Bench::new();
            let key = bench.open();
            let select = confirm::Select { no_wait: true };
            bench.send(key, select).expect("sent");
            assert_eq!(bench.accepted(key, "x"), Some(1));
            ack(&mut bench, key, 1, false);
            assert_eq!(outcomes(&mut bench, key, [1]), "a");
        }

        #[test]
        fn a_second_select_does_not_count_anew() {
            let (mut bench, key) = ready();
            bench.accepted(key, "x");
            select(&mut bench, key);
            assert_eq!(bench.accepted(key, "x"), Some(2));
        }

        fn limited(unconfirmed_max: usize) -> (Bench, ChannelKey) {
            let mut options = Options::default();
            options.unconfirmed_max = unconfirmed_max;
            let mut bench = Bench::with(options);
            let key = bench.open();
            select(&mut bench, key);
            (bench, key)
        }

        #[test]
        fn at_the_limit_a_publish_waits_for_a_confirm() {
            let (mut bench, key) = limited(2);
            for _ in 0..2 {
                let tag = bench.accepted(key, "x").expect("counted");
                // Nobody waits for these.
                bench.run(|session| session.detach_confirm(key, tag));
            }
            let (woken, waker) = counter();
            let (mut third, mut place) = (message("x"), Place::None);
            assert!(bench.publish_from(key, &mut third, &mut place, &waker).is_pending());
            ack(&mut bench, key, 1, false);
            assert_eq!(woken.get(), 1);
            assert!(bench.publish_from(key, &mut third, &mut place, &waker).is_ready());
        }

        #[test]
        fn a_confirmation_that_its_task_has_not_polled_yet_refuses_nobody() {
            let (mut bench, key) = limited(1);
            bench.accepted(key, "x");
            ack(&mut bench, key, 1, false);
            let (woken, waker) = counter();
            let (mut second, mut place) = (message("x"), Place::None);
            let waits = bench.publish_from(key, &mut second, &mut place, &waker);
            assert!(waits.is_pending(), "{waits:?}");
            // Awaiting it makes room.
            assert_eq!(outcomes(&mut bench, key, [1]), "a");
            assert_eq!(woken.get(), 1);
            assert!(bench.publish_from(key, &mut second, &mut place, &waker).is_ready());
        }

        #[test]
        fn a_limit_of_no_publishes_refuses_them_all() {
            let (mut bench, key) = limited(0);
            let (_, waker) = counter();
            let refused = bench.publish_from(key, &mut message("x"), &mut Place::None, &waker);
            let Poll::Ready(Err(error)) = refused else { panic!("{refused:?}") };
            assert_eq!(error.kind(), ErrorKind::Limit);
        }

        #[test]
        fn forgotten_confirmations_leave_nothing_in_any_order() {
            let (mut bench, key) = ready();
            for _ in 1..=200 {
                bench.accepted(key, "x");
            }
            for tag in (1..=200).step_by(2) {
                bench.run(|session| session.detach_confirm(key, tag));
            }
            ack(&mut bench, key, 150, true);
            ack(&mut bench, key, 200, true);
            for tag in (1..=100).rev().map(|n| 2 * n) {
                assert_eq!(outcomes(&mut bench, key, [tag]), "a");
            }
            assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
        }
    }
} else {
    #[test]
    fn without_confirms_a_publish_has_no_tag() {
        let mut bench = Bench::new();
        let key = bench.open();
        assert_eq!(bench.accepted(key, "x"), None);
    }
} }
