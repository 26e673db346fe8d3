//! Class `access`: tickets, where the specification has them (0-8, 0-9).

use amqp_types::{InvalidShortStr, ShortStr};

use super::Channel;
use crate::call::Access;
use crate::name::{InvalidName, short_str};

/// A request for access to a realm; see [`Channel::access_request`].
#[derive(Clone, Debug, Default)]
#[must_use = "access is requested by `Channel::access_request`"]
pub struct AccessRequest {
    pub(crate) method: Rights,
    pub(crate) invalid: Option<InvalidName>,
}

/// What is asked for, in a form that every specification can hold.
#[derive(Clone, Debug, Default)]
#[allow(dead_code, reason = "not every specification has what it is for")]
pub(crate) struct Rights {
    pub(crate) realm: ShortStr,
    pub(crate) exclusive: bool,
    pub(crate) passive: bool,
    pub(crate) active: bool,
    pub(crate) write: bool,
    pub(crate) read: bool,
}

impl AccessRequest {
    /// Access to this realm, such as `/data`.
    pub fn new<N>(realm: N) -> Self
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut this = Self::default();
        this.method.realm = short_str("realm", realm, &mut this.invalid);
        this
    }

    crate::name::bits! {
        /// Whether nobody else may have access meanwhile.
        exclusive
        /// Whether to ask for what exists, by passive declares.
        passive
        /// Whether to create and delete what is in the realm.
        active
        /// Whether to publish to its exchanges.
        write
        /// Whether to consume from its queues.
        read
    }
}

/// The right to use a realm on the channel that it was given on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccessTicket(pub(crate) u16);

impl AccessTicket {
    /// Its number, which the methods of the channel carry.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl Channel {
    /// Asks for access to a realm (`access.request`). From the answer on, every method of this channel that has
    /// a field for a ticket carries the one that was given, unless it was made with another one; without, they
    /// carry none. RabbitMQ wants no tickets, and gives the number 1 to whoever asks.
    ///
    /// A ticket ends with what it was given to: after a loss of the connection and after a
    /// [`reopen`](Self::reopen) methods, and consumers that are started again, carry none until access is asked for again.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the specification has no tickets (0-9-1), and as [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// See [`Access`].
    #[track_caller]
    pub fn access_request(&self, request: AccessRequest) -> Access {
        Access::new(self.handle.clone(), request)
    }

    /// Lets the methods of this channel carry another ticket that was given on it, of several.
    pub fn use_ticket(&self, ticket: AccessTicket) {
        let key = self.handle.key();
        self.handle.shared().with(|session| session.use_ticket(key, ticket.0));
    }
}
