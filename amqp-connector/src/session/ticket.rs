//! Access tickets, where the specification has them: a channel's methods carry the one it was given.
//!
//! Called before a method is sent; one that has a ticket of its own keeps it. Where the specification has no
//! class `access`, nothing of this is compiled into the paths of methods.

use std::any::Any;

use amqp_types::protocol::Method;

use crate::session::Session;
use crate::session::channel::ChannelKey;

/// Does the same for each method that has a ticket.
#[allow(unused_macros, reason = "not every specification has tickets")]
macro_rules! with_tickets {
    ($do:ident($($given:tt)*)) => {
        $do! { ($($given)*) exchange.declare Exchange Declare }
        $do! { ($($given)*) exchange.delete Exchange Delete }
        $do! { ($($given)*) queue.declare Queue Declare }
        $do! { ($($given)*) queue.bind Queue Bind }
        $do! { ($($given)*) queue.unbind Queue Unbind }
        $do! { ($($given)*) queue.purge Queue Purge }
        $do! { ($($given)*) queue.delete Queue Delete }
        $do! { ($($given)*) basic.consume Basic Consume }
        $do! { ($($given)*) basic.publish Basic Publish }
        $do! { ($($given)*) basic.get Basic Get }
        $do! { ($($given)*) file.consume File Consume }
        $do! { ($($given)*) file.publish File Publish }
        $do! { ($($given)*) stream.consume Stream Consume }
        $do! { ($($given)*) stream.publish Stream Publish }
        $do! { ($($given)*) message.transfer Message Transfer }
        $do! { ($($given)*) message.consume Message Consume }
        $do! { ($($given)*) message.get Message Get }
    };
}

/// Puts the ticket into one of all methods.
#[allow(unused_macros, reason = "not every specification has tickets")]
macro_rules! stamp_any {
    (($any:ident, $ticket:ident) $class:ident.$method:ident $Class:ident $Method:ident) => {
        amqp_types::if_spec! { $class.$method.ticket => {
            if let Method::$Class(amqp_types::protocol::$class::Method::$Method(method)) = &mut *$any
                && method.ticket == 0
            {
                method.ticket = $ticket;
            }
        } else {} }
    };
}

/// Puts the ticket into a method whose type is known to the caller alone.
#[allow(unused_macros, reason = "not every specification has tickets")]
macro_rules! stamp_typed {
    (($any:ident, $ticket:ident) $class:ident.$method:ident $Class:ident $Method:ident) => {
        amqp_types::if_spec! { $class.$method.ticket => {
            if let Some(method) = $any.downcast_mut::<amqp_types::protocol::$class::$Method>()
                && method.ticket == 0
            {
                method.ticket = $ticket;
            }
        } else {} }
    };
}

#[allow(dead_code, unused_variables, reason = "not every specification has tickets")]
impl Session {
    /// Gives the method the channel's ticket.
    pub(crate) fn stamp(&mut self, key: ChannelKey, method: &mut Method) {
        amqp_types::if_spec! { access.request => {
            let ticket = self.ticket(key);
            with_tickets!(stamp_any(method, ticket));
        } else {} }
    }

    /// As [`stamp`](Self::stamp), for a method of any type.
    pub(crate) fn stamp_typed<M: Any>(&mut self, key: ChannelKey, method: &mut M) {
        amqp_types::if_spec! { access.request => {
            let (ticket, method) = (self.ticket(key), method as &mut dyn Any);
            with_tickets!(stamp_typed(method, ticket));
        } else {} }
    }

    fn ticket(&mut self, key: ChannelKey) -> u16 {
        self.channels.get(key).map_or(0, |channel| channel.ticket)
    }

    /// What the methods of this channel carry from now on.
    pub(crate) fn use_ticket(&mut self, key: ChannelKey, ticket: u16) {
        if let Some(channel) = self.channels.get(key) {
            channel.ticket = ticket;
        }
    }

    /// The peer gave a ticket.
    pub(in crate::session) fn note_ticket(&mut self, key: ChannelKey, reply: &Method) {
        amqp_types::if_spec! { access.request_ok => {
            if let Method::Access(amqp_types::protocol::access::Method::RequestOk(ok)) = reply {
                self.use_ticket(key, ok.ticket);
            }
        } else {} }
    }
}
