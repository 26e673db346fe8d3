//! Ports of the broker, each lent to one test at a time, so that what a test leaves behind is known by
//! its port. There are as many tests running at once as there are ports.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The ports that no test has at the moment.
#[derive(Debug)]
pub(crate) struct Lanes {
    free: Mutex<Vec<u16>>,
    returned: Condvar,
}

impl Lanes {
    pub(crate) fn new(ports: &[u16]) -> Self {
        Self { free: Mutex::new(ports.to_vec()), returned: Condvar::new() }
    }

    /// Waits for a free port.
    pub(crate) fn take(&self) -> Lane<'_> {
        let free = self.lock();
        let taken = self.returned.wait_while(free, |free| free.is_empty());
        let mut free = taken.unwrap_or_else(PoisonError::into_inner);
        // Not empty, and if it were: port 0 fails in the test, with a message.
        Lane { port: free.pop().unwrap_or(0), lanes: self }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u16>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port that is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    port: u16,
    lanes: &'a Lanes,
}

impl Lane<'_> {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.lanes.lock().push(self.port);
        self.lanes.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_two_hold_the_same_port() {
        let lanes = Lanes::new(&[1, 2]);
        let held = Mutex::new(HashSet::new());
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let lane = lanes.take();
                        assert!(
                            held.lock().unwrap().insert(lane.port()),
                            "{} is held",
                            lane.port()
                        );
                        most.fetch_max(held.lock().unwrap().len(), Ordering::Relaxed);
                        std::thread::yield_now();
                        held.lock().unwrap().remove(&lane.port());
                    }
                });
            }
        });
        assert!((1..=2).contains(&most.into_inner()));
    }
}
