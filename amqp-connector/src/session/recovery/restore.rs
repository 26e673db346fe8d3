//! What restores a connection, sent step by step by its supervisor: each step is a call whose reply is awaited.
//!
//! The channels keep their numbers. A channel that the peer closes meanwhile waits again from the beginning, with another
//! number, and the supervisor goes on without what was to blame.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amqp_types::protocol::{Method, basic, channel};
use amqp_types::{Method as _, ShortStr};

use crate::error::{CloseReason, Error, Result};
use crate::outcome::{ConsumerEnd, Event, RecoveryEvent, Topology};
use crate::session::calls::pending::Undo;
use crate::session::channel::{ChannelKey, ChannelPhase, ChannelState, Restoring};
use crate::session::consume::consumer::Phase as ConsumerPhase;
use crate::session::{CallId, CallOptions, Session};

/// A consumer that is to be started again.
pub(crate) struct Restart {
    pub(crate) id: u64,
    pub(crate) prefetch: u16,
    pub(crate) consume: basic::Consume,
}

/// What a channel was like, and is to be again.
pub(crate) struct Lasting {
    pub(crate) confirms: bool,
    pub(crate) prefetch: u16,
    pub(crate) prefetch_global: u16,
    pub(crate) consumers: Vec<Restart>,
}

impl Session {
    /// What is recorded.
    pub(crate) fn topology(&self) -> Topology {
        self.recovery.as_ref().map(|it| it.topology.clone()).unwrap_or_default()
    }

    /// Records another topology in place of this one, which is given back; if another one is recorded by now, the new one is.
    pub(crate) fn replace_topology(
        &mut self,
        known: &Topology,
        new: Topology,
    ) -> Result<Result<Topology, Topology>> {
        let Some(recovery) = &mut self.recovery else {
            let text = "nothing is recorded of a connection that does not come back";
            return Err(Error::invalid(text));
        };
        Ok(match recovery.topology == *known {
            true => Ok(std::mem::replace(&mut recovery.topology, new)),
            false => Err(new),
        })
    }

    /// Channels that are to be restored, in the order of their numbers.
    pub(crate) fn channels_to_restore(&mut self) -> Vec<ChannelKey> {
        let waiting =
            self.channels.iter_mut().filter(|it| it.restoring().is_some() && !it.reopening);
        waiting.map(|channel| channel.key).collect()
    }

    /// What a channel is to be like again.
    pub(crate) fn lasting(&mut self, key: ChannelKey) -> Option<Lasting> {
        let channel = self.channels.get(key).filter(|it| it.restoring().is_some())?;
        let waiting = channel.consumers.iter().filter(|consumer| {
            consumer.phase == ConsumerPhase::Requested && consumer.end.is_none()
        });
        let consumers = waiting.filter_map(|consumer| {
            #[allow(unused_mut, reason = "not every specification has tickets")]
            let mut consume = basic::Consume {
                consumer_tag: consumer.tag.clone(),
                no_wait: false,
                ..consumer.start.as_deref()?.clone()
            };
            amqp_types::if_spec! { basic.consume.ticket => { consume.ticket = 0; } else {} }
            Some(Restart { id: consumer.id, prefetch: consumer.prefetch, consume })
        });
        Some(Lasting {
            confirms: channel.confirms.is_some(),
            prefetch: channel.prefetch,
            prefetch_global: channel.prefetch_global,
            consumers: consumers.collect(),
        })
    }

    /// The channel was closed by the peer while it was being restored, and is to be opened once more. What the peer had in hand
    /// for it may come even after that, so it gets another number, if there is one. Gives its key, which is its handle's, too.
    pub(crate) fn renumber(&mut self, key: ChannelKey) -> ChannelKey {
        let waits = |it: &&mut ChannelState| {
            it.restoring() == Some(Restoring::Waiting) && !it.reopening && it.handle_key.is_some()
        };
        if self.channels.get(key).filter(waits).is_none() {
            return key;
        }
        let Some(new) = self.channels.renumber(key) else { return key };
        if let Some(place) = self.channels.get(new).and_then(|it| it.handle_key.as_ref()) {
            place.store(new.packed(), Ordering::Relaxed);
        }
        new
    }

    /// A channel's handle has its key here, and wants it changed where that changes.
    pub(crate) fn follow(&mut self, key: ChannelKey, place: &Arc<AtomicU64>) {
        let now = self.channels.current(key);
        if let Some(channel) = self.channels.get(now) {
            place.store(now.packed(), Ordering::Relaxed);
            channel.handle_key = Some(place.clone());
        }
    }

    /// Opens a channel again under its number, unless it is open.
    pub(crate) fn reopen(
        &mut self,
        key: ChannelKey,
        options: &CallOptions,
    ) -> Result<Option<CallId>> {
        self.check_open()?;
        let assembler = self.options.assembler();
        let Some(channel) = self.channels.get(key) else { return Err(Error::stale(None)) };
        match &mut channel.phase {
            ChannelPhase::Restoring(Restoring::Live, _) => return Ok(None),
            ChannelPhase::Restoring(stage @ Restoring::Waiting, _) => *stage = Restoring::Opening,
            _ => return Err(Error::stale(channel.close_reason().cloned())),
        }
        channel.assembler = assembler;
        let request = channel::Open::default().into_any();
        let call = self.send_call_for(key, &request, options, None)?;
        self.undo_nothing(call);
        Ok(Some(call))
    }

    /// Opens a channel for the supervisor itself, of which nobody is told.
    pub(crate) fn open_own(&mut self, options: &CallOptions) -> Result<(ChannelKey, CallId)> {
        let opened = self.open(options)?;
        if let Some(channel) = self.channels.get(opened.0) {
            channel.own = true;
        }
        Ok(opened)
    }

    /// A request on a channel that is being restored, or on the supervisor's own. For `consumer`, if it starts one
    /// again.
    pub(crate) fn restore_call(
        &mut self,
        key: ChannelKey,
        request: &Method,
        options: &CallOptions,
        consumer: Option<u64>,
    ) -> Result<CallId> {
        self.check_open()?;
        let Some(channel) = self.channels.get(key) else { return Err(Error::stale(None)) };
        match &channel.phase {
            ChannelPhase::Open | ChannelPhase::Restoring(Restoring::Live, _) => {}
            ChannelPhase::Restoring(_, reason) => return Err(Error::closed(reason.clone())),
            _ => return Err(Error::stale(channel.close_reason().cloned())),
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.silent = true;
        }
        let call = self.send_call_for(key, request, options, consumer);
        if let Some(recovery) = &mut self.recovery {
            recovery.silent = false;
        }
        let call = call?;
        self.undo_nothing(call);
        Ok(call)
    }

    /// What is restored stays, whether or not anybody takes the reply.
    fn undo_nothing(&mut self, call: CallId) {
        if let Some(pending) = self.pending_call(call.key, call.id) {
            pending.undo = Undo::Nothing;
        }
    }

    /// A consumer cannot be started again: it ends for this reason. False if nobody wants it any more.
    pub(crate) fn end_unrestored(
        &mut self,
        key: ChannelKey,
        id: u64,
        reason: Arc<CloseReason>,
    ) -> bool {
        let channel = self.channels.get(key).filter(|channel| channel.restoring().is_some());
        let consumer = channel.and_then(|channel| channel.consumers.by_id(id));
        let Some(consumer) = consumer.filter(|it| it.end.is_none()) else { return false };
        consumer.phase = ConsumerPhase::Cancelled;
        consumer.end = Some(ConsumerEnd::Closed(reason));
        let start = consumer.start.take();
        self.effects.wake(consumer.waker.take());
        self.note_unconsumed(start);
        true
    }

    /// A channel cannot be restored: it ends for this reason. False if it has ended already.
    pub(crate) fn end_unrestored_channel(
        &mut self,
        key: ChannelKey,
        reason: Arc<CloseReason>,
    ) -> bool {
        let stage = self.channels.get(key).and_then(|channel| channel.restoring());
        match stage {
            None => return false,
            Some(Restoring::Waiting) => self.end_channel(key, reason, true),
            Some(_) => {
                let close = channel::Close::default().into_any();
                // Numbers of our own always fit a frame.
                let _ = self.send_method(key.id, &close);
                self.end_channel(key, reason, false);
            }
        }
        true
    }

    /// The broker that restores does not answer.
    pub(crate) fn lose_again(&mut self, reason: CloseReason) {
        self.terminate(reason);
    }

    /// The broker has given a queue another name: whatever meant it by the old one means it by the new.
    pub(crate) fn rename_queue(&mut self, old: &ShortStr, new: &ShortStr) {
        if let Some(recovery) = &mut self.recovery {
            recovery.topology.rename_queue(old, new);
        }
        for channel in self.channels.iter_mut() {
            if channel.last_queue == *old {
                channel.last_queue = new.clone();
            }
            for consumer in channel.consumers.iter_mut() {
                if let Some(start) = consumer.start.as_mut().filter(|it| it.queue == *old) {
                    start.queue = new.clone();
                }
            }
        }
        self.tell(RecoveryEvent::QueueRenamed { old: old.clone(), new: new.clone() });
    }

    /// Tells subscribers how the recovery goes on.
    pub(crate) fn tell(&mut self, event: RecoveryEvent) {
        self.record(|| Event::Recovery(event));
    }
}
