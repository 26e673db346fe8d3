//! `--url`: where a user's own broker is.
//!
//! What is wrong with a URL is told with the URL itself, but never with its password.

use anyhow::{Result, bail};

const FORM: &str = "a URL is amqp://USER:PASSWORD@HOST:PORT/VHOST, all but the host optional";

/// The parts of a URL, with defaults for those it leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) virtual_host: String,
    /// What follows `?`.
    pub(crate) query: String,
}

impl Url {
    /// Takes a URL apart.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        match parts(url) {
            Ok(parts) => Ok(parts),
            Err(reason) => bail!("--url {}: {reason}", masked(url)),
        }
    }
}

fn parts(url: &str) -> Result<Url, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or(FORM)?;
    match scheme.to_ascii_lowercase().as_str() {
        "amqp" => {}
        "amqps" => return Err("amqps needs TLS, which is not offered yet; use amqp://"),
        _ => return Err(FORM),
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, virtual_host) = rest.split_once('/').unwrap_or((rest, "%2f"));
    let (credentials, server) = authority.rsplit_once('@').unwrap_or(("guest:guest", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, "guest"));
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (server, "5672"),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err("it names no host");
    }
    if port.parse::<u16>().is_err() {
        return Err("its port is no number up to 65535");
    }
    let text = |part| decoded(part).ok_or("a % in it is not followed by two hexadecimal digits");
    Ok(Url {
        host: host.to_owned(),
        port: port.to_owned(),
        user: text(user)?,
        password: text(password)?,
        virtual_host: text(virtual_host)?,
        query: query.to_owned(),
    })
}

/// The URL with `***` for its password, whatever else may be wrong with it.
fn masked(url: &str) -> String {
    let begin = url.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = url.split_at(begin);
    // Up to the last @, as a password may wrongly hold anything.
    let Some((credentials, server)) = rest.rsplit_once('@') else { return url.to_owned() };
    match credentials.split_once(':') {
        Some((user, _)) => format!("{scheme}{user}:***@{server}"),
        None => url.to_owned(),
    }
}

/// The text behind percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut octets = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        octets.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn what_the_url_leaves_out_is_filled() {
        let of = |url: &str| {
            let Url { host, port, user, password, virtual_host, query } = Url::parse(url).unwrap();
            [host, port, user, password, virtual_host, query].join(" ")
        };
        assert_eq!(of("amqp://localhost"), "localhost 5672 guest guest / ");
        assert_eq!(of("AMQP://u:p%40q@h:1/a%20b?x=1"), "h 1 u p@q a b x=1");
        assert_eq!(of("amqp://[::1]:7/%2f"), "::1 7 guest guest / ");
        assert_eq!(of("amqp://[::1]"), "::1 5672 guest guest / ");
    }

    #[test]
    fn bad_url_is_named_without_its_password() {
        for (url, expected) in [
            ("localhost", "--url localhost: a URL is amqp://"),
            ("amqp://", "no host"),
            ("amqp://me:secret@h:port", "--url amqp://me:***@h:port: its port is no number"),
            ("amqp://me:se/cret@h:1", "--url amqp://me:***@h:1: its port"),
            ("me:secret@h", "--url me:***@h: a URL is"),
            ("amqp://me:se%2@h", "--url amqp://me:***@h: a %"),
            ("amqps://me:secret@h", "--url amqps://me:***@h: amqps needs TLS, which is not"),
        ] {
            let error = Url::parse(url).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("cret"), "{error}");
        }
    }
}
