//! Ctrl-C, SIGTERM and SIGHUP: commands that hold a broker end their children, stop the broker and
//! then fail, instead of just being gone.
//!
//! Everything that waits for long calls [`Interrupt::check`] in its loop, so that an interrupt takes
//! the same way out as any other error. A second signal ends the process at once; the broker's keeper
//! notices that too (see `keeper`).

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How long a child that was asked to end may take.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// Whether the user (or the system) wants this process to end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over the three signals, once per process.
    pub(crate) fn install() -> Result<Self> {
        static INSTALLED: OnceLock<Interrupt> = OnceLock::new();
        if let Some(installed) = INSTALLED.get() {
            return Ok(installed.clone());
        }
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Registered before the flag's setter, hence effective from the second signal on.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, flag.clone())
                .and_then(|_| signal_hook::flag::register(signal, flag.clone()))
                .context("signal handlers")?;
        }
        Ok(INSTALLED.get_or_init(|| Self(flag)).clone())
    }

    /// Whether a signal has come.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails once a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_set() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Starts `command` without standard input and in a process group of its own, so that it can be
    /// ended with all that it starts.
    pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
        command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))
    }

    /// Waits for a child of [`Interrupt::spawn`]. `tick` is called while it runs, and ends it by an
    /// error.
    ///
    /// # Errors
    ///
    /// When a signal comes first, or what `tick` says; the child and all that it started have ended then.
    pub(crate) fn wait(
        &self,
        child: &mut Child,
        mut tick: impl FnMut() -> Result<()>,
    ) -> Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait().context("waiting for a child")? {
                return Ok(status);
            }
            if let Err(error) = self.check().and_then(|()| tick()) {
                end_group(child);
                return Err(error);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Runs `command` to its end.
    ///
    /// # Errors
    ///
    /// As [`Interrupt::wait`]; that the command failed is no error but an [`ExitStatus`].
    pub(crate) fn run(&self, command: &mut Command) -> Result<ExitStatus> {
        self.check()?;
        let mut child = Self::spawn(command)?;
        self.wait(&mut child, || Ok(()))
    }
}

/// Ends a child that leads its own process group, and the group with it.
fn end_group(child: &mut Child) {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    // The leader is not reaped before the end of this function: until then the number is the group's.
    let _ = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && !is_zombie(child.id()) {
        std::thread::sleep(POLL);
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

fn is_zombie(pid: u32) -> bool {
    // Field 3 of the line, after the name in parentheses, which may hold anything.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|line| line.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupt_ends_the_child_and_what_it_started() {
        let interrupt = Interrupt(Arc::new(AtomicBool::new(false)));
        let folder =
            std::env::temp_dir().join(format!("amqp-interrupt-test-{}", std::process::id()));
        let mut command = Command::new("sh");
        // The inner shell does not listen to SIGTERM.
        command.args(["-c", "sh -c 'trap \"\" TERM; sleep 60; sleep 60' & wait"]);
        command.env(super::super::process::MARK, &folder);
        let mut child = Interrupt::spawn(&mut command).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        interrupt.0.store(true, Ordering::Relaxed);
        let result = interrupt.wait(&mut child, || Ok(()));
        assert_eq!(result.unwrap_err().to_string(), "interrupted");
        assert!(super::super::process::await_end(&folder, Duration::from_secs(2)));
    }
}
