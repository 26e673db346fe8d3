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
//!
//! ## Losing the node
//!
//! `ctl kill` has the node's keeper end its server by SIGKILL, and `ctl start` has it start the server again with what it
//! had written. Which of both is wanted is a file in the folder ([`DOWN`]), and what is so is another ([`IS_DOWN`]).
//!
//! ## Clusters
//!
//! The nodes of a cluster have a folder, a keeper and ports each. They share the cookie and the epmd of the first one, and
//! the others join that when they are started for the first time.

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::install::Programs;
use super::{ports, process};
use crate::project;

/// The variable with the program that lends nodes of its own to a test.
const LENDER: &str = "AMQP_TEST_LENDER";

/// While this is in a node's folder its server is not to run.
pub(crate) const DOWN: &str = "down";
/// Is in a node's folder while its server was ended for that.
pub(crate) const IS_DOWN: &str = "is-down";

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
    /// The first node of its cluster, which has the epmd; none for the first itself, and for a node that is alone.
    #[serde(default)]
    pub(crate) joins: Option<String>,
}

impl Node {
    /// Lays out the folders of so many nodes, which are a cluster if there are several; nothing is started.
    pub(crate) fn create(programs: &Programs, detached: bool, count: usize) -> Result<Vec<Self>> {
        const EACH: usize = LANES + 2;
        let ports = ports::free(1 + count * EACH)?;
        let Some((&epmd_port, ports)) = ports.split_first() else { bail!("no ports") };
        let (cookie, mut nodes) = (cookie(), Vec::<Self>::new());
        for ports in ports.chunks_exact(EACH) {
            let [port, distribution_port, lanes @ ..] = ports else { bail!("too few ports") };
            let node = Self {
                name: format!("amqp-{}-{port}@localhost", std::process::id()),
                folder: home()?.join(format!("amqp-{}-{port}", std::process::id())),
                port: *port,
                lanes: lanes.to_vec(),
                distribution_port: *distribution_port,
                epmd_port,
                detached,
                programs: programs.clone(),
                product: None,
                joins: nodes.first().map(|first| first.name.clone()),
            };
            if node.folder.to_string_lossy().contains('\'') {
                // It asks `df` about its folder by way of a shell, and then waits for ever.
                bail!("RabbitMQ does not start in {}: there is a ' in it", node.folder.display());
            }
            let laid_out = node.write_files(&cookie);
            laid_out.with_context(|| format!("laying out {}", node.folder.display()))?;
            nodes.push(node);
        }
        Ok(nodes)
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

    /// What the nodes of its cluster have in common: the name of the first.
    pub(crate) fn cluster(&self) -> &str {
        self.joins.as_deref().unwrap_or(&self.name)
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
            (LENDER, lender()),
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

    fn write_files(&self, cookie: &str) -> Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        fs::write(self.file("rabbitmq.conf"), self.configuration())?;
        fs::write(self.file("rabbitmq-env.conf"), "")?;
        fs::write(self.file("enabled_plugins"), "[].\n")?;
        write_new(&self.file(".erlang.cookie"), 0o400, cookie)?;
        write_new(&self.ctl(), 0o700, &self.ctl_script())?;
        self.save()
    }

    fn configuration(&self) -> String {
        let listeners: String = std::iter::once(&self.port)
            .chain(&self.lanes)
            .enumerate()
            .map(|(i, port)| format!("listeners.tcp.{} = 127.0.0.1:{port}\n", i + 1))
            .collect();
        let joins = self.joins.as_ref().map_or_else(String::new, |first| {
            format!(
                "cluster_formation.peer_discovery_backend = classic_config\n\
                 cluster_formation.classic_config.nodes.1 = {first}\n"
            )
        });
        // Its data is thrown away: it need not protect much disk, and may use little memory.
        format!(
            "{listeners}\
             {joins}\
             num_acceptors.tcp = 2\n\
             auth_mechanisms.1 = PLAIN\n\
             auth_mechanisms.2 = AMQPLAIN\n\
             auth_mechanisms.3 = RABBIT-CR-DEMO\n\
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
             #   ctl kill              ends it by SIGKILL, and returns when it has ended\n\
             #   ctl start             starts it again, and returns when it has begun to start\n\
             #   ctl COMMAND ...       rabbitmqctl COMMAND ...\n\
             {settings}\
             n=0\n\
             pause() {{ n=$((n + 1)); [ $n -lt 1200 ] || {{ echo 'its keeper does not answer' >&2; exit 1; }}; sleep 0.05; }}\n\
             case \"$1\" in\n\
             eval)\n    {erl_call} ;;\n\
             kill)\n    : >{down}; until [ -e {is_down} ]; do pause; done ;;\n\
             start)\n    rm -f {down}; while [ -e {is_down} ]; do pause; done ;;\n\
             *)\n    exec {ctl} \"$@\" ;;\n\
             esac\n",
            name = self.name,
            down = quoted(&self.file(DOWN).to_string_lossy()),
            is_down = quoted(&self.file(IS_DOWN).to_string_lossy()),
            ctl = quoted(&self.programs.rabbitmqctl.to_string_lossy()),
        )
    }
}

/// This program, which has the command `broker lend`.
fn lender() -> String {
    std::env::current_exe().map_or_else(|_| String::new(), |program| program.display().to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

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
