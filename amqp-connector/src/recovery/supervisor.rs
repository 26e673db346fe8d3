//! The task of a connection that comes back: it moves the connection's octets and, when there is none to move them to,
//! opens another one.
//!
//! Everything of the user's runs here, outside of any lock: the dialling, and what a policy asks.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::connect::Connector;
use crate::driver::Driver;
use crate::error::{CloseReason, ConnectError};
use crate::outcome::RecoveryEvent;
use crate::recovery::policy::Recovery;
use crate::recovery::restore::Restorer;
use crate::session::{Line, Session};
use crate::shared::{Shared, Ticket};

/// How a transport is opened, for the first time and again.
pub(crate) struct Dialling<T> {
    /// What errors call the place.
    pub(crate) address: String,
    pub(crate) open: Box<dyn Fn() -> Opening<T> + Send + Sync>,
}

pub(crate) type Dial<T> = Arc<Dialling<T>>;

/// A transport that is being opened.
pub(crate) type Opening<T> = Pin<Box<dyn Future<Output = Result<T, ConnectError>> + Send>>;

/// All that is needed to connect once more.
pub(crate) struct Redial<T> {
    pub(crate) connector: Connector,
    pub(crate) dial: Dial<T>,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) policy: Recovery,
}

/// Ends the connection when its task ends, in whatever way.
struct Supervised(Arc<Shared>);

impl Drop for Supervised {
    fn drop(&mut self) {
        self.0.with(Session::handle_supervisor_gone);
    }
}

/// Something of the user's runs, and may panic.
struct Asking<'a> {
    shared: &'a Shared,
    what: &'static str,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.with(|session| session.handle_recovery_panicked(self.what));
        }
    }
}

/// Asks the user's policy. If that panics, the connection ends for it.
fn ask<R>(shared: &Shared, what: &'static str, question: impl FnOnce() -> R) -> R {
    let _asking = Asking { shared, what };
    question()
}

/// What is counted from one loss to the recovery from it, through all that is lost between.
struct Trying {
    reason: Arc<CloseReason>,
    since: Instant,
    attempts: u32,
    /// What is logged of it is logged within.
    span: Span,
}

impl Trying {
    fn begin(reason: Arc<CloseReason>, shared: &Shared) -> Self {
        let span = tracing::info_span!(parent: &shared.span, "amqp.recovery", %reason);
        Self { reason, since: Instant::now(), attempts: 0, span }
    }
}

/// Runs the connection to its final end.
pub(crate) async fn supervise<T>(shared: Arc<Shared>, driver: Driver<T>, redial: Redial<T>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let supervised = Supervised(shared);
    let shared = &supervised.0;
    driver.await;
    let mut trying: Option<Trying> = None;
    while let Some(reason) = shared.with(|session| session.lost_reason().cloned()) {
        let trial = trying.get_or_insert_with(|| Trying::begin(reason, shared));
        let Some(driver) = reconnect(shared, &redial, trial).await else { break };
        if run(shared, &redial, driver, trial).await {
            trying = None;
        }
    }
}

/// Connects, as often as the policy says. Nothing if it says no more, or nobody wants the connection any more.
async fn reconnect<T>(
    shared: &Arc<Shared>,
    redial: &Redial<T>,
    trial: &mut Trying,
) -> Option<Driver<T>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let span = trial.span.clone();
    let mut trying = pin!(try_to_connect(shared, redial, trial).instrument(span));
    let mut ticket = Ticket::new(shared, Line::Closed);
    poll_fn(|cx| {
        let closed = ticket.poll(cx, |session, held, waker| session.poll_closed(held, waker));
        match closed.is_ready() {
            true => Poll::Ready(None),
            false => trying.as_mut().poll(cx),
        }
    })
    .await
}

async fn try_to_connect<T>(
    shared: &Arc<Shared>,
    redial: &Redial<T>,
    trial: &mut Trying,
) -> Option<Driver<T>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let policy = &redial.policy;
    loop {
        let attempt = trial.attempts.saturating_add(1);
        let spent = trial.since.elapsed();
        let pause = ask(shared, "`pause_by`", || policy.pause(attempt, spent, random_share()));
        let Some(pause) = pause else {
            tracing::warn!(attempts = trial.attempts, "connecting again is given up");
            shared.with(Session::give_up_recovery);
            return None;
        };
        trial.attempts = attempt;
        shared.with(|session| session.tell(RecoveryEvent::Attempt { attempt, pause }));
        tokio::time::sleep(pause).await;
        tracing::debug!(attempt, ?pause, "connecting again");
        // What opens a transport is the user's, and so may that be.
        let mut connecting = pin!(connect(shared, redial, trial.span.clone()));
        let what = "what opens its transport";
        match poll_fn(|cx| ask(shared, what, || connecting.as_mut().poll(cx))).await {
            Ok(driver) => return driver,
            Err(error) => {
                tracing::warn!(%error, attempt, "connecting again failed");
                let again = ask(shared, "`retry_if`", || policy.retries(&error));
                let error = Arc::new(error);
                shared
                    .with(|session| session.tell(RecoveryEvent::AttemptFailed { attempt, error }));
                if !again {
                    shared.with(Session::give_up_recovery);
                    return None;
                }
            }
        }
    }
}

/// Any number: how std seeds its maps is random enough for pauses and for the order of places.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Something between 0 and 1.
fn random_share() -> f64 {
    f64::from((random() >> 32) as u32) / f64::from(u32::MAX)
}

/// One attempt.
async fn connect<T>(
    shared: &Arc<Shared>,
    redial: &Redial<T>,
    span: Span,
) -> Result<Option<Driver<T>>, ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let greeted = redial.connector.connect_by_dialling(&redial.dial, span).await?;
    let server = greeted.server_properties().clone();
    let newer = shared.with(|session| session.newer_secret());
    let password = newer.as_deref().unwrap_or(&redial.password);
    let (handshake, tuning) = greeted.log_in(&redial.user, password).await?;
    if !shared.with(|session| session.resume(tuning, Instant::now())) {
        return Ok(None);
    }
    // What the one before told is dropped here, outside the lock.
    drop(shared.with(|session| session.set_server(server)));
    shared.with(|session| session.tell(RecoveryEvent::Reconnected));
    Ok(Some(Driver::new(shared.clone(), handshake.framed, handshake.frames)))
}

/// Moves octets until the connection is over or lost, and restores it meanwhile. Gives whether that came to its end.
async fn run<T>(shared: &Arc<Shared>, redial: &Redial<T>, driver: Driver<T>, trial: &Trying) -> bool
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut restored, connected_after) = (false, trial.since.elapsed());
    let mut topology = shared.with(|session| session.topology());
    ask(shared, "`edit_topology`", || redial.policy.edit(&mut topology));
    {
        let restorer = Restorer::new(shared, trial.reason.clone(), trial.attempts);
        let mut restoring = pin!(restorer.run(topology).instrument(trial.span.clone()));
        let mut driver = pin!(driver);
        let report = poll_fn(|cx| {
            if driver.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            restoring.as_mut().poll(cx).map(Result::ok)
        })
        .await;
        if let Some(mut report) = report {
            (report.connected_after, report.took) = (connected_after, trial.since.elapsed());
            let steps = format_args!("{report:#}");
            tracing::info!(parent: &trial.span, %report, "the connection is back");
            tracing::debug!(parent: &trial.span, %steps, "what was restored");
            let event = RecoveryEvent::Recovered(Arc::new(report));
            shared.with(|session| session.tell(event));
            restored = true;
        }
        driver.await;
    }
    restored
}
