//! The keeper: a process of ours between the command and the broker, which owns epmd and the server.
//!
//! It stops them when it is told to (SIGTERM), and when the command that started it is gone, however
//! that ended: its standard input is a pipe of that command's, and end of file means "gone". So a
//! killed `cargo xtask test` leaves no broker behind. `broker start` gives it no pipe.
//!
//! Where a test wants the server lost, it kills it and later starts it anew (see `node`); an end that nobody wanted is the
//! node's end.
//!
//! It is this same program, started as the hidden command `broker keep FOLDER`, in a session of its
//! own, where no Ctrl-C of a terminal reaches it or the broker.

use std::fs::File;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::node::{DOWN, IS_DOWN, Node};

/// How long RabbitMQ may take to stop by itself; usually 3 s.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);

/// Starts the node in `folder`, keeps it, and stops it. Returns when it is stopped.
pub(crate) fn keep(folder: &Path) -> Result<()> {
    // It fails only in a process that leads its group already, which then has its own session.
    let _ = rustix::process::setsid();
    let end = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, end.clone()).context("signal handlers")?;
    }
    let node = Node::load(folder)?;
    std::fs::write(node.file("keeper.pid"), std::process::id().to_string())?;
    if !node.detached {
        watch_parent(end.clone());
    }
    // In a cluster the first one's keeper has it.
    let mut epmd = match node.joins {
        None => Some(start(&node, &mut Command::new(&node.programs.epmd), "epmd.log")?),
        Some(_) => None,
    };
    let result = with_epmd(&node, epmd.as_mut(), &end);
    if let Some(mut epmd) = epmd {
        let _ = epmd.kill();
        let _ = epmd.wait();
    }
    if result.is_ok() && !node.detached {
        // Whoever started this may be gone. After a failure the logs are still wanted.
        let _ = std::fs::remove_dir_all(folder);
    }
    result
}

fn with_epmd(node: &Node, mut epmd: Option<&mut Child>, end: &AtomicBool) -> Result<()> {
    if let Some(epmd) = &mut epmd {
        await_epmd(node, epmd)?;
    }
    let mut server = Some(start_server(node)?);
    let result = watch(node, &mut server, epmd, end);
    if let Some(mut server) = server {
        stop(&mut server);
    }
    result
}

fn start_server(node: &Node) -> Result<Child> {
    start(node, &mut Command::new(&node.programs.server), "server.log")
}

/// Returns when the node is to end; an error is that it did so by itself.
fn watch(
    node: &Node,
    server: &mut Option<Child>,
    mut epmd: Option<&mut Child>,
    end: &AtomicBool,
) -> Result<()> {
    while !end.load(Ordering::Relaxed) {
        for (name, child) in [("rabbitmq-server", server.as_mut()), ("epmd", epmd.as_deref_mut())] {
            if let Some(child) = child
                && let Some(status) = child.try_wait()?
            {
                bail!("{name} ended: {status}");
            }
        }
        match (node.file(DOWN).exists(), server.take()) {
            (true, Some(mut running)) => {
                kill(&mut running);
                std::fs::write(node.file(IS_DOWN), "")?;
            }
            (false, None) => {
                *server = Some(start_server(node)?);
                std::fs::remove_file(node.file(IS_DOWN))?;
            }
            (_, as_it_is) => *server = as_it_is,
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Ends the server without a warning, as a power cut does.
fn kill(server: &mut Child) {
    let Some(group) = i32::try_from(server.id()).ok().and_then(Pid::from_raw) else { return };
    // Not reaped yet: the number is still the group's.
    let _ = kill_process_group(group, Signal::KILL);
    let _ = server.wait();
    // The Erlang VM is its script's child. Until it is gone, its ports are taken.
    let deadline = Instant::now() + Duration::from_secs(10);
    while test_kill_process_group(group).is_ok() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn watch_parent(end: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut nothing = [0];
        while matches!(std::io::stdin().read(&mut nothing), Ok(n) if n > 0) {}
        end.store(true, Ordering::Relaxed);
    });
}

fn start(node: &Node, command: &mut Command, log: &str) -> Result<Child> {
    let log = File::create(node.file(log))?;
    node.prepare(command);
    command
        .current_dir(&node.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))
}

fn await_epmd(node: &Node, epmd: &mut Child) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, node.epmd_port));
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect_timeout(&address, POLL).is_err() {
        if let Some(status) = epmd.try_wait()? {
            bail!("epmd ended: {status}");
        }
        if Instant::now() > deadline {
            bail!("epmd does not listen on {address}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Stops the server: its script passes SIGTERM on to the Erlang VM, which then ends in good order.
fn stop(server: &mut Child) {
    if matches!(server.try_wait(), Ok(Some(_))) {
        return;
    }
    let Some(pid) = i32::try_from(server.id()).ok().and_then(Pid::from_raw) else { return };
    let _ = kill_process(pid, Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if matches!(server.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(POLL);
    }
    // Not reaped yet: the number is still the group's.
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = server.wait();
}
