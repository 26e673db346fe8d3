//! Ports that nobody listens on, for the nodes that are about to start.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;

/// So many free ports of 127.0.0.1, all different, below the range that the kernel takes for outgoing connections:
/// between here and the broker's `listen` none of those can take one.
pub(crate) fn free(count: usize) -> Result<Vec<u16>> {
    let random = RandomState::new();
    let mut ports = BTreeSet::new();
    for attempt in 0..u64::from(COUNT) {
        let offset = u16::try_from(random.hash_one(attempt) % u64::from(COUNT))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + offset)).is_ok() {
            ports.insert(FIRST + offset);
        }
        if ports.len() == count {
            return Ok(ports.into_iter().collect());
        }
    }
    bail!("127.0.0.1 has no {count} free ports from {FIRST} on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_distinct_and_free() {
        let ports = free(31).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 31);
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}
