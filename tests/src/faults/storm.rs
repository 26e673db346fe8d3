//! Rows of faults from a seed, and how each is inflicted.

use std::fmt;
use std::time::Duration;

use super::link::Break;
use super::load::Load;
use super::random::Random;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The node with the queue is killed, and started again after this time.
    Kill(Duration),
    /// The broker closes all connections, as an administrator may.
    Close,
    /// The link of the client with this number breaks.
    Break(usize, Break),
}

/// Faults at the same time, after a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gust {
    /// The pause before it.
    pub pause: Duration,
    /// What goes wrong; not empty.
    pub faults: Vec<Fault>,
}

/// An endless row of gusts.
#[derive(Clone, Debug)]
pub struct Storm {
    random: Random,
    clients: usize,
    kills: bool,
    pauses: (Duration, Duration),
}

impl Storm {
    /// The row of this seed, with pauses between two limits. It breaks the links of so many clients, and kills nodes if
    /// that is wanted.
    pub fn new(seed: u64, clients: usize, kills: bool, pauses: (Duration, Duration)) -> Self {
        Self { random: Random::new(seed), clients, kills, pauses }
    }

    fn fault(&mut self) -> Fault {
        let client = self.random.below(self.clients);
        match self.random.below(if self.kills { 10 } else { 8 }) {
            0 | 1 => Fault::Close,
            2 | 3 => Fault::Break(client, Break::Cut),
            4 | 5 => Fault::Break(client, Break::Reset),
            6 | 7 => Fault::Break(client, Break::Silence),
            _ => Fault::Kill(self.random.time(Duration::ZERO, Duration::from_millis(1500))),
        }
    }
}

impl Iterator for Storm {
    type Item = Gust;

    fn next(&mut self) -> Option<Gust> {
        let (least, most) = self.pauses;
        let pause = self.random.time(least, most);
        let count = if self.random.below(3) == 0 { 2 + self.random.below(2) } else { 1 };
        let mut faults: Vec<Fault> = (0..count).map(|_| self.fault()).collect();
        // A node is killed once at a time.
        let mut killed = false;
        faults.retain(|fault| match fault {
            Fault::Kill(_) => !std::mem::replace(&mut killed, true),
            _ => true,
        });
        Some(Gust { pause, faults })
    }
}

impl fmt::Display for Gust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            let and = if number == 0 { "" } else { " and " };
            match fault {
                Fault::Kill(down) => write!(f, "{and}kill for {} ms", down.as_millis())?,
                Fault::Close => write!(f, "{and}close all")?,
                Fault::Break(client, how) => write!(f, "{and}{how:?} client {client}")?,
            }
        }
        Ok(())
    }
}

impl Load {
    /// Waits for the gust's pause and inflicts its faults; returns when the nodes are up again.
    ///
    /// # Errors
    ///
    /// If one cannot be inflicted, or a node does not come up.
    pub async fn inflict(&self, gust: &Gust) -> Result<(), String> {
        tokio::time::sleep(gust.pause).await;
        let killed = match gust.faults.iter().find_map(|fault| match fault {
            Fault::Kill(down) => Some(*down),
            _ => None,
        }) {
            Some(down) => {
                let node = self.leader().await?;
                node.kill().await.map_err(|error| error.to_string())?;
                self.ledger(|ledger| ledger.killed(node.name()));
                Some((node, down))
            }
            None => None,
        };
        for fault in &gust.faults {
            match *fault {
                Fault::Kill(_) => {}
                Fault::Close => self.close_all().await,
                Fault::Break(client, how) => {
                    if let Some(client) = self.clients().get(client) {
                        client.link.fail(how);
                    }
                }
            }
        }
        if let Some((node, down)) = killed {
            tokio::time::sleep(down).await;
            node.start().await?;
        }
        Ok(())
    }

    /// Has every node close this load's connections.
    async fn close_all(&self) {
        for node in self.nodes() {
            let (_, port) = node.place();
            let closing = format!(
                "[catch rabbit_networking:close_connection(P, \"for the test\")
                     || {{P, I}} <- ets:tab2list(connection_created),
                        proplists:get_value(port, I) =:= {port}], \"\""
            );
            // One that was killed has none.
            let _ = node.broker().eval_async(&closing).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn storm(seed: u64, kills: bool) -> impl Iterator<Item = Gust> {
        Storm::new(seed, 3, kills, (Duration::from_millis(1), Duration::from_millis(9)))
    }

    #[test]
    fn a_seed_gives_its_faults_and_no_others() {
        let row = |seed| storm(seed, true).take(50).collect::<Vec<_>>();
        assert_eq!(row(5), row(5));
        assert_ne!(row(5), row(6));
    }

    #[test]
    fn a_row_has_every_kind_of_fault_and_some_at_once_and_kills_only_where_it_may() {
        let row: Vec<Gust> = storm(1, true).take(200).collect();
        let kinds: HashSet<String> = row
            .iter()
            .flat_map(|gust| &gust.faults)
            .map(|fault| match fault {
                Fault::Kill(_) => "Kill".to_owned(),
                fault => format!("{fault:?}"),
            })
            .collect();
        // A kill, a close, and three ways to break each of three links.
        assert_eq!(kinds.len(), 2 + 9, "{kinds:?}");
        assert!(row.iter().any(|gust| gust.faults.len() > 1));
        let kills = |gust: &Gust| {
            gust.faults.iter().filter(|fault| matches!(fault, Fault::Kill(_))).count()
        };
        assert!(row.iter().all(|gust| kills(gust) <= 1 && !gust.faults.is_empty()));
        assert!(storm(1, false).take(200).all(|gust| kills(&gust) == 0));
    }
}
