//! A broker for as long as it is needed: one that `broker start` made, or a private one that is
//! stopped when the lease ends (also by an error or a signal, which are errors here).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::Signal;

use super::install::Programs;
use super::interrupt::Interrupt;
use super::node::Node;
use super::progress::Progress;
use super::{probe, process};

/// How long a node may take until it answers; usually 6 s.
const START: Duration = Duration::from_secs(120);
/// How long its keeper may take to stop it, before it is killed.
const STOP: Duration = Duration::from_secs(20);
/// How often another set of ports is tried.
const ATTEMPTS: u32 = 3;

/// A broker that answers.
#[derive(Debug)]
pub(crate) struct Lease {
    node: Node,
    /// The keeper of a private node; none for a node that stays.
    keeper: Option<Child>,
    /// Held on a node that stays.
    _claim: Option<Claim>,
}

impl Lease {
    /// The broker that `broker start` made, or else a private one.
    pub(crate) fn take(interrupt: &Interrupt) -> Result<Self> {
        if let Some(node) = detached()?
            && let Some(claim) = Claim::make(&node)?
        {
            eprintln!("{} is running already: {}", product(&node), node.url());
            return Ok(Self { node, keeper: None, _claim: Some(claim) });
        }
        Self::start(false, interrupt)
    }

    /// Starts a node; with `detached` it stays when the lease ends.
    pub(crate) fn start(detached: bool, interrupt: &Interrupt) -> Result<Self> {
        remove_dead()?;
        let programs = Programs::find_or_install(interrupt)?;
        let mut attempt = 1;
        loop {
            match Self::try_start(&programs, detached, interrupt) {
                Err(error) if attempt < ATTEMPTS && format!("{error:#}").contains("eaddrinuse") => {
                    eprintln!("someone took one of its ports; trying others");
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn try_start(programs: &Programs, detached: bool, interrupt: &Interrupt) -> Result<Self> {
        let mut node = Node::create(programs.clone(), detached)?;
        let progress = Progress::start(&format!(
            "Starting RabbitMQ on 127.0.0.1:{} ({})",
            node.port, node.name
        ));
        let mut keeper = start_keeper(&node)?;
        match await_ready(&node, &mut keeper, progress, interrupt) {
            Ok(product) => {
                node.product = Some(product);
                node.save()?;
                Ok(Self { node, keeper: Some(keeper).filter(|_| !detached), _claim: None })
            }
            Err(error) => {
                let tail = tail(&node);
                stop_keeper(&node, &mut keeper)?;
                let _ = fs::remove_dir_all(&node.folder);
                Err(if interrupt.is_set() { error } else { anyhow!("{error:#}; {tail}") })
            }
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
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
        let Some(mut keeper) = self.keeper.take() else { return Ok(()) };
        let progress = Progress::start("Stopping RabbitMQ");
        let result = stop_keeper(&self.node, &mut keeper);
        progress.done(if result.is_ok() { "stopped" } else { "not stopped" });
        result?;
        remove_folder(&self.node.folder)
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

/// The node that `broker start` made, if it runs.
pub(crate) fn detached() -> Result<Option<Node>> {
    Ok(Node::all()?
        .into_iter()
        .find(|node| node.detached && node.product.is_some() && node.is_alive()))
}

/// Stops a node of an earlier command.
///
/// # Errors
///
/// If something of it is left, by name.
pub(crate) fn stop_detached(node: &Node) -> Result<()> {
    if let Some(keeper) = read_pid(&node.file("keeper.pid"))
        .filter(|&keeper| process::is_marked(keeper, &node.folder))
    {
        process::signal(keeper, Signal::TERM, &node.folder);
        process::await_end(&node.folder, STOP);
    }
    process::end_all(&node.folder, Duration::from_secs(5))?;
    remove_folder(&node.folder)
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

fn start_keeper(node: &Node) -> Result<Child> {
    let program = std::env::current_exe().context("where this program is")?;
    let log = fs::File::create(node.file("keeper.log"))?;
    let mut command = Command::new(program);
    node.prepare(&mut command);
    command
        .args(["broker", "keep"])
        .arg(&node.folder)
        .stdin(if node.detached { Stdio::null() } else { Stdio::piped() })
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("starting the keeper of the broker")
}

fn await_ready(
    node: &Node,
    keeper: &mut Child,
    mut progress: Progress,
    interrupt: &Interrupt,
) -> Result<String> {
    let deadline = Instant::now() + START;
    loop {
        interrupt.check()?;
        if let Ok(product) = probe::product(node.port, Duration::from_secs(1)) {
            progress.done(&format!("{product} is up"));
            return Ok(product);
        }
        if keeper.try_wait()?.is_some() {
            progress.done("failed");
            bail!("RabbitMQ did not start");
        }
        if Instant::now() > deadline {
            progress.done("failed");
            bail!("RabbitMQ does not answer after {} s", START.as_secs());
        }
        progress.tick();
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ends a keeper that this process started, and with it the node.
fn stop_keeper(node: &Node, keeper: &mut Child) -> Result<()> {
    // The end of its standard input is what it waits for.
    drop(keeper.stdin.take());
    if node.detached
        && let Ok(pid) = i32::try_from(keeper.id())
    {
        process::signal(pid, Signal::TERM, &node.folder);
    }
    let deadline = Instant::now() + STOP;
    while keeper.try_wait()?.is_none() {
        if Instant::now() > deadline {
            keeper.kill()?;
            keeper.wait()?;
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    process::end_all(&node.folder, Duration::from_secs(5))
}

/// What was said last before it went wrong.
fn tail(node: &Node) -> String {
    let mut text = String::new();
    for name in ["keeper.log", "epmd.log", "server.log", "rabbitmq.log"] {
        let said = fs::read_to_string(node.file(name)).unwrap_or_default();
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        if !lines.is_empty() {
            let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
            text += &format!("the end of {name}:\n  {}\n", last.join("\n  "));
        }
    }
    text
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
