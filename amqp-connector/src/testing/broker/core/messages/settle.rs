//! Settling: acknowledged, rejected and requeued messages, recover, and transactions over all of it.
//!
//! Called with the methods of class basic that settle, and those of class tx.

use amqp_types::ShortStr;
use amqp_types::protocol::Method;

use crate::testing::broker::core::Core;
use crate::testing::broker::core::channel::{Mode, Unsettled, Verdict};
use crate::testing::broker::core::fault::{Fault, Handled};
use crate::testing::broker::core::messages::dead_letter::Death;

impl Core {
    pub(crate) fn settle(
        &mut self,
        id: u64,
        number: u16,
        tag: u64,
        multiple: bool,
        verdict: Verdict,
    ) -> Handled {
        let channel = self.channel_mut(id, number)?;
        let tags: Vec<u64> = match (tag, multiple) {
            (0, true) => channel.unsettled.keys().copied().collect(),
            _ if !channel.unsettled.contains_key(&tag) => {
                return Err(Fault::precondition(format!("unknown delivery tag {tag}")));
            }
            (_, true) => channel.unsettled.range(..=tag).map(|(tag, _)| *tag).collect(),
            (_, false) => vec![tag],
        };
        let mut settled = Vec::new();
        for tag in tags {
            if let Some(unsettled) = channel.unsettled.remove(&tag) {
                settled.push((tag, unsettled, verdict));
            }
        }
        if let Mode::Transaction(transaction) = &mut channel.mode {
            transaction.settled.append(&mut settled);
            return Ok(());
        }
        self.apply(id, number, settled);
        Ok(())
    }

    /// What a verdict does, once nothing can take it back.
    fn apply(&mut self, id: u64, number: u16, settled: Vec<(u64, Unsettled, Verdict)>) {
        let host = self.host_of(id);
        let mut back = Vec::new();
        for (_, unsettled, verdict) in settled {
            self.give_room(id, number, &unsettled);
            if verdict == Verdict::Requeue {
                back.push(unsettled);
                continue;
            }
            if let Some(queue) = self.queue_mut(&host, &unsettled.queue) {
                queue.unacknowledged = queue.unacknowledged.saturating_sub(1);
            }
            if verdict == Verdict::Reject {
                self.bury(&host, &unsettled.queue, unsettled.message, Death::Rejected);
            }
        }
        self.requeue(&host, back);
        self.pump_channel(id, number);
    }

    fn give_room(&mut self, id: u64, number: u16, unsettled: &Unsettled) {
        let Ok(channel) = self.channel_mut(id, number) else { return };
        let consumer = unsettled.consumer.as_ref();
        if let Some(consumer) = consumer.and_then(|tag| channel.consumers.get_mut(tag)) {
            consumer.unsettled = consumer.unsettled.saturating_sub(1);
        }
    }

    /// Delivers to the channel's consumers what they have room for now.
    pub(crate) fn pump_channel(&mut self, id: u64, number: u16) {
        let host = self.host_of(id);
        let Ok(channel) = self.channel_mut(id, number) else { return };
        let queues: Vec<ShortStr> =
            channel.consumers.values().map(|consumer| consumer.queue.clone()).collect();
        for queue in queues {
            self.pump(&host, &queue);
        }
    }

    /// The answer goes before what is delivered again.
    pub(crate) fn recover(
        &mut self,
        id: u64,
        number: u16,
        requeue: bool,
        reply: Option<Method>,
    ) -> Handled {
        if !requeue {
            return Err(Fault::not_implemented("requeue=false"));
        }
        let channel = self.channel_mut(id, number)?;
        let unsettled = std::mem::take(&mut channel.unsettled);
        if let Some(reply) = reply {
            self.send(id, number, &reply);
        }
        let settled = unsettled.into_iter().map(|(tag, it)| (tag, it, Verdict::Requeue));
        self.apply(id, number, settled.collect());
        Ok(())
    }

    #[allow(dead_code, reason = "there are specifications without transactions")]
    fn select_transactions(&mut self, id: u64, number: u16) -> Handled {
        let mode = &mut self.channel_mut(id, number)?.mode;
        match mode {
            Mode::Confirm(_) => Err(Fault::precondition("cannot switch from confirm to tx mode")),
            Mode::Transaction(_) => Ok(()),
            Mode::Plain => {
                *mode = Mode::Transaction(
                    crate::testing::broker::core::channel::Transaction::default(),
                );
                Ok(())
            }
        }
    }

    #[allow(dead_code, reason = "there are specifications without transactions")]
    fn take_transaction(
        &mut self,
        id: u64,
        number: u16,
    ) -> Handled<crate::testing::broker::core::channel::Transaction> {
        match &mut self.channel_mut(id, number)?.mode {
            Mode::Transaction(transaction) => Ok(std::mem::take(transaction)),
            _ => Err(Fault::precondition("channel is not transactional")),
        }
    }

    amqp_types::if_spec! { tx.select => {
        pub(crate) fn take_tx_method(
            &mut self,
            id: u64,
            number: u16,
            method: &amqp_types::protocol::tx::Method,
        ) -> Handled {
            use amqp_types::Method as _;
            use amqp_types::protocol::tx;
            let ok = match method {
                tx::Method::Select(_) => {
                    self.select_transactions(id, number)?;
                    tx::SelectOk::default().into_any()
                }
                tx::Method::Commit(_) => {
                    let transaction = self.take_transaction(id, number)?;
                    let taken = self.put_all(id, number, transaction.publishes);
                    self.apply(id, number, transaction.settled);
                    if !taken {
                        return Err(Fault::precondition("partial tx completion"));
                    }
                    tx::CommitOk::default().into_any()
                }
                tx::Method::Rollback(_) => {
                    let transaction = self.take_transaction(id, number)?;
                    let back = transaction.settled.into_iter().map(|(tag, it, _)| (tag, it));
                    self.channel_mut(id, number)?.unsettled.extend(back);
                    tx::RollbackOk::default().into_any()
                }
                _ => return Err(Fault::command_invalid("a server's method")),
            };
            self.send(id, number, &ok);
            Ok(())
        }
    } else {} }
}
