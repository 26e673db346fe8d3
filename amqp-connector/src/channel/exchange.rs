//! Class `exchange`: declare and delete, in terms that every specification has.

use amqp_types::protocol::exchange;
use amqp_types::{FieldTable, InvalidShortStr, ShortStr};

use super::Channel;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::name::short_str;

/// An exchange to declare; see [`Channel::exchange_declare`].
#[derive(Clone, Debug, Default)]
#[must_use = "an exchange is declared by `Channel::exchange_declare`"]
pub struct ExchangeDeclare {
    method: exchange::Declare,
    unsupported: Option<&'static str>,
    invalid: Option<InvalidShortStr>,
}

impl ExchangeDeclare {
    /// An exchange of this name and type: `direct`, `fanout`, `topic`, `headers` or the broker's own.
    pub fn new<N, T>(name: N, exchange_type: T) -> Self
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
        T: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut this = Self::default();
        this.method.exchange = short_str(name, &mut this.invalid);
        this.method.r#type = short_str(exchange_type, &mut this.invalid);
        this
    }

    /// Whether to ask only if the exchange exists, without creating it.
    pub fn passive(mut self, passive: bool) -> Self {
        self.method.passive = passive;
        self
    }

    /// Whether the exchange survives a restart of the broker.
    pub fn durable(mut self, durable: bool) -> Self {
        self.method.durable = durable;
        self
    }

    /// Whether the exchange is deleted when its last binding is gone. `Unsupported` in plain 0-9-1.
    pub fn auto_delete(mut self, auto_delete: bool) -> Self {
        amqp_types::if_spec! { exchange.declare.auto_delete => {
            self.method.auto_delete = auto_delete;
        } else {
            if auto_delete {
                self.unsupported = Some("auto-delete of exchange.declare");
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
                self.unsupported = Some("internal of exchange.declare");
            }
        } }
        self
    }

    /// Further arguments, such as `alternate-exchange`.
    pub fn arguments(mut self, arguments: FieldTable) -> Self {
        self.method.arguments = arguments;
        self
    }

    fn into_method(self) -> Result<exchange::Declare> {
        match (self.invalid, self.unsupported) {
            (Some(invalid), _) => Err(invalid.into()),
            (None, Some(what)) => Err(Error::unsupported(what)),
            (None, None) => Ok(self.method),
        }
    }
}

/// An exchange to delete; see [`Channel::exchange_delete`].
#[derive(Clone, Debug, Default)]
#[must_use = "an exchange is deleted by `Channel::exchange_delete`"]
pub struct ExchangeDelete {
    method: exchange::Delete,
    invalid: Option<InvalidShortStr>,
}

impl ExchangeDelete {
    /// The exchange of this name.
    pub fn new<N>(name: N) -> Self
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        let mut this = Self::default();
        this.method.exchange = short_str(name, &mut this.invalid);
        this
    }

    /// Whether to delete it only if it has no bindings.
    pub fn if_unused(mut self, if_unused: bool) -> Self {
        self.method.if_unused = if_unused;
        self
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
        let ExchangeDelete { method, invalid } = delete;
        let method = invalid.map_or(Ok(method), |invalid| Err(invalid.into()));
        Call::new(self.handle.clone(), method)
    }
}
