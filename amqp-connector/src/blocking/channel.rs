//! The channel: the calls that most programs need. All others are its handle's.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use amqp_types::protocol::{exchange, queue};
use amqp_types::{InvalidShortStr, ShortStr};

use super::Consumer;
use super::connection::wait;
use super::thread::Thread;
use crate::channel::{
    BasicConsume, BasicGet, ExchangeBind, ExchangeDeclare, ExchangeDelete, ExchangeUnbind,
    QueueBind, QueueDeclare, QueueDelete, QueueUnbind,
};
use crate::consumer::Delivery;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::publish::{BasicPublish, Confirmation};

/// How many messages may be on their way at once.
const WINDOW: usize = 1000;

/// An open channel; from [`Connection::channel_open`](super::Connection::channel_open). It may be shared by threads.
///
/// All calls wait, and fail as those of [`crate::Channel`] of the same name do, or with `Invalid` on the connection's own
/// thread, where nothing is sent.
///
/// # Drop
///
/// When it and its consumers are gone the channel is closed in the background.
pub struct Channel {
    channel: crate::Channel,
    thread: Arc<Thread>,
}

/// Calls that wait for what the handle's call of the same name gives.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($argument:ident: $type:ty) -> $reply:ty;)+) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        ///
        #[doc = concat!("As [`", stringify!($name), "`](crate::Channel::", stringify!($name), ").")]
        #[track_caller]
        pub fn $name(&self, $argument: $type) -> Result<$reply> {
            self.wait(self.channel.$name($argument))?
        }
    )+};
}

impl Channel {
    pub(super) fn new(channel: crate::Channel, thread: Arc<Thread>) -> Self {
        Self { channel, thread }
    }

    /// The channel that async code would use: for what needs no waiting, and for
    /// [`Connection::wait`](super::Connection::wait).
    pub fn handle(&self) -> &crate::Channel {
        &self.channel
    }

    fn wait<F: Future>(&self, future: F) -> Result<F::Output> {
        wait(&self.thread, future)
    }

    calls! {
        /// Declares an exchange.
        exchange_declare(declare: ExchangeDeclare) -> exchange::DeclareOk;
        /// Deletes an exchange.
        exchange_delete(delete: ExchangeDelete) -> exchange::DeleteOk;
        /// Binds an exchange to an exchange.
        exchange_bind(bind: ExchangeBind) -> ();
        /// Ends a binding of an exchange.
        exchange_unbind(unbind: ExchangeUnbind) -> ();
        /// Declares a queue; gives its name, and how many messages and consumers it has.
        queue_declare(declare: QueueDeclare) -> queue::DeclareOk;
        /// Binds a queue to an exchange.
        queue_bind(bind: QueueBind) -> queue::BindOk;
        /// Ends a binding of a queue.
        queue_unbind(unbind: QueueUnbind) -> ();
        /// Deletes a queue; tells how many messages went with it.
        queue_delete(delete: QueueDelete) -> queue::DeleteOk;
        /// Takes a message out of a queue, if there is one.
        basic_get(get: BasicGet) -> Option<Delivery>;
    }

    /// Removes all messages of a queue that are ready; tells how many they were.
    ///
    /// # Errors
    ///
    /// As [`queue_purge`](crate::Channel::queue_purge).
    #[track_caller]
    pub fn queue_purge<N>(&self, name: N) -> Result<queue::PurgeOk>
    where
        N: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
    {
        self.wait(self.channel.queue_purge(name))?
    }

    /// Publishes a message, and waits for what becomes of it: on a channel in confirm mode, for the broker's word.
    ///
    /// # Errors
    ///
    /// As [`basic_publish`](crate::Channel::basic_publish): it was not sent.
    #[track_caller]
    pub fn basic_publish(&self, publish: BasicPublish) -> Result<Outcome> {
        let publish = self.channel.basic_publish(publish);
        self.wait(async { Ok(publish.await?.await) })?
    }

    /// Publishes many messages, up to a thousand of them on their way at once, and waits for what becomes of each; in their
    /// order, the outcome, or why it was not sent. Those behind one that was not sent are tried all the same.
    ///
    /// # Errors
    ///
    /// `Invalid` on the connection's own thread: nothing was sent.
    pub fn basic_publish_all(
        &self,
        messages: impl IntoIterator<Item = BasicPublish>,
    ) -> Result<Vec<Result<Outcome>>> {
        self.wait(async {
            let mut outcomes = Vec::new();
            let mut under_way: VecDeque<(usize, Confirmation)> = VecDeque::new();
            for publish in messages {
                if under_way.len() == WINDOW
                    && let Some(first) = under_way.pop_front()
                {
                    settle(&mut outcomes, first).await;
                }
                match self.channel.basic_publish(publish).await {
                    Ok(confirmation) => {
                        under_way.push_back((outcomes.len(), confirmation));
                        outcomes.push(None);
                    }
                    Err(error) => outcomes.push(Some(Err(error))),
                }
            }
            for next in under_way {
                settle(&mut outcomes, next).await;
            }
            outcomes.into_iter().flatten().collect()
        })
    }

    /// Begins to consume a queue.
    ///
    /// # Errors
    ///
    /// As [`basic_consume`](crate::Channel::basic_consume).
    #[track_caller]
    pub fn basic_consume(&self, consume: BasicConsume) -> Result<Consumer> {
        let consumer = self.wait(self.channel.basic_consume(consume))??;
        Ok(Consumer::new(consumer, self.thread.clone()))
    }

    /// Closes the channel, and waits for it.
    ///
    /// # Errors
    ///
    /// As [`close`](crate::Channel::close).
    pub fn close(self) -> Result<()> {
        self.wait(self.channel.close())?
    }
}

async fn settle(
    outcomes: &mut [Option<Result<Outcome>>],
    (at, confirmation): (usize, Confirmation),
) {
    let outcome = confirmation.await;
    if let Some(place) = outcomes.get_mut(at) {
        *place = Some(Ok(outcome));
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.fmt(f)
    }
}
