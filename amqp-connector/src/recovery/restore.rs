//! Bringing back what a connection had: first what was declared, on a channel of its own, then each channel with its
//! prefetch, its mode and its consumers.
//!
//! One step after the other, each a call with the deadline of all calls. What the broker refuses is reported and left
//! out. A broker that answers nothing is none: the connection is lost once more, and the supervisor tries another time.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use amqp_types::ShortStr;
use amqp_types::protocol::{Method, channel, queue};
use tokio::time::Instant;

use crate::error::{CloseCause, CloseReason, Error, ErrorKind, Result, Scope};
use crate::outcome::{
    DeclaredQueue, Entity, RecoveryEvent, RecoveryFailure, RecoveryReport, RecoveryStep, Topology,
};
use crate::recovery::channel::{Steps, Stuck, entity, reason_of, restore};
use crate::recovery::requests::{Request, bind, declare_exchange, declare_queue};
use crate::session::{CONTROL, CallId, CallOptions, CallReply, ChannelKey, Restart};
use crate::shared::Shared;

/// What was exclusive to a connection that the broker has not missed yet is asked for again so often, after a pause.
pub(super) const LOCKED_MAX: u32 = 20;
pub(super) const LOCKED_PAUSE: Duration = Duration::from_millis(250);

/// The connection was lost again, or is wanted no more.
pub(super) struct GivenUp;

type Step<T> = Result<Result<T, Error>, GivenUp>;

pub(super) struct Restorer<'a> {
    shared: &'a Shared,
    report: RecoveryReport,
    /// The channel of its own, while there is one.
    channel: Option<ChannelKey>,
    /// It is one of those that are to be restored, since no other number is free.
    borrowed: bool,
    /// When the step under way began.
    since: Instant,
}

impl<'a> Restorer<'a> {
    pub(super) fn new(shared: &'a Shared, reason: Arc<CloseReason>, attempts: u32) -> Self {
        let report = RecoveryReport {
            reason,
            attempts,
            connected_after: Duration::ZERO,
            took: Duration::ZERO,
            exchanges: 0,
            queues: 0,
            bindings: 0,
            channels: 0,
            consumers: 0,
            republished: 0,
            failures: Vec::new(),
            steps: Vec::new(),
        };
        Self { shared, report, channel: None, borrowed: false, since: Instant::now() }
    }

    /// Restores everything; gives what came of it.
    pub(super) async fn run(mut self, topology: Topology) -> Result<RecoveryReport, GivenUp> {
        self.declare_all(&topology).await?;
        self.release();
        for key in self.shared.with(|session| session.channels_to_restore()) {
            self.restore_channel(key).await?;
        }
        Ok(self.report.clone())
    }

    /// The channel of its own is needed no more.
    fn release(&mut self) {
        if let Some(key) = self.channel.take()
            && !std::mem::take(&mut self.borrowed)
        {
            self.shared.with(|session| session.release_channel(key));
        }
    }

    async fn declare_all(&mut self, topology: &Topology) -> Result<(), GivenUp> {
        for exchange in &topology.exchanges {
            let declared = self.step(declare_exchange(exchange)).await?;
            let done = self.note(declared, Entity::Exchange(exchange.name.clone()));
            self.report.exchanges += usize::from(done.is_some());
        }
        let mut renamed = Vec::new();
        for queue in &topology.queues {
            let declared = self.declare_queue(queue).await?;
            let name = self.note(declared, Entity::Queue(queue.name.clone()));
            self.report.queues += usize::from(name.is_some());
            if let Some(new) = name.filter(|name| *name != queue.name) {
                self.shared.with(|session| session.rename_queue(&queue.name, &new));
                renamed.push((queue.name.clone(), new));
            }
        }
        let mut topology = topology.clone();
        for (old, new) in &renamed {
            topology.rename_queue(old, new);
        }
        for binding in &topology.bindings {
            let bound = match bind(binding) {
                Some(request) => self.step(request).await?,
                None => Err(Error::unsupported("exchange.bind")),
            };
            let done = self.note(bound, Entity::Binding(binding.clone()));
            self.report.bindings += usize::from(done.is_some());
        }
        Ok(())
    }

    /// Declares a queue; gives the name that it has then.
    async fn declare_queue(&mut self, queue: &DeclaredQueue) -> Step<ShortStr> {
        let mut tries = 0;
        loop {
            let declared = self.step(declare_queue(queue)).await?;
            let locked = declared.as_ref().err().is_some_and(is_locked);
            if queue.exclusive && locked && tries < LOCKED_MAX {
                // Its old connection is not over for the broker yet.
                tries += 1;
                tokio::time::sleep(LOCKED_PAUSE).await;
                continue;
            }
            return Ok(declared.map(|reply| match reply.method {
                Method::Queue(queue::Method::DeclareOk(ok)) => {
                    ShortStr::try_from(ok.queue.as_bytes()).unwrap_or_default()
                }
                _ => queue.name.clone(),
            }));
        }
    }

    /// Opens a channel again, with all that it had. What it is closed for is left out, and it is opened once more.
    async fn restore_channel(&mut self, mut key: ChannelKey) -> Result<(), GivenUp> {
        let (mut tries, mut again) = (0, false);
        loop {
            if std::mem::replace(&mut again, true) {
                key = self.shared.with(|session| session.renumber(key));
            }
            let Some(lasting) = self.shared.with(|session| session.lasting(key)) else {
                return Ok(());
            };
            let consumers: Vec<Entity> =
                lasting.consumers.iter().map(|restart| entity(key, restart)).collect();
            let attempt = restore(self.steps(), key, lasting).await;
            self.check(attempt.as_ref().err().map(Stuck::error))?;
            match attempt {
                Ok(took) => {
                    self.report.channels += 1;
                    let restored = self.shared.with(|session| session.restored(key));
                    self.report.consumers += restored.consumers;
                    self.report.republished += restored.messages;
                    self.log_channel(key, consumers, took);
                    return Ok(());
                }
                Err(stuck) if stuck.may_pass() && tries < LOCKED_MAX => {
                    tries += 1;
                    tokio::time::sleep(LOCKED_PAUSE).await;
                }
                Err(Stuck::Consumer(restart, error)) => self.lose_consumer(key, &restart, error),
                Err(Stuck::Channel(error)) => {
                    self.lose_channel(key, error);
                    return Ok(());
                }
            }
        }
    }

    /// A consumer cannot be restored. One that nobody wants any more has not failed.
    fn lose_consumer(&mut self, key: ChannelKey, restart: &Restart, error: Error) {
        let reason = reason_of(&error, key);
        if self.shared.with(|session| session.end_unrestored(key, restart.id, reason)) {
            self.fail(entity(key, restart), error);
        }
    }

    /// The channel itself cannot be restored.
    fn lose_channel(&mut self, key: ChannelKey, error: Error) {
        let reason = reason_of(&error, key);
        // One that its user has closed meanwhile has not failed.
        if self.shared.with(|session| session.end_unrestored_channel(key, reason)) {
            self.fail(Entity::Channel(key.id), error);
        }
    }

    /// A request on the channel of its own, which is opened if there is none.
    async fn step(&mut self, request: Request) -> Step<Box<CallReply>> {
        let key = match self.channel {
            Some(key) => key,
            None => match self.open_own().await? {
                Ok(key) => key,
                Err(error) => return Ok(Err(error)),
            },
        };
        let call =
            CallOptions { accepts: request.accepts, ..self.steps().options::<channel::OpenOk>() };
        let sent =
            self.shared.with(|session| session.restore_call(key, &request.method, &call, None));
        let reply = self.reply(sent).await?;
        if reply.is_err() {
            // The broker has closed it.
            self.release();
        }
        Ok(reply)
    }

    async fn open_own(&mut self) -> Step<ChannelKey> {
        let call = self.steps().options::<channel::OpenOk>();
        let (key, call) = match self.shared.with(|session| session.open_own(&call)) {
            Ok((key, call)) => (key, Ok(Some(call))),
            Err(error) if error.kind() == ErrorKind::Limit => {
                let waiting = self.shared.with(|session| session.channels_to_restore());
                let Some(key) = waiting.first().copied() else { return Ok(Err(error)) };
                self.borrowed = true;
                (key, self.shared.with(|session| session.reopen(key, &call)))
            }
            Err(error) => (CONTROL, Err(error)),
        };
        // From here on it is let go of with the restorer, whatever becomes of the call.
        self.channel = Some(key).filter(|key| *key != CONTROL);
        let opened = match call.transpose() {
            None => Ok(()),
            Some(call) => self.reply(call).await?.map(drop),
        };
        if opened.is_err() {
            self.release();
        }
        Ok(opened.map(|()| key))
    }

    fn steps(&self) -> Steps<'a> {
        Steps { shared: self.shared, place: Location::caller() }
    }

    /// Awaits a reply.
    async fn reply(&mut self, sent: Result<CallId>) -> Step<Box<CallReply>> {
        let reply = self.steps().reply(sent).await;
        self.check(reply.as_ref().err())?;
        Ok(reply)
    }

    /// Whether it can go on after this: without a reply the broker is none.
    fn check(&self, error: Option<&Error>) -> Result<(), GivenUp> {
        let lost =
            self.shared.with(|session| session.is_lost() || session.close_reason().is_some());
        if lost {
            return Err(GivenUp);
        }
        if error.is_some_and(|error| error.kind() == ErrorKind::Timeout) {
            let text = "the broker did not answer while the connection was being restored";
            let reason = CloseReason::new(Scope::Connection, CloseCause::CallUnanswered, text);
            self.shared.with(|session| session.lose_again(reason));
            return Err(GivenUp);
        }
        Ok(())
    }

    fn note<T>(&mut self, result: Result<T>, entity: Entity) -> Option<T> {
        match result {
            Ok(done) => {
                self.log(entity, None);
                Some(done)
            }
            Err(error) => {
                self.fail(entity, error);
                None
            }
        }
    }

    /// A step is done, and the next one begins.
    fn log(&mut self, entity: Entity, error: Option<Error>) {
        let took = self.took();
        self.report.steps.push(RecoveryStep { entity, took, error });
    }

    /// A channel is back, and so are its consumers, each of which took so long.
    fn log_channel(&mut self, key: ChannelKey, consumers: Vec<Entity>, took: Vec<Duration>) {
        let own = self.took().saturating_sub(took.iter().sum());
        let steps = consumers.into_iter().zip(took);
        for (entity, took) in [(Entity::Channel(key.id), own)].into_iter().chain(steps) {
            self.report.steps.push(RecoveryStep { entity, took, error: None });
        }
    }

    /// How long the step took that ends now.
    fn took(&mut self) -> Duration {
        let now = Instant::now();
        now.saturating_duration_since(std::mem::replace(&mut self.since, now))
    }

    fn fail(&mut self, entity: Entity, error: Error) {
        self.log(entity.clone(), Some(error.clone()));
        let failure = Arc::new(RecoveryFailure { entity, error });
        tracing::warn!(%failure, "something cannot be restored");
        self.shared.with(|session| session.tell(RecoveryEvent::Failed(failure.clone())));
        self.report.failures.push(failure);
    }
}

impl Drop for Restorer<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

fn is_locked(error: &Error) -> bool {
    let code = error.close_reason().and_then(CloseReason::code);
    code == Some(amqp_types::protocol::ReplyCode::RESOURCE_LOCKED)
}
