//! Every kind of ending is told apart without reading its text.

use std::io;

use amqp_types::protocol::queue;

use super::*;
use crate::{CloseCause, Error, Initiator};

/// What the session says of its end after `end`.
fn ended(end: impl FnOnce(&mut Session)) -> (CloseCause, Initiator, bool) {
    let mut bench = Bench::new();
    bench.run(end);
    let reason = bench.session.close_reason().expect("it ends").clone();
    (reason.cause(), reason.initiator(), Error::closed(reason).is_transient())
}

#[test]
fn an_end_that_the_application_wanted_is_not_transient() {
    let close = ended(|session| session.close(200.into(), "", None));
    assert_eq!(close, (CloseCause::Requested, Initiator::Application, false));
    let release = ended(Session::release);
    assert_eq!(release, (CloseCause::HandlesDropped, Initiator::Application, false));
    let abort = ended(Session::abort);
    assert_eq!(abort, (CloseCause::Aborted, Initiator::Application, false));
    let driver = ended(Session::handle_driver_gone);
    assert_eq!(driver, (CloseCause::DriverDropped, Initiator::Application, false));
}

#[test]
fn an_end_of_the_transport_is_transient() {
    let end = ended(|session| session.handle_io_end(None));
    assert_eq!(end, (CloseCause::TransportEnded, Initiator::Peer, true));
    let error = io::ErrorKind::ConnectionReset.into();
    let failed = ended(|session| session.handle_io_end(Some(error)));
    assert_eq!(failed, (CloseCause::TransportFailed, Initiator::Peer, true));
}

#[test]
fn a_close_by_the_peer_is_transient_only_if_it_was_forced() {
    for (code, transient) in [(320, true), (541, false)] {
        let mut bench = Bench::new();
        bench.receive(0, connection::Close { reply_code: code, ..Default::default() });
        let reason = bench.session.close_reason().expect("closed").clone();
        assert_eq!(reason.cause(), CloseCause::PeerClosed);
        assert_eq!(reason.initiator(), Initiator::Peer);
        assert_eq!(Error::closed(reason).is_transient(), transient, "{code}");
    }
}

#[test]
fn what_the_peer_does_wrong_is_a_violation() {
    let mut bench = Bench::new();
    bench.receive(7, channel::OpenOk::default());
    let reason = bench.session.close_reason().expect("closed").clone();
    assert_eq!(reason.cause(), CloseCause::ProtocolViolation);
    assert_eq!(reason.initiator(), Initiator::Library);
    assert!(!Error::closed(reason).is_transient());
}

#[test]
fn a_body_over_the_limit_is_no_violation() {
    let mut options = Options::default();
    options.body_max = 10;
    let mut bench = Bench::with(options);
    let key = bench.open();
    bench.consume(key, "c", true);
    bench.deliver(key, "c", 1, &[0; 11]);
    let reason = bench.session.channel_close_reason(key).expect("closed");
    assert_eq!(reason.cause(), CloseCause::LimitExceeded);
    assert_eq!(reason.initiator(), Initiator::Library);
}

#[test]
fn a_channel_s_end_tells_its_cause_too() {
    let mut bench = Bench::new();
    let (asked, dropped, closed) = (bench.open(), bench.open(), bench.open());
    bench.run(|session| session.close_channel(asked, 200.into(), ""));
    bench.run(|session| session.release_channel(dropped));
    let close = channel::Close { reply_code: 404, ..Default::default() };
    bench.receive(closed.id, close);
    let mut cause = |key| bench.session.channel_close_reason(key).map(|reason| reason.cause());
    assert_eq!(cause(asked), Some(CloseCause::Requested));
    assert_eq!(cause(dropped), Some(CloseCause::HandlesDropped));
    assert_eq!(cause(closed), Some(CloseCause::PeerClosed));
}

#[test]
fn a_call_unanswered_for_two_deadlines_tells_so_and_may_be_tried_again() {
    let mut bench = Bench::new();
    let key = bench.open();
    bench.call(key, queue::Declare::default());
    bench.pass(Duration::from_secs(31));
    bench.pass(Duration::from_secs(31));
    let reason = bench.session.channel_close_reason(key).expect("closed");
    assert_eq!(reason.cause(), CloseCause::CallUnanswered);
    assert!(Error::closed(reason).is_transient());
}
