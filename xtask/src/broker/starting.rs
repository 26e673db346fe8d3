//! The processes of a lease's nodes: starting their keepers, waiting until the nodes answer, and ending them.
//!
//! `lease` decides which nodes there are and for how long; here nothing is known of that.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use super::interrupt::Interrupt;
use super::node::Node;
use super::progress::Progress;
use super::{probe, process};

/// How long a node may take until it answers; usually 6 s.
pub(super) const START: Duration = Duration::from_secs(120);
/// How long its keeper may take to stop it, before it is killed.
pub(super) const STOP: Duration = Duration::from_secs(20);

/// Starts the nodes: the first, then those that join it, and waits until all are one.
pub(super) fn start_all(
    nodes: &mut [Node],
    keepers: &mut Vec<Child>,
    interrupt: &Interrupt,
) -> Result<()> {
    let count = nodes.len();
    let Some((first, others)) = nodes.split_first_mut() else { return Ok(()) };
    let mut what = format!("Starting RabbitMQ on 127.0.0.1:{} ({})", first.port, first.name);
    if count > 1 {
        what += &format!(" and {} more", count - 1);
    }
    let mut progress = Progress::start(&what);
    let mut keeper = start_keeper(first)?;
    let product = await_ready(first, &mut keeper, &mut progress, interrupt);
    keepers.push(keeper);
    let started = others.len();
    for node in others.iter() {
        keepers.push(start_keeper(node)?);
    }
    let product = product.and_then(|product| {
        for (node, keeper) in others.iter().zip(keepers.iter_mut().skip(1)) {
            await_ready(node, keeper, &mut progress, interrupt)?;
        }
        if started > 0 {
            await_cluster(first, count, &mut progress, interrupt)?;
        }
        Ok(product)
    });
    match product {
        Ok(product) => {
            let all =
                if count > 1 { format!(" {count} times, as a cluster") } else { String::new() };
            progress.done(&format!("{product} is up{all}"));
            for node in nodes {
                node.product = Some(product.clone());
                node.save()?;
            }
            Ok(())
        }
        Err(error) => {
            progress.done("failed");
            Err(error)
        }
    }
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
    progress: &mut Progress,
    interrupt: &Interrupt,
) -> Result<String> {
    let deadline = Instant::now() + START;
    loop {
        interrupt.check()?;
        if let Ok(product) = probe::product(node.port, Duration::from_secs(1)) {
            return Ok(product);
        }
        if keeper.try_wait()?.is_some() {
            bail!("RabbitMQ did not start");
        }
        if Instant::now() > deadline {
            bail!("RabbitMQ does not answer after {} s", START.as_secs());
        }
        progress.tick();
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the first node knows of all the others.
fn await_cluster(
    first: &Node,
    count: usize,
    progress: &mut Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let deadline = Instant::now() + START;
    loop {
        interrupt.check()?;
        let running = running_nodes(first).unwrap_or(0);
        if running == count {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("of {count} nodes {running} are one cluster after {} s", START.as_secs());
        }
        progress.tick();
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn running_nodes(node: &Node) -> Result<usize> {
    let out = Command::new(node.ctl())
        .args(["cluster_status", "--formatter", "json"])
        .stdin(Stdio::null())
        .output()
        .context("asking for the cluster")?;
    let status: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let running = status.get("running_nodes").and_then(serde_json::Value::as_array);
    Ok(running.context("no running_nodes")?.len())
}

/// Ends keepers that this process started, and with them their nodes: the first is what the others find each other by, so
/// it goes last.
pub(super) fn stop_all(nodes: &[Node], keepers: &mut [Child]) -> Result<()> {
    // All are told before any is awaited: each takes seconds.
    for (node, keeper) in nodes.iter().zip(keepers.iter_mut()).rev() {
        // The end of its standard input is what it waits for.
        drop(keeper.stdin.take());
        if node.detached
            && let Ok(pid) = i32::try_from(keeper.id())
        {
            process::signal(pid, Signal::TERM, &node.folder);
        }
    }
    for keeper in keepers.iter_mut().rev() {
        let deadline = Instant::now() + STOP;
        while keeper.try_wait()?.is_none() {
            if Instant::now() > deadline {
                keeper.kill()?;
                keeper.wait()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    nodes.iter().try_for_each(|node| process::end_all(&node.folder, Duration::from_secs(5)))
}

/// What was said last before it went wrong.
pub(super) fn tail(node: &Node) -> String {
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
