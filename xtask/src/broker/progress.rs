//! One line that shows that something is going on: rewritten in place on a terminal, dots elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// A status line on standard error.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    /// What it is at just now; shown on a terminal only.
    detail: String,
    started: Instant,
    shown: Option<Instant>,
    terminal: bool,
    finished: bool,
}

impl Progress {
    /// Shows `what` right away.
    pub(crate) fn start(what: &str) -> Self {
        let mut progress = Self {
            what: what.to_owned(),
            detail: String::new(),
            started: Instant::now(),
            shown: None,
            terminal: io::stderr().is_terminal(),
            finished: false,
        };
        progress.tick();
        progress
    }

    /// Says what it is at just now.
    pub(crate) fn detail(&mut self, detail: &str) {
        self.detail = format!(", {detail}");
        self.tick();
    }

    /// Call it often: it draws only as often as someone can read.
    pub(crate) fn tick(&mut self) {
        let pause = Duration::from_millis(if self.terminal { 100 } else { 1000 });
        if self.shown.is_some_and(|shown| shown.elapsed() < pause) {
            return;
        }
        let mut out = io::stderr().lock();
        // Nobody is the worse for a status line that cannot be written.
        let _ = match (self.terminal, self.shown) {
            (true, _) => {
                // What was longer before goes with the rest of the line.
                write!(out, "\r{} ... {:.1} s{}\x1b[K", self.what, self.seconds(), self.detail)
            }
            (false, None) => write!(out, "{} .", self.what),
            (false, Some(_)) => write!(out, "."),
        };
        let _ = out.flush();
        self.shown = Some(Instant::now());
    }

    /// Ends the line with how it went.
    pub(crate) fn done(mut self, how: &str) {
        self.finish(how);
    }

    fn finish(&mut self, how: &str) {
        if self.finished {
            return;
        }
        self.finished = true;
        if self.terminal {
            eprintln!("\r{} ... {:.1} s, {how}\x1b[K", self.what, self.seconds());
        } else {
            eprintln!(" {:.1} s, {how}", self.seconds());
        }
    }

    fn seconds(&self) -> f32 {
        self.started.elapsed().as_secs_f32()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish("given up");
    }
}
