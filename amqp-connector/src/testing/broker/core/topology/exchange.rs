//! Exchanges: declared, deleted, bound to one another.
//!
//! Called with the methods of class exchange.

use amqp_types::protocol::Method;
use amqp_types::protocol::exchange::{self, Declare, Delete};
use amqp_types::{AnyMethod as _, FieldTable, Method as _, ShortStr};

use crate::testing::broker::core::Core;
use crate::testing::broker::core::fault::{Fault, Handled};
use crate::testing::broker::core::topology::declare::without_line_breaks;
use crate::testing::broker::core::topology::policy::{alternate, inequivalent, inequivalent_table};
use crate::testing::broker::core::topology::{Binding, Exchange, Kind, Name};

impl Core {
    pub(crate) fn take_exchange_method(
        &mut self,
        id: u64,
        number: u16,
        method: exchange::Method,
    ) -> Handled {
        match method {
            exchange::Method::Declare(declare) => self.exchange_declare(id, number, &declare),
            exchange::Method::Delete(delete) => self.exchange_delete(id, number, &delete),
            other => self.take_exchange_binding(id, number, other),
        }
    }

    #[allow(unused_variables, reason = "there are specifications without these methods")]
    fn take_exchange_binding(&mut self, id: u64, number: u16, method: exchange::Method) -> Handled {
        amqp_types::if_spec! { exchange.bind => {
            if let exchange::Method::Bind(bind) = method {
                let key = bind.routing_key;
                let binding = between(bind.source, bind.destination, key, &bind.arguments);
                self.bind(id, binding)?;
                if !bind.no_wait {
                    self.send(id, number, &exchange::BindOk::default().into_any());
                }
                return Ok(());
            }
        } else {} }
        amqp_types::if_spec! { exchange.unbind => {
            if let exchange::Method::Unbind(unbind) = method {
                let key = unbind.routing_key;
                let binding = between(unbind.source, unbind.destination, key, &unbind.arguments);
                self.unbind(id, &binding)?;
                if !unbind.no_wait {
                    self.send(id, number, &exchange::UnbindOk::default().into_any());
                }
                return Ok(());
            }
        } else {} }
        let name = Method::Exchange(method).info().full_name;
        Err(Fault::not_implemented(format!("the in-memory broker does not have {name}")))
    }

    fn exchange_declare(&mut self, id: u64, number: u16, declare: &Declare) -> Handled {
        let name = &without_line_breaks(declare.exchange.clone());
        let host_name = self.host_of(id);
        let host = self.host_mut(id)?;
        if declare.passive {
            check_not_default(name)?;
            if !host.exchanges.contains_key(name) {
                return Err(Fault::no_exchange(name, &host_name));
            }
        } else {
            let kind = Kind::by_name(&declare.r#type).ok_or_else(|| {
                Fault::command_invalid(format!("unknown exchange type '{}'", declare.r#type))
            })?;
            check_not_default(name)?;
            let wanted =
                wanted(declare, kind, &format!("exchange '{name}' in vhost '{host_name}'"))?;
            match host.exchanges.get(name) {
                Some(current) => check_equivalent(name, &host_name, current, &wanted)?,
                None if name.as_bytes().starts_with(b"amq.") => return Err(reserved(name)),
                None => _ = host.exchanges.insert(name.clone(), wanted),
            }
        }
        if !declare.no_wait {
            self.send(id, number, &exchange::DeclareOk::default().into_any());
        }
        Ok(())
    }

    fn exchange_delete(&mut self, id: u64, number: u16, delete: &Delete) -> Handled {
        let name = &without_line_breaks(delete.exchange.clone());
        let host_name = self.host_of(id);
        check_not_default(name)?;
        if name.as_bytes().starts_with(b"amq.") {
            let text =
                format!("deletion of system exchange '{name}' in vhost '{host_name}' not allowed");
            return Err(Fault::access_refused(text));
        }
        let host = self.host_mut(id)?;
        if delete.if_unused && host.bindings.iter().any(|binding| binding.source == *name) {
            let text = format!("exchange '{name}' in vhost '{host_name}' in use");
            return Err(Fault::precondition(text));
        }
        host.remove_exchange(name);
        if !delete.no_wait {
            self.send(id, number, &exchange::DeleteOk::default().into_any());
        }
        Ok(())
    }
}

#[allow(dead_code, reason = "there are specifications that bind no exchanges to one another")]
fn between(
    source: ShortStr,
    destination: ShortStr,
    key: ShortStr,
    arguments: &FieldTable,
) -> Binding {
    Binding::new(source, Name::Exchange(destination), key, arguments)
}

/// What the declare asks for.
fn wanted(declare: &Declare, kind: Kind, what: &str) -> Handled<Exchange> {
    let (auto_delete, internal) = amqp_types::if_spec! { exchange.declare.auto_delete => {
        (declare.auto_delete, declare.internal)
    } else { (false, false) } };
    Ok(Exchange {
        kind,
        durable: declare.durable,
        auto_delete,
        internal,
        arguments: declare.arguments.clone(),
        alternate: alternate(&declare.arguments, what)?,
    })
}

fn check_equivalent(name: &ShortStr, host: &str, current: &Exchange, wanted: &Exchange) -> Handled {
    let what = format!("exchange '{name}' in vhost '{host}'");
    if current.kind != wanted.kind {
        return Err(inequivalent("type", &what, wanted.kind.name(), current.kind.name()));
    }
    for (field, current, wanted) in [
        ("durable", current.durable, wanted.durable),
        ("auto_delete", current.auto_delete, wanted.auto_delete),
        ("internal", current.internal, wanted.internal),
    ] {
        if current != wanted {
            return Err(inequivalent(field, &what, &wanted.to_string(), &current.to_string()));
        }
    }
    inequivalent_table(&what, &current.arguments, &wanted.arguments, &["alternate-exchange"])
}

pub(crate) fn check_not_default(name: &ShortStr) -> Handled {
    match name.is_empty() {
        true => Err(Fault::access_refused("operation not permitted on the default exchange")),
        false => Ok(()),
    }
}

fn reserved(name: &ShortStr) -> Fault {
    Fault::access_refused(format!("exchange name '{name}' contains reserved prefix 'amq.*'"))
}
