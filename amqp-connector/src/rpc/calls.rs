//! The calls of a client that wait for their replies, by correlation id.
//!
//! The client's task gives replies in and tells of losses; calls put themselves in and take themselves out. One lock, under
//! which nobody is woken: what ends a call is sent after it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amqp_types::ShortStr;
use tokio::sync::oneshot;

use super::ids::Ids;
use super::{CallError, Reply};
use crate::error::CloseReason;
use crate::outcome::{Epoch, Returned};

pub(super) type Answer = Result<Reply, CallError>;

/// Replies that belonged to no call of a [`Client`](super::Client), and were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedReplies {
    /// Those of calls that were over: the deadline had passed, the call was dropped, or had its reply before.
    pub late: u64,
    /// Those of calls that this client never made, and those without a correlation id.
    pub unknown: u64,
}

pub(super) struct Calls {
    ids: Ids,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    waiting: HashMap<ShortStr, Waiting>,
    /// The number of the next call.
    next: u64,
    /// What was sent in an earlier incarnation of the channel is lost.
    since: Option<Epoch>,
    /// Why, for those that learn it only when they are sent.
    lost: Option<Arc<CloseReason>>,
    /// No call ends otherwise from now on.
    over: bool,
    dropped: DroppedReplies,
}

struct Waiting {
    answer: oneshot::Sender<Answer>,
    /// The incarnation of the channel that its request was sent in, once it was.
    sent: Option<Epoch>,
}

/// A call's place in the table.
///
/// # Drop
///
/// Takes the call out: what still comes for it is late.
pub(super) struct Place {
    calls: Arc<Calls>,
    pub(super) id: ShortStr,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self { ids: Ids::new(), table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No operation leaves the table half changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new call; its answer comes by the receiver.
    pub(super) fn begin(self: &Arc<Self>) -> (Place, oneshot::Receiver<Answer>) {
        let (answer, receiver) = oneshot::channel();
        let mut table = self.table();
        let id = self.ids.of(table.next);
        table.next += 1;
        if !table.over {
            table.waiting.insert(id.clone(), Waiting { answer, sent: None });
        }
        drop(table);
        (Place { calls: self.clone(), id }, receiver)
    }

    /// Takes a reply in.
    pub(super) fn reply(&self, reply: Reply) {
        let mut table = self.table();
        let id = reply.properties.correlation_id.as_ref().map(ShortStr::as_bytes);
        let waiting = id.and_then(|id| table.waiting.remove(id));
        if waiting.is_none() {
            let is_late = id.is_some_and(|id| self.ids.is_of_one_before(id, table.next));
            let DroppedReplies { late, unknown } = &mut table.dropped;
            *(if is_late { late } else { unknown }) += 1;
        }
        drop(table);
        match waiting {
            Some(waiting) => drop(waiting.answer.send(reply.into_answer())),
            None => tracing::debug!("a reply that belongs to no call was dropped"),
        }
    }

    /// Takes a request in that came back.
    pub(super) fn returned(&self, returned: Returned) {
        let id = returned.properties.correlation_id.as_ref().map(ShortStr::as_bytes);
        let waiting = id.and_then(|id| self.table().waiting.remove(id));
        if let Some(waiting) = waiting {
            drop(waiting.answer.send(Err(CallError::Unroutable(Box::new(returned)))));
        }
    }

    /// What was sent before the channel was this incarnation is lost.
    pub(super) fn lost_before(&self, epoch: Epoch, reason: Option<Arc<CloseReason>>) {
        let mut table = self.table();
        if table.since >= Some(epoch) {
            return;
        }
        table.since = Some(epoch);
        table.lost.clone_from(&reason);
        let is_lost = |sent: &Option<Epoch>| sent.is_some_and(|sent| sent < epoch);
        let lost = table.waiting.extract_if(|_, waiting| is_lost(&waiting.sent)).collect();
        drop(table);
        interrupt(lost, reason.as_ref());
    }

    /// All calls that were sent are lost, and those that are sent from now on are not.
    pub(super) fn lost_sent(&self, reason: Option<&Arc<CloseReason>>) {
        let mut table = self.table();
        let lost = table.waiting.extract_if(|_, waiting| waiting.sent.is_some()).collect();
        drop(table);
        interrupt(lost, reason);
    }

    /// The client is over, and so are all calls.
    pub(super) fn end(&self, reason: Option<&Arc<CloseReason>>) {
        let mut table = self.table();
        table.over = true;
        table.lost = reason.cloned();
        let (sent, unsent) = table.waiting.drain().partition(|(_, it)| it.sent.is_some());
        drop(table);
        interrupt(sent, reason);
        let unsent: Lost = unsent;
        for (_, waiting) in unsent {
            drop(waiting.answer.send(Err(CallError::Closed(reason.cloned()))));
        }
    }

    pub(super) fn dropped(&self) -> DroppedReplies {
        self.table().dropped
    }

    pub(super) fn len(&self) -> usize {
        self.table().waiting.len()
    }
}

type Lost = Vec<(ShortStr, Waiting)>;

fn interrupt(lost: Lost, reason: Option<&Arc<CloseReason>>) {
    for (_, waiting) in lost {
        drop(waiting.answer.send(Err(CallError::Interrupted(reason.cloned()))));
    }
}

impl Place {
    /// The request was accepted for sending in this incarnation of the channel.
    ///
    /// # Errors
    ///
    /// If that is lost already.
    pub(super) fn sent(&self, epoch: Epoch) -> Result<(), CallError> {
        let mut table = self.calls.table();
        let is_lost = table.over || table.since.is_some_and(|since| epoch < since);
        let lost = table.lost.clone();
        let waiting = table.waiting.get_mut(&self.id);
        match waiting {
            Some(_) if is_lost => Err(CallError::Interrupted(lost)),
            Some(waiting) => {
                waiting.sent = Some(epoch);
                Ok(())
            }
            // It has its answer.
            None => Ok(()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let waiting = self.calls.table().waiting.remove(&self.id);
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use amqp_types::protocol::basic;

    use super::*;
    use crate::error::{CloseCause, Scope};

    fn calls() -> Arc<Calls> {
        Arc::new(Calls::new())
    }

    fn reply(id: Option<ShortStr>, body: &'static str) -> Reply {
        let properties = basic::Properties { correlation_id: id, ..Default::default() };
        Reply { properties, body: body.into() }
    }

    fn reason() -> Arc<CloseReason> {
        Arc::new(CloseReason::new(Scope::Connection, CloseCause::TransportEnded, "gone"))
    }

    fn body(receiver: &mut oneshot::Receiver<Answer>) -> String {
        let reply = receiver.try_recv().expect("an answer").expect("a reply");
        String::from_utf8(reply.body.to_bytes().to_vec()).expect("text")
    }

    #[test]
    fn replies_go_to_their_calls_in_whatever_order_they_come_and_only_once() {
        let calls = calls();
        let (one, mut first) = calls.begin();
        let (two, mut second) = calls.begin();
        calls.reply(reply(Some(two.id.clone()), "two"));
        calls.reply(reply(Some(one.id.clone()), "one"));
        calls.reply(reply(Some(one.id.clone()), "again"));
        assert_eq!((body(&mut first), body(&mut second)), ("one".to_owned(), "two".to_owned()));
        assert_eq!(calls.dropped(), DroppedReplies { late: 1, unknown: 0 });
    }

    #[test]
    fn what_belongs_to_no_call_is_dropped_and_counted() {
        let calls = calls();
        let (place, receiver) = calls.begin();
        let id = place.id.clone();
        drop((place, receiver));
        assert_eq!(calls.len(), 0, "a dropped call forgets its id");
        calls.reply(reply(Some(id), "late"));
        calls.reply(reply(None, "without an id"));
        calls.reply(reply(ShortStr::try_from("somebody else's").ok(), "unknown"));
        assert_eq!(calls.dropped(), DroppedReplies { late: 1, unknown: 2 });
    }

    #[test]
    fn a_loss_ends_what_was_sent_before_it_and_nothing_else() {
        let calls = calls();
        let (before, mut lost) = calls.begin();
        before.sent(Epoch(3)).expect("in time");
        let (waiting, mut kept) = calls.begin();
        let (tardy, _receiver) = calls.begin();
        calls.lost_before(Epoch(5), Some(reason()));
        let error = lost.try_recv().expect("an answer").unwrap_err();
        assert!(matches!(error, CallError::Interrupted(Some(_))) && error.may_have_been_served());
        // Accepted before the loss, and told of it only now.
        assert!(matches!(tardy.sent(Epoch(3)), Err(CallError::Interrupted(Some(_)))));
        waiting.sent(Epoch(5)).expect("after the loss");
        calls.lost_before(Epoch(5), None);
        calls.reply(reply(Some(waiting.id.clone()), "kept"));
        assert_eq!(body(&mut kept), "kept");
    }

    #[test]
    fn the_end_ends_all_and_what_comes_after_it() {
        let calls = calls();
        let (sent, mut first) = calls.begin();
        sent.sent(Epoch(1)).expect("in time");
        let (_unsent, mut second) = calls.begin();
        calls.end(Some(&reason()));
        let ends = [&mut first, &mut second].map(|it| it.try_recv().expect("an answer"));
        assert!(matches!(
            ends,
            [Err(CallError::Interrupted(Some(_))), Err(CallError::Closed(Some(_)))]
        ));
        let (_late, mut third) = calls.begin();
        assert!(matches!(third.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    }

    #[test]
    fn a_request_that_comes_back_fails_its_own_call_and_no_other() {
        let calls = calls();
        let (one, mut first) = calls.begin();
        let (_two, mut second) = calls.begin();
        let properties =
            basic::Properties { correlation_id: Some(one.id.clone()), ..Default::default() };
        let method = basic::Return::default();
        calls.returned(Returned::new(method.clone(), properties.clone(), "".into()));
        calls.returned(Returned::new(method, properties, "".into()));
        let error = first.try_recv().expect("an answer").unwrap_err();
        assert!(matches!(error, CallError::Unroutable(_)) && !error.may_have_been_served());
        assert!(second.try_recv().is_err(), "it still waits");
    }
}
