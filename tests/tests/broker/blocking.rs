//! Programs without async, on a real broker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use amqp_connector::amqp_types::if_spec;
use amqp_connector::blocking::{Channel, Connection, Consumer};
use amqp_connector::rpc::{Client, Failure, Received, Server, ServerOptions};
use amqp_connector::topology::Removal;
use amqp_connector::typed::Raw;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Bytes, ConnectError, Connector, Delivery, ErrorKind,
    Outcome, Prefetch, QueueBind, QueueDeclare, QueueDelete, Topology,
};
use amqp_tests::{Fixture, broker_test, broker_test_alone};

use crate::recovery::quick;

fn open_by(connector: &Connector) -> Connection {
    Connection::open_with(connector, "guest", "guest").unwrap()
}

fn open(t: &Fixture) -> Connection {
    open_by(&t.connector())
}

/// Runs it on a thread that knows of no runtime.
fn plainly(program: impl FnOnce() + Send) {
    let ended = thread::scope(|scope| scope.spawn(program).join());
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

fn queue(t: &Fixture, channel: &Channel) -> String {
    let queue = t.name("q");
    channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).unwrap();
    queue
}

fn is_done(outcome: &Outcome) -> bool {
    if_spec! { confirm.select => { outcome.is_acked() } else { matches!(outcome, Outcome::Accepted) } }
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body.to_bytes().to_vec()).unwrap()
}

fn consume(channel: &Channel, queue: &str) -> Consumer {
    channel.basic_consume(BasicConsume::new(queue, Prefetch::Count(100))).unwrap()
}

/// A get, until the message that was published has reached its queue.
fn get(channel: &Channel, queue: &str) -> Delivery {
    loop {
        if let Some(got) = channel.basic_get(BasicGet::new(queue)).unwrap() {
            return got;
        }
        thread::yield_now();
    }
}

#[test]
fn a_program_without_async_declares_publishes_gets_consumes_and_settles() {
    broker_test(async |t| {
        plainly(|| {
            let connection = open(t);
            let channel = connection.channel_open().unwrap();
            let queue = queue(t, &channel);
            channel.queue_bind(QueueBind::new(&queue, "amq.direct", &*queue)).unwrap();
            let publish = BasicPublish::new("amq.direct", &queue, "one");
            assert!(is_done(&channel.basic_publish(publish).unwrap()));
            let got = get(&channel, &queue);
            assert_eq!(text(&got), "one");
            got.nack(true).unwrap();

            let mut consumer = consume(&channel, &queue);
            let again = consumer.recv().unwrap().unwrap();
            assert!(again.redelivered);
            again.reject(true).unwrap();
            let again = consumer.next().unwrap().unwrap();
            again.ack().unwrap();
            consumer.cancel().unwrap();
            assert!(consumer.next().is_none() && consumer.handle().end().is_some());
            assert!(consumer.shutdown(Duration::from_secs(1)).unwrap().is_complete());
            channel.queue_purge(&*queue).unwrap();
            let deleted = channel.queue_delete(QueueDelete::new(&queue)).unwrap();
            assert_eq!(deleted.message_count, 0);
            channel.close().unwrap();
            connection.close().unwrap();
        });
    });
}

#[test]
fn each_of_many_messages_has_its_own_outcome_in_their_order() {
    broker_test(async |t| {
        plainly(|| {
            let connection = open(t);
            let channel = connection.channel_open().unwrap();
            let queue = queue(t, &channel);
            let to = |number: usize| if number % 1000 == 7 { "nowhere" } else { &*queue };
            let long = "x".repeat(300);
            let messages = (0..2500).map(|number| match number {
                1500 => BasicPublish::new("", &*long, "never sent"),
                _ => BasicPublish::new("", to(number), number.to_string()).mandatory(true),
            });
            let outcomes = channel.basic_publish_all(messages).unwrap();
            assert_eq!(outcomes.len(), 2500);
            for (number, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Err(error) => assert_eq!((number, error.kind()), (1500, ErrorKind::Invalid)),
                    // Only the broker's word tells of a return.
                    Ok(Outcome::Returned(_)) => assert_eq!(number % 1000, 7),
                    Ok(outcome) => {
                        assert!(is_done(outcome), "{number}: {outcome}");
                        assert!(!outcome.is_acked() || number % 1000 != 7, "{number}");
                    }
                }
            }
            drop(channel);
            connection.close().unwrap();
        });
    });
}

#[test]
fn waits_that_run_out_lose_nothing_and_tell_an_end_from_a_pause() {
    broker_test(async |t| {
        plainly(|| {
            let connection = open(t);
            let channel = connection.channel_open().unwrap();
            let queue = queue(t, &channel);
            let mut consumer = consume(&channel, &queue);
            let (begun, pause) = (Instant::now(), Duration::from_millis(30));
            assert!(consumer.recv_timeout(pause).unwrap().is_none());
            assert!(begun.elapsed() >= pause && consumer.handle().end().is_none());

            let messages = (0..500).map(|n| BasicPublish::new("", &queue, n.to_string()));
            drop(channel.basic_publish_all(messages).unwrap());
            let mut came = Vec::new();
            for round in (0..).take_while(|_| begun.elapsed() < Duration::from_secs(20)) {
                if let Some(delivery) =
                    consumer.recv_timeout(Duration::from_micros(round % 50)).unwrap()
                {
                    came.push(text(&delivery).parse::<u32>().unwrap());
                    delivery.ack().unwrap();
                }
                if came.len() == 500 {
                    break;
                }
            }
            assert!(came.iter().copied().eq(0..500), "{came:?}");
            consumer.cancel().unwrap();
            let begun = Instant::now();
            assert!(consumer.recv_timeout(Duration::from_secs(10)).unwrap().is_none());
            assert!(begun.elapsed() < Duration::from_secs(5) && consumer.handle().end().is_some());
            let never = connection.wait_timeout(pause, std::future::pending::<()>());
            assert!(never.unwrap().is_none());
            drop((consumer, channel));
            connection.close().unwrap();
        });
    });
}

#[test]
fn heartbeats_go_on_while_the_program_does_nothing() {
    broker_test(async |t| {
        plainly(|| {
            let connection = open_by(&t.connector().heartbeat(Duration::from_secs(1)));
            assert_eq!(connection.handle().tuning().heartbeat, 1);
            let channel = connection.channel_open().unwrap();
            thread::sleep(Duration::from_secs(5));
            assert!(connection.handle().close_reason().is_none());
            queue(t, &channel);
            drop(channel);
            connection.close().unwrap();
        });
    });
}

async fn echo(request: Received<Bytes>) -> Result<Bytes, Failure> {
    Ok(request.value)
}

#[test]
fn every_async_operation_can_be_waited_for_also_one_that_has_tasks_of_its_own() {
    broker_test(async |t| {
        plainly(|| {
            let connection = open(t);
            let queue = t.name("rpc");
            let topology = Topology::default().with_queue(QueueDeclare::new(&queue)).unwrap();
            let report = connection.wait(topology.apply(connection.handle())).unwrap().unwrap();
            assert!(report.is_complete());
            let options = ServerOptions::new(&*queue, 2);
            let starting = Server::start(connection.handle(), options, Raw, echo);
            let server = connection.wait(starting).unwrap().unwrap();
            let client = connection.wait(Client::open(connection.handle())).unwrap().unwrap();
            let question = Bytes::from_static(b"?");
            let call = client.call::<_, _, Bytes>(&*queue, &question);
            let reply = connection.wait(call).unwrap().unwrap();
            assert_eq!(reply, question);
            // While nobody waits here the server works on: it is on the connection's thread.
            let slowly = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                connection.handle().channel_count()
            };
            assert!(connection.wait(slowly).unwrap() >= 3);
            let shut = connection.wait(server.shutdown(Duration::from_secs(5))).unwrap();
            assert!(shut.is_complete(), "{shut:?}");
            connection.wait(client.close()).unwrap().unwrap();
            let removed = topology.remove(connection.handle(), Removal::new());
            assert!(connection.wait(removed).unwrap().unwrap().is_complete());
            connection.close().unwrap();
        });
    });
}

#[test]
fn errors_are_the_same_types() {
    broker_test(async |t| {
        plainly(|| {
            assert!(matches!(Connection::open("amqp://[").unwrap_err(), ConnectError::Uri(_)));
            let wrong = Connection::open_with(&t.connector(), "guest", "wrong").unwrap_err();
            assert!(matches!(wrong, ConnectError::CredentialsRefused { .. }), "{wrong}");
            let nobody = t.connector().port(1);
            let refused = Connection::open_with(&nobody, "guest", "guest").unwrap_err();
            assert!(matches!(refused, ConnectError::Io { .. }), "{refused}");

            let connection = open(t);
            let channel = connection.channel_open().unwrap();
            let gone = QueueDeclare::new(t.name("missing")).passive(true);
            let error = channel.queue_declare(gone).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ChannelClosed);
            assert_eq!(error.close_reason().unwrap().code().map(|code| code.0), Some(404));
            let late = channel.basic_publish(BasicPublish::new("", "q", "late")).unwrap_err();
            assert_eq!(late.kind(), ErrorKind::ChannelClosed);
            channel.close().unwrap();
            connection.close().unwrap();
        });
    });
}

#[test]
fn threads_share_a_connection_and_its_channels() {
    broker_test(async |t| {
        plainly(|| {
            let connection = open(t);
            let channel = connection.channel_open().unwrap();
            let queue = queue(t, &channel);
            thread::scope(|scope| {
                for one in 0..4 {
                    let (channel, connection, queue) = (&channel, &connection, &queue);
                    scope.spawn(move || {
                        let own = connection.channel_open().unwrap();
                        for n in 0..50 {
                            let channel = if n % 2 == 0 { channel } else { &own };
                            let publish = BasicPublish::new("", queue, format!("{one}.{n}"));
                            assert!(is_done(&channel.basic_publish(publish).unwrap()));
                        }
                    });
                }
            });
            let came = consume(&channel, &queue).take(200).map(|delivery| {
                let delivery = delivery.unwrap();
                let body = text(&delivery);
                delivery.ack().unwrap();
                body
            });
            assert_eq!(came.collect::<BTreeSet<_>>().len(), 200);
            drop(channel);
            connection.close().unwrap();
        });
    });
}

#[test]
fn it_works_inside_a_runtime_and_waits_for_itself_nowhere() {
    broker_test(async |t| {
        // This very thread is a runtime's; and so are its tasks', whose turns are of limited length.
        let connection = Arc::new(open(t));
        let channel = connection.channel_open().unwrap();
        let queue = queue(t, &channel);
        let shared = connection.clone();
        let publishing = tokio::spawn(async move {
            let channel = shared.channel_open().unwrap();
            let messages = (0..20_000).map(|_| BasicPublish::new("", &queue, "m"));
            let outcomes = channel.basic_publish_all(messages).unwrap();
            assert!(outcomes.iter().all(|it| it.as_ref().is_ok_and(is_done)));
        });
        publishing.await.unwrap();

        let own = connection.clone();
        let on_its_thread = async {
            let task = tokio::spawn(async move {
                let refused = own.channel_open().unwrap_err();
                (refused.kind(), own.wait(async {}).unwrap_err().kind())
            });
            task.await.unwrap()
        };
        let kinds = connection.wait(on_its_thread).unwrap();
        assert_eq!(kinds, (ErrorKind::Invalid, ErrorKind::Invalid));
        drop(channel);
        Arc::into_inner(connection).unwrap().close().unwrap();
    });
}

#[test]
fn a_wait_ends_with_the_connection_and_goes_on_with_one_that_comes_back() {
    broker_test(async |t| {
        let consuming = |connector: Connector| {
            let name = t.name("waits");
            let (tell, told) = std::sync::mpsc::channel();
            let waiting = thread::spawn(move || {
                let connection = open_by(&connector);
                let channel = connection.channel_open().unwrap();
                channel.queue_declare(QueueDeclare::new(&name).exclusive(true)).unwrap();
                let mut consumer = consume(&channel, &name);
                tell.send(()).unwrap();
                let got = consumer.recv().unwrap().map(|it| (text(&it), it.ack()));
                let ended = consumer.handle().end().is_some();
                drop((consumer, channel));
                connection.close().unwrap();
                (got.map(|(text, _)| text), ended)
            });
            told.recv().unwrap();
            waiting
        };
        let waiting = consuming(t.connector());
        t.close_connections("for the test").await.unwrap();
        assert_eq!(waiting.join().unwrap(), (None, true));

        let waiting = consuming(t.connector().recovery(quick()));
        t.close_connections("for the test").await.unwrap();
        let sender = t.connect_as(&t.connector().recovery(quick())).await;
        let channel = sender.channel_open().await.unwrap();
        // The queue is exclusive: a message that nobody takes was published before it was back.
        while !waiting.is_finished() {
            let publish = BasicPublish::new("", t.name("waits"), "back");
            drop(channel.basic_publish(publish).await.unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(waiting.join().unwrap(), (Some("back".to_owned()), false));
        sender.close().await;
    });
}

/// The threads of this process that a connection may have.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "amqp").count()
}

#[test]
fn a_connections_thread_ends_with_its_last_handle_however_it_goes() {
    broker_test_alone(async |t| {
        assert_eq!(threads(), 0);
        for _ in 0..3 {
            // Closed: it has ended when that returns.
            let connection = open(t);
            assert!(threads() > 0);
            connection.close().unwrap();
            assert_eq!(threads(), 0);
        }
        let dropped = || {
            let deadline = Instant::now() + Duration::from_secs(5);
            while threads() > 0 {
                assert!(Instant::now() < deadline, "{} threads are left", threads());
                thread::sleep(Duration::from_millis(1));
            }
        };
        // Nobody is there, or nobody lets us in.
        let _ = Connection::open_with(&t.connector().port(1), "guest", "guest").unwrap_err();
        let _ = Connection::open_with(&t.connector(), "guest", "wrong").unwrap_err();
        dropped();
        drop(open(t));
        dropped();
        // A consumer keeps what it reads from.
        let connection = open(t);
        let channel = connection.channel_open().unwrap();
        let queue = queue(t, &channel);
        let mut consumer = consume(&channel, &queue);
        assert!(is_done(&channel.basic_publish(BasicPublish::new("", &queue, "m")).unwrap()));
        drop((channel, connection));
        let delivery = consumer.recv().unwrap().unwrap();
        delivery.ack().unwrap();
        drop(consumer);
        dropped();
        // Ended by the broker.
        let connection = open(t);
        t.close_connections("for the test").await.unwrap();
        let closed = connection.wait(connection.handle().closed()).unwrap();
        assert_eq!(closed.text(), "CONNECTION_FORCED - for the test");
        drop(connection);
        dropped();
    });
}
