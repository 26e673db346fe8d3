//! Where in a stream a consumer goes on, when it is started again after a loss or with its channel.
//!
//! A stream takes nothing back, and gives each of its consumers what that asks for: from which offset on. Every delivery
//! carries its own. So a consumer that has said where to begin is started again with its oldest delivery that was not
//! settled, or behind the last one. Which those are is known to the channel's [`Coalescer`]: a channel with such a consumer has
//! one for that alone, which holds no ack back. Others have none, and nothing of this is done for them.

use std::collections::VecDeque;
use std::time::Duration;

use amqp_types::protocol::{Properties, basic};
use amqp_types::{FieldTable, ShortStr};

use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelState};
use crate::session::consume::coalesce::Coalescer;
use crate::session::consume::consumer::ConsumerState;

/// So many unsettled deliveries are kept of a consumer: as many as a prefetch can allow.
const LINE_MAX: usize = 1 << 16;

/// The header that tells a delivery's offset, and the argument that says where to begin.
pub(in crate::session) const STREAM_OFFSET: &str = "x-stream-offset";

/// What is known of a consumer's place in its stream. Offsets rise, as delivery tags do.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    /// Tags and offsets of what was delivered, from the first one that was not settled when this was looked at last.
    line: VecDeque<(u64, u64)>,
    /// Behind the last one.
    next: Option<u64>,
    /// What comes is not kept any more: it goes on no later than with what is.
    full: bool,
}

impl Offsets {
    fn note(&mut self, tag: u64, offset: u64, open: bool, coalescer: &mut Coalescer) {
        self.trim(coalescer);
        // One that is not kept there could not be told to be settled or not.
        self.full |= self.line.len() >= LINE_MAX || open && !coalescer.is_open(tag);
        // One that does not rise is not a stream's.
        if self.full || self.next.is_some_and(|next| offset < next) {
            return;
        }
        self.line.push_back((tag, offset));
        self.next = offset.checked_add(1);
    }

    fn trim(&mut self, coalescer: &mut Coalescer) {
        while let Some((tag, _)) = self.line.front()
            && !coalescer.is_open(*tag)
        {
            self.line.pop_front();
        }
    }

    /// With which offset to go on; nothing if none has come.
    fn place(&mut self, coalescer: &mut Coalescer) -> Option<u64> {
        self.trim(coalescer);
        self.line.front().map(|(_, offset)| *offset).or(self.next)
    }

    /// The peer has taken back what is not settled, and gives it again under other tags that are not followed up.
    fn stop(&mut self, coalescer: &mut Coalescer) {
        self.next = self.place(coalescer);
        self.line.clear();
        self.full = true;
    }
}

impl ConsumerState {
    /// A delivery has come.
    pub(in crate::session) fn note_offset(
        &mut self,
        tag: u64,
        properties: Option<&Properties>,
        coalescer: &mut Coalescer,
    ) {
        if let Some(offsets) = self.offsets.as_mut().filter(|_| self.end.is_none())
            && let Some(Properties::Basic(properties)) = properties
            && let Some(headers) = &properties.headers
            && let Some(offset) = headers.get_u64(STREAM_OFFSET)
        {
            offsets.note(tag, offset, !self.no_ack, coalescer);
        }
    }
}

impl ChannelState {
    /// A consumer is started that says where in a stream to begin.
    pub(in crate::session) fn follow_offsets(&mut self) {
        let last = self.last_tag;
        self.coalescer.get_or_insert_with(|| Box::new(Coalescer::after(1, Duration::ZERO, last)));
    }

    /// It is over, or lost: consumers that are started again go on from where they are.
    pub(in crate::session) fn set_offsets(&mut self) {
        let Some(coalescer) = &mut self.coalescer else { return };
        for consumer in self.consumers.iter_mut() {
            if let Some(offsets) = &mut consumer.offsets
                && let Some(offset) = std::mem::take(&mut **offsets).place(coalescer)
                && let Some(start) = &mut consumer.start
            {
                begin_with(start, offset);
            }
        }
    }
}

impl Session {
    /// A `basic.recover` is about to be sent.
    pub(in crate::session) fn stop_offsets(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else { return };
        let ChannelState { coalescer: Some(coalescer), consumers, .. } = channel else { return };
        for offsets in consumers.iter_mut().filter_map(|it| it.offsets.as_mut()) {
            offsets.stop(coalescer);
        }
    }
}

/// Whether a consumer says where in a stream it begins.
pub(in crate::session) fn reads_stream(consume: &mut basic::Consume) -> bool {
    arguments(consume).is_some_and(|arguments| arguments.contains_key(STREAM_OFFSET))
}

/// Has a request start its consumer at an offset.
fn begin_with(consume: &mut basic::Consume, offset: u64) {
    if let (Some(arguments), Ok(offset)) = (arguments(consume), i64::try_from(offset)) {
        arguments.set(ShortStr::from_static(STREAM_OFFSET), offset);
    }
}

/// The arguments of a consumer, where the specification has them.
pub(in crate::session) fn arguments(consume: &mut basic::Consume) -> Option<&mut FieldTable> {
    amqp_types::if_spec! { basic.consume.arguments => {
        Some(&mut consume.arguments)
    } else { amqp_types::if_spec! { basic.consume.filter => {
        Some(&mut consume.filter)
    } else {
        let _ = consume;
        None
    } } } }
}
