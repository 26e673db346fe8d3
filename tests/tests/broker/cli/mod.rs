//! The program `amqp` as a script runs it: its output, its exit codes, and what it leaves in the broker.

mod consuming;
mod ending;
mod publishing;
mod topology;

use std::process::{Output, Stdio};
use std::time::Duration;

use amqp_tests::Fixture;
use serde_json::Value as Json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Longer than any command here takes.
const LONG: Duration = Duration::from_secs(60);

/// The program, told where the test's broker is.
fn amqp(t: &Fixture, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-under-test"));
    for name in ["AMQP_URL", "AMQP_USER", "AMQP_PASSWORD"] {
        command.env_remove(name);
    }
    command.env("AMQP_URL", t.url()).args(arguments).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How it ended, and what it printed.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |octets| String::from_utf8(octets).expect("no text");
        Self {
            code: output.status.code(),
            output: text(output.stdout),
            errors: text(output.stderr),
        }
    }

    /// It did what it was told, and said nothing else.
    #[track_caller]
    fn done(self) -> String {
        assert_eq!((self.code, self.errors.as_str()), (Some(0), ""), "{}", self.output);
        self.output
    }

    /// It ended so, with these words in one line.
    #[track_caller]
    fn failed(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.errors.trim_end().lines().count(), 1, "{self:?}");
        for word in words {
            assert!(self.errors.contains(word), "{word}: {self:?}");
        }
    }

    /// What it printed with `--json`.
    #[track_caller]
    fn objects(&self) -> Vec<Json> {
        let lines = self.output.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
            .collect()
    }
}

/// Runs it to its end.
async fn run(t: &Fixture, arguments: &[&str]) -> Ran {
    run_with(t, arguments, b"").await
}

/// As [`run`], with something on its standard input.
async fn run_with(t: &Fixture, arguments: &[&str], input: &[u8]) -> Ran {
    let mut child = amqp(t, arguments).stdin(Stdio::piped()).spawn().expect("not started");
    let mut stdin = child.stdin.take().expect("no input");
    let fed = async {
        // One that reads nothing may be gone before.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let run = async { tokio::join!(child.wait_with_output(), fed).0 };
    let output = tokio::time::timeout(LONG, run).await.expect("it hangs").expect("no output");
    Ran::of(output)
}

/// A queue of this name, which the test has to delete.
async fn declare(t: &Fixture, word: &str) -> String {
    let name = t.name(word);
    assert_eq!(run(t, &["declare", "queue", &name]).await.done(), format!("{name}\n"));
    name
}

async fn delete(t: &Fixture, queue: &str) {
    run(t, &["delete", "queue", queue]).await.done();
}
