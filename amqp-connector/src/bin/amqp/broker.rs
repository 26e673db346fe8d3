//! The connection of a command: making it, and ending it when the user wants an end.

use std::future::Future;

use amqp_connector::{Channel, Connection, Connector};
use tokio::sync::watch;

use crate::args::Target;
use crate::fail::Failure;
use crate::output::Output;

/// Who a broker lists as connected, if the URL has no name.
const NAME: &str = "amqp";

/// What every command has.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) target: Target,
    pub(crate) interrupts: Interrupts,
    pub(crate) output: Output,
}

impl Work {
    /// Connects and opens a channel.
    pub(crate) async fn open(&self) -> Result<(Connection, Channel), Failure> {
        let connection = match self.interrupts.or(self.target.connect()).await {
            Some(connected) => connected?,
            None => return Err(Failure::interrupted()),
        };
        let channel = connection.channel_open().await;
        let channel = channel.map_err(|error| Failure::of("opening a channel", &error))?;
        Ok((connection, channel))
    }
}

impl Target {
    async fn connect(&self) -> Result<Connection, Failure> {
        let (mut connector, user, password) =
            Connector::from_uri(&self.url).map_err(|error| Failure::connecting(&error))?;
        // Not an option: who lists processes could read it.
        let password = std::env::var("AMQP_PASSWORD").unwrap_or(password);
        let user = self.user.as_deref().unwrap_or(&user);
        if !self.url.contains("name=") {
            connector = connector.connection_name(NAME);
        }
        if let Some(timeout) = self.connect_timeout {
            connector = connector.connect_timeout(timeout);
        }
        if let Some(vhost) = &self.vhost {
            connector = connector.virtual_host(vhost);
        }
        let connected = async { connector.connect().await?.authenticate(user, &password).await };
        connected.await.map_err(|error| Failure::connecting(&error))
    }
}

/// Ctrl-C, and SIGTERM where there are signals. The first one is a wish to end, from which on a command has the time that
/// closing takes; the second one ends the program at once.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts(watch::Receiver<bool>);

impl Interrupts {
    /// Listens from now on; on a runtime.
    pub(crate) fn listen() -> Self {
        let (wanted, receiver) = watch::channel(false);
        tokio::spawn(async move {
            signalled().await;
            wanted.send_replace(true);
            signalled().await;
            std::process::exit(Failure::interrupted().code().into());
        });
        Self(receiver)
    }

    pub(crate) async fn wanted(&self) {
        if self.0.clone().wait_for(|wanted| *wanted).await.is_err() {
            std::future::pending().await
        }
    }

    /// The work's result, or `None` when an end is wanted first. The work is then dropped.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wanted() => None,
            done = work => Some(done),
        }
    }
}

async fn signalled() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // It cannot be listened to: then it ends the program, as it does any.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return ctrl_c.await };
        tokio::select! {
            () = ctrl_c => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    ctrl_c.await;
}
