//! Calls behind octets that a slow link takes long to write: their time begins when they are written themselves.

use amqp_types::protocol::queue;

use super::*;
use crate::ErrorKind;

const SECOND: Duration = Duration::from_secs(1);
/// A body that has a queue of its own, and needs several turns of the driver.
const LARGE: usize = 2 << 20;

/// A driver on a link that takes octets a turn at a time.
impl Bench {
    /// Takes the next turn; gives how many octets it has.
    fn take_turn(&mut self) -> usize {
        let mut segments = VecDeque::new();
        self.run(|session| session.take_output(&mut segments));
        segments.drain(..).map(|segment| segment.to_vec().len()).sum()
    }

    /// Writes all there is, a turn every 20 seconds; gives how many turns that were.
    fn write_slowly(&mut self) -> usize {
        for turns in 0.. {
            let octets = self.take_turn();
            if octets == 0 {
                return turns;
            }
            self.pass_awake(20 * SECOND);
            self.tell_written(octets, true);
        }
        0
    }

    /// So much time passes, with an octet of what was taken written every second.
    fn drip(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.pass_awake(SECOND);
            self.tell_written(1, false);
        }
    }

    fn is_closed(&mut self, key: ChannelKey) -> bool {
        self.session.channel_close_reason(key).is_some()
    }
}

/// A call behind a large body, of its own channel or of another.
fn behind_a_body(bench: &mut Bench, own: bool) -> (ChannelKey, CallId) {
    let (key, other) = (bench.open(), bench.open());
    bench.accepted(if own { key } else { other }, vec![1; LARGE]);
    (key, bench.call(key, queue::Declare::default()))
}

#[test]
fn the_time_of_a_call_begins_when_it_is_written() {
    let mut bench = Bench::new();
    let (key, call) = behind_a_body(&mut bench, true);
    assert!(bench.write_slowly() >= 4, "longer than two deadlines");
    assert!(bench.poll(call).is_pending());
    bench.pass(29 * SECOND);
    assert!(bench.poll(call).is_pending(), "it has its whole time from then on");
    bench.receive(key.id, queue::DeclareOk::default());
    bench.reply(call);
    assert_eq!(bench.left(), Leftovers { channels: 2, ..Default::default() });
}

#[test]
fn the_time_of_a_call_behind_many_small_messages_begins_when_it_is_written() {
    let mut bench = Bench::new();
    let key = bench.open();
    for _ in 0..50 {
        bench.accepted(key, vec![1; 60_000]);
    }
    let call = bench.call(key, queue::Declare::default());
    for _ in 0..50 {
        bench.accepted(key, vec![1; 20_000]);
    }
    assert!(bench.write_slowly() >= 4, "longer than two deadlines");
    assert!(bench.poll(call).is_pending());
    assert!(!bench.is_closed(key));
}

#[test]
fn a_call_is_written_as_soon_as_its_own_octets_are_whatever_else_the_driver_holds() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.accepted(key, vec![1; 10_000]);
    let before = bench.session.outbox.outstanding();
    let call = bench.call(key, queue::Declare::default());
    let size = bench.session.outbox.outstanding();
    bench.accepted(key, vec![1; 10_000]);
    bench.take_turn();
    bench.pass_awake(20 * SECOND);
    bench.tell_written(before, false);
    bench.pass_awake(20 * SECOND);
    assert!(bench.poll(call).is_pending(), "octets were written 20 seconds ago");
    bench.tell_written(size - before, false);
    bench.pass_awake(29 * SECOND);
    assert!(bench.poll(call).is_pending());
    bench.tell_written(1, false);
    bench.pass_awake(SECOND);
    assert_eq!(bench.error(call).kind(), ErrorKind::Timeout, "its time ran from its last octet on");
}

#[test]
fn a_written_call_is_not_excused_by_what_is_written_after_it() {
    let mut bench = Bench::new();
    let (_, call) = behind_a_body(&mut bench, false);
    // It stands in the shared queue, which the first turn takes.
    let first = bench.take_turn();
    bench.tell_written(first, true);
    let next = bench.take_turn();
    bench.pass(29 * SECOND);
    bench.tell_written(next, true);
    assert!(bench.poll(call).is_pending());
    bench.pass(SECOND);
    assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
}

#[test]
fn a_call_that_was_written_late_and_is_not_answered_times_out_and_then_costs_its_channel() {
    let mut bench = Bench::new();
    let (key, call) = behind_a_body(&mut bench, true);
    bench.write_slowly();
    bench.pass(30 * SECOND);
    assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
    bench.nothing_sent();
    bench.pass(30 * SECOND);
    assert_eq!(bench.names(), [(key.id, "channel.close")]);
    assert_eq!(bench.left().deadlines, 0);
}

#[test]
fn when_nothing_is_written_for_a_whole_timeout_the_deadlines_hold() {
    let mut bench = Bench::new();
    let (key, call) = behind_a_body(&mut bench, true);
    let octets = bench.take_turn();
    bench.pass_awake(20 * SECOND);
    bench.tell_written(octets / 2, false);
    bench.pass_awake(29 * SECOND);
    assert!(bench.poll(call).is_pending(), "there was progress 29 seconds ago");
    bench.pass_awake(SECOND);
    assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
    bench.pass_awake(29 * SECOND);
    assert!(!bench.is_closed(key));
    bench.pass_awake(SECOND);
    let reason = bench.session.channel_close_reason(key).expect("closed");
    assert_eq!(reason.text(), "queue.declare could not be written for two deadlines");
}

#[test]
fn a_call_that_stands_unwritten_for_ten_timeouts_is_over_however_many_octets_were_written() {
    let mut bench = Bench::new();
    let (key, call) = behind_a_body(&mut bench, true);
    bench.take_turn();
    bench.drip(299);
    assert!(bench.poll(call).is_pending());
    bench.drip(1);
    assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
    bench.drip(29);
    assert!(!bench.is_closed(key));
    bench.drip(1);
    assert!(bench.is_closed(key));
}

#[test]
fn a_call_that_is_over_unwritten_does_not_cost_its_channel_before_it_is_written() {
    let mut bench = Bench::new();
    let (key, call) = behind_a_body(&mut bench, true);
    bench.pass_awake(30 * SECOND);
    assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
    bench.write_slowly();
    bench.pass_awake(29 * SECOND);
    assert!(!bench.is_closed(key));
    bench.receive(key.id, queue::DeclareOk::default());
    bench.nothing_sent();
    assert_eq!(bench.left(), Leftovers { channels: 2, ..Default::default() });
}

#[test]
fn a_users_own_deadline_is_neither_put_off_nor_begun_anew() {
    for seconds in [5, 70] {
        let mut bench = Bench::new();
        let key = bench.open();
        bench.accepted(key, vec![1; LARGE]);
        let mut options = bench.options::<queue::Declare>();
        options.within = Some(seconds * SECOND);
        let method = queue::Declare::default().into_any();
        let call = bench.run(|session| session.call(key, &method, &options)).expect("sent");
        bench.take_turn();
        bench.drip(seconds - 1);
        assert!(bench.poll(call).is_pending());
        bench.drip(1);
        assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
        bench.drip(100);
        assert!(!bench.is_closed(key), "it is not written yet");
        bench.write();
        bench.pass_awake(29 * SECOND);
        assert!(!bench.is_closed(key), "the usual time from when it was written");
        bench.pass_awake(SECOND);
        assert!(bench.is_closed(key));
    }
}

#[test]
fn a_users_own_deadline_stays_where_it_is_when_the_call_is_written() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.accepted(key, vec![1; LARGE]);
    let mut options = bench.options::<queue::Declare>();
    options.within = Some(50 * SECOND);
    let method = queue::Declare::default().into_any();
    let call = bench.run(|session| session.call(key, &method, &options)).expect("sent");
    bench.pass_awake(40 * SECOND);
    bench.write();
    bench.pass_awake(9 * SECOND);
    assert!(bench.poll(call).is_pending());
    bench.pass_awake(SECOND);
    assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
}

#[test]
fn an_unwritten_call_that_nobody_waits_for_any_more_costs_no_channel_either() {
    let mut bench = Bench::new();
    let (key, call) = behind_a_body(&mut bench, true);
    bench.abandon(call);
    assert!(bench.write_slowly() >= 4);
    bench.pass_awake(59 * SECOND);
    assert!(!bench.is_closed(key));
    bench.pass_awake(SECOND);
    assert!(bench.is_closed(key), "it was written, and is not answered");
}

#[test]
fn what_has_become_of_unwritten_calls_leaves_nothing() {
    let mut bench = Bench::new();
    // Answered before it was written, which no honest peer does.
    let (key, call) = behind_a_body(&mut bench, true);
    bench.receive(key.id, queue::DeclareOk::default());
    bench.reply(call);
    // Failed by the end of its channel.
    let call = bench.call(key, queue::Declare::default());
    bench.receive(key.id, channel::Close { reply_code: 404, ..Default::default() });
    assert_eq!(bench.error(call).kind(), ErrorKind::ChannelClosed);
    bench.run(|session| session.release_channel(key));
    assert_eq!(bench.left(), Leftovers { channels: 1, ..Default::default() });
    // The number is another channel's by now.
    let (key, call) = behind_a_body(&mut bench, false);
    bench.write();
    bench.receive(key.id, queue::DeclareOk::default());
    bench.reply(call);
    // Failed by the connection's end.
    let call = {
        bench.accepted(key, vec![1; LARGE]);
        bench.call(key, queue::Declare::default())
    };
    bench.run(Session::abort);
    assert_eq!(bench.error(call).kind(), ErrorKind::ConnectionClosed);
    assert_eq!(bench.left().deadlines, 0);
}

#[test]
fn of_thousands_of_calls_behind_a_body_each_has_its_time_and_its_reply() {
    let mut bench = Bench::new();
    let (key, first) = behind_a_body(&mut bench, true);
    let calls: Vec<_> = (0..5000).map(|_| bench.call(key, queue::Declare::default())).collect();
    bench.write_slowly();
    bench.pass_awake(29 * SECOND);
    for _ in 0..=calls.len() {
        bench.receive(key.id, queue::DeclareOk::default());
    }
    bench.reply(first);
    for call in calls {
        bench.reply(call);
    }
    assert_eq!(bench.left(), Leftovers { channels: 2, ..Default::default() });
}

amqp_types::if_spec! { connection.blocked => {
    use crate::options::WhileBlocked;

    #[test]
    fn the_time_that_the_broker_blocks_counts_neither_before_nor_after_the_writing() {
        let mut bench = Bench::new();
        let (key, call) = behind_a_body(&mut bench, true);
        bench.pass_awake(20 * SECOND);
        bench.receive(0, connection::Blocked::default());
        bench.pass_awake(1000 * SECOND);
        bench.receive(0, connection::Unblocked::default());
        bench.pass_awake(9 * SECOND);
        assert!(bench.poll(call).is_pending(), "10 of its 30 seconds were left");
        bench.receive(0, connection::Blocked::default());
        bench.write();
        bench.pass_awake(1000 * SECOND);
        bench.receive(0, connection::Unblocked::default());
        bench.pass_awake(29 * SECOND);
        assert!(bench.poll(call).is_pending(), "it was written while the broker read nothing");
        bench.pass_awake(SECOND);
        assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
        assert!(!bench.is_closed(key));
    }

    #[test]
    fn a_block_does_not_count_for_how_long_a_call_may_stand_unwritten() {
        let mut bench = Bench::new();
        let (_, call) = behind_a_body(&mut bench, true);
        bench.take_turn();
        bench.drip(200);
        bench.receive(0, connection::Blocked::default());
        bench.pass_awake(1000 * SECOND);
        bench.receive(0, connection::Unblocked::default());
        bench.drip(99);
        assert!(bench.poll(call).is_pending());
        bench.drip(1);
        assert_eq!(bench.error(call).kind(), ErrorKind::Timeout);
    }

    #[test]
    fn by_policy_an_unwritten_call_ends_as_blocked_at_its_deadline() {
        let mut options = Options::default();
        options.call_while_blocked = WhileBlocked::Fail;
        let mut bench = Bench::with(options);
        let (key, call) = behind_a_body(&mut bench, true);
        bench.take_turn();
        bench.drip(10);
        bench.receive(0, connection::Blocked::default());
        bench.drip(19);
        assert!(bench.poll(call).is_pending());
        bench.drip(1);
        assert_eq!(bench.error(call).kind(), ErrorKind::Blocked);
        bench.pass_awake(1000 * SECOND);
        assert!(!bench.is_closed(key));
        bench.receive(0, connection::Unblocked::default());
        bench.drip(100);
        assert!(!bench.is_closed(key), "it is not written yet");
    }
} else {} }
