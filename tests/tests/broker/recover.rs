//! `basic.recover` and access tickets, as RabbitMQ has them.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    AccessRequest, BasicConsume, BasicGet, BasicPublish, ErrorKind, Prefetch, QueueDeclare,
    Recovered,
};
use amqp_tests::broker_test;

#[test]
fn recovered_deliveries_come_again_and_the_old_ones_are_stale() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("q");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        for body in ["one", "two", "three"] {
            drop(channel.basic_publish(BasicPublish::new("", &queue, body)).await.unwrap());
        }
        // As many as it may hold: no delivery crosses the request.
        let consume = BasicConsume::new(&queue, Prefetch::Count(3));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        let mut old = Vec::new();
        while old.len() < 3 {
            old.push(consumer.recv().await.unwrap());
        }
        let recovered = channel.basic_recover(true).await.unwrap();
        let expected =
            if_spec! { basic.recover_ok => { Recovered::Confirmed } else { Recovered::Sent } };
        assert_eq!(recovered, expected);
        let last = old.iter().map(|delivery| delivery.delivery_tag()).max().unwrap();
        for delivery in old {
            assert_eq!(delivery.ack().unwrap_err().kind(), ErrorKind::Stale);
        }
        for body in ["one", "two", "three"] {
            let delivery = consumer.recv().await.unwrap();
            assert!(delivery.redelivered && delivery.delivery_tag() > last);
            assert_eq!(delivery.body.to_bytes(), body);
            delivery.ack().unwrap();
        }
        consumer.cancel().await.unwrap();
        // All were settled, and the channel is well.
        assert!(channel.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
        assert!(channel.close_reason().is_none());
        connection.close().await;
    });
}

#[test]
fn a_message_that_was_got_is_recovered_too() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let queue = t.name("q");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new("", &queue, "body")).await.unwrap());
        let get = || channel.basic_get(BasicGet::new(&queue));
        let old = loop {
            if let Some(got) = get().await.unwrap() {
                break got;
            }
        };
        channel.basic_recover(true).await.unwrap();
        assert_eq!(old.reject(false).unwrap_err().kind(), ErrorKind::Stale);
        let again = loop {
            if let Some(got) = get().await.unwrap() {
                break got;
            }
        };
        assert!(again.redelivered);
        again.ack().unwrap();
        assert!(get().await.unwrap().is_none());
        connection.close().await;
    });
}

#[test]
fn recovering_without_requeue_is_not_implemented_by_the_broker() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        // Where there is no answer, only the end tells.
        let _ = channel.basic_recover(false).await;
        let reason = connection.closed().await;
        assert_eq!(reason.code().map(|code| code.0), Some(540));
        assert!(reason.method().is_some_and(|method| method.starts_with("basic.recover")));
    });
}

#[test]
fn the_broker_gives_a_ticket_where_there_are_any_and_takes_methods_that_carry_it() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let access = channel.access_request(AccessRequest::new("/data").active(true)).await;
        if_spec! { access.request => {
            assert_eq!(access.unwrap().number(), 1);
        } else {
            assert_eq!(access.unwrap_err().kind(), ErrorKind::Unsupported);
        } }
        let queue = t.name("q");
        channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
        drop(channel.basic_publish(BasicPublish::new("", &queue, "body")).await.unwrap());
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume(consume).await.unwrap();
        consumer.recv().await.unwrap().ack().unwrap();
        connection.close().await;
    });
}
