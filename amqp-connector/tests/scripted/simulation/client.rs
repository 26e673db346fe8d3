//! What the client does: some of everything, as its plan says.

use std::pin::pin;
use std::time::Duration;

use amqp_connector::testing::{Faulty, Leftovers, Rng, leftovers};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Connector, Error, Options, Outcome,
    Prefetch, QueueDeclare, UnknownReason,
};

use super::plan::{Farewell, Plan};
use crate::support::{poll_and_drop, resolves};

/// The whole session; an error is any that a step gave.
pub(super) async fn session(
    plan: &Plan,
    io: Faulty<tokio::io::DuplexStream>,
) -> Result<(), String> {
    let options = {
        let mut options = Options::default();
        options.outbound_budget = 100_000;
        options.unconfirmed_max = 5;
        options
    };
    let connector = Connector::new().options(options);
    let greeted = resolves("connect", connector.connect_with(io)).await;
    let greeted = greeted.map_err(|error| error.to_string())?;
    let opened = resolves("authenticate", greeted.authenticate_with_driver("guest", "guest")).await;
    let (connection, driver) = opened.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(driver);

    let result = match plan.busy {
        true => {
            let (both, beside) = tokio::join!(
                resolves("the work", work(plan, &connection)),
                resolves("the work beside", work_beside(plan, &connection))
            );
            both.and(beside)
        }
        false => resolves("the work", work(plan, &connection)).await,
    };
    leave(plan, connection, driver).await;
    result.map_err(|error| error.to_string())
}

/// Ends the connection; nothing of it is left then.
async fn leave(plan: &Plan, connection: Connection, driver: tokio::task::JoinHandle<()>) {
    let reason = match plan.farewell {
        Farewell::Close => resolves("close", connection.close()).await,
        Farewell::AtOnce => resolves("close", connection.close_within(Duration::ZERO)).await,
        Farewell::Twice => {
            let (one, other) = tokio::join!(connection.close(), connection.close());
            assert_eq!(one.text(), other.text());
            one
        }
        Farewell::Abort => {
            connection.abort();
            resolves("closed", connection.closed()).await
        }
        Farewell::Drop => {
            drop(connection);
            return resolves("the driver", driver).await.expect("the driver does not panic");
        }
    };
    resolves("the driver", driver).await.expect("the driver does not panic");
    assert_eq!(leftovers(&connection), Leftovers::default(), "{plan:#?}");
    assert!(connection.close_reason().is_some_and(|again| again.text() == reason.text()));
}

/// Another task on the same connection, which ends its channel by two closes at once.
async fn work_beside(plan: &Plan, connection: &Connection) -> Result<(), Error> {
    let channel = step(connection.channel_open()).await?;
    for n in 0..plan.messages {
        let message = BasicPublish::new("", "void", vec![n as u8; n * 100]);
        let accepted = step(channel.basic_publish(message)).await?;
        assert!(matches!(resolves("an outcome", accepted).await, Outcome::Accepted));
        let none = step(channel.basic_get(BasicGet::new("none"))).await?;
        assert!(none.is_none());
    }
    let (mut one, mut other) = (pin!(channel.close()), pin!(channel.close()));
    let (one, other) = resolves("two closes", async { tokio::join!(&mut one, &mut other) }).await;
    one.and(other)
}

async fn work(plan: &Plan, connection: &Connection) -> Result<(), Error> {
    let mut rng = Rng::new(plan.seed ^ 0x5eed);
    let channel = step(connection.channel_open()).await?;
    let other = step(connection.channel_open()).await?;
    if let Err(error) = step(channel.confirm_select()).await
        && error.kind() != amqp_connector::ErrorKind::Unsupported
    {
        return Err(error);
    }
    step(other.queue_declare(QueueDeclare::new("work"))).await?;
    begin_and_drop(plan, &mut rng, connection, &channel).await;
    let published = publish(plan, &mut rng, &channel).await?;
    if channel.close_reason().is_some() {
        // What was published last may or may not be in the queue.
        return Ok(());
    }
    begin_and_drop(plan, &mut rng, connection, &other).await;
    let mut received = 0;
    if let Some(delivery) = step(other.basic_get(BasicGet::new("work"))).await? {
        delivery.ack()?;
        received += 1;
    }
    let consume = BasicConsume::new("work", Prefetch::Count(10));
    let mut consumer = step(other.basic_consume(consume)).await?;
    while received < published {
        let Some(delivery) = resolves("recv", consumer.recv()).await else {
            let end = consumer.end().expect("a consumer that is over says why");
            assert!(connection.close_reason().is_some() || other.close_reason().is_some(), "{end}");
            break;
        };
        received += 1;
        match rng.below(4) {
            0 => delivery.nack(false)?,
            1 => delivery.reject(false)?,
            _ => delivery.ack()?,
        }
    }
    begin_and_drop(plan, &mut rng, connection, &other).await;
    step(other.flush()).await?;
    step(consumer.cancel()).await?;
    drop(consumer);
    begin_and_drop(plan, &mut rng, connection, &channel).await;
    step(other.close()).await?;
    if rng.one_in(2) {
        step(channel.close()).await?;
    }
    Ok(())
}

/// Publishes, and awaits every outcome. Gives how many messages went to the queue.
async fn publish(plan: &Plan, rng: &mut Rng, channel: &Channel) -> Result<usize, Error> {
    let mut confirmations = Vec::new();
    let mut routed = 0;
    let mut failed = None;
    for n in 0..plan.messages {
        let size = if rng.one_in(4) { rng.below(plan.largest) } else { rng.below(100) };
        let nowhere = rng.one_in(5);
        let key = if nowhere { "nowhere" } else { "work" };
        let message = BasicPublish::new("", key, vec![n as u8; size]).mandatory(nowhere);
        match step(channel.basic_publish(message)).await {
            Ok(confirmation) => {
                routed += usize::from(!nowhere);
                confirmations.push((nowhere, confirmation));
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        if rng.one_in(4) {
            let wait = Duration::from_millis(rng.below(20) as u64);
            tokio::time::sleep(wait).await;
        }
        // As many as the limit unawaited would be an error.
        if confirmations.len() > 3 {
            settle(plan, &mut confirmations, channel).await;
        }
    }
    settle(plan, &mut confirmations, channel).await;
    failed.map_or(Ok(routed), Err)
}

async fn settle(
    plan: &Plan,
    confirmations: &mut Vec<(bool, amqp_connector::Confirmation)>,
    channel: &Channel,
) {
    // The broker of these tests keeps some confirms back until something is fetched.
    let none = resolves("get", channel.basic_get(BasicGet::new("none"))).await;
    assert!(!matches!(none, Ok(Some(_))));
    for (nowhere, confirmation) in confirmations.drain(..) {
        match resolves("a confirmation", confirmation).await {
            Outcome::Acked => assert!(!nowhere, "a returned message is not acked: {plan:#?}"),
            Outcome::Returned(_) => assert!(nowhere),
            Outcome::Unknown(UnknownReason::Closed(_)) => {
                assert!(channel.close_reason().is_some(), "{plan:#?}");
            }
            Outcome::Accepted => assert!(channel.unconfirmed() == 0),
            other => panic!("{other:?} in {plan:#?}"),
        }
    }
}

/// One step of the session.
async fn step<F: IntoFuture>(future: F) -> F::Output {
    resolves("a step", future.into_future()).await
}

/// An impatient client begins something and lets go of it, before or after it was sent, or answered.
async fn begin_and_drop(plan: &Plan, rng: &mut Rng, connection: &Connection, channel: &Channel) {
    if !plan.impatient {
        return;
    }
    let polls = rng.below(6);
    match rng.below(8) {
        0 => drop(poll_and_drop(polls, connection.channel_open()).await),
        1 => drop(poll_and_drop(polls, channel.queue_declare(QueueDeclare::new(""))).await),
        2 => {
            if let Some(Ok(Some(delivery))) =
                poll_and_drop(polls, channel.basic_get(BasicGet::new("work"))).await
            {
                let _ = delivery.nack(true);
            }
        }
        3 => {
            let consume = BasicConsume::new("work", Prefetch::Count(1));
            drop(poll_and_drop(polls, channel.basic_consume(consume)).await);
        }
        4 | 5 => {
            let size = if rng.one_in(3) { rng.below(plan.largest) } else { 10 };
            let message = BasicPublish::new("", "void", vec![0; size]);
            drop(poll_and_drop(polls, channel.basic_publish(message)).await);
        }
        6 => drop(poll_and_drop(polls, channel.flush()).await),
        _ => drop(poll_and_drop(polls, channel.returned()).await),
    }
}
