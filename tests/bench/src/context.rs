//! What a client is told beside the case: where the peer is and how long to measure.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::cases::Case;
use crate::meter::Meter;

/// The surroundings of one measurement.
#[derive(Clone, Debug)]
pub struct Context {
    /// The peer: `amqp://user:password@host:port/vhost`, or `amqps://` with query keys for TLS.
    pub url: String,
    /// The same, in parts.
    pub peer: Peer,
    /// Threads of the runtime.
    pub workers: usize,
    /// How long to measure.
    pub measured: Duration,
}

/// Where the peer is and who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Our name.
    pub user: String,
    /// Our password.
    pub password: String,
    /// The virtual host.
    pub vhost: String,
}

impl Context {
    /// From the command line's values.
    ///
    /// # Errors
    ///
    /// If the URL is none.
    pub fn new(url: &str, workers: usize, measured: Duration) -> Result<Self> {
        Ok(Self { url: url.to_owned(), peer: Peer::parse(url)?, workers, measured })
    }

    /// The time before the measuring, in which caches fill and windows open.
    #[must_use]
    pub fn warm_up(&self) -> Duration {
        (self.measured / 10).clamp(Duration::from_millis(50), Duration::from_millis(300))
    }

    /// The time after which a case has failed.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.measured + Duration::from_secs(20)
    }

    /// A meter for messages of `body` octets. To be made when the client is connected and ready: what is
    /// resident now is the start that the peak is compared with.
    #[must_use]
    pub fn meter(&self, body: usize) -> Meter {
        Meter::new(self.warm_up(), self.measured, body)
    }

    /// How many messages to put into a broker's queue before consuming from it: more than can be consumed
    /// in the time. A meter that [`Meter::at_most`] this many ends early if it was not.
    #[must_use]
    pub fn fill(&self) -> u64 {
        let millis =
            u64::try_from((self.measured + self.warm_up()).as_millis()).unwrap_or(u64::MAX);
        millis.saturating_mul(120).clamp(20_000, 600_000)
    }

    /// A name for a queue at the broker that no other process uses.
    #[must_use]
    pub fn queue(&self, case: &Case) -> String {
        format!("{}-{}", case.name, std::process::id())
    }
}

impl Peer {
    fn parse(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("amqp://").or_else(|| url.strip_prefix("amqps://"));
        let rest = rest.context("the URL must begin with amqp:// or amqps://")?;
        let rest = rest.split('?').next().unwrap_or_default();
        let (user_info, rest) = rest.split_once('@').context("no user in the URL")?;
        let (user, password) = user_info.split_once(':').context("no password in the URL")?;
        let (authority, vhost) = rest.split_once('/').unwrap_or((rest, "%2f"));
        let (host, port) = authority.split_once(':').unwrap_or((authority, "5672"));
        ensure!(!host.is_empty(), "no host in the URL");
        Ok(Self {
            host: host.to_owned(),
            port: port.parse().context("the port in the URL")?,
            user: user.to_owned(),
            password: password.to_owned(),
            vhost: vhost.replace("%2f", "/").replace("%2F", "/"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let peer = Peer::parse("amqp://guest:secret@127.0.0.1:1234/%2feach").unwrap();
        assert_eq!((peer.host.as_str(), peer.port), ("127.0.0.1", 1234));
        assert_eq!((peer.user.as_str(), peer.password.as_str()), ("guest", "secret"));
        assert_eq!(peer.vhost, "/each");
        let encrypted = "amqps://guest:secret@127.0.0.1:1234/%2feach?verify=verify_none";
        assert_eq!(Peer::parse(encrypted).unwrap(), peer);
        assert!(Peer::parse("http://localhost").is_err());
    }
}
