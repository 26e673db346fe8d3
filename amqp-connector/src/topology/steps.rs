//! One request after the other on a channel of its own, which is opened again when the broker closes it for one.

use std::future::Future;

use crate::channel::Channel;
use crate::connection::Connection;
use crate::error::{CloseReason, Error, ErrorKind, Result};

/// Whether what is declared is to be declared again after a loss.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Record {
    Yes,
    No,
}

pub(super) struct Steps<'a> {
    connection: &'a Connection,
    record: Record,
    channel: Option<Channel>,
    /// It makes no sense to go on.
    stopped: Option<Error>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(connection: &'a Connection, record: Record) -> Self {
        Self { connection, record, channel: None, stopped: None }
    }

    /// Makes a request, unless an earlier one has shown that none will be answered.
    pub(super) async fn run<T, F>(&mut self, request: impl FnOnce(&Channel) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        if let Some(error) = &self.stopped {
            return Err(error.clone());
        }
        let result = match self.channel().await {
            Ok(channel) => request(&channel).await,
            Err(error) => {
                self.stopped = Some(error.clone());
                return Err(error);
            }
        };
        if let Err(error) = &result {
            self.failed(error);
        }
        result
    }

    async fn channel(&mut self) -> Result<Channel> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let channel = self.connection.channel_open().await?;
        if self.record == Record::No {
            channel.leave_unrecorded();
        }
        Ok(self.channel.insert(channel).clone())
    }

    fn failed(&mut self, error: &Error) {
        match error.kind() {
            // Nothing was sent, and the channel is as it was.
            ErrorKind::Invalid | ErrorKind::Unsupported => {}
            ErrorKind::ChannelClosed => self.channel = None,
            // A broker that does not answer one request would have us wait for each of the others.
            _ => self.stopped = Some(error.clone()),
        }
    }

    /// Closes the channel, if there is one; what comes of that changes nothing.
    pub(super) async fn end(self) {
        if let Some(channel) = self.channel
            && self.stopped.is_none()
        {
            let _ = channel.close().await;
        }
    }
}

/// The code that the broker gave.
pub(super) fn code(error: &Error) -> Option<u16> {
    let reason = Some(error).filter(|error| error.kind() == ErrorKind::ChannelClosed)?;
    reason.close_reason().and_then(CloseReason::code).map(|code| code.0)
}
