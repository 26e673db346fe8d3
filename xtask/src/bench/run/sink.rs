//! The sink's process: started, asked where it listens, ended.
//!
//! It serves until its standard input ends. We hold the other end of that pipe, so it goes when this
//! process goes, however that happens.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::super::programs;
use crate::broker::Interrupt;

/// How long it may take until it listens.
const START: Duration = Duration::from_secs(10);
/// How long it may take to end by itself.
const END: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);

/// A sink that listens.
#[derive(Debug)]
pub(crate) struct Sink {
    child: Child,
    /// Open for as long as it is to serve.
    input: Option<ChildStdin>,
    address: String,
    /// Where it speaks TLS.
    tls: Option<String>,
    program: PathBuf,
    folder: PathBuf,
}

impl Sink {
    /// Starts it; its output goes to files in `folder`.
    pub(crate) fn start(program: &Path, folder: &Path, interrupt: &Interrupt) -> Result<Self> {
        let (out, log) = (folder.join("sink.out"), folder.join("sink.log"));
        let mut command = Command::new(program);
        command.args(["--port", "0"]).stdin(Stdio::piped());
        command.stdout(programs::create(&out)?).stderr(programs::create(&log)?);
        // In a group of its own, a terminal's Ctrl-C does not end it in the middle of a measurement.
        let mut child =
            command.process_group(0).spawn().with_context(|| program.display().to_string())?;
        let input = child.stdin.take();
        let (program, folder) = (program.to_owned(), folder.to_owned());
        let mut sink = Self { child, input, address: String::new(), tls: None, program, folder };
        let deadline = Instant::now() + START;
        loop {
            interrupt.check()?;
            if let Some(address) = told(&out, "listening ")? {
                sink.address = address;
                sink.tls = told(&out, "tls ")?;
                return Ok(sink);
            }
            if !sink.is_alive() || Instant::now() > deadline {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("the sink does not listen: {}", said.trim());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Starts it again if it has died.
    pub(crate) fn revive(&mut self, interrupt: &Interrupt) -> Result<()> {
        if !self.is_alive() {
            *self = Self::start(&self.program, &self.folder, interrupt)?;
        }
        Ok(())
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.address)
    }

    /// Whom it is, nobody can tell: its certificate is its own.
    pub(crate) fn tls_url(&self) -> String {
        let address = self.tls.as_deref().unwrap_or(&self.address);
        format!("amqps://guest:guest@{address}/%2f?verify=verify_none")
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.input.take());
        let deadline = Instant::now() + END;
        while self.is_alive() && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        // Nothing if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address of the line that begins so, once all of it is there.
fn told(out: &Path, what: &str) -> Result<Option<String>> {
    let mut text = String::new();
    File::open(out)?.read_to_string(&mut text)?;
    let line = text.split_inclusive('\n').find_map(|line| line.strip_prefix(what));
    Ok(line.and_then(|address| address.strip_suffix('\n')).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::super::tests::script;
    use super::*;

    #[test]
    fn sink_serves_until_its_input_ends_and_is_started_again_when_it_died() {
        let interrupt = Interrupt::install().unwrap();
        let folder = std::env::temp_dir().join(format!("amqp-sink-test-{}", std::process::id()));
        let program = script(
            &folder.join("sink"),
            "echo tls 127.0.0.1:1\necho listening 127.0.0.1:$$\ncat >/dev/null\n",
        );
        let mut sink = Sink::start(&program, &folder, &interrupt).unwrap();
        let first = sink.url();
        assert_eq!(first, format!("amqp://guest:guest@127.0.0.1:{}/%2f", sink.child.id()));
        assert_eq!(sink.tls_url(), "amqps://guest:guest@127.0.0.1:1/%2f?verify=verify_none");
        sink.revive(&interrupt).unwrap();
        assert_eq!(sink.url(), first);
        drop(sink.input.take());
        sink.child.wait().unwrap();
        sink.revive(&interrupt).unwrap();
        assert_ne!(sink.url(), first);
        let process = PathBuf::from(format!("/proc/{}", sink.child.id()));
        assert!(process.exists());
        drop(sink);
        assert!(!process.exists());

        let program = script(&folder.join("broken"), "echo no port >&2; exit 1\n");
        let error = Sink::start(&program, &folder, &interrupt).unwrap_err();
        assert_eq!(error.to_string(), "the sink does not listen: no port");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
