//! The broker as a plain state machine: octets and instants go in, octets come out. No I/O, no clock, no tasks.
//!
//! Used by the handle and by the connections' tasks, under the broker's one lock. Nothing that a client sends makes
//! it panic; what it does not know it refuses, and never leaves out in silence.

mod channel;
mod connection;
mod fault;
mod inspect;
mod login;
mod messages;
mod misframed;
#[cfg(test)]
mod tests;
mod topology;

use std::collections::BTreeMap;
use std::task::Waker;

use amqp_types::ShortStr;
use amqp_types::protocol::Method;
use tokio::time::Instant;

pub(crate) use connection::Connection;
use fault::{Fault, Handled};
use topology::{Queue, VirtualHost};

use super::settings::Settings;

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    /// Seconds since 1970, for what is told to people.
    pub(crate) unix: u64,
}

/// The whole broker.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    hosts: BTreeMap<String, VirtualHost>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    /// For names that the broker makes up.
    next_name: u64,
    blocked: Option<ShortStr>,
    refuses: bool,
    now: Now,
    /// Before then no message becomes too old.
    next_expiry: Option<Instant>,
    /// Of connections that have something to write or to end; called outside of the lock.
    wakers: Vec<Waker>,
}

impl Core {
    pub(crate) fn new(settings: Settings, now: Now) -> Self {
        let hosts = settings.virtual_hosts.iter();
        Self {
            hosts: hosts.map(|name| (name.clone(), VirtualHost::new())).collect(),
            settings,
            connections: BTreeMap::new(),
            next_connection: 0,
            next_name: 0,
            blocked: None,
            refuses: false,
            now,
            next_expiry: None,
            wakers: Vec::new(),
        }
    }

    /// What to wake once the lock is given back.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    /// Tells what time it is, and lets go of messages that have become too old.
    pub(crate) fn set_now(&mut self, now: Now) {
        self.now = now;
        self.expire();
    }

    /// A new connection, before its first octet.
    pub(crate) fn connect(&mut self) -> u64 {
        self.next_connection += 1;
        let id = self.next_connection;
        self.connections.insert(id, Connection::new(self.now.instant));
        id
    }

    pub(crate) fn connection_mut(&mut self, id: u64) -> Option<&mut Connection> {
        self.connections.get_mut(&id)
    }

    /// A connection whose transport is gone: what it held goes back to the queues, and its own queues go.
    pub(crate) fn disconnect(&mut self, id: u64) {
        self.end_channels(id);
        self.connections.remove(&id);
        // The next message to expire was perhaps this one's to wait for.
        self.wake_all();
    }

    /// Begins or ends a block. As in RabbitMQ only those learn of it that publish meanwhile, which nothing more is read of.
    pub(crate) fn set_blocked(&mut self, reason: Option<&str>) {
        if reason.is_none() && self.blocked.is_none() {
            return;
        }
        self.blocked = reason.map(fault::reply_text);
        if self.blocked.is_some() {
            return;
        }
        let held = self.connections.iter_mut().filter(|(_, connection)| connection.held);
        let held: Vec<u64> = held
            .map(|(id, connection)| {
                connection.held = false;
                *id
            })
            .collect();
        for id in held {
            self.tell_block(id);
            // What was kept meanwhile is read now.
            self.receive(id, &[]);
            self.wakers.extend(self.connections.get_mut(&id).and_then(|it| it.waker.take()));
        }
    }

    /// Holds a connection that publishes while the broker is blocked, and tells it so.
    fn hold(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if self.blocked.is_some() && !std::mem::replace(&mut connection.held, true) {
            self.tell_block(id);
        }
    }

    #[allow(unused_variables, reason = "there are specifications without these methods")]
    fn tell_block(&mut self, id: u64) {
        amqp_types::if_spec! { connection.blocked => {
            use amqp_types::Method as _;
            use amqp_types::protocol::connection as methods;
            let Some(connection) = self.connections.get(&id) else { return };
            if !connection.takes_blocks || !connection.is_open() {
                return;
            }
            let method = match self.blocked.clone() {
                Some(reason) => methods::Blocked { reason, ..Default::default() }.into_any(),
                None => methods::Unblocked::default().into_any(),
            };
            self.send(id, 0, &method);
        } else {} }
    }

    /// Whether publishes are refused from now on.
    pub(crate) fn set_refuses(&mut self, refuses: bool) {
        self.refuses = refuses;
    }

    /// Closes all connections as an administrator does.
    pub(crate) fn close_all(&mut self, code: u16, text: &str) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for id in ids {
            self.close_connection(id, code, fault::reply_text(text), (0, 0));
        }
    }

    /// Ends all transports without a word.
    pub(crate) fn cut_all(&mut self) {
        for connection in self.connections.values_mut() {
            connection.cut();
        }
        self.wake_all();
    }

    fn wake_all(&mut self) {
        let wakers = self.connections.values_mut().filter_map(|connection| connection.waker.take());
        self.wakers.extend(wakers);
    }

    /// Puts a method into a connection's outgoing octets.
    fn send(&mut self, id: u64, channel: u16, method: &Method) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.put(channel, method);
            self.wakers.extend(connection.waker.take());
        }
    }

    /// A name that nobody else has.
    fn make_name(&mut self, prefix: &str) -> ShortStr {
        self.next_name += 1;
        ShortStr::try_from(format!("{prefix}{:022}", self.next_name)).unwrap_or_default()
    }

    /// The name of a connection's virtual host.
    fn host_of(&self, id: u64) -> String {
        self.connections.get(&id).map(|connection| connection.host.clone()).unwrap_or_default()
    }

    fn host_mut(&mut self, id: u64) -> Handled<&mut VirtualHost> {
        let host = self.connections.get(&id).map(|connection| &connection.host);
        host.and_then(|host| self.hosts.get_mut(host))
            .ok_or_else(|| Fault::not_allowed("vhost is down"))
    }

    /// A queue that this connection may use.
    fn usable_queue(&mut self, id: u64, name: &ShortStr) -> Handled<&mut Queue> {
        let host = self.host_of(id);
        let queue = self.hosts.get_mut(&host).and_then(|it| it.queues.get_mut(name));
        let queue = queue.ok_or_else(|| Fault::no_queue(name, &host))?;
        match queue.owner {
            Some(owner) if owner != id => Err(Fault::locked(name, &host)),
            _ => Ok(queue),
        }
    }
}
