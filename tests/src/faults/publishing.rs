//! The publishers of a load: with confirms where the specification has them, in transactions elsewhere.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{BasicPublish, Connection};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::client::Books;
use super::ledger::{Id, Kind};

/// What a publisher is to do.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) queue: String,
    /// The queue that is full, if there is one.
    pub(super) full: Option<String>,
    /// A key that no queue has.
    pub(super) nowhere: String,
    /// Messages in a second.
    pub(super) rate: u32,
    /// How often the connector may publish a message again.
    #[allow(dead_code, reason = "not every specification has confirms")]
    pub(super) republish: u16,
    pub(super) books: Books,
}

/// A message body: which one it is, and so many octets more as that says.
pub(super) fn body(id: Id) -> Vec<u8> {
    let mut body = Vec::with_capacity(8 + filler(id));
    body.extend_from_slice(&id.round.to_be_bytes());
    body.extend_from_slice(&id.number.to_be_bytes());
    body.resize(8 + filler(id), id.number.to_be_bytes()[3]);
    body
}

/// Which message a body is of; none if it is not as it was published.
pub(super) fn read(octets: &[u8]) -> Option<Id> {
    let (round, rest) = octets.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let id = Id { round: u32::from_be_bytes(*round), number: u32::from_be_bytes(*number) };
    let whole = rest.len() == filler(id) && rest.iter().all(|octet| *octet == number[3]);
    whole.then_some(id)
}

/// Mostly small, at times of several frames, so that faults come in the middle of a message too.
fn filler(id: Id) -> usize {
    match id.number {
        number if number % 997 == 5 => 300_000,
        number if number % 101 == 3 => 20_000,
        number => usize::try_from(number % 700).unwrap_or(0),
    }
}

impl Task {
    fn message(&self, id: Id, kind: Kind) -> BasicPublish {
        let to = match kind {
            Kind::Wanted => &self.queue,
            Kind::Unroutable => &self.nowhere,
            Kind::Rejected => self.full.as_ref().unwrap_or(&self.queue),
        };
        BasicPublish::new("", to, body(id)).persistent()
    }

    /// Ticks, and how many units of so many messages there are at each.
    fn pace(&self, unit: u32) -> (Interval, u32) {
        const TICKS_MAX: u32 = 100;
        let units = self.rate.div_ceil(unit).max(1);
        let each = units.div_ceil(TICKS_MAX);
        let mut pace = interval(Duration::from_secs(1) * each / units);
        // What a loss has taken is not made up for: the rate is steady.
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        (pace, each)
    }
}

if_spec! { confirm.select => {
    use amqp_connector::{ConfirmOptions, Confirmation, Outcome};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::timeout;

    use super::ledger::Told;

    /// How long an outcome may take; longer than any node is down.
    const PATIENCE: Duration = Duration::from_secs(300);

    /// Publishes until the connection is closed.
    pub(super) async fn publish(connection: Connection, task: Task) -> Result<(), String> {
        let channel = connection.channel_open().await.map_err(|error| error.to_string())?;
        let options = ConfirmOptions::new().republish(task.republish);
        let selected = channel.confirm_select_with(options).await;
        selected.map_err(|error| error.to_string())?;
        let (mut pace, batch) = task.pace(1);
        let (sent, settling) = unbounded_channel();
        let settling = tokio::spawn(settle(settling, task.books.clone()));
        let mut count = 0_u64;
        while channel.close_reason().is_none() {
            pace.tick().await;
            for _ in 0..batch {
                count += 1;
                let kind = match (count % 40, &task.full) {
                    (7, _) => Kind::Unroutable,
                    (17, Some(_)) => Kind::Rejected,
                    _ => Kind::Wanted,
                };
                // Not under the lock while it waits for room or for the recovery.
                let Some(id) = task.books.lock().publish(kind) else { break };
                let message = task.message(id, kind).mandatory(true);
                match channel.basic_publish(message).await {
                    Ok(confirmation) => drop(sent.send((id, confirmation))),
                    Err(error) => {
                        let mut ledger = task.books.lock();
                        ledger.told(id, Told::Unknown, false);
                        ledger.fault(format!("{id:?} could not be published: {error}"));
                    }
                }
            }
        }
        drop(sent);
        settling.await.map_err(|error| error.to_string())
    }

    async fn settle(mut sent: UnboundedReceiver<(Id, Confirmation)>, books: Books) {
        while let Some((id, confirmation)) = sent.recv().await {
            let Ok(outcome) = timeout(PATIENCE, confirmation).await else {
                books.lock().fault(format!("{id:?}: no outcome after {} s", PATIENCE.as_secs()));
                continue;
            };
            let told = match outcome.plain() {
                Outcome::Acked => Told::Acked,
                Outcome::Nacked => Told::Nacked,
                Outcome::Returned(_) => Told::Returned,
                Outcome::Unknown(_) => Told::Unknown,
                other => {
                    books.lock().fault(format!("{id:?}: {other:?}"));
                    continue;
                }
            };
            books.lock().told(id, told, outcome.republished() > 0);
        }
    }
} else {
    use amqp_connector::Channel;

    use super::ledger::Told;

    /// Messages of a transaction.
    const BATCH: u32 = 10;

    /// Publishes until the connection is closed. What is committed is acked; what was lost before that is unknown.
    pub(super) async fn publish(connection: Connection, task: Task) -> Result<(), String> {
        let (mut pace, batch) = task.pace(BATCH);
        let mut channel = None;
        while connection.close_reason().is_none() {
            pace.tick().await;
            for _ in 0..batch {
                // A transaction ends with its connection, and cannot be opened until that is back.
                if channel.is_none() {
                    channel = select(&connection).await;
                }
                let Some(open) = &channel else { break };
                let ids: Vec<Id> =
                    (0..BATCH).map_while(|_| task.books.lock().publish(Kind::Wanted)).collect();
                if ids.is_empty() {
                    break;
                }
                let told = match transact(open, &task, &ids).await {
                    Ok(()) => Told::Acked,
                    Err(_) => Told::Unknown,
                };
                let mut ledger = task.books.lock();
                ids.iter().for_each(|id| ledger.told(*id, told, false));
                if told == Told::Unknown {
                    channel = None;
                }
            }
        }
        Ok(())
    }

    async fn select(connection: &Connection) -> Option<Channel> {
        let channel = connection.channel_open().await.ok()?;
        channel.tx_select().await.ok()?;
        Some(channel)
    }

    async fn transact(channel: &Channel, task: &Task, ids: &[Id]) -> amqp_connector::Result<()> {
        for id in ids {
            drop(channel.basic_publish(task.message(*id, Kind::Wanted)).await?);
        }
        channel.tx_commit().await
    }
} }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_tells_which_message_it_is_and_that_it_is_whole() {
        for number in [0, 3, 5, 699, 700] {
            let id = Id { round: 2, number };
            let mut octets = body(id);
            assert_eq!(read(&octets), Some(id));
            octets.push(0);
            assert_eq!(read(&octets), None);
        }
        let mut octets = body(Id { round: 1, number: 650 });
        octets[100] ^= 1;
        assert_eq!(read(&octets), None);
    }
}
