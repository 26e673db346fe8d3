//! Counting: each path under callgrind, as many at once as there are processors.
//!
//! Called by the step. Knows nothing of budgets.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{Counts, printed};
use crate::broker::Interrupt;
use crate::project;
use crate::spec::package;

const INSTALL: &str = "apt-get install --yes --no-install-recommends valgrind";

/// How long a run may take that normally takes a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the C library copy memory by the instructions that every x86-64 processor has: which it chooses
/// otherwise depends on the processor, and moves the counts by more than a tenth.
const PLAIN_COPIES: &str = "glibc.cpu.hwcaps=-AVX2,-AVX_Fast_Unaligned_Load,-AVX512F,-AVX512VL,\
    -AVX512BW,-ERMS,-FSRM,-Prefer_ERMS,-Prefer_FSRM,-SSSE3:\
    glibc.cpu.x86_non_temporal_threshold=0x40000000";

/// Why nothing can be counted here; installs valgrind first if it is missing and we may.
pub(crate) fn missing() -> Result<Option<String>> {
    if is_installed() {
        return Ok(None);
    }
    if package::may_install() {
        let _ = package::apt_get(INSTALL)?
            || (package::apt_get("apt-get update")? && package::apt_get(INSTALL)?);
    }
    Ok((!is_installed())
        .then(|| "valgrind is not installed (Debian: sudo ".to_owned() + INSTALL + ")"))
}

fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|out| out.status.success())
}

/// Where the profiles of the last run lie, one a path.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(project::target_dir()?.join("instructions"))
}

/// What each path of the program takes.
pub(crate) fn count(program: &Path, interrupt: &Interrupt) -> Result<Counts> {
    let paths = paths(program)?;
    let folder = folder()?;
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(Vec::new());
    let work = || {
        while let Some((path, times)) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            let count = each(program, path, *times, &folder, interrupt);
            counts.lock().unwrap_or_else(PoisonError::into_inner).push((path.clone(), count));
        }
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        (0..processors).for_each(|_| drop(scope.spawn(work)));
    });
    let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    counts.into_iter().map(|(path, count)| Ok((path, count?))).collect()
}

/// The program's paths, and how often each is to be run.
fn paths(program: &Path) -> Result<Vec<(String, u32)>> {
    let list = printed(Command::new(program).arg("--list"))?;
    let paths = list.lines().map(|line| {
        let (path, times) = line.split_once(' ')?;
        Some((path.to_owned(), times.parse().ok()?))
    });
    paths.collect::<Option<_>>().ok_or_else(|| anyhow!("hot_paths --list told\n{list}"))
}

/// What one run of a path takes: the difference between many and twice as many.
fn each(
    program: &Path,
    path: &str,
    times: u32,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<f64> {
    let counted = |times: u32, out: &Path| {
        let mut valgrind = Command::new("valgrind");
        valgrind
            .args(["--tool=callgrind", "--vgdb=no"])
            .arg(format!("--callgrind-out-file={}", out.display()));
        valgrind.arg(program).arg(path).arg(times.to_string());
        valgrind.env("GLIBC_TUNABLES", PLAIN_COPIES).env("LC_ALL", "C");
        total(valgrind, interrupt).with_context(|| path.to_owned())
    };
    let once = counted(times, Path::new("/dev/null"))?;
    let twice = counted(2 * times, &folder.join(format!("{path}.out")))?;
    Ok((twice - once) / f64::from(times))
}

/// All instructions that a run under callgrind took.
fn total(mut valgrind: Command, interrupt: &Interrupt) -> Result<f64> {
    let started = Instant::now();
    let mut child = Interrupt::spawn(valgrind.stdout(Stdio::null()).stderr(Stdio::piped()))?;
    let told = child.stderr.take().context("valgrind's output")?;
    let reader = thread::spawn(move || std::io::read_to_string(told));
    let status = interrupt.wait(&mut child, || match started.elapsed() < PATIENCE {
        true => Ok(()),
        false => bail!("valgrind ran for {} s", PATIENCE.as_secs()),
    })?;
    let told = reader.join().map_err(|_| anyhow!("reading valgrind's output panicked"))??;
    let total = told.lines().find_map(collected).filter(|_| status.success());
    total.ok_or_else(|| anyhow!("{status}: {valgrind:?}:\n{}", told.trim_end()))
}

/// `==4711== Collected : 12345`
fn collected(line: &str) -> Option<f64> {
    line.split_once("Collected : ")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::collected;

    #[test]
    fn total_is_what_callgrind_collected() {
        assert_eq!(collected("==4711== Collected : 12345"), Some(12345.0));
        assert_eq!(collected("==4711== Events    : Ir"), None);
    }
}
