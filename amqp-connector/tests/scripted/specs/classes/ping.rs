//! `channel.ping`, `pong`, `ok` and `resume` of 0-9. Answering a ping is the session's own business.

use amqp_connector::Bytes;
use amqp_connector::protocol::channel;

use crate::specs::wire::Wire;

pub(super) async fn exchange(wire: &mut Wire) {
    let resume = channel::Resume { channel_id: Bytes::from_static(b"earlier") };
    wire.call(resume, channel::Ok::default()).await;

    // Ours: it is answered, and followed by a pong, which the session answers.
    wire.call(channel::Ping::default(), channel::Ok::default()).await;
    wire.send(channel::Pong::default()).await;
    wire.expect::<channel::Ok>().await;

    // The peer's.
    wire.send(channel::Ping::default()).await;
    wire.expect::<channel::Ok>().await;
    wire.expect::<channel::Pong>().await;
    wire.send(channel::Ok::default()).await;

    // The channel is as before.
    wire.call(channel::Pong::default(), channel::Ok::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_and_followed_by_a_pong() {
    let mut wire = Wire::open().await;
    exchange(&mut wire).await;
    wire.close().await;
}
