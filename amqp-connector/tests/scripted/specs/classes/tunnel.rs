//! Class `tunnel`: contents of other protocols.

use amqp_connector::protocol::tunnel;

use crate::specs::wire::{Wire, short, table};

pub(super) async fn exchange(wire: &mut Wire) {
    let properties = tunnel::Properties {
        headers: Some(table()),
        proxy_name: Some(short("proxy")),
        data_name: Some(short("data")),
        durable: Some(1),
        broadcast: Some(2),
    };
    wire.content_sent(tunnel::Request { meta_data: table() }, properties, "\0other").await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnelled_content_arrives() {
    let mut wire = Wire::open().await;
    exchange(&mut wire).await;
    wire.close().await;
}
