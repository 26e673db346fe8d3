//! Putting a topology together, and what cannot be one. Sends nothing.

use std::fmt;

use crate::channel::{ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare};
use crate::error::Error;
use crate::outcome::{Binding, DeclaredExchange, DeclaredQueue, Destination, Entity, Topology};
use crate::topology::TopologyReport;

/// Why a [`Topology`] cannot be made or used, or what of it failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TopologyError {
    /// It has this twice, alike.
    Duplicate(Entity),
    /// It has an exchange or queue of this name twice, and they are not alike.
    Conflict(Entity),
    /// The default exchange, whose name is empty, is there without being declared, and nothing can be bound to it.
    DefaultExchange(Entity),
    /// A queue, or the queue of a binding, has no name. One that the broker is to name is
    /// [`server_named`](DeclaredQueue::server_named), under a name that bindings here know it by.
    NoName(Entity),
    /// It is to be looked for only (`passive`): that is what [`Topology::compare`] does, for all of it.
    Passive(Entity),
    /// It cannot be sent, for this reason.
    Invalid(Error),
    /// Some of it failed, and the rest did not: from [`TopologyReport::into_result`].
    Failed(Box<TopologyReport>),
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(entity) => write!(f, "the topology has {entity} twice"),
            Self::Conflict(entity) => write!(f, "the topology has {entity} twice, not alike"),
            Self::DefaultExchange(entity) => {
                write!(f, "{entity}: the default exchange is neither declared nor bound to")
            }
            Self::NoName(entity) => write!(f, "{entity}: in a topology a queue needs a name"),
            Self::Passive(entity) => {
                write!(f, "{entity}: a topology has nothing passive; compare it instead")
            }
            Self::Invalid(error) => error.fmt(f),
            Self::Failed(report) => report.fmt(f),
        }
    }
}

impl std::error::Error for TopologyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => error.source(),
            Self::Failed(report) => {
                report.failures().find_map(|step| step.error.as_ref()).map(|it| it as _)
            }
            _ => None,
        }
    }
}

impl From<Error> for TopologyError {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

impl Topology {
    /// With this exchange.
    ///
    /// # Errors
    ///
    /// `Duplicate` or `Conflict` if there is one of its name, `Passive`, `DefaultExchange`, and `Invalid` for what cannot
    /// be sent.
    pub fn with_exchange(mut self, declare: ExchangeDeclare) -> Result<Self, TopologyError> {
        let declare = declare.into_method()?;
        let passive = declare.passive;
        let exchange = DeclaredExchange::from(declare);
        if passive {
            return Err(TopologyError::Passive(exchange.entity()));
        }
        check_exchange(&exchange, &self.exchanges)?;
        self.exchanges.push(exchange);
        Ok(self)
    }

    /// With this queue, which has a name. For one that the broker is to name, put a [`DeclaredQueue`] that is
    /// [`server_named`](DeclaredQueue::server_named) into [`queues`](Self::queues).
    ///
    /// # Errors
    ///
    /// `Duplicate` or `Conflict` if there is one of its name, `Passive`, `NoName`, and `Invalid` for what cannot be sent.
    pub fn with_queue(mut self, declare: QueueDeclare) -> Result<Self, TopologyError> {
        let declare = declare.into_method()?;
        let passive = declare.passive;
        let queue = DeclaredQueue::from(declare);
        if passive {
            return Err(TopologyError::Passive(queue.entity()));
        }
        check_queue(&queue, &self.queues)?;
        self.queues.push(queue);
        Ok(self)
    }

    /// With this binding of a queue. Neither the queue nor the exchange need be in this topology.
    ///
    /// # Errors
    ///
    /// `Duplicate` if it is there, `DefaultExchange`, `NoName`, and `Invalid` for what cannot be sent.
    pub fn with_queue_binding(self, bind: QueueBind) -> Result<Self, TopologyError> {
        let (queue, source, routing_key, arguments) = bind.into_parts()?;
        let destination = Destination::Queue(queue);
        self.with_binding(Binding { source, destination, routing_key, arguments })
    }

    /// With this binding of an exchange. Neither of the two need be in this topology. Where the specification has no
    /// `exchange.bind` it can stand here, and is `Unsupported` when it is applied.
    ///
    /// # Errors
    ///
    /// `Duplicate` if it is there, `DefaultExchange`, and `Invalid` for what cannot be sent.
    pub fn with_exchange_binding(self, bind: ExchangeBind) -> Result<Self, TopologyError> {
        let (destination, source, routing_key, arguments) = bind.into_parts()?;
        let destination = Destination::Exchange(destination);
        self.with_binding(Binding { source, destination, routing_key, arguments })
    }

    fn with_binding(mut self, binding: Binding) -> Result<Self, TopologyError> {
        check_binding(&binding, &self.bindings)?;
        self.bindings.push(binding);
        Ok(self)
    }

    /// Whether this is a topology: whatever was put into its fields, or was read from a file. [`apply`](Self::apply),
    /// [`compare`](Self::compare) and [`remove`](Self::remove) ask this first.
    ///
    /// # Errors
    ///
    /// The first thing that is there twice or cannot be there.
    pub fn check(&self) -> Result<(), TopologyError> {
        let before = |at: usize| ..at;
        for (at, exchange) in self.exchanges.iter().enumerate() {
            check_exchange(exchange, self.exchanges.get(before(at)).unwrap_or_default())?;
        }
        for (at, queue) in self.queues.iter().enumerate() {
            check_queue(queue, self.queues.get(before(at)).unwrap_or_default())?;
        }
        for (at, binding) in self.bindings.iter().enumerate() {
            check_binding(binding, self.bindings.get(before(at)).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl DeclaredExchange {
    pub(super) fn entity(&self) -> Entity {
        Entity::Exchange(self.name.clone())
    }
}

impl DeclaredQueue {
    pub(super) fn entity(&self) -> Entity {
        Entity::Queue(self.name.clone())
    }
}

impl Binding {
    pub(super) fn entity(&self) -> Entity {
        Entity::Binding(self.clone())
    }
}

fn check_exchange(it: &DeclaredExchange, others: &[DeclaredExchange]) -> Result<(), TopologyError> {
    match others.iter().find(|other| other.name == it.name) {
        _ if it.name.is_empty() => Err(TopologyError::DefaultExchange(it.entity())),
        Some(other) if other == it => Err(TopologyError::Duplicate(it.entity())),
        Some(_) => Err(TopologyError::Conflict(it.entity())),
        None => Ok(()),
    }
}

fn check_queue(it: &DeclaredQueue, others: &[DeclaredQueue]) -> Result<(), TopologyError> {
    match others.iter().find(|other| other.name == it.name) {
        _ if it.name.is_empty() => Err(TopologyError::NoName(it.entity())),
        Some(other) if other == it => Err(TopologyError::Duplicate(it.entity())),
        Some(_) => Err(TopologyError::Conflict(it.entity())),
        None => Ok(()),
    }
}

fn check_binding(it: &Binding, others: &[Binding]) -> Result<(), TopologyError> {
    match &it.destination {
        _ if it.source.is_empty() => Err(TopologyError::DefaultExchange(it.entity())),
        Destination::Exchange(name) if name.is_empty() => {
            Err(TopologyError::DefaultExchange(it.entity()))
        }
        Destination::Queue(name) if name.is_empty() => Err(TopologyError::NoName(it.entity())),
        _ if others.contains(it) => Err(TopologyError::Duplicate(it.entity())),
        _ => Ok(()),
    }
}
