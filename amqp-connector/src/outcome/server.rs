//! What a server tells about itself: its table of properties, and what programs ask for in it.
//!
//! Filled in from `connection.start`; the handles give it out. A server may tell anything here, so nothing is relied on.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use amqp_types::{FieldTable, FieldValue};

/// What a server tells about itself (`server-properties` of `connection.start`). Cheap to clone.
///
/// ```no_run
/// # async fn run(connection: amqp_connector::Connection) {
/// let server = connection.server_properties();
/// if server.product() == Some("RabbitMQ") && server.version().is_some_and(|it| it >= (3, 12)) {
///     println!("{server} has message containers");
/// }
/// # }
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct ServerProperties {
    table: Arc<FieldTable>,
}

impl ServerProperties {
    pub(crate) fn new(table: FieldTable) -> Self {
        Self { table: Arc::new(table) }
    }

    /// All that it tells, as it came.
    #[must_use]
    pub fn table(&self) -> &FieldTable {
        &self.table
    }

    /// The product's name, such as `RabbitMQ`.
    #[must_use]
    pub fn product(&self) -> Option<&str> {
        self.table.get_str("product")
    }

    /// The product's version. Nothing if it tells none, or one that does not begin with a number:
    /// [`table`](Self::table) has the text.
    #[must_use]
    pub fn version(&self) -> Option<ServerVersion> {
        self.table.get_str("version").and_then(ServerVersion::parse)
    }

    /// What it runs on, such as `Erlang/OTP 25`.
    #[must_use]
    pub fn platform(&self) -> Option<&str> {
        self.table.get_str("platform")
    }

    /// The name of its cluster, where it tells one.
    #[must_use]
    pub fn cluster_name(&self) -> Option<&str> {
        self.table.get_str("cluster_name")
    }

    /// Whether it tells that it has this extension of the protocol, such as `basic.nack` or `publisher_confirms`.
    #[must_use]
    pub fn has_capability(&self, name: &str) -> bool {
        self.table.get_table("capabilities").and_then(|table| table.get_bool(name)) == Some(true)
    }

    /// The names of the extensions that it has.
    pub fn capabilities(&self) -> impl Iterator<Item = &str> {
        let entries = self.table.get_table("capabilities").into_iter().flat_map(FieldTable::iter);
        let had = entries.filter(|(_, value)| **value == FieldValue::Bool(true));
        had.filter_map(|(name, _)| name.as_str().ok())
    }
}

/// Product and version, as far as they are told.
impl fmt::Display for ServerProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.product().unwrap_or("a server without a name"))?;
        match self.table.get_str("version") {
            Some(version) => write!(f, " {version}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ServerProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}

/// A product's version, to be compared with another one, or with two or three numbers: then by as many of its own.
///
/// What follows the numbers is left out, so that a release candidate of a version counts as that.
///
/// ```
/// use amqp_connector::ServerVersion;
///
/// let version = ServerVersion::parse("4.1.3-rc.2").unwrap();
/// assert!(version >= (4, 1) && version < (4, 2));
/// assert!(version > (4, 1, 2) && version == (4, 1, 3));
/// assert!(version > ServerVersion::new(3, 13, 7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ServerVersion {
    /// The first number.
    pub major: u32,
    /// The second; 0 if there is none.
    pub minor: u32,
    /// The third; 0 if there is none.
    pub patch: u32,
}

impl ServerVersion {
    /// The version of these numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// The numbers that a text begins with, up to three, with dots between; nothing if it begins with none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text.get(..end)?.split('.').map(|number| number.parse().ok());
        let major = numbers.next()??;
        let mut next = || numbers.next().flatten().unwrap_or(0);
        Some(Self { major, minor: next(), patch: next() })
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl PartialEq<(u32, u32)> for ServerVersion {
    fn eq(&self, other: &(u32, u32)) -> bool {
        (self.major, self.minor) == *other
    }
}

impl PartialOrd<(u32, u32)> for ServerVersion {
    fn partial_cmp(&self, other: &(u32, u32)) -> Option<Ordering> {
        Some((self.major, self.minor).cmp(other))
    }
}

impl PartialEq<(u32, u32, u32)> for ServerVersion {
    fn eq(&self, other: &(u32, u32, u32)) -> bool {
        (self.major, self.minor, self.patch) == *other
    }
}

impl PartialOrd<(u32, u32, u32)> for ServerVersion {
    fn partial_cmp(&self, other: &(u32, u32, u32)) -> Option<Ordering> {
        Some((self.major, self.minor, self.patch).cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use amqp_types::ShortStr;

    use super::*;

    fn server(entries: &[(&'static str, FieldValue)]) -> ServerProperties {
        let entries = entries.iter().cloned();
        ServerProperties::new(entries.map(|(k, v)| (ShortStr::from_static(k), v)).collect())
    }

    #[test]
    fn versions_are_the_numbers_that_a_text_begins_with() {
        for (text, expected) in [
            ("3.10.8", Some((3, 10, 8))),
            ("4.1.0-rc.1", Some((4, 1, 0))),
            ("4.2.0+12.gabc", Some((4, 2, 0))),
            ("4.1", Some((4, 1, 0))),
            ("4", Some((4, 0, 0))),
            ("0.32-SNAPSHOT", Some((0, 32, 0))),
            ("5.1.2.9", Some((5, 1, 2))),
            ("5..2", Some((5, 0, 2))),
            ("4294967296.1", None),
            ("v4.1", None),
            (".1", None),
            ("", None),
        ] {
            let version = ServerVersion::parse(text);
            assert_eq!(version.map(|it| (it.major, it.minor, it.patch)), expected, "{text}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_letter() {
        let version = |text| ServerVersion::parse(text).expect("a version");
        assert!(version("3.10.8") > version("3.9.27") && version("4.0.0") > version("3.13.7"));
        let this = version("4.1.3");
        assert!(this >= (4, 1) && this == (4, 1) && this < (4, 2) && this > (3, 13));
        assert!(this == (4, 1, 3) && this < (4, 1, 4) && this > (4, 0, 9));
    }

    #[test]
    fn a_server_is_asked_by_name_and_believed_in_nothing() {
        let yes = FieldValue::Bool(true);
        let capabilities = [("basic.nack", yes.clone()), ("x", FieldValue::Bool(false))]
            .map(|(name, value)| (ShortStr::from_static(name), value));
        let told = server(&[
            ("product", "RabbitMQ".into()),
            ("version", "3.10.8".into()),
            ("platform", "Erlang/OTP 25".into()),
            ("cluster_name", "rabbit@here".into()),
            ("capabilities", FieldValue::Table(capabilities.into_iter().collect())),
        ]);
        assert_eq!((told.product(), told.platform()), (Some("RabbitMQ"), Some("Erlang/OTP 25")));
        assert_eq!(told.cluster_name(), Some("rabbit@here"));
        assert!(told.has_capability("basic.nack"));
        assert!(!told.has_capability("x") && !told.has_capability("y"));
        assert_eq!(told.capabilities().collect::<Vec<_>>(), ["basic.nack"]);
        assert_eq!(told.to_string(), "RabbitMQ 3.10.8");

        let silent = ServerProperties::default();
        assert_eq!(
            (silent.product(), silent.version(), silent.capabilities().count()),
            (None, None, 0)
        );
        assert_eq!(silent.to_string(), "a server without a name");
        let odd =
            server(&[("product", yes.clone()), ("version", yes.clone()), ("capabilities", yes)]);
        assert_eq!((odd.product(), odd.version(), odd.capabilities().count()), (None, None, 0));
    }
}
