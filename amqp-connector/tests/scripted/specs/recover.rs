//! `basic.recover`: which deliveries can still be settled.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol::basic;
use amqp_connector::{BasicConsume, Consumer, ErrorKind, Prefetch, Recovered};

use super::wire::{Wire, short};
use crate::support::resolves;

async fn consumer(wire: &mut Wire) -> Consumer {
    let consume = wire.channel.basic_consume(BasicConsume::new("q", Prefetch::Count(9)).tag("c"));
    let script = async {
        wire.expect::<basic::Qos>().await;
        wire.send(basic::QosOk::default()).await;
        wire.expect::<basic::Consume>().await;
        wire.send(basic::ConsumeOk { consumer_tag: short("c") }).await;
    };
    tokio::join!(consume, script).0.expect("consumed")
}

async fn deliver(wire: &mut Wire, delivery_tag: u64) {
    let deliver = basic::Deliver { consumer_tag: short("c"), delivery_tag, ..Default::default() };
    wire.send_content(deliver, basic::Properties::default(), "body").await;
}

#[tokio::test(start_paused = true)]
async fn deliveries_from_before_a_recover_are_stale_and_those_after_it_are_not() {
    let mut wire = Wire::open().await;
    let mut consumer = consumer(&mut wire).await;
    for tag in 1..=3 {
        deliver(&mut wire, tag).await;
    }
    let first = consumer.recv().await.expect("delivered");
    let second = consumer.recv().await.expect("delivered");
    let recover = wire.channel.basic_recover(true);
    let script = async {
        assert!(wire.expect::<basic::Recover>().await.requeue);
        if_spec! { basic.recover_ok => {
            // Not known yet, but over: it was sent before the answer.
            deliver(&mut wire, 4).await;
            wire.send(basic::RecoverOk::default()).await;
        } else {} }
    };
    let (recovered, ()) = tokio::join!(recover, script);
    let expected =
        if_spec! { basic.recover_ok => { Recovered::Confirmed } else { Recovered::Sent } };
    assert_eq!(recovered.expect("recovered"), expected);

    let error = first.ack().expect_err("it comes again");
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(error.is_transient() && error.to_string().contains("basic.recover"), "{error}");
    assert_eq!(second.nack(true).expect_err("so does it").kind(), ErrorKind::Stale);

    let tag = if_spec! { basic.recover_ok => { 5 } else { 4 } };
    deliver(&mut wire, tag).await;
    // What the handle had taken before is given out still; what the session had is not.
    let again = loop {
        let delivery = resolves("a delivery", consumer.recv()).await.expect("goes on");
        match delivery.delivery_tag() {
            old if old < tag => {
                assert_eq!(delivery.ack().expect_err("old").kind(), ErrorKind::Stale)
            }
            _ => break delivery,
        }
    };
    again.ack().expect("it is known to the peer");
    assert_eq!(wire.expect::<basic::Ack>().await.delivery_tag, tag);
    drop(consumer);
    wire.expect::<basic::Cancel>().await;
    wire.send(basic::CancelOk { consumer_tag: short("c") }).await;
    wire.close().await;
}

if_spec! { basic.recover_ok => {
    #[tokio::test(start_paused = true)]
    async fn nothing_is_settled_while_a_recover_is_on_its_way() {
        let mut wire = Wire::open().await;
        let mut consumer = consumer(&mut wire).await;
        deliver(&mut wire, 1).await;
        let delivery = consumer.recv().await.expect("delivered");
        // Given up by its caller, it is on its way all the same.
        crate::support::poll_and_drop(1, wire.channel.basic_recover(true)).await;
        wire.expect::<basic::Recover>().await;
        assert_eq!(delivery.ack().expect_err("nobody knows").kind(), ErrorKind::Stale);
        // A delivery that is dropped is not requeued, either.
        deliver(&mut wire, 2).await;
        let delivery = consumer.recv().await.expect("delivered");
        assert_eq!(delivery.reject(true).expect_err("nobody knows").kind(), ErrorKind::Stale);
        wire.send(basic::RecoverOk::default()).await;
        deliver(&mut wire, 3).await;
        let delivery = loop {
            let delivery = consumer.recv().await.expect("delivered");
            if delivery.delivery_tag() == 3 {
                break delivery;
            }
        };
        delivery.ack().expect("sent");
        assert_eq!(wire.expect::<basic::Ack>().await.delivery_tag, 3);
        drop(consumer);
        wire.expect::<basic::Cancel>().await;
        wire.send(basic::CancelOk { consumer_tag: short("c") }).await;
        wire.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_recover_that_is_not_answered_times_out() {
        let mut wire = Wire::open().await;
        let recover = wire.channel.basic_recover(true).within(std::time::Duration::from_secs(1));
        let error = resolves("the deadline", recover).await.expect_err("not answered");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        wire.expect::<basic::Recover>().await;
        wire.send(basic::RecoverOk::default()).await;
        wire.close().await;
    }
} else {} }
