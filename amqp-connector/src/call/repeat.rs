//! Calls that are made again when their connection was lost before they were answered.
//!
//! Only of requests whose second time changes nothing: what the first one did, if the broker had got it, is there already or is
//! gone with the connection.

use std::future::poll_fn;

use amqp_types::AnyMethod;
use amqp_types::protocol::{self, queue};
use tokio::time::Instant;

use super::raw::RawCall;
use crate::deadline::until;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::ChannelHandle;
use crate::session::{CallReply, Line, after};
use crate::shared::Ticket;

/// Makes the call until it is answered, or ends otherwise than by the loss of a connection that comes back.
pub(super) async fn repeat(mut call: RawCall) -> Result<Box<CallReply>> {
    let Some((channel, request)) = call.unsent() else { return reply(&mut call).await };
    if !may_be_repeated(&request) {
        return Err(Error::invalid(
            "the request cannot be repeated safely: it may have been carried out before its answer was lost",
        ));
    }
    let deadline = call.timeout().map(|timeout| after(Instant::now(), timeout));
    loop {
        match reply(&mut call).await {
            Err(error) if is_loss(&error) => {}
            result => return result,
        }
        match deadline {
            None => back(&channel).await?,
            Some(deadline) => {
                let waited = until(channel.shared(), deadline, back(&channel)).await;
                waited.unwrap_or_else(|| Err(Error::timeout(request.info().full_name)))?;
                call.set_timeout(deadline.saturating_duration_since(Instant::now()));
            }
        }
        call.send_again(request.clone());
    }
}

async fn reply(call: &mut RawCall) -> Result<Box<CallReply>> {
    poll_fn(|cx| call.poll_reply(cx)).await
}

fn is_loss(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionClosed | ErrorKind::Recovering)
}

/// Waits until the channel is restored, if it is to be.
async fn back(channel: &ChannelHandle) -> Result<()> {
    let key = channel.key();
    let mut ticket = Ticket::new(channel.shared(), Line::ChannelClosed(key));
    poll_fn(|cx| ticket.poll(cx, |session, held, waker| session.poll_back(key, held, waker))).await
}

/// Whether a request does no more at a second time than at the first.
fn may_be_repeated(request: &protocol::Method) -> bool {
    match request {
        // Without a name each makes another queue. An exclusive one has gone with its connection.
        protocol::Method::Queue(queue::Method::Declare(declare)) => {
            declare.exclusive || !declare.queue.is_empty()
        }
        request => matches!(
            request.info().full_name,
            "access.request"
                | "basic.qos"
                | "confirm.select"
                | "exchange.bind"
                | "exchange.declare"
                | "exchange.delete"
                | "exchange.unbind"
                | "queue.bind"
                | "queue.delete"
                | "queue.purge"
                | "queue.unbind"
        ),
    }
}
