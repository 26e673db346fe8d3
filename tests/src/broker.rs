//! The broker under test: where it is, and how to ask it what no AMQP client may.
//!
//! Everything comes from the environment that `cargo xtask test` sets. Asking goes through a script,
//! `AMQP_TEST_CTL`, that evaluates Erlang in the broker (about 5 ms) or runs rabbitmqctl (about 1 s).

use std::process::{Command, Output, Stdio};
use std::{env, fmt, io};

/// How to run the tests; the message of every test that finds no broker.
const HOW: &str = "\
There is no broker to test against (AMQP_TEST_URL and AMQP_TEST_CTL are not set). Run
    cargo xtask test                 which starts one, or
    cargo xtask broker start         and set what it prints.";

/// A broker, and what may be asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    url: Url,
    lanes: Vec<u16>,
    ctl: Option<String>,
}

impl Broker {
    /// The broker that the environment names: `AMQP_TEST_URL` (its URI), `AMQP_TEST_PORTS` (further ports
    /// of it with commas between, each for one test at a time) and `AMQP_TEST_CTL` (the script that speaks
    /// to it, or `none`: then what tests leave on the broker is not checked).
    ///
    /// # Errors
    ///
    /// Text for the person at the keyboard: what is missing or wrong, and how to run the tests.
    pub fn from_env() -> Result<Self, String> {
        let variable = |name: &str| env::var(name).ok().filter(|value: &String| !value.is_empty());
        Self::from_variables(variable)
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let (Some(url), Some(ctl)) = (variable("AMQP_TEST_URL"), variable("AMQP_TEST_CTL")) else {
            return Err(HOW.to_owned());
        };
        let url = Url::parse(&url).ok_or(format!("AMQP_TEST_URL is no AMQP URI: {url}"))?;
        let lanes = match variable("AMQP_TEST_PORTS") {
            Some(ports) => ports
                .split(',')
                .map(|port| port.trim().parse())
                .collect::<Result<Vec<u16>, _>>()
                .map_err(|error| format!("AMQP_TEST_PORTS={ports}: {error}"))?,
            None => vec![url.port],
        };
        Ok(Self { url, lanes, ctl: Some(ctl).filter(|ctl| ctl != "none") })
    }

    /// The broker of this URI, with further ports and the script that speaks to it; none if the URI is wrong.
    pub fn new(url: &str, lanes: Vec<u16>, ctl: &str) -> Option<Self> {
        Some(Self { url: Url::parse(url)?, lanes, ctl: Some(ctl.to_owned()) })
    }

    /// Its main port.
    pub fn port(&self) -> u16 {
        self.url.port
    }

    /// Its host.
    pub fn host(&self) -> &str {
        &self.url.host
    }

    /// Its URI, with `port` instead of its own.
    pub fn url(&self, port: u16) -> String {
        let Url { before, host, rest, .. } = &self.url;
        format!("{before}{host}:{port}{rest}")
    }

    /// Whether it can be asked what is left on it.
    pub fn is_observable(&self) -> bool {
        self.ctl.is_some()
    }

    /// The ports that are given to one test at a time.
    pub(crate) fn lanes(&self) -> &[u16] {
        &self.lanes
    }

    /// Evaluates an Erlang expression in the broker and returns the text that it yields. Blocks for some
    /// milliseconds.
    ///
    /// # Errors
    ///
    /// If there is no way to ask this broker, it cannot be reached, or the expression fails.
    pub fn eval(&self, expression: &str) -> Result<String, EvalError> {
        let output = self.run(&["eval", expression])?;
        let said = String::from_utf8_lossy(&output.stdout);
        // The value of io:put_chars, behind what it has put.
        match said.trim_end().strip_suffix("{ok, ok}") {
            Some(text) => Ok(text.to_owned()),
            None => Err(EvalError::refused(&output)),
        }
    }

    /// Runs a command of rabbitmqctl, such as `["set_vm_memory_high_watermark", "0"]`, and returns what it
    /// prints. Blocks for about a second.
    ///
    /// # Errors
    ///
    /// If there is no way to ask this broker, or the command fails.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, EvalError> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            return Err(EvalError::refused(&output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// As [`eval`](Self::eval), without blocking.
    ///
    /// # Errors
    ///
    /// As [`eval`](Self::eval).
    pub async fn eval_async(&self, expression: &str) -> Result<String, EvalError> {
        let (broker, expression) = (self.clone(), expression.to_owned());
        run_blocking(move || broker.eval(&expression)).await
    }

    /// As [`ctl`](Self::ctl), without blocking.
    ///
    /// # Errors
    ///
    /// As [`ctl`](Self::ctl).
    pub async fn ctl_async(&self, arguments: &[&str]) -> Result<String, EvalError> {
        let broker = self.clone();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        run_blocking(move || broker.ctl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
            .await
    }

    fn run(&self, arguments: &[&str]) -> Result<Output, EvalError> {
        let ctl = self.ctl.as_ref().ok_or(EvalError("AMQP_TEST_CTL is `none`".to_owned()))?;
        Command::new(ctl)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error: io::Error| EvalError(format!("{ctl}: {error}")))
    }
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Why a broker gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalError(String);

impl EvalError {
    fn refused(output: &Output) -> Self {
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        Self(format!("{}: {}", output.status, String::from_utf8_lossy(&said).trim()))
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asking the broker: {}", self.0)
    }
}

impl std::error::Error for EvalError {}

/// A URI in the parts that matter here: only its port is ever changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    /// Scheme and credentials, up to the host.
    before: String,
    host: String,
    port: u16,
    /// The vhost and parameters.
    rest: String,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(at)?;
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (format!("{credentials}@"), host),
            None => (String::new(), authority),
        };
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (host, 5672),
        };
        Some(Self {
            before: format!("{scheme}://{credentials}"),
            host: host.to_owned(),
            port,
            rest: rest.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_variables_say_how_to_run() {
        let error = Broker::from_variables(|_| None).unwrap_err();
        assert!(error.contains("cargo xtask test"), "{error}");
        let url = |name: &str| (name == "AMQP_TEST_URL").then(|| "amqp://localhost".to_owned());
        assert!(Broker::from_variables(url).is_err(), "no way to check for leaks, unsaid");
    }

    #[test]
    fn url_keeps_all_but_the_port() {
        let broker = |text: &str| {
            Broker::from_variables(|name| match name {
                "AMQP_TEST_URL" => Some(text.to_owned()),
                "AMQP_TEST_CTL" => Some("none".to_owned()),
                _ => None,
            })
        };
        let with_port = |text| broker(text).unwrap().url(7);
        assert_eq!(with_port("amqp://u:p@h:1/%2f?heartbeat=3"), "amqp://u:p@h:7/%2f?heartbeat=3");
        assert_eq!(with_port("amqp://localhost"), "amqp://localhost:7");
        assert_eq!(broker("amqp://localhost").unwrap().lanes(), [5672]);
        assert!(broker("localhost:5672").is_err());
    }
}
