//! Class `file`: files are staged before they are published, and before they are delivered.

use amqp_connector::protocol::file;

use crate::specs::wire::{Wire, short};

fn properties() -> file::Properties {
    file::Properties {
        filename: Some(short("notes.txt")),
        message_id: Some(short("m-1")),
        priority: Some(3),
        ..Default::default()
    }
}

pub(super) async fn exchange(wire: &mut Wire) {
    let qos = file::Qos { prefetch_size: 1 << 20, prefetch_count: 4, global: true };
    wire.call(qos, file::QosOk::default()).await;
    publish(wire).await;
    consume(wire).await;
}

/// The client stages a file, whereof the server has a part already, and publishes it.
async fn publish(wire: &mut Wire) {
    let open = file::Open { identifier: short("f-1"), content_size: 11 };
    let ok = wire.call(open, file::OpenOk { staged_size: 6 }).await;
    assert_eq!(ok.staged_size, 6);
    wire.content_sent(file::Stage::default(), properties(), "world").await;
    let publish = file::Publish {
        ticket: 0,
        exchange: short("files"),
        routing_key: short("notes"),
        mandatory: true,
        immediate: true,
        identifier: short("f-1"),
    };
    wire.sent(publish).await;
    let mut incoming = wire.channel.incoming().expect("mine");
    let returned = file::Return {
        reply_code: 312,
        reply_text: short("no route"),
        exchange: short("files"),
        routing_key: short("notes"),
    };
    wire.content_unasked(&mut incoming, returned, properties(), "hello world").await;
}

/// The server stages a file with the client and delivers it.
async fn consume(wire: &mut Wire) {
    let consume = file::Consume {
        queue: short("inbox"),
        consumer_tag: short("c-1"),
        no_local: true,
        exclusive: true,
        ..Default::default()
    };
    let ok = wire.call(consume, file::ConsumeOk { consumer_tag: short("c-1") }).await;
    assert_eq!(ok.consumer_tag, "c-1");

    let mut incoming = wire.channel.incoming().expect("mine again");
    for (tag, ack) in [(1, true), (2, false)] {
        let open = file::Open { identifier: short("f-2"), content_size: 5 };
        wire.unasked(&mut incoming, open).await;
        let open_ok = file::OpenOk { staged_size: 0 };
        let staged = wire.channel.call_with_content(open_ok.clone());
        let script = async {
            assert_eq!(wire.expect::<file::OpenOk>().await, open_ok);
            wire.send_content(file::Stage::default(), properties(), "notes").await;
        };
        let (staged, ()) = tokio::join!(staged, script);
        let (file::Stage {}, content) = staged.expect("staged");
        let (staged_properties, body) = content.expect("a file");
        assert_eq!(staged_properties, amqp_connector::protocol::Properties::File(properties()));
        assert_eq!(body.to_bytes(), "notes");

        let deliver = file::Deliver {
            consumer_tag: short("c-1"),
            delivery_tag: tag,
            redelivered: tag == 2,
            exchange: short("files"),
            routing_key: short("notes"),
            identifier: short("f-2"),
        };
        wire.unasked(&mut incoming, deliver).await;
        match ack {
            true => wire.sent(file::Ack { delivery_tag: tag, multiple: true }).await,
            false => wire.sent(file::Reject { delivery_tag: tag, requeue: true }).await,
        }
    }
    let cancel = file::Cancel { consumer_tag: short("c-1"), ..Default::default() };
    wire.call(cancel, file::CancelOk { consumer_tag: short("c-1") }).await;
}

#[tokio::test(start_paused = true)]
async fn files_are_staged_published_returned_and_delivered() {
    let mut wire = Wire::open().await;
    exchange(&mut wire).await;
    wire.close().await;
}
