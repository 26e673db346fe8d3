//! Tags of consumers: one is of one consumer of a channel at a time.
//!
//! Called before a `basic.consume` is sent. Nothing here sends anything.

use amqp_types::ShortStr;
use amqp_types::protocol::{Method, basic};

use crate::error::{Error, Result};
use crate::session::Session;
use crate::session::calls::pending::Undo;
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::consume::consumer::Phase;

impl Session {
    /// Whether a consumer of the channel has this tag, or is about to.
    pub(crate) fn has_tag(&mut self, key: ChannelKey, tag: &ShortStr) -> bool {
        let channel = self.channels.get(key);
        channel.is_some_and(|it| it.consumers.iter().any(|consumer| consumer.tag == *tag))
    }

    /// A broker closes the connection (530) on a second consumer of one tag. So one that is there, or may be, must
    /// be over or its cancel on the way before the tag is used again.
    pub(crate) fn check_tag(&mut self, key: ChannelKey, request: &Method) -> Result<()> {
        let Method::Basic(basic::Method::Consume(consume)) = request else { return Ok(()) };
        let Some(channel) = self.channels.get(key) else { return Ok(()) };
        let ChannelState { consumers, calls, .. } = channel;
        let cancelled =
            |id| calls.iter().any(|call| call.consumer == Some(id) && call.undo != Undo::Cancel);
        let tag = &consume.consumer_tag;
        let taken = !tag.is_empty()
            && consumers.iter().any(|it| {
                matches!(it.phase, Phase::Requested | Phase::Active)
                    && it.tag == *tag
                    && !cancelled(it.id)
            });
        match taken {
            true => Err(Error::invalid("a consumer of this tag is on the channel, or on its way")),
            false => Ok(()),
        }
    }
}
