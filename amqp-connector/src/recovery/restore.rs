//! Bringing back what a connection had: first what was declared, on a channel of its own, then each channel with its
//! prefetch, its mode and its consumers.
//!
//! One step after the other, each a call with the deadline of all calls. What the broker refuses is reported and left
//! out. A broker that answers nothing is none: the connection is lost once more, and the supervisor tries another time.

use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use amqp_types::protocol::{Method, Spec, basic, channel, exchange, queue};
use amqp_types::{Method as _, Reply, ShortStr};
use tokio::time::Instant;

use crate::error::{CloseCause, CloseReason, Error, ErrorKind, Result, Scope};
use crate::outcome::{
    Binding, DeclaredExchange, DeclaredQueue, Destination, Entity, RecoveryEvent, RecoveryFailure,
    RecoveryReport, Topology,
};
use crate::session::{CONTROL, CallId, CallOptions, CallReply, ChannelKey, Lasting, Restart};
use crate::shared::Shared;

/// What was exclusive to a connection that the broker has not missed yet is asked for again so often, after a pause.
const LOCKED_MAX: u32 = 20;
const LOCKED_PAUSE: Duration = Duration::from_millis(250);

/// The connection was lost again, or is wanted no more.
pub(super) struct GivenUp;

type Step<T> = Result<Result<T, Error>, GivenUp>;

/// Why an attempt at a channel did not come to its end.
enum Stuck {
    /// This consumer is to blame.
    Consumer(Box<Restart>, Error),
    /// The channel is beyond saving, or nobody wants it any more.
    Channel,
}

pub(super) struct Restorer<'a> {
    shared: &'a Shared,
    report: RecoveryReport,
    /// The channel of its own, while there is one.
    channel: Option<ChannelKey>,
    /// It is one of those that are to be restored, since no other number is free.
    borrowed: bool,
}

impl<'a> Restorer<'a> {
    pub(super) fn new(shared: &'a Shared, reason: Arc<CloseReason>, attempts: u32) -> Self {
        let report = RecoveryReport {
            reason,
            attempts,
            took: Duration::ZERO,
            exchanges: 0,
            queues: 0,
            bindings: 0,
            channels: 0,
            consumers: 0,
            failures: Vec::new(),
        };
        Self { shared, report, channel: None, borrowed: false }
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
            let done = self.note(declared, || Entity::Exchange(exchange.name.clone()));
            self.report.exchanges += usize::from(done.is_some());
        }
        let mut renamed = Vec::new();
        for queue in &topology.queues {
            let declared = self.declare_queue(queue).await?;
            let name = self.note(declared, || Entity::Queue(queue.name.clone()));
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
            let done = self.note(bound, || Entity::Binding(binding.clone()));
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
    async fn restore_channel(&mut self, key: ChannelKey) -> Result<(), GivenUp> {
        let mut tries = 0;
        loop {
            let Some(lasting) = self.shared.with(|session| session.lasting(key)) else {
                return Ok(());
            };
            match self.restore_lasting(key, lasting).await? {
                Ok(()) => {
                    self.report.channels += 1;
                    self.report.consumers += self.shared.with(|session| session.restored(key));
                    return Ok(());
                }
                Err(Stuck::Consumer(restart, error))
                    if restart.consume.exclusive && is_refused(&error) && tries < LOCKED_MAX =>
                {
                    // That of its old connection is not over for the broker yet.
                    tries += 1;
                    tokio::time::sleep(LOCKED_PAUSE).await;
                }
                Err(Stuck::Consumer(restart, error)) => self.lose_consumer(key, *restart, error),
                Err(Stuck::Channel) => return Ok(()),
            }
        }
    }

    /// A consumer cannot be restored. One that nobody wants any more has not failed.
    fn lose_consumer(&mut self, key: ChannelKey, restart: Restart, error: Error) {
        let Restart { id, consume, .. } = restart;
        let reason = reason_of(&error, key);
        if self.shared.with(|session| session.end_unrestored(key, id, reason)) {
            let (tag, queue) = (consume.consumer_tag, consume.queue);
            self.fail(Entity::Consumer { channel: key.id, tag, queue }, error);
        }
    }

    /// One attempt at a channel.
    async fn restore_lasting(
        &mut self,
        key: ChannelKey,
        lasting: Lasting,
    ) -> Result<Result<(), Stuck>, GivenUp> {
        let call = options::<channel::OpenOk>();
        // What the broker has for the next consumer; nothing is known of that if the channel was open.
        let mut prefetch = None;
        let mut ready = match self.shared.with(|session| session.reopen(key, &call)).transpose() {
            None => Ok(()),
            Some(opened) => {
                prefetch = Some(0);
                self.reply(opened).await?.map(drop)
            }
        };
        if ready.is_ok() && lasting.confirms {
            ready = self.select_confirms(key).await?;
        }
        if let Err(error) = ready {
            return Ok(self.lose_channel(key, error));
        }
        for restart in lasting.consumers {
            if prefetch != Some(restart.prefetch) {
                prefetch = Some(restart.prefetch);
                if let Err(error) = self.qos(key, restart.prefetch, false).await? {
                    return Ok(self.lose_channel(key, error));
                }
            }
            let request = restart.consume.clone().into_any();
            let call = options::<basic::ConsumeOk>();
            let sent = self
                .shared
                .with(|session| session.restore_call(key, &request, &call, Some(restart.id)));
            if let Err(error) = self.reply(sent).await? {
                return Ok(Err(Stuck::Consumer(Box::new(restart), error)));
            }
        }
        if prefetch != Some(lasting.prefetch)
            && let Err(error) = self.qos(key, lasting.prefetch, false).await?
        {
            return Ok(self.lose_channel(key, error));
        }
        if lasting.prefetch_global != 0
            && let Err(error) = self.qos(key, lasting.prefetch_global, true).await?
        {
            return Ok(self.lose_channel(key, error));
        }
        Ok(Ok(()))
    }

    /// The channel itself cannot be restored.
    fn lose_channel(&mut self, key: ChannelKey, error: Error) -> Result<(), Stuck> {
        let reason = reason_of(&error, key);
        // One that its user has closed meanwhile has not failed.
        if self.shared.with(|session| session.end_unrestored_channel(key, reason)) {
            self.fail(Entity::Channel(key.id), error);
        }
        Err(Stuck::Channel)
    }

    async fn qos(&mut self, key: ChannelKey, prefetch_count: u16, global: bool) -> Step<()> {
        let request = basic::Qos { prefetch_count, global, ..Default::default() }.into_any();
        let call = options::<basic::QosOk>();
        let sent = self.shared.with(|session| session.restore_call(key, &request, &call, None));
        Ok(self.reply(sent).await?.map(drop))
    }

    async fn select_confirms(&mut self, key: ChannelKey) -> Step<()> {
        amqp_types::if_spec! { confirm.select => {
            use amqp_types::protocol::confirm;
            let request = confirm::Select::default().into_any();
            let call = options::<confirm::SelectOk>();
            let sent = self.shared.with(|session| session.restore_call(key, &request, &call, None));
            Ok(self.reply(sent).await?.map(drop))
        } else {
            let _ = key;
            Ok(Ok(()))
        } }
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
        let call = CallOptions { accepts: request.accepts, ..options::<channel::OpenOk>() };
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
        let call = options::<channel::OpenOk>();
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
        let opened = match call.transpose() {
            None => Ok(()),
            Some(call) => self.reply(call).await?.map(drop),
        };
        if opened.is_ok() {
            self.channel = Some(key);
        }
        Ok(opened.map(|()| key))
    }

    /// Awaits a reply. Without one the broker is none.
    async fn reply(&mut self, sent: Result<CallId>) -> Step<Box<CallReply>> {
        let result = match sent {
            Ok(call) => {
                let guard = Abandon { shared: self.shared, call };
                let reply = poll_fn(|cx| {
                    guard.shared.poll(cx, |session, waker| session.poll_call(call, waker))
                });
                reply.await
            }
            Err(error) => Err(error),
        };
        let lost =
            self.shared.with(|session| session.is_lost() || session.close_reason().is_some());
        if lost {
            return Err(GivenUp);
        }
        if let Err(error) = &result
            && error.kind() == ErrorKind::Timeout
        {
            let text = "the broker did not answer while the connection was being restored";
            let reason = CloseReason::new(Scope::Connection, CloseCause::CallUnanswered, text);
            self.shared.with(|session| session.lose_again(reason));
            return Err(GivenUp);
        }
        Ok(result)
    }

    fn note<T>(&mut self, result: Result<T>, entity: impl FnOnce() -> Entity) -> Option<T> {
        match result {
            Ok(done) => Some(done),
            Err(error) => {
                self.fail(entity(), error);
                None
            }
        }
    }

    fn fail(&mut self, entity: Entity, error: Error) {
        let failure = Arc::new(RecoveryFailure { entity, error });
        tracing::warn!(%failure, "recovery");
        self.shared.with(|session| session.tell(RecoveryEvent::Failed(failure.clone())));
        self.report.failures.push(failure);
    }
}

impl Drop for Restorer<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

/// A call that nobody awaits any more when the restorer is dropped.
struct Abandon<'a> {
    shared: &'a Shared,
    call: CallId,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.shared.with(|session| session.abandon_call(self.call));
    }
}

/// A request and what answers it.
struct Request {
    method: Method,
    accepts: fn(u16, u16) -> bool,
}

fn request<R: amqp_types::Request<Protocol = Spec>>(request: R) -> Request {
    Request { method: request.into_any(), accepts: <R::Reply as Reply>::accepts }
}

fn options<R: Reply>() -> CallOptions {
    CallOptions {
        accepts: R::accepts,
        place: Location::caller(),
        within: None,
        now: Instant::now(),
    }
}

fn declare_exchange(exchange: &DeclaredExchange) -> Request {
    #[allow(unused_mut, reason = "not every specification has all of it")]
    let mut declare = exchange::Declare {
        exchange: exchange.name.clone(),
        r#type: exchange.kind.clone(),
        durable: exchange.durable,
        arguments: exchange.arguments.clone(),
        ..Default::default()
    };
    amqp_types::if_spec! { exchange.declare.auto_delete => {
        declare.auto_delete = exchange.auto_delete;
    } else {} }
    amqp_types::if_spec! { exchange.declare.internal => {
        declare.internal = exchange.internal;
    } else {} }
    request(declare)
}

fn declare_queue(queue: &DeclaredQueue) -> Request {
    request(queue::Declare {
        queue: match queue.server_named {
            true => ShortStr::default(),
            false => queue.name.clone(),
        },
        durable: queue.durable,
        exclusive: queue.exclusive,
        auto_delete: queue.auto_delete,
        arguments: queue.arguments.clone(),
        ..Default::default()
    })
}

fn bind(binding: &Binding) -> Option<Request> {
    match &binding.destination {
        Destination::Queue(queue) => Some(request(queue::Bind {
            queue: queue.clone(),
            exchange: binding.source.clone(),
            routing_key: binding.routing_key.clone(),
            arguments: binding.arguments.clone(),
            ..Default::default()
        })),
        Destination::Exchange(destination) => {
            amqp_types::if_spec! { exchange.bind => {
                Some(request(exchange::Bind {
                    destination: destination.clone(),
                    source: binding.source.clone(),
                    routing_key: binding.routing_key.clone(),
                    arguments: binding.arguments.clone(),
                    ..Default::default()
                }))
            } else {
                let _ = destination;
                None
            } }
        }
    }
}

fn is_locked(error: &Error) -> bool {
    let code = error.close_reason().and_then(CloseReason::code);
    code == Some(amqp_types::protocol::ReplyCode::RESOURCE_LOCKED)
}

fn is_refused(error: &Error) -> bool {
    let code = error.close_reason().and_then(CloseReason::code);
    code == Some(amqp_types::protocol::ReplyCode::ACCESS_REFUSED)
}

/// Why something of a channel ends that could not be restored.
fn reason_of(error: &Error, key: ChannelKey) -> Arc<CloseReason> {
    error.clone().into_reason().unwrap_or_else(|| {
        let text = format!("it could not be restored: {error}");
        Arc::new(CloseReason::new(Scope::Channel(key.id), CloseCause::PeerClosed, text))
    })
}
