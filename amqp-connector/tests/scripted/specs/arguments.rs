//! Arguments of RabbitMQ's on the wire.

use amqp_connector::arguments::{QueueType, StreamOffset};
use amqp_connector::protocol::queue;
use amqp_connector::{BasicConsume, ErrorKind, Prefetch, QueueDeclare};

use super::wire::Wire;

#[tokio::test(start_paused = true)]
async fn typed_arguments_go_as_a_plain_table() {
    let mut wire = Wire::open().await;
    let declare = QueueDeclare::new("q").durable(true).queue_type(QueueType::Quorum).max_length(9);
    let call = wire.channel.queue_declare(declare);
    let script = async {
        let declare = wire.expect::<queue::Declare>().await;
        assert_eq!(declare.arguments.get_str("x-queue-type"), Some("quorum"));
        assert_eq!(declare.arguments.get_i64("x-max-length"), Some(9));
        wire.send(queue::DeclareOk::default()).await;
    };
    tokio::join!(call, script).0.expect("declared");
    wire.close().await;
}

#[tokio::test(start_paused = true)]
async fn arguments_that_cannot_be_sent_send_nothing() {
    let mut wire = Wire::open().await;
    let declare = QueueDeclare::new("q").expires(std::time::Duration::ZERO);
    let error = wire.channel.queue_declare(declare).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let consume =
        BasicConsume::new("q", Prefetch::Unlimited).stream_offset(StreamOffset::Offset(u64::MAX));
    let error = wire.channel.basic_consume(consume).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    wire.peer.expect_nothing(std::time::Duration::from_secs(1)).await;
    wire.close().await;
}
