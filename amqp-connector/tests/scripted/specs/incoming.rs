//! Methods that come unasked-for: violations, unless somebody has asked for them; and alerts.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{CloseCause, ErrorKind};
use futures_core::stream::FusedStream as _;

use super::wire::Wire;
use crate::support::resolves;

#[tokio::test(start_paused = true)]
async fn a_reply_that_no_call_waits_for_is_a_violation_though_incoming_methods_are_taken() {
    use amqp_connector::protocol::{connection, queue};

    let mut wire = Wire::open().await;
    let mut incoming = wire.channel.incoming().expect("mine");
    wire.send(queue::DeclareOk::default()).await;
    wire.peer.expect::<connection::Close>().await;
    assert!(resolves("the end", incoming.recv()).await.is_none());
    let reason = resolves("closed", wire.connection.closed()).await;
    assert_eq!(reason.cause(), CloseCause::ProtocolViolation);
    assert_eq!(reason.method(), Some("queue.declare-ok"));
}

#[tokio::test(start_paused = true)]
async fn one_handle_at_a_time_takes_incoming_methods() {
    let wire = Wire::open().await;
    let first = wire.channel.incoming().expect("mine");
    let second = wire.channel.incoming().expect_err("taken");
    assert_eq!(second.kind(), ErrorKind::Invalid);
    drop(first);
    let third = wire.channel.incoming().expect("free again");
    drop(third);
    wire.close().await;
}

#[tokio::test(start_paused = true)]
async fn incoming_methods_end_with_their_channel() {
    let mut wire = Wire::open().await;
    let mut incoming = wire.channel.incoming().expect("mine");
    let id = wire.channel.id();
    wire.peer.close_channel(id, 404, "gone").await;
    assert!(!incoming.is_terminated(), "it has not told the end yet");
    assert!(resolves("the end", incoming.recv()).await.is_none());
    assert!(incoming.is_terminated());
    assert_eq!(wire.channel.incoming().expect_err("over").kind(), ErrorKind::ChannelClosed);
    wire.close().await;
}

if_spec! { stream.deliver => {
    use amqp_connector::protocol::{channel, connection, stream};

    use super::wire::short;

    fn deliver(delivery_tag: u64) -> stream::Deliver {
        stream::Deliver { consumer_tag: short("c"), delivery_tag, ..Default::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_method_that_nobody_has_asked_for_is_a_violation() {
        let mut wire = Wire::open().await;
        wire.send_content(deliver(1), stream::Properties::default(), "body").await;
        let (_, close) = wire.peer.expect::<connection::Close>().await;
        assert_eq!(close.reply_code, 503);
        let reason = resolves("closed", wire.connection.closed()).await;
        assert_eq!(reason.cause(), CloseCause::ProtocolViolation);
        assert_eq!(reason.method(), Some("stream.deliver"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_a_request_at_once_waits_for_the_handle_that_is_asked_for_later() {
        let mut wire = Wire::open().await;
        let consume = stream::Consume { consumer_tag: short("c"), ..Default::default() };
        wire.call(consume, stream::ConsumeOk { consumer_tag: short("c") }).await;
        wire.send_content(deliver(1), stream::Properties::default(), "early").await;
        wire.call(channel::Flow { active: true }, channel::FlowOk { active: true }).await;
        let mut incoming = wire.channel.incoming().expect("mine");
        let early = incoming.recv().await.expect("kept").into_content::<stream::Deliver>();
        assert_eq!(early.expect("a delivery").2.to_bytes(), "early");
        wire.content_unasked(&mut incoming, deliver(2), Default::default(), "later").await;
        drop(incoming);
        wire.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_may_wait_for_nobody_ends_the_channel_and_names_the_handle() {
        let mut wire = Wire::open().await;
        let consume = stream::Consume { consumer_tag: short("c"), ..Default::default() };
        wire.call(consume, stream::ConsumeOk { consumer_tag: short("c") }).await;
        for delivery_tag in 0..1025 {
            wire.send_content(deliver(delivery_tag), stream::Properties::default(), "").await;
        }
        assert_eq!(wire.expect::<channel::Close>().await.reply_code, 506);
        wire.send(channel::CloseOk::default()).await;
        let reason = wire.channel.closed().await;
        assert_eq!(reason.cause(), CloseCause::LimitExceeded);
        assert!(reason.text().contains("Channel::incoming"), "{reason}");
        wire.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_after_the_handle_is_dropped_is_ignored() {
        let mut wire = Wire::open().await;
        drop(wire.channel.incoming().expect("mine"));
        wire.send_content(deliver(1), stream::Properties::default(), "body").await;
        // The channel is well, and what comes when there is a handle again is told.
        wire.call(channel::Flow { active: true }, channel::FlowOk { active: true }).await;
        let mut incoming = wire.channel.incoming().expect("mine");
        wire.content_unasked(&mut incoming, deliver(2), Default::default(), "later").await;
        drop(incoming);
        wire.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn more_incoming_methods_than_may_wait_end_the_channel_alone() {
        let mut wire = Wire::open().await;
        let mut incoming = wire.channel.incoming().expect("mine");
        for delivery_tag in 0..1025 {
            wire.send_content(deliver(delivery_tag), stream::Properties::default(), "").await;
        }
        assert_eq!(wire.expect::<channel::Close>().await.reply_code, 506);
        wire.send(channel::CloseOk::default()).await;
        // Those that came are not lost.
        for delivery_tag in 0..1025 {
            let came = incoming.recv().await.expect("kept").into_content::<stream::Deliver>();
            assert_eq!(came.expect("a delivery").0.delivery_tag, delivery_tag);
        }
        assert!(resolves("the end", incoming.recv()).await.is_none());
        let reason = wire.channel.closed().await;
        assert_eq!(reason.cause(), CloseCause::LimitExceeded);
        assert!(wire.connection.close_reason().is_none());
        wire.close().await;
    }

    #[tokio::test(start_paused = true)]
    async fn incoming_methods_wait_within_the_budget_of_octets() {
        let long = "x".repeat(600);
        let headers = amqp_connector::FieldTable::new().with(short("k"), long.as_str());
        let headers = stream::Properties { headers: Some(headers), ..Default::default() };
        for (properties, body) in [(stream::Properties::default(), long), (headers, String::new())] {
            let mut options = amqp_connector::Options::default();
            options.consumer_budget = 1000;
            let peer = amqp_connector::testing::Peer::new();
            let (connection, mut peer) = crate::support::connection_with(options, peer).await;
            let channel = crate::support::open(&connection, &mut peer).await;
            let mut incoming = channel.incoming().expect("mine");
            for tag in 0..10 {
                // As long as each is taken, there may be any number of them.
                peer.send_content(channel.id(), deliver(tag), properties.clone(), &body).await;
                incoming.recv().await.expect("delivered");
            }
            for tag in 0..2 {
                peer.send_content(channel.id(), deliver(tag), properties.clone(), &body).await;
            }
            let reason = resolves("closed", channel.closed()).await;
            assert_eq!(reason.cause(), CloseCause::LimitExceeded);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_method_that_is_not_the_expected_one_is_given_back_whole() {
        let mut wire = Wire::open().await;
        let mut incoming = wire.channel.incoming().expect("mine");
        wire.send_content(deliver(1), stream::Properties::default(), "body").await;
        let came = incoming.recv().await.expect("delivered");
        let came = *came.into_content::<stream::Return>().expect_err("no return");
        let came = *came.into_method::<stream::Return>().expect_err("no return");
        let (came, _, body) = came.into_content::<stream::Deliver>().expect("a delivery");
        assert_eq!((came, body.to_bytes()), (deliver(1), "body".into()));
        drop(incoming);
        wire.close().await;
    }
} else {} }

if_spec! { file.open => {
    #[tokio::test(start_paused = true)]
    async fn a_file_that_follows_its_consumer_at_once_waits_for_the_handle_that_is_asked_for_later() {
        use amqp_connector::protocol::file;

        use super::wire::short as name;

        let mut wire = Wire::open().await;
        let consume = file::Consume { consumer_tag: name("c"), ..Default::default() };
        wire.call(consume, file::ConsumeOk { consumer_tag: name("c") }).await;
        let open = file::Open { identifier: name("f"), content_size: 5 };
        wire.send(open.clone()).await;
        wire.peer.expect_nothing(std::time::Duration::from_secs(1)).await;
        let mut incoming = wire.channel.incoming().expect("mine");
        let came = resolves("the file", incoming.recv()).await.expect("kept");
        assert_eq!(came.into_method::<file::Open>().expect("a file"), open);
        let staged = wire.channel.call_with_content(file::OpenOk { staged_size: 0 });
        let script = async {
            wire.expect::<file::OpenOk>().await;
            wire.send_content(file::Stage::default(), file::Properties::default(), "notes").await;
        };
        let (staged, ()) = tokio::join!(staged, script);
        assert_eq!(staged.expect("staged").1.expect("a file").1.to_bytes(), "notes");
        let deliver =
            file::Deliver { consumer_tag: name("c"), delivery_tag: 1, ..Default::default() };
        wire.unasked(&mut incoming, deliver).await;
        drop(incoming);
        wire.close().await;
    }
} else {} }

if_spec! { message.transfer => {
    #[tokio::test(start_paused = true)]
    async fn a_message_that_follows_its_request_at_once_waits_for_the_handle_that_is_asked_for_later() {
        use amqp_connector::amqp_types::wire::ContentDomain;
        use amqp_connector::protocol::message;

        for gets in [true, false] {
            let mut wire = Wire::open().await;
            if gets {
                let reply = wire.call(message::Get::default(), message::Ok::default()).await;
                assert!(matches!(reply, message::GetReply::Ok(_)));
            } else {
                wire.call(message::Consume::default(), message::Ok::default()).await;
            }
            let body = ContentDomain::Inline(amqp_connector::Bytes::from_static(b"the work"));
            let transfer = message::Transfer { body, ..Default::default() };
            wire.send(transfer.clone()).await;
            wire.peer.expect_nothing(std::time::Duration::from_secs(1)).await;
            let mut incoming = wire.channel.incoming().expect("mine");
            let came = resolves("the message", incoming.recv()).await.expect("kept");
            assert_eq!(came.into_method::<message::Transfer>().expect("a message"), transfer);
            wire.sent(message::Ok::default()).await;
            drop(incoming);
            wire.close().await;
        }
    }
} else {} }

if_spec! { channel.alert => {
    #[tokio::test(start_paused = true)]
    async fn alerts_are_told_as_events_and_the_channel_goes_on() {
        use amqp_connector::Event;
        use amqp_connector::protocol::channel::Alert;

        let mut wire = Wire::open().await;
        let id = wire.channel.id();
        let mut events = wire.connection.events();
        for reply_code in 0..70 {
            wire.send(Alert { reply_code, ..Default::default() }).await;
        }
        wire.call(channel::Flow { active: true }, channel::FlowOk { active: true }).await;
        let mut told = 0;
        while told < 70 {
            if let Event::Alerted { channel, alert, .. } = events.recv().await.expect("not over") {
                assert_eq!((channel, alert.reply_code.0), (id, told));
                told += 1;
            }
        }
        drop(events);
        // Nobody listens, and nothing is kept.
        wire.send(Alert { reply_code: 99, ..Default::default() }).await;
        wire.call(channel::Flow { active: true }, channel::FlowOk { active: true }).await;
        wire.close().await;
    }
} else {} }
