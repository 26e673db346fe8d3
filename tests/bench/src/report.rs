//! The line that a measurement ends with.

use serde_json::{Value, json};

use crate::cases::Case;
use crate::meter::Measured;

/// Who was measured.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The client's name.
    pub client: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Threads of the runtime.
    pub workers: usize,
}

/// One line of JSON; `error` is null if the measurement succeeded, and everything measured is null if not.
#[must_use]
pub fn line(subject: Subject<'_>, case: &Case, result: &anyhow::Result<Measured>) -> String {
    let mut line = json!({
        "client": subject.client,
        "version": subject.version,
        "case": case.name,
        "workers": subject.workers,
        "error": null,
    });
    match result {
        Ok(measured) => fill(&mut line, measured),
        Err(error) => set(&mut line, "error", format!("{error:#}").into()),
    }
    line.to_string()
}

fn fill(line: &mut Value, measured: &Measured) {
    let seconds = measured.elapsed.as_secs_f64();
    let messages = measured.messages as f64;
    let per_message =
        |value: f64| if messages > 0.0 { json!(value / messages) } else { Value::Null };
    set(line, "messages", measured.messages.into());
    set(line, "seconds", seconds.into());
    set(line, "per_second", (messages / seconds).into());
    set(line, "cpu_us_per_message", per_message(measured.cpu.as_secs_f64() * 1e6));
    set(line, "p50_us", measured.p50_us.into());
    set(line, "p99_us", measured.p99_us.into());
    set(line, "rss_start_kib", measured.rss_start_kib.into());
    set(line, "rss_peak_kib", measured.rss_peak_kib.into());
    let switches = per_message(measured.voluntary_switches as f64);
    set(line, "voluntary_switches_per_message", switches);
    set(line, "extra", Value::Object(measured.extra.clone()));
}

fn set(line: &mut Value, name: &str, value: Value) {
    if let Some(line) = line.as_object_mut() {
        line.insert(name.to_owned(), value);
    }
}

/// The version of a package in this workspace's lock file.
#[must_use]
pub fn locked_version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let mut packages = lock.split("[[package]]");
    let entry = packages.find(|entry| entry.contains(&format!("\nname = \"{package}\"\n")));
    let line =
        entry.and_then(|entry| entry.lines().find_map(|line| line.strip_prefix("version = ")));
    line.map_or("", |version| version.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_measured_stands_per_message() {
        let case = crate::cases::find("rpc").unwrap();
        let subject = Subject { client: "ours", version: "1", workers: 2 };
        let measured = Measured {
            messages: 4,
            elapsed: Duration::from_secs(2),
            cpu: Duration::from_micros(12),
            p50_us: Some(7.0),
            ..Measured::default()
        };
        let line: Value = serde_json::from_str(&line(subject, &case, &Ok(measured))).unwrap();
        assert_eq!(line["per_second"], 2.0);
        assert_eq!(line["cpu_us_per_message"], 3.0);
        assert_eq!((&line["p50_us"], &line["p99_us"]), (&json!(7.0), &Value::Null));
        assert_eq!(line["error"], Value::Null);
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let case = crate::cases::find("rpc").unwrap();
        let subject = Subject { client: "ours", version: "1", workers: 2 };
        let error = anyhow::anyhow!("refused").context("connecting");
        let line: Value = serde_json::from_str(&line(subject, &case, &Err(error))).unwrap();
        assert_eq!(line["error"], "connecting: refused");
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert!(locked_version("lapin").starts_with("4."));
        assert_eq!(locked_version("no-such-package"), "");
    }
}
