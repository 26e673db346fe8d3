//! Where bodies come from: the command line, a file, standard input.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use amqp_connector::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, ReadBuf};

use crate::fail::Failure;
use crate::output::Progress;

/// From this size on a file is streamed.
const LARGE: u64 = 1 << 20;
/// The largest body that is held whole.
const HELD_MAX: u64 = 128 << 20;

type Reader = Box<dyn AsyncRead + Send + Unpin>;

pub(super) enum Source {
    Body(Bytes),
    Lines(Lines),
    Stream(Counted),
}

impl Source {
    pub(super) async fn open(
        body: Option<String>,
        file: Option<PathBuf>,
        lines: bool,
        size: Option<u64>,
    ) -> Result<Self, Failure> {
        if let Some(body) = body {
            let text = Bytes::from(body);
            return Ok(match lines {
                true => Self::Lines(Lines::new("the body", Box::new(io::Cursor::new(text)))),
                false => Self::Body(text),
            });
        }
        let path = file.as_deref().filter(|path| *path != Path::new("-"));
        let name = path.map_or("standard input".into(), |path| format!("{}", path.display()));
        let failure = |error: io::Error| unreadable(&name, &error);
        let (reader, length): (Reader, _) = match path {
            None => (Box::new(tokio::io::stdin()), None),
            Some(path) => {
                let file = tokio::fs::File::open(path).await.map_err(failure)?;
                let known = file.metadata().await.map_err(failure)?;
                (Box::new(file), known.is_file().then_some(known.len()))
            }
        };
        if lines {
            return Ok(Self::Lines(Lines::new(&name, reader)));
        }
        match size.or(length.filter(|length| *length > LARGE)) {
            Some(size) => Ok(Self::Stream(Counted::new(reader, size))),
            None => whole(&name, reader).await.map(Self::Body),
        }
    }
}

async fn whole(name: &str, reader: Reader) -> Result<Bytes, Failure> {
    let mut body = Vec::new();
    let read = reader.take(HELD_MAX + 1).read_to_end(&mut body).await;
    read.map_err(|error| unreadable(name, &error))?;
    match body.len() as u64 > HELD_MAX {
        true => Err(Failure::usage(format!(
            "{name} gives more than {HELD_MAX} octets: say how many with --size, and it is streamed"
        ))),
        false => Ok(body.into()),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("reading {name}: {error}"))
}

/// The lines of an input, one by one.
pub(super) struct Lines {
    name: String,
    reader: BufReader<Reader>,
    number: u64,
}

impl Lines {
    fn new(name: &str, reader: Reader) -> Self {
        Self {
            name: name.to_owned(),
            reader: BufReader::with_capacity(64 << 10, reader),
            number: 0,
        }
    }

    /// The next line without its end. Dropped before it resolves, a piece of a line may be lost: then there is no next.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.reader).take(HELD_MAX + 1);
        let read = bounded.read_until(b'\n', &mut line).await;
        self.number += 1;
        if read.map_err(|error| unreadable(&self.name, &error))? == 0 {
            return Ok(None);
        }
        if line.len() as u64 > HELD_MAX {
            let Self { name, number, .. } = self;
            return Err(Failure::failed(format!(
                "line {number} of {name} is over {HELD_MAX} octets: publish it as a file"
            )));
        }
        if line.pop_if(|octet| *octet == b'\n').is_some() {
            line.pop_if(|octet| *octet == b'\r');
        }
        Ok(Some(line.into()))
    }
}

/// A large body that is read as it is sent, and tells how far it is.
pub(super) struct Counted {
    reader: Reader,
    size: u64,
    done: u64,
    progress: Progress,
}

impl Counted {
    fn new(reader: Reader, size: u64) -> Self {
        Self { reader, size, done: 0, progress: Progress::new() }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.reader).poll_read(cx, buf))?;
        let Self { size, done, progress, .. } = &mut *self;
        *done += buf.filled().len().saturating_sub(before) as u64;
        progress.show(|| {
            let percent = done.saturating_mul(100).checked_div(*size).unwrap_or(100);
            format!("{} of {} MiB ({percent} %)", *done >> 20, *size >> 20)
        });
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &'static str) -> Vec<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines = Lines::new("test", Box::new(io::Cursor::new(text)));
            let mut all = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                all.push(line);
            }
            all
        })
    }

    #[test]
    fn lines_have_no_ends_and_the_last_needs_none() {
        assert_eq!(lines_of("a\nb\r\n\nc"), ["a", "b", "", "c"]);
        assert_eq!(lines_of("a\n\r"), ["a", "\r"]);
        assert_eq!(lines_of("").len(), 0);
    }
}
