//! A task of a user's, step by step, as the handles do it: what it begins, awaits, lets go of, and is told.
//!
//! What it awaits is looked at only when that has called, as an executor does: so a wake-up that is missing leaves a task
//! hanging here, too.

use std::panic::Location;

use amqp_types::protocol::queue;

use super::super::*;
use super::broker::{Broker, queue_name};
use super::reader::Reader;
use super::wait::{Asked, Got, Held, Kind, Sent, Wait, check_excused, check_outcome, forget};
use crate::error::ErrorKind;
use crate::session::CONTROL;

/// How long closes may take.
pub(super) const CLOSE: Duration = Duration::from_secs(5);

#[allow(dead_code, reason = "not every specification has something to do for each")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open,
    /// Confirm mode, where the specification has one.
    Select,
    Publish,
    Mandatory,
    /// Awaits the outcome of the oldest publish.
    Confirm,
    Declare,
    Get,
    Consume,
    Recv,
    /// Of the oldest delivery that is held; of the latest and all before; gives the oldest back.
    Ack,
    AckAll,
    Reject,
    Cancel,
    DropConsumer,
    Flush,
    Close,
    /// Drops the channel's handles.
    Release,
    CloseConnection,
    Abort,
}

pub(super) struct User {
    number: usize,
    steps: &'static [Step],
    /// How often it may let go of what it awaits.
    drops: usize,
    at: usize,
    key: Option<ChannelKey>,
    /// Names and bodies so far.
    names: usize,
    wait: Option<Wait>,
    sent: VecDeque<Sent>,
    reader: Option<Reader>,
    held: VecDeque<Held>,
    /// The last delivery of its channel that it has settled together with all before.
    settled_to: Option<(ChannelKey, u64)>,
}

impl User {
    pub(super) fn new(number: usize, (steps, drops): (&'static [Step], usize)) -> Self {
        Self {
            number,
            steps,
            drops,
            at: 0,
            key: None,
            names: 0,
            wait: None,
            sent: VecDeque::new(),
            reader: None,
            held: VecDeque::new(),
            settled_to: None,
        }
    }

    /// Whether there is something to do: the next step, once what it awaits has called.
    pub(super) fn can_act(&self) -> bool {
        self.wait.as_ref().map_or(self.at < self.steps.len(), Wait::is_woken)
    }

    pub(super) fn can_let_go(&self) -> bool {
        self.drops > 0 && self.wait.is_some()
    }

    /// Its next step.
    pub(super) fn step(&self) -> Option<Step> {
        self.steps.get(self.at).copied()
    }

    /// Its channel.
    pub(super) fn key(&self) -> Option<ChannelKey> {
        self.key
    }

    /// What it awaits, if that has not called.
    pub(super) fn hangs(&self) -> Option<&Wait> {
        self.wait.as_ref().filter(|wait| !wait.is_woken())
    }

    pub(super) fn wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    /// Looks whether what it awaits is there, if that has called. Gives whether it waits no more.
    pub(super) fn look(&mut self, bench: &mut Bench, broker: &Broker) -> bool {
        if let Some(mut wait) = self.wait.take() {
            match wait.look(self.reader.as_mut(), bench, broker) {
                Poll::Ready(got) => self.take(got, bench),
                Poll::Pending => self.wait = Some(wait),
            }
        }
        self.wait.is_none()
    }

    /// Takes its next step.
    pub(super) fn act(&mut self, bench: &mut Bench, broker: &Broker) {
        if self.look(bench, broker)
            && let Some(step) = self.step()
        {
            self.at += 1;
            if let Some((key, kind)) = self.begin(step, bench) {
                let mut wait = Wait::new(key, kind);
                match wait.poll(self.reader.as_mut(), bench, broker) {
                    Poll::Ready(got) => self.take(got, bench),
                    Poll::Pending => self.wait = Some(wait),
                }
            }
        }
    }

    fn take(&mut self, got: Got, bench: &mut Bench) {
        match got {
            Got::Nothing => {}
            Got::Channel(key) => self.key = Some(key),
            Got::Sent(sent) => self.sent.push_back(sent),
            Got::Held(held) => self.held.push_back(held),
            Got::Reader(reader) => {
                self.drop_reader(bench);
                self.reader = Some(reader);
            }
        }
    }

    /// Does what a step begins with; gives what it then awaits.
    fn begin(&mut self, step: Step, bench: &mut Bench) -> Option<(ChannelKey, Kind)> {
        let now = bench.now;
        match step {
            Step::Open => return self.open(bench),
            Step::CloseConnection => {
                bench.run(|session| session.shut_down(now, CLOSE));
                return Some((CONTROL, Kind::Finished(None, now + CLOSE)));
            }
            Step::Abort => bench.run(Session::abort),
            _ => {}
        }
        let key = self.key?;
        let kind = match step {
            Step::Publish | Step::Mandatory => {
                self.names += 1;
                let mut message = message(format!("p{}.{}", self.number, self.names));
                message.publish.mandatory = step == Step::Mandatory;
                Kind::Publish(Box::new(message), Place::None)
            }
            Step::Confirm => {
                let sent = self.sent.pop_front()?;
                return Some((sent.key, Kind::Outcome(sent)));
            }
            Step::Recv => Kind::Recv,
            Step::Flush => Kind::Flush(None, None),
            Step::Close => {
                bench.run(|session| session.shut_down_channel(key, now, CLOSE));
                Kind::ChannelClosed(None, now + CLOSE)
            }
            step => {
                match step {
                    Step::Ack | Step::AckAll | Step::Reject => self.settle(step, bench),
                    Step::DropConsumer => self.drop_reader(bench),
                    Step::Release => self.release(bench),
                    step => return self.call(key, step, bench),
                }
                return None;
            }
        };
        Some((key, kind))
    }

    fn open(&mut self, bench: &mut Bench) -> Option<(ChannelKey, Kind)> {
        self.release(bench);
        let options = bench.options::<channel::Open>();
        match bench.run(|session| session.open(&options)) {
            Ok((key, call)) => Some((key, Kind::Call(call, Asked::Open(key)))),
            Err(error) => {
                assert!(bench.session.close_reason().is_some(), "{error}");
                None
            }
        }
    }

    fn call(
        &mut self,
        key: ChannelKey,
        step: Step,
        bench: &mut Bench,
    ) -> Option<(ChannelKey, Kind)> {
        self.names += 1;
        let name = queue_name(self.number, self.names);
        let (called, asked) = match step {
            Step::Select => (select(bench, key)?, Asked::Select),
            Step::Declare => {
                let declare = queue::Declare { queue: name.clone(), ..Default::default() };
                (call(bench, key, declare), Asked::Declare(name))
            }
            Step::Get => {
                let get = basic::Get { queue: name.clone(), ..Default::default() };
                (call(bench, key, get), Asked::Get(name))
            }
            Step::Consume => (consume(bench, key, &name), Asked::Consume(name)),
            Step::Cancel => {
                let Reader { key, id, tag, .. } = self.reader.as_ref()?;
                let (key, id, consumer_tag) = (*key, *id, tag.clone());
                if bench.run(|session| session.is_cancelling(key, id)) {
                    return Some((key, Kind::Cancelled(id)));
                }
                let cancel = basic::Cancel { consumer_tag, ..Default::default() };
                (call(bench, key, cancel), Asked::Cancel)
            }
            // What was done already.
            _ => return None,
        };
        match called {
            Ok(call) => Some((key, Kind::Call(call, asked))),
            Err(error) => {
                check_excused(bench, key, &error);
                None
            }
        }
    }

    fn settle(&mut self, step: Step, bench: &mut Bench) {
        let (held, settle) = match step {
            Step::AckAll => (self.held.pop_back(), Settle::Ack { multiple: true }),
            Step::Ack => (self.held.pop_front(), Settle::Ack { multiple: false }),
            _ => (self.held.pop_front(), Settle::Reject { requeue: true }),
        };
        let Some(Held { key, tag, in_flight }) = held else { return };
        let settled = bench.run(|session| session.settle(key, tag, settle, &in_flight));
        match settled {
            Ok(()) if step == Step::AckAll => self.settled_to = Some((key, tag)),
            Ok(()) => {}
            // Those that it has read before are known to be settled, too.
            Err(error) if error.kind() == ErrorKind::Invalid => {
                assert!(self.is_settled(key, tag), "{error}");
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
                check_excused(bench, key, &error);
            }
        }
    }

    fn is_settled(&self, key: ChannelKey, tag: u64) -> bool {
        self.settled_to.is_some_and(|(channel, last)| channel == key && tag <= last)
    }

    /// Lets go of what it awaits.
    pub(super) fn let_go(&mut self, bench: &mut Bench) {
        self.drops = self.drops.saturating_sub(1);
        if let Some(mut wait) = self.wait.take() {
            wait.leave(bench);
        }
    }

    fn drop_reader(&mut self, bench: &mut Bench) {
        if let Some(reader) = self.reader.take() {
            reader.drop(bench);
        }
    }

    /// Drops all that refers to its channel, but for deliveries.
    fn release(&mut self, bench: &mut Bench) {
        self.drop_reader(bench);
        for sent in std::mem::take(&mut self.sent) {
            forget(bench, &sent);
        }
        if let Some(key) = self.key.take() {
            bench.run(|session| session.release_channel(key));
        }
    }

    /// Settles what it holds.
    pub(super) fn settle_all(&mut self, bench: &mut Bench) {
        while !self.held.is_empty() {
            self.settle(Step::Ack, bench);
        }
    }

    /// Asks for the outcomes of all that it has published.
    pub(super) fn take_outcomes(&mut self, bench: &mut Bench, broker: &Broker) {
        for sent in std::mem::take(&mut self.sent) {
            let Some(tag) = sent.tag else { continue };
            let key = sent.key;
            match bench.run(|session| session.poll_confirm(key, tag, Waker::noop())) {
                Poll::Ready(claimed) => {
                    check_outcome(bench, &sent, &claimed.outcome.expect("confirm mode"), broker);
                }
                Poll::Pending => panic!("publish {tag} has no outcome"),
            }
        }
    }

    /// Reads all that there is; gives whether that was the end.
    pub(super) fn read_to_end(&mut self, bench: &mut Bench) -> bool {
        let Some(reader) = &mut self.reader else { return true };
        loop {
            match reader.poll(bench, Waker::noop()) {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return true,
                Poll::Pending => return false,
            }
        }
    }

    /// Drops everything that it has.
    pub(super) fn drop_all(&mut self, bench: &mut Bench) {
        self.let_go(bench);
        self.settle_all(bench);
        self.release(bench);
    }

    /// The deliveries of a channel that it has, seen or not.
    pub(super) fn tags(&self, bench: &mut Bench, key: ChannelKey) -> Vec<u64> {
        let held = self.held.iter().filter(|held| held.key == key);
        let mut tags: Vec<u64> = held.map(|held| held.tag).collect();
        if let Some(reader) = self.reader.as_ref().filter(|reader| reader.key == key) {
            tags.extend(reader.tags(bench));
        }
        tags.retain(|tag| !self.is_settled(key, *tag));
        tags
    }
}

fn call<R: Request<Protocol = Spec>>(
    bench: &mut Bench,
    key: ChannelKey,
    request: R,
) -> Result<CallId> {
    let options = bench.options::<R>();
    let method = request.into_any();
    bench.run(|session| session.call(key, &method, &options))
}

#[allow(unused_variables, reason = "not every specification has confirms")]
fn select(bench: &mut Bench, key: ChannelKey) -> Option<Result<CallId>> {
    amqp_types::if_spec! { confirm.select => {
        Some(call(bench, key, amqp_types::protocol::confirm::Select::default()))
    } else {
        None
    } }
}

/// As the handle's call: with its prefetch before it.
fn consume(bench: &mut Bench, key: ChannelKey, tag: &amqp_types::ShortStr) -> Result<CallId> {
    let consume = basic::Consume { consumer_tag: tag.clone(), ..Default::default() }.into_any();
    let options = bench.options::<basic::Consume>();
    bench.run(|session| {
        session.check_tag(key, &consume)?;
        let qos = basic::Qos { prefetch_count: 10, ..Default::default() };
        session.send_qos(key, qos, Location::caller())?;
        let call = session.call(key, &consume, &options)?;
        session.await_handle(call);
        Ok(call)
    })
}
