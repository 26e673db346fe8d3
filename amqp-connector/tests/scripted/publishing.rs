//! Publishing against a scripted peer: turns of large bodies, returns as a stream, and what is held of whom nobody
//! waits for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use amqp_connector::amqp_types::{AnyMethod, Method};
use amqp_connector::protocol::basic;
use amqp_connector::testing::{Event, Peer, leftovers};
use amqp_connector::{BasicPublish, ErrorKind, Options, QueueDeclare, Returned};
use futures_core::stream::{FusedStream as _, Stream};

use crate::support::{close_clean, connection_with, open, resolves};

fn short(text: &str) -> amqp_connector::ShortStr {
    text.try_into().expect("short")
}

#[tokio::test(start_paused = true)]
async fn an_expiration_that_cannot_be_told_is_refused_before_it_is_sent() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    let most = Duration::from_millis(u32::MAX.into());
    for time in [Duration::from_micros(500), most + Duration::from_millis(1)] {
        let publish = BasicPublish::new("", "k", "x").expiration(time);
        let error = channel.basic_publish(publish).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{time:?}");
    }
    drop(
        channel
            .basic_publish(BasicPublish::new("", "k", "x").expiration(most))
            .await
            .expect("sent"),
    );
    let (_, properties, _) = peer.expect_content::<basic::Publish>(channel.id()).await;
    assert_eq!(properties.expiration, Some(short("4294967295")));
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_small_message_overtakes_a_large_one_of_another_channel() {
    let mut options = Options::default();
    options.outbound_budget = 64 << 20;
    let (connection, mut peer) = connection_with(options, Peer::with_pipe(4096)).await;
    let (large, small) = (open(&connection, &mut peer).await, open(&connection, &mut peer).await);
    let body = vec![7; 8 << 20];
    drop(large.basic_publish(BasicPublish::new("", "large", body)).await.expect("accepted"));
    tokio::task::yield_now().await;
    drop(small.basic_publish(BasicPublish::new("", "small", "x")).await.expect("accepted"));
    let mut order = Vec::new();
    while order.len() < 2 {
        match peer.next().await.expect("in order") {
            Event::Content { channel, .. } => order.push(channel),
            Event::Heartbeat => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(order, [small.id(), large.id()]);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_body_that_is_not_read_holds_nothing_of_another_channel() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::with_pipe(4096)).await;
    let (large, other) = (open(&connection, &mut peer).await, open(&connection, &mut peer).await);
    let body = vec![7; 5 << 20];
    drop(large.basic_publish(BasicPublish::new("", "large", body)).await.expect("accepted"));
    tokio::task::yield_now().await;
    // The peer reads nothing meanwhile: what waits would wait for ever.
    for (n, size) in [18, 100 << 10, 18].into_iter().enumerate() {
        let publish = BasicPublish::new("", n.to_string(), vec![1; size]);
        drop(resolves("publish", other.basic_publish(publish)).await.expect("accepted"));
        drop(other.try_basic_publish(BasicPublish::new("", "try", "y")).expect("no wait"));
    }
    let mut call = other.queue_declare(QueueDeclare::new("q"));
    let called = Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop()));
    assert!(called.is_pending());
    let error = large.try_basic_publish(BasicPublish::new("", "k", "behind")).expect_err("full");
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.to_string().contains("outbound_budget"), "{error}");
    // All of it is there before the large body is.
    let mut published = 0;
    loop {
        match peer.next().await.expect("in order") {
            Event::Content { channel, .. } => {
                assert_eq!(channel, other.id(), "the large body came first");
                published += 1;
            }
            Event::Method { channel, method } => {
                assert_eq!((channel, published), (other.id(), 6));
                assert!(peer.answer(channel, &method).await);
                break;
            }
            _ => {}
        }
    }
    resolves("call", call).await.expect("answered");
    assert_eq!(peer.expect_content::<basic::Publish>(large.id()).await.2.len(), 5 << 20);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_publish_behind_a_large_body_that_is_given_up_or_let_in_leaves_nothing() {
    let mut options = Options::default();
    options.outbound_budget = 100_000;
    let (connection, mut peer) = connection_with(options, Peer::with_pipe(4096)).await;
    let channel = open(&connection, &mut peer).await;
    let publish = |size: usize| channel.basic_publish(BasicPublish::new("", "k", vec![0; size]));
    drop(publish(5 << 20).await.expect("accepted"));
    let mut given_up = publish(10);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut given_up).await.is_err());
    let waiting = async {
        let mut waits: Vec<_> = (0..20).map(|n| publish(100_000 * (n % 2) + n)).collect();
        tokio::task::yield_now().await;
        drop(given_up);
        for wait in waits.drain(..) {
            drop(resolves("publish", wait).await.expect("accepted"));
        }
    };
    let reading = async {
        let mut lengths = Vec::new();
        for _ in 0..21 {
            lengths.push(peer.expect_content::<basic::Publish>(channel.id()).await.2.len());
        }
        lengths
    };
    let ((), lengths) = tokio::join!(waiting, reading);
    let expected: Vec<_> = (0..20).map(|n| 100_000 * (n % 2) + n).collect();
    assert_eq!(lengths[1..], expected);
    close_clean(connection, &mut peer).await;
}

amqp_connector::amqp_types::if_spec! { basic.consume.arguments => {
    #[tokio::test(start_paused = true)]
    async fn a_consumer_whose_arguments_are_too_large_changes_no_prefetch_either() {
        use amqp_connector::{BasicConsume, ErrorKind, FieldTable, Prefetch};
        let (io, peer) = Peer::new();
        let (connection, mut peer) =
            connection_with(Options::default(), (io, peer.tune(9, 4096, 0))).await;
        let channel = open(&connection, &mut peer).await;
        let large = FieldTable::new().with(short("x"), "x".repeat(5000));
        let consume = BasicConsume::new("q", Prefetch::Count(7)).arguments(large);
        let refused = channel.basic_consume(consume).await.expect_err("too large");
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        peer.expect_nothing(Duration::from_secs(1)).await;
        close_clean(connection, &mut peer).await;
    }
} else {} }

async fn next(returns: &mut (impl Stream<Item = Returned> + Unpin)) -> Option<Returned> {
    std::future::poll_fn(|cx| Pin::new(&mut *returns).poll_next(cx)).await
}

#[tokio::test(start_paused = true)]
async fn returned_messages_are_a_stream_that_ends_with_the_channel() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    let mut returns = channel.returns();
    assert!(!returns.is_terminated());
    let publish = BasicPublish::new("", "nobody", "x").mandatory(true);
    drop(channel.basic_publish(publish).await.expect("accepted"));
    let (publish, properties, body) = peer.expect_content::<basic::Publish>(channel.id()).await;
    let returned = basic::Return {
        reply_code: 312,
        reply_text: short("NO_ROUTE"),
        exchange: publish.exchange,
        routing_key: publish.routing_key,
    };
    peer.send_content(channel.id(), returned, properties, body.to_bytes()).await;
    let returned = resolves("a return", next(&mut returns)).await.expect("returned");
    assert_eq!((returned.routing_key, returned.body.to_bytes()), (short("nobody"), "x".into()));
    let (closed, _) = tokio::join!(channel.close(), async {
        let (id, close) = peer.expect::<amqp_connector::protocol::channel::Close>().await;
        peer.answer(id, &close.into_any()).await;
    });
    closed.expect("closed");
    assert!(!returns.is_terminated(), "it has not told the end yet");
    assert!(resolves("the end", next(&mut returns)).await.is_none());
    assert!(returns.is_terminated());
    drop((returns, channel));
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_returns_that_is_dropped_leaves_no_place_in_any_line() {
    let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    for _ in 0..10 {
        let mut returns = channel.returns();
        drop(crate::support::poll_and_drop(3, returns.recv()).await);
        drop(returns);
    }
    assert_eq!(leftovers(&connection).waiting, 0);
    close_clean(connection, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn transactions_are_sent_as_their_methods() {
    use amqp_connector::protocol::tx;
    let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
    let channel = open(&connection, &mut peer).await;
    let names = ["tx.select", "tx.commit", "tx.rollback"];
    let calls = [channel.tx_select(), channel.tx_commit(), channel.tx_rollback()];
    for (call, name) in calls.into_iter().zip(names) {
        let answer = async {
            match peer.next().await.expect("in order") {
                Event::Method { channel, method } => {
                    assert_eq!(method.info().full_name, name);
                    assert!(peer.answer(channel, &method).await);
                }
                other => panic!("{other}"),
            }
        };
        tokio::join!(call, answer).0.expect("answered");
    }
    // Given up, they keep their place: the replies of later ones are not shifted.
    drop(crate::support::poll_and_drop(2, channel.tx_commit()).await);
    peer.expect_on::<tx::Commit>(channel.id()).await;
    let late = async {
        peer.expect_on::<tx::Rollback>(channel.id()).await;
        peer.send(channel.id(), tx::CommitOk::default()).await;
        peer.send(channel.id(), tx::RollbackOk::default()).await;
    };
    tokio::join!(channel.tx_rollback(), late).0.expect("answered");
    close_clean(connection, &mut peer).await;
}

amqp_connector::amqp_types::if_spec! { confirm.select => {
    use amqp_connector::{Channel, ConfirmOptions, Connection, Outcome};
    use amqp_connector::protocol::confirm;

    async fn confirming(options: ConfirmOptions) -> (Connection, Channel, Peer) {
        let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
        let channel = open(&connection, &mut peer).await;
        let answer = async {
            peer.expect_on::<confirm::Select>(channel.id()).await;
            peer.send(channel.id(), confirm::SelectOk::default()).await;
        };
        tokio::join!(channel.confirm_select_with(options), answer).0.expect("confirm mode");
        (connection, channel, peer)
    }

    #[tokio::test(start_paused = true)]
    async fn confirmations_that_are_dropped_or_kept_hold_their_place_and_nothing_else() {
        let (connection, channel, mut peer) = confirming(ConfirmOptions::new()).await;
        let mut kept = Vec::new();
        for n in 0..1000 {
            let message = BasicPublish::new("", "q", "x").mandatory(n % 3 == 0);
            let confirmation = channel.basic_publish(message).await.expect("accepted");
            peer.expect_content::<basic::Publish>(channel.id()).await;
            if n % 2 == 0 {
                kept.push(confirmation);
            }
        }
        assert_eq!(leftovers(&connection).confirms, 1000);
        peer.send(channel.id(), basic::Ack { delivery_tag: 1000, multiple: true }).await;
        let counts = resolves("all", channel.wait_for_confirms()).await.expect("answered");
        assert_eq!(counts.acked, 1000);
        let left = leftovers(&connection);
        assert_eq!((left.confirms, left.kept, left.waiting), (kept.len(), 0, 0));
        drop(kept);
        assert_eq!(leftovers(&connection).confirms, 0);
        drop(channel);
        peer.expect::<amqp_connector::protocol::channel::Close>().await;
        peer.cut();
        resolves("closed", connection.closed()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_confirm_select_with_limits_can_be_set() {
        let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
        let channel = open(&connection, &mut peer).await;
        let limits = ConfirmOptions::new().unconfirmed_max(10);
        let selected = channel.confirm_select_with(limits).within(Duration::from_millis(50));
        let error = resolves("a timeout", selected).await.expect_err("no answer");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let (id, _) = peer.expect::<confirm::Select>().await;
        assert_eq!(id, channel.id());
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_stays_open_as_long_as_a_confirmation_can_give_its_message_back() {
        let (connection, channel, mut peer) =
            confirming(ConfirmOptions::new().retain(true)).await;
        let mut confirmations = Vec::new();
        for body in ["taken", "left"] {
            let publish = BasicPublish::new("", "q", body);
            confirmations.push(channel.basic_publish(publish).await.expect("accepted"));
            peer.expect_content::<basic::Publish>(channel.id()).await;
        }
        drop(channel);
        let nack = basic::Nack { delivery_tag: 2, multiple: true, ..Default::default() };
        peer.send(1, nack).await;
        for confirmation in &mut confirmations {
            let outcome = resolves("the outcome", &mut *confirmation).await;
            assert!(matches!(outcome, Outcome::Nacked), "{outcome:?}");
        }
        assert_eq!(confirmations[0].take_message().expect("kept").into_parts().2, "taken");
        assert_eq!(connection.channel_count(), 1);
        drop(confirmations);
        peer.expect::<amqp_connector::protocol::channel::Close>().await;
        peer.send(1, amqp_connector::protocol::channel::CloseOk::default()).await;
        close_clean(connection, &mut peer).await;
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_confirms_can_be_dropped_and_lose_no_count() {
        let (connection, channel, mut peer) = confirming(ConfirmOptions::new()).await;
        drop(channel.basic_publish(BasicPublish::new("", "q", "x")).await.expect("accepted"));
        peer.expect_content::<basic::Publish>(channel.id()).await;
        for polls in 1..5 {
            let gone = crate::support::poll_and_drop(polls, channel.wait_for_confirms()).await;
            assert!(gone.is_none());
        }
        assert_eq!(leftovers(&connection).waiting, 0);
        peer.send(channel.id(), basic::Nack { delivery_tag: 1, ..Default::default() }).await;
        let counts = resolves("all", channel.wait_for_confirms()).await.expect("answered");
        assert_eq!((counts.acked, counts.nacked), (0, 1));
        close_clean(connection, &mut peer).await;
    }

    #[tokio::test(start_paused = true)]
    async fn messages_without_an_answer_survive_a_transport_that_is_cut() {
        let (connection, channel, mut peer) =
            confirming(ConfirmOptions::new().retain(true)).await;
        let message = |n: u32| BasicPublish::new("x", "k", n.to_string()).persistent();
        let mut held = channel.basic_publish(message(0)).await.expect("accepted");
        for n in 1..4 {
            drop(channel.basic_publish(message(n)).await.expect("accepted"));
        }
        for _ in 0..4 {
            peer.expect_content::<basic::Publish>(channel.id()).await;
        }
        peer.send(channel.id(), basic::Ack { delivery_tag: 3, multiple: false }).await;
        // The confirm is handled before the end.
        while channel.unconfirmed() > 3 {
            tokio::task::yield_now().await;
        }
        peer.cut();
        resolves("closed", connection.closed()).await;
        let tag = held.delivery_tag();
        let outcome = resolves("the outcome", &mut held).await;
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        assert!(tag.is_some() && held.delivery_tag() == tag, "the tag is known afterwards, too");
        let mut back = vec![held.take_message().expect("kept")];
        back.extend(channel.take_failed());
        let back: Vec<_> = back.into_iter().map(BasicPublish::into_parts).collect();
        let bodies: Vec<_> = back.iter().map(|(_, _, body)| &body[..]).collect();
        assert_eq!(bodies, [b"0", b"1", b"3"]);
        for (publish, properties, _) in back {
            assert_eq!((publish.exchange, publish.routing_key), (short("x"), short("k")));
            assert_eq!(properties.delivery_mode, Some(2));
        }
    }
} else {
    #[tokio::test(start_paused = true)]
    async fn confirms_are_unsupported_before_anything_is_sent() {
        use amqp_connector::{ConfirmOptions, ErrorKind};
        let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
        let channel = open(&connection, &mut peer).await;
        let options = ConfirmOptions::new().retain(true);
        let error = channel.confirm_select_with(options).await.expect_err("unsupported");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let error = channel.wait_for_confirms().await.expect_err("unsupported");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(channel.take_failed().is_empty());
        close_clean(connection, &mut peer).await;
    }
} }

amqp_connector::amqp_types::if_spec! { confirm.select => {
    #[tokio::test(start_paused = true)]
    async fn a_return_before_the_select_ok_is_of_a_publish_before_confirm_mode() {
        use amqp_connector::Outcome;
        use amqp_connector::protocol::confirm;

        let (connection, mut peer) = connection_with(Options::default(), Peer::new()).await;
        let channel = open(&connection, &mut peer).await;
        let mut returns = channel.returns();
        let same = || channel.basic_publish(BasicPublish::new("", "k", "same").mandatory(true));
        assert!(matches!(same().await.expect("sent").await, Outcome::Accepted));
        let mut selected = channel.confirm_select();
        let polled = Pin::new(&mut selected).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        let confirmation = same().await.expect("sent");
        peer.expect_content::<basic::Publish>(channel.id()).await;
        peer.expect_on::<confirm::Select>(channel.id()).await;
        peer.expect_content::<basic::Publish>(channel.id()).await;
        let returned =
            basic::Return { reply_code: 312, routing_key: short("k"), ..Default::default() };
        let properties = basic::Properties::default();
        peer.send_content(channel.id(), returned, properties, b"same").await;
        peer.send(channel.id(), confirm::SelectOk::default()).await;
        peer.send(channel.id(), basic::Ack { delivery_tag: 1, multiple: false }).await;
        resolves("select", selected).await.expect("selected");
        assert!(resolves("confirm", confirmation).await.is_acked());
        let returned = resolves("return", returns.recv()).await.expect("news");
        assert_eq!(returned.body.to_bytes(), "same");
        close_clean(connection, &mut peer).await;
    }
} else {} }
