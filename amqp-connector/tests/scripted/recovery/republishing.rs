//! Messages that are published again after a loss.

use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{
    BasicGet, BasicPublish, ConfirmOptions, Outcome, QueueDeclare, UnknownReason,
};

use super::{SECOND, open, recovered, wholly_recovered};

#[tokio::test(start_paused = true)]
async fn what_was_unanswered_is_published_again_in_order_and_its_outcome_tells_so() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    channel.confirm_select_with(ConfirmOptions::new().republish(3)).await.expect("confirm mode");
    let mut confirmations = Vec::new();
    for n in 0..100 {
        let message = BasicPublish::new("", "q", n.to_string());
        confirmations.push(channel.basic_publish(message).await.expect("taken"));
        if n % 40 == 39 {
            broker.cut();
            let report = wholly_recovered(&mut events).await;
            assert!(report.republished > 0, "{report}");
            assert!(report.to_string().ends_with("messages are published again"), "{report}");
        }
    }
    let mut again = 0;
    for confirmation in confirmations {
        let outcome = confirmation.await;
        assert!(outcome.is_acked(), "{outcome}");
        again += usize::from(outcome.republished() > 0);
    }
    assert!(again >= 40, "{again} went again");
    // At least once each; and the first time that each is there, they are in order.
    let mut bodies: Vec<usize> = Vec::new();
    while let Some(got) = channel.basic_get(BasicGet::new("q")).await.expect("got") {
        let body = String::from_utf8_lossy(&got.body.to_bytes()).parse().expect("a number");
        if !bodies.contains(&body) {
            bodies.push(body);
        }
        got.ack().expect("settled");
    }
    assert_eq!(bodies, (0..100).collect::<Vec<_>>());
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_exchange_is_gone_ends_as_unknown_and_is_handed_back() {
    let broker = MemoryBroker::start();
    let (connection, channel, mut events) = open(&broker).await;
    channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
    channel.confirm_select_with(ConfirmOptions::new().republish(9)).await.expect("confirm mode");
    let mut lost = channel.basic_publish(BasicPublish::new("gone", "k", "m")).await.expect("taken");
    broker.cut();
    recovered(&mut events).await;
    let outcome = tokio::time::timeout(SECOND, &mut lost).await.expect("its outcome is known");
    assert_eq!(outcome.republished(), 1);
    let Outcome::Unknown(UnknownReason::Closed(reason)) = outcome.plain() else {
        panic!("{outcome}")
    };
    assert_eq!(reason.code().map(|code| code.0), Some(404));
    assert!(lost.take_message().is_some());
    assert!(channel.close_reason().is_some(), "the broker has closed it");
    connection.close().await;
}
