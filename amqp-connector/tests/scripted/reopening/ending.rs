//! Reopening that is not done, is given up, or fails: the channel is as it was, nobody hangs and nothing is left.

use amqp_connector::protocol::{basic, channel};
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::testing::{Leftovers, leftovers};
use amqp_connector::{ErrorKind, QueueDeclare, Recovery};

use super::{consume, fail, open, publish, read_out, round_trip};
use crate::recovery::{self, lost};
use crate::support::await_no_tasks;
use crate::support::{self, poll_and_drop, resolves};

#[tokio::test(start_paused = true)]
async fn an_open_channel_has_nothing_to_be_reopened() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    let (id, epoch) = (channel.id(), channel.epoch());
    let reopened = channel.reopen().await.expect("it is open");
    assert_eq!((reopened.epoch, reopened.consumers, channel.id()), (epoch, 0, id));
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_program_has_closed_stays_closed() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    let other = connection.channel_open().await.expect("a channel");
    channel.close().await.expect("closed");
    let error = channel.reopen().await.expect_err("the program has closed it");
    assert_eq!(error.kind(), ErrorKind::ChannelClosed);
    fail(&other).await;
    connection.close().await;
    for channel in [channel, other] {
        let error = channel.reopen().await.expect_err("the connection is closed");
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_calls_one_reopens_and_the_others_wait_for_it() {
    let broker = MemoryBroker::start();
    let (connection, channel) = open(&broker).await;
    let _consumer = consume(&channel, "q").await;
    fail(&channel).await;
    let calls: Vec<_> = (0..5).map(|_| tokio::spawn(channel.reopen())).collect();
    let mut consumers = 0;
    for call in calls {
        let reopened = call.await.expect("no panic").expect("reopened");
        assert_eq!(reopened.epoch, channel.epoch(), "all have the same");
        consumers += reopened.consumers;
    }
    assert_eq!(consumers, 1);
    assert_eq!(broker.queue("q").expect("there").consumers, 1);
    connection.close().await;
}

#[tokio::test(start_paused = true)]
async fn reopening_that_is_dropped_leaves_a_closed_channel_that_can_be_reopened() {
    let mut resolved = 0;
    for polls in 0..12 {
        let broker = MemoryBroker::start();
        let (connection, channel) = open(&broker).await;
        let mut consumer = consume(&channel, "q").await;
        publish(&channel, "q", "m").await;
        drop(consumer.recv().await.expect("a delivery"));
        fail(&channel).await;
        let reopened = poll_and_drop(polls, channel.reopen()).await;
        resolved += usize::from(reopened.is_some());
        match reopened {
            Some(reopened) => drop(reopened.expect("reopened")),
            None => {
                let reason = channel.close_reason().expect("it is closed");
                assert_eq!(reason.code().map(|code| code.0), Some(404), "after {polls} polls");
                let closed = resolves("closed", channel.closed()).await;
                assert!(std::sync::Arc::ptr_eq(&closed, &reason));
                read_out(&mut consumer).await;
                assert!(consumer.end().is_some());
                let second = resolves("reopen", channel.reopen()).await.expect("reopened");
                assert_eq!(second.consumers, 1, "after {polls} polls");
            }
        }
        consumer.recv().await.expect("it comes again").ack().expect("settled");
        round_trip(&channel).await;
        assert_eq!(broker.queue("q").expect("there").messages_ready, 0);
        drop(consumer);
        resolves("close", channel.close()).await.expect("closed");
        drop(channel);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(leftovers(&connection), Leftovers::default(), "after {polls} polls");
        connection.close().await;
        drop((connection, broker));
        await_no_tasks().await;
    }
    assert!(resolved > 0, "twelve polls are enough");
}

#[tokio::test(start_paused = true)]
async fn a_channel_whose_handles_are_dropped_while_it_is_closed_or_reopened_leaves_nothing() {
    for polls in 0..12 {
        let broker = MemoryBroker::start();
        let (connection, channel) = open(&broker).await;
        let consumer = consume(&channel, "q").await;
        fail(&channel).await;
        let reopening = channel.reopen();
        drop((channel, consumer));
        drop(poll_and_drop(polls, reopening).await);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(leftovers(&connection), Leftovers::default(), "after {polls} polls");
        assert_eq!(broker.queue("q").expect("there").consumers, 0);
        connection.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_on_the_way_fails_it_and_it_succeeds_when_that_is_back() {
    for polls in 0..8 {
        let broker = MemoryBroker::start();
        let connection = recovery::connect(&broker, Recovery::new()).await;
        let (channel, mut events) =
            (connection.channel_open().await.expect("a channel"), connection.events());
        channel.queue_declare(QueueDeclare::new("q").durable(true)).await.expect("declared");
        let mut consumer = consume(&channel, "q").await;
        fail(&channel).await;
        let mut reopening = Box::pin(channel.reopen());
        let early = poll_and_drop(polls, reopening.as_mut()).await;
        broker.cut();
        lost(&connection).await;
        match early {
            Some(reopened) => drop(reopened.expect("it was quick")),
            None => {
                let error = resolves("reopen", reopening).await.expect_err("lost");
                assert!(error.is_transient(), "{error}");
                let error = channel.reopen().await.expect_err("lost");
                assert_eq!(error.kind(), ErrorKind::Recovering, "{error}");
            }
        }
        let report = recovery::wholly_recovered(&mut events).await;
        assert!(report.channels <= 1);
        drop(resolves("reopen", channel.reopen()).await.expect("reopened"));
        publish(&channel, "q", "m").await;
        consumer.recv().await.expect("a delivery").ack().expect("settled");
        round_trip(&channel).await;
        connection.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_on_the_way_ends_it() {
    let mut failed = 0;
    for polls in 0..8 {
        let broker = MemoryBroker::start();
        let (connection, channel) = open(&broker).await;
        let consumer = consume(&channel, "q").await;
        fail(&channel).await;
        let mut reopening = Box::pin(channel.reopen());
        let early = poll_and_drop(polls, reopening.as_mut()).await;
        if early.is_none() {
            broker.cut();
            // The last answer may have come before.
            if let Err(error) = resolves("reopen", reopening).await {
                assert_eq!(error.kind(), ErrorKind::ConnectionClosed, "{error}");
                failed += 1;
            }
            connection.closed().await;
            let error = channel.reopen().await.expect_err("over");
            assert_eq!(error.kind(), ErrorKind::ConnectionClosed, "{error}");
        }
        drop((channel, consumer));
        connection.close().await;
        assert_eq!(leftovers(&connection), Leftovers::default(), "after {polls} polls");
    }
    assert!(failed > 2, "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_closed_by_the_program_while_it_is_reopened_is_closed() {
    for polls in 1..6 {
        let broker = MemoryBroker::start();
        let (connection, channel) = open(&broker).await;
        let _consumer = consume(&channel, "q").await;
        fail(&channel).await;
        let mut reopening = Box::pin(channel.reopen());
        if poll_and_drop(polls, reopening.as_mut()).await.is_none() {
            let (closed, reopened) = tokio::join!(channel.close(), reopening);
            closed.expect("closed");
            let error = reopened.expect_err("the program has closed it");
            assert_eq!(error.kind(), ErrorKind::ChannelClosed, "{error}");
            let error = channel.reopen().await.expect_err("the program has closed it");
            assert_eq!(error.kind(), ErrorKind::ChannelClosed, "{error}");
        }
        assert_eq!(connection.close_reason().map(|reason| reason.to_string()), None);
        connection.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_answers_nothing_fails_it_in_time_and_it_can_be_tried_again() {
    let (connection, channel, mut peer) = support::channel().await;
    peer.close_channel(channel.id(), 404, "NOT_FOUND").await;
    channel.closed().await;
    let error = resolves("reopen", channel.reopen()).await.expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(channel.close_reason().and_then(|it| it.code()).map(|it| it.0), Some(404));
    let (first, _) = peer.expect::<channel::Open>().await;
    let _: channel::Close = peer.expect_on(first).await;
    // The next waits for the answer to that close; there is none.
    let error = resolves("reopen", channel.reopen()).await.expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    peer.send(first, channel::CloseOk::default()).await;
    let (reopened, _) = tokio::join!(channel.reopen(), peer.open_channel());
    drop(reopened.expect("reopened"));
    drop(
        channel.basic_publish(amqp_connector::BasicPublish::new("", "q", "m")).await.expect("open"),
    );
    let _ = peer.expect_content::<basic::Publish>(channel.id()).await;
    drop(channel);
    peer.close_connection(320, "CONNECTION_FORCED").await;
    connection.closed().await;
}
