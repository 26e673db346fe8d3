//! Class `stream`: contents at a steady rate, which nobody acknowledges.

use amqp_connector::protocol::stream;

use crate::specs::wire::{Wire, short, table};

fn properties() -> stream::Properties {
    stream::Properties {
        content_type: Some(short("audio/ogg")),
        headers: Some(table()),
        priority: Some(9),
        ..Default::default()
    }
}

pub(super) async fn exchange(wire: &mut Wire) {
    let qos = stream::Qos {
        prefetch_size: 4096,
        prefetch_count: 100,
        consume_rate: 64_000,
        global: false,
    };
    wire.call(qos, stream::QosOk::default()).await;
    let consume = stream::Consume {
        queue: short("radio"),
        consumer_tag: short("listener"),
        exclusive: true,
        ..Default::default()
    };
    let ok = wire.call(consume, stream::ConsumeOk { consumer_tag: short("listener") }).await;
    assert_eq!(ok.consumer_tag, "listener");

    let publish = stream::Publish {
        ticket: 0,
        exchange: short("air"),
        routing_key: short("radio"),
        mandatory: true,
        immediate: true,
    };
    wire.content_sent(publish, properties(), "la la la").await;
    let mut incoming = wire.channel.incoming().expect("mine");
    let returned = stream::Return {
        reply_code: 313,
        reply_text: short("nobody listens"),
        exchange: short("air"),
        routing_key: short("radio"),
    };
    wire.content_unasked(&mut incoming, returned, properties(), "la la la").await;
    let deliver = stream::Deliver {
        consumer_tag: short("listener"),
        delivery_tag: 1,
        exchange: short("air"),
        queue: short("radio"),
    };
    wire.content_unasked(&mut incoming, deliver, properties(), "tra la la").await;
    let cancel = stream::Cancel { consumer_tag: short("listener"), ..Default::default() };
    wire.call(cancel, stream::CancelOk { consumer_tag: short("listener") }).await;
}

#[tokio::test(start_paused = true)]
async fn stream_contents_go_both_ways() {
    let mut wire = Wire::open().await;
    exchange(&mut wire).await;
    wire.close().await;
}
