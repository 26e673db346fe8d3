//! Requests and replies through a real broker: by direct reply-to and by queues of the client's own.

mod losses;
mod serving;

use std::collections::BTreeMap;
use std::time::Duration;

use amqp_connector::rpc::{
    CallError, Client, ClientOptions, Failure, Received, ReplyBy, Request, Server, ServerOptions,
};
use amqp_connector::typed::{Json, Text};
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Connection, Consumer, Delivery, Prefetch, QueueDeclare,
    QueueDelete,
};
use amqp_tests::{Fixture, broker_test};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);
/// Both ways that replies come.
const WAYS: [ReplyBy; 2] = [ReplyBy::Direct, ReplyBy::Queue];

/// A queue for requests, and the channel that it was declared on.
async fn queue(t: &Fixture, connection: &Connection, word: &str) -> (Channel, String) {
    let (channel, queue) = (connection.channel_open().await.unwrap(), t.name(word));
    channel.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
    (channel, queue)
}

async fn delete(channel: &Channel, queue: &str) {
    channel.queue_delete(QueueDelete::new(queue)).await.unwrap();
}

async fn client(connection: &Connection, by: ReplyBy) -> Client<Text> {
    let options = ClientOptions::new().reply_by(by).timeout(SOON);
    Client::open_with(connection, options).await.unwrap().codec(Text)
}

async fn shout(request: Received<String>) -> Result<String, Failure> {
    Ok(request.value.to_uppercase())
}

async fn serve(connection: &Connection, queue: &str) -> Server {
    Server::start(connection, ServerOptions::new(queue, 20), Text, shout).await.unwrap()
}

fn request(queue: &str, body: &str) -> Request {
    Request::new(BasicPublish::new("", queue, body.to_owned()))
}

async fn shouted(client: &Client<Text>, queue: &str, word: &str) {
    let loud: String = client.call(queue, &word.to_owned()).await.unwrap();
    assert_eq!(loud, word.to_uppercase());
}

async fn next(requests: &mut Consumer) -> Delivery {
    timeout(SOON, requests.recv()).await.expect("in time").expect("not over")
}

/// As a server of another make does it.
async fn reply(channel: &Channel, request: &Delivery, body: String) {
    let reply_to = request.properties.reply_to.clone().expect("an address");
    let id = request.properties.correlation_id.clone().expect("an id");
    let reply = BasicPublish::new("", reply_to, body).correlation_id(id);
    drop(channel.basic_publish(reply).await.unwrap());
}

/// How many queues are exclusive to the connections of this test.
async fn exclusive_queues(t: &Fixture) -> String {
    let port = t.port();
    let expression = format!(
        "integer_to_list(length([Q || Q <- rabbit_amqqueue:list(<<\"/\">>), \
         {{P, I}} <- ets:tab2list(connection_created), proplists:get_value(port, I) =:= {port}, \
         amqqueue:get_exclusive_owner(Q) =:= P]))"
    );
    t.eval(&expression).await.unwrap()
}

#[test]
fn a_thousand_calls_in_flight_from_fifty_tasks_each_get_their_own_reply() {
    broker_test(async |t| {
        let (asking, answering) = (t.connect().await, t.connect().await);
        let (channel, queue) = queue(t, &answering, "queue").await;
        let consume = BasicConsume::new(&queue, Prefetch::Unlimited).no_ack(true);
        let mut requests = channel.basic_consume(consume).await.unwrap();
        for by in WAYS {
            let client = client(&asking, by).await;
            let tasks: Vec<_> = (0..50)
                .map(|task| {
                    let (client, queue) = (client.clone(), queue.clone());
                    tokio::spawn(async move {
                        let words: Vec<_> = (0..20).map(|call| format!("{task}.{call}")).collect();
                        let calls: Vec<_> = words
                            .iter()
                            .map(|word| tokio::spawn(client.request(request(&queue, word))))
                            .collect();
                        for (word, call) in words.into_iter().zip(calls) {
                            let reply = call.await.unwrap().unwrap();
                            assert_eq!(reply.body.to_bytes(), format!("re {word}"));
                        }
                    })
                })
                .collect();
            let mut taken = Vec::new();
            for _ in 0..1000 {
                taken.push(next(&mut requests).await);
            }
            assert_eq!(client.in_flight(), 1000);
            // From both ends, and each twice.
            for (one, other) in taken.iter().zip(taken.iter().rev()) {
                for request in [one, other] {
                    let body = String::from_utf8(request.body.to_bytes().to_vec()).unwrap();
                    reply(&channel, request, format!("re {body}")).await;
                }
            }
            for task in tasks {
                timeout(SOON, task).await.expect("in time").unwrap();
            }
            assert_eq!(client.in_flight(), 0);
            // What is behind all of those comes after them.
            let call = tokio::spawn(client.request(request(&queue, "last")));
            let last = next(&mut requests).await;
            reply(&channel, &last, String::new()).await;
            call.await.unwrap().unwrap();
            let dropped = client.dropped_replies();
            assert_eq!((dropped.late, dropped.unknown), (1000, 0));
            client.close().await.unwrap();
        }
        delete(&channel, &queue).await;
        asking.close().await;
        answering.close().await;
    });
}

#[test]
fn fifty_tasks_call_a_server_a_thousand_times() {
    broker_test(async |t| {
        let (asking, answering) = (t.connect().await, t.connect().await);
        let (channel, queue) = queue(t, &answering, "queue").await;
        let server = serve(&answering, &queue).await;
        for by in WAYS {
            let client = client(&asking, by).await;
            let tasks: Vec<_> = (0..50)
                .map(|task| {
                    let (client, queue) = (client.clone(), queue.clone());
                    tokio::spawn(async move {
                        for call in 0..20 {
                            shouted(&client, &queue, &format!("task {task} call {call}")).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                timeout(SOON, task).await.expect("in time").unwrap();
            }
            client.close().await.unwrap();
        }
        let report = server.shutdown(SOON).await;
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((report.answered, report.failed, report.undelivered), (2000, 0, 0));
        t.await_messages(&queue, 0, 0).await;
        delete(&channel, &queue).await;
        asking.close().await;
        answering.close().await;
    });
}

#[test]
fn values_of_every_shape_go_there_and_back_as_json() {
    type Order = BTreeMap<String, Vec<(u64, f64)>>;
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let sum = |order: Received<Order>| async move {
            let prices = order.value.values().flatten().map(|(count, price)| *count as f64 * price);
            Ok::<f64, Failure>(prices.sum())
        };
        let options = ServerOptions::new(&queue, 3);
        let server = Server::start(&connection, options, Json, sum).await.unwrap();
        let client = Client::open(&connection).await.unwrap();
        let order = Order::from([("Äpfel".to_owned(), vec![(2, 0.5), (1, 3.0)])]);
        let json = client.clone().codec(Json);
        let price: f64 = json.call(&queue, &order).await.unwrap();
        assert_eq!(price, 4.0);
        // Octets by another handle of the same client: the server can make nothing of them.
        let error = client.request(request(&queue, "{")).await.unwrap_err();
        assert!(error.failure().is_some(), "{error:?}");
        let error = json.call::<_, _, String>(&queue, &order).await.unwrap_err();
        assert!(matches!(error, CallError::Undecodable { .. }), "{error:?}");
        drop(server);
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn a_request_that_no_queue_takes_fails_its_own_call_and_no_other() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let server = serve(&connection, &queue).await;
        let nowhere = t.name("nowhere");
        for by in WAYS {
            let client = client(&connection, by).await;
            let tasks: Vec<_> = (0..20)
                .map(|n| {
                    let (client, queue, nowhere) = (client.clone(), queue.clone(), nowhere.clone());
                    tokio::spawn(async move {
                        if n % 2 == 0 {
                            return shouted(&client, &queue, "routed").await;
                        }
                        // All the same but for their correlation ids.
                        let error = client.request(request(&nowhere, "x")).await.unwrap_err();
                        let CallError::Unroutable(returned) = error else { panic!("{error:?}") };
                        assert_eq!(
                            (returned.reply_code.0, &*returned.body.to_bytes()),
                            (312, &b"x"[..])
                        );
                    })
                })
                .collect();
            for task in tasks {
                timeout(SOON, task).await.expect("in time").unwrap();
            }
            client.close().await.unwrap();
        }
        drop(server);
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn a_request_whose_deadline_has_passed_expires_in_its_queue() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        for by in WAYS {
            let client = client(&connection, by).await;
            let within = Duration::from_millis(200);
            let error = client.request(request(&queue, "x").within(within)).await.unwrap_err();
            assert!(matches!(error, CallError::Timeout { sent: true, .. }), "{error:?}");
            t.await_messages(&queue, 0, 0).await;
            let server = serve(&connection, &queue).await;
            shouted(&client, &queue, "in time").await;
            assert_eq!(server.shutdown(SOON).await.answered, 1);
        }
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn nothing_is_left_of_clients_that_are_closed_or_dropped_while_their_connection_lives() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        for by in WAYS {
            let (closed, dropped) = (client(&connection, by).await, client(&connection, by).await);
            let waiting = tokio::spawn(closed.request(request(&queue, "x")));
            t.await_messages(&queue, 1, 0).await;
            closed.close().await.unwrap();
            let error = waiting.await.unwrap().unwrap_err();
            assert!(matches!(error, CallError::Interrupted(None)), "{error:?}");
            drop(dropped);
            let gone = async {
                while exclusive_queues(t).await != "0" || connection.channel_count() > 1 {
                    tokio::task::yield_now().await;
                }
            };
            timeout(SOON, gone).await.expect("gone in time");
            channel.queue_purge(&queue).await.unwrap();
        }
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn the_best_way_is_direct_where_the_broker_tells_that_it_has_it_and_a_queue_elsewhere() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1)).no_ack(true);
        let mut requests = channel.basic_consume(consume).await.unwrap();
        let client = Client::open(&connection).await.unwrap();
        let call = tokio::spawn(client.request(request(&queue, "x")));
        let asked = next(&mut requests).await;
        let address = asked.properties.reply_to.clone().expect("an address");
        let direct = connection.server_properties().has_capability("direct_reply_to");
        assert_eq!(
            address.as_bytes().starts_with(b"amq.rabbitmq.reply-to."),
            direct,
            "{address:?}"
        );
        let queues = if direct { "0" } else { "1" };
        assert_eq!(exclusive_queues(t).await, queues);
        reply(&channel, &asked, String::new()).await;
        call.await.unwrap().unwrap();
        delete(&channel, &queue).await;
        connection.close().await;
    });
}
