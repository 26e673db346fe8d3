//! The core and its lock, shared by the handles and the connections' tasks.
//!
//! Nothing but the core runs under the lock; wakers are woken outside of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::core::{Core, Now};
use super::settings::Settings;

#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
    /// The tasks that accept connections; none any more once the broker has ended.
    listeners: Mutex<Option<Vec<AbortHandle>>>,
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Now { instant: Instant::now(), unix }
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            core: Mutex::new(Core::new(settings, now())),
            listeners: Mutex::new(Some(Vec::new())),
        }
    }

    /// Does something with the core, at the time that it is.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Core) -> R) -> R {
        let now = now();
        let (result, wakers) = {
            let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            core.set_now(now);
            let result = work(&mut core);
            (result, core.take_wakers())
        };
        for waker in wakers {
            waker.wake();
        }
        result
    }

    /// Keeps a task to end with the broker. One that comes too late ends at once.
    pub(super) fn keep(&self, task: AbortHandle) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        match listeners.as_mut() {
            Some(listeners) => listeners.push(task),
            None => task.abort(),
        }
    }

    /// Whether the last handle is gone.
    pub(super) fn has_ended(&self) -> bool {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn end(&self) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).take();
        for listener in listeners.unwrap_or_default() {
            listener.abort();
        }
        self.with(Core::cut_all);
    }
}

/// What the handles have in common: the broker ends with it.
#[derive(Debug)]
pub(super) struct Life(pub(super) Arc<Shared>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.end();
    }
}
