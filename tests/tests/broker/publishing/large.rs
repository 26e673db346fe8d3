//! Large bodies beside other channels of their connection.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{BasicPublish, Outcome};
use amqp_tests::broker_test;

use super::declare;

/// What is published beside them is neither refused nor made to wait for room, has its outcome, and so has a call.
#[test]
fn a_large_body_delays_no_other_channel() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let large = connection.channel_open().await.unwrap();
        let other = connection.channel_open().await.unwrap();
        let queue = declare(t, &other).await;
        if_spec! { confirm.select => {
            other.confirm_select().await.unwrap();
        } else {} }
        for round in 0..20 {
            // Each is over the budget: the second has to wait for the first.
            let publish = || BasicPublish::new("", "nowhere", vec![7; 5 << 20]);
            let (first, second) = (large.clone(), large.clone());
            let both = tokio::spawn(async move {
                drop(first.basic_publish(publish()).await.unwrap());
                drop(second.basic_publish(publish()).await.unwrap());
            });
            tokio::task::yield_now().await;
            for size in [18, 100 << 10, 18] {
                let publish = BasicPublish::new("", &queue, vec![1; size]);
                let outcome = other.try_basic_publish(publish).expect("no wait").await;
                let confirmed = if_spec! { confirm.select => { true } else { false } };
                match outcome {
                    Outcome::Acked if confirmed => {}
                    Outcome::Accepted if !confirmed => {}
                    outcome => panic!("round {round}: {outcome:?}"),
                }
            }
            // Without confirms the count may be asked for before the queue has looked at what is there.
            if_spec! { confirm.select => {
                assert_eq!(amqp_tests::depth(&other, &queue).await, 3 * (round + 1));
            } else {
                amqp_tests::await_depth(&other, &queue, 3 * (round + 1)).await;
            } }
            both.await.unwrap();
        }
        connection.close().await;
    });
}
