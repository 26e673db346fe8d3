//! What handles share: whoever holds one keeps its channel or connection open.
//!
//! Their drop is the graceful end in the background; it needs no runtime.

use std::sync::Arc;

use crate::session::{ChannelKey, Session};
use crate::shared::Shared;

/// The last of these closes the connection.
pub(crate) struct ConnectionHandle {
    shared: Arc<Shared>,
}

impl ConnectionHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        // Whoever polls the driver next sets the deadline: a drop may happen where there is no clock.
        self.shared.with(Session::release);
    }
}

/// The last of these closes the channel.
pub(crate) struct ChannelHandle {
    connection: Arc<ConnectionHandle>,
    key: ChannelKey,
}

impl ChannelHandle {
    pub(crate) fn new(connection: Arc<ConnectionHandle>, key: ChannelKey) -> Arc<Self> {
        Arc::new(Self { connection, key })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.connection.shared()
    }

    pub(crate) fn key(&self) -> ChannelKey {
        self.key
    }
}

impl Drop for ChannelHandle {
    fn drop(&mut self) {
        self.shared().with(|session| session.release_channel(self.key));
    }
}
