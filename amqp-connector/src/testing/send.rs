//! Sending methods whose type is known at run time only, for tests that go through a whole specification.

use amqp_types::protocol;

use crate::channel::Channel;
use crate::error::Result;

/// As [`Channel::send`], of any method.
///
/// # Errors
///
/// As [`Channel::send`].
#[track_caller]
pub fn send_any(channel: &Channel, method: &protocol::Method) -> Result<()> {
    channel.send_any(method.clone())
}
