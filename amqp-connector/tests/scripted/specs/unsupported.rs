//! What the specification lacks is refused before an octet is sent, whatever it is.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol::basic;
#[allow(unused_imports, reason = "which of these are needed depends on the specification")]
use amqp_connector::{
    AccessRequest, BasicConsume, BasicPublishStream, ConfirmOptions, ErrorKind, ExchangeBind,
    ExchangeDeclare, ExchangeUnbind, Prefetch, QueueUnbind, Result,
};

use super::wire::{Wire, short};
use crate::support::resolves;

/// A future that must be refused, and that nothing is sent for.
async fn refused<T: Debug>(wire: &mut Wire, what: &str, future: impl Future<Output = Result<T>>) {
    let error = resolves(what, future).await.expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error}");
    wire.peer.expect_nothing(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_for_what_the_specification_lacks() {
    let mut wire = Wire::open().await;
    let (connection, channel) = (wire.connection.clone(), wire.channel.clone());
    if_spec! { access.request => {} else {
        let access = channel.access_request(AccessRequest::new("/data"));
        refused(&mut wire, "access.request", access).await;
    } }
    if_spec! { confirm.select => {} else {
        refused(&mut wire, "confirm.select", channel.confirm_select()).await;
        let retaining = channel.confirm_select_with(ConfirmOptions::new().retain(true));
        refused(&mut wire, "confirm.select, retaining", retaining).await;
        refused(&mut wire, "waiting for confirms", channel.wait_for_confirms()).await;
    } }
    if_spec! { connection.update_secret => {} else {
        let update = connection.update_secret("secret", "it expires");
        refused(&mut wire, "connection.update-secret", update).await;
    } }
    if_spec! { exchange.bind => {} else {
        let bind = channel.exchange_bind(ExchangeBind::new("to", "from", "key"));
        refused(&mut wire, "exchange.bind", bind).await;
    } }
    if_spec! { exchange.unbind => {} else {
        let unbind = channel.exchange_unbind(ExchangeUnbind::new("to", "from", "key"));
        refused(&mut wire, "exchange.unbind", unbind).await;
    } }
    if_spec! { exchange.declare.auto_delete => {} else {
        let declare = ExchangeDeclare::new("x", "direct").auto_delete(true);
        refused(&mut wire, "auto-delete", channel.exchange_declare(declare)).await;
    } }
    if_spec! { exchange.declare.internal => {} else {
        let declare = ExchangeDeclare::new("x", "direct").internal(true);
        refused(&mut wire, "internal", channel.exchange_declare(declare)).await;
    } }
    if_spec! { queue.unbind => {} else {
        let unbind = channel.queue_unbind(QueueUnbind::new("q", "x", "key"));
        refused(&mut wire, "queue.unbind", unbind).await;
    } }
    if_spec! { tx.select => {} else {
        refused(&mut wire, "tx.select", channel.tx_select()).await;
        refused(&mut wire, "tx.commit", channel.tx_commit()).await;
        refused(&mut wire, "tx.rollback", channel.tx_rollback()).await;
        let publish = BasicPublishStream::new("", "q", 4);
        let publish = connection.publish_reader(publish, &b"body"[..]);
        refused(&mut wire, "a streamed publish in a transaction", publish).await;
    } }
    if_spec! { basic.consume.arguments => {} else { if_spec! { basic.consume.filter => {} else {
        // Not even the prefetch goes before.
        let consume = BasicConsume::new("q", Prefetch::Count(7)).priority(1);
        let (plain, streamed) = (consume.clone(), consume);
        refused(&mut wire, "arguments of a consumer", channel.basic_consume(plain)).await;
        let streamed = channel.basic_consume_streamed(streamed);
        refused(&mut wire, "arguments of a streamed consumer", streamed).await;
    } } } }
    drop((connection, channel));
    wire.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_nack_of_several_sends_nothing_where_the_specification_has_none() {
    let mut wire = Wire::open().await;
    let consuming =
        wire.channel.basic_consume(BasicConsume::new("q", Prefetch::Unlimited).tag("c"));
    let script = async {
        wire.peer.expect_on::<basic::Qos>(wire.channel.id()).await;
        wire.peer.send(wire.channel.id(), basic::QosOk::default()).await;
        wire.peer.expect_on::<basic::Consume>(wire.channel.id()).await;
        let ok = basic::ConsumeOk { consumer_tag: short("c") };
        wire.peer.send(wire.channel.id(), ok).await;
    };
    let mut consumer = tokio::join!(consuming, script).0.expect("started");
    for delivery_tag in [1, 2] {
        let deliver =
            basic::Deliver { consumer_tag: short("c"), delivery_tag, ..Default::default() };
        wire.send_content(deliver, basic::Properties::default(), "body").await;
    }
    let first = consumer.recv().await.expect("delivered");
    let second = consumer.recv().await.expect("delivered");
    let nacked = second.nack_multiple(true);
    if_spec! { basic.nack => {
        nacked.expect("sent");
        assert_eq!(wire.expect::<basic::Nack>().await.delivery_tag, 2);
        drop(first);
    } else {
        assert_eq!(nacked.expect_err("there is none").kind(), ErrorKind::Unsupported);
        wire.peer.expect_nothing(Duration::from_secs(1)).await;
        first.ack().expect("sent");
        assert_eq!(wire.expect::<basic::Ack>().await.delivery_tag, 1);
    } }
    let id = wire.channel.id();
    drop(consumer);
    wire.expect::<basic::Cancel>().await;
    wire.peer.send(id, basic::CancelOk { consumer_tag: short("c") }).await;
    wire.close().await;
}
