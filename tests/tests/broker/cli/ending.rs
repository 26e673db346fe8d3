//! How the program ends when it is used wrongly, or finds no broker.

use amqp_tests::broker_test;

use super::{Ran, amqp, run};

impl Ran {
    /// The command line was refused, with a hint.
    #[track_caller]
    pub(super) fn failed_usage(&self) {
        assert_eq!((self.code, &*self.output), (Some(2), ""), "{self:?}");
        assert!(self.errors.contains("error:"), "{self:?}");
    }
}

#[test]
fn a_command_line_that_cannot_be_used_is_exit_code_2() {
    broker_test(async |t| {
        for arguments in [
            &["get"][..],
            &["nosuch"],
            &["declare", "queue", "q", "-a", "no-value"],
            &["consume", "q", "--count", "0"],
            &["publish", "body", "--file", "f"],
        ] {
            run(t, arguments).await.failed_usage();
        }
        run(t, &["--url", "http://host", "get", "q"]).await.failed(2, &["http"]);
        let long = "q".repeat(300);
        run(t, &["get", &long]).await.failed(2, &["queue's name", "255"]);
        run(t, &["publish", "--file", "/nonexistent/file"]).await.failed(1, &["/nonexistent/file"]);
    });
}

#[test]
fn no_connection_is_exit_code_3_and_no_password_is_shown() {
    broker_test(async |t| {
        let (host, port) = (t.host(), t.port());
        let url = format!("amqp://guest:s3cr3t@{host}:{port}/");
        run(t, &["--url", &url, "get", "q"]).await.failed(3, &["user or password"]);
        let ran =
            Ran::of(amqp(t, &["get", "q"]).env("AMQP_PASSWORD", "s3cr3t").output().await.unwrap());
        assert!(!ran.errors.contains("s3cr3t"), "{ran:?}");
        ran.failed(3, &["user or password"]);
        run(t, &["--vhost", "nosuch", "get", "q"]).await.failed(3, &["nosuch"]);
        run(t, &["--url", "amqp://127.0.0.1:1", "get", "q"]).await.failed(3, &["127.0.0.1:1"]);
        let help = Ran::of(amqp(t, &["--help"]).env("AMQP_URL", &url).output().await.unwrap());
        assert!(help.output.contains("Exit codes") && !help.output.contains("s3cr3t"), "{help:?}");
    });
}

#[test]
fn every_shell_has_its_completions() {
    broker_test(async |t| {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let script = run(t, &["completions", shell]).await.done();
            assert!(script.contains("consume") && script.contains("routing-key"), "{shell}");
        }
    });
}
