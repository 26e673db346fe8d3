//! The answers to whatever is asked: every method that is neither publish nor ack is decoded and answered at
//! once.
//!
//! Called by the session when it meets one; does no I/O.

use amqp_types::protocol::{
    Method, Spec, basic, channel, confirm, connection, exchange, queue, tx,
};
use amqp_types::{AnyMethod as _, ShortStr};

use super::flood::Asked;
use super::scanner::{Wrong, wrong};
use super::session::{FRAME_MAX, Session};
use crate::cases::ECHO;
use crate::frames;

const CHANNEL_MAX: u16 = 2047;
/// The virtual host in which every publish has an ack of its own.
const EACH: &str = "/each";

impl Session {
    /// Any method that is neither publish nor ack.
    pub(super) fn request(&mut self, id: u16, method: Method) -> Result<(), Wrong> {
        match method {
            Method::Connection(method) => self.of_connection(method),
            Method::Channel(channel::Method::Open(_)) => {
                self.channels.close(id);
                self.answer(id, &channel::OpenOk::default())
            }
            Method::Channel(channel::Method::Close(_)) => {
                self.floods.end(id, None);
                self.channels.close(id);
                self.answer(id, &channel::CloseOk {})
            }
            Method::Channel(channel::Method::Flow(flow)) => {
                self.answer(id, &channel::FlowOk { active: flow.active })
            }
            Method::Confirm(confirm::Method::Select(select)) => {
                self.channels.get(id).confirms = true;
                self.unless(select.no_wait, id, &confirm::SelectOk {})
            }
            Method::Basic(method) => self.of_basic(id, method),
            Method::Queue(method) => self.of_queue(id, method),
            Method::Exchange(method) => self.of_exchange(id, method),
            Method::Tx(tx::Method::Select(_)) => self.answer(id, &tx::SelectOk {}),
            Method::Tx(tx::Method::Commit(_)) => self.answer(id, &tx::CommitOk {}),
            Method::Tx(tx::Method::Rollback(_)) => self.answer(id, &tx::RollbackOk {}),
            other => wrong(format!("{} is not for a server", other.info().full_name)),
        }
    }

    /// Answers unless no answer is wanted.
    fn unless<M: amqp_types::Method<Protocol = Spec>>(
        &mut self,
        no_wait: bool,
        channel: u16,
        method: &M,
    ) -> Result<(), Wrong> {
        if no_wait { Ok(()) } else { self.answer(channel, method) }
    }

    fn of_connection(&mut self, method: connection::Method) -> Result<(), Wrong> {
        match method {
            connection::Method::StartOk(_) => {
                let tune = connection::Tune {
                    channel_max: CHANNEL_MAX,
                    frame_max: FRAME_MAX,
                    heartbeat: 0,
                };
                self.answer(0, &tune)
            }
            connection::Method::TuneOk(tuned) => {
                if tuned.frame_max != 0 {
                    self.frame_max = tuned.frame_max.min(FRAME_MAX) as usize;
                }
                Ok(())
            }
            connection::Method::Open(open) => {
                self.each = open.virtual_host == EACH;
                self.answer(0, &connection::OpenOk::default())
            }
            connection::Method::Close(_) => {
                self.over = true;
                self.answer(0, &connection::CloseOk {})
            }
            other => wrong(format!("{other:?} is not expected")),
        }
    }

    fn of_basic(&mut self, id: u16, method: basic::Method) -> Result<(), Wrong> {
        match method {
            basic::Method::Qos(qos) => {
                self.channels.get(id).prefetch = qos.prefetch_count;
                self.answer(id, &basic::QosOk {})
            }
            basic::Method::Consume(consume) => self.consume(id, consume),
            basic::Method::Cancel(cancel) => {
                self.floods.end(id, Some(&cancel.consumer_tag));
                if self.echo == Some((id, cancel.consumer_tag.clone())) {
                    self.echo = None;
                }
                let consumer_tag = cancel.consumer_tag;
                self.unless(cancel.no_wait, id, &basic::CancelOk { consumer_tag })
            }
            basic::Method::Get(_) => self.answer(id, &basic::GetEmpty::default()),
            basic::Method::Nack(nack) => self.settle(id, nack.delivery_tag, nack.multiple),
            basic::Method::Reject(reject) => self.settle(id, reject.delivery_tag, false),
            basic::Method::Recover(_) => self.answer(id, &basic::RecoverOk {}),
            basic::Method::RecoverAsync(_) => Ok(()),
            other => wrong(format!("{other:?} is not for a server")),
        }
    }

    fn consume(&mut self, id: u16, consume: basic::Consume) -> Result<(), Wrong> {
        let consumer_tag = match consume.consumer_tag.is_empty() {
            true => self.name("consumer"),
            false => consume.consumer_tag,
        };
        self.unless(consume.no_wait, id, &basic::ConsumeOk { consumer_tag: consumer_tag.clone() })?;
        if consume.queue == ECHO {
            self.echo = Some((id, consumer_tag));
            return Ok(());
        }
        let asked = consume.queue.as_str().ok().and_then(Asked::parse);
        let Some(asked) = asked else { return Ok(()) };
        let channel = self.channels.get(id);
        let prefetch = (!consume.no_ack && channel.prefetch > 0).then_some(channel.prefetch);
        if prefetch.is_some() {
            channel.track();
        }
        self.floods
            .begin(id, consumer_tag, asked, prefetch, self.frame_max)
            .map_err(|error| Wrong(error.to_string()))
    }

    fn of_queue(&mut self, id: u16, method: queue::Method) -> Result<(), Wrong> {
        match method {
            queue::Method::Declare(declare) => {
                let queue = match declare.queue.is_empty() {
                    true => self.name("queue"),
                    false => declare.queue,
                };
                // So a client can ask how many contents have come on its connection.
                let message_count = u32::try_from(self.received & 0xffff_ffff).unwrap_or(0);
                let reply = queue::DeclareOk { queue, message_count, consumer_count: 0 };
                self.unless(declare.no_wait, id, &reply)
            }
            queue::Method::Bind(bind) => self.unless(bind.no_wait, id, &queue::BindOk {}),
            queue::Method::Unbind(_) => self.answer(id, &queue::UnbindOk {}),
            queue::Method::Purge(purge) => {
                self.unless(purge.no_wait, id, &queue::PurgeOk::default())
            }
            queue::Method::Delete(delete) => {
                self.unless(delete.no_wait, id, &queue::DeleteOk::default())
            }
            other => wrong(format!("{other:?} is not for a server")),
        }
    }

    fn of_exchange(&mut self, id: u16, method: exchange::Method) -> Result<(), Wrong> {
        match method {
            exchange::Method::Declare(declare) => {
                self.unless(declare.no_wait, id, &exchange::DeclareOk {})
            }
            exchange::Method::Delete(delete) => {
                self.unless(delete.no_wait, id, &exchange::DeleteOk {})
            }
            exchange::Method::Bind(bind) => self.unless(bind.no_wait, id, &exchange::BindOk {}),
            exchange::Method::Unbind(unbind) => {
                self.unless(unbind.no_wait, id, &exchange::UnbindOk {})
            }
            other => wrong(format!("{other:?} is not for a server")),
        }
    }

    fn name(&mut self, what: &str) -> ShortStr {
        self.names += 1;
        frames::short(&format!("{what}-{}", self.names))
    }
}
