//! A broker for as long as it is needed: one that `broker start` made, or a private one that is
//! stopped when the lease ends (also by an error or a signal, which are errors here).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustix::process::Signal;

use super::install::Programs;
use super::interrupt::Interrupt;
use super::node::Node;
use super::process;
use super::progress::Progress;
use super::starting::{START, STOP, start_all, stop_all, tail};

/// How often another set of ports is tried.
const ATTEMPTS: u32 = 3;

/// A broker that answers: a node, or the nodes of a cluster.
#[derive(Debug)]
pub(crate) struct Lease {
    node: Node,
    others: Vec<Node>,
    /// The keepers of private nodes, in their order; none for nodes that stay.
    keepers: Vec<Child>,
    /// Held on a node that stays.
    _claim: Option<Claim>,
}

impl Lease {
    /// The broker that `broker start` made, or else a private one.
    pub(crate) fn take(interrupt: &Interrupt) -> Result<Self> {
        // Tests see the whole of a broker: a cluster is more than they expect.
        if let Some((node, [])) = detached()?.split_first()
            && let Some(claim) = Claim::make(node)?
        {
            eprintln!("{} is running already: {}", product(node), node.url());
            let (node, others, keepers) = (node.clone(), Vec::new(), Vec::new());
            return Ok(Self { node, others, keepers, _claim: Some(claim) });
        }
        Self::start(false, 1, interrupt)
    }

    /// Starts so many nodes, as a cluster if there are several; with `detached` they stay when the lease ends.
    pub(crate) fn start(detached: bool, count: usize, interrupt: &Interrupt) -> Result<Self> {
        remove_dead()?;
        let programs = Programs::find_or_install(interrupt)?;
        let mut attempt = 1;
        loop {
            match Self::try_start(&programs, detached, count, interrupt) {
                Err(error) if attempt < ATTEMPTS && format!("{error:#}").contains("eaddrinuse") => {
                    eprintln!("someone took one of its ports; trying others");
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn try_start(
        programs: &Programs,
        detached: bool,
        count: usize,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut nodes = Node::create(programs, detached, count)?;
        let mut keepers = Vec::new();
        if let Err(error) = start_all(&mut nodes, &mut keepers, interrupt) {
            let tails: String = nodes.iter().map(tail).collect();
            stop_all(&nodes, &mut keepers)?;
            for node in &nodes {
                let _ = fs::remove_dir_all(&node.folder);
            }
            return Err(if interrupt.is_set() { error } else { anyhow!("{error:#}; {tails}") });
        }
        if detached {
            keepers.clear();
        }
        let others = nodes.split_off(1);
        let node = nodes.pop().context("a broker without a node")?;
        Ok(Self { node, others, keepers, _claim: None })
    }

    /// The node, of a cluster the first.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.node).chain(&self.others)
    }

    /// Stops the broker if it is this lease's own.
    ///
    /// # Errors
    ///
    /// If something of it is left, by name.
    pub(crate) fn end(mut self) -> Result<()> {
        self.release()
    }

    fn release(&mut self) -> Result<()> {
        let mut keepers = std::mem::take(&mut self.keepers);
        if keepers.is_empty() {
            return Ok(());
        }
        let progress = Progress::start("Stopping RabbitMQ");
        let nodes: Vec<Node> = self.nodes().cloned().collect();
        let result = stop_all(&nodes, &mut keepers);
        progress.done(if result.is_ok() { "stopped" } else { "not stopped" });
        result?;
        nodes.iter().try_for_each(|node| remove_folder(&node.folder))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            eprintln!("error: {error:#}");
        }
    }
}

/// The use of a node that stays: by one command at a time, as tests must not see what others do there.
#[derive(Debug)]
struct Claim(PathBuf);

impl Claim {
    /// None if another command uses the node.
    fn make(node: &Node) -> Result<Option<Self>> {
        let file = node.file("in-use");
        if let Some(user) = read_pid(&file)
            && Path::new("/proc").join(user.to_string()).exists()
        {
            eprintln!("{} is in use by another command (pid {user})", node.name);
            return Ok(None);
        }
        fs::write(&file, std::process::id().to_string())
            .with_context(|| file.display().to_string())?;
        Ok(Some(Self(file)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Gone already if the node was stopped meanwhile.
        let _ = fs::remove_file(&self.0);
    }
}

/// The nodes that `broker start` made, the first one first; none if none runs.
pub(crate) fn detached() -> Result<Vec<Node>> {
    let mut nodes = Node::all()?;
    nodes.retain(|node| node.detached && node.product.is_some() && node.is_alive());
    let Some(cluster) = nodes.first().map(|node| node.cluster().to_owned()) else {
        return Ok(nodes);
    };
    nodes.retain(|node| node.cluster() == cluster);
    nodes.sort_by_key(|node| (node.joins.is_some(), node.port));
    Ok(nodes)
}

/// Stops the nodes of an earlier command.
///
/// # Errors
///
/// If something of them is left, by name.
pub(crate) fn stop_detached(nodes: &[Node]) -> Result<()> {
    let running = |node: &Node| {
        read_pid(&node.file("keeper.pid"))
            .filter(|&keeper| process::is_marked(keeper, &node.folder))
    };
    // The first has what the others find each other by, so it goes last; and all are told before any is awaited.
    for node in nodes.iter().rev() {
        if let Some(keeper) = running(node) {
            process::signal(keeper, Signal::TERM, &node.folder);
        }
    }
    for node in nodes.iter().rev() {
        if running(node).is_some() {
            process::await_end(&node.folder, STOP);
        }
        process::end_all(&node.folder, Duration::from_secs(5))?;
        remove_folder(&node.folder)?;
    }
    Ok(())
}

/// What the node says it is.
pub(crate) fn product(node: &Node) -> &str {
    node.product.as_deref().unwrap_or("RabbitMQ")
}

/// Removes what nodes left that are gone, and ends what is left of nodes whose keeper was killed.
fn remove_dead() -> Result<()> {
    for node in Node::all()? {
        let kept = match read_pid(&node.file("keeper.pid")) {
            Some(keeper) => process::is_marked(keeper, &node.folder),
            // It is only just being started, or was given up just then.
            None => node.is_alive() || node.is_new(START),
        };
        if !kept {
            process::end_all(&node.folder, Duration::from_secs(5))?;
            remove_folder(&node.folder)?;
        }
    }
    Ok(())
}

fn read_pid(file: &Path) -> Option<i32> {
    fs::read_to_string(file).ok()?.parse().ok()
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        // The keeper of a private node does it too.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("removing {}", folder.display())),
    }
}
