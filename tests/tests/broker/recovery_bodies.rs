//! Bodies that are under way, in either direction, when the link to a real broker is cut.

use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, BasicPublishStream, Bytes, CloseCause, ErrorKind,
    Prefetch,
};
use amqp_tests::broker_test;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::recovery::{Link, SOON, recovered};
use crate::streaming::{by_hand, count_and_delete, queue};

const PIECE: usize = 200_000;

#[test]
fn a_streamed_publish_that_is_cut_ends_with_the_reason_and_is_never_seen() {
    broker_test(async |t| {
        let (watcher, watching, queue) = queue(t).await;
        let link = Link::default();
        let connection = link.connect(t).await;
        let mut events = connection.events();
        let other = connection.channel_open().await.unwrap();
        for in_tx in [true, false] {
            let (hand, pieces) = by_hand();
            hand.send(Ok(Bytes::from(vec![1; PIECE])));
            let publish = BasicPublishStream::new("", &queue, 1_000_000);
            let publishing = match in_tx {
                true => {
                    let publishing = connection.publish_stream(publish, pieces);
                    tokio::spawn(async { publishing.await.map(drop) })
                }
                false => {
                    let channel = connection.channel_open().await.unwrap();
                    let publishing = channel.basic_publish_stream(publish, pieces);
                    tokio::spawn(async { publishing.await.map(drop) })
                }
            };
            hand.starved(1).await;
            link.cut();
            let error = timeout(SOON, publishing).await.unwrap().unwrap().unwrap_err();
            let cause = error.close_reason().map(|reason| reason.cause());
            // Writing may meet the cut before reading does.
            let cut = [CloseCause::TransportEnded, CloseCause::TransportFailed];
            assert!(cause.is_some_and(|cause| cut.contains(&cause)), "{error}");
            let report = recovered(&mut events).await;
            assert_eq!((report.channels, report.failures.len()), (1, 0), "{report}");
            // What was there before goes on, and so does publishing of streams.
            assert!(other.basic_get(BasicGet::new(&queue)).await.unwrap().is_none());
            let publish = BasicPublishStream::new("", &queue, PIECE as u64);
            let whole = connection.publish_reader(publish, &vec![2; PIECE][..]).await.unwrap();
            assert!(whole.is_acked());
            let got = other.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap().unwrap();
            assert_eq!(got.body.to_bytes(), vec![2; PIECE]);
        }
        connection.close().await;
        assert_eq!(count_and_delete(t, 1, &watching, &queue).await, 0);
        watcher.close().await;
    });
}

#[test]
fn a_body_that_is_cut_while_it_is_read_ends_with_an_error_and_comes_again_whole() {
    broker_test(async |t| {
        let (watcher, watching, queue) = queue(t).await;
        let link = Link::default();
        let connection = link.connect(t).await;
        let mut events = connection.events();
        let channel = connection.channel_open().await.unwrap();
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        let mut consumer = channel.basic_consume_streamed(consume).await.unwrap();
        // More than the sockets hold: it cannot be there whole when the link is cut.
        let body = vec![3; 32 << 20];
        drop(watching.basic_publish(BasicPublish::new("", &queue, body.clone())).await.unwrap());
        let mut half = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(half.body_len, body.len() as u64);
        half.body.chunk().await.unwrap().unwrap();
        link.cut();
        let error = loop {
            match timeout(SOON, half.body.chunk()).await.unwrap() {
                Ok(piece) => drop(piece.expect("an error before its end")),
                Err(error) => break error,
            }
        };
        assert!(error.close_reason().is_some(), "{error}");
        assert!(half.body.remaining() > 0);
        assert_eq!(half.ack().unwrap_err().kind(), ErrorKind::Stale);
        let mut again = timeout(SOON, consumer.recv()).await.unwrap().unwrap();
        assert!(again.redelivered);
        let mut read = Vec::new();
        timeout(SOON, again.body.read_to_end(&mut read)).await.unwrap().unwrap();
        assert_eq!(read, body);
        again.ack().unwrap();
        assert_eq!(recovered(&mut events).await.consumers, 1);
        channel.flush().await.unwrap();
        connection.close().await;
        assert_eq!(count_and_delete(t, 1, &watching, &queue).await, 0);
        watcher.close().await;
    });
}

amqp_connector::amqp_types::if_spec! { confirm.select => {
    use amqp_connector::{ConfirmOptions, Outcome, UnknownReason};

    #[test]
    fn a_large_message_that_is_cut_in_the_middle_is_unknown_or_published_again_as_was_chosen() {
        broker_test(async |t| {
            let (watcher, watching, queue) = queue(t).await;
            let link = Link::default();
            let connection = link.connect(t).await;
            let mut events = connection.events();
            let mut expected = 0;
            for republish in [0, 3] {
                let channel = connection.channel_open().await.unwrap();
                let options = ConfirmOptions::new().republish(republish);
                channel.confirm_select_with(options).await.unwrap();
                let body = vec![4; 32 << 20];
                let message = BasicPublish::new("", &queue, body.clone());
                let large = channel.basic_publish(message).await.unwrap();
                link.cut();
                let outcome = timeout(SOON, large).await.expect("it is known");
                match republish {
                    0 => {
                        let unknown =
                            matches!(outcome, Outcome::Unknown(UnknownReason::Closed(_)));
                        assert!(unknown, "{outcome}");
                        recovered(&mut events).await;
                    }
                    _ => {
                        assert!(outcome.is_acked() && outcome.republished() == 1, "{outcome}");
                        expected += 1;
                        recovered(&mut events).await;
                    }
                }
                let small = BasicPublish::new("", &queue, "small");
                assert!(channel.basic_publish(small).await.unwrap().await.is_acked());
                expected += 1;
                while let Some(got) =
                    watching.basic_get(BasicGet::new(&queue).no_ack(true)).await.unwrap()
                {
                    let whole = got.body.to_bytes();
                    assert!(whole == "small" || whole == body, "{} octets", whole.len());
                    expected -= 1;
                }
            }
            assert_eq!(expected, 0);
            connection.close().await;
            assert_eq!(count_and_delete(t, 1, &watching, &queue).await, 0);
            watcher.close().await;
        });
    }
} else {} }
