//! Class `exchange`: declare and delete, in terms that every specification has. Bindings are in `binding`.

use amqp_types::protocol::exchange;
use amqp_types::{FieldTable, FieldValue, InvalidShortStr, ShortStr, short_str};

use super::Channel;
use crate::arguments::{Entries, exchange_arguments, name};
use crate::call::Call;
use crate::error::Result;
use crate::name::{InvalidName, bits, short_str, valid};

/// An exchange to declare; see [`Channel::exchange_declare`].
#[derive(Clone, Debug, Default)]
#[must_use = "an exchange is declared by `Channel::exchange_declare`"]
pub struct ExchangeDeclare {
    method: exchange::Declare,
    arguments: Entries,
}

impl ExchangeDeclare {
    /// An exchange of this name and type: an [`ExchangeType`](crate::arguments::ExchangeType), or the name of
    /// any that the broker has.
    pub fn new<N, T>(name: N, exchange_type: T) -> Self
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut this = Self::default();
        this.method.exchange = this.arguments.name("exchange's name", name);
        this.method.r#type = this.arguments.name("exchange's type", exchange_type);
        this
    }

    bits! {
        /// Whether to ask only if the exchange exists, without creating it.
        passive
        /// Whether the exchange survives a restart of the broker.
        durable
    }

    /// Whether the exchange is deleted when its last binding is gone. `Unsupported` in plain 0-9-1.
    pub fn auto_delete(mut self, auto_delete: bool) -> Self {
        amqp_types::if_spec! { exchange.declare.auto_delete => {
            self.method.auto_delete = auto_delete;
        } else {
            if auto_delete {
                self.arguments.refuse(crate::Error::unsupported("auto-delete of exchange.declare"));
            }
        } }
        self
    }

    /// Whether only other exchanges may publish to it. `Unsupported` in plain 0-9-1.
    pub fn internal(mut self, internal: bool) -> Self {
        amqp_types::if_spec! { exchange.declare.internal => {
            self.method.internal = internal;
        } else {
            if internal {
                self.arguments.refuse(crate::Error::unsupported("internal of exchange.declare"));
            }
        } }
        self
    }

    /// Further arguments, for which there is no setter here. They go to the broker as they are; those that
    /// are set by their setters, too, are theirs.
    pub fn arguments(mut self, arguments: FieldTable) -> Self {
        self.arguments.set_further(arguments);
        self
    }

    fn put(mut self, key: ShortStr, value: Result<FieldValue>) -> Self {
        self.arguments.put(key, value);
        self
    }

    pub(crate) fn into_method(self) -> Result<exchange::Declare> {
        let Self { mut method, arguments } = self;
        method.arguments = arguments.into_table()?;
        Ok(method)
    }
}

exchange_arguments!(ExchangeDeclare);

/// An exchange to delete; see [`Channel::exchange_delete`].
#[derive(Clone, Debug, Default)]
#[must_use = "an exchange is deleted by `Channel::exchange_delete`"]
pub struct ExchangeDelete {
    method: exchange::Delete,
    invalid: Option<InvalidName>,
}

impl ExchangeDelete {
    /// The exchange of this name.
    pub fn new<N>(name: N) -> Self
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut this = Self::default();
        this.method.exchange = short_str("exchange's name", name, &mut this.invalid);
        this
    }

    bits! {
        /// Whether to delete it only if it has no bindings.
        if_unused
    }
}

impl Channel {
    /// Declares an exchange (`exchange.declare`).
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). The broker closes the channel if the exchange exists with other
    /// attributes (406), or does not exist and is declared passively (404).
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn exchange_declare(&self, declare: ExchangeDeclare) -> Call<exchange::Declare> {
        Call::new(self.handle.clone(), declare.into_method())
    }

    /// Deletes an exchange (`exchange.delete`).
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). The broker closes the channel if a condition does not hold (406).
    ///
    /// # Cancel safety
    ///
    /// See [`Call`].
    #[track_caller]
    pub fn exchange_delete(&self, delete: ExchangeDelete) -> Call<exchange::Delete> {
        Call::new(self.handle.clone(), valid(delete.method, delete.invalid))
    }
}
