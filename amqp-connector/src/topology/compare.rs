//! Comparing a topology with what a broker has.

use std::fmt;

use crate::channel::{ExchangeDeclare, QueueDeclare};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::outcome::{Binding, Destination, Entity, Topology};
use crate::topology::TopologyError;
use crate::topology::apply::{declare_exchange, declare_queue};
use crate::topology::steps::{Record, Steps, code};

/// What [`Topology::compare`] has found, of each entity. Shown as a line; by `{:#}` with a line for each.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing was changed; what was found is all there is"]
#[non_exhaustive]
pub struct Comparison {
    /// In the order of the topology: exchanges, queues, bindings.
    pub findings: Vec<Found>,
}

/// An entity, and what was found of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// What it is.
    pub entity: Entity,
    /// What was found.
    pub finding: Finding,
}

/// How an entity of a topology stands on a broker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Finding {
    /// It is there, and alike in all that the broker compares.
    Same,
    /// It is not there; of a binding: one of its ends is not.
    Missing,
    /// One of its name is there and is different, or is exclusive to another connection. The broker's words say how, in
    /// the error.
    Different(Error),
    /// It is there. Whether it is alike the broker would not tell, for this reason, such as a permission.
    Exists(Error),
    /// Whether it is there was not told, for this reason.
    Unknown(Error),
    /// AMQP has no question for it: a binding whose ends are not known to be missing.
    Unaskable,
}

impl Comparison {
    /// Whether all was found to be the same, but for [bindings](Finding::Unaskable), of which nothing can be known.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differences().next().is_none()
    }

    /// What is not the same: missing, different or not known to be the same.
    pub fn differences(&self) -> impl Iterator<Item = &Found> {
        let alike = |it: &&Found| matches!(it.finding, Finding::Same | Finding::Unaskable);
        self.findings.iter().filter(move |it| !alike(it))
    }

    fn note(&mut self, entity: Entity, finding: Finding) {
        self.findings.push(Found { entity, finding });
    }

    fn is_missing(&self, entity: &Entity) -> bool {
        let found = self.findings.iter().find(|it| it.entity == *entity);
        found.is_some_and(|it| matches!(it.finding, Finding::Missing))
    }

    /// A binding is not there if one of its ends is not; more cannot be said.
    fn binding(&self, binding: &Binding) -> Finding {
        let to = match binding.destination.clone() {
            Destination::Queue(name) => Entity::Queue(name),
            Destination::Exchange(name) => Entity::Exchange(name),
        };
        match self.is_missing(&to) || self.is_missing(&Entity::Exchange(binding.source.clone())) {
            true => Finding::Missing,
            false => Finding::Unaskable,
        }
    }
}

impl Topology {
    /// Looks which of its exchanges and queues are on the broker, and whether they are alike. Nothing is changed, but for
    /// what is said below. It is done on channels of its own.
    ///
    /// AMQP can ask whether a name is there (a passive declare, which looks at nothing else), and has a broker refuse
    /// to declare what is there and is different. So what is there is declared once more as it stands in the topology, and
    /// the broker's answer is what is found. This means:
    ///
    /// - What is deleted between the two questions is made by the second, as the topology has it.
    /// - The second needs the permission to configure; without it there is [`Finding::Exists`].
    /// - It is a use of the queue, for a queue that [expires](crate::QueueDeclare::expires).
    /// - What counts as alike the broker decides. RabbitMQ compares the bits, an exchange's type and alternate exchange, and
    ///   the arguments of a queue that it knows; not those that a policy sets, nor those that it does not know.
    /// - Whether a binding is there AMQP cannot ask. Nor does it tell what is on the broker beside this topology.
    /// - RabbitMQ closes the connection where the topology has a type of exchange that it does not know (503), though only
    ///   if an exchange of that name is there.
    ///
    /// On a connection that [recovers](crate::Recovery) nothing of it is recorded.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check): nothing was sent. What is refused, or not answered, is in what is found.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn compare(&self, connection: &Connection) -> Result<Comparison, TopologyError> {
        self.check()?;
        let mut steps = Steps::new(connection, Record::No);
        let mut comparison = Comparison::default();
        for exchange in &self.exchanges {
            let passive = ExchangeDeclare::new(exchange.name.clone(), exchange.kind.clone());
            let passive = passive.passive(true);
            let looked = steps.run(|channel| channel.exchange_declare(passive)).await.map(drop);
            let finding = match absent(looked) {
                Some(finding) => finding,
                None => {
                    let declare = declare_exchange(exchange);
                    alike(steps.run(|channel| channel.exchange_declare(declare)).await.map(drop))
                }
            };
            comparison.note(exchange.entity(), finding);
        }
        for queue in &self.queues {
            let passive = QueueDeclare::new(queue.name.clone()).passive(true);
            let looked = steps.run(|channel| channel.queue_declare(passive)).await.map(drop);
            let finding = match absent(looked) {
                Some(finding) => finding,
                // Declared again it would be another one; its name is nobody else's.
                None if queue.server_named => Finding::Same,
                None => {
                    let declare = declare_queue(queue);
                    alike(steps.run(|channel| channel.queue_declare(declare)).await.map(drop))
                }
            };
            comparison.note(queue.entity(), finding);
        }
        for binding in &self.bindings {
            let finding = comparison.binding(binding);
            comparison.note(binding.entity(), finding);
        }
        steps.end().await;
        Ok(comparison)
    }
}

/// What a passive declare tells, if it does not tell that something is there.
fn absent(looked: Result<()>) -> Option<Finding> {
    let error = looked.err()?;
    Some(match code(&error) {
        Some(404) => Finding::Missing,
        // Exclusive to another connection.
        Some(405) => Finding::Different(error),
        _ => Finding::Unknown(error),
    })
}

/// What declaring it once more tells.
fn alike(declared: Result<()>) -> Finding {
    match declared {
        Ok(()) => Finding::Same,
        Err(error) if matches!(code(&error), Some(405 | 406)) => Finding::Different(error),
        Err(error) => Finding::Exists(error),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (other, all) = (self.differences().count(), self.findings.len());
        write!(f, "{other} of {all} are missing, different or not known")?;
        match f.alternate() {
            true => self.findings.iter().try_for_each(|found| write!(f, "\n  {found}")),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.entity, self.finding)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("the same"),
            Self::Missing => f.write_str("missing"),
            Self::Different(error) => write!(f, "different: {error}"),
            Self::Exists(error) => write!(f, "there, and not known to be the same: {error}"),
            Self::Unknown(error) => write!(f, "not known: {error}"),
            Self::Unaskable => f.write_str("AMQP cannot ask for it"),
        }
    }
}
