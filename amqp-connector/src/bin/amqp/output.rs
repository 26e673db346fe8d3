//! Standard output, as text or as JSON, and the line of progress on standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Standard output. What is printed is flushed at once: a reader may act on it, and messages are acknowledged after it.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One thing, in whichever form is wanted; no text prints nothing.
    pub(crate) fn tell(&self, text: &str, json: &Json) -> io::Result<()> {
        match self.format {
            Format::Json => self.octets(format!("{json}\n").as_bytes()),
            Format::Text if text.is_empty() => Ok(()),
            Format::Text => self.octets(format!("{text}\n").as_bytes()),
        }
    }

    pub(crate) fn octets(&self, octets: &[u8]) -> io::Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(octets)?;
        output.flush()
    }
}

/// A line on standard error that is written over, if that is a terminal, and only where the work takes a while.
#[derive(Debug)]
pub(crate) struct Progress {
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    const EVERY: Duration = Duration::from_millis(500);

    pub(crate) fn new() -> Self {
        let next = io::stderr().is_terminal().then(|| Instant::now() + Self::EVERY);
        Self { next, shown: false }
    }

    pub(crate) fn show(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + Self::EVERY);
            self.shown = true;
            // Nobody misses it.
            let _ = write!(io::stderr(), "\r\x1b[K{}", text());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
