//! A broker without memory: whom it tells, and what becomes of what was sent to it.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{BasicPublish, QueueDeclare, QueueDelete};
use tokio::time::timeout;

use super::side::{SOON, Side, await_depth, depth};

contract_alone! {
    who_publishes_to_a_blocked_broker_is_told_and_heard_when_it_has_memory_again,
}

async fn who_publishes_to_a_blocked_broker_is_told_and_heard_when_it_has_memory_again(
    side: &Side<'_>,
) {
    let (publisher, channel) = side.open().await;
    let (other, reader) = side.open().await;
    let queue = side.name("q");
    reader.queue_declare(QueueDeclare::new(&queue)).await.unwrap();
    let block = side.block().await;
    // Who does not publish is not told, and is answered.
    assert_eq!(depth(&reader, &queue).await, 0);
    assert_eq!(depth(&channel, &queue).await, 0);
    assert!(!publisher.is_blocked());
    let message = BasicPublish::new("", &queue, "a");
    let first = channel.basic_publish(message).await.unwrap();
    if_spec! { connection.blocked => {
        let mut blocked = publisher.blocked();
        while blocked.reason().is_none() {
            timeout(SOON, blocked.changed()).await.unwrap().unwrap();
        }
        assert_eq!(blocked.reason().map(|reason| reason.to_string()).as_deref(), Some("low on memory"));
    } else {} }
    // Nor of what was sent.
    assert_eq!(depth(&reader, &queue).await, 0);
    assert!(!other.is_blocked());
    let late = channel.queue_declare(QueueDeclare::new(&queue).passive(true));
    drop(block);
    timeout(SOON, late).await.unwrap().unwrap();
    drop(first);
    await_depth(&reader, &queue, 1).await;
    reader.queue_delete(QueueDelete::new(&queue)).await.unwrap();
    publisher.close().await;
    other.close().await;
}
