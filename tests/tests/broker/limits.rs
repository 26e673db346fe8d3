//! A broker short of memory: it blocks who publishes, and what then happens.

use amqp_connector::amqp_types::if_spec;

if_spec! { connection.blocked => {
    use std::time::Duration;

    use amqp_connector::{BasicPublish, ErrorKind, QueueDeclare};
    use amqp_tests::{Fixture, broker_test_alone};
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(10);

    async fn raise_alarm(t: &Fixture) {
        t.eval("vm_memory_monitor:set_vm_memory_high_watermark(0), \"\"").await.unwrap();
    }

    async fn clear_alarm(t: &Fixture) {
        t.eval("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 2000000000}), \"\"")
            .await
            .unwrap();
    }

    #[test]
    fn blocked_publisher_waits_and_goes_on() {
        broker_test_alone(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            let queue = t.name("queue");
            channel.queue_declare(QueueDeclare::new(&queue).exclusive(true)).await.unwrap();
            channel.confirm_select().await.unwrap();
            raise_alarm(t).await;

            // The broker tells those who publish, and only once they do.
            let first = channel.basic_publish(BasicPublish::new("", &queue, "0")).await.unwrap();
            let blocked = timeout(SOON, async {
                while !connection.is_blocked() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            let was_blocked = blocked.await.is_ok();
            let refused = channel.try_basic_publish(BasicPublish::new("", &queue, "1"));
            let mut waiting = channel.basic_publish(BasicPublish::new("", &queue, "2"));
            let waited = timeout(Duration::from_millis(300), &mut waiting).await.is_err();
            clear_alarm(t).await; // before any assertion can leave it raised

            assert!(was_blocked, "no connection.blocked came");
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Blocked);
            assert!(waited, "it was sent to a broker that had blocked us");
            let confirmation = timeout(SOON, waiting).await.unwrap().unwrap();
            assert!(timeout(SOON, confirmation).await.unwrap().is_acked());
            assert!(timeout(SOON, first).await.unwrap().is_acked());
            assert!(!connection.is_blocked());
            connection.close().await;
        });
    }

    #[test]
    fn blocked_connection_closes_within_its_deadline() {
        broker_test_alone(async |t| {
            let connection = t.connect().await;
            let channel = connection.channel_open().await.unwrap();
            raise_alarm(t).await;
            drop(channel.basic_publish(BasicPublish::new("", t.name("any"), "x")).await.unwrap());
            let deadline = Duration::from_secs(1);
            let closed = timeout(deadline * 3, connection.close_within(deadline)).await;
            clear_alarm(t).await;
            assert!(closed.is_ok(), "close took longer than its deadline");
        });
    }
} else {} }
