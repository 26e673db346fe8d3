//! Heartbeats, blocked brokers, deadlines of closing.

use amqp_types::protocol::queue;

use super::*;
use crate::{CloseCause, Initiator};

fn heartbeats(bench: &mut Bench) -> usize {
    bench.frames().iter().filter(|frame| frame.kind == FrameKind::Heartbeat).count()
}

/// The next deadline, apart from the look for buffers that nobody needs any more.
fn due(bench: &mut Bench) -> Option<Instant> {
    bench.session.tidy_at = None;
    bench.session.poll_timeout()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn heartbeats_go_out_before_half_the_interval_passed_unused() {
    let mut bench = Bench::tuned(Options::default(), 4096, 10);
    assert_eq!(due(&mut bench), Some(bench.now + 5 * SECOND));
    bench.pass(4 * SECOND);
    assert_eq!(heartbeats(&mut bench), 0);
    bench.pass(SECOND);
    assert_eq!(heartbeats(&mut bench), 1);
    assert_eq!(due(&mut bench), Some(bench.now + 5 * SECOND));
    // Anything written counts as one.
    bench.pass(4 * SECOND);
    bench.begin_open();
    bench.frames();
    bench.pass(4 * SECOND);
    assert_eq!(heartbeats(&mut bench), 0);
    bench.pass(SECOND);
    assert_eq!(heartbeats(&mut bench), 1);
}

#[test]
fn two_silent_intervals_end_the_connection() {
    let mut bench = Bench::tuned(Options::default(), 4096, 10);
    let key = bench.open();
    let now = bench.now;
    bench.run(|session| session.handle_received(8, now));
    let call = bench.call(key, queue::Declare::default());
    bench.pass_awake(19 * SECOND);
    assert!(!bench.session.is_closed());
    bench.pass_awake(SECOND);
    assert!(bench.session.is_closed());
    let reason = bench.session.close_reason().expect("closed").clone();
    assert_eq!((reason.initiator(), reason.code()), (Initiator::Library, None));
    assert_eq!(reason.cause(), CloseCause::PeerSilent { silence: 20 * SECOND });
    let error = bench.error(call);
    assert!(error.is_transient());
}

#[test]
fn without_heartbeats_silence_is_no_reason() {
    let mut bench = Bench::new();
    assert_eq!(due(&mut bench), None);
    bench.pass(100_000 * SECOND);
    assert!(!bench.session.is_closed());
    bench.nothing_sent();
}

#[test]
fn a_heartbeat_of_one_second_does_not_spin() {
    let mut bench = Bench::tuned(Options::default(), 4096, 1);
    for _ in 0..3 {
        let at = due(&mut bench).expect("due");
        assert!(at > bench.now);
        bench.pass(at - bench.now);
        assert_eq!(heartbeats(&mut bench), 1);
    }
}

#[test]
fn heartbeats_do_not_pile_up_behind_what_cannot_be_written() {
    let mut bench = Bench::tuned(Options::default(), 4096, 1);
    let key = bench.open();
    bench.accepted(key, vec![1; 10_000]);
    for _ in 0..1000 {
        let now = bench.now;
        bench.run(|session| session.handle_received(8, now));
        bench.pass_awake(SECOND);
    }
    assert_eq!(heartbeats(&mut bench), 0, "the peer would get them all at once");
    bench.pass_awake(SECOND / 2);
    assert_eq!(heartbeats(&mut bench), 1);
}

#[test]
fn heartbeats_of_zero_are_off_whoever_wished_it() {
    let off = Options { heartbeat: Some(Duration::ZERO), ..Options::default() };
    for (options, offered) in [(off.clone(), 60), (off, 0), (Options::default(), 0)] {
        let offer = connection::Tune { heartbeat: offered, ..Default::default() };
        let (tuning, reply) = Tuning::negotiate(&options, &offer);
        assert_eq!((tuning.heartbeat, reply.heartbeat), (0, 0));
        let mut bench = Bench::tuned(options, 4096, tuning.heartbeat);
        bench.pass_awake(100_000 * SECOND);
        bench.pass(100_000 * SECOND);
        assert_eq!(heartbeats(&mut bench), 0);
        assert!(!bench.session.is_closed());
    }
}

#[test]
fn close_has_a_deadline() {
    let mut bench = Bench::new();
    let deadline = bench.now + 3 * SECOND;
    bench.run(|session| session.close(200.into(), "", Some(deadline)));
    bench.only::<connection::Close>();
    assert_eq!(due(&mut bench), Some(deadline));
    bench.pass(3 * SECOND);
    assert!(bench.session.is_closed());
}

#[test]
fn the_earliest_deadline_of_a_close_holds_though_the_connection_is_over_already() {
    let mut bench = Bench::new();
    bench.receive(0, connection::Close { reply_code: 320, ..Default::default() });
    let now = bench.now;
    bench.run(|session| session.ensure_close_deadline(now));
    let set = due(&mut bench).expect("the last octets are not written for ever");
    for (timeout, deadline) in [(SECOND, now + SECOND), (2 * SECOND, now + SECOND)] {
        assert!(deadline < set);
        bench.run(|session| session.shut_down(now, timeout));
        assert_eq!(due(&mut bench), Some(deadline));
    }
}

#[test]
fn an_alarm_rings_once_at_its_time_whatever_else_is_due() {
    let mut bench = Bench::new();
    let (at, later) = (bench.now + SECOND, bench.now + 2 * SECOND);
    let (count, waker) = counter();
    let (mut first, mut second, mut gone) = (None, None, None);
    let poll = |bench: &mut Bench, at, ticket: &mut Option<u64>| {
        bench.run(|session| session.poll_alarm(at, ticket, &waker)).is_ready()
    };
    assert!(!poll(&mut bench, later, &mut second) && !poll(&mut bench, at, &mut first));
    assert!(!poll(&mut bench, at, &mut gone));
    bench.run(|session| session.drop_alarm(at, gone.expect("it waits")));
    assert_eq!(due(&mut bench), Some(at));
    bench.pass(SECOND - Duration::from_millis(1));
    assert_eq!(count.reset(), 0);
    bench.pass(Duration::from_millis(1));
    assert_eq!(count.reset(), 1);
    assert!(poll(&mut bench, at, &mut first) && !poll(&mut bench, later, &mut second));
    assert_eq!(due(&mut bench), Some(later));
    bench.pass(SECOND);
    assert_eq!((count.get(), due(&mut bench)), (1, None));
    assert!(poll(&mut bench, later, &mut second));
}

#[test]
fn close_is_idempotent_and_the_first_reason_wins() {
    let mut bench = Bench::new();
    bench.run(|session| session.close(200.into(), "mine", None));
    bench.run(|session| session.close(320.into(), "again", None));
    bench.only::<connection::Close>();
    bench.receive(0, connection::Close { reply_code: 541, ..Default::default() });
    bench.only::<connection::CloseOk>();
    assert!(bench.session.is_closed());
    assert_eq!(bench.session.close_reason().expect("closed").text(), "mine");
}

amqp_types::if_spec! { connection.blocked => {
    #[test]
    fn a_blocked_broker_holds_publishers_and_nothing_else() {
        let mut bench = Bench::tuned(Options::default(), 4096, 10);
        let key = bench.open();
        bench.receive(0, connection::Blocked { reason: short("low on memory") });
        assert!(bench.session.is_blocked());
        let (woken, waker) = counter();
        let (mut held, mut place) = (message("x"), Place::None);
        assert!(bench.publish_from(key, &mut held, &mut place, &waker).is_pending());
        bench.call(key, queue::Declare::default());
        bench.run(|session| {
            session.settle(key, 1, Settle::Ack { multiple: false }, &InFlight::default()).expect("open");
        });
        let names: Vec<_> = bench.names().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["queue.declare", "basic.ack"]);
        bench.pass(5 * SECOND);
        assert_eq!(heartbeats(&mut bench), 1);
        assert_eq!(woken.get(), 0);
        bench.receive(0, connection::Unblocked::default());
        assert_eq!(woken.get(), 1);
        assert!(bench.publish_from(key, &mut held, &mut place, &waker).is_ready());
        assert_eq!(bench.names(), [(key.id, "basic.publish")]);
    }

    #[test]
    fn blocked_ends_the_wait_of_publishers_when_the_channel_closes() {
        let mut bench = Bench::new();
        let key = bench.open();
        bench.receive(0, connection::Blocked::default());
        let (woken, waker) = counter();
        let (mut held, mut place) = (message("x"), Place::None);
        assert!(bench.publish_from(key, &mut held, &mut place, &waker).is_pending());
        bench.run(|session| session.close_channel(key, 200.into(), ""));
        assert_eq!(woken.get(), 1);
        let ended = bench.publish_from(key, &mut held, &mut place, &waker);
        assert!(matches!(ended, Poll::Ready(Err(_))), "{ended:?}");
        assert_eq!(bench.left().waiting, 0);
    }

    #[test]
    fn the_time_that_the_broker_blocks_does_not_count_against_calls() {
        let mut bench = Bench::new();
        let key = bench.open();
        let call = bench.call(key, queue::Declare::default());
        bench.pass(10 * SECOND);
        bench.receive(0, connection::Blocked::default());
        for _ in 0..100 {
            bench.pass(10 * SECOND);
        }
        assert!(bench.poll(call).is_pending(), "its time stands still");
        bench.receive(0, connection::Unblocked::default());
        bench.pass(19 * SECOND);
        assert!(bench.poll(call).is_pending(), "20 of its 30 seconds were left");
        bench.pass(32 * SECOND);
        assert_eq!(bench.error(call).kind(), crate::ErrorKind::Timeout);
    }

    #[test]
    fn a_short_block_just_before_a_deadline_does_not_eat_the_calls_time() {
        let mut bench = Bench::new();
        let key = bench.open();
        let call = bench.call(key, queue::Declare::default());
        bench.pass(SECOND);
        bench.receive(0, connection::Blocked::default());
        bench.pass(28 * SECOND);
        bench.receive(0, connection::Unblocked::default());
        bench.pass(2 * SECOND);
        assert!(bench.poll(call).is_pending(), "29 seconds were left before the block");
    }

    #[test]
    fn a_deadline_of_nothing_does_not_hang_while_blocked() {
        let mut options = Options::default();
        options.call_timeout = Duration::ZERO;
        let mut bench = Bench::with(options);
        let key = bench.open();
        bench.receive(0, connection::Blocked::default());
        let mut request = bench.options::<queue::Declare>();
        request.within = Some(Duration::ZERO);
        let method = queue::Declare::default().into_any();
        bench.run(|session| session.call(key, &method, &request)).expect("sent");
        bench.pass(SECOND);
        bench.pass(SECOND);
    }
} else {} }

#[test]
fn buffers_of_a_burst_go_though_heartbeats_come() {
    let mut bench = Bench::tuned(Options::default(), 4096, 10);
    let key = bench.open();
    let beat = |bench: &mut Bench| {
        bench.pass(SECOND / 2);
        let now = bench.now;
        bench.run(|session| session.handle_received(8, now));
        bench.session.take_idle()
    };
    bench.accepted(key, vec![1; 100_000]);
    bench.frames();
    let idle: Vec<bool> = (0..8).map(|_| beat(&mut bench)).collect();
    assert!(!idle[0] && !idle[1], "it was busy: {idle:?}");
    assert!(idle.contains(&true), "{idle:?}");
}
