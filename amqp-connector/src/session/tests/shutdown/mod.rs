//! Graceful ends: what is waited for, in which order things happen, and everything that can come in between.

mod consumers;

use amqp_types::protocol::queue;

use super::*;
use crate::ErrorKind;
use crate::error::CloseReason;
use crate::session::{InFlight, Settle};

const TIMEOUT: Duration = Duration::from_secs(8);
/// What of it may be spent on waiting.
const PATIENCE: Duration = Duration::from_secs(6);

/// What an end has to wait for, and how each comes to its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    #[allow(dead_code, reason = "not every specification has confirms")]
    Publish,
    Consumer,
    Delivery,
    Call,
}

fn all() -> Vec<Begun> {
    amqp_types::if_spec! { confirm.select => {
        vec![Begun::Publish, Begun::Delivery, Begun::Call, Begun::Consumer]
    } else {
        vec![Begun::Delivery, Begun::Call, Begun::Consumer]
    } }
}

/// Every order in which they can end: the call was sent before the cancel, and is answered before.
fn orders() -> Vec<Vec<Begun>> {
    let at = |order: &[Begun], begun| order.iter().position(|it| *it == begun);
    let mut orders = permutations(&all());
    orders.retain(|order| at(order, Begun::Call) < at(order, Begun::Consumer));
    orders
}

fn permutations(of: &[Begun]) -> Vec<Vec<Begun>> {
    let mut found = vec![Vec::new()];
    for (n, first) in of.iter().enumerate() {
        let mut rest = of.to_vec();
        rest.remove(n);
        found.extend(permutations(&rest).into_iter().map(|rest| [vec![*first], rest].concat()));
    }
    match of.is_empty() {
        true => found,
        false => found.into_iter().filter(|order| order.len() == of.len()).collect(),
    }
}

/// A channel with one of each that can be outstanding.
struct Busy {
    bench: Bench,
    key: ChannelKey,
    call: CallId,
    in_flight: InFlight,
}

impl Busy {
    fn new() -> Self {
        let mut bench = Bench::new();
        let key = bench.open();
        amqp_types::if_spec! { confirm.select => {
            publish::select(&mut bench, key);
            bench.accepted(key, "x");
        } else {} }
        // The one delivery that the user holds; the consumer itself is idle.
        let id = bench.consume(key, "c", false);
        bench.deliver(key, "c", 1, b"held");
        let (mut batch, in_flight) = (VecDeque::new(), InFlight::default());
        let taken = bench
            .run(|session| session.poll_deliveries(key, id, &mut batch, &in_flight, Waker::noop()));
        assert!(taken.is_ready() && batch.len() == 1);
        bench
            .session
            .channels
            .get(key)
            .expect("open")
            .consumers
            .by_id(id)
            .expect("it")
            .unread
            .set(0);
        let call = bench.call(key, queue::Declare::default());
        bench.frames();
        Self { bench, key, call, in_flight }
    }

    /// Begins the end of the connection, or of the channel alone.
    fn shut_down(&mut self, connection: bool) {
        let (key, now) = (self.key, self.bench.now);
        self.bench.run(|session| match connection {
            true => session.shut_down(now, TIMEOUT),
            false => session.shut_down_channel(key, now, TIMEOUT),
        });
        assert_eq!(self.names(), ["basic.cancel"]);
    }

    fn names(&mut self) -> Vec<&'static str> {
        self.bench.names().into_iter().map(|(_, name)| name).collect()
    }

    fn look(&mut self) {
        self.bench.pass(Duration::ZERO);
    }

    fn complete(&mut self, begun: Begun) {
        let id = self.key.id;
        match begun {
            Begun::Publish => {
                self.bench.receive(id, basic::Ack { delivery_tag: 1, multiple: false });
            }
            Begun::Consumer => {
                self.bench.receive(id, basic::CancelOk { consumer_tag: short("c") });
            }
            Begun::Delivery => {
                let (key, in_flight) = (self.key, &self.in_flight);
                let ack = Settle::Ack { multiple: false };
                self.bench.run(|session| session.settle(key, 1, ack, in_flight)).expect("in time");
                assert_eq!(self.names(), ["basic.ack"]);
            }
            Begun::Call => {
                self.bench.receive(id, queue::DeclareOk::default());
                self.bench.reply(self.call);
            }
        }
        self.look();
    }

    fn reason(&mut self) -> Arc<CloseReason> {
        let reason = self.bench.session.channel_close_reason(self.key);
        reason.expect("it was closed")
    }
}

fn closes(connection: bool) -> [&'static str; 1] {
    [if connection { "connection.close" } else { "channel.close" }]
}

#[test]
fn whatever_the_order_the_close_is_sent_when_the_last_of_it_has_ended() {
    for connection in [true, false] {
        for order in orders() {
            let mut busy = Busy::new();
            busy.shut_down(connection);
            let (last, before) = order.split_last().expect("several");
            for begun in before {
                busy.complete(*begun);
                assert_eq!(busy.names(), [""; 0], "{order:?}");
            }
            busy.complete(*last);
            assert_eq!(busy.names(), closes(connection), "{order:?}");
        }
    }
}

#[test]
fn the_part_of_the_deadline_for_waiting_ends_it_wherever_it_is() {
    for connection in [true, false] {
        for order in orders() {
            for done in 0..order.len() {
                let mut busy = Busy::new();
                busy.shut_down(connection);
                for begun in &order[..done] {
                    busy.complete(*begun);
                }
                busy.bench.pass(PATIENCE - Duration::from_millis(1));
                assert_eq!(busy.names(), [""; 0], "{order:?} {done}");
                busy.bench.pass(Duration::from_millis(1));
                assert_eq!(busy.names(), closes(connection), "{order:?} {done}");
                // Too late for the rest.
                let (key, ack) = (busy.key, Settle::Ack { multiple: false });
                let late = busy.bench.run(|session| session.settle(key, 1, ack, &busy.in_flight));
                assert_eq!(late.expect_err("over").kind(), ErrorKind::Stale);
                if connection {
                    assert!(!busy.bench.session.is_closed());
                    busy.bench.pass(TIMEOUT - PATIENCE);
                    assert!(busy.bench.session.is_closed(), "{order:?} {done}");
                }
            }
        }
    }
}

#[test]
fn the_peer_may_close_the_channel_wherever_it_is() {
    for connection in [true, false] {
        for order in orders() {
            for done in 0..order.len() {
                let mut busy = Busy::new();
                busy.shut_down(connection);
                let first = busy.reason();
                for begun in &order[..done] {
                    busy.complete(*begun);
                }
                let close = channel::Close { reply_code: 404, ..Default::default() };
                busy.bench.receive(busy.key.id, close);
                busy.look();
                match connection {
                    // Nothing is left to wait for.
                    true => assert_eq!(busy.names(), ["channel.close-ok", "connection.close"]),
                    false => assert_eq!(busy.names(), ["channel.close-ok"]),
                }
                assert!(Arc::ptr_eq(&first, &busy.reason()), "the first reason wins");
                busy.bench.pass(TIMEOUT);
                assert_eq!(busy.names(), [""; 0], "{order:?} {done}");
            }
        }
    }
}

#[test]
fn the_peer_may_close_the_connection_or_vanish_wherever_it_is() {
    for (connection, vanish) in [(true, true), (true, false), (false, true), (false, false)] {
        for order in orders() {
            for done in 0..order.len() {
                let mut busy = Busy::new();
                busy.shut_down(connection);
                let first = busy.reason();
                for begun in &order[..done] {
                    busy.complete(*begun);
                }
                if vanish {
                    busy.bench.run(|session| session.handle_io_end(None));
                } else {
                    let close = connection::Close { reply_code: 320, ..Default::default() };
                    busy.bench.receive(0, close);
                    assert_eq!(busy.names(), ["connection.close-ok"]);
                }
                assert!(busy.bench.session.is_closed());
                busy.look();
                assert_eq!(busy.names(), [""; 0]);
                assert!(Arc::ptr_eq(&first, &busy.reason()), "the first reason wins");
                let left = busy.bench.left();
                assert_eq!((left.calls, left.deadlines, left.waiting), (0, 0, 0));
            }
        }
    }
}

#[test]
fn with_nothing_to_wait_for_the_close_is_sent_at_once() {
    for connection in [true, false] {
        let mut bench = Bench::new();
        let key = bench.open();
        let now = bench.now;
        bench.run(|session| match connection {
            true => session.shut_down(now, TIMEOUT),
            false => session.shut_down_channel(key, now, TIMEOUT),
        });
        let sent: Vec<_> = bench.names().into_iter().map(|(_, name)| name).collect();
        assert_eq!(sent, closes(connection));
    }
}

#[test]
fn without_time_nothing_is_waited_for() {
    for connection in [true, false] {
        let mut busy = Busy::new();
        let (key, now) = (busy.key, busy.bench.now);
        busy.bench.run(|session| match connection {
            true => session.shut_down(now, Duration::ZERO),
            false => session.shut_down_channel(key, now, Duration::ZERO),
        });
        assert_eq!(busy.names().last(), closes(connection).last());
    }
}

#[test]
fn nothing_new_begins_from_then_on() {
    for connection in [true, false] {
        let mut busy = Busy::new();
        let key = busy.key;
        busy.shut_down(connection);
        let reason = busy.reason();
        let same = |error: crate::Error| {
            let told = error.into_reason().expect("a reason");
            assert!(Arc::ptr_eq(&told, &reason));
        };
        let options = busy.bench.options::<queue::Declare>();
        let declare = queue::Declare::default().into_any();
        same(busy.bench.run(|session| session.call(key, &declare, &options)).expect_err("closing"));
        let purge = queue::Purge { no_wait: true, ..Default::default() };
        same(busy.bench.send(key, purge).expect_err("closing"));
        match busy.bench.publish(key, "late") {
            Poll::Ready(Err(error)) => same(error),
            other => panic!("{other:?}"),
        }
        let options = busy.bench.options::<channel::Open>();
        let opened = busy.bench.run(|session| session.open(&options));
        match connection {
            true => same(opened.map(drop).expect_err("closing")),
            false => opened.map(drop).expect("the connection is open"),
        }
    }
}

#[test]
fn publishers_that_wait_are_told_at_once() {
    let mut options = Options::default();
    options.outbound_budget = 100;
    let mut bench = Bench::with(options);
    let key = bench.open();
    bench.accepted(key, vec![0; 1000]);
    let (woken, waker) = counter();
    let (mut held, mut place) = (message("x"), Place::None);
    assert!(bench.publish_from(key, &mut held, &mut place, &waker).is_pending());
    // It must wait for something, or the close is sent and wakes everybody.
    bench.call(key, queue::Declare::default());
    let now = bench.now;
    bench.run(|session| session.shut_down_channel(key, now, TIMEOUT));
    assert_eq!(woken.get(), 1);
    let told = bench.publish_from(key, &mut held, &mut place, &waker);
    assert!(matches!(told, Poll::Ready(Err(_))), "{told:?}");
    assert_eq!(bench.left().waiting, 0);
}

#[test]
fn calls_that_nobody_waits_for_are_not_waited_for() {
    let mut bench = Bench::new();
    let key = bench.open();
    let call = bench.call(key, queue::Declare::default());
    bench.abandon(call);
    bench.frames();
    let now = bench.now;
    bench.run(|session| session.shut_down(now, TIMEOUT));
    bench.only::<connection::Close>();
}

#[test]
fn a_close_that_waits_for_a_call_looks_again_when_nobody_does_any_more() {
    for expires in [false, true] {
        let mut bench = Bench::new();
        let key = bench.open();
        let call = bench.call(key, queue::Declare::default());
        let now = bench.now;
        bench.run(|session| session.shut_down(now, 100 * TIMEOUT));
        bench.frames();
        let (driver, waker) = counter();
        bench.run(|session| session.set_driver(&waker));
        match expires {
            true => bench.pass_awake(Options::default().call_timeout),
            false => bench.abandon(call),
        }
        assert!(driver.get() > 0, "expires: {expires}");
        bench.pass(Duration::ZERO);
        bench.only::<connection::Close>();
    }
}

#[test]
fn a_second_close_joins_the_first_and_the_earlier_deadline_holds() {
    for connection in [true, false] {
        let again = |busy: &mut Busy, timeout| {
            let (key, now) = (busy.key, busy.bench.now);
            busy.bench.run(|session| match connection {
                true => session.shut_down(now, timeout),
                false => session.shut_down_channel(key, now, timeout),
            });
            assert_eq!(busy.names(), [""; 0], "nothing is done twice");
        };
        let mut busy = Busy::new();
        busy.shut_down(connection);
        let first = busy.reason();
        again(&mut busy, 10 * TIMEOUT);
        busy.bench.pass(PATIENCE);
        assert_eq!(busy.names(), closes(connection), "a later one does not put it off");
        assert!(Arc::ptr_eq(&first, &busy.reason()));

        let mut busy = Busy::new();
        busy.shut_down(connection);
        again(&mut busy, TIMEOUT / 8);
        busy.bench.pass(PATIENCE / 8);
        assert_eq!(busy.names(), closes(connection), "an earlier one brings it forward");
        if connection {
            // As does one while the answer is awaited.
            again(&mut busy, Duration::from_millis(1));
            busy.bench.pass(Duration::from_millis(1));
            assert!(busy.bench.session.is_closed());
        }
    }
}

#[test]
fn the_connection_may_be_closed_while_a_channel_drains_and_a_channel_while_the_connection_does() {
    let mut busy = Busy::new();
    busy.shut_down(false);
    let (key, now) = (busy.key, busy.bench.now);
    busy.bench.run(|session| session.shut_down(now, TIMEOUT));
    assert_eq!(busy.names(), [""; 0]);
    for begun in all() {
        busy.complete(begun);
    }
    assert_eq!(busy.names(), ["channel.close", "connection.close"]);

    let mut busy = Busy::new();
    busy.shut_down(true);
    busy.bench.run(|session| session.shut_down_channel(key, now, TIMEOUT / 8));
    busy.bench.pass(PATIENCE / 8);
    assert_eq!(busy.names(), ["channel.close", "connection.close"]);
}

#[test]
fn a_channel_that_opens_meanwhile_takes_part_and_is_not_waited_for() {
    let mut busy = Busy::new();
    let (key, call) = busy.bench.begin_open();
    busy.bench.frames();
    busy.shut_down(true);
    busy.bench.receive(key.id, channel::OpenOk::default());
    busy.bench.reply(call);
    let Poll::Ready(Err(error)) = busy.bench.publish(key, "x") else { panic!("it is closing") };
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    for begun in all() {
        busy.complete(begun);
    }
    assert_eq!(busy.names(), ["connection.close"]);
}

#[test]
fn a_broken_rule_meanwhile_closes_the_connection_with_its_code() {
    let mut busy = Busy::new();
    busy.shut_down(true);
    let first = busy.reason();
    busy.bench.receive(busy.key.id, queue::PurgeOk::default());
    let close = busy.bench.only::<connection::Close>();
    assert_eq!(close.reply_code, 503);
    assert!(Arc::ptr_eq(&first, &busy.reason()), "the first reason wins");
    busy.bench.pass(TIMEOUT);
    assert!(busy.bench.session.is_closed());
}

#[test]
fn the_last_handle_does_not_cut_a_graceful_end_short() {
    for connection in [true, false] {
        let mut busy = Busy::new();
        busy.shut_down(connection);
        let key = busy.key;
        busy.bench.run(|session| {
            session.release_channel(key);
            if connection {
                session.release();
            }
        });
        assert_eq!(busy.names(), [""; 0]);
        for begun in all() {
            busy.complete(begun);
        }
        assert_eq!(busy.names(), closes(connection));
        if !connection {
            busy.bench.receive(key.id, channel::CloseOk::default());
            assert_eq!((busy.bench.left().channels, busy.bench.left().retired), (0, 0));
        }
    }
}

#[test]
fn giving_up_cuts_it_short_where_nobody_looks_at_the_clock() {
    let mut busy = Busy::new();
    busy.shut_down(false);
    let key = busy.key;
    busy.bench.run(|session| session.give_up_draining(key));
    assert_eq!(busy.names(), ["channel.close"]);

    let mut busy = Busy::new();
    busy.shut_down(true);
    busy.bench.run(Session::give_up_closing);
    assert!(busy.bench.session.is_closed());
    assert_eq!(busy.bench.error(busy.call).kind(), ErrorKind::ConnectionClosed);
}

amqp_types::if_spec! { connection.blocked => {
    #[test]
    fn a_blocked_broker_does_not_put_it_off() {
        let mut busy = Busy::new();
        busy.bench.receive(0, connection::Blocked::default());
        busy.shut_down(true);
        busy.bench.pass(PATIENCE);
        assert_eq!(busy.names(), ["connection.close"]);
        busy.bench.pass(TIMEOUT - PATIENCE);
        assert!(busy.bench.session.is_closed());
    }
} else {} }
