//! The bad endings of a streamed publish: its message must never be seen.
//!
//! Called by the futures of `crate::publish::stream`, and by whatever ends a channel. What is missing is made up by
//! the driver: neither a task nor the publisher's future is needed for that.

use amqp_types::Method as _;
use amqp_types::protocol::{ReplyCode, basic};

use crate::error::{BrokenStream, CloseCause, CloseReason, Scope};
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::output::outbox::LargeItem;
use crate::session::stream::outgoing::octets_of;
use crate::session::{Garbage, Session};

impl ChannelState {
    /// Whether a streamed publish may be given up at no cost to others: nothing of it was sent, or it can be
    /// completed with zeros that nobody will see, on a channel of its `own`.
    pub(super) fn can_take_back(&mut self, own: bool) -> bool {
        let unseen = own && self.tx;
        self.outgoing().is_none_or(|stream| unseen && stream.missing <= stream.padding_max)
    }
}

impl Session {
    /// The stream breaks: its message must never be seen. One that has not sent anything just gives its channel
    /// back.
    pub(crate) fn break_stream(&mut self, key: ChannelKey, broken: &BrokenStream) {
        let Ok(channel) = self.live_channel(key) else { return };
        if channel.outgoing().is_none() {
            channel.set_streaming(|streaming| streaming.publishing = false);
            return;
        }
        let reason =
            CloseReason::new(Scope::Channel(key.id), CloseCause::StreamBroken, broken.to_string())
                .with_method(Some(basic::Publish::NAME))
                .with_place(Some(broken.place()));
        self.close_channel_because(key, reason);
    }

    /// The channel is to be closed. If a stream is under way on it, that is completed with zeros where these are
    /// never seen: in a transaction that is not committed, or where the peer has closed the channel and ignores
    /// what comes. False if that is not so, or too much is missing.
    pub(in crate::session) fn complete_stream(&mut self, key: ChannelKey, ignored: bool) -> bool {
        let Some(channel) = self.channels.get(key) else { return true };
        let unseen = channel.tx || ignored;
        let Some(stream) = channel.outgoing() else { return true };
        if stream.padding {
            return true;
        }
        if !unseen || stream.missing > stream.padding_max {
            return false;
        }
        stream.padding = true;
        if std::mem::take(&mut stream.parked) {
            self.outbox.again(key.id);
        }
        self.notify_driver();
        true
    }

    /// Closes the connection because a channel with a stream under way cannot be closed without showing what
    /// came of it.
    pub(in crate::session) fn close_for_stream(&mut self, key: ChannelKey, why: &CloseReason) {
        let Some(channel) = self.channels.get(key) else { return };
        let unseen = channel.tx;
        let Some(stream) = channel.outgoing() else { return };
        let (given, length) = (stream.length - stream.missing, stream.length);
        let rest = match unseen {
            true => "more is missing than may be made up",
            false => "what was sent cannot be taken back on a channel without tx",
        };
        let text = format!(
            "channel {} had sent {given} of {length} octets of a streamed body, and {rest}{}{}",
            key.id,
            if why.text().is_empty() { "" } else { ": " },
            why.text()
        );
        let reason = CloseReason::new(Scope::Connection, CloseCause::StreamBroken, text)
            .with_method(why.method())
            .with_place(why.place());
        self.begin_close(reason, ReplyCode::INTERNAL_ERROR, None);
    }

    /// The connection ends: what was not given of any stream will never be sent, nor what stands behind it.
    /// With `at_once` nor will any other large body.
    pub(in crate::session) fn drop_streams(&mut self, at_once: bool) {
        let frame_max = self.tuning.frame_max;
        for channel in self.channels.iter_mut() {
            let unfinished = |item: &LargeItem| match item {
                LargeItem::Stream(stream) => at_once || stream.missing > 0,
                _ => at_once,
            };
            if let Some(at) = channel.large.iter().position(unfinished) {
                let gone = channel.large.split_off(at);
                let octets = gone.iter().map(|item| octets_of(item, frame_max)).sum();
                channel.large_octets = channel.large_octets.saturating_sub(octets);
                self.outbox.gave_up_large(octets);
                self.effects.discard(Garbage::Large(gone));
            }
        }
    }
}
