//! What handles share: whoever holds one keeps its channel or connection open.
//!
//! Their drop is the graceful end in the background; it needs no runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Its key, packed. Changes under the session's lock only, when the channel is reopened or gets another number while it
    /// is restored: who must not miss that asks for it there.
    key: Arc<AtomicU64>,
}

impl ChannelHandle {
    pub(crate) fn new(connection: Arc<ConnectionHandle>, key: ChannelKey) -> Arc<Self> {
        let place = Arc::new(AtomicU64::new(key.packed()));
        connection.shared().with(|session| session.follow(key, &place));
        Arc::new(Self { connection, key: place })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.connection.shared()
    }

    #[inline]
    pub(crate) fn key(&self) -> ChannelKey {
        ChannelKey::unpacked(self.key.load(Ordering::Relaxed))
    }

    /// The channel has another incarnation, and number, from now on. To be called under the session's lock.
    pub(crate) fn set_key(&self, key: ChannelKey) {
        self.key.store(key.packed(), Ordering::Relaxed);
    }
}

impl Drop for ChannelHandle {
    fn drop(&mut self) {
        self.shared().with(|session| session.release_channel(self.key()));
    }
}
