//! Servers that die, connections that are lost and come back, and mistakes that cost a channel.

use amqp_connector::rpc::{CallError, Request, Server, ServerOptions};
use amqp_connector::typed::Text;
use amqp_connector::{BasicConsume, BasicPublish, Prefetch};
use amqp_tests::broker_test;
use tokio::time::timeout;

use super::{SOON, WAYS, client, delete, next, queue, reply, request, serve, shout, shouted};
use crate::recovery::{quick, recovered};

#[test]
fn what_a_server_had_when_it_died_is_served_by_another_and_no_call_is_lost() {
    broker_test(async |t| {
        let (asking, dying) = (t.connect().await, t.connect().await);
        let (channel, queue) = queue(t, &asking, "queue").await;
        let client = client(&asking, WAYS[0]).await;
        // It takes what comes, and never answers.
        let never = |_| std::future::pending::<Result<String, super::Failure>>();
        let options = ServerOptions::new(&queue, 5);
        let first = Server::start::<String, _, _, _, _, _>(&dying, options, Text, never);
        let first = first.await.unwrap();
        let calls: Vec<_> = (0..8)
            .map(|n| tokio::spawn(client.request(request(&queue, &format!("n{n}")))))
            .collect();
        t.await_messages(&queue, 3, 5).await;
        dying.abort();
        let server = serve(&asking, &queue).await;
        for (n, call) in calls.into_iter().enumerate() {
            let reply = timeout(SOON, call).await.expect("in time").unwrap().unwrap();
            assert_eq!(reply.body.to_bytes(), format!("N{n}"));
        }
        assert_eq!(server.shutdown(SOON).await.answered, 8);
        drop(first);
        delete(&channel, &queue).await;
        asking.close().await;
    });
}

#[test]
fn what_a_dropped_server_had_goes_back_at_once() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let client = client(&connection, WAYS[1]).await;
        let never = |_| std::future::pending::<Result<String, super::Failure>>();
        let options = ServerOptions::new(&queue, 1);
        let first = Server::start::<String, _, _, _, _, _>(&connection, options, Text, never);
        let first = first.await.unwrap();
        let call = tokio::spawn(client.request(request(&queue, "x")));
        t.await_messages(&queue, 0, 1).await;
        drop(first);
        let server = Server::start(&connection, ServerOptions::new(&queue, 1), Text, shout).await;
        let reply = timeout(SOON, call).await.expect("in time").unwrap().unwrap();
        assert_eq!(reply.body.to_bytes(), "X");
        drop(server);
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn calls_in_flight_at_a_loss_end_as_such_and_client_and_server_go_on_after_it() {
    broker_test(async |t| {
        let watching = t.connector().port(t.port());
        let asking = t.connect_as(&watching.clone().recovery(quick())).await;
        let mut events = asking.events();
        let channel = asking.channel_open().await.unwrap();
        let queue = t.name("queue");
        let durable = amqp_connector::QueueDeclare::new(&queue).durable(true);
        channel.queue_declare(durable).await.unwrap();
        let [direct, by_queue] = [client(&asking, WAYS[0]).await, client(&asking, WAYS[1]).await];
        for round in 0..3 {
            let lost: Vec<_> = [&direct, &by_queue]
                .map(|client| tokio::spawn(client.request(request(&queue, "lost"))))
                .into_iter()
                .collect();
            let repeated: Vec<_> = [&direct, &by_queue]
                .map(|client| tokio::spawn(client.request(request(&queue, "r").repeated(true))))
                .into_iter()
                .collect();
            t.await_messages(&queue, 4, 0).await;
            t.close_connections("for the test").await.unwrap();
            let report = recovered(&mut events).await;
            assert!(report.failures.is_empty(), "{report:?}");
            for call in lost {
                let error = timeout(SOON, call).await.expect("in time").unwrap().unwrap_err();
                let CallError::Interrupted(Some(reason)) = error else { panic!("{error:?}") };
                assert_eq!(reason.code().map(|code| code.0), Some(320));
            }
            let server = serve(&asking, &queue).await;
            for call in repeated {
                let reply = timeout(SOON, call).await.expect("in time").unwrap().unwrap();
                assert_eq!(reply.body.to_bytes(), "R");
            }
            for client in [&direct, &by_queue] {
                shouted(client, &queue, &format!("after {round}")).await;
            }
            // Four from before the loss are served in vain.
            assert_eq!(server.shutdown(SOON).await.answered, 8);
        }
        delete(&channel, &queue).await;
        asking.close().await;
    });
}

#[test]
fn a_server_goes_on_after_a_loss_and_serves_what_it_had_once_more() {
    broker_test(async |t| {
        let answering = t.connect_as(&t.connector().recovery(quick())).await;
        let mut events = answering.events();
        let (channel, queue) = queue(t, &answering, "queue").await;
        let server = serve(&answering, &queue).await;
        for round in 0..3 {
            let asking = t.connect().await;
            let client = client(&asking, WAYS[0]).await;
            shouted(&client, &queue, &format!("round {round}")).await;
            asking.close().await;
            t.close_connections("for the test").await.unwrap();
            recovered(&mut events).await;
        }
        assert!(server.shutdown(SOON).await.answered >= 3);
        delete(&channel, &queue).await;
        answering.close().await;
    });
}

#[test]
fn a_request_to_an_exchange_that_does_not_exist_costs_the_calls_in_flight_and_not_the_client() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let (channel, queue) = queue(t, &connection, "queue").await;
        let consume = BasicConsume::new(&queue, Prefetch::Count(10)).no_ack(true);
        let mut requests = channel.basic_consume(consume).await.unwrap();
        for by in WAYS {
            let client = client(&connection, by).await;
            for _ in 0..3 {
                let waiting = tokio::spawn(client.request(request(&queue, "x")));
                drop(next(&mut requests).await);
                let mistaken = BasicPublish::new(t.name("nowhere"), "", "x");
                for ended in [client.request(Request::new(mistaken)).await, waiting.await.unwrap()]
                {
                    let error = ended.unwrap_err();
                    let CallError::Interrupted(Some(reason)) = error else { panic!("{error:?}") };
                    assert_eq!(reason.code().map(|code| code.0), Some(404));
                }
                let again = tokio::spawn(client.request(request(&queue, "again")));
                let asked = next(&mut requests).await;
                reply(&channel, &asked, "served".to_owned()).await;
                let reply = timeout(SOON, again).await.expect("in time").unwrap().unwrap();
                assert_eq!(reply.body.to_bytes(), "served");
            }
        }
        delete(&channel, &queue).await;
        connection.close().await;
    });
}

#[test]
fn the_end_of_the_connection_ends_every_call() {
    broker_test(async |t| {
        for by in WAYS {
            let other = t.connect().await;
            let (channel, queue) = queue(t, &other, "queue").await;
            let connection = t.connect().await;
            let client = client(&connection, by).await;
            let calls: Vec<_> =
                (0..20).map(|_| tokio::spawn(client.request(request(&queue, "x")))).collect();
            t.await_messages(&queue, 20, 0).await;
            connection.close().await;
            for call in calls {
                let error = timeout(SOON, call).await.expect("in time").unwrap().unwrap_err();
                assert!(matches!(error, CallError::Interrupted(_)), "{error:?}");
            }
            let error = client.request(request(&queue, "x")).await.unwrap_err();
            assert!(matches!(error, CallError::Closed(_)), "{error:?}");
            delete(&channel, &queue).await;
            other.close().await;
        }
    });
}
