//! The limits and intervals of a connection: what the user asks for, and what was negotiated.
//!
//! Read by the handshake (negotiation) and the session (budgets, deadlines). Plain values only.

mod confirm;
mod pace;

use std::time::Duration;

use amqp_types::content::Assembler;
use amqp_types::protocol::connection::{Tune, TuneOk};
use amqp_types::protocol::{self, Spec};
use amqp_types::wire::Limits;

pub use confirm::ConfirmOptions;
pub use pace::Pace;

/// Bounds on what one connection may hold and how long it may take; part of
/// [`Connector`](crate::Connector).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Highest channel number to ask for; `0` means no limit of our own. Default 2047.
    pub channel_max: u16,
    /// Largest frame to ask for, in octets, the eight of its envelope included; `0` means no limit of
    /// our own. Frames over the negotiated size are refused before they are buffered, and a negotiated
    /// "no limit" still is held to 1 MiB. Default 131072.
    pub frame_max: u32,
    /// Heartbeat interval: `None` takes the server's, `Some(Duration::ZERO)` turns heartbeats off,
    /// anything else is sent as whole seconds, at least one, and at most the server's. Default `None`.
    ///
    /// A peer is given up after two intervals without an octet. If this process did not look at the connection
    /// meanwhile, the peer has, once, up to one more: see [`CloseCause::PeerSilent`](crate::CloseCause::PeerSilent)
    /// and [`RuntimeStalled`](crate::CloseCause::RuntimeStalled).
    pub heartbeat: Option<Duration>,
    /// Deadline of each handshake step: reaching the server and its greeting, then authentication and
    /// opening the virtual host. Default 30 seconds.
    pub connect_timeout: Duration,
    /// How long a call waits for its reply; the time the broker blocks us does not count. A call that
    /// stays unanswered for twice this long closes its channel.
    ///
    /// Behind what a slow link takes long to write, the time begins when the request is written, which is when the
    /// operating system has taken it. Until then the call waits on as long as octets are written at all: it ends when none
    /// was for this long, or when it has waited ten times as long. So none waits for more than eleven times as long.
    ///
    /// A broker that may not tell that it blocks us
    /// (a specification without `connection.blocked`) just does not answer meanwhile, which is no different from
    /// a dead one: set this longer than the blocks to live with. Default 30 seconds.
    pub call_timeout: Duration,
    /// How long closing may take, what is waited for included, before the socket is dropped. Default 5 seconds.
    pub close_timeout: Duration,
    /// Octets that may wait to be written before publishers are made to wait. A larger message is let in
    /// alone; acknowledgements, calls and heartbeats are exempt. Default 4 MiB.
    ///
    /// Messages over 64 KiB, and what their channels send behind them, wait in queues of those channels, which have this
    /// budget once more, together: so they hold no publish of another channel. Each of these queues may have 256 KiB of
    /// its own, or one message of any size, whatever the others have. So no more waits than twice the budget, and beyond
    /// that one body, or 256 KiB, of each channel with large ones, and what is being written, about 512 KiB; bodies over 8
    /// KiB are not copied meanwhile.
    pub outbound_budget: usize,
    /// Octets of deliveries that may wait in one consumer's queue; past it the consumer is ended with
    /// [`ConsumerEnd::Overflow`](crate::ConsumerEnd::Overflow). Default 64 MiB.
    ///
    /// It counts memory: a body's octets, what its headers take once they are read, and some 400 octets for each
    /// delivery. Large bodies are parts of the buffers that they were read into, but of such buffers a connection holds
    /// no more than 4 MiB, whatever waits, is held by the user, or is read beside it; where it would be more, bodies are copied.
    pub consumer_budget: usize,
    /// Largest inbound body in octets; a larger one closes its channel. Default 128 MiB.
    pub body_max: u64,
    /// How deep tables may be nested, how many values they may hold and how many octets they may take, in one method or in
    /// one message's properties. Holds both ways. What would be beyond them is refused before it is sent, by
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with an [`EncodeError`](amqp_types::EncodeError) as source, since it
    /// could not be read if it came back. A message beyond them that comes is passed over and rejected, and told by
    /// [`Event::Unreadable`](crate::Event::Unreadable). Raise them to exchange messages that need more; see [`Limits`] for
    /// what that costs. Default [`Limits::DEFAULT`]: 64 levels, 65,536 values, 16 MiB.
    pub table_limits: Limits,
    /// Publishes that may be unconfirmed, or confirmed but unawaited, on one channel before publishers
    /// wait. Default 65536.
    pub unconfirmed_max: usize,
    /// Octets of messages, as they are sent, that may be unconfirmed on one channel before publishers wait; a
    /// larger message is let in when there is none. Default 256 MiB.
    pub unconfirmed_octets_max: usize,
    /// Octets of messages that one channel keeps before publishers wait: mandatory ones, to know them by if they come
    /// back; those that came back, until their outcome is awaited or its confirmation dropped; and with
    /// [`ConfirmOptions::retain`] all until they are confirmed, or failed and taken. Default 64 MiB.
    pub retained_budget: usize,
    /// How long reading from the socket may pause for a streamed body whose reader takes nothing meanwhile. All of the
    /// connection waits with it: deliveries, replies and confirms of every channel, up to this long each time that a
    /// reader comes to a halt. After that it is read on, and what comes counts in the consumer's budget. Longer suits
    /// readers that pause, on a connection of their own; RabbitMQ bears with some 30 seconds, see
    /// [`StreamConsumer`](crate::StreamConsumer). Default 5 seconds.
    pub reader_patience: Duration,
    /// How long the source of a streamed publish may take for each piece, and then for its end, before it counts as
    /// stalled. The time in which there is no room for a piece does not count, and a piece without an octet is none.
    /// Default 30 seconds.
    pub source_timeout: Duration,
    /// Octets that may be made up to complete the body of a streamed publish which broke off in a transaction,
    /// so that only its channel has to be closed. Where more are missing the connection is closed. Default
    /// 64 MiB.
    pub padding_max: u64,
    /// What becomes of a delivery that is dropped unsettled, where its consumer or `basic.get` does not say.
    /// Default [`Unsettled::Leave`].
    pub unsettled: Unsettled,
    /// What publishes do while the broker has blocked the connection (`connection.blocked`): wait, or fail with
    /// [`ErrorKind::Blocked`](crate::ErrorKind::Blocked) before anything of them is encoded, those that wait
    /// already included. A streamed publish under way fails too where that costs nobody else anything: nothing of its
    /// body was sent, or it has a channel of its own and no more is missing than [`padding_max`](Self::padding_max);
    /// any other waits. Default [`WhileBlocked::Wait`].
    pub publish_while_blocked: WhileBlocked,
    /// What the deadlines of calls do while the broker has blocked the connection and so answers nothing: stand
    /// still, or run. A call whose deadline passes meanwhile fails with
    /// [`ErrorKind::Blocked`](crate::ErrorKind::Blocked) instead of `Timeout`; it was sent, and is carried out after
    /// the block. Neither closes a channel, however long it lasts. Default [`WhileBlocked::Wait`].
    pub call_while_blocked: WhileBlocked,
}

/// What something does that cannot go on while the broker has blocked the connection; see
/// [`Options::publish_while_blocked`] and [`Options::call_while_blocked`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhileBlocked {
    /// It waits as long as the block lasts.
    #[default]
    Wait,
    /// It fails with [`ErrorKind::Blocked`](crate::ErrorKind::Blocked).
    Fail,
}

/// What becomes of a delivery that is dropped without being settled: by a handler that returns early, a
/// task that is cancelled, a panic.
///
/// None of these loses a message unasked. What the connection's or channel's end finds unsettled goes back to
/// its queue in every case, and what the handle of a consumer has not given out goes back when it is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unsettled {
    /// It stays with its channel, in its place in the prefetch, and goes back to its queue when the channel
    /// closes; a warning is logged. The default: a message whose handling fails each time is not delivered again at
    /// once and for ever (each round as fast as the network allows), as with `Requeue`, and a consumer whose handler
    /// fails every time comes to a halt when its prefetch is used up, where it can be seen.
    #[default]
    Leave,
    /// It goes back to its queue at once (`basic.reject` with requeue), to be delivered again, perhaps to the same
    /// consumer. For handlers that are cancelled, and for queues that limit how often a message comes again.
    Requeue,
    /// The broker discards it or dead-letters it (`basic.reject` without requeue).
    Reject,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: None,
            connect_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            outbound_budget: 4 << 20,
            consumer_budget: 64 << 20,
            body_max: 128 << 20,
            table_limits: Limits::DEFAULT,
            unconfirmed_max: 65_536,
            unconfirmed_octets_max: 256 << 20,
            retained_budget: 64 << 20,
            unsettled: Unsettled::Leave,
            reader_patience: Duration::from_secs(5),
            source_timeout: Duration::from_secs(30),
            padding_max: 64 << 20,
            publish_while_blocked: WhileBlocked::Wait,
            call_while_blocked: WhileBlocked::Wait,
        }
    }
}

impl Options {
    /// Puts the frames of a channel together, within the limits on what may come.
    pub(crate) fn assembler(&self) -> Assembler<Spec> {
        Assembler::new().with_max_body(self.body_max).with_limits(self.table_limits)
    }
}

/// The cap held on an inbound frame when both sides asked for "no limit".
const UNLIMITED_FRAME_CAP: u32 = 1 << 20;

/// What both sides agreed on in `connection.tune` and `tune-ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tuning {
    /// Highest usable channel number.
    pub channel_max: u16,
    /// Largest frame in octets, envelope included.
    pub frame_max: u32,
    /// Heartbeat interval in seconds; `0` is off.
    pub heartbeat: u16,
}

impl Tuning {
    /// The smaller of ours and the server's, where zero means "no limit"; never a value above the offer,
    /// which brokers answer by a silent close.
    pub(crate) fn negotiate(options: &Options, offer: &Tune) -> (Self, TuneOk) {
        let channel_max =
            smaller_non_zero(u32::from(options.channel_max), offer.channel_max.into());
        let wanted = match options.frame_max {
            0 => 0,
            size => size.max(protocol::FRAMING.min_size),
        };
        let frame_max = smaller_non_zero(wanted, offer.frame_max);
        let heartbeat = heartbeat(options.heartbeat, offer.heartbeat);
        let sent_channel_max = u16::try_from(channel_max).unwrap_or(u16::MAX);
        let reply = TuneOk { channel_max: sent_channel_max, frame_max, heartbeat };
        let tuning = Self {
            channel_max: if sent_channel_max == 0 { u16::MAX } else { sent_channel_max },
            frame_max: if frame_max == 0 { UNLIMITED_FRAME_CAP } else { frame_max },
            heartbeat,
        };
        (tuning, reply)
    }
}

fn smaller_non_zero(ours: u32, theirs: u32) -> u32 {
    match (ours, theirs) {
        (0, n) | (n, 0) => n,
        (a, b) => a.min(b),
    }
}

fn heartbeat(wanted: Option<Duration>, offered: u16) -> u16 {
    match wanted {
        None => offered,
        Some(Duration::ZERO) => 0,
        Some(interval) => {
            let seconds = u16::try_from(interval.as_secs().max(1)).unwrap_or(u16::MAX);
            if offered == 0 { seconds } else { seconds.min(offered) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(channel_max: u16, frame_max: u32, heartbeat: u16) -> Tune {
        Tune { channel_max, frame_max, heartbeat }
    }

    #[test]
    fn never_answers_above_the_offer() {
        let (tuning, reply) = Tuning::negotiate(&Options::default(), &offer(100, 8192, 60));
        assert_eq!((reply.channel_max, reply.frame_max, reply.heartbeat), (100, 8192, 60));
        assert_eq!(tuning.frame_max, 8192);
    }

    #[test]
    fn zero_is_no_limit_and_keeps_our_own_cap() {
        let options = Options { channel_max: 0, frame_max: 0, ..Options::default() };
        let (tuning, reply) = Tuning::negotiate(&options, &offer(0, 0, 0));
        assert_eq!((reply.channel_max, reply.frame_max, reply.heartbeat), (0, 0, 0));
        assert_eq!((tuning.channel_max, tuning.frame_max), (u16::MAX, UNLIMITED_FRAME_CAP));
        let (tuning, reply) = Tuning::negotiate(&Options::default(), &offer(0, 0, 0));
        assert_eq!((reply.channel_max, reply.frame_max), (2047, 131_072));
        assert_eq!(tuning.frame_max, 131_072);
    }

    #[test]
    fn a_frame_max_below_the_minimum_is_raised_to_it() {
        let options = Options { frame_max: 100, ..Options::default() };
        let (tuning, _) = Tuning::negotiate(&options, &offer(0, 0, 0));
        assert_eq!(tuning.frame_max, protocol::FRAMING.min_size);
    }

    #[test]
    fn heartbeats_can_be_off_shorter_or_the_servers() {
        assert_eq!(heartbeat(None, 60), 60);
        assert_eq!(heartbeat(Some(Duration::ZERO), 60), 0);
        assert_eq!(heartbeat(Some(Duration::from_secs(10)), 60), 10);
        assert_eq!(heartbeat(Some(Duration::from_secs(90)), 60), 60);
        assert_eq!(heartbeat(Some(Duration::from_millis(5)), 0), 1);
    }
}
