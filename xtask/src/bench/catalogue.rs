//! What can be measured: the cases, the programs that take part, and how the command line names them.
//!
//! The names of cases and clients are those that the programs of tests/bench take; a test holds the two
//! against each other. What a case does stands there.

use anyhow::{Result, bail};

use crate::suggest::did_you_mean;

/// Where a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Against the sink of tests/bench.
    Sink,
    /// Against a real broker.
    Broker,
    /// Without any connection: `codec` and `build`, which have modules of their own.
    Alone,
}

/// What a case is about, first of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Messages (or connections, or channels) a second.
    Rate,
    /// The time that one exchange takes.
    Latency,
    /// Memory of an idle connection.
    Memory,
}

/// One case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    /// There is a form of it with 64 publishes in flight, for clients whose publish awaits the socket.
    pub(crate) has_in_flight: bool,
    /// It has a bar in the picture.
    pub(crate) is_pictured: bool,
    /// Over TLS.
    pub(crate) is_encrypted: bool,
}

const fn sink(name: &'static str, kind: Kind, title: &'static str) -> Case {
    let (has_in_flight, is_pictured, is_encrypted) = (false, false, false);
    Case { name, title, place: Place::Sink, kind, has_in_flight, is_pictured, is_encrypted }
}

const fn encrypted(name: &'static str, title: &'static str) -> Case {
    Case { is_encrypted: true, ..sink(name, Kind::Rate, title) }
}

const fn broker(name: &'static str, kind: Kind, title: &'static str) -> Case {
    Case { place: Place::Broker, ..sink(name, kind, title).pictured() }
}

const fn alone(name: &'static str, title: &'static str) -> Case {
    Case { place: Place::Alone, ..sink(name, Kind::Rate, title) }
}

impl Case {
    const fn pictured(self) -> Self {
        Self { is_pictured: true, ..self }
    }

    const fn in_flight(self) -> Self {
        Self { has_in_flight: true, ..self }
    }
}

/// All cases, in the order in which they run and are told.
pub(crate) const CASES: &[Case] = {
    use Kind::{Latency, Memory, Rate};
    &[
        sink("publish-16", Rate, "publish 16 B").pictured().in_flight(),
        sink("publish-1k", Rate, "publish 1 KiB").pictured().in_flight(),
        sink("publish-64k", Rate, "publish 64 KiB").pictured().in_flight(),
        sink("publish-1m", Rate, "publish 1 MiB").pictured().in_flight(),
        sink("publish-headers-10", Rate, "publish 16 B with ten headers").pictured(),
        sink("publish-confirm-16", Rate, "publish 16 B, confirmed").pictured(),
        sink("publish-confirm-window-10", Rate, "publish 16 B, 10 unconfirmed"),
        sink("publish-confirm-window-10000", Rate, "publish 16 B, 10,000 unconfirmed"),
        sink("publishers-10", Rate, "10 publishers on one channel"),
        sink("publishers-100", Rate, "100 publishers on one channel"),
        sink("publishers-10c", Rate, "10 publishers on 10 channels"),
        sink("publishers-100c", Rate, "100 publishers on 100 channels"),
        sink("channels-open-2000", Rate, "publish 16 B, 2,000 channels open"),
        sink("consume-16", Rate, "consume 16 B").pictured(),
        sink("consume-1k", Rate, "consume 1 KiB").pictured(),
        sink("consume-64k", Rate, "consume 64 KiB").pictured(),
        sink("consume-headers-10", Rate, "consume 16 B with ten headers").pictured(),
        sink("consume-ack-16", Rate, "consume 16 B, ack each").pictured(),
        sink("consumers-100", Rate, "100 busy consumers"),
        sink("consumers-1000", Rate, "1,000 busy consumers"),
        sink("consumers-idle-1", Latency, "rpc beside an idle consumer"),
        sink("consumers-idle-100", Latency, "rpc beside 100 idle consumers"),
        sink("consumers-idle-1000", Latency, "rpc beside 1,000 idle consumers"),
        sink("rpc", Latency, "rpc").pictured(),
        sink("lone", Latency, "a lone publish to its confirmation"),
        sink("call-latency", Latency, "call beside 100 MiB bodies"),
        sink("connections", Rate, "connections opened and closed"),
        sink("connections-idle-1", Memory, "1 idle connection"),
        sink("connections-idle-100", Memory, "100 idle connections"),
        sink("connections-idle-1000", Memory, "1,000 idle connections"),
        sink("channels", Rate, "channels opened and closed"),
        encrypted("tls-publish-16", "TLS: publish 16 B"),
        encrypted("tls-publish-1k", "TLS: publish 1 KiB"),
        encrypted("tls-publish-64k", "TLS: publish 64 KiB"),
        encrypted("tls-consume-16", "TLS: consume 16 B"),
        encrypted("tls-consume-1k", "TLS: consume 1 KiB"),
        encrypted("tls-consume-64k", "TLS: consume 64 KiB"),
        broker("broker-publish-confirm-1k", Rate, "RabbitMQ: publish 1 KiB, confirmed"),
        broker("broker-consume-ack-16", Rate, "RabbitMQ: consume 16 B, ack each"),
        broker("broker-rpc", Latency, "RabbitMQ: rpc"),
        alone(CODEC, "the codec, nanoseconds per operation"),
        alone(BUILD, "what building costs"),
    ]
};

/// The case that runs the micro-benchmarks.
pub(crate) const CODEC: &str = "codec";
/// The case that measures builds.
pub(crate) const BUILD: &str = "build";

/// What a program is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Ours,
    /// Another client, in Rust.
    RustPeer,
    /// Another client, in another language.
    Peer,
    /// No client: writes or reads what was encoded before, in large pieces; over TLS by a bare stream of rustls.
    Raw,
    /// No client: makes the fewest system calls that the exchange can take, blocking, and does nothing else.
    Floor,
    /// No client: makes the system calls that an event-driven client must, and does nothing else.
    EpollFloor,
}

impl Role {
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Self::RustPeer | Self::Peer)
    }
}

/// A column of the table: a client, in one of the ways to use it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    /// Its name in results and in the table.
    pub(crate) name: &'static str,
    /// What the programs of tests/bench call the client.
    pub(crate) client: &'static str,
    pub(crate) role: Role,
    /// Follows the case's name, for cases with such a form; it takes part in no other.
    pub(crate) suffix: &'static str,
    /// It has one thread by its nature: measured once, and compared with both numbers of workers.
    pub(crate) is_one_thread: bool,
}

const fn contender(name: &'static str, role: Role) -> Contender {
    let is_one_thread = !matches!(role, Role::Ours | Role::RustPeer);
    Contender { name, client: name, role, suffix: "", is_one_thread }
}

/// Ours.
pub(crate) const OURS: &str = "ours";
/// The client in C, which is compiled apart.
pub(crate) const LIBRABBITMQ: &str = "librabbitmq";

/// All contenders, in the order of the table's columns.
pub(crate) const CONTENDERS: &[Contender] = &[
    contender(OURS, Role::Ours),
    contender("lapin", Role::RustPeer),
    Contender {
        name: "lapin, 64 in flight",
        client: "lapin",
        suffix: "-64",
        ..contender("lapin", Role::RustPeer)
    },
    contender("amqprs", Role::RustPeer),
    contender("amqp-client", Role::RustPeer),
    contender(LIBRABBITMQ, Role::Peer),
    contender("raw", Role::Raw),
    contender("floor", Role::Floor),
    contender("floor-epoll", Role::EpollFloor),
];

impl Contender {
    /// The case's name for this one; none if it takes no part.
    pub(crate) fn case(&self, case: &Case) -> Option<String> {
        (self.suffix.is_empty() || case.has_in_flight)
            .then(|| format!("{}{}", case.name, self.suffix))
    }
}

/// The contender of that name.
pub(crate) fn contender_of(name: &str) -> Option<&'static Contender> {
    CONTENDERS.iter().find(|contender| contender.name == name)
}

/// The cases that the words mean, each by its name, the beginning of it, or a pattern with `*`;
/// all if there are no words.
pub(crate) fn cases(words: &[String]) -> Result<Vec<&'static Case>> {
    for word in words {
        if !CASES.iter().any(|case| means(word, case.name)) {
            let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
            let near = did_you_mean(word, names.iter().copied());
            bail!("no case `{word}`{near} (there are: {})", names.join(", "));
        }
    }
    let chosen = |case: &&Case| words.is_empty() || words.iter().any(|word| means(word, case.name));
    Ok(CASES.iter().filter(chosen).collect())
}

/// The contenders of the clients so called; all if there are no words.
pub(crate) fn contenders(words: &[String]) -> Result<Vec<&'static Contender>> {
    for word in words {
        if !CONTENDERS.iter().any(|contender| contender.client == word) {
            let mut names: Vec<_> = CONTENDERS.iter().map(|contender| contender.client).collect();
            names.dedup();
            let near = did_you_mean(word, names.iter().copied());
            bail!("no client `{word}`{near} (there are: {})", names.join(", "));
        }
    }
    let chosen = |it: &&Contender| words.is_empty() || words.iter().any(|word| word == it.client);
    Ok(CONTENDERS.iter().filter(chosen).collect())
}

/// A word that is a whole name means no other name that begins so.
fn means(word: &str, name: &str) -> bool {
    if CASES.iter().any(|case| case.name == word) {
        return word == name;
    }
    match word.split_once('*') {
        None => name.starts_with(word),
        Some((begin, rest)) => name.strip_prefix(begin).is_some_and(|left| ends(rest, left)),
    }
}

/// Whether what follows a pattern's `*` fits some end of the text.
fn ends(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => text.ends_with(pattern),
        Some((middle, rest)) => text
            .match_indices(middle)
            .any(|(at, _)| text.get(at + middle.len()..).is_some_and(|left| ends(rest, left))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(word: &str) -> Vec<&'static str> {
        cases(&[word.to_owned()]).unwrap().into_iter().map(|case| case.name).collect()
    }

    #[test]
    fn case_is_meant_by_its_name_its_beginning_or_a_pattern() {
        assert_eq!(names("connections"), ["connections"]);
        assert_eq!(names("consume-16"), ["consume-16"]);
        assert_eq!(
            names("publishers-1"),
            ["publishers-10", "publishers-100", "publishers-10c", "publishers-100c"]
        );
        assert_eq!(names("*-rpc"), ["broker-rpc"]);
        assert_eq!(names("*rpc"), ["rpc", "broker-rpc"]);
        assert_eq!(
            names("c*-idle-*0"),
            [
                "consumers-idle-100",
                "consumers-idle-1000",
                "connections-idle-100",
                "connections-idle-1000"
            ]
        );
        assert_eq!(cases(&[]).unwrap().len(), CASES.len());
    }

    #[test]
    fn unknown_names_tell_the_known_ones() {
        let error = cases(&["publsh-16".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("did you mean `publish-16`?"), "{error}");
        assert!(error.contains("there are: publish-16, publish-1k"), "{error}");
        let error = contenders(&["lapn".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("did you mean `lapin`? (there are: ours, lapin, amqprs"), "{error}");
    }

    #[test]
    fn client_is_meant_in_all_its_ways() {
        let chosen = contenders(&["lapin".to_owned()]).unwrap();
        let names: Vec<_> = chosen.iter().map(|contender| contender.name).collect();
        assert_eq!(names, ["lapin", "lapin, 64 in flight"]);
        let case = |name: &str| CASES.iter().find(|case| case.name == name).unwrap();
        assert_eq!(chosen[1].case(case("publish-16")).as_deref(), Some("publish-16-64"));
        assert_eq!(chosen[1].case(case("rpc")), None);
    }

    #[test]
    fn no_two_have_the_same_name() {
        for (at, case) in CASES.iter().enumerate() {
            assert!(CASES[..at].iter().all(|other| other.name != case.name), "{}", case.name);
        }
        for (at, it) in CONTENDERS.iter().enumerate() {
            assert!(CONTENDERS[..at].iter().all(|other| other.name != it.name), "{}", it.name);
        }
    }
}
