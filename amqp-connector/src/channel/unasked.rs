//! What comes on a channel unasked-for: methods of the old classes, and alerts.

use std::future::poll_fn;

use super::Channel;
use crate::error::Result;
use crate::outcome::Alert;
use crate::session::Line;
use crate::shared::Ticket;
use crate::watch::Incoming;

impl Channel {
    /// Takes the methods that the peer sends on this channel without being asked. Those that may follow a request of
    /// the old classes (`file.consume`, `stream.consume`, `message.consume`, `message.get` and the like) are kept from when
    /// it was sent, within the bounds that [`Incoming`] tells, for whoever calls this later. Where there was no such
    /// request, and nobody has called this, such a method is a violation of the protocol, and ends the connection.
    ///
    /// ```no_run
    /// # async fn run(channel: amqp_connector::Channel) -> amqp_connector::Result<()> {
    /// let mut incoming = channel.incoming()?;
    /// while let Some(method) = incoming.recv().await {
    ///     println!("{method:?}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `Invalid` while there is another [`Incoming`] of this channel; the reason why the channel is closed.
    pub fn incoming(&self) -> Result<Incoming> {
        let key = self.handle.key();
        self.handle.shared().with(|session| session.claim_inbox(key))?;
        Ok(Incoming::new(self.handle.clone()))
    }

    /// The next alert of the peer about this channel (`channel.alert`, 0-8). It is only told: the channel goes
    /// on. Of those that nobody asks for, the last 64 are kept; all are logged.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the specification has no alerts; the reason why the channel is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, no alert is lost.
    pub async fn alerted(&self) -> Result<Alert> {
        amqp_types::if_spec! { channel.alert => {} else {
            if true {
                crate::turn::unit().await;
                return Err(crate::error::Error::unsupported("channel.alert"));
            }
        } }
        let key = self.handle.key();
        let mut ticket = Ticket::new(self.handle.shared(), Line::Alerted(key));
        poll_fn(|cx| ticket.poll(cx, |session, held, waker| session.poll_alert(key, held, waker)))
            .await
    }
}
