//! One private node: its folder, ports, configuration and environment.
//!
//! Everything that a node reads or writes is in its folder, and everything that it listens on is on
//! 127.0.0.1: the AMQP ports, Erlang's distribution, and an epmd of its own (the name server that
//! distribution needs). The user's own RabbitMQ settings are kept out: no `RABBITMQ_*` or `ERL_*`
//! variable and no file of /etc/rabbitmq has an effect.
//!
//! ## Asking the node
//!
//! Tests must learn within milliseconds what is left on the broker. `rabbitmqctl` starts an Erlang VM
//! for each call (0.35 to 1 s). The management plugin answers in 2 ms, but shows a new connection only
//! with its next figures (after 4.6 s when tried), so a leak would pass. Erlang's own `erl_call` evaluates
//! an expression in the node itself, in 2 to 5 ms, and what it reads (the VM's sockets, the core metrics
//! tables) is as it is at that moment. So each node folder holds a script `ctl`: `ctl eval EXPRESSION` goes
//! through `erl_call`, any other command is rabbitmqctl's.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::install::Programs;
use super::process;
use crate::project;

/// AMQP ports besides the main one. A test takes one of them for itself, so that whatever it leaves
/// behind can be told from what other tests are doing; so this many tests run at once.
const LANES: usize = 8;

/// A node, as written into its folder (`node.json`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Its Erlang name, unique on this machine.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// The main AMQP port.
    pub(crate) port: u16,
    /// Further AMQP ports, each for one test at a time.
    pub(crate) lanes: Vec<u16>,
    distribution_port: u16,
    pub(crate) epmd_port: u16,
    /// Started by `broker start`: outlives the command that started it.
    pub(crate) detached: bool,
    pub(crate) programs: Programs,
    /// What it says it is, once it is up ("RabbitMQ 3.10.8").
    pub(crate) product: Option<String>,
}

impl Node {
    /// Lays out a new node's folder; nothing is started.
    pub(crate) fn create(programs: Programs, detached: bool) -> Result<Self> {
        let [port, distribution_port, epmd_port, lanes @ ..] = free_ports::<{ LANES + 3 }>()?;
        let node = Self {
            name: format!("amqp-{}-{port}@localhost", std::process::id()),
            folder: home()?.join(format!("amqp-{}-{port}", std::process::id())),
            port,
            lanes: lanes.to_vec(),
            distribution_port,
            epmd_port,
            detached,
            programs,
            product: None,
        };
        if node.folder.to_string_lossy().contains('\'') {
            // It asks `df` about its folder by way of a shell, and then waits for ever.
            anyhow::bail!(
                "RabbitMQ does not start in {}: there is a ' in it",
                node.folder.display()
            );
        }
        node.write_files().with_context(|| format!("laying out {}", node.folder.display()))?;
        Ok(node)
    }

    /// Reads the node that lives in `folder`.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let file = folder.join("node.json");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        serde_json::from_str(&text).with_context(|| file.display().to_string())
    }

    /// Writes what is known about it, for `load`.
    pub(crate) fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        // Never seen half written.
        let fresh = self.file("node.json.new");
        fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, self.file("node.json")))?;
        Ok(())
    }

    /// All nodes that have a folder, alive or not.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let Ok(entries) = fs::read_dir(home()?) else { return Ok(Vec::new()) };
        Ok(entries.flatten().filter_map(|entry| Self::load(&entry.path()).ok()).collect())
    }

    /// Whether any process of it is alive.
    pub(crate) fn is_alive(&self) -> bool {
        !process::of_node(&self.folder).is_empty()
    }

    /// Whether it was laid out no longer ago than that.
    pub(crate) fn is_new(&self, age: Duration) -> bool {
        let written = fs::metadata(self.file("node.json")).and_then(|file| file.modified());
        written.is_ok_and(|written| written.elapsed().is_ok_and(|elapsed| elapsed < age))
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The script that speaks to it; see the module's words.
    pub(crate) fn ctl(&self) -> PathBuf {
        self.file("ctl")
    }

    /// RabbitMQ's own log.
    pub(crate) fn log(&self) -> PathBuf {
        self.file("rabbitmq.log")
    }

    /// What the broker tests read (package amqp-tests).
    pub(crate) fn test_environment(&self) -> Vec<(&'static str, String)> {
        let lanes: Vec<String> = self.lanes.iter().map(ToString::to_string).collect();
        vec![
            ("AMQP_TEST_URL", self.url()),
            ("AMQP_TEST_PORTS", lanes.join(",")),
            ("AMQP_TEST_CTL", self.ctl().display().to_string()),
        ]
    }

    /// Gives `command` the node's environment and takes the user's own settings away.
    pub(crate) fn prepare(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let bytes = name.as_encoded_bytes();
            if bytes.starts_with(b"RABBITMQ_") || bytes.starts_with(b"ERL_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment());
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let file = |name: &str| self.file(name).into_os_string();
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get().min(4));
        // Every Erlang VM that is started here reads them, rabbitmqctl's and the helpers' too. They are
        // split at blanks: none of them may hold one.
        let local = "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false";
        // With distribution up before RabbitMQ starts, RabbitMQ need not set it up; it would, for a
        // moment, listen on all interfaces to see whether the port is free.
        let distribution = format!(
            "-sname {} -kernel inet_dist_listen_min {port} -kernel inet_dist_listen_max {port}",
            self.name,
            port = self.distribution_port
        );
        vec![
            (process::MARK, self.folder.clone().into_os_string()),
            ("HOME", self.folder.clone().into_os_string()), // of .erlang.cookie
            ("LC_ALL", "C.UTF-8".into()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("ERL_EPMD_PORT", self.epmd_port.to_string().into()),
            ("RABBITMQ_NODENAME", self.name.clone().into()),
            ("RABBITMQ_DIST_PORT", self.distribution_port.to_string().into()),
            ("RABBITMQ_CONF_ENV_FILE", file("rabbitmq-env.conf")),
            ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins")),
            ("RABBITMQ_MNESIA_BASE", file("data")),
            ("RABBITMQ_LOG_BASE", file("log")),
            ("RABBITMQ_LOGS", self.log().into_os_string()),
            ("RABBITMQ_PID_FILE", file("rabbitmq.pid")),
            ("ERL_FLAGS", local.into()),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!("{distribution} +S {threads}:{threads}").into(),
            ),
        ]
    }

    fn write_files(&self) -> Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        fs::write(self.file("rabbitmq.conf"), self.configuration())?;
        fs::write(self.file("rabbitmq-env.conf"), "")?;
        fs::write(self.file("enabled_plugins"), "[].\n")?;
        write_new(&self.file(".erlang.cookie"), 0o400, &cookie())?;
        write_new(&self.ctl(), 0o700, &self.ctl_script())?;
        self.save()
    }

    fn configuration(&self) -> String {
        let listeners: String = std::iter::once(&self.port)
            .chain(&self.lanes)
            .enumerate()
            .map(|(i, port)| format!("listeners.tcp.{} = 127.0.0.1:{port}\n", i + 1))
            .collect();
        // Its data is thrown away: it need not protect much disk, and may use little memory.
        format!(
            "{listeners}\
             num_acceptors.tcp = 2\n\
             log.console = false\n\
             log.file.level = info\n\
             disk_free_limit.absolute = 1MB\n\
             vm_memory_high_watermark.absolute = 2GB\n"
        )
    }

    fn ctl_script(&self) -> String {
        let settings: String = self
            .environment()
            .into_iter()
            .map(|(name, value)| format!("export {name}={}\n", quoted(&value.to_string_lossy())))
            .collect();
        let erl_call = match &self.programs.erl_call {
            // -h: without a name of its own, calls at the same time hinder each other (so they do with
            // -r, whose random names are the same within a second).
            Some(program) => format!(
                "printf 'io:put_chars(begin %s end).\\n' \"$2\" \
                 | exec {} -h ctl$$ -sname {} -fetch_stdout -e",
                quoted(&program.to_string_lossy()),
                self.name
            ),
            None => {
                "echo 'erl_call is not on PATH: install Erlang'\\''s erl_interface' >&2; exit 1"
                    .to_owned()
            }
        };
        format!(
            "#!/bin/sh\n\
             # Written by `cargo xtask broker`. It speaks to the node {name} and no other.\n\
             #   ctl eval EXPRESSION   prints the text that the Erlang EXPRESSION yields, then {{ok, ok}};\n\
             #                         or {{error, ...}}; within milliseconds\n\
             #   ctl COMMAND ...       rabbitmqctl COMMAND ...\n\
             {settings}\
             if [ \"$1\" = eval ]; then\n    {erl_call}\nelse\n    exec {ctl} \"$@\"\nfi\n",
            name = self.name,
            ctl = quoted(&self.programs.rabbitmqctl.to_string_lossy()),
        )
    }
}

/// The folder with all nodes' folders.
pub(crate) fn home() -> Result<PathBuf> {
    Ok(project::target_dir()?.join("broker"))
}

fn write_new(path: &Path, mode: u32, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

/// Whoever knows it may run anything in the node, so it is not to be guessed.
fn cookie() -> String {
    (0..2).map(|_| format!("{:016X}", RandomState::new().hash_one(()))).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Free ports of 127.0.0.1, below the range that the kernel takes for outgoing connections: between
/// here and the broker's `listen` none of those can take one.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 17_000;
    let random = RandomState::new();
    let mut ports = BTreeSet::new();
    for attempt in 0..u64::from(COUNT) {
        let offset = u16::try_from(random.hash_one(attempt) % u64::from(COUNT))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + offset)).is_ok() {
            ports.insert(FIRST + offset);
        }
        if ports.len() == N {
            let ports: Vec<u16> = ports.into_iter().collect();
            return ports.try_into().ok().context("counted wrong");
        }
    }
    anyhow::bail!("127.0.0.1 has no {N} free ports from {FIRST} on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_distinct_and_free() {
        let ports = free_ports::<11>().unwrap();
        assert_eq!(BTreeSet::from(ports).len(), 11);
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn quoted_survives_a_shell() {
        let awkward = "it's a $HOME \"path\"";
        let output = Command::new("sh")
            .args(["-c", &format!("printf %s {}", quoted(awkward))])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), awkward);
    }
}
