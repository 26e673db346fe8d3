//! What came of each part of a topology that was applied or removed.

use std::fmt;

use amqp_types::ShortStr;

use crate::error::{Error, Result};
use crate::outcome::{Entity, Topology};
use crate::topology::TopologyError;

/// What came of [`Topology::apply`] or [`Topology::remove`]: of each entity, in the order in which it was done. Shown as
/// a line, with the first failure; by `{:#}` with a line for each.
#[derive(Clone, Debug, Default)]
#[must_use = "some of it may have failed: see `into_result`"]
#[non_exhaustive]
pub struct TopologyReport {
    /// All that was to be done, in the order in which it was.
    pub steps: Vec<TopologyStep>,
    /// What is on the broker of it: after [`apply`](Topology::apply) what was declared, where queues that the broker names
    /// have their names; after [`remove`](Topology::remove) what could not be removed. To remove this removes what was
    /// applied, and nothing that was there and is different.
    pub topology: Topology,
}

/// An entity, and what came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopologyStep {
    /// What it is. A queue that the broker names is told by its name in the topology.
    pub entity: Entity,
    /// The name that the broker has given a queue of [`server_named`](crate::DeclaredQueue::server_named).
    pub given: Option<ShortStr>,
    /// Why it failed; nothing if it did not.
    pub error: Option<Error>,
}

impl TopologyReport {
    /// What failed.
    pub fn failures(&self) -> impl Iterator<Item = &TopologyStep> {
        self.steps.iter().filter(|step| step.error.is_some())
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures().next().is_none()
    }

    /// [What is on the broker](Self::topology) of it, for those to whom a part that failed is a failure.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Failed`], with the report, if anything failed.
    pub fn into_result(self) -> Result<Topology, TopologyError> {
        match self.is_complete() {
            true => Ok(self.topology),
            false => Err(TopologyError::Failed(Box::new(self))),
        }
    }

    /// The name that the broker has given the queue that the topology calls `name`.
    #[must_use]
    pub fn given_name(&self, name: impl AsRef<[u8]>) -> Option<&ShortStr> {
        self.steps.iter().find_map(|step| match &step.entity {
            Entity::Queue(queue) if queue.as_bytes() == name.as_ref() => step.given.as_ref(),
            _ => None,
        })
    }

    /// Notes what came of one; gives what it gave.
    pub(super) fn note<T>(&mut self, entity: Entity, result: Result<T>) -> Option<T> {
        let (done, error) = match result {
            Ok(done) => (Some(done), None),
            Err(error) => (None, Some(error)),
        };
        self.steps.push(TopologyStep { entity, given: None, error });
        done
    }
}

impl fmt::Display for TopologyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, all) = (self.failures().count(), self.steps.len());
        write!(f, "{} of {all} done", all - failed)?;
        match self.failures().next() {
            _ if f.alternate() => self.steps.iter().try_for_each(|step| write!(f, "\n  {step}")),
            None => Ok(()),
            Some(first) if failed == 1 => write!(f, "; {first}"),
            Some(first) => write!(f, "; {failed} failed, the first: {first}"),
        }
    }
}

impl fmt::Display for TopologyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entity.fmt(f)?;
        if let Some(name) = &self.given {
            write!(f, ", which is {:?}", name.to_string_lossy())?;
        }
        match &self.error {
            None => f.write_str(": done"),
            Some(error) => write!(f, ": {error}"),
        }
    }
}
