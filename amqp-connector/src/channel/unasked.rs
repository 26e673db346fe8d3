//! What comes on a channel unasked-for: methods of the old classes.

use super::Channel;
use crate::error::Result;
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
}
