//! Declaring all of a topology.

use amqp_types::ShortStr;

use crate::channel::{ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::outcome::{Binding, DeclaredExchange, DeclaredQueue, Destination, Topology};
use crate::topology::steps::{Record, Steps};
use crate::topology::{TopologyError, TopologyReport};

impl Topology {
    /// Declares all of it, one after the other: exchanges, queues, bindings of exchanges, bindings of queues. What is there
    /// already and alike is left as it is, so it may be applied again. It is done on a channel of its own, which is opened
    /// again when the broker closes it for what it refuses: no other channel is touched.
    ///
    /// Exclusive queues belong to this connection. If that [recovers](crate::Recovery), all that was declared is declared
    /// again.
    ///
    /// What the broker refuses is told in the report and stops nothing else: 403 without the permission, 404 for a binding
    /// of what is not there, 406 for what is there and is different. A binding is made whether or not its ends could be
    /// declared, since they may be there. An error that is not about one entity (a timeout, the connection's end or
    /// loss, no number for a channel) stops it, and is told of all that were not tried. RabbitMQ closes the whole
    /// connection for a type of exchange that it does not have (503).
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check): nothing was sent. What fails later is in the report; see
    /// [`TopologyReport::into_result`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, what was declared stays, what was asked for may yet be carried out, and the rest is not
    /// begun. It may be applied again.
    pub async fn apply(&self, connection: &Connection) -> Result<TopologyReport, TopologyError> {
        self.check()?;
        let mut steps = Steps::new(connection, Record::Yes);
        let mut report = TopologyReport::default();
        for exchange in &self.exchanges {
            let declare = declare_exchange(exchange);
            let declared = steps.run(|channel| channel.exchange_declare(declare)).await;
            if report.note(exchange.entity(), declared).is_some() {
                report.topology.exchanges.push(exchange.clone());
            }
        }
        let mut unnamed = Vec::new();
        let mut renamed = self.clone();
        for queue in &self.queues {
            let declare = declare_queue(queue);
            let declared = steps.run(|channel| channel.queue_declare(declare)).await;
            match declared.and_then(|ok| named(queue, ok.queue.as_bytes())) {
                Ok(name) => {
                    note_queue(&mut report, queue, &name);
                    renamed.rename_queue(&queue.name, &name);
                }
                Err(error) => {
                    if queue.server_named {
                        unnamed.push((queue.name.clone(), error.clone()));
                    }
                    report.note::<()>(queue.entity(), Err(error));
                }
            }
        }
        for (binding, renamed) in in_order(&self.bindings, &renamed.bindings) {
            let bound = match lost_end(binding, &unnamed) {
                Some(error) => Err(error),
                None => bind(&mut steps, renamed).await,
            };
            if report.note(binding.entity(), bound).is_some() {
                report.topology.bindings.push(renamed.clone());
            }
        }
        steps.end().await;
        Ok(report)
    }
}

/// Bindings of exchanges, then those of queues; each as it is in the topology, and with the names that the broker gave.
fn in_order<'a>(
    bindings: &'a [Binding],
    renamed: &'a [Binding],
) -> impl Iterator<Item = (&'a Binding, &'a Binding)> {
    let of = move |queues: bool| {
        let both = bindings.iter().zip(renamed);
        both.filter(move |(it, _)| matches!(it.destination, Destination::Queue(_)) == queues)
    };
    of(false).chain(of(true))
}

/// Why the queue has no name that this binding leads to.
fn lost_end(binding: &Binding, unnamed: &[(ShortStr, Error)]) -> Option<Error> {
    let Destination::Queue(queue) = &binding.destination else { return None };
    unnamed.iter().find(|(name, _)| name == queue).map(|(_, error)| error.clone())
}

fn note_queue(report: &mut TopologyReport, queue: &DeclaredQueue, name: &ShortStr) {
    report.note(queue.entity(), Ok(()));
    if let Some(step) = report.steps.last_mut() {
        step.given = queue.server_named.then(|| name.clone());
    }
    report.topology.queues.push(DeclaredQueue { name: name.clone(), ..queue.clone() });
}

/// The name that the queue has.
fn named(queue: &DeclaredQueue, replied: &[u8]) -> Result<ShortStr> {
    match queue.server_named {
        true => ShortStr::try_from(replied).map_err(Error::from),
        false => Ok(queue.name.clone()),
    }
}

async fn bind(steps: &mut Steps<'_>, binding: &Binding) -> Result<()> {
    let Binding { source, destination, routing_key, arguments } = binding.clone();
    match destination {
        Destination::Queue(queue) => {
            let bind = QueueBind::new(queue, source, routing_key).arguments(arguments);
            steps.run(|channel| channel.queue_bind(bind)).await.map(drop)
        }
        Destination::Exchange(exchange) => {
            let bind = ExchangeBind::new(exchange, source, routing_key).arguments(arguments);
            steps.run(|channel| channel.exchange_bind(bind)).await
        }
    }
}

pub(super) fn declare_exchange(exchange: &DeclaredExchange) -> ExchangeDeclare {
    ExchangeDeclare::new(exchange.name.clone(), exchange.kind.clone())
        .durable(exchange.durable)
        .auto_delete(exchange.auto_delete)
        .internal(exchange.internal)
        .arguments(exchange.arguments.clone())
}

pub(super) fn declare_queue(queue: &DeclaredQueue) -> QueueDeclare {
    let name = match queue.server_named {
        true => ShortStr::EMPTY,
        false => queue.name.clone(),
    };
    QueueDeclare::new(name)
        .durable(queue.durable)
        .exclusive(queue.exclusive)
        .auto_delete(queue.auto_delete)
        .arguments(queue.arguments.clone())
}
