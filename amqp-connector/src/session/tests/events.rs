//! What subscribers are told, in which order, and what they miss.

use super::*;

impl Bench {
    /// What a subscriber finds, in words.
    fn told(&mut self, id: u64) -> Vec<String> {
        let mut told = Vec::new();
        while let Poll::Ready(Some(event)) =
            self.run(|session| session.poll_event(id, Waker::noop()))
        {
            told.push(event.to_string());
        }
        told
    }
}

#[test]
fn a_subscriber_is_told_everything_in_order_and_then_the_end() {
    let mut bench = Bench::new();
    let id = bench.run(Session::subscribe);
    assert_eq!(bench.told(id), ["connected"]);
    let (one, two) = (bench.open(), bench.open());
    bench.receive(one.id, channel::Flow { active: false });
    bench.receive(one.id, channel::Flow { active: false });
    bench.receive(one.id, channel::Flow { active: true });
    bench.receive(two.id, channel::Close { reply_code: 404, ..Default::default() });
    let told = bench.told(id);
    assert_eq!(
        told[..4],
        [
            "channel 1 opened",
            "channel 2 opened",
            "publishing paused on channel 1",
            "publishing resumed on channel 1",
        ]
    );
    assert!(told[4].contains("channel 2") && told[4].contains("404"), "{told:?}");
    assert_eq!(told.len(), 5);

    bench.run(|session| session.close(200.into(), "bye", None));
    bench.receive(0, connection::CloseOk::default());
    let told = bench.told(id);
    assert_eq!(told.len(), 2, "channel 1 ends with its connection: {told:?}");
    assert!(told[0].starts_with("closing") && told[0].contains("bye"), "{told:?}");
    assert!(told[1].starts_with("connection closed"), "{told:?}");
    let over = bench.run(|session| session.poll_event(id, Waker::noop()));
    assert!(matches!(over, Poll::Ready(None)));
}

#[test]
fn a_channel_is_told_closed_once_whoever_closes_it() {
    let mut bench = Bench::new();
    let id = bench.run(Session::subscribe);
    let key = bench.open();
    bench.told(id);
    bench.run(|session| session.close_channel(key, 200.into(), ""));
    assert_eq!(bench.told(id).len(), 1);
    bench.receive(key.id, channel::CloseOk::default());
    assert_eq!(bench.told(id), [""; 0]);
    // One that never opened is not told of.
    let (unopened, _) = bench.begin_open();
    bench.receive(unopened.id, channel::Close { reply_code: 504, ..Default::default() });
    assert_eq!(bench.told(id), [""; 0]);
}

#[test]
fn a_graceful_close_is_told_when_it_begins_and_once() {
    let mut bench = Bench::new();
    let id = bench.run(Session::subscribe);
    let key = bench.open();
    bench.call(key, amqp_types::protocol::queue::Declare::default());
    bench.told(id);
    let now = bench.now;
    bench.run(|session| session.shut_down(now, Duration::from_secs(8)));
    let told = bench.told(id);
    assert!(told.len() == 1 && told[0].starts_with("closing"), "{told:?}");
    // The call is never answered.
    bench.pass_awake(Duration::from_secs(7));
    bench.receive(0, connection::CloseOk::default());
    let told = bench.told(id);
    assert!(told.len() == 1 && told[0].starts_with("connection closed"), "{told:?}");
}

#[test]
fn a_subscriber_that_comes_late_is_told_how_things_are() {
    let mut bench = Bench::new();
    amqp_types::if_spec! { connection.blocked => {
        bench.receive(0, connection::Blocked { reason: short("low on memory") });
        let id = bench.run(Session::subscribe);
        assert_eq!(bench.told(id), ["connected", "publishing blocked: low on memory"]);
        bench.receive(0, connection::Unblocked::default());
        assert_eq!(bench.told(id), ["publishing unblocked"]);
    } else {} }
    bench.run(|session| session.close(200.into(), "bye", None));
    let closing = bench.run(Session::subscribe);
    bench.run(Session::abort);
    let closed = bench.run(Session::subscribe);
    assert_eq!(bench.told(closing).len(), 2);
    let told = bench.told(closed);
    assert_eq!(told.len(), 1);
    assert!(matches!(bench.run(|s| s.poll_event(closed, Waker::noop())), Poll::Ready(None)));
}

#[test]
fn a_subscriber_that_does_not_keep_up_learns_how_many_it_missed_and_holds_nobody_up() {
    let mut bench = Bench::new();
    let (slow, prompt) = (bench.run(Session::subscribe), bench.run(Session::subscribe));
    let key = bench.open();
    const FLAPS: u64 = 10_000;
    for _ in 0..FLAPS / 2 {
        bench.receive(key.id, channel::Flow { active: false });
        bench.receive(key.id, channel::Flow { active: true });
        let told = bench.told(prompt);
        assert!(told.iter().all(|event| !event.contains("missed")), "{told:?}");
        bench.frames();
    }
    bench.run(Session::abort);
    let told = bench.told(slow);
    let missed: u64 = told[0].split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    // Connected, the channel, the flaps and the end.
    assert_eq!(missed + told.len() as u64 - 1, FLAPS + 3);
    assert!(told.last().expect("the end").contains("aborted"), "the end is never lost");
    assert!(told.len() <= 4097);
}

#[test]
fn a_subscriber_is_woken_and_leaves_nothing() {
    let mut bench = Bench::new();
    let id = bench.run(Session::subscribe);
    bench.told(id);
    let (woken, waker) = counter();
    assert!(bench.run(|session| session.poll_event(id, &waker)).is_pending());
    bench.open();
    assert_eq!(woken.get(), 1);
    assert_eq!(bench.left().subscribers, 1);
    bench.run(|session| session.unsubscribe(id));
    assert_eq!(bench.left().subscribers, 0);
    let gone = bench.run(|session| session.poll_event(id, Waker::noop()));
    assert!(matches!(gone, Poll::Ready(None)));
}

amqp_types::if_spec! { channel.alert => {
#[test]
fn large_events_that_nobody_takes_are_bounded_in_octets_and_the_newest_is_never_lost() {
    let mut bench = Bench::new();
    let id = bench.run(Session::subscribe);
    let key = bench.open();
    let values = amqp_types::FieldArray::from(vec![amqp_types::FieldValue::Void; 60_000]);
    let details = amqp_types::field_table! { "k" => values };
    let cost = details.heap_size();
    const ALERTS: u16 = 50;
    for reply_code in 1..=ALERTS {
        let alert = channel::Alert { reply_code, details: details.clone(), ..Default::default() };
        bench.receive(key.id, alert);
    }
    let told = bench.told(id);
    let missed: usize = told[0].split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    let kept = told.len() - 1;
    assert_eq!(missed + kept, usize::from(ALERTS) + 2, "{told:?}");
    assert!(kept > 0 && kept * cost <= 4 << 20, "{kept} of {cost} octets are kept");
    assert!(told.last().expect("one").contains(&format!(": {ALERTS} ")), "{told:?}");

    // What is taken makes room again.
    for _ in 0..kept {
        let alert = channel::Alert { details: details.clone(), ..Default::default() };
        bench.receive(key.id, alert);
    }
    assert!(bench.told(id).iter().all(|event| !event.contains("missed")));
}
} else {} }
