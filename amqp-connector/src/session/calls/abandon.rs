//! Calls that nobody waits for any more: dropped or timed out ones, and undoing what their late replies
//! bring about.
//!
//! Called by the futures of `crate::call`, by the clock, and when a reply meets its tombstone. A call never
//! leaves its line before its reply comes, or the next reply would be taken for it.

use amqp_types::protocol::{self, Method, basic, queue};
use amqp_types::{Method as _, ShortStr};
use tokio::time::Instant;

use crate::error::{CloseCause, CloseReason, Error, Scope};
use crate::session::Session;
use crate::session::calls::deadline::Deadline;
use crate::session::calls::pending::{CallReply, CallSlot, Undo};
use crate::session::calls::{CONTROL, CallId};
use crate::session::channel::ChannelKey;
use crate::session::timers::after;

impl Session {
    /// Nobody waits for `call` any more: what its reply brings about is undone.
    pub(crate) fn abandon_call(&mut self, call: CallId) {
        match self.slots.remove(&call.id) {
            Some(CallSlot::Done(Ok(reply), undo)) => {
                self.note_taken(call.key, undo);
                self.undo(call.key, undo, *reply);
            }
            Some(CallSlot::Waiting(waker)) => {
                self.effects.discard_waker(waker);
                if let Some(pending) = self.pending_call(call.key, call.id) {
                    pending.abandoned = true;
                }
                // A graceful close may have waited for it alone.
                self.notify_driver();
            }
            Some(CallSlot::Done(Err(_), _)) | None => {}
        }
    }

    /// The deadline of a call is reached: its waiter gets `Timeout`, and it stays in line for as long
    /// again; only then is the channel beyond saving, since the next reply could be anybody's.
    pub(in crate::session) fn expire_call(&mut self, key: ChannelKey, id: u64, now: Instant) {
        let timeout = self.options.call_timeout;
        let Some(call) = self.pending_call(key, id) else { return };
        let (name, place) = (call.name, call.place);
        if let Deadline::Second(_) = call.deadline {
            let text = match self.unsent.holds(id) {
                true => format!("{name} could not be written for two deadlines"),
                false => format!("no reply to {name} for two deadlines"),
            };
            let scope = match key == CONTROL {
                true => Scope::Connection,
                false => Scope::Channel(key.id),
            };
            let reason = CloseReason::new(scope, CloseCause::CallUnanswered, text)
                .with_method(Some(name))
                .with_place(place);
            match key == CONTROL {
                true => self.terminate(reason),
                false => self.close_channel_because(key, reason),
            }
            return;
        }
        call.abandoned = true;
        // A graceful close may have waited for it alone.
        self.notify_driver();
        // A second deadline never runs while the broker blocks us: no channel is closed for that.
        let second = Deadline::Second(after(self.blocked.unwrap_or(now), timeout));
        self.move_deadline(key, id, second);
        if let Some(CallSlot::Waiting(waker)) = self.slots.remove(&id) {
            self.effects.wake(waker);
            let error = match self.is_blocked() {
                true => {
                    Error::blocked("the broker has blocked this connection, and answers nothing")
                }
                false => Error::timeout(name),
            };
            self.slots.insert(id, CallSlot::Done(Err(error), Undo::Nothing));
        }
    }

    /// A reply has left its slot.
    pub(in crate::session) fn note_taken(&mut self, key: ChannelKey, undo: Undo) {
        if undo == Undo::Requeue
            && let Some(channel) = self.channels.get(key)
        {
            channel.untaken = channel.untaken.saturating_sub(1);
            if channel.is_draining() {
                self.notify_driver();
            }
        }
    }

    /// A reply is with the user as it is: of a message that came by it nothing is known from now on.
    pub(crate) fn note_raw_reply(&mut self, key: ChannelKey, reply: &CallReply) {
        if let Method::Basic(basic::Method::GetOk(got)) = &reply.method
            && let Some(channel) = self.channels.get(key)
        {
            channel.note_left(got.delivery_tag);
        }
    }

    /// Undoes what a reply that nobody waits for has brought about.
    pub(in crate::session) fn undo(&mut self, key: ChannelKey, undo: Undo, reply: CallReply) {
        let CallReply { method, content, consumer } = reply;
        if let Some((properties, body)) = content {
            self.effects.discard(crate::session::Garbage::Content(Box::new((properties, body))));
        }
        match (undo, method) {
            (Undo::Requeue, Method::Basic(basic::Method::GetOk(get))) => {
                self.requeue(key, get.delivery_tag);
            }
            (Undo::Cancel, _) => {
                if let Some((id, _)) = consumer {
                    self.drop_consumer(key, id);
                }
            }
            (Undo::CloseChannel, Method::Channel(protocol::channel::Method::OpenOk(_))) => {
                self.release_channel(key);
            }
            (Undo::DeleteQueue, Method::Queue(queue::Method::DeclareOk(ok))) => {
                self.delete_queue(key, ok.queue);
            }
            _ => {}
        }
    }

    /// Deletes a queue whose name nobody will ever learn; the reply is for nobody.
    fn delete_queue(&mut self, key: ChannelKey, queue: ShortStr) {
        let delete = queue::Delete { queue, no_wait: true, ..Default::default() };
        if self.live_channel(key).is_ok() {
            let mut delete = delete.into_any();
            self.stamp(key, &mut delete);
            // It cannot fail: the name came in a frame of the same size.
            let _ = self.send_method(key.id, &delete);
            self.note_unanswered(key, &delete, None);
        }
    }
}
