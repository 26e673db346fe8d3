//! How a command ends: the exit codes, and the one line that says what was wrong.

use std::io;

use amqp_connector::{CloseReason, ConnectError, Error, ErrorKind, Initiator};

/// What a command comes to.
pub(crate) type Ended = Result<Ending, Failure>;

/// A command that did what it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    /// There was no message, or there were too few.
    Nothing,
    /// A message was returned or nacked.
    NotTaken,
    Interrupted,
}

impl Ending {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Nothing => 4,
            Self::NotTaken => 5,
            Self::Interrupted => 130,
        }
    }
}

/// A command that failed, with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// `None`: nobody listens any more.
    text: Option<String>,
}

impl Failure {
    const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    const NO_CONNECTION: u8 = 3;

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { code: Self::FAILED, text: Some(text.into()) }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { code: Self::USAGE, text: Some(text.into()) }
    }

    /// While this was done, in words such as `publishing to queue "jobs"`.
    pub(crate) fn of(doing: &str, error: &Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Invalid | ErrorKind::Unsupported => Self::USAGE,
            _ => Self::FAILED,
        };
        let why = error.close_reason().map_or_else(|| error.to_string(), closed);
        Self { code, text: Some(one_line(&format!("{doing}: {why}"))) }
    }

    pub(crate) fn connecting(error: &ConnectError) -> Self {
        let (code, advice) = match error {
            ConnectError::Uri(_)
            | ConnectError::Invalid(_)
            | ConnectError::InvalidName { .. }
            | ConnectError::InvalidCredentials { .. } => (Self::USAGE, ""),
            ConnectError::Io { .. } => (Self::NO_CONNECTION, " (--url says where)"),
            ConnectError::CredentialsRefused { .. } => {
                (Self::NO_CONNECTION, " (--url says who, and AMQP_PASSWORD)")
            }
            ConnectError::VirtualHost { .. } => (Self::NO_CONNECTION, " (--vhost says which)"),
            _ => (Self::NO_CONNECTION, ""),
        };
        Self { code, text: Some(one_line(&format!("connecting: {error}{advice}"))) }
    }

    pub(crate) fn interrupted() -> Self {
        Self { code: Ending::Interrupted.code(), text: None }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

/// A failure to print.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever read it has seen enough, as `head` does: that is no failure.
            io::ErrorKind::BrokenPipe => Self { code: 0, text: None },
            _ => Self::failed(format!("writing to standard output: {error}")),
        }
    }
}

/// What ended a channel or connection. Where in this program the call stands is of no use to who runs it.
pub(crate) fn closed(reason: &CloseReason) -> String {
    match (reason.initiator(), reason.code()) {
        (Initiator::Peer, Some(code)) => format!("the broker refused: {code}: {}", reason.text()),
        _ => reason.to_string(),
    }
}

/// Without what would break the line, or command a terminal: a broker's words are in it.
pub(crate) fn one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_gone_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.code(), failure.text()), (0, None));
        let failure = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.code(), 1);
    }

    #[test]
    fn a_failure_is_one_line_and_commands_no_terminal() {
        assert_eq!(one_line("a\nb\x1b[2Jc"), "a b [2Jc");
    }
}
