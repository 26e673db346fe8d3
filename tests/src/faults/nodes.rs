//! Brokers of a test's own, which it may kill: lent by `cargo xtask`, and gone with the test.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use amqp_connector::Connector;

use crate::broker::{Broker, EvalError};

/// How long a node may take to come up again; usually 4 s.
const PATIENCE: Duration = Duration::from_secs(180);

/// One node, or the nodes of a cluster.
#[derive(Debug)]
pub struct Nodes {
    nodes: Vec<Node>,
    lender: Option<Child>,
}

/// A node that can be killed.
#[derive(Clone, Debug)]
pub struct Node {
    name: String,
    broker: Broker,
    port: u16,
}

impl Nodes {
    /// So many nodes of the test's own, as a cluster if there are several. Blocks for some seconds for each.
    ///
    /// # Errors
    ///
    /// Text for the person at the keyboard, if nobody lends any (`AMQP_TEST_LENDER`) or they do not start.
    pub fn borrow(count: usize) -> Result<Self, String> {
        let lender = env::var("AMQP_TEST_LENDER").map_err(|_| {
            "AMQP_TEST_LENDER is not set; `cargo xtask test` does so, and `cargo xtask broker start` prints it"
        })?;
        let mut child = Command::new(&lender)
            .args(["broker", "lend", "--nodes", &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{lender}: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        }
        // Also after an error the lender is told and waited for, when this is dropped.
        let mut nodes = Self { nodes: Vec::new(), lender: Some(child) };
        nodes.nodes = parse(&line)
            .ok_or(format!("{lender} broker lend --nodes {count} lends nothing: {line:?}"))?;
        Ok(nodes)
    }

    /// Those that a variable tells of, as `broker lend` does; whoever set it keeps them.
    ///
    /// # Errors
    ///
    /// If there is no such variable, or it tells of none.
    pub fn from_variable(name: &str) -> Result<Self, String> {
        let told = env::var(name).map_err(|error| format!("{name}: {error}"))?;
        let nodes = parse(&told).ok_or(format!("{name} names no nodes: {told}"))?;
        Ok(Self { nodes, lender: None })
    }

    /// All of them.
    pub fn all(&self) -> &[Node] {
        &self.nodes
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        if let Some(mut lender) = self.lender.take() {
            // The end of its input is what it waits for.
            drop(lender.stdin.take());
            let _ = lender.wait();
        }
    }
}

impl Node {
    /// A broker that others use too, by one port of it: not to be killed.
    pub fn shared(broker: &Broker, port: u16) -> Self {
        Self { name: "the shared broker".to_owned(), broker: broker.clone(), port }
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node as a broker that can be asked.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Where it is reached.
    pub fn place(&self) -> (String, u16) {
        (self.broker.host().to_owned(), self.port)
    }

    /// Ends it by SIGKILL; returns when it is gone.
    ///
    /// # Errors
    ///
    /// If that cannot be done.
    pub async fn kill(&self) -> Result<(), EvalError> {
        self.broker.ctl_async(&["kill"]).await.map(drop)
    }

    /// Starts it again, and waits until it lets clients in.
    ///
    /// # Errors
    ///
    /// If that cannot be done, or it does not for three minutes, with the last reason.
    pub async fn start(&self) -> Result<(), String> {
        self.broker.ctl_async(&["start"]).await.map_err(|error| error.to_string())?;
        let (host, port) = self.place();
        let connector = Connector::new().host(host).port(port).connection_name("is it up");
        let deadline = Instant::now() + PATIENCE;
        loop {
            match connector.open("guest", "guest").await {
                Ok(connection) => {
                    connection.close().await;
                    return Ok(());
                }
                Err(error) if Instant::now() > deadline => {
                    return Err(format!("{} does not come up: {error}", self.name));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// What `broker lend` prints.
fn parse(line: &str) -> Option<Vec<Node>> {
    let told: serde_json::Value = serde_json::from_str(line).ok()?;
    let nodes: Option<Vec<Node>> = told.as_array()?.iter().map(parse_node).collect();
    nodes.filter(|nodes| !nodes.is_empty())
}

fn parse_node(told: &serde_json::Value) -> Option<Node> {
    let text = |name| told.get(name).and_then(serde_json::Value::as_str);
    let ports = told.get("ports")?.as_array()?.iter();
    let ports: Option<Vec<u16>> =
        ports.map(|port| port.as_u64().and_then(|port| u16::try_from(port).ok())).collect();
    let broker = Broker::new(text("url")?, ports?, text("ctl")?)?;
    let port = broker.port();
    Some(Node { name: text("name")?.to_owned(), broker, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lender_s_line_names_the_nodes() {
        let line = r#"[{"name":"a@h","url":"amqp://guest:guest@127.0.0.1:7/%2f","ports":[8,9],"ctl":"/c"}]"#;
        let nodes = parse(line).unwrap();
        assert_eq!((nodes[0].name(), nodes[0].place()), ("a@h", ("127.0.0.1".to_owned(), 7)));
        for line in ["", "[]", "{}", r#"[{"name":"a"}]"#, &line.replace("8", "80000")] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
