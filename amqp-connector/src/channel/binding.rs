//! Bindings of queues and exchanges to exchanges, and their end.
//!
//! What is not in every specification is `Unsupported` where it lacks, before anything is sent.

use amqp_types::protocol::queue;
use amqp_types::{FieldTable, InvalidShortStr, ShortStr};

use super::Channel;
use crate::call::{Call, Completion};
use crate::error::Result;
use crate::name::{InvalidName, short_str, valid};

/// A binding in the making. The names of both ends are given by the one who makes it.
macro_rules! bindings {
    ($($(#[$meta:meta])* $name:ident { $(#[$new_doc:meta])* new($to:ident, $from:ident) })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub struct $name {
            $to: ShortStr,
            $from: ShortStr,
            routing_key: ShortStr,
            arguments: FieldTable,
            invalid: Option<InvalidName>,
        }

        impl $name {
            $(#[$new_doc])*
            pub fn new<T, F, K>($to: T, $from: F, routing_key: K) -> Self
            where
                T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
                F: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
                K: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
            {
                let mut invalid = None;
                Self {
                    $to: short_str(concat!("name of the ", stringify!($to)), $to, &mut invalid),
                    $from: short_str(concat!("name of the ", stringify!($from)), $from, &mut invalid),
                    routing_key: short_str("routing key", routing_key, &mut invalid),
                    arguments: FieldTable::default(),
                    invalid,
                }
            }

            /// Both names, the routing key and the arguments, unless one of them cannot be sent.
            #[allow(dead_code, reason = "of those that are to end it is not asked")]
            pub(crate) fn into_parts(self) -> Result<(ShortStr, ShortStr, ShortStr, FieldTable)> {
                let Self { $to, $from, routing_key, arguments, invalid } = self;
                valid(($to, $from, routing_key, arguments), invalid)
            }

            /// The binding's arguments, which a headers exchange matches.
            pub fn arguments(mut self, arguments: FieldTable) -> Self {
                self.arguments = arguments;
                self
            }
        }
    )+};
}

bindings! {
    /// A binding of a queue to an exchange; see [`Channel::queue_bind`].
    #[must_use = "a queue is bound by `Channel::queue_bind`"]
    QueueBind {
        /// Messages that reach `exchange` with `routing_key` go to `queue`.
        new(queue, exchange)
    }

    /// A binding of a queue that is to end; see [`Channel::queue_unbind`].
    #[must_use = "a queue is unbound by `Channel::queue_unbind`"]
    QueueUnbind {
        /// The binding of `queue` to `exchange` with `routing_key`.
        new(queue, exchange)
    }

    /// A binding of an exchange to an exchange; see [`Channel::exchange_bind`].
    #[must_use = "an exchange is bound by `Channel::exchange_bind`"]
    ExchangeBind {
        /// Messages that reach `source` with `routing_key` go to `destination`, too.
        new(destination, source)
    }

    /// A binding of an exchange that is to end; see [`Channel::exchange_unbind`].
    #[must_use = "an exchange is unbound by `Channel::exchange_unbind`"]
    ExchangeUnbind {
        /// The binding of `destination` to `source` with `routing_key`.
        new(destination, source)
    }
}

impl Channel {
    /// Binds a queue to an exchange (`queue.bind`).
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). The broker closes the channel if either does not exist (404).
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn queue_bind(&self, bind: QueueBind) -> Call<queue::Bind> {
        let QueueBind { queue, exchange, routing_key, arguments, invalid } = bind;
        let bind = queue::Bind { queue, exchange, routing_key, arguments, ..Default::default() };
        Call::new(self.handle.clone(), valid(bind, invalid))
    }

    /// Ends a binding of a queue (`queue.unbind`): the one with this routing key and these arguments.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the specification has no `queue.unbind` (0-8), and as [`call`](Self::call).
    /// RabbitMQ takes a binding that does not exist for one that has ended.
    ///
    /// # Cancel safety
    ///
    /// See [`Completion`].
    #[track_caller]
    pub fn queue_unbind(&self, unbind: QueueUnbind) -> Completion {
        let QueueUnbind { queue, exchange, routing_key, arguments, invalid } = unbind;
        amqp_types::if_spec! { queue.unbind => {
            let unbind =
                queue::Unbind { queue, exchange, routing_key, arguments, ..Default::default() };
            Completion::new(self.handle.clone(), valid(unbind, invalid))
        } else {
            drop(((queue, exchange, routing_key, arguments), invalid));
            Completion::unsupported(self.handle.clone(), "queue.unbind")
        } }
    }

    /// Binds an exchange to another one (`exchange.bind`).
    ///
    /// # Errors
    ///
    /// `Unsupported` where the specification has no `exchange.bind`, and as [`call`](Self::call). The broker
    /// closes the channel if either does not exist (404).
    ///
    /// # Cancel safety
    ///
    /// See [`Completion`].
    #[track_caller]
    pub fn exchange_bind(&self, bind: ExchangeBind) -> Completion {
        let ExchangeBind { destination, source, routing_key, arguments, invalid } = bind;
        amqp_types::if_spec! { exchange.bind => {
            let bind = amqp_types::protocol::exchange::Bind {
                destination,
                source,
                routing_key,
                arguments,
                ..Default::default()
            };
            Completion::new(self.handle.clone(), valid(bind, invalid))
        } else {
            drop(((destination, source, routing_key, arguments), invalid));
            Completion::unsupported(self.handle.clone(), "exchange.bind")
        } }
    }

    /// Ends a binding of an exchange (`exchange.unbind`).
    ///
    /// # Errors
    ///
    /// `Unsupported` where the specification has no `exchange.unbind`, and as [`call`](Self::call). RabbitMQ
    /// takes a binding that does not exist for one that has ended.
    ///
    /// # Cancel safety
    ///
    /// See [`Completion`].
    #[track_caller]
    pub fn exchange_unbind(&self, unbind: ExchangeUnbind) -> Completion {
        let ExchangeUnbind { destination, source, routing_key, arguments, invalid } = unbind;
        amqp_types::if_spec! { exchange.unbind => {
            let unbind = amqp_types::protocol::exchange::Unbind {
                destination,
                source,
                routing_key,
                arguments,
                ..Default::default()
            };
            Completion::new(self.handle.clone(), valid(unbind, invalid))
        } else {
            drop(((destination, source, routing_key, arguments), invalid));
            Completion::unsupported(self.handle.clone(), "exchange.unbind")
        } }
    }
}
