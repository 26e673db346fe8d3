//! What no broker takes: bindings to nothing, flow, and a client's lies about itself.

use amqp_connector::{
    ExchangeDeclare, QueueBind, QueueDeclare, protocol::channel as channel_methods,
};

use super::side::{Side, closed, connection_closed};

contract! {
    what_is_not_there_is_not_found,
    stopping_the_flow_is_not_implemented,
    no_queue_before_an_empty_name_is_not_found,
}

async fn what_is_not_there_is_not_found(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let none = side.name("none");
    channel.queue_bind(QueueBind::new(&queue, &none, "k")).await.unwrap_err();
    let no_exchange = format!("NOT_FOUND - no exchange '{none}' in vhost '/'");
    assert_eq!(closed(&channel).await, (404, no_exchange.clone()));
    let channel = connection.channel_open().await.unwrap();
    channel.queue_bind(QueueBind::new(&none, "amq.direct", "k")).await.unwrap_err();
    let no_queue = format!("NOT_FOUND - no queue '{none}' in vhost '/'");
    assert_eq!(closed(&channel).await, (404, no_queue.clone()));
    let channel = connection.channel_open().await.unwrap();
    channel.queue_purge(&none).await.unwrap_err();
    assert_eq!(closed(&channel).await, (404, no_queue.clone()));
    let channel = connection.channel_open().await.unwrap();
    channel.queue_declare(QueueDeclare::new(&none).passive(true)).await.unwrap_err();
    assert_eq!(closed(&channel).await, (404, no_queue));
    let channel = connection.channel_open().await.unwrap();
    let passive = ExchangeDeclare::new(&none, "direct").passive(true);
    channel.exchange_declare(passive).await.unwrap_err();
    assert_eq!(closed(&channel).await, (404, no_exchange));
    connection.close().await;
}

async fn stopping_the_flow_is_not_implemented(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let flow = |active| channel_methods::Flow { active, ..Default::default() };
    assert!(channel.call(flow(true)).await.unwrap().active);
    channel.call(flow(false)).await.unwrap_err();
    let text = "NOT_IMPLEMENTED - active=false".to_owned();
    assert_eq!(connection_closed(&connection).await, (540, text));
}

async fn no_queue_before_an_empty_name_is_not_found(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    channel.queue_purge("").await.unwrap_err();
    let text = "NOT_FOUND - no previously declared queue".to_owned();
    assert_eq!(closed(&channel).await, (404, text));
    connection.close().await;
}
