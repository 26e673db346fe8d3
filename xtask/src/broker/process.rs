//! The processes of a node: which there are, and ending them.
//!
//! A node's processes are known by a mark in their environment ([`MARK`]), which its keeper sets and
//! all of them inherit (epmd and the Erlang VM's helpers too). Nothing without the mark is ever
//! signalled: a pid that was written down may belong to another program by now.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The environment variable that every process of a node carries; its value is the node's folder.
pub(crate) const MARK: &str = "AMQP_BROKER_NODE";

/// One process of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
    /// Its name, as the kernel knows it.
    name: String,
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The processes of the node in `folder` that are alive, this one excepted.
pub(crate) fn of_node(folder: &Path) -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| pid != own && is_marked(pid, folder))
        .map(|pid| Process { pid, name: name_of(pid) })
        .collect()
}

/// Whether the process `pid` is alive and belongs to the node in `folder`.
pub(crate) fn is_marked(pid: i32, folder: &Path) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    let mark = format!("{MARK}={}", folder.display());
    environment.split(|&octet| octet == 0).any(|entry| entry == mark.as_bytes())
}

/// Ends every process of the node in `folder`: asks first, then kills.
///
/// # Errors
///
/// Processes that are still there after having been killed, by name.
pub(crate) fn end_all(folder: &Path, patience: Duration) -> Result<()> {
    for (signal, patience) in [(Signal::TERM, patience), (Signal::KILL, Duration::from_secs(5))] {
        for process in of_node(folder) {
            send(&process, signal, folder);
        }
        if await_end(folder, patience) {
            return Ok(());
        }
    }
    let left: Vec<String> = of_node(folder).iter().map(ToString::to_string).collect();
    bail!("still alive after SIGKILL: {}", left.join(", "))
}

/// Sends `signal` to the process `pid` if it belongs to the node in `folder`.
pub(crate) fn signal(pid: i32, signal: Signal, folder: &Path) {
    send(&Process { pid, name: String::new() }, signal, folder);
}

/// Waits until no process of the node is left; false if some are after `patience`.
pub(crate) fn await_end(folder: &Path, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if of_node(folder).is_empty() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(process: &Process, signal: Signal, folder: &Path) {
    // Looked at once more: between listing and sending it may have ended, and its pid gone to another.
    if let Some(pid) = Pid::from_raw(process.pid)
        && is_marked(process.pid, folder)
    {
        // The one error that can come is that it has ended meanwhile, which is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

fn name_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| "?".to_owned(), |name| name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_marked_processes_are_found_and_ended() {
        let folder = std::env::temp_dir().join(format!("amqp-process-test-{}", std::process::id()));
        let mut marked = Command::new("sleep").arg("60").env(MARK, &folder).spawn().unwrap();
        let mut other =
            Command::new("sleep").arg("60").env(MARK, folder.join("another")).spawn().unwrap();
        // A new program's environment is not in place at once.
        let deadline = Instant::now() + Duration::from_secs(5);
        let found = loop {
            let found = of_node(&folder);
            if !found.is_empty() || Instant::now() > deadline {
                break found;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // Reaped in another thread, or it would stay as a zombie, whose environment is empty.
        let reaper = std::thread::spawn(move || marked.wait());
        end_all(&folder, Duration::from_secs(5)).unwrap();
        reaper.join().unwrap().unwrap();
        assert!(other.try_wait().unwrap().is_none(), "the other process was ended too");
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].name, "sleep");
    }
}
