//! Whole sessions over a transport with faults, by seed, in virtual time.
//!
//! Each seed chooses the transport's faults (partial reads and writes, delays, storms of pending, a cut, a
//! reset, one half ended, silence; in each direction, after any number of octets), the broker's mood (it
//! may close the channel or the connection, vanish, or fall mute) and the client's doings. Whatever
//! happens: every future resolves within its deadlines, nothing panics, the broker sees no frame out of
//! order, every confirmation has an outcome, the driver ends, and the connection's tables are empty.
//! Without faults everything succeeds, too.
//!
//! A failure prints its seed. `AMQP_SIM_SEED=<seed>` runs that one alone and prints what the broker saw;
//! `AMQP_SIM_SEEDS=<n>` runs n seeds instead of 1500, beginning at `AMQP_SIM_FIRST` (0).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use amqp_connector::testing::{Ending, Faults, Faulty, Leftovers, Peer, Rng, leftovers};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Channel, Connection, Connector, Error, Options, Outcome,
    Prefetch, QueueDeclare, UnknownReason,
};

use crate::broker::{Broker, Mood, Verdict};
use crate::support::{poll_and_drop, resolves};

const SEEDS: u64 = 1500;

#[test]
fn sessions_survive_any_transport() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("AMQP_SIM_SEED") {
        return run(seed, true);
    }
    let first = number("AMQP_SIM_FIRST").unwrap_or(0);
    let seeds = first..first + number("AMQP_SIM_SEEDS").unwrap_or(SEEDS);
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed, false))) {
            eprintln!("seed {seed} failed; replay it with AMQP_SIM_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

/// What one seed stands for.
#[derive(Debug)]
struct Plan {
    seed: u64,
    inbound: Faults,
    outbound: Faults,
    mood: Mood,
    pipe: usize,
    messages: usize,
    largest: usize,
    /// Whether the client lets go of futures before they resolve.
    impatient: bool,
}

impl Plan {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let piece = [0, 0, 3, 40, 4000][rng.below(5)];
        // A deadline must not pass merely because octets come one by one.
        let largest = if piece == 0 || piece > 1000 { 150_000 } else { 600 };
        let (inbound, outbound) = match rng.below(6) {
            0 => (Ending::Never, Ending::Never),
            1..4 => (Ending::Never, ending(&mut rng)),
            _ => (ending(&mut rng), Ending::Never),
        };
        let mood = match rng.below(12) {
            0 => Mood::ClosesChannel(5 + rng.below(30)),
            1 => Mood::ClosesConnection(5 + rng.below(30)),
            2 => Mood::Vanishes(rng.below(40)),
            3 => Mood::Mute(rng.below(40)),
            4 => Mood::Pauses(5 + rng.below(30)),
            5 => Mood::Blocks(5 + rng.below(30)),
            _ => Mood::Friendly,
        };
        Self {
            seed,
            inbound: faults(&mut rng, piece, inbound),
            outbound: faults(&mut rng, piece, outbound),
            mood,
            pipe: [64, 1000, 64 << 10][rng.below(3)],
            messages: rng.below(12),
            largest,
            impatient: rng.one_in(4),
        }
    }

    /// Whether nothing stands in the way of success.
    fn is_harmless(&self) -> bool {
        self.inbound.ending == Ending::Never
            && self.outbound.ending == Ending::Never
            && matches!(self.mood, Mood::Friendly | Mood::Pauses(_) | Mood::Blocks(_))
    }
}

fn ending(rng: &mut Rng) -> Ending {
    [Ending::Cut, Ending::Reset, Ending::HalfOpen, Ending::Silence][rng.below(4)]
}

fn faults(rng: &mut Rng, piece: usize, ending: Ending) -> Faults {
    // Small numbers cut in the handshake, larger ones in the middle of what follows.
    let octets = match rng.below(3) {
        0 => rng.below(600),
        1 => rng.below(3000),
        _ => rng.below(100_000),
    };
    Faults {
        piece,
        pending: [0, 2, 10][rng.below(3)],
        delay: [0, 20][rng.below(2)],
        longest: Duration::from_millis(20),
        octets,
        ending,
    }
}

fn run(seed: u64, verbose: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(simulate(&Plan::new(seed), verbose));
}

async fn simulate(plan: &Plan, verbose: bool) {
    if verbose {
        eprintln!("{plan:#?}");
    }
    let (io, peer) = Peer::with_pipe(plan.pipe);
    let io = Faulty::new(io, plan.seed, plan.inbound, plan.outbound);
    let (seed, mood) = (plan.seed, plan.mood);
    let broker = tokio::spawn(async move {
        let mut broker = Broker::new(peer, seed, mood);
        let verdict = broker.run().await;
        (verdict, broker.messages(), broker.log)
    });
    let result = session(plan, io).await;
    let (verdict, messages, log) =
        resolves("the broker", broker).await.expect("the broker does not panic");
    if verbose {
        eprintln!("{}\nresult {result:?}\nverdict {verdict:?}", log.join("\n"));
    }
    assert!(!matches!(verdict, Verdict::Broken(_)), "{verdict:?} by {plan:#?}");
    if plan.is_harmless() {
        assert!(result.is_ok(), "{result:?} although nothing failed: {plan:#?}");
        assert_eq!((verdict, messages), (Verdict::Over, 0), "{plan:#?}");
    }
}

/// The whole session; an error is any that a step gave.
async fn session(plan: &Plan, io: Faulty<tokio::io::DuplexStream>) -> Result<(), String> {
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

    let result = resolves("the work", work(plan, &connection)).await;
    let reason = resolves("close", connection.close()).await;
    resolves("the driver", driver).await.expect("the driver does not panic");
    assert_eq!(leftovers(&connection), Leftovers::default(), "{plan:#?}");
    assert!(connection.close_reason().is_some_and(|again| again.text() == reason.text()));
    result.map_err(|error| error.to_string())
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
