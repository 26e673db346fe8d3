//! Publisher confirms, where the specification has them.

use std::future::poll_fn;

use super::Channel;
use crate::call::Completion;
use crate::error::Result;
use crate::options::ConfirmOptions;
use crate::outcome::ConfirmCounts;
use crate::publish::BasicPublish;
use crate::session::{Awaited, Line};
use crate::shared::Ticket;

impl Channel {
    /// Puts the channel into confirm mode (`confirm.select`): from then on every publish has an outcome
    /// that the broker decides.
    ///
    /// # Errors
    ///
    /// `Unsupported` under specifications without class `confirm`, and as [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the channel may or may not be in confirm mode; publishes on it have
    /// right outcomes either way.
    #[track_caller]
    pub fn confirm_select(&self) -> Completion {
        amqp_types::if_spec! { confirm.select => {
            let select = amqp_types::protocol::confirm::Select::default();
            Completion::new(self.handle.clone(), Ok(select))
        } else {
            Completion::unsupported(self.handle.clone(), "confirm.select")
        } }
    }

    /// As [`confirm_select`](Self::confirm_select), with limits of the channel's own, or with messages kept to be
    /// handed back. On a channel in confirm mode it changes these.
    ///
    /// # Errors
    ///
    /// As [`confirm_select`](Self::confirm_select).
    ///
    /// # Cancel safety
    ///
    /// As [`confirm_select`](Self::confirm_select).
    #[track_caller]
    pub fn confirm_select_with(&self, options: ConfirmOptions) -> Completion {
        self.confirm_select().with_confirms(options)
    }

    /// Waits until every publish that was accepted on this channel so far is answered, and tells how many outcomes of
    /// each kind there were since the last such wait that had ended when this one began, or since confirm mode was selected:
    /// waits side by side count the same outcomes, so that none of them misses a failure. Outcomes of later publishes
    /// that came meanwhile are among them. The confirmations give their outcomes all the same.
    ///
    /// # Errors
    ///
    /// `Unsupported` under specifications without class `confirm`; `Invalid` if the channel is not in confirm mode; the
    /// reason why the channel ended, if that was before all of them were answered.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no count is lost. Called anew, it waits for publishes made meanwhile, too.
    pub async fn wait_for_confirms(&self) -> Result<ConfirmCounts> {
        amqp_types::if_spec! { confirm.select => {} else {
            crate::turn::unit().await;
            return Err(crate::error::Error::unsupported("confirm.select"));
        } }
        #[allow(unreachable_code, reason = "not every specification has confirms")]
        {
            let (key, mut awaited) = (self.handle.key(), Awaited::default());
            let mut ticket = Ticket::new(self.handle.shared(), Line::Answered(key));
            poll_fn(|cx| {
                ticket.poll(cx, |session, held, waker| {
                    session.poll_answered(key, &mut awaited, held, waker)
                })
            })
            .await
        }
    }

    /// The messages that failed and that nobody holds a [`Confirmation`](crate::Confirmation) of, in the order in which they
    /// were published: nacked ones, and once the channel is over those whose outcome is unknown. Only a
    /// channel that keeps messages has any ([`ConfirmOptions::retain`]). Each is given once, here or by
    /// [`Confirmation::take_message`](crate::Confirmation::take_message). Where the confirmation is awaited by value, it is
    /// gone with its outcome:
    ///
    /// ```no_run
    /// # async fn run(channel: amqp_connector::Channel) -> amqp_connector::Result<()> {
    /// # use amqp_connector::{BasicPublish, ConfirmOptions, Outcome};
    /// channel.confirm_select_with(ConfirmOptions::new().retain(true)).await?;
    /// let publish = BasicPublish::new("", "jobs", "work");
    /// if let Outcome::Nacked = channel.basic_publish(publish).await?.await {
    ///     for message in channel.take_failed() {
    ///         channel.basic_publish(message).await?;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// Until they are taken they count in [`Options::retained_budget`](crate::Options::retained_budget).
    ///
    /// A message whose outcome is unknown may have reached its queue: publishing it again may make it two.
    #[must_use = "the messages are given once"]
    pub fn take_failed(&self) -> Vec<BasicPublish> {
        let key = self.handle.key();
        let messages = self.handle.shared().with(|session| session.take_failed(key));
        messages.into_iter().map(BasicPublish::from_message).collect()
    }

    /// Publishes of this channel that the broker has not answered yet.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        let key = self.handle.key();
        self.handle.shared().with(|session| session.unconfirmed(key))
    }
}
