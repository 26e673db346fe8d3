//! Removing a topology.

use amqp_types::ShortStr;

use crate::channel::{ExchangeDelete, ExchangeUnbind, QueueDelete, QueueUnbind};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::outcome::{Binding, DeclaredQueue, Destination, Topology};
use crate::topology::steps::{Record, Steps, code};
use crate::topology::{TopologyError, TopologyReport};

/// On which conditions [`Topology::remove`] removes. By default on none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "nothing is removed but by `Topology::remove`"]
pub struct Removal {
    if_unused: bool,
    if_empty: bool,
}

impl Removal {
    /// Of everything, whatever is in it and whoever uses it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to keep queues that have consumers, and exchanges that are bound to by what is not in the topology.
    pub fn if_unused(mut self, if_unused: bool) -> Self {
        self.if_unused = if_unused;
        self
    }

    /// Whether to keep queues that have messages.
    pub fn if_empty(mut self, if_empty: bool) -> Self {
        self.if_empty = if_empty;
        self
    }
}

impl Topology {
    /// Removes all of it, one after the other and each kind in reverse order: queues, and their bindings with them; other
    /// bindings; exchanges. What is not there counts as removed. It is done on a channel of its own.
    ///
    /// What the broker refuses is told in the report and stops nothing else: 403 without the permission, 405 for another
    /// connection's exclusive queue, 406 if a condition does not hold. A queue that stays keeps its bindings, which
    /// have its error, and an exchange that has them stays, too, if it is to be unused. An error that is not about one
    /// entity stops it, as with [`apply`](Self::apply).
    ///
    /// `Invalid`, and never sent, is the deletion of an exchange whose name begins with `amq.`, since every virtual host
    /// has them, and that of a quorum queue or stream on conditions: RabbitMQ closes the whole connection for it. Where the
    /// specification has no `queue.unbind`, the binding of a queue that is not in the topology is `Unsupported`, and so is
    /// that of an exchange where there is no `exchange.unbind`.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check): nothing was sent. What fails later is in the report; see
    /// [`TopologyReport::into_result`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, what was removed is gone, what was asked for may yet be carried out, and the rest stays.
    /// It may be called again.
    pub async fn remove(
        &self,
        connection: &Connection,
        removal: Removal,
    ) -> Result<TopologyReport, TopologyError> {
        self.check()?;
        let mut steps = Steps::new(connection, Record::Yes);
        let mut report = TopologyReport::default();
        let mut kept = Vec::new();
        for queue in self.queues.iter().rev() {
            let deleted = delete_queue(&mut steps, queue, removal).await;
            if let Err(error) = &deleted {
                kept.push((queue.name.clone(), error.clone()));
                report.topology.queues.push(queue.clone());
            }
            report.note(queue.entity(), deleted);
        }
        for binding in self.bindings.iter().rev() {
            let unbound = match self.gone_with_its_queue(binding, &kept) {
                Some(gone) => gone,
                None => unbind(&mut steps, binding).await,
            };
            if unbound.is_err() {
                report.topology.bindings.push(binding.clone());
            }
            report.note(binding.entity(), unbound);
        }
        for exchange in self.exchanges.iter().rev() {
            let deleted = match exchange.name.as_bytes().starts_with(b"amq.") {
                true => Err(Error::invalid(
                    "an exchange whose name begins with amq. is the broker's own",
                )),
                false => {
                    let delete = ExchangeDelete::new(exchange.name.clone());
                    let delete = delete.if_unused(removal.if_unused);
                    gone(steps.run(|channel| channel.exchange_delete(delete)).await.map(drop))
                }
            };
            if deleted.is_err() {
                report.topology.exchanges.push(exchange.clone());
            }
            report.note(exchange.entity(), deleted);
        }
        steps.end().await;
        // What is left is as it was: in the order in which it can be applied.
        report.topology.queues.reverse();
        report.topology.bindings.reverse();
        report.topology.exchanges.reverse();
        Ok(report)
    }

    /// What came of a binding with its queue; nothing if the queue was not to be removed.
    fn gone_with_its_queue(
        &self,
        binding: &Binding,
        kept: &[(ShortStr, Error)],
    ) -> Option<Result<()>> {
        let Destination::Queue(queue) = &binding.destination else { return None };
        self.queue(queue)?;
        let error = kept.iter().find(|(name, _)| name == queue);
        Some(error.map_or(Ok(()), |(_, error)| Err(error.clone())))
    }
}

async fn delete_queue(
    steps: &mut Steps<'_>,
    queue: &DeclaredQueue,
    removal: Removal,
) -> Result<()> {
    let replicated = matches!(queue.arguments.get_str("x-queue-type"), Some("quorum" | "stream"));
    if replicated && removal != Removal::default() {
        return Err(Error::invalid("quorum queues and streams are not deleted on conditions"));
    }
    let delete = QueueDelete::new(queue.name.clone())
        .if_unused(removal.if_unused)
        .if_empty(removal.if_empty);
    gone(steps.run(|channel| channel.queue_delete(delete)).await.map(drop))
}

async fn unbind(steps: &mut Steps<'_>, binding: &Binding) -> Result<()> {
    let Binding { source, destination, routing_key, arguments } = binding.clone();
    gone(match destination {
        Destination::Queue(queue) => {
            let unbind = QueueUnbind::new(queue, source, routing_key).arguments(arguments);
            steps.run(|channel| channel.queue_unbind(unbind)).await
        }
        Destination::Exchange(exchange) => {
            let unbind = ExchangeUnbind::new(exchange, source, routing_key).arguments(arguments);
            steps.run(|channel| channel.exchange_unbind(unbind)).await
        }
    })
}

/// Brokers differ in whether it is an error to delete what is not there. It is not, here.
fn gone(removed: Result<()>) -> Result<()> {
    removed.or_else(|error| if code(&error) == Some(404) { Ok(()) } else { Err(error) })
}
