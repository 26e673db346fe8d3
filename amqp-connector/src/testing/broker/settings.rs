//! [`Settings`]: what a broker in memory is started with.
//!
//! Plain values, read by the core.

/// Users and virtual hosts of a [`MemoryBroker`](super::MemoryBroker).
///
/// The defaults are RabbitMQ's: user `guest` with password `guest`, virtual host `/`.
///
/// ```
/// use amqp_connector::Connector;
/// use amqp_connector::testing::broker::{MemoryBroker, Settings};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Settings::new().user("billing", "secret").virtual_host("shop");
/// let broker = MemoryBroker::start_with(settings);
///
/// let connector = Connector::new().virtual_host("shop");
/// let connection = broker.connect_as(&connector, "billing", "secret").await?;
/// assert!(broker.connect_as(&connector, "billing", "guess").await.is_err());
/// connection.close().await;
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use = "it does nothing until a broker is started with it"]
pub struct Settings {
    /// Names and passwords.
    pub(super) users: Vec<(String, String)>,
    pub(super) virtual_hosts: Vec<String>,
    /// A mechanism with a challenge is offered, too.
    pub(super) challenges: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let guest = || "guest".to_owned();
        let virtual_hosts = vec!["/".to_owned()];
        Self { users: vec![(guest(), guest())], virtual_hosts, challenges: false }
    }
}

impl Settings {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user; one of the same name gets this password.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        let name = name.into();
        self.users.retain(|(other, _)| *other != name);
        self.users.push((name, password.into()));
        self
    }

    /// Whether login by RABBIT-CR-DEMO is offered, too, which has a challenge (`connection.secure`): as by a RabbitMQ whose
    /// `auth_mechanisms` name it. Default: no.
    pub fn challenges(mut self, offered: bool) -> Self {
        self.challenges = offered;
        self
    }

    /// Adds a virtual host.
    pub fn virtual_host(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.virtual_hosts.retain(|other| *other != name);
        self.virtual_hosts.push(name);
        self
    }
}

impl std::fmt::Debug for Settings {
    /// Without the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let users: Vec<_> = self.users.iter().map(|(name, _)| name).collect();
        f.debug_struct("Settings")
            .field("users", &users)
            .field("virtual_hosts", &self.virtual_hosts)
            .field("challenges", &self.challenges)
            .finish()
    }
}
