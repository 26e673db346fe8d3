//! `amqp declare`, `bind`, `unbind`, `delete` and `purge`.

use amqp_connector::amqp_types::if_spec;
use amqp_tests::broker_test;
use serde_json::json;

use super::{declare, delete, run};

#[test]
fn queues_and_exchanges_are_declared_bound_purged_and_deleted() {
    broker_test(async |t| {
        let (queue, exchange) = (declare(t, "queue").await, t.name("exchange"));
        run(t, &["declare", "exchange", &exchange, "--type", "topic", "--durable"]).await.done();
        run(t, &["bind", &queue, &exchange, "-k", "a.*"]).await.done();
        for (key, code) in [("a.b", 0), ("b.a", 5)] {
            let publish = ["publish", "-e", &exchange, "-k", key, "--mandatory", "message"];
            assert_eq!(run(t, &publish).await.code, Some(code), "{key}");
        }
        t.await_messages(&queue, 1, 0).await;
        let told = run(t, &["declare", "queue", &queue, "--passive", "--json"]).await;
        let expected = json!({"queue": queue, "message-count": 1, "consumer-count": 0});
        assert_eq!(told.objects(), [expected]);
        assert_eq!(run(t, &["purge", &queue]).await.done(), "1\n");
        let unbound = run(t, &["unbind", &queue, &exchange, "-k", "a.*"]).await;
        if_spec! { queue.unbind => {
            unbound.done();
            let publish = ["publish", "-e", &exchange, "-k", "a.b", "--mandatory", "message"];
            assert_eq!(run(t, &publish).await.code, Some(5));
        } else { unbound.failed(2, &["queue.unbind"]); } }
        run(t, &["delete", "exchange", &exchange]).await.done();
        let told = run(t, &["delete", "queue", &queue, "--if-empty", "--json"]).await;
        assert_eq!(told.objects(), [json!({"queue": queue, "message-count": 0})]);
        run(t, &["declare", "queue", &queue, "--passive"]).await.failed(1, &["404", &queue]);
    });
}

#[test]
fn exchanges_are_bound_to_exchanges_where_the_specification_has_it() {
    broker_test(async |t| {
        let (queue, one, other) = (declare(t, "queue").await, t.name("one"), t.name("other"));
        for exchange in [&one, &other] {
            run(t, &["declare", "exchange", exchange, "-t", "fanout"]).await.done();
        }
        run(t, &["bind", &queue, &other]).await.done();
        let bound = run(t, &["bind", "--exchange", &other, &one]).await;
        if_spec! { exchange.bind => {
            bound.done();
            let publish = ["publish", "-e", &one, "--mandatory", "message"];
            assert_eq!(run(t, &publish).await.code, Some(0));
            run(t, &["unbind", "--exchange", &other, &one]).await.done();
            assert_eq!(run(t, &publish).await.code, Some(5));
        } else { bound.failed(2, &["exchange.bind"]); } }
        for exchange in [&one, &other] {
            run(t, &["delete", "exchange", exchange]).await.done();
        }
        delete(t, &queue).await;
    });
}

#[test]
fn arguments_reach_the_broker_with_their_types() {
    broker_test(async |t| {
        let queue = t.name("queue");
        let declare =
            ["declare", "queue", &queue, "-a", "x-max-length=1", "-a", "x-expires:u16=60000"];
        run(t, &declare).await.done();
        for body in ["one", "two"] {
            run(t, &["publish", "-k", &queue, body]).await.done();
        }
        t.await_messages(&queue, 1, 0).await;
        assert_eq!(run(t, &["get", &queue]).await.done(), "two\n", "one at most");
        // As text it is another argument, which the broker refuses.
        let other = t.name("other");
        let declare = ["declare", "queue", &other, "-a", "x-max-length:str=1"];
        run(t, &declare).await.failed(1, &["x-max-length", &other]);
        delete(t, &queue).await;
    });
}
