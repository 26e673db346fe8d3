//! `broker lend`: nodes for one test, which kills and restarts them as it likes without harm to other tests.
//!
//! The test starts this command, reads from its standard output one line of JSON about the nodes, and closes its standard
//! input when it needs them no more; so they end with the test, however that ends.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::interrupt::Interrupt;
use super::lease::Lease;

/// Starts so many nodes, tells where they are, and stops them at the end of standard input or by a signal.
pub(crate) fn lend(count: usize) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let over = Arc::new(AtomicBool::new(false));
    std::thread::spawn({
        let over = over.clone();
        move || {
            let mut nothing = [0];
            while matches!(std::io::stdin().read(&mut nothing), Ok(n) if n > 0) {}
            over.store(true, Ordering::Relaxed);
        }
    });
    let lease = Lease::start(false, count, &interrupt)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", told(&lease))?;
    out.flush()?;
    while !over.load(Ordering::Relaxed) && !interrupt.is_set() {
        std::thread::sleep(Duration::from_millis(20));
    }
    lease.end()
}

/// What `amqp_tests::faults` reads.
pub(crate) fn told(lease: &Lease) -> String {
    let nodes: Vec<serde_json::Value> = lease
        .nodes()
        .map(|node| {
            serde_json::json!({
                "name": node.name,
                "url": node.url(),
                "ports": node.lanes,
                "ctl": node.ctl(),
            })
        })
        .collect();
    serde_json::Value::from(nodes).to_string()
}
