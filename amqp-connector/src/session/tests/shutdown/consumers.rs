//! Consumers of what ends gracefully: cancelled, their deliveries given back, kept, or waited for.

use super::*;
use crate::outcome::ConsumerEnd;

#[test]
fn what_nobody_has_read_is_given_back_behind_the_cancel() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    for tag in 1..=3 {
        bench.deliver(key, "c", tag, b"unread");
    }
    let now = bench.now;
    bench.run(|session| session.shut_down(now, TIMEOUT));
    let names: Vec<_> = bench.names().into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["basic.cancel", "basic.reject", "basic.reject", "basic.reject"]);
    // What the peer had sent before it saw the cancel is left to the close.
    bench.deliver(key, "c", 4, b"late");
    bench.nothing_sent();
    let (mut batch, in_flight) = (VecDeque::new(), InFlight::default());
    let end = bench
        .run(|session| session.poll_deliveries(key, id, &mut batch, &in_flight, Waker::noop()));
    assert!(matches!(end, Poll::Ready(Some(ConsumerEnd::Closed(_)))) && batch.is_empty());
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    bench.pass(Duration::ZERO);
    bench.only::<connection::Close>();
}

#[test]
fn much_that_nobody_has_read_is_left_to_the_close() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.consume(key, "c", false);
    for tag in 1..=300 {
        bench.deliver(key, "c", tag, b"unread");
    }
    let now = bench.now;
    bench.run(|session| session.shut_down(now, TIMEOUT));
    bench.only::<basic::Cancel>();
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    bench.pass(Duration::ZERO);
    bench.only::<connection::Close>();
}

#[test]
fn what_a_handle_has_taken_and_not_given_out_is_not_waited_for() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", false);
    for tag in 1..=3 {
        bench.deliver(key, "c", tag, b"taken");
    }
    let (mut batch, in_flight) = (VecDeque::new(), InFlight::default());
    let taken = bench
        .run(|session| session.poll_deliveries(key, id, &mut batch, &in_flight, Waker::noop()));
    assert!(taken.is_ready() && batch.len() == 3);
    let unread = bench.run(|session| session.mark_claimed(key, id));
    assert!(!unread.is_stopped());
    let now = bench.now;
    bench.run(|session| session.shut_down(now, TIMEOUT));
    assert!(unread.is_stopped(), "the handle is to give them back");
    bench.only::<basic::Cancel>();
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    bench.pass(Duration::ZERO);
    bench.only::<connection::Close>();
}

#[test]
fn a_delivery_that_is_dropped_counts_as_let_go_and_wakes_the_driver() {
    let mut busy = Busy::new();
    busy.shut_down(true);
    for begun in all().into_iter().filter(|begun| *begun != Begun::Delivery) {
        busy.complete(begun);
    }
    let (driver, waker) = counter();
    busy.bench.run(|session| session.set_driver(&waker));
    let (key, leave) = (busy.key, crate::options::Unsettled::Leave);
    busy.bench.run(|session| {
        session.drop_unsettled(key, 1, leave, &busy.in_flight, crate::session::Keeps::No)
    });
    assert_eq!(driver.get(), 1, "nothing is written, and yet it must look");
    busy.look();
    assert_eq!(busy.names(), ["connection.close"]);
}

#[test]
fn deliveries_without_acknowledgement_are_kept_until_the_cancel_is_answered() {
    let mut bench = Bench::new();
    let key = bench.open();
    let id = bench.consume(key, "c", true);
    bench.deliver(key, "c", 1, b"before");
    let now = bench.now;
    bench.run(|session| session.shut_down(now, TIMEOUT));
    bench.only::<basic::Cancel>();
    bench.deliver(key, "c", 2, b"on its way");
    bench.nothing_sent();
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    bench.pass(Duration::ZERO);
    bench.only::<connection::Close>();
    let mut read = Vec::new();
    let end = loop {
        let (mut batch, in_flight) = (VecDeque::new(), InFlight::default());
        let taken = bench
            .run(|session| session.poll_deliveries(key, id, &mut batch, &in_flight, Waker::noop()));
        match taken {
            Poll::Ready(None) => read.extend(batch.iter().map(|queued| queued.delivery_tag)),
            Poll::Ready(Some(end)) => break end,
            Poll::Pending => panic!("it is over"),
        }
    };
    assert_eq!(read, [1, 2]);
    assert!(matches!(end, ConsumerEnd::Closed(_)), "{end:?}");
}

#[test]
fn a_consumer_whose_start_is_not_answered_is_cancelled_when_it_is() {
    for no_ack in [true, false] {
        let mut bench = Bench::new();
        let key = bench.open();
        let call = bench.call(key, basic::Consume { no_ack, ..Default::default() });
        bench.frames();
        let now = bench.now;
        bench.run(|session| session.shut_down(now, TIMEOUT));
        bench.nothing_sent();
        bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("late") });
        bench.reply(call);
        assert_eq!(bench.only::<basic::Cancel>().consumer_tag, *"late");
        bench.pass(Duration::ZERO);
        bench.nothing_sent();
        bench.receive(key.id, basic::CancelOk { consumer_tag: short("late") });
        bench.pass(Duration::ZERO);
        bench.only::<connection::Close>();
    }
}

#[test]
fn a_consumer_that_the_user_is_cancelling_is_not_cancelled_twice() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.consume(key, "c", false);
    let cancel = bench.call(key, basic::Cancel { consumer_tag: short("c"), ..Default::default() });
    bench.frames();
    let now = bench.now;
    bench.run(|session| session.shut_down(now, TIMEOUT));
    bench.nothing_sent();
    bench.receive(key.id, basic::CancelOk { consumer_tag: short("c") });
    bench.reply(cancel);
    bench.pass(Duration::ZERO);
    bench.only::<connection::Close>();
}

amqp_types::if_spec! { basic.recover_ok => {
    #[test]
    fn what_a_recover_has_taken_back_is_not_waited_for() {
        let mut bench = Bench::new();
        let key = bench.open();
        let id = bench.consume(key, "c", false);
        let (mut batch, in_flight) = (VecDeque::new(), InFlight::default());
        bench.deliver(key, "c", 1, b"void");
        bench.deliver(key, "c", 2, b"void");
        let take = |bench: &mut Bench, batch: &mut VecDeque<_>| {
            let taken = bench
                .run(|session| session.poll_deliveries(key, id, batch, &in_flight, Waker::noop()));
            assert!(taken.is_ready());
        };
        take(&mut bench, &mut batch);
        batch.clear();
        let recover = bench.call(key, basic::Recover { requeue: true });
        bench.receive(key.id, basic::RecoverOk::default());
        bench.reply(recover);
        bench.frames();
        assert_eq!(bench.run(|session| session.in_flight(key)), 0);
        bench.deliver(key, "c", 3, b"anew");
        take(&mut bench, &mut batch);
        assert_eq!(in_flight.count(), 1);
        // What is void does not count a second time when it is let go of.
        let ack = Settle::Ack { multiple: false };
        bench.run(|session| session.settle(key, 1, ack, &in_flight)).expect_err("void");
        bench.run(|session| session.drop_unsettled(key, 2, crate::Unsettled::Requeue, &in_flight, crate::session::Keeps::No));
        assert_eq!((in_flight.count(), bench.run(|session| session.in_flight(key))), (1, 1));
        bench.run(|session| session.settle(key, 3, ack, &in_flight)).expect("anew");
        assert_eq!((in_flight.count(), bench.run(|session| session.in_flight(key))), (0, 0));
        // Never settled: those, and one that is left.
        assert_eq!(in_flight.unsettled(), 2);
        bench.deliver(key, "c", 4, b"anew");
        batch.clear();
        take(&mut bench, &mut batch);
        bench.run(|session| session.drop_unsettled(key, 4, crate::Unsettled::Leave, &in_flight, crate::session::Keeps::No));
        assert_eq!((in_flight.count(), in_flight.unsettled()), (0, 3));
    }

    #[test]
    fn what_a_recover_has_taken_back_is_not_told_as_given_back() {
        let mut bench = Bench::new();
        let key = bench.open();
        let id = bench.consume(key, "c", false);
        let (mut batch, in_flight) = (VecDeque::new(), InFlight::default());
        bench.deliver(key, "c", 1, b"void");
        let taken = bench
            .run(|session| session.poll_deliveries(key, id, &mut batch, &in_flight, Waker::noop()));
        assert!(taken.is_ready());
        let recover = bench.call(key, basic::Recover { requeue: true });
        bench.receive(key.id, basic::RecoverOk::default());
        bench.reply(recover);
        bench.deliver(key, "c", 2, b"anew");
        bench.frames();
        let now = bench.now;
        let given_back = bench.run(|session| {
            session.put_back(key, id, &mut batch, &in_flight);
            session.begin_consumer_shutdown(key, id, now, TIMEOUT)
        });
        assert_eq!(given_back, 1);
        let names: Vec<_> = bench.names().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["basic.cancel", "basic.reject"]);
    }
} else {} }
