//! The loss of the connection as a pause: whoever waits is neither forgotten nor counted twice, wherever it stands.

use super::*;
use crate::error::{CloseCause, ErrorKind};
use crate::options::WhileBlocked;
use crate::outcome::Event;

/// A session that comes back.
pub(super) fn bench(options: Options) -> Bench {
    let mut bench = Bench::with(options);
    bench.run(|session| session.set_recovery(WhileBlocked::Wait));
    bench
}

pub(super) fn lose(bench: &mut Bench) {
    bench.run(|session| session.handle_io_end(None));
    bench.run(Session::handle_driver_gone);
    bench.out.clear();
    assert!(bench.session.is_lost());
}

pub(super) fn resume(bench: &mut Bench, channel_max: u16) {
    let (tuning, now) = (Tuning { channel_max, frame_max: 4096, heartbeat: 0 }, bench.now);
    assert!(bench.run(|session| session.resume(tuning, now)));
}

/// Opens a channel again; gives the call of its `channel.open`.
pub(super) fn reopen(bench: &mut Bench, key: ChannelKey) {
    let options = bench.options::<channel::Open>();
    let call = bench.run(|session| session.reopen(key, &options)).expect("sent").expect("closed");
    bench.receive(key.id, channel::OpenOk::default());
    bench.reply(call);
}

pub(super) fn restore(bench: &mut Bench, key: ChannelKey) {
    reopen(bench, key);
    bench.run(|session| session.restored(key));
    bench.frames();
}

pub(super) fn come_back(bench: &mut Bench, key: ChannelKey) {
    lose(bench);
    resume(bench, 3);
    restore(bench, key);
}

pub(super) struct Waiting {
    key: ChannelKey,
    message: Message,
    place: Place,
    woken: Arc<Count>,
    waker: Waker,
}

impl Waiting {
    pub(super) fn new(key: ChannelKey, size: usize) -> Self {
        let (woken, waker) = counter();
        Self { key, message: message(vec![1; size]), place: Place::None, woken, waker }
    }

    pub(super) fn poll(&mut self, bench: &mut Bench) -> Published {
        self.woken.reset();
        bench.publish_from(self.key, &mut self.message, &mut self.place, &self.waker)
    }

    #[track_caller]
    pub(super) fn waits(mut self, bench: &mut Bench) -> Self {
        assert!(self.poll(bench).is_pending());
        self
    }

    /// As its task would: it looks whenever it is woken.
    #[track_caller]
    pub(super) fn goes(&mut self, bench: &mut Bench) {
        while self.woken.get() > 0 {
            if let Poll::Ready(published) = self.poll(bench) {
                published.expect("published");
                return;
            }
            bench.write();
        }
        panic!("nobody woke it");
    }
}

#[test]
fn a_publish_that_waits_goes_on_though_another_gave_up_meanwhile() {
    let mut bench = bench(Options::default());
    let key = bench.open();
    lose(&mut bench);
    let mut first = Waiting::new(key, 1).waits(&mut bench);
    let mut second = Waiting::new(key, 1).waits(&mut bench);
    bench.run(|session| session.leave(key, &mut first.place));
    if second.woken.get() > 0 {
        second = second.waits(&mut bench);
    }
    resume(&mut bench, 3);
    restore(&mut bench, key);
    second.goes(&mut bench);
    assert_eq!(bench.left().waiting, 0);
}

#[test]
fn a_publish_that_waited_for_room_goes_on_even_if_its_task_was_busy_throughout() {
    // In the shared queue, and in the own queue of a channel with a large content.
    for size in [800, 80_000] {
        let mut options = Options::default();
        options.outbound_budget = size;
        let mut bench = bench(options);
        let key = bench.open();
        bench.accepted(key, vec![1; size]);
        let mut waiting: Vec<_> =
            (0..3).map(|_| Waiting::new(key, size).waits(&mut bench)).collect();
        come_back(&mut bench, key);
        for publish in &mut waiting {
            publish.goes(&mut bench);
            bench.write();
        }
        assert_eq!(bench.left().waiting, 0, "{size}");
        // Nothing is kept for any of them: a message of the whole budget finds room.
        bench.accepted(key, vec![1; size]);
        assert!(bench.publish(key, vec![1; size]).is_pending());
    }
}

#[test]
fn a_publish_that_waited_for_room_goes_on_if_its_task_looks_at_once() {
    for size in [800, 80_000] {
        let mut options = Options::default();
        options.outbound_budget = size;
        let mut bench = bench(options);
        let key = bench.open();
        bench.accepted(key, vec![1; size]);
        let mut waiting: Vec<_> =
            (0..3).map(|_| Waiting::new(key, size).waits(&mut bench)).collect();
        lose(&mut bench);
        for publish in &mut waiting {
            assert!(publish.woken.get() > 0);
            assert!(publish.poll(&mut bench).is_pending());
        }
        resume(&mut bench, 3);
        restore(&mut bench, key);
        for publish in &mut waiting {
            publish.goes(&mut bench);
            bench.write();
        }
        assert_eq!(bench.left().waiting, 0, "{size}");
        bench.accepted(key, vec![1; size]);
    }
}

#[test]
fn what_the_application_ends_while_we_close_for_a_violation_does_not_come_back() {
    for way in 0..3 {
        let mut bench = bench(Options::default());
        let key = bench.open();
        bench.receive(2, channel::OpenOk::default());
        assert!(bench.session.close_reason().is_some());
        let mut publish = Waiting::new(key, 1).waits(&mut bench);
        let now = bench.now;
        match way {
            0 => bench.run(|session| session.shut_down(now, Duration::from_secs(1))),
            1 => bench.run(Session::release),
            _ => bench.run(Session::abort),
        }
        assert!(publish.woken.get() > 0);
        match publish.poll(&mut bench) {
            Poll::Ready(Err(error)) => assert!(error.close_reason().is_some(), "{error}"),
            other => panic!("{other:?}"),
        }
        bench.receive(0, connection::CloseOk::default());
        assert!(bench.session.is_closed(), "way {way}");
        let cause = bench.session.close_reason().map(|reason| reason.cause());
        assert_eq!(cause, Some(CloseCause::ProtocolViolation));
    }
}

#[test]
fn while_we_close_for_a_violation_everybody_is_told_that_it_comes_back() {
    let mut bench = bench(Options::default());
    let key = bench.open();
    let under_way = bench.call(key, basic::Qos::default());
    bench.receive(2, channel::OpenOk::default());
    assert!(bench.session.close_reason().is_some() && !bench.session.is_lost());
    assert!(bench.error(under_way).close_reason().is_some());
    let told = |bench: &mut Bench| {
        let options = bench.options::<channel::Open>();
        let opened = bench.run(|session| session.open(&options)).map(drop);
        let request = basic::Qos::default().into_any();
        let options = bench.options::<basic::Qos>();
        let called = bench.run(|session| session.call(key, &request, &options)).map(drop);
        [opened.expect_err("not now").kind(), called.expect_err("not now").kind()]
    };
    assert_eq!(told(&mut bench), [ErrorKind::Recovering; 2]);
    assert!(bench.session.final_reason().is_none() && bench.session.is_recovering());
    let mut publish = Waiting::new(key, 1).waits(&mut bench);
    bench.receive(0, connection::CloseOk::default());
    assert!(bench.session.is_lost());
    assert_eq!(told(&mut bench), [ErrorKind::Recovering; 2]);
    resume(&mut bench, 3);
    restore(&mut bench, key);
    publish.goes(&mut bench);

    // If the application ends it in that time, it is over.
    bench.receive(2, channel::OpenOk::default());
    bench.run(Session::abort);
    assert_eq!(told(&mut bench)[0], ErrorKind::ConnectionClosed);
    assert!(bench.session.final_reason().is_some() && !bench.session.is_recovering());
}

amqp_types::if_spec! { access.request => {
    #[test]
    fn a_ticket_ends_with_the_incarnation_that_it_was_given_to() {
        use amqp_types::protocol::access;
        let mut bench = bench(Options::default());
        let key = bench.open();
        let call = bench.call(key, access::Request::default());
        bench.receive(key.id, access::RequestOk { ticket: 7 });
        bench.reply(call);
        let stamped = |bench: &mut Bench| {
            let mut method = basic::Get::default().into_any();
            bench.run(|session| session.stamp(key, &mut method));
            let Method::Basic(basic::Method::Get(get)) = method else { panic!("it is one") };
            get.ticket
        };
        assert_eq!(stamped(&mut bench), 7);
        let consume = basic::Consume { ticket: 7, ..Default::default() };
        let call = bench.call(key, consume);
        bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("tag") });
        bench.reply(call);
        lose(&mut bench);
        resume(&mut bench, 3);
        reopen(&mut bench, key);
        let lasting = bench.run(|session| session.lasting(key)).expect("it comes back");
        assert_eq!(lasting.consumers[0].consume.ticket, 0);
        assert_eq!(stamped(&mut bench), 0);
    }
} else {} }

#[test]
fn a_number_of_an_earlier_epoch_is_refused_in_a_method_of_the_user_s_own_making() {
    let mut bench = bench(Options::default());
    let key = bench.open();
    bench.consume(key, "tag", false);
    for tag in 1..=3 {
        bench.deliver(key, "tag", tag, b"old");
    }
    come_back(&mut bench, key);
    // The last old number is one less than the first new one: as 0 the peer would take it for all.
    for (delivery_tag, multiple) in [(1, false), (3, true), (3, false)] {
        let error = bench.send(key, basic::Ack { delivery_tag, multiple }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
        let reject = basic::Reject { delivery_tag, requeue: true };
        assert_eq!(bench.send(key, reject).unwrap_err().kind(), ErrorKind::Stale);
        amqp_types::if_spec! { basic.nack => {
            let nack = basic::Nack { delivery_tag, multiple, requeue: true };
            assert_eq!(bench.send(key, nack).unwrap_err().kind(), ErrorKind::Stale);
        } else {} }
    }
    bench.nothing_sent();
    bench.send(key, basic::Ack { delivery_tag: 4, multiple: false }).expect("of this epoch");
    assert_eq!(bench.only::<basic::Ack>().delivery_tag, 1);
    bench.send(key, basic::Ack { delivery_tag: 0, multiple: true }).expect("all there are");
    assert_eq!(bench.only::<basic::Ack>().delivery_tag, 0);
}

#[test]
fn a_consumer_without_a_handle_comes_back_however_often_its_connection_is_lost() {
    let mut bench = bench(Options::default());
    let key = bench.open();
    let call = bench.call(key, basic::Consume::default());
    bench.receive(key.id, basic::ConsumeOk { consumer_tag: short("tag") });
    lose(&mut bench);
    resume(&mut bench, 3);
    lose(&mut bench);
    resume(&mut bench, 3);
    reopen(&mut bench, key);
    let lasting = bench.run(|session| session.lasting(key)).expect("it comes back");
    assert_eq!(lasting.consumers.len(), 1);
    assert!(matches!(bench.poll(call), Poll::Ready(Ok(_))));
}

#[test]
fn a_message_that_is_taken_after_its_connection_was_lost_is_waited_for_by_nobody() {
    let mut bench = bench(Options::default());
    let key = bench.open();
    let call = bench.call(key, basic::Get::default());
    bench.receive_content(key.id, basic::GetOk { delivery_tag: 1, ..Default::default() }, b"got");
    come_back(&mut bench, key);
    let Poll::Ready(Ok(reply)) = bench.poll(call) else { panic!("it came") };
    let Method::Basic(basic::Method::GetOk(got)) = reply.method else { panic!("it came") };
    let in_flight = InFlight::default();
    bench.run(|session| session.take_off_got(key, got.delivery_tag, &in_flight));
    assert_eq!((in_flight.count(), bench.session.in_flight(key)), (0, 0));
}

#[test]
fn channels_above_a_smaller_maximum_end_and_their_numbers_serve_again_when_it_grows() {
    let mut bench = bench(Options::default());
    let keys = [bench.open(), bench.open(), bench.open()];
    let events = bench.run(|session| session.subscribe());
    lose(&mut bench);
    resume(&mut bench, 1);
    let mut ended = Vec::new();
    while let Poll::Ready(Some(event)) =
        bench.run(|session| session.poll_event(events, Waker::noop()))
    {
        if let Event::ChannelClosed { channel, reason } = event {
            assert_eq!(reason.cause(), CloseCause::LimitExceeded);
            ended.push(channel);
        }
    }
    assert_eq!(ended, [2, 3]);
    restore(&mut bench, keys[0]);
    let options = bench.options::<channel::Open>();
    assert!(bench.run(|session| session.open(&options)).is_err());
    lose(&mut bench);
    resume(&mut bench, 3);
    restore(&mut bench, keys[0]);
    assert_eq!([bench.open().id, bench.open().id], [2, 3]);
}

#[test]
fn a_number_that_rested_when_the_connection_was_lost_is_given_to_one_channel_only() {
    let mut bench = bench(Options::default());
    let [lives, ends] = [bench.open(), bench.open()];
    bench.receive(ends.id, channel::Close { reply_code: 404, ..Default::default() });
    lose(&mut bench);
    resume(&mut bench, 3);
    restore(&mut bench, lives);
    let (one, other) = (bench.open(), bench.open());
    assert_eq!([one.id, other.id], [2, 3]);
    let options = bench.options::<channel::Open>();
    assert!(bench.run(|session| session.open(&options)).is_err(), "all numbers are in use");
    assert_eq!(bench.session.channel_count(), 3);
}

amqp_types::if_spec! { connection.blocked => {
    #[test]
    fn a_block_ends_with_the_connection_that_was_blocked_and_its_watch_goes_on() {
        let mut bench = bench(Options::default());
        let key = bench.open();
        let events = bench.run(|session| session.subscribe());
        let (mut seen, mut ticket) = (bench.session.block_version(), None);
        let mut change = |bench: &mut Bench| {
            bench.run(|session| session.poll_block_change(&mut seen, &mut ticket, Waker::noop()))
        };
        lose(&mut bench);
        assert!(change(&mut bench).is_pending(), "nothing has changed");
        resume(&mut bench, 3);
        restore(&mut bench, key);
        bench.receive(0, connection::Blocked { reason: short("low") });
        assert!(matches!(change(&mut bench), Poll::Ready(Ok(Some(_)))));
        lose(&mut bench);
        assert!(matches!(change(&mut bench), Poll::Ready(Ok(None))));
        assert!(change(&mut bench).is_pending(), "it is lost, and not over");
        let mut told = Vec::new();
        while let Poll::Ready(Some(event)) =
            bench.run(|session| session.poll_event(events, Waker::noop()))
        {
            told.push(match event {
                Event::Connected => "connected",
                Event::Blocked { .. } => "blocked",
                Event::Unblocked => "unblocked",
                Event::Recovering { .. } => "recovering",
                _ => "other",
            });
        }
        assert_eq!(told, ["connected", "recovering", "blocked", "unblocked", "recovering"]);
    }
} else {} }
