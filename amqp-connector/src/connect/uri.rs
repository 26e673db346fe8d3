//! `amqp://` URIs, by RabbitMQ's URI specification and its query parameters.
//!
//! Parsing only: the result is a set of values for a [`Connector`](crate::Connector). Never shows a
//! password.

use std::time::Duration;

use crate::error::UriError;

/// The query keys that only `amqps://` has.
const TLS_KEYS: [&str; 5] =
    ["cacertfile", "certfile", "keyfile", "verify", "server_name_indication"];

/// The parts of a URI that were given.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Uri {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) virtual_host: Option<String>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) channel_max: Option<u16>,
    pub(crate) frame_max: Option<u32>,
    pub(crate) connection_timeout: Option<Duration>,
    pub(crate) mechanisms: Vec<String>,
    pub(crate) locale: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) tls: Option<UriTls>,
}

/// What an `amqps://` URI says of TLS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UriTls {
    pub(crate) authorities: Option<String>,
    /// The files of the certificate and its key.
    pub(crate) identity: Option<(String, String)>,
    pub(crate) verify: bool,
    pub(crate) server_name: Option<String>,
}

impl Default for UriTls {
    fn default() -> Self {
        Self { authorities: None, identity: None, verify: true, server_name: None }
    }
}

impl Uri {
    pub(crate) fn parse(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let encrypted = cfg!(feature = "__tls") && scheme.eq_ignore_ascii_case("amqps");
        if !encrypted && !scheme.eq_ignore_ascii_case("amqp") {
            // Without one it may be anything that was pasted here.
            let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            let scheme = if is_scheme { scheme } else { "" };
            return Err(UriError::Scheme(scheme.to_ascii_lowercase()));
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let unescaped = !authority.contains('@') && rest.contains('@');
        Self::parse_rest(rest, encrypted).map_err(|error| match error {
            // What is quoted may be the end of a password.
            UriError::Port(_)
            | UriError::UnknownKey(_)
            | UriError::NeedsTls(_)
            | UriError::Value { .. }
                if unescaped =>
            {
                UriError::Unescaped
            }
            error => error,
        })
    }

    /// What follows the scheme.
    fn parse_rest(rest: &str, encrypted: bool) -> Result<Self, UriError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let mut uri = Self { tls: encrypted.then(UriTls::default), ..Self::default() };
        let (mut chain, mut key_file) = (None, None);
        let address = match authority.rsplit_once('@') {
            Some((user_info, address)) => {
                uri.set_user_info(user_info)?;
                address
            }
            None => authority,
        };
        uri.set_address(address)?;
        if let Some(path) = path {
            if path.contains('/') {
                return Err(UriError::VirtualHost);
            }
            uri.virtual_host = Some(decode(path, "virtual host")?);
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key, "query")?, decode(value, "query")?);
            match (key.as_str(), &mut uri.tls) {
                ("certfile", Some(_)) => chain = Some(value),
                ("keyfile", Some(_)) => key_file = Some(value),
                (_, Some(tls)) if TLS_KEYS.contains(&key.as_str()) => tls.set_query(&key, value)?,
                _ => uri.set_query(&key, value)?,
            }
        }
        if let Some(tls) = &mut uri.tls {
            tls.identity = match (chain, key_file) {
                (Some(chain), Some(key)) => Some((chain, key)),
                (None, None) => None,
                _ => return Err(UriError::Identity),
            };
        }
        Ok(uri)
    }

    fn set_user_info(&mut self, user_info: &str) -> Result<(), UriError> {
        let (user, password) = match user_info.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (user_info, None),
        };
        self.user = Some(decode(user, "user")?);
        self.password = password.map(|password| decode(password, "password")).transpose()?;
        Ok(())
    }

    fn set_address(&mut self, address: &str) -> Result<(), UriError> {
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or(UriError::Host)?;
                let port = match after.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if after.is_empty() => None,
                    None => return Err(UriError::Host),
                };
                (host, port)
            }
            None => match address.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        if !host.is_empty() {
            self.host = Some(decode(host, "host")?);
        }
        self.port = match port {
            None | Some("") => None,
            Some(port) => Some(port.parse().map_err(|_| UriError::Port(shown_port(port)))?),
        };
        Ok(())
    }

    fn set_query(&mut self, key: &str, value: String) -> Result<(), UriError> {
        let bad = |value: &str| UriError::Value { key: key.to_owned(), value: value.to_owned() };
        match key {
            "heartbeat" => {
                let seconds: u16 = value.parse().map_err(|_| bad(&value))?;
                self.heartbeat = Some(Duration::from_secs(seconds.into()));
            }
            "channel_max" => self.channel_max = Some(value.parse().map_err(|_| bad(&value))?),
            "frame_max" => self.frame_max = Some(value.parse().map_err(|_| bad(&value))?),
            "connection_timeout" => {
                let milliseconds: u32 = value.parse().map_err(|_| bad(&value))?;
                self.connection_timeout = Some(Duration::from_millis(milliseconds.into()));
            }
            "auth_mechanism" => self.mechanisms.push(value),
            "locale" => self.locale = Some(value),
            "name" => self.name = Some(value),
            key if TLS_KEYS.contains(&key) => return Err(UriError::NeedsTls(key.to_owned())),
            _ => return Err(UriError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }
}

impl UriTls {
    fn set_query(&mut self, key: &str, value: String) -> Result<(), UriError> {
        match (key, value.as_str()) {
            ("cacertfile", _) => self.authorities = Some(value),
            ("server_name_indication", _) => self.server_name = Some(value),
            ("verify", "verify_peer") => self.verify = true,
            ("verify", "verify_none") => self.verify = false,
            _ => return Err(UriError::Value { key: key.to_owned(), value }),
        }
        Ok(())
    }
}

/// What is said of a port that is none. Without an `@` it may be a password.
fn shown_port(port: &str) -> String {
    let is_number = port.len() <= 5 && port.bytes().all(|octet| octet.is_ascii_digit());
    if is_number { port.to_owned() } else { String::new() }
}

fn decode(text: &str, part: &'static str) -> Result<String, UriError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let mut digit = || {
            rest.next()
                .and_then(|digit| char::from(digit).to_digit(16))
                .and_then(|n| u8::try_from(n).ok())
        };
        match (digit(), digit()) {
            (Some(high), Some(low)) => octets.push(high << 4 | low),
            _ => return Err(UriError::Escape { part }),
        }
    }
    String::from_utf8(octets).map_err(|_| UriError::Escape { part })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Uri {
        Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn host(host: &str) -> Option<String> {
        Some(host.to_owned())
    }

    #[test]
    fn the_examples_of_the_uri_specification() {
        let uri = parse("amqp://user:pass@host:10000/vhost");
        assert_eq!((uri.user.as_deref(), uri.password.as_deref()), (Some("user"), Some("pass")));
        assert_eq!(
            (uri.host, uri.port, uri.virtual_host),
            (host("host"), Some(10_000), host("vhost"))
        );
        let uri = parse("amqp://user%61:%61pass@ho%61st:10000/v%2fhost");
        assert_eq!((uri.user.as_deref(), uri.password.as_deref()), (Some("usera"), Some("apass")));
        assert_eq!((uri.host, uri.virtual_host), (host("hoast"), host("v/host")));
        assert!(parse("amqp://") == Uri::default());
        let uri = parse("amqp://:@/");
        assert_eq!((uri.user, uri.password, uri.host), (host(""), host(""), None));
        assert_eq!(uri.virtual_host, host(""));
        let uri = parse("amqp://user@");
        assert_eq!((uri.user, uri.password, uri.virtual_host), (host("user"), None, None));
        assert_eq!(parse("amqp://host/%2F").virtual_host, host("/"));
        let uri = parse("amqp://[::1]:5673/");
        assert_eq!((uri.host, uri.port), (host("::1"), Some(5673)));
    }

    #[test]
    fn query_keys() {
        let uri = parse(
            "amqp://h/?heartbeat=10&channel_max=5&frame_max=8192&connection_timeout=1500&name=a%20b&auth_mechanism=PLAIN&auth_mechanism=AMQPLAIN",
        );
        assert_eq!(uri.heartbeat, Some(Duration::from_secs(10)));
        assert_eq!((uri.channel_max, uri.frame_max), (Some(5), Some(8192)));
        assert_eq!(uri.connection_timeout, Some(Duration::from_millis(1500)));
        assert_eq!(uri.name.as_deref(), Some("a b"));
        assert_eq!(uri.mechanisms, ["PLAIN", "AMQPLAIN"]);
    }

    #[test]
    #[cfg(feature = "__tls")]
    fn query_keys_of_tls() {
        let uri = parse("amqps://h");
        assert_eq!(uri.tls, Some(UriTls::default()));
        assert!(uri.tls.is_some_and(|tls| tls.verify), "who the server is matters");
        let uri = parse(
            "AMQPS://h/?cacertfile=/a%20b&certfile=c&keyfile=k&verify=verify_none&server_name_indication=n&name=x",
        );
        let expected = UriTls {
            authorities: Some("/a b".into()),
            identity: Some(("c".into(), "k".into())),
            verify: false,
            server_name: Some("n".into()),
        };
        assert_eq!((uri.tls, uri.name.as_deref()), (Some(expected), Some("x")));
        let bad = |text| Uri::parse(text).err();
        let value = UriError::Value { key: "verify".into(), value: "no".into() };
        assert_eq!(bad("amqps://h/?verify=no"), Some(value));
        assert_eq!(bad("amqps://h/?certfile=c"), Some(UriError::Identity));
        assert_eq!(bad("amqps://h/?keyfile=k"), Some(UriError::Identity));
        assert_eq!(bad("amqps://h/?verfy=x"), Some(UriError::UnknownKey("verfy".into())));
    }

    #[test]
    fn keys_of_tls_need_a_uri_that_asks_for_it() {
        for key in TLS_KEYS {
            let error = Uri::parse(&format!("amqp://h/?{key}=x")).err();
            assert_eq!(error, Some(UriError::NeedsTls(key.to_owned())));
        }
        assert_eq!(parse("amqp://h").tls, None);
    }

    #[test]
    #[cfg(not(feature = "__tls"))]
    fn a_build_without_tls_names_the_feature() {
        let error = Uri::parse("amqps://user:s3cr3t@h").err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("feature `rustls`")));
    }

    #[test]
    fn no_error_shows_a_piece_of_a_password() {
        for text in [
            "amqp://user:s3cr3t/rest@host",
            "amqp://user:s3cr3t?rest@host",
            "amqp://user:1234?s3cr3t@host",
            "amqp://user:1?heartbeat=s3cr3t@host",
            "amqp://user:s3cr3t/a/b@host",
            "amqp://user:s3cr3t%zz@host",
            "user:s3cr3t@host://",
            "user:s3cr3t@host",
            "amqpt://user:s3cr3t@host",
            "amqp://user:1?verify=s3cr3t@host",
            "amqp://user:s3cr3t",
            "amqp://user:s3cr3t/vhost",
            "amqp://user:12s3cr3t?heartbeat=1",
        ] {
            let error = Uri::parse(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("s3cr3t"), "{text}: {shown}");
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let cases = [
            ("http://h", UriError::Scheme("http".into())),
            ("localhost", UriError::Scheme(String::new())),
            ("amqp://h:99999", UriError::Port("99999".into())),
            ("amqp://[::1", UriError::Host),
            ("amqp://[::1]x", UriError::Host),
            ("amqp://h/a/b", UriError::VirtualHost),
            ("amqp://h/%2", UriError::Escape { part: "virtual host" }),
            ("amqp://u:%zz@h", UriError::Escape { part: "password" }),
            ("amqp://h/?hartbeat=1", UriError::UnknownKey("hartbeat".into())),
            (
                "amqp://h/?heartbeat=x",
                UriError::Value { key: "heartbeat".into(), value: "x".into() },
            ),
        ];
        for (text, expected) in cases {
            assert!(Uri::parse(text).err() == Some(expected), "{text}");
        }
    }
}
