//! The check at the end of every broker test: it finds each kind of leak and names it.
//!
//! These tests leave something on purpose. They speak AMQP with octets of their own, so that they hold
//! whatever the connector does.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use amqp_tests::{Fixture, Leak, broker_test, leaks_of};

#[test]
fn nothing_left_is_no_leak() {
    broker_test(async |_| {});
}

#[test]
fn task_left_is_counted() {
    let leaks = leaks_of(async |_| {
        for _ in 0..2 {
            tokio::spawn(std::future::pending::<()>());
        }
    });
    assert_eq!(leaks.0, [Leak::Tasks(2)]);
}

#[test]
fn socket_left_is_named_on_both_sides_before_any_handshake() {
    let mut kept = None;
    let leaks = leaks_of(async |t| {
        kept = Some(raw_socket(t));
        accepted(t).await;
    });
    let port = kept.unwrap().local_addr().unwrap().port();
    let [Leak::Socket(local, _, "established"), Leak::BrokerSocket(peer)] = leaks.0[..] else {
        panic!("{leaks}");
    };
    assert_eq!((local, peer), (port, port));
}

#[test]
fn connection_and_channel_left_are_named() {
    let mut kept = None;
    let leaks = leaks_of(async |t| kept = Some(Raw::open(t, "left on purpose").with_channel(7)));
    let port = kept.unwrap().0.local_addr().unwrap().port();
    let text = leaks.to_string();
    assert!(text.contains(&format!("connection on the broker, 127.0.0.1:{port} -> ")), "{text}");
    assert!(text.contains("called `left on purpose`"), "{text}");
    assert!(text.contains(&format!("channel on the broker, 127.0.0.1:{port} -> ")), "{text}");
    assert!(text.contains(" (7)"), "{text}");
}

#[test]
fn queue_and_exchange_left_are_named() {
    let mut names = None;
    let leaks = leaks_of(async |t| {
        let (queue, exchange) = (t.name("orders"), t.name("events"));
        declare(t, &queue, &exchange).await;
        names = Some((queue, exchange));
    });
    let (queue, exchange) = names.unwrap();
    assert_eq!(leaks.0, [Leak::Queue(queue.clone()), Leak::Exchange(exchange)]);
    // And it was cleared away, so that it is the fault of one test only.
    broker_test(async |t| {
        let queues = t.eval("[[N, $\\n] || {resource, _, _, N} <- rabbit_amqqueue:list_names()]");
        assert!(!queues.await.unwrap().contains(&queue));
    });
}

#[test]
fn leak_fails_the_test_with_its_name() {
    let mut kept = None;
    let failed = catch_unwind(AssertUnwindSafe(|| {
        broker_test(async |t| kept = Some(raw_socket(t)));
    }));
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("the test left behind:\n  - socket of this process"), "{message}");
}

#[test]
fn panic_of_a_test_goes_through_and_clears_away() {
    let mut name = None;
    let failed = catch_unwind(AssertUnwindSafe(|| {
        broker_test(async |t| {
            let queue = t.name("orders");
            declare(t, &queue, &t.name("events")).await;
            name = Some(queue);
            assert!(name.is_none(), "on purpose");
        });
    }));
    assert_eq!(*failed.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
    broker_test(async |t| {
        let queues = t.eval("[[N, $\\n] || {resource, _, _, N} <- rabbit_amqqueue:list_names()]");
        assert!(!queues.await.unwrap().contains(name.as_deref().unwrap()));
    });
}

#[test]
fn tests_side_by_side_are_not_blamed_for_each_other() {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            broker_test(async |t| {
                let connection = Raw::open(t, "of another test").with_channel(1);
                tokio::time::sleep(Duration::from_millis(300)).await;
                drop(connection);
            });
        });
        for _ in 0..5 {
            broker_test(async |_| {});
        }
        other.join().unwrap();
    });
}

/// Waits until the broker has a socket of this test's port: the system accepts before it does.
async fn accepted(t: &Fixture) {
    let port = t.port();
    let sockets = format!(
        "[\".\" || P <- erlang:ports(), erlang:port_info(P, name) =:= {{name, \"tcp_inet\"}},
            {{ok, {{_, {port}}}}} <- [inet:sockname(P)], {{ok, _}} <- [inet:peername(P)]]"
    );
    let accepted = async { while t.eval(&sockets).await.unwrap().is_empty() {} };
    tokio::time::timeout(Duration::from_secs(30), accepted).await.expect("it is not accepted");
}

fn raw_socket(t: &Fixture) -> TcpStream {
    TcpStream::connect((t.host(), t.port())).unwrap()
}

async fn declare(t: &Fixture, queue: &str, exchange: &str) {
    let expression = format!(
        "{{new, _}} = rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>), \
             false, false, [], none, <<\"test\">>), \
         rabbit_exchange:declare(rabbit_misc:r(<<\"/\">>, exchange, <<\"{exchange}\">>), \
             direct, false, false, false, [], <<\"test\">>), \"declared\""
    );
    assert_eq!(t.eval(&expression).await.unwrap(), "declared");
}

/// A connection of a few octets, in AMQP 0-9-1, whatever this program is compiled for.
struct Raw(TcpStream);

impl Raw {
    fn open(t: &Fixture, name: &str) -> Self {
        let mut raw = Self(raw_socket(t));
        raw.0.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
        raw.receive();
        let entry = [&short(b"connection_name")[..], b"S", &long(name.as_bytes())].concat();
        let (plain, locale) = (short(b"PLAIN"), short(b"en_US"));
        let arguments = [long(&entry), plain, long(b"\0guest\0guest"), locale].concat();
        raw.send(0, 11, 10, &arguments); // start-ok
        let tune = raw.receive();
        raw.send(0, 31, 10, &tune); // tune-ok with the broker's own figures
        raw.send(0, 40, 10, &[&short(b"/")[..], b"\0\0"].concat()); // open
        raw.receive();
        raw
    }

    fn with_channel(mut self, number: u16) -> Self {
        self.send(number, 10, 20, b"\0"); // open
        self.receive();
        self
    }

    fn send(&mut self, channel: u16, method: u16, class: u16, arguments: &[u8]) {
        let ids = [class.to_be_bytes(), method.to_be_bytes()].concat();
        let head = [&[1][..], &channel.to_be_bytes()].concat();
        let payload = long(&[&ids, arguments].concat());
        self.0.write_all(&[&head[..], &payload, b"\xce"].concat()).unwrap();
    }

    /// The arguments of the next method.
    fn receive(&mut self) -> Vec<u8> {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).unwrap();
        let size = u32::from_be_bytes(head[3..].try_into().unwrap());
        let mut payload = vec![0; usize::try_from(size).unwrap() + 1];
        self.0.read_exact(&mut payload).unwrap();
        payload[4..payload.len() - 1].to_vec()
    }
}

fn short(octets: &[u8]) -> Vec<u8> {
    [&[u8::try_from(octets.len()).unwrap()], octets].concat()
}

fn long(octets: &[u8]) -> Vec<u8> {
    [&u32::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat()
}
