//! Settling deliveries: acks, nacks and rejects, by the user, by dropping, and for what nobody saw.
//!
//! All are encoded at once and never wait. What a multiple has settled is not settled again: the peer would
//! close the channel for it.

use std::collections::VecDeque;

use amqp_types::Method as _;
use amqp_types::protocol::{Method, basic};

use crate::error::{Error, ErrorKind, Result};
use crate::options::Unsettled;
use crate::session::Session;
use crate::session::channel::{ChannelKey, ChannelPhase};
use crate::session::consume::backlog::Queued;
use crate::session::consume::consumer::ConsumerState;
use crate::session::consume::in_flight::InFlight;
use crate::session::consume::unread::Keeps;
use crate::session::output::put_method;

/// How deliveries are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    Ack { multiple: bool },
    Nack { multiple: bool, requeue: bool },
    Reject { requeue: bool },
}

impl Settle {
    /// Whether the specification has it. A single nack is the same as a reject, which all have.
    #[inline]
    pub(crate) fn check(self) -> Result<()> {
        amqp_types::if_spec! { basic.nack => {
            Ok(())
        } else {
            match self {
                Self::Nack { multiple: true, .. } => {
                    Err(Error::unsupported("basic.nack with multiple"))
                }
                _ => Ok(()),
            }
        } }
    }

    /// Whether a queue that keeps its messages takes it.
    #[inline]
    pub(crate) fn check_for(self, keeps: impl FnOnce() -> Keeps) -> Result<()> {
        if !matches!(self, Self::Ack { .. }) && keeps() != Keeps::No {
            return Err(Error::invalid("a stream takes nothing back: it can only be acked"));
        }
        Ok(())
    }

    pub(crate) fn is_nack_multiple(self) -> bool {
        matches!(self, Self::Nack { multiple: true, .. })
    }

    fn is_multiple(self) -> bool {
        matches!(self, Self::Ack { multiple: true } | Self::Nack { multiple: true, .. })
    }
}

impl Session {
    /// Settles a delivery of this very incarnation of its channel, which is with the user no more then. Never waits.
    pub(crate) fn settle(
        &mut self,
        key: ChannelKey,
        tag: u64,
        settle: Settle,
        in_flight: &InFlight,
    ) -> Result<()> {
        let frame_max = self.tuning.frame_max;
        if let Settle::Ack { multiple: false } = settle
            && let Some(channel) = self.channels.get(key)
            && matches!(channel.phase, ChannelPhase::Open)
            && channel.settle_waiters.is_empty()
            && tag > channel.settled_to
        {
            channel.land(1, in_flight.remove(1));
            if let Some(coalescer) = &mut channel.coalescer {
                let held = coalescer.hold(tag);
                return self.ack_held(key, tag, held);
            }
            let ack = basic::Ack { delivery_tag: channel.wire_tag(tag), multiple: false };
            put_method(&mut self.outbox, channel, frame_max, |writer| ack.encode(writer))?;
            self.notify_driver();
            return Ok(());
        }
        let settled = self.settle_otherwise(key, tag, settle, in_flight);
        let void = self.channels.get(key).is_some_and(|channel| tag <= channel.recovered_to);
        if !void && settled.as_ref().is_err_and(|error| error.kind() == ErrorKind::Stale) {
            in_flight.note_unsettled();
        }
        settled
    }

    /// What is not a plain ack that nobody waits for.
    fn settle_otherwise(
        &mut self,
        key: ChannelKey,
        tag: u64,
        settle: Settle,
        in_flight: &InFlight,
    ) -> Result<()> {
        if settle.is_multiple() && settle != (Settle::Nack { multiple: true, requeue: true }) {
            self.give_back_below(key, tag);
        }
        let channel = match self.live_channel(key) {
            Ok(channel) => channel,
            Err(error) => {
                let void =
                    self.channels.get(key).is_some_and(|channel| tag <= channel.recovered_to);
                if !void {
                    in_flight.remove(1);
                }
                return Err(Error::stale(error.into_reason()));
            }
        };
        let last = channel.counts(tag) && channel.land(1, in_flight.remove(1));
        let coalesces = channel.coalescer.is_some();
        let (settled, recovered_to) = (tag <= channel.settled_to, channel.recovered_to);
        let lost = channel.lost.clone().filter(|_| tag <= channel.tag_base);
        if settle.is_multiple() && !settled {
            channel.settled_to = tag;
        }
        if last {
            self.wake_settled(key);
        }
        match (settled, coalesces) {
            // Zero is no number of a delivery: in an ack it means all that there are.
            (true, _) if tag == 0 => Err(Error::invalid("the peer gave it no delivery tag (0)")),
            (true, _) if lost.is_some() => Err(Error::stale(lost)),
            (true, _) if tag <= recovered_to => Err(Error::recovered()),
            (true, _) => Err(Error::invalid("a later delivery's multiple has settled it already")),
            (false, true) => self.settle_coalesced(key, tag, settle),
            (false, false) => self.send_settle(key, tag, settle),
        }
    }

    pub(in crate::session) fn send_settle(
        &mut self,
        key: ChannelKey,
        tag: u64,
        settle: Settle,
    ) -> Result<()> {
        let tag = self.wire_tag(key, tag);
        match settle {
            Settle::Ack { multiple } => {
                self.send_one(key.id, &basic::Ack { delivery_tag: tag, multiple })
            }
            Settle::Nack { multiple, requeue } => self.send_nack(key, tag, multiple, requeue),
            Settle::Reject { requeue } => {
                self.send_one(key.id, &basic::Reject { delivery_tag: tag, requeue })
            }
        }
    }

    /// A delivery was dropped unsettled, and is with the user no more. Gives whether it stays with its channel.
    pub(crate) fn drop_unsettled(
        &mut self,
        key: ChannelKey,
        tag: u64,
        unsettled: Unsettled,
        in_flight: &InFlight,
        keeps: Keeps,
    ) -> bool {
        let settled = self.channels.get(key).is_some_and(|channel| {
            (channel.is_live() || channel.restoring().is_some()) && tag <= channel.settled_to
        });
        if !settled && (unsettled == Unsettled::Leave || self.live_channel(key).is_err()) {
            in_flight.note_unsettled();
        }
        self.land(key, std::iter::once(tag), in_flight);
        match (unsettled, keeps) {
            (Unsettled::Leave, _) | (_, Keeps::Perhaps) => {
                if let Ok(channel) = self.live_channel(key) {
                    channel.note_left(tag);
                }
                return self.open_channel(key).is_ok_and(|channel| tag > channel.settled_to);
            }
            (_, Keeps::Yes) => self.let_go(key, tag, keeps),
            (Unsettled::Requeue, Keeps::No) => self.reject(key, tag, true),
            (Unsettled::Reject, Keeps::No) => self.reject(key, tag, false),
        }
        false
    }

    /// Gives back what a consumer's handle took and the user never saw.
    pub(crate) fn give_back(
        &mut self,
        key: ChannelKey,
        batch: &mut VecDeque<Queued>,
        in_flight: &InFlight,
        keeps: Keeps,
    ) {
        self.land(key, batch.iter().map(|queued| queued.delivery_tag), in_flight);
        for queued in batch.iter() {
            self.drop_body(key, queued.delivery_tag);
            self.let_go(key, queued.delivery_tag, keeps.or_by(&queued.properties));
        }
    }

    /// Whether a nack of several on the channel could mean a delivery whose queue takes nothing back.
    pub(crate) fn check_nack_multiple(&mut self, key: ChannelKey) -> Result<()> {
        let Some(channel) = self.channels.get(key) else { return Ok(()) };
        if channel.keeps || channel.consumers.iter().any(ConsumerState::looks_kept) {
            let text = "a stream was read on the channel, and takes nothing back: nack one by one";
            return Err(Error::invalid(text));
        }
        Ok(())
    }

    /// Gives a message back to its queue, unless that `keeps` its messages anyhow.
    pub(in crate::session) fn let_go(&mut self, key: ChannelKey, delivery_tag: u64, keeps: Keeps) {
        if keeps == Keeps::No {
            self.requeue(key, delivery_tag);
        } else if keeps == Keeps::Yes
            && self.live_channel(key).is_ok_and(|channel| delivery_tag > channel.settled_to)
        {
            self.note_told(key, |coalescer| coalescer.settle(delivery_tag));
            let delivery_tag = self.wire_tag(key, delivery_tag);
            // Numbers always fit a frame.
            let _ = self.send_one(key.id, &basic::Ack { delivery_tag, multiple: false });
        } else if let Some(channel) = self.channels.get(key) {
            channel.keeps = true;
            channel.note_left(delivery_tag);
        }
    }

    /// Gives a message back to its queue.
    pub(in crate::session) fn requeue(&mut self, key: ChannelKey, delivery_tag: u64) {
        self.reject(key, delivery_tag, true);
    }

    /// Rejects a message, unless it is settled already.
    pub(in crate::session) fn reject(&mut self, key: ChannelKey, delivery_tag: u64, requeue: bool) {
        if self.live_channel(key).is_ok_and(|channel| delivery_tag > channel.settled_to) {
            self.note_told(key, |coalescer| coalescer.settle(delivery_tag));
            let delivery_tag = self.wire_tag(key, delivery_tag);
            // Numbers always fit a frame.
            let _ = self.send_one(key.id, &basic::Reject { delivery_tag, requeue });
        }
    }

    fn wire_tag(&mut self, key: ChannelKey, tag: u64) -> u64 {
        self.channels.get(key).map_or(tag, |channel| channel.wire_tag(tag))
    }

    /// Everything up to `tag` is settled, and must not be settled again.
    pub(in crate::session) fn note_settled(&mut self, key: ChannelKey, tag: u64) {
        if let Some(channel) = self.channels.get(key) {
            channel.settled_to = channel.settled_to.max(tag);
        }
    }

    /// A transaction begins or ends with this request: what was settled in one that is given up is unsettled again. The
    /// peer does it where the request stands among what is sent, and so it is noted then and not when the answer comes.
    #[allow(unused_variables, reason = "not every specification has transactions")]
    pub(in crate::session) fn note_transaction(&mut self, key: ChannelKey, request: &Method) {
        amqp_types::if_spec! { tx.rollback => {
            use amqp_types::protocol::tx;
            let (Method::Tx(method), Some(channel)) = (request, self.channels.get(key)) else { return };
            if channel.recovering > 0 {
                return;
            }
            match method {
                tx::Method::Select(_) | tx::Method::Commit(_) => {
                    channel.tx_settled_to = channel.settled_to;
                }
                tx::Method::Rollback(_) => {
                    channel.settled_to = channel.tx_settled_to.max(channel.recovered_to);
                }
                _ => {}
            }
        } else {} }
    }

    /// `basic.nack` where the specification has it; a single one is the same as a reject.
    fn send_nack(
        &mut self,
        key: ChannelKey,
        delivery_tag: u64,
        multiple: bool,
        requeue: bool,
    ) -> Result<()> {
        amqp_types::if_spec! { basic.nack => {
            self.send_one(key.id, &basic::Nack { delivery_tag, multiple, requeue })
        } else {
            // One with `multiple` was refused before.
            let _ = multiple;
            self.send_one(key.id, &basic::Reject { delivery_tag, requeue })
        } }
    }
}
