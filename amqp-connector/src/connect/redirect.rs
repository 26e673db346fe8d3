//! `connection.redirect` of 0-8 and 0-9: where a server sends us, and going there.
//!
//! Used by the handshake, which meets it, and by the one-step way to a connection, which follows it on demand.

use amqp_types::protocol;

use crate::connect::connector::Connector;
use crate::connection::Connection;
use crate::error::{Address, ConnectError};

#[allow(dead_code, reason = "not every specification has redirects")]
impl Address {
    /// `host`, `host:port`, `[address]:port` or a bare IPv6 address. What follows the colon and is no port
    /// belongs to the host.
    pub(crate) fn parse(text: &str) -> Self {
        let whole = || (text.trim_matches(['[', ']']), protocol::DEFAULT_PORT);
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                port.parse().map_or_else(|_| whole(), |port| (host.trim_matches(['[', ']']), port))
            }
            _ => whole(),
        };
        Self { host: host.to_owned(), port }
    }

    /// A list with commas or blanks between.
    pub(crate) fn parse_list(text: &str) -> Vec<Self> {
        let words = text.split([',', ' ', ';']).filter(|word| !word.is_empty());
        words.map(Self::parse).collect()
    }
}

impl Connector {
    /// How many times [`open`](Self::open) goes where a server sends it by `connection.redirect` (0-8, 0-9).
    /// Default 0: the redirect is the error [`ConnectError::Redirected`], since whoever may answer for the
    /// server would get the credentials sent anywhere.
    pub fn redirects(mut self, hops: u8) -> Self {
        self.redirects = hops;
        self
    }

    /// Connects by TCP, authenticates and opens the virtual host in one step, following as many redirects as
    /// [`redirects`](Self::redirects) allows. Each hop has the deadlines of a connection of its own.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect) and [`Greeted::authenticate`](crate::Greeted::authenticate), of the last
    /// hop.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it closes the socket.
    pub async fn open(&self, user: &str, password: &str) -> Result<Connection, ConnectError> {
        self.check_with(user, password)?;
        let (mut connector, mut left) = (self.clone(), self.redirects);
        loop {
            let opened = match connector.connect().await {
                Ok(greeted) => greeted.authenticate(user, password).await,
                Err(error) => Err(error),
            };
            match opened {
                Err(ConnectError::Redirected { to, .. }) if left > 0 => {
                    tracing::debug!(%to, "the server redirects");
                    left -= 1;
                    connector = connector.host(to.host).port(to.port);
                }
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn an_address_is_a_host_and_the_port_that_it_names_or_the_specification_s() {
        let port = protocol::DEFAULT_PORT;
        for (text, expected) in [
            ("broker", address("broker", port)),
            ("broker:7000", address("broker", 7000)),
            ("broker:amqp", address("broker:amqp", port)),
            ("[::1]:7000", address("::1", 7000)),
            ("[::1]", address("::1", port)),
            ("fe80::1", address("fe80::1", port)),
            ("", address("", port)),
        ] {
            assert_eq!(Address::parse(text), expected, "{text}");
        }
        assert_eq!(address("::1", 7).to_string(), "[::1]:7");
    }

    #[test]
    fn a_list_of_hosts_has_commas_or_blanks_between() {
        let expected = [address("a", 1), address("b", protocol::DEFAULT_PORT)];
        assert_eq!(Address::parse_list("a:1,b"), expected);
        assert_eq!(Address::parse_list("a:1 b "), expected);
        assert_eq!(Address::parse_list(""), []);
    }
}
