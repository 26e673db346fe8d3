//! What the client does meanwhile: some of everything, each thing to its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp_connector::testing::{Leftovers, Rng, leftovers};
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, BasicPublishStream, Channel, Connection, Connector,
    Event, Options, Prefetch, QueueDeclare, Recovery,
};
use tokio::io::DuplexStream;
use tokio::time::timeout;

use crate::Seen;
use crate::server::Server;

/// Longer than all deadlines of a session together.
const FOREVER: Duration = Duration::from_secs(36_000);

/// What has no deadline of its own is waited for so long.
const A_WHILE: Duration = Duration::from_secs(100);

async fn resolves<F: IntoFuture>(what: &str, future: F) -> F::Output {
    match timeout(FOREVER, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not resolve"),
    }
}

/// Budgets far below what a server may send.
fn options(rng: &mut Rng) -> Options {
    let mut options = Options::default();
    options.outbound_budget = 100_000;
    options.consumer_budget = 200_000;
    options.body_max = 100_000;
    options.retained_budget = 100_000;
    options.unconfirmed_max = 100;
    options.frame_max = [0, 4096, 131_072][rng.below(3)];
    options
}

type Ends = Arc<Mutex<Vec<tokio::task::JoinHandle<u64>>>>;

/// A transport to a new server.
fn dial(rng: &mut Rng, servers: &Ends) -> DuplexStream {
    let (io, other) = tokio::io::duplex(1 << (8 + rng.below(9)));
    let server = Server::new(other, Rng::new(rng.next_u64()));
    servers.lock().unwrap().push(tokio::spawn(server.run()));
    io
}

pub(crate) async fn session(mut rng: Rng, seen: &mut Seen) {
    let servers = Ends::default();
    let connector = Connector::new().options(options(&mut rng));
    let connection = match rng.one_in(3) {
        true => {
            let recovery = Recovery::new().max_attempts(3);
            let (dials, seed) = (servers.clone(), rng.next_u64());
            let mut rng = Rng::new(seed);
            let seeds: Vec<u64> = (0..20).map(|_| rng.next_u64()).collect();
            let left = Mutex::new(seeds);
            let dial = move || {
                let seed = left.lock().unwrap().pop();
                let io = seed.map(|seed| dial(&mut Rng::new(seed), &dials));
                async move { io.ok_or(std::io::ErrorKind::ConnectionRefused.into()) }
            };
            let connecting = async {
                let greeted = connector.recovery(recovery).connect_by(dial).await?;
                greeted.authenticate("guest", "guest").await
            };
            resolves("connecting", connecting).await
        }
        false => {
            let io = dial(&mut rng, &servers);
            let connecting =
                async { connector.connect_with(io).await?.authenticate("guest", "guest").await };
            resolves("connecting", connecting).await
        }
    };
    if let Ok(connection) = connection {
        seen.opened = true;
        (seen.recovered, seen.end) = work(&mut rng, connection).await;
    }
    loop {
        let Some(server) = servers.lock().unwrap().pop() else { break };
        // The transport is gone, so that it ends, too.
        seen.frames += resolves("the server", server).await.expect("it does not panic");
    }
}

/// Gives whether the connection was lost and was to come back, and how it ended.
async fn work(rng: &mut Rng, connection: Connection) -> (bool, String) {
    let mut events = connection.events();
    let watching = tokio::spawn(async move {
        let mut recovered = false;
        while let Some(event) = events.recv().await {
            assert!(event.to_string().len() < 10_000);
            recovered |= matches!(event, Event::Recovering { .. });
        }
        recovered
    });
    let mut rngs = [(); 3].map(|()| Rng::new(rng.next_u64()));
    let [one, two, three] = &mut rngs;
    tokio::join!(
        publishing(one, &connection),
        consuming(two, &connection),
        streaming(three, &connection)
    );
    match rng.below(3) {
        0 => connection.abort(),
        _ => drop(resolves("the close", connection.close()).await),
    }
    let reason = resolves("the end", connection.closed()).await;
    let recovered = resolves("the events", watching).await.expect("no panic");
    // A driver that still writes its last octets holds them.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(leftovers(&connection), Leftovers::default());
    // What is quoted in it is anything.
    let words = reason.text().split(|c: char| !c.is_alphabetic() && c != ' ').next();
    (recovered, format!("{:?}: {}", reason.cause(), words.unwrap_or_default()))
}

async fn open(connection: &Connection) -> Option<Channel> {
    resolves("channel.open", connection.channel_open()).await.ok()
}

async fn publishing(rng: &mut Rng, connection: &Connection) {
    let Some(channel) = open(connection).await else { return };
    let _ = resolves("confirm.select", channel.confirm_select()).await;
    let mut confirmations = Vec::new();
    for n in 0..rng.below(8) {
        let most = [10, 5000, 100_000][rng.below(3)];
        let body = vec![0; rng.below(most)];
        let message = BasicPublish::new("", "q", body).mandatory(n % 2 == 0);
        // It may wait for a flow or an unblock that never comes.
        match timeout(A_WHILE, channel.basic_publish(message)).await {
            Ok(Ok(confirmation)) => confirmations.push(confirmation),
            _ => break,
        }
    }
    drop(timeout(Duration::ZERO, channel.returned()).await);
    for confirmation in confirmations {
        // A living broker may leave a publish unanswered for ever.
        drop(timeout(A_WHILE, confirmation).await);
    }
    if rng.one_in(2) {
        drop(timeout(A_WHILE, channel.close()).await);
    }
}

async fn consuming(rng: &mut Rng, connection: &Connection) {
    let Some(channel) = open(connection).await else { return };
    let declare = QueueDeclare::new(if rng.one_in(2) { "q" } else { "" });
    let _ = resolves("queue.declare", channel.queue_declare(declare)).await;
    let consume = BasicConsume::new("q", Prefetch::Count(10)).no_ack(rng.one_in(3)).tag("c");
    let Ok(mut consumer) = resolves("basic.consume", channel.basic_consume(consume)).await else {
        return;
    };
    for _ in 0..rng.below(10) {
        let Ok(Some(delivery)) = timeout(A_WHILE, consumer.recv()).await else { break };
        let _ = match rng.below(4) {
            0 => delivery.nack(true),
            1 => delivery.reject(false),
            2 => delivery.ack_multiple(),
            _ => delivery.ack(),
        };
    }
    if rng.one_in(2) {
        let _ = resolves("the shutdown", consumer.shutdown(A_WHILE)).await;
    } else if rng.one_in(2) {
        let _ = resolves("basic.cancel", consumer.cancel()).await;
    }
}

async fn streaming(rng: &mut Rng, connection: &Connection) {
    let Some(channel) = open(connection).await else { return };
    if let Ok(Some(got)) = resolves("basic.get", channel.basic_get(BasicGet::new("q"))).await {
        let _ = got.ack();
    }
    let consume = BasicConsume::new("q", Prefetch::Count(10)).tag("s");
    if let Ok(mut consumer) =
        resolves("basic.consume", channel.basic_consume_streamed(consume)).await
    {
        for _ in 0..rng.below(4) {
            let Ok(Some(mut delivery)) = timeout(A_WHILE, consumer.recv()).await else { break };
            while let Ok(Ok(Some(piece))) = timeout(A_WHILE, delivery.body.chunk()).await {
                drop(piece);
            }
        }
    }
    if rng.one_in(2) {
        let message = BasicPublishStream::new("", "q", 11);
        drop(timeout(A_WHILE, connection.publish_reader(message, &b"hello world"[..])).await);
    }
}
