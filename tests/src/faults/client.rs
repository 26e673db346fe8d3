//! One connection of a load, by a link of its own, and the count of its losses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amqp_connector::{Connection, Connector, Event, Events, Recovery, RecoveryEvent};
use tokio::task::JoinHandle;

use super::ledger::Ledger;
use super::link::Link;
use super::nodes::Node;

/// Silence is noticed after two of them.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A link may fall silent in the middle of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The books, for all tasks.
#[derive(Clone, Debug)]
pub(super) struct Books(Arc<Mutex<Ledger>>);

impl Books {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(ledger)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that recovers.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) link: Link,
    pub(super) connection: Connection,
    watching: JoinHandle<()>,
}

impl Client {
    /// Connects to any of the nodes, beginning with number `first`; `consumer` is which consumer's it is.
    pub(super) async fn connect(
        name: &str,
        nodes: &[Node],
        first: usize,
        books: &Books,
        consumer: Option<usize>,
    ) -> Result<Self, String> {
        let places: Vec<_> = nodes.iter().map(Node::place).collect();
        let link = Link::to(&places).await.map_err(|error| format!("a link: {error}"))?;
        let mut ports: Vec<u16> = link.ports().collect();
        ports.rotate_left(first % places.len().max(1));
        let mut ports = ports.into_iter();
        let mut connector = Connector::new()
            .host("127.0.0.1")
            .port(ports.next().unwrap_or_default())
            .connection_name(name)
            .heartbeat(HEARTBEAT)
            .connect_timeout(HANDSHAKE)
            .recovery(Recovery::new().backoff(Duration::from_millis(20), Duration::from_secs(1)));
        for port in ports {
            connector = connector.alternative("127.0.0.1", port);
        }
        let connection = connector.open("guest", "guest").await;
        let connection = connection.map_err(|error| format!("{name}: {error}"))?;
        let watching = tokio::spawn(watch(connection.events(), books.clone(), consumer));
        Ok(Self { link, connection, watching })
    }

    /// Closes it.
    pub(super) async fn close(self) {
        self.connection.close().await;
        // It ends with the connection.
        let _ = self.watching.await;
    }
}

async fn watch(mut events: Events, books: Books, consumer: Option<usize>) {
    let mut recovering = false;
    while let Some(event) = events.recv().await {
        match event {
            Event::Recovering { .. } => {
                let mut ledger = books.lock();
                ledger.count_loss(std::mem::replace(&mut recovering, true));
                if let Some(consumer) = consumer {
                    ledger.lost(consumer);
                }
            }
            Event::Recovery(RecoveryEvent::Failed(failure)) => {
                books.lock().fault(failure.to_string());
            }
            Event::Recovery(RecoveryEvent::Recovered(report)) => {
                recovering = false;
                books.lock().recovered(report.took);
            }
            _ => {}
        }
    }
}
