//! The dialogues that are walked through; between them they await every public future but those of TCP.
//!
//! Each goes on as far as it can and gives the first error. The futures of calls and closes have deadlines; what waits
//! for messages, room or outcomes ends with the connection.

use std::sync::Mutex;
use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::protocol::{basic, tx};
use amqp_connector::topology::Removal;
use amqp_connector::typed::{Raw, Undecodable};
use amqp_connector::{
    AccessRequest, BasicConsume, BasicGet, BasicPublish, BasicPublishStream, Bytes, Channel,
    Connection, Error, ErrorKind, ExchangeDeclare, Prefetch, QueueBind, QueueDeclare, QueueDelete,
    Topology,
};
use tokio::io::AsyncReadExt as _;
use tokio::join;

use super::run::{CALL, CLOSE, CONNECT, Failed, Walk, Walked};
use super::transport::Tap;

/// A shutdown's deadline.
pub(super) const SHUTDOWN: Duration = Duration::from_secs(7);
/// A topology's, of which the first that is not answered ends the others: an opening, a call, a close.
const STEPS: Duration = Duration::from_secs(100);
/// Two frames, and a body with a queue of its own.
const LARGE: usize = 150_000;
/// Two frames where they are small.
const MEDIUM: usize = 6000;

/// A connection whose driver is a task of the walk, and two channels with watchers.
async fn open(walk: &Walk, tap: Tap) -> Walked<(Connection, Channel, Channel)> {
    let connector = Walk::connector(131_072);
    let greeted =
        walk.within("Connector::connect_with", CONNECT, connector.connect_with(tap)).await?;
    let authenticate = greeted.authenticate_with_driver("guest", "guest");
    let (connection, driver) =
        walk.within("Greeted::authenticate_with_driver", CONNECT, authenticate).await?;
    walk.connected(&connection, Some(driver));
    let (one, other) = join!(
        walk.within("ChannelOpen", CALL, connection.channel_open()),
        walk.within("ChannelOpen", CALL, connection.channel_open()),
    );
    let (one, other) = (one?, other?);
    watch(walk, &one)?;
    let mut returns = other.returns();
    walk.watch("Returns::recv", async move { while returns.recv().await.is_some() {} });
    Ok((connection, one, other))
}

fn watch(walk: &Walk, channel: &Channel) -> Walked {
    let (closed, returned, mut incoming) = (channel.clone(), channel.clone(), channel.incoming()?);
    walk.watch("Channel::closed", async move {
        closed.closed().await;
    });
    walk.watch("Channel::returned", async move { while returned.returned().await.is_ok() {} });
    walk.watch("Incoming::recv", async move { while incoming.recv().await.is_some() {} });
    Ok(())
}

/// What a specification lacks is an error at once, and no end of the dialogue.
pub(super) fn supported<T>(result: Result<T, Error>) -> Walked<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Declaring, publishing with confirms, getting, a transaction, and both closes.
pub(crate) async fn calling(walk: &Walk, tap: Tap) -> Walked {
    let (connection, channel, other) = open(walk, tap).await?;
    let access = walk.within("Access", CALL, other.access_request(AccessRequest::new("/data")));
    supported(access.await)?;
    let (declared, bound, exchange) = join!(
        walk.within("Call", CALL, channel.queue_declare(QueueDeclare::new("q"))),
        walk.within("Call", CALL, channel.queue_bind(QueueBind::new("q", "amq.fanout", ""))),
        walk.within("Call", CALL, other.exchange_declare(ExchangeDeclare::new("e", "direct"))),
    );
    declared?;
    bound?;
    exchange?;
    let again = channel.queue_declare(QueueDeclare::new("q")).repeated();
    walk.within("Call::repeated", CALL, again).await?;
    declaring(walk, &connection).await?;
    let selected = walk.within("Completion::repeated", CALL, channel.confirm_select().repeated());
    supported(selected.await)?;
    publishing(walk, &channel).await?;
    getting(walk, &other).await?;
    if_spec! { tx.select => {
        let third = walk.within("ChannelOpen", CALL, connection.channel_open()).await?;
        walk.within("Completion", CALL, third.tx_select()).await?;
        drop(walk.ends("Publish", third.basic_publish(BasicPublish::new("", "q", "tx"))).await?);
        walk.within("Call", CALL, third.call(tx::Commit::default())).await?;
        // Its last handle: closed in the background.
        drop(third);
    } else {} }
    walk.within("Channel::close_within", SHUTDOWN, other.close_within(SHUTDOWN)).await?;
    walk.within("Channel::close", CLOSE, channel.close()).await?;
    walk.within("Connection::close_within", SHUTDOWN, connection.close_within(SHUTDOWN)).await;
    Ok(())
}

/// A topology, applied, compared and removed: what fails of it is in its reports.
async fn declaring(walk: &Walk, connection: &Connection) -> Walked {
    let topology = Topology::default()
        .with_exchange(ExchangeDeclare::new("t", "topic"))
        .and_then(|it| it.with_queue(QueueDeclare::new("t")))
        .and_then(|it| it.with_queue_binding(QueueBind::new("t", "t", "#")));
    let Ok(topology) = topology else { return Err(Failed::Over) };
    let applied = walk.within("Topology::apply", STEPS, topology.apply(connection)).await;
    walk.note("topology applied:", applied.map(|it| it.is_complete()));
    let compared = walk.within("Topology::compare", STEPS, topology.compare(connection)).await;
    walk.note("topology the same:", compared.map(|it| it.is_same()));
    let removing = topology.remove(connection, Removal::new());
    let removed = walk.within("Topology::remove", STEPS, removing).await;
    walk.note("topology removed:", removed.map(|it| it.is_complete()));
    match connection.close_reason() {
        Some(_) => Err(Failed::Over),
        None => Ok(()),
    }
}

async fn publishing(walk: &Walk, channel: &Channel) -> Walked {
    supported(walk.within("Completion", CALL, channel.confirm_select()).await)?;
    let publish = |key, body: Bytes| {
        walk.ends(
            "Publish",
            channel.basic_publish(BasicPublish::new("", key, body).mandatory(true)),
        )
    };
    let (small, nowhere, large) = join!(
        publish("q", Bytes::from_static(b"small")),
        publish("nowhere", Bytes::from_static(b"back")),
        publish("q", vec![7; LARGE].into()),
    );
    let (small, nowhere, large) = (small?, nowhere?, large?);
    let outcomes = join!(
        walk.ends("Confirmation", small),
        walk.ends("Confirmation", nowhere),
        walk.ends("Confirmation", large),
    );
    for outcome in [outcomes.0, outcomes.1, outcomes.2] {
        walk.note("outcome:", outcome);
    }
    drop(walk.ends("Publish", channel.basic_publish(BasicPublish::new("", "q", "last"))).await?);
    supported(walk.ends("Channel::wait_for_confirms", channel.wait_for_confirms()).await)?;
    walk.ends("Channel::flush", channel.flush()).await?;
    Ok(())
}

async fn getting(walk: &Walk, channel: &Channel) -> Walked {
    if let Some(got) = walk.within("Get", CALL, channel.basic_get(BasicGet::new("q"))).await? {
        got.ack()?;
    }
    let get = basic::Get { queue: "q".try_into().expect("short"), ..Default::default() };
    let got = walk.within("CallWithContent", CALL, channel.call_with_content(get)).await?;
    if let (basic::GetReply::Ok(_), _) = got {
        walk.within("Recover", CALL, channel.basic_recover(true)).await?;
    }
    Ok(())
}

/// A connection with a driver of its own, a channel, and messages in a queue: two small ones and one of two frames.
pub(super) async fn with_messages(walk: &Walk, tap: Tap) -> Walked<(Connection, Channel)> {
    let connector = Walk::connector(4096);
    let once = Mutex::new(Some(tap));
    let dial = move || {
        let tap = once.lock().expect("nobody panics with it").take();
        async { tap.ok_or_else(|| std::io::ErrorKind::NotConnected.into()) }
    };
    let greeted = walk.within("Connector::connect_by", CONNECT, connector.connect_by(dial)).await?;
    let authenticate = greeted.authenticate("guest", "guest");
    let connection = walk.within("Greeted::authenticate", CONNECT, authenticate).await?;
    walk.connected(&connection, None);
    let channel = walk.within("ChannelOpen", CALL, connection.channel_open()).await?;
    walk.within("Call", CALL, channel.queue_declare(QueueDeclare::new("q"))).await?;
    for size in [5, 0, MEDIUM] {
        let message = BasicPublish::new("", "q", vec![1; size]);
        drop(walk.ends("Publish", channel.basic_publish(message)).await?);
    }
    Ok((connection, channel))
}

fn consume() -> BasicConsume {
    BasicConsume::new("q", Prefetch::Count(2))
}

/// Consuming whole messages: settling, cancelling, shutting down, and being cancelled.
pub(crate) async fn consuming(walk: &Walk, tap: Tap) -> Walked {
    let (connection, channel) = with_messages(walk, tap).await?;
    let mut consumer = walk.within("Consume", CALL * 2, channel.basic_consume(consume())).await?;
    let first = walk.ends("Recv", consumer.recv()).await.ok_or(Failed::Over)?;
    let mut typed = consumer.typed::<Bytes, _>(Raw);
    let second = walk.ends("typed::TypedConsumer::recv", typed.recv()).await.ok_or(Failed::Over)?;
    // What another octet than was sent makes of a content type may be no text.
    let second = second.map_or_else(Undecodable::into_delivery, |second| second.delivery);
    let mut consumer = typed.into_consumer();
    first.ack()?;
    second.nack(true)?;
    walk.within("Consumer::cancel", CALL, consumer.cancel()).await?;
    while let Some(delivery) = walk.ends("Recv", consumer.recv()).await {
        delivery.reject(true)?;
    }
    drop(consumer);
    let mut consumer = walk.within("Consume", CALL * 2, channel.basic_consume(consume())).await?;
    let held = walk.ends("Recv", consumer.recv()).await.ok_or(Failed::Over)?;
    let (report, settled) =
        join!(walk.within("Consumer::shutdown", SHUTDOWN, consumer.shutdown(SHUTDOWN)), async {
            held.reject(true)
        },);
    settled?;
    walk.note("shutdown is complete:", report.is_complete());

    // The broker cancels this one.
    let mut consumer = walk.within("Consume", CALL * 2, channel.basic_consume(consume())).await?;
    let admin = walk.within("ChannelOpen", CALL, connection.channel_open()).await?;
    walk.within("Call", CALL, admin.queue_delete(QueueDelete::new("q"))).await?;
    let mut left = 0;
    while let Some(delivery) = walk.ends("Recv", consumer.recv()).await {
        drop(delivery);
        left += 1;
        if left > 10 {
            return Err(Failed::Over);
        }
    }
    walk.note("consumer:", consumer.end().expect("it is over"));
    Ok(())
}

/// Consuming bodies as streams.
pub(crate) async fn reading(walk: &Walk, tap: Tap) -> Walked {
    let (_connection, channel) = with_messages(walk, tap).await?;
    let streamed = channel.basic_consume_streamed(consume());
    let mut consumer = walk.within("ConsumeStreamed", CALL * 2, streamed).await?;
    for _ in 0..3 {
        let recv = consumer.recv();
        let mut delivery = walk.ends("RecvStreamed", recv).await.ok_or(Failed::Over)?;
        while walk.ends("BodyStream::chunk", delivery.body.chunk()).await?.is_some() {}
        delivery.reject(true)?;
    }
    walk.within("StreamConsumer::cancel", CALL, consumer.cancel()).await?;
    drop(consumer);
    let streamed = channel.basic_consume_streamed(consume());
    let mut consumer = walk.within("ConsumeStreamed", CALL * 2, streamed).await?;
    let recv = consumer.recv();
    let delivery = walk.ends("RecvStreamed", recv).await.ok_or(Failed::Over)?;
    let (report, settled) = join!(
        walk.within("StreamConsumer::shutdown", SHUTDOWN, consumer.shutdown(SHUTDOWN)),
        async { delivery.nack(false) },
    );
    settled?;
    walk.note("shutdown is complete:", report.is_complete());
    Ok(())
}

/// Publishing bodies from streams and readers, with a channel of their own and without.
pub(crate) async fn streaming(walk: &Walk, tap: Tap) -> Walked {
    let (connection, channel) = with_messages(walk, tap).await?;
    let publish = || BasicPublishStream::new("", "q", MEDIUM as u64);
    let reader = || tokio::io::repeat(1).take(MEDIUM as u64);
    // Several calls, each with its deadline: open, select, commit.
    let limit = CALL * 4;
    let published = connection.publish_stream(publish(), pieces());
    walk.note("outcome:", walk.within("Connection::publish_stream", limit, published).await?);
    let published = connection.publish_reader(publish(), reader());
    walk.note("outcome:", walk.within("Connection::publish_reader", limit, published).await?);
    let published = channel.basic_publish_stream(publish(), pieces());
    let confirmation = walk.within("Channel::basic_publish_stream", limit, published).await?;
    walk.note("outcome:", walk.ends("Confirmation", confirmation).await);
    let published = channel.basic_publish_reader(publish(), reader());
    let confirmation = walk.within("Channel::basic_publish_reader", limit, published).await?;
    walk.note("outcome:", walk.ends("Confirmation", confirmation).await);
    Ok(())
}

fn pieces() -> crate::streaming::ByHand {
    let (hand, pieces) = crate::streaming::by_hand();
    for _ in 0..3 {
        hand.send(Ok(vec![1; MEDIUM / 3].into())).expect("kept");
    }
    pieces
}

/// What the broker does of its own accord: it blocks and unblocks, closes a channel and then the connection.
pub(crate) async fn obeying(walk: &Walk, tap: Tap) -> Walked {
    let (connection, channel, other) = open(walk, tap).await?;
    supported(walk.within("Completion", CALL, channel.confirm_select()).await)?;
    walk.within("Call", CALL, channel.queue_declare(QueueDeclare::new("q"))).await?;
    if_spec! { connection.blocked => {
        let mut blocked = connection.blocked();
        walk.broker.block("low on memory");
        let first = BasicPublish::new("", "q", "first");
        drop(walk.ends("Publish", channel.basic_publish(first)).await?);
        walk.ends("BlockedWatch::changed", blocked.changed()).await?;
    } else {} }
    let (published, call, ()) = join!(
        walk.ends("Publish", channel.basic_publish(BasicPublish::new("", "q", "m"))),
        // Its time stands still while the connection is blocked.
        walk.ends("Call", other.call(basic::Qos { prefetch_count: 5, ..Default::default() })),
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            walk.broker.unblock();
        },
    );
    call?;
    walk.note("outcome:", walk.ends("Confirmation", published?).await);

    let mut consumer = walk.within("Consume", CALL * 2, channel.basic_consume(consume())).await?;
    let held = walk.ends("Recv", consumer.recv()).await.ok_or(Failed::Over)?;
    let missing = QueueDeclare::new("missing").passive(true);
    let refused = walk.within("Call", CALL, channel.queue_declare(missing)).await;
    if refused.is_err_and(|error| error.kind() == ErrorKind::ChannelClosed) {
        let reason = walk.ends("Channel::closed", channel.closed()).await;
        walk.note("channel:", reason.cause());
        while walk.ends("Recv", consumer.recv()).await.is_some() {}
        // Each step has the deadline of a call: the close, the open, confirms, prefetch, a consumer, prefetch again.
        let reopened = walk.within("Channel::reopen", CALL * 6, channel.reopen()).await?;
        walk.note("reopened:", (reopened.consumers, reopened.failures.len()));
        drop(held);
        walk.ends("Recv", consumer.recv()).await.ok_or(Failed::Over)?.ack()?;
    }
    sending(walk, &other).await?;
    walk.broker.close_connections(320, "CONNECTION_FORCED - maintenance");
    walk.ends("Connection::closed", connection.closed()).await;
    Ok(())
}

/// A content of another class. The broker in memory has none, and ends the connection.
async fn sending(walk: &Walk, channel: &Channel) -> Walked {
    if_spec! { file.stage => {
        use amqp_connector::protocol::file;
        let (stage, properties) = (file::Stage::default(), file::Properties::default());
        let sent = channel.send_content(stage, properties, vec![0; 1000]);
        walk.ends("Channel::send_content", sent).await?;
    } else {
        let (publish, properties) = (basic::Publish::default(), basic::Properties::default());
        let sent = channel.send_content(publish, properties, "x");
        let error = walk.ends("Channel::send_content", sent).await.expect_err("it has a better one");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    } }
    Ok(())
}
