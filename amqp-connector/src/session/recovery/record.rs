//! What a connection declares, recorded as its requests are answered; nothing where the connection does not come back.
//!
//! A request is copied when it is sent, since the user's own octets must not be dropped under the lock, and noted once
//! it is known to have been carried out: at its reply, or, if it has none, when it is sent.

#[allow(unused_imports, reason = "not every specification can update the secret")]
use amqp_types::protocol::connection;
use amqp_types::protocol::{Method, basic, exchange, queue};
use amqp_types::wire::Writer;
use amqp_types::{AnyMethod as _, ShortStr};
use bytes::BytesMut;

use crate::error::{Error, Result};
use crate::outcome::{Binding, DeclaredQueue, Destination, Topology};
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState};

impl Session {
    /// A copy of a request that changes what is declared.
    #[inline]
    pub(in crate::session) fn change_of(
        &mut self,
        key: ChannelKey,
        request: &Method,
    ) -> Option<Box<Method>> {
        match &self.recovery {
            Some(recovery) if !recovery.silent => self.copy_change(key, request),
            _ => None,
        }
    }

    /// A request that nothing answers was sent.
    #[inline]
    pub(in crate::session) fn note_change_sent(&mut self, key: ChannelKey, request: &Method) {
        if let Some(change) = self.change_of(key, request) {
            self.note_change(*change, None);
        }
    }

    #[cold]
    fn copy_change(&mut self, key: ChannelKey, request: &Method) -> Option<Box<Method>> {
        if self.channels.get(key).is_some_and(|channel| channel.unrecorded) {
            return None;
        }
        let changes =
            matches!(request, Method::Queue(_) | Method::Exchange(_)) || is_secret(request);
        let mut copy = changes.then(|| copied(request)).flatten()?;
        let last =
            self.channels.get(key).map(|channel| channel.last_queue.clone()).unwrap_or_default();
        name_queue(&mut copy, &last);
        Some(Box::new(copy))
    }

    /// Names the queue that was declared last where a request means it by an empty name: on a channel that was restored
    /// the peer knows of none.
    #[inline]
    pub(crate) fn name_last_queue(&mut self, key: ChannelKey, request: &mut Method) {
        if let Some(channel) = self.channels.get(key).filter(|channel| channel.lost.is_some()) {
            name_queue(request, &channel.last_queue);
        }
    }

    /// Nothing that is declared on this channel from now on is recorded.
    pub(crate) fn leave_unrecorded(&mut self, key: ChannelKey) {
        if let Some(channel) = self.channels.get(key) {
            channel.unrecorded = true;
        }
    }

    /// This queue is the one declared last on the channel.
    pub(in crate::session) fn note_last_queue(&mut self, key: ChannelKey, name: &[u8]) {
        if let Some(channel) = self.channels.get(key)
            && channel.last_queue.as_bytes() != name
        {
            // A copy: the user's own octets must not be dropped under the lock.
            channel.last_queue = ShortStr::try_from(name).unwrap_or_default();
        }
    }

    /// A request was carried out.
    pub(in crate::session) fn note_change(&mut self, change: Method, reply: Option<&Method>) {
        if let Method::Queue(queue::Method::Declare(declare)) = &change {
            let name = match reply {
                Some(Method::Queue(queue::Method::DeclareOk(ok))) => {
                    ShortStr::try_from(ok.queue.as_bytes()).unwrap_or_default()
                }
                _ => declare.queue.clone(),
            };
            return self.note_queue(declare, name);
        }
        if let Some(recovery) = &mut self.recovery {
            amqp_types::if_spec! { connection.update_secret => {
                if let Method::Connection(connection::Method::UpdateSecret(update)) = &change {
                    let secret = String::from_utf8_lossy(&update.new_secret);
                    recovery.secret = Some(secret.into_owned());
                }
            } else {} }
            note(&mut recovery.topology, change);
        }
    }

    /// The secret to connect again with, if the user has given the broker another one.
    pub(crate) fn newer_secret(&self) -> Option<String> {
        self.recovery.as_ref().and_then(|it| it.secret.clone())
    }

    fn note_queue(&mut self, declare: &queue::Declare, name: ShortStr) {
        if declare.passive {
            return;
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.topology.add_queue(DeclaredQueue { name, ..declare.clone().into() });
        }
    }

    /// The request that starts a consumer, to start it again by.
    pub(in crate::session) fn start_of(
        &mut self,
        key: ChannelKey,
        consume: &basic::Consume,
    ) -> Option<Box<basic::Consume>> {
        let copy = copied(&Method::Basic(basic::Method::Consume(consume.clone())))?;
        let Method::Basic(basic::Method::Consume(mut start)) = copy else { return None };
        if start.queue.is_empty() {
            start.queue = self.channels.get(key)?.last_queue.clone();
        }
        Some(Box::new(start))
    }

    /// A consumer of this queue is gone: a queue that goes with its last one is forgotten.
    #[inline]
    pub(in crate::session) fn note_unconsumed(&mut self, start: Option<Box<basic::Consume>>) {
        if let Some(start) = start {
            self.forget_unconsumed(&start.queue);
        }
    }

    #[cold]
    fn forget_unconsumed(&mut self, queue: &ShortStr) {
        let recorded = self.recovery.as_ref().and_then(|it| it.topology.queue(queue));
        if !recorded.is_some_and(|it| it.auto_delete) {
            return;
        }
        let consumed = self.channels.iter_mut().any(|channel| {
            let mut starts = channel.consumers.iter().filter_map(|it| it.start.as_ref());
            starts.any(|start| start.queue == *queue)
        });
        if let Some(recovery) = self.recovery.as_mut().filter(|_| !consumed) {
            recovery.topology.unconsumed(queue);
        }
    }

    /// The number by which we know the message that was got.
    #[inline]
    pub(in crate::session) fn number_got(&mut self, key: ChannelKey, reply: &mut Method) {
        if let Method::Basic(basic::Method::GetOk(got)) = reply
            && let Some(channel) = self.channels.get(key)
        {
            got.delivery_tag = got.delivery_tag.wrapping_add(channel.tag_base);
        }
    }

    /// A method of the user's that settles deliveries, with the numbers by which the peer knows them, where these are
    /// others.
    pub(in crate::session) fn on_wire(
        &mut self,
        key: ChannelKey,
        method: &Method,
    ) -> Result<Option<Method>> {
        let Some(channel) = self.channels.get(key).filter(|it| it.tag_base != 0) else {
            return Ok(None);
        };
        amqp_types::if_spec! { basic.nack => {
            if let Method::Basic(basic::Method::Nack(nack)) = method {
                let delivery_tag = numbered(channel, nack.delivery_tag)?;
                return Ok(Some(Method::Basic(basic::Method::Nack(basic::Nack { delivery_tag, ..nack.clone() }))));
            }
        } else {} }
        let Method::Basic(method) = method else { return Ok(None) };
        let method = match method {
            basic::Method::Ack(ack) => {
                let delivery_tag = numbered(channel, ack.delivery_tag)?;
                basic::Method::Ack(basic::Ack { delivery_tag, ..ack.clone() })
            }
            basic::Method::Reject(reject) => {
                let delivery_tag = numbered(channel, reject.delivery_tag)?;
                basic::Method::Reject(basic::Reject { delivery_tag, ..reject.clone() })
            }
            _ => return Ok(None),
        };
        Ok(Some(Method::Basic(method)))
    }
}

/// The number by which the peer knows a delivery. One of a connection that was lost would mean another delivery, or all.
fn numbered(channel: &ChannelState, tag: u64) -> Result<u64> {
    match (1..=channel.tag_base).contains(&tag) {
        true => Err(Error::stale(channel.lost.clone())),
        false => Ok(channel.wire_tag(tag)),
    }
}

/// A copy that shares no octets with the user's.
fn copied(method: &Method) -> Option<Method> {
    let mut octets = BytesMut::new();
    method.encode(&mut Writer::new(&mut octets)).ok()?;
    Method::decode(&octets.freeze()).ok()
}

fn is_secret(request: &Method) -> bool {
    amqp_types::if_spec! { connection.update_secret => {
        matches!(request, Method::Connection(connection::Method::UpdateSecret(_)))
    } else {
        let _ = request;
        false
    } }
}

/// Writes out the name of the queue that was declared last, where an empty one means it. With an empty routing key
/// beside it, that is its name, too.
fn name_queue(request: &mut Method, last: &ShortStr) {
    let name = match request {
        Method::Queue(queue::Method::Bind(bind)) => {
            if bind.queue.is_empty() && bind.routing_key.is_empty() {
                bind.routing_key = last.clone();
            }
            &mut bind.queue
        }
        Method::Queue(queue::Method::Delete(delete)) => &mut delete.queue,
        Method::Queue(queue::Method::Purge(purge)) => &mut purge.queue,
        Method::Queue(method) => match unbound(method, last) {
            Some(name) => name,
            None => return,
        },
        Method::Basic(basic::Method::Consume(consume)) => &mut consume.queue,
        Method::Basic(basic::Method::Get(get)) => &mut get.queue,
        _ => return,
    };
    if name.is_empty() {
        *name = last.clone();
    }
}

/// The name in a `queue.unbind`, where the specification has that.
fn unbound<'a>(method: &'a mut queue::Method, last: &ShortStr) -> Option<&'a mut ShortStr> {
    amqp_types::if_spec! { queue.unbind => {
        match method {
            queue::Method::Unbind(unbind) => {
                if unbind.queue.is_empty() && unbind.routing_key.is_empty() {
                    unbind.routing_key = last.clone();
                }
                Some(&mut unbind.queue)
            }
            _ => None,
        }
    } else {
        let _ = (method, last);
        None
    } }
}

fn note(topology: &mut Topology, change: Method) {
    match change {
        Method::Exchange(change) => note_exchange(topology, change),
        Method::Queue(queue::Method::Bind(bind)) => topology.add_binding(Binding {
            source: bind.exchange,
            destination: Destination::Queue(bind.queue),
            routing_key: bind.routing_key,
            arguments: bind.arguments,
        }),
        Method::Queue(queue::Method::Delete(delete)) => topology.remove_queue(&delete.queue),
        Method::Queue(change) => note_unbind(topology, change),
        _ => {}
    }
}

#[allow(unused_variables, reason = "not every specification can unbind")]
fn note_unbind(topology: &mut Topology, change: queue::Method) {
    amqp_types::if_spec! { queue.unbind => {
        if let queue::Method::Unbind(unbind) = change {
            topology.remove_binding(&Binding {
                source: unbind.exchange,
                destination: Destination::Queue(unbind.queue),
                routing_key: unbind.routing_key,
                arguments: unbind.arguments,
            });
        }
    } else {} }
}

fn note_exchange(topology: &mut Topology, change: exchange::Method) {
    amqp_types::if_spec! { exchange.bind => {
        match change {
            exchange::Method::Bind(bind) => {
                return topology.add_binding(Binding {
                    source: bind.source,
                    destination: Destination::Exchange(bind.destination),
                    routing_key: bind.routing_key,
                    arguments: bind.arguments,
                });
            }
            exchange::Method::Unbind(unbind) => {
                return topology.remove_binding(&Binding {
                    source: unbind.source,
                    destination: Destination::Exchange(unbind.destination),
                    routing_key: unbind.routing_key,
                    arguments: unbind.arguments,
                });
            }
            _ => {}
        }
    } else {} }
    match change {
        exchange::Method::Declare(declare) if !declare.passive => {
            topology.add_exchange(declare.into());
        }
        exchange::Method::Delete(delete) => topology.remove_exchange(&delete.exchange),
        _ => {}
    }
}
