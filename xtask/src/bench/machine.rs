//! Where the figures come from: processor, kernel, compiler, date.
//!
//! What cannot be learnt is left out, it is no reason to fail.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::project;

/// The machine, and when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// The year, month and day, in UTC.
    pub(crate) date: String,
    /// The project's, with a `+` if files differed from it.
    pub(crate) commit: String,
    /// How many processes wanted to run just before.
    pub(crate) load: String,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn here() -> Self {
        let days =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() / 86_400);
        Self {
            processor: field("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory(&field("/proc/meminfo", "MemTotal").unwrap_or_default()),
            kernel: format!(
                "{} {}",
                first_line("/proc/sys/kernel/ostype"),
                first_line("/proc/sys/kernel/osrelease")
            )
            .trim()
            .to_owned(),
            rustc: said(
                Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
                    .arg("--version"),
            ),
            date: date(days),
            commit: commit(),
            load: first_line("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }

    /// Whether others take more than a quarter of the processors.
    pub(crate) fn is_busy(&self) -> bool {
        let cores = u32::try_from(self.cores).map_or(f64::INFINITY, f64::from);
        self.load.parse::<f64>().is_ok_and(|load| load > cores / 4.0)
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}, {} cores, {} GiB, {}, {}",
            self.processor, self.cores, self.memory_gib, self.kernel, self.rustc
        )
    }
}

/// The value of the first line `name : value` of a file.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })?;
    // Some firmware fills the name up with blanks.
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whole GiB of `24606788 kB`, rounded.
fn memory(total: &str) -> u64 {
    let kib: u64 = total.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    (kib + (1 << 19)) >> 20
}

fn first_line(file: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn commit() -> String {
    let git =
        |arguments: &[&str]| said(Command::new("git").current_dir(project::root()).args(arguments));
    let commit = git(&["rev-parse", "--short=10", "HEAD"]);
    let differs = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
    if differs && !commit.is_empty() { commit + "+" } else { commit }
}

/// The first line that a command prints; nothing if it fails.
pub(crate) fn said(command: &mut Command) -> String {
    let out = command.output().ok().filter(|out| out.status.success());
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// The day that many days after the first of 1970, as in `2026-11-22`.
fn date(days: u64) -> String {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_since_1970_are_dates() {
        let told = [0, 58, 59, 11_016, 11_017, 20_088, 20_779].map(date);
        let dates = [
            "1970-01-01",
            "1970-02-28",
            "1970-03-01",
            "2000-02-29",
            "2000-03-01",
            "2024-12-31",
            "2026-11-22",
        ];
        assert_eq!(told, dates);
    }

    #[test]
    fn machine_is_busy_from_a_quarter_of_its_processors() {
        let of = |load: &str| Machine { cores: 2, load: load.to_owned(), ..Machine::default() };
        assert_eq!(["0.50", "0.51", ""].map(|load| of(load).is_busy()), [false, true, false]);
    }

    #[test]
    fn memory_is_in_whole_gib() {
        assert_eq!([memory("24606788 kB"), memory("16000000 kB"), memory("")], [23, 15, 0]);
    }
}
