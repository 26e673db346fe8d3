//! A driver that is not polled in time: what it takes for the peer's silence is looked at twice, and a peer
//! that has left is not blamed for it.

use std::io;

use super::*;
use crate::CloseCause;

const SECOND: Duration = Duration::from_secs(1);

/// A session with heartbeats every 10 seconds that has just heard from its peer.
fn alive() -> Bench {
    let mut bench = Bench::tuned(Options::default(), 4096, 10);
    bench.hears();
    bench
}

impl Bench {
    fn hears(&mut self) {
        let now = self.now;
        self.run(|session| session.handle_received(8, now));
    }

    /// As the driver does first when it is polled late.
    fn looks(&mut self) {
        let now = self.now;
        self.run(|session| session.handle_look(now, false));
    }

    fn cause(&self) -> Option<CloseCause> {
        self.session.close_reason().map(|reason| reason.cause())
    }
}

#[test]
fn a_peer_whose_octets_waited_while_we_stalled_is_not_given_up() {
    let mut bench = alive();
    // They are read in the very look that is late.
    bench.now += 100 * SECOND;
    bench.looks();
    bench.hears();
    bench.pass(Duration::ZERO);
    assert_eq!(bench.cause(), None);
    // Or only in the next: the transport did not know yet that it can be read.
    bench.pass(100 * SECOND);
    assert_eq!(bench.cause(), None);
    bench.hears();
    bench.pass_awake(19 * SECOND);
    assert_eq!(bench.cause(), None);
}

#[test]
fn a_peer_that_says_nothing_after_a_stall_is_given_up_an_interval_later_and_the_stall_is_told() {
    let mut bench = alive();
    bench.pass(100 * SECOND);
    bench.pass_awake(9 * SECOND);
    assert_eq!(bench.cause(), None);
    bench.pass_awake(SECOND);
    assert_eq!(bench.cause(), Some(CloseCause::PeerSilent { silence: 110 * SECOND }));
    // It was due after 5 seconds.
    let reason = bench.session.close_reason().expect("closed").to_string();
    assert!(reason.contains("95.0 s") && reason.contains("10 s"), "{reason}");
}

#[test]
fn a_peer_that_left_while_we_stalled_had_the_right_to() {
    for failed in [false, true] {
        let mut bench = alive();
        bench.now += 30 * SECOND;
        bench.looks();
        // Its last words were waiting, too.
        bench.hears();
        let error = failed.then(|| io::ErrorKind::ConnectionReset.into());
        bench.run(|session| session.handle_io_end(error));
        assert_eq!(bench.cause(), Some(CloseCause::RuntimeStalled { stall: 25 * SECOND }));
        let reason = bench.session.close_reason().expect("closed").clone();
        assert_eq!(reason.io_error().is_some(), failed);
        assert!(crate::Error::closed(reason).is_transient());
    }
}

#[test]
fn a_stall_too_short_to_matter_is_not_blamed() {
    let mut bench = alive();
    bench.pass(9 * SECOND);
    bench.run(|session| session.handle_io_end(None));
    assert_eq!(bench.cause(), Some(CloseCause::TransportEnded), "late by 4 seconds");
    let mut bench = alive();
    bench.pass(9 * SECOND);
    bench.pass_awake(11 * SECOND);
    assert_eq!(bench.cause(), Some(CloseCause::PeerSilent { silence: 20 * SECOND }));
    // Noted, but the peer had no reason to leave.
    let mut bench = alive();
    bench.pass(15 * SECOND);
    bench.run(|session| session.handle_io_end(None));
    assert_eq!(bench.cause(), Some(CloseCause::TransportEnded));
}

#[test]
fn a_stall_is_forgotten_once_the_peer_has_shown_that_it_lives() {
    let mut bench = alive();
    bench.pass(100 * SECOND);
    bench.hears();
    bench.pass_awake(11 * SECOND);
    bench.hears();
    bench.pass_awake(5 * SECOND);
    bench.run(|session| session.handle_io_end(None));
    assert_eq!(bench.cause(), Some(CloseCause::TransportEnded));

    let mut bench = alive();
    bench.pass(100 * SECOND);
    bench.hears();
    bench.pass_awake(20 * SECOND);
    assert_eq!(bench.cause(), Some(CloseCause::PeerSilent { silence: 20 * SECOND }));
}

#[test]
fn a_silent_peer_is_given_up_in_a_runtime_that_stalls_again_and_again() {
    let mut bench = alive();
    for round in 1..=3 {
        assert_eq!(bench.cause(), None, "in round {round}");
        bench.pass(11 * SECOND);
        bench.write();
        bench.pass(SECOND / 100);
    }
    // Overdue in the second round; by the third an interval has passed.
    let Some(CloseCause::PeerSilent { silence }) = bench.cause() else {
        panic!("{:?}", bench.cause())
    };
    assert!(silence >= 33 * SECOND && silence < 34 * SECOND, "{silence:?}");
}

#[test]
fn a_peer_that_speaks_lives_in_a_runtime_that_stalls_again_and_again() {
    let mut bench = alive();
    for _ in 0..10 {
        for _ in 0..2 {
            bench.pass(11 * SECOND);
        }
        bench.hears();
    }
    assert_eq!(bench.cause(), None);
}

#[test]
fn a_short_stall_does_not_take_the_blame_for_a_silent_peer() {
    let mut bench = alive();
    bench.pass_awake(14 * SECOND);
    bench.pass(9 * SECOND);
    bench.pass_awake(10 * SECOND - SECOND / 10);
    assert_eq!(bench.cause(), None);
    bench.pass_awake(SECOND / 10);
    assert_eq!(bench.cause(), Some(CloseCause::PeerSilent { silence: 33 * SECOND }));
}

#[test]
fn a_peer_is_not_given_up_after_a_stall_before_the_socket_was_looked_at() {
    let mut bench = alive();
    bench.pass(100 * SECOND);
    for _ in 0..3 {
        bench.now += 10 * SECOND;
        let now = bench.now;
        bench.run(|session| session.handle_timeout(now));
        assert_eq!(bench.cause(), None);
    }
    bench.pass(10 * SECOND);
    assert_eq!(bench.cause(), Some(CloseCause::PeerSilent { silence: 140 * SECOND }));
}

#[test]
fn stalls_in_a_row_between_which_nothing_was_written_count_together() {
    let mut bench = alive();
    bench.pass(13 * SECOND);
    bench.pass(13 * SECOND);
    bench.run(|session| session.handle_io_end(None));
    assert_eq!(bench.cause(), Some(CloseCause::RuntimeStalled { stall: 16 * SECOND }));

    let mut bench = alive();
    bench.pass(13 * SECOND);
    bench.write();
    bench.pass(13 * SECOND);
    bench.run(|session| session.handle_io_end(None));
    assert_eq!(bench.cause(), Some(CloseCause::TransportEnded), "the peer has heard from us");
}

#[test]
fn without_heartbeats_a_stall_is_nothing() {
    let mut bench = Bench::new();
    bench.pass(100_000 * SECOND);
    bench.run(|session| session.handle_io_end(None));
    assert_eq!(bench.cause(), Some(CloseCause::TransportEnded));
}

#[test]
fn time_in_which_reading_pauses_is_not_the_peers_silence() {
    let mut bench = alive();
    let mut listened = Duration::ZERO;
    // Longer than the peer may be silent, together and each.
    for pause in [25 * SECOND, 3 * SECOND] {
        let until = bench.now + pause;
        bench.run(|session| session.begin_pause(until));
        bench.pass(Duration::ZERO);
        assert!(!bench.session.wants_read());
        bench.pass_awake(pause);
        assert!(bench.session.wants_read());
        assert_eq!(bench.cause(), None);
        bench.pass_awake(9 * SECOND);
        listened += 9 * SECOND;
        assert_eq!(bench.cause(), None);
    }
    bench.pass_awake(20 * SECOND - listened);
    assert_eq!(bench.cause(), Some(CloseCause::PeerSilent { silence: 20 * SECOND }));
    // What comes counts anew, whatever pauses there were before.
    let mut bench = alive();
    let until = bench.now + 5 * SECOND;
    bench.run(|session| session.begin_pause(until));
    bench.pass_awake(6 * SECOND);
    bench.hears();
    bench.pass_awake(19 * SECOND);
    assert_eq!(bench.cause(), None);
    bench.pass_awake(SECOND);
    assert_eq!(bench.cause(), Some(CloseCause::PeerSilent { silence: 20 * SECOND }));
}

/// The driver comes late while reading pauses: neither that nor the pause is held against the peer.
#[test]
fn a_stall_within_a_pause_gives_no_living_peer_up() {
    let mut bench = alive();
    let until = bench.now + 8 * SECOND;
    bench.run(|session| session.begin_pause(until));
    bench.pass(Duration::ZERO);
    bench.now += 50 * SECOND;
    bench.looks();
    let now = bench.now;
    bench.run(|session| session.handle_timeout(now));
    assert!(bench.session.wants_read());
    assert_eq!(bench.cause(), None);
    bench.hears();
    bench.pass_awake(19 * SECOND);
    assert_eq!(bench.cause(), None);
}
