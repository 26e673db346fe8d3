//! One measurement: a client's process, and the line that it prints.
//!
//! The process has its own deadline and says so when it misses it; here it is ended if it does not
//! even do that.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Deserialize;

use super::super::programs;
use super::super::results::Sample;
use crate::broker::Interrupt;

/// How much longer than its measurement a client may take. Its own limit is shorter; to fill a
/// broker's queue comes on top of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) program: &'a Path,
    pub(crate) client: &'a str,
    pub(crate) case: &'a str,
    pub(crate) url: &'a str,
    /// `sink` or `broker`.
    pub(crate) target: &'a str,
    pub(crate) workers: u8,
    pub(crate) seconds: f64,
}

/// How it went.
#[derive(Debug)]
pub(crate) enum Answer {
    Measured {
        sample: Sample,
        version: String,
    },
    /// The client has no such thing.
    Unsupported(String),
    Failed(String),
}

/// The line that a client prints.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    version: Option<String>,
    #[serde(flatten)]
    sample: Sample,
    #[serde(default)]
    error: Option<String>,
}

impl Call<'_> {
    /// Runs the process; its output goes to files in `folder`. `tick` is called while it runs.
    ///
    /// # Errors
    ///
    /// When it is interrupted, or no process can be started at all. That the client fails is an [`Answer`].
    pub(crate) fn run(
        &self,
        folder: &Path,
        interrupt: &Interrupt,
        tick: impl FnMut(),
    ) -> Result<Answer> {
        self.run_within(PATIENCE, folder, interrupt, tick)
    }

    fn run_within(
        &self,
        patience: Duration,
        folder: &Path,
        interrupt: &Interrupt,
        mut tick: impl FnMut(),
    ) -> Result<Answer> {
        let (out, log) = (folder.join("client.out"), folder.join("client.log"));
        let mut command = Command::new(self.program);
        command.args(["--client", self.client, "--case", self.case, "--url", self.url]);
        command.args(["--target", self.target, "--workers", &self.workers.to_string()]);
        command.args(["--seconds", &self.seconds.to_string()]);
        command.stdout(programs::create(&out)?).stderr(programs::create(&log)?);
        let mut child = Interrupt::spawn(&mut command)?;
        let limit = Duration::from_secs_f64(self.seconds) + patience;
        let begin = Instant::now();
        let ended = interrupt.wait(&mut child, || {
            tick();
            if begin.elapsed() > limit {
                bail!("hung: ended after {:.0} s", limit.as_secs_f64());
            }
            Ok(())
        });
        interrupt.check()?;
        let status = match ended {
            Ok(status) => status,
            Err(error) => return Ok(Answer::Failed(format!("{error:#}"))),
        };
        let said = String::from_utf8_lossy(&std::fs::read(&out)?).into_owned();
        Ok(match answer(&said) {
            Some(answer) => answer,
            None => {
                let log = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
                Answer::Failed(format!("{status}, and says: {}", last_words(&log)))
            }
        })
    }
}

/// The meaning of the last line, if it has one.
fn answer(said: &str) -> Option<Answer> {
    let line: Line =
        serde_json::from_str(said.lines().rfind(|line| !line.trim().is_empty())?).ok()?;
    let Some(error) = line.error else {
        return Some(Answer::Measured { sample: line.sample, version: line.version? });
    };
    Some(match error.strip_prefix("unsupported") {
        Some(why) => Answer::Unsupported(why.trim_start_matches([':', ' ']).to_owned()),
        None => Answer::Failed(error),
    })
}

/// The last line that is not empty.
fn last_words(log: &str) -> &str {
    log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing")
}

#[cfg(test)]
mod tests {
    use super::super::tests::script;
    use super::*;

    const LINE: &str = r#"{"client":"ours","version":"0.1.0","case":"rpc","workers":2,"messages":10,"seconds":0.5,"per_second":20.0,"cpu_us_per_message":1.5,"p50_us":null,"rss_start_kib":100,"rss_peak_kib":200,"extra":{"kib_per_connection":7.5},"error":null}"#;

    #[test]
    fn line_tells_a_sample_an_error_or_that_it_cannot_be_done() {
        let Some(Answer::Measured { sample, version }) = answer(&format!("noise\n{LINE}\n\n"))
        else {
            panic!("no sample")
        };
        assert_eq!(version, "0.1.0");
        assert_eq!((sample.messages, sample.per_second, sample.p50_us), (10.0, Some(20.0), None));
        assert_eq!(sample.extra["kib_per_connection"], 7.5);
        let unsupported = r#"{"client":"x","error":"unsupported: has no tables"}"#;
        assert!(
            matches!(answer(unsupported), Some(Answer::Unsupported(why)) if why == "has no tables")
        );
        let failed = r#"{"client":"x","version":"1","per_second":3,"error":"deadline"}"#;
        assert!(matches!(answer(failed), Some(Answer::Failed(why)) if why == "deadline"));
        assert!(answer("").is_none() && answer("{}").is_none() && answer("hello").is_none());
    }

    #[test]
    fn process_that_dies_or_hangs_is_a_failure_of_its_client() {
        let interrupt = Interrupt::install().unwrap();
        let folder = std::env::temp_dir().join(format!("amqp-client-test-{}", std::process::id()));
        let run = |text: &str| {
            let program = script(&folder.join("client"), text);
            let call = Call {
                program: &program,
                client: "ours",
                case: "rpc",
                url: "amqp://127.0.0.1",
                target: "sink",
                workers: 2,
                seconds: 0.1,
            };
            call.run_within(Duration::from_millis(300), &folder, &interrupt, || ()).unwrap()
        };
        let text = format!("echo '{LINE}'; [ \"$2$4\" = oursrpc ]\n");
        assert!(matches!(run(&text), Answer::Measured { .. }));
        let Answer::Failed(why) = run("echo first >&2; echo oh >&2; exit 3\n") else { panic!() };
        assert_eq!(why, "exit status: 3, and says: oh");
        let Answer::Failed(why) = run("sleep 60 & wait\n") else { panic!() };
        assert_eq!(why, "hung: ended after 0 s");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
