//! A connection that is lost and comes back, on the broker in memory: what stays, what ends, and how it is told.

mod channels;
mod corners;
mod deadlines;
mod ending;
mod log;
mod numbers;
amqp_connector::amqp_types::if_spec! { confirm.select => {
    mod republishing;
} else {} }
mod repeating;
mod stages;
mod streams;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::{
    Channel, Connection, Connector, Event, Events, Recovery, RecoveryEvent, RecoveryReport,
};

const SECOND: Duration = Duration::from_secs(1);

/// A connection that comes back as this policy says.
pub(crate) async fn connect(broker: &MemoryBroker, recovery: Recovery) -> Connection {
    connect_as(broker, Connector::new().recovery(recovery)).await
}

async fn connect_as(broker: &MemoryBroker, connector: Connector) -> Connection {
    let broker = broker.clone();
    let dial = move || {
        let broker = broker.clone();
        async move { Ok(broker.transport()) }
    };
    let greeted = connector.connect_by(dial).await.expect("greeted");
    greeted.authenticate("guest", "guest").await.expect("welcome")
}

/// One with a channel, and its events.
async fn open(broker: &MemoryBroker) -> (Connection, Channel, Events) {
    let connection = connect(broker, Recovery::new()).await;
    let channel = connection.channel_open().await.expect("a channel");
    let events = connection.events();
    (connection, channel, events)
}

/// Waits until the loss of the connection was noticed.
pub(crate) async fn lost(connection: &Connection) {
    while !connection.is_recovering() {
        tokio::task::yield_now().await;
    }
}

/// Waits until the connection is back.
pub(crate) async fn recovered(events: &mut Events) -> Arc<RecoveryReport> {
    loop {
        match events.recv().await.expect("it comes back") {
            Event::Recovery(RecoveryEvent::Recovered(report)) => return report,
            Event::Closed { reason, .. } => panic!("it is over: {reason}"),
            _ => {}
        }
    }
}

/// The same, of one of which everything comes back.
pub(crate) async fn wholly_recovered(events: &mut Events) -> Arc<RecoveryReport> {
    let report = recovered(events).await;
    assert!(report.failures.is_empty(), "{report:?}");
    report
}
