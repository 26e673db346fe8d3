//! The pace of a channel, counted exactly by a made-up clock.

use super::super::*;
use crate::{ErrorKind, Pace};

const SECOND: Duration = Duration::from_secs(1);

fn paced(pace: Pace) -> (Bench, ChannelKey) {
    let mut bench = Bench::tuned(Options::default(), 131_072, 0);
    let key = bench.open();
    set(&mut bench, key, Some(pace));
    (bench, key)
}

fn set(bench: &mut Bench, key: ChannelKey, pace: Option<Pace>) {
    let now = bench.now;
    bench.run(|session| session.set_pace(key, pace, now)).expect("open");
}

/// As a driver that something has woken.
fn look(bench: &mut Bench) {
    bench.pass(Duration::ZERO);
}

/// How many publishes that do not wait go now.
fn go(bench: &mut Bench, key: ChannelKey) -> usize {
    let (mut count, mut looked) = (0, false);
    loop {
        let (mut message, mut place) = (message("x"), Place::None);
        let tried = bench.run(|session| {
            session.poll_publish(key, &mut message, Location::caller(), &mut place, None)
        });
        match tried {
            Poll::Ready(Ok(_)) => count += 1,
            Poll::Ready(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Full);
                assert!(error.to_string().contains("pace"), "{error}");
                if std::mem::replace(&mut looked, true) {
                    break;
                }
                let now = bench.now;
                assert!(bench.run(|session| session.look_at_pace(key, now)));
            }
            Poll::Pending => panic!("without a waker nothing waits"),
        }
    }
    look(bench);
    bench.write();
    bench.out.clear();
    count
}

/// A task that publishes.
struct Task {
    message: Message,
    place: Place,
    woken: Arc<Count>,
    waker: Waker,
}

impl Task {
    fn new() -> Self {
        let (woken, waker) = counter();
        Self { message: message("x"), place: Place::None, woken, waker }
    }

    fn poll(&mut self, bench: &mut Bench, key: ChannelKey) -> bool {
        let polled = bench.publish_from(key, &mut self.message, &mut self.place, &self.waker);
        look(bench);
        match polled {
            Poll::Ready(result) => {
                result.expect("accepted");
                self.place = Place::Gone;
                true
            }
            Poll::Pending => false,
        }
    }

    fn give_up(&mut self, bench: &mut Bench, key: ChannelKey) {
        bench.run(|session| session.leave(key, &mut self.place));
        look(bench);
    }
}

fn waiting(bench: &mut Bench, key: ChannelKey, count: usize) -> Vec<Task> {
    let mut tasks: Vec<Task> = (0..count).map(|_| Task::new()).collect();
    for task in &mut tasks {
        assert!(!task.poll(bench, key));
    }
    tasks
}

/// Whether each task was woken.
fn woken(tasks: &[Task]) -> Vec<usize> {
    tasks.iter().map(|task| task.woken.get()).collect()
}

/// The next deadline, apart from the look for buffers that nobody needs any more.
fn due(bench: &mut Bench) -> Option<Duration> {
    bench.session.tidy_at = None;
    bench.session.poll_timeout().map(|at| at - bench.now)
}

#[test]
fn exactly_as_many_go_as_the_pace_allows() {
    for (publishes, seconds, burst) in [(10, 1, 4), (3, 1, 1), (7, 60, 2), (1000, 1, 50)] {
        let period = SECOND * seconds;
        let (mut bench, key) = paced(Pace::per(publishes, period).burst(burst));
        assert_eq!(go(&mut bench, key), usize::try_from(burst).unwrap());
        assert_eq!(go(&mut bench, key), 0);
        // Looked at so often that nothing is saved up beyond the burst, at odd moments.
        let (step, mut passed, mut gone) = (period / publishes / 3 + Duration::from_nanos(7), 0, 0);
        while passed < 3_000 {
            bench.pass(step);
            gone += go(&mut bench, key);
            passed += 1;
            let expected = step.as_nanos() * passed * u128::from(publishes) / period.as_nanos();
            assert_eq!(gone as u128, expected, "{publishes} in {period:?}, step {passed}");
        }
        // After a rest a burst, and no more.
        bench.pass(period * 100);
        assert_eq!(go(&mut bench, key), usize::try_from(burst).unwrap());
    }
}

#[test]
fn publishes_that_nobody_has_counted_yet_save_up_nothing() {
    let (mut bench, key) = paced(Pace::per_second(10).burst(5));
    // The driver has no look for a while, and the clock goes on.
    bench.accepted(key, "x");
    bench.now += SECOND * 10;
    assert_eq!(go(&mut bench, key), 4, "what was there before");
    assert_eq!(go(&mut bench, key), 0, "at the most five at once");
}

#[test]
fn the_clock_is_looked_at_only_while_somebody_waits() {
    let (mut bench, key) = paced(Pace::per_second(4).burst(2));
    assert_eq!(due(&mut bench), None);
    assert_eq!(go(&mut bench, key), 2);
    assert_eq!(due(&mut bench), None);
    bench.pass(SECOND / 8);
    let mut task = waiting(&mut bench, key, 1).remove(0);
    assert_eq!(due(&mut bench), Some(SECOND / 8));
    bench.pass(SECOND / 8 - Duration::from_nanos(1));
    assert_eq!(task.woken.get(), 0);
    assert_eq!(due(&mut bench), Some(Duration::from_nanos(1)));
    bench.pass(Duration::from_nanos(1));
    assert_eq!((task.woken.get(), due(&mut bench)), (1, None));
    assert!(task.poll(&mut bench, key));
    assert_eq!(due(&mut bench), None);
}

#[test]
fn who_waits_goes_in_order_and_nobody_goes_past() {
    let (mut bench, key) = paced(Pace::per_second(10).burst(1));
    assert_eq!(go(&mut bench, key), 1);
    let mut tasks = waiting(&mut bench, key, 20);
    for n in 0..20 {
        assert_eq!(due(&mut bench), Some(SECOND / 10), "task {n}");
        bench.pass(SECOND / 10);
        let expected: Vec<usize> = (0..20).map(|at| usize::from(at <= n)).collect();
        assert_eq!(woken(&tasks), expected);
        assert_eq!(go(&mut bench, key), 0, "the token is kept for task {n}");
        for later in tasks.iter_mut().skip(n + 1) {
            assert!(!later.poll(&mut bench, key));
        }
        assert!(tasks[n].poll(&mut bench, key));
    }
    assert_eq!(due(&mut bench), None);
    bench.pass(SECOND);
    assert_eq!(go(&mut bench, key), 1);
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_task_that_takes_its_time_holds_its_token_and_loses_nobody_his_turn() {
    let (mut bench, key) = paced(Pace::per_second(1).burst(1));
    assert_eq!(go(&mut bench, key), 1);
    let mut tasks = waiting(&mut bench, key, 2);
    bench.pass(SECOND * 5);
    assert_eq!(woken(&tasks), [1, 0]);
    assert_eq!(due(&mut bench), None, "nothing more fits in");
    assert!(tasks[0].poll(&mut bench, key));
    assert_eq!(due(&mut bench), Some(SECOND));
    bench.pass(SECOND);
    assert!(tasks[1].poll(&mut bench, key));
}

#[test]
fn a_place_that_is_given_up_is_the_next_ones() {
    let (mut bench, key) = paced(Pace::per_second(1).burst(2));
    assert_eq!(go(&mut bench, key), 2);
    let mut tasks = waiting(&mut bench, key, 4);
    tasks[1].give_up(&mut bench, key);
    bench.pass(SECOND);
    assert_eq!(woken(&tasks), [1, 0, 0, 0]);
    // It was admitted, and its token with it.
    tasks[0].give_up(&mut bench, key);
    assert_eq!(woken(&tasks), [1, 0, 1, 0]);
    assert!(tasks[2].poll(&mut bench, key));
    assert!(!tasks[3].poll(&mut bench, key));
    tasks[3].give_up(&mut bench, key);
    // One look may be for nobody.
    bench.pass(SECOND);
    assert_eq!(due(&mut bench), None);
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
}

#[test]
fn a_pace_that_changes_is_that_of_those_who_wait_already() {
    let (mut bench, key) = paced(Pace::per(1, SECOND * 3600).burst(1));
    assert_eq!(go(&mut bench, key), 1);
    let mut tasks = waiting(&mut bench, key, 5);
    assert_eq!(due(&mut bench), Some(SECOND * 3600));
    set(&mut bench, key, Some(Pace::per_second(2).burst(2)));
    look(&mut bench);
    assert_eq!(woken(&tasks), [0; 5], "what was spent stays spent");
    assert_eq!(due(&mut bench), Some(SECOND / 2));
    bench.pass(SECOND);
    assert_eq!(woken(&tasks), [1, 1, 0, 0, 0]);
    // Two may go, and then it is slower: they may not.
    set(&mut bench, key, Some(Pace::per(1, SECOND * 10).burst(1)));
    look(&mut bench);
    assert!(tasks[0].poll(&mut bench, key));
    for task in tasks.iter_mut().skip(1) {
        assert!(!task.poll(&mut bench, key));
    }
    assert_eq!(due(&mut bench), Some(SECOND * 10));
    // Without one they all go.
    set(&mut bench, key, None);
    look(&mut bench);
    for task in tasks.iter_mut().skip(1) {
        assert!(task.woken.get() > 0 && task.poll(&mut bench, key));
    }
    assert_eq!(due(&mut bench), None);
    for _ in 0..100 {
        bench.accepted(key, "x");
    }
}

#[test]
fn the_peers_flow_holds_beside_the_pace() {
    let (mut bench, key) = paced(Pace::per_second(1).burst(3));
    bench.receive(key.id, channel::Flow { active: false });
    let mut tasks = waiting(&mut bench, key, 4);
    bench.pass(SECOND * 100);
    assert_eq!((woken(&tasks), due(&mut bench)), (vec![0; 4], None));
    // Set and taken away meanwhile, it changes nothing for the peer.
    set(&mut bench, key, None);
    set(&mut bench, key, Some(Pace::per_second(1).burst(3)));
    assert!(!bench.session.is_flowing(key));
    bench.receive(key.id, channel::Flow { active: true });
    look(&mut bench);
    assert_eq!(woken(&tasks), [1, 1, 1, 0]);
    for task in tasks.iter_mut().take(3) {
        assert!(task.poll(&mut bench, key));
    }
    assert_eq!(due(&mut bench), Some(SECOND));
}

#[test]
fn a_message_that_is_refused_costs_nothing() {
    let (mut bench, key) = paced(Pace::per_second(1).burst(1));
    for _ in 0..3 {
        let (mut large, mut place) = (message("x"), Place::None);
        large.properties.get_or_insert_default().headers = Some(
            (0..700)
                .map(|n| (short(&format!("{n:0200}")), amqp_types::FieldValue::from(n)))
                .collect(),
        );
        match bench.publish_from(key, &mut large, &mut place, Waker::noop()) {
            Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::Invalid),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(go(&mut bench, key), 1);
}

#[test]
fn other_channels_have_no_pace() {
    let (mut bench, key) = paced(Pace::per_second(1).burst(1));
    let other = bench.open();
    assert_eq!(go(&mut bench, key), 1);
    let now = bench.now;
    assert!(!bench.run(|session| session.look_at_pace(other, now)));
    for _ in 0..100 {
        bench.accepted(other, "x");
    }
}

#[test]
fn a_close_ends_the_wait() {
    let (mut bench, key) = paced(Pace::per_second(1).burst(1));
    let other = bench.open();
    assert_eq!(go(&mut bench, key), 1);
    let mut tasks = waiting(&mut bench, key, 2);
    let now = bench.now;
    bench.run(|session| session.shut_down_channel(key, now, SECOND));
    for task in &mut tasks {
        assert_eq!(task.woken.get(), 1);
        let polled = bench.publish_from(key, &mut task.message, &mut task.place, &task.waker);
        assert!(matches!(polled, Poll::Ready(Err(_))));
    }
    let late = bench.run(|session| session.set_pace(key, None, now));
    assert_eq!(late.expect_err("closed").kind(), ErrorKind::ChannelClosed);
    set(&mut bench, other, Some(Pace::per_second(1).burst(1)));
    assert_eq!(go(&mut bench, other), 1);
    let mut task = waiting(&mut bench, other, 1).remove(0);
    bench.run(|session| session.abort());
    let polled = bench.publish_from(other, &mut task.message, &mut task.place, &task.waker);
    assert!(matches!(polled, Poll::Ready(Err(_))));
}

amqp_types::if_spec! { confirm.select => {
    use super::select;
    use crate::ConfirmOptions;

    #[test]
    fn the_limit_of_unconfirmed_publishes_holds_beside_the_pace() {
        let mut bench = Bench::new();
        let key = bench.open();
        bench.run(|session| {
            session.set_confirm_options(key, ConfirmOptions::new().unconfirmed_max(2));
        });
        select(&mut bench, key);
        set(&mut bench, key, Some(Pace::per_second(1).burst(3)));
        for tag in 1..=2 {
            assert_eq!(bench.accepted(key, "x"), Some(tag));
            bench.run(|session| session.detach_confirm(key, tag));
        }
        let mut tasks = waiting(&mut bench, key, 3);
        assert_eq!(due(&mut bench), None, "time alone lets nobody go");
        let ack = basic::Ack { delivery_tag: 2, multiple: true };
        bench.receive(key.id, ack);
        look(&mut bench);
        assert_eq!(woken(&tasks), [1, 0, 0], "two more are allowed, and one token is left");
        assert!(tasks[0].poll(&mut bench, key));
        assert_eq!(due(&mut bench), Some(SECOND));
        bench.pass(SECOND);
        assert!(tasks[1].poll(&mut bench, key));
        bench.pass(SECOND * 10);
        assert!(!tasks[2].poll(&mut bench, key), "two are unconfirmed");
        assert_eq!(due(&mut bench), None);
    }
} else {} }
