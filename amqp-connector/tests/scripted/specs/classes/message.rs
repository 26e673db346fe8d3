//! Class `message` of 0-9: transfers in one method, or by a reference that contents are appended to.

use amqp_connector::amqp_types::Timestamp;
use amqp_connector::amqp_types::wire::ContentDomain;
use amqp_connector::protocol::message;
use amqp_connector::{Bytes, Incoming};

use crate::specs::wire::{Wire, short, table};

fn transfer(body: ContentDomain) -> message::Transfer {
    message::Transfer {
        ticket: 5,
        destination: short("c-1"),
        redelivered: true,
        immediate: true,
        ttl: 60_000,
        priority: 4,
        timestamp: Timestamp(1_160_000_000),
        delivery_mode: 2,
        expiration: Timestamp(1_160_000_060),
        exchange: short("amq.direct"),
        routing_key: short("jobs"),
        message_id: short("m-1"),
        correlation_id: short("m-0"),
        reply_to: short("answers"),
        content_type: short("text/plain"),
        content_encoding: short("identity"),
        user_id: short("guest"),
        app_id: short("app"),
        transaction_id: short("t-1"),
        security_token: Bytes::from_static(b"token"),
        application_headers: table(),
        body,
    }
}

fn inline() -> ContentDomain {
    ContentDomain::Inline(Bytes::from_static(b"the work"))
}

fn reference() -> Bytes {
    Bytes::from_static(b"ref-1")
}

pub(super) async fn exchange(wire: &mut Wire) {
    to_server(wire).await;
    let mut incoming = wire.channel.incoming().expect("mine");
    consume(wire, &mut incoming).await;
    references(wire).await;
    references_of_server(wire, &mut incoming).await;
}

/// The client transfers: once it is taken, once refused.
async fn to_server(wire: &mut Wire) {
    let reply = wire.call(transfer(inline()), message::Ok::default()).await;
    assert!(matches!(reply, message::TransferReply::Ok(_)));
    let reject = message::Reject { code: 312, text: short("no route") };
    match wire.call(transfer(inline()), reject.clone()).await {
        message::TransferReply::Reject(came) => assert_eq!(came, reject),
        other => panic!("{other:?}"),
    }
}

/// The client consumes and gets, and what is transferred to it for that it takes or refuses.
async fn consume(wire: &mut Wire, incoming: &mut Incoming) {
    let qos = message::Qos { prefetch_size: 1, prefetch_count: 2, global: true };
    wire.call(qos, message::Ok::default()).await;
    let consume = message::Consume {
        ticket: 5,
        queue: short("jobs"),
        destination: short("c-1"),
        no_local: true,
        no_ack: true,
        exclusive: true,
        filter: table(),
    };
    wire.call(consume, message::Ok::default()).await;
    wire.unasked(incoming, transfer(inline())).await;
    wire.sent(message::Ok::default()).await;
    wire.unasked(incoming, transfer(ContentDomain::Reference(reference()))).await;
    wire.sent(message::Reject { code: 541, text: short("cannot") }).await;

    let get = message::Get {
        ticket: 5,
        queue: short("jobs"),
        destination: short("g-1"),
        no_ack: true,
    };
    let reply = wire.call(get.clone(), message::Ok::default()).await;
    assert!(matches!(reply, message::GetReply::Ok(_)));
    wire.unasked(incoming, transfer(inline())).await;
    wire.sent(message::Ok::default()).await;
    let reply = wire.call(get, message::Empty::default()).await;
    assert!(matches!(reply, message::GetReply::Empty(_)));
    wire.sent(message::Empty::default()).await;

    wire.call(message::Recover { requeue: true }, message::Ok::default()).await;
    wire.call(message::Cancel { destination: short("c-1") }, message::Ok::default()).await;
}

fn append() -> message::Append {
    message::Append { reference: reference(), bytes: Bytes::from_static(b"a part") }
}

fn checkpoint() -> message::Checkpoint {
    message::Checkpoint { reference: reference(), identifier: short("so far") }
}

fn resume() -> message::Resume {
    message::Resume { reference: reference(), identifier: short("so far") }
}

/// The client makes a content of parts, with a break in between.
async fn references(wire: &mut Wire) {
    wire.call(message::Open { reference: reference() }, message::Ok::default()).await;
    wire.call(append(), message::Ok::default()).await;
    wire.call(checkpoint(), message::Ok::default()).await;
    let offset = wire.call(resume(), message::Offset { value: 6 }).await;
    assert_eq!(offset.value, 6);
    let body = ContentDomain::Reference(reference());
    let reply = wire.call(transfer(body), message::Ok::default()).await;
    assert!(matches!(reply, message::TransferReply::Ok(_)));
    wire.call(message::Close { reference: reference() }, message::Ok::default()).await;
}

/// So does the server.
async fn references_of_server(wire: &mut Wire, incoming: &mut Incoming) {
    wire.unasked(incoming, message::Open { reference: reference() }).await;
    wire.sent(message::Ok::default()).await;
    wire.unasked(incoming, append()).await;
    wire.sent(message::Ok::default()).await;
    wire.unasked(incoming, checkpoint()).await;
    wire.sent(message::Ok::default()).await;
    wire.unasked(incoming, resume()).await;
    wire.sent(message::Offset { value: 6 }).await;
    wire.unasked(incoming, message::Close { reference: reference() }).await;
    wire.sent(message::Ok::default()).await;
}

#[tokio::test(start_paused = true)]
async fn messages_are_transferred_inline_and_by_reference_both_ways() {
    let mut wire = Wire::open().await;
    exchange(&mut wire).await;
    wire.close().await;
}
