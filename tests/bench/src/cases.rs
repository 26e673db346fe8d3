//! The cases: a name, and what is to be done.
//!
//! Clients match on [`Work`] and need nothing but its fields; the names are only looked up here.

/// One thing to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The name that it is asked for by.
    pub name: String,
    /// What is done.
    pub work: Work,
    /// Whether it is done with a real broker in place of the sink.
    pub broker: bool,
    /// Whether it is done over TLS.
    pub tls: bool,
}

/// What a case does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Publish without confirms, to exchange `""` with routing key [`DISCARD`].
    Publish(Publish),
    /// Publish from one task with confirms, awaiting each confirmation, at most `window` unconfirmed.
    /// With a broker to a queue of its own: exclusive, auto-delete, `x-max-length` 1000.
    PublishConfirm { body: usize, window: usize },
    /// Receive, each consumer in a task of its own, from the queue [`Consume::queue`]. With a broker: from a
    /// queue of its own that holds [`Context::fill`](crate::context::Context::fill) messages.
    Consume(Consume),
    /// One message of `body` octets after the other through a queue and back to a no-ack consumer of the
    /// same channel. The sink's queue is [`ECHO`], the broker's an exclusive one. Meanwhile `idle`
    /// consumers of queue [`IDLE`] stay open, [`PER_CHANNEL`] to a channel.
    Rpc { body: usize, idle: usize },
    /// A passive `queue.declare` of [`DISCARD`] after the other, while another task publishes bodies of
    /// `body` octets on another channel of the connection.
    CallLatency { body: usize },
    /// A publish with confirm each two milliseconds; the time from the publish to its confirm.
    Lone { body: usize },
    /// Connections opened and closed, one after the other.
    Connections,
    /// This many connections opened, and what memory each needs.
    IdleConnections { count: usize },
    /// Channels opened and closed, one after the other, on one connection.
    Channels,
}

/// Publishing without confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Octets of a body.
    pub body: usize,
    /// Entries of the table `headers`; without any, no property is set.
    pub headers: usize,
    /// Tasks that publish.
    pub tasks: usize,
    /// Whether each task has a channel of its own; otherwise all share one.
    pub own_channels: bool,
    /// Channels that are open beside those that are published on.
    pub open: usize,
    /// Publishes awaited at a time by one task. More than 1 only makes sense for a client whose publish
    /// awaits the write; others answer "unsupported".
    pub in_flight: usize,
}

/// Receiving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consume {
    /// Octets of a body.
    pub body: usize,
    /// Entries of the table `headers`.
    pub headers: usize,
    /// Consumers, [`PER_CHANNEL`] to a channel.
    pub consumers: usize,
    /// Each delivery is acknowledged, with this prefetch; `None` is no-ack.
    pub prefetch: Option<u16>,
}

impl Consume {
    /// The sink's queue that floods what is asked for, once all consumers are there.
    #[must_use]
    pub fn queue(&self) -> String {
        let mut queue = format!("flood.{}", self.body);
        if self.headers > 0 {
            queue += &format!(".h{}", self.headers);
        }
        if self.consumers > 1 {
            queue += &format!(".after{}", self.consumers);
        }
        queue
    }
}

/// The routing key that the sink counts and discards; also a queue that its declare answers.
pub const DISCARD: &str = "discard";
/// The queue through which the sink delivers what is published to it.
pub const ECHO: &str = "echo";
/// A queue from which nothing comes.
pub const IDLE: &str = "idle";
/// Consumers that share a channel where there are many.
pub const PER_CHANNEL: usize = 10;

/// One entry of the table `headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// A long string.
    Text(String),
    /// A signed 64-bit integer.
    Number(i64),
}

/// The entries of a table `headers` of this size; the same for every client and for the sink.
#[must_use]
pub fn headers(count: usize) -> Vec<(String, HeaderValue)> {
    let value = |n: usize| match n % 2 {
        0 => HeaderValue::Text(format!("the value of header {n}")),
        _ => HeaderValue::Number(i64::try_from(n).unwrap_or(i64::MAX)),
    };
    (0..count).map(|n| (format!("x-header-{n}"), value(n))).collect()
}

/// All cases, those of the sink first.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut sink = |name: &str, work| {
        let tls = name.starts_with("tls-");
        cases.push(Case { name: name.to_owned(), work, broker: false, tls });
    };
    let sizes = [("16", 16), ("1k", 1 << 10), ("64k", 64 << 10), ("1m", 1 << 20)];
    for in_flight in [1, 64] {
        for (label, body) in sizes {
            let suffix = if in_flight == 1 { "" } else { "-64" };
            let publish = Publish { in_flight, ..publish(body) };
            sink(&format!("publish-{label}{suffix}"), Work::Publish(publish));
        }
    }
    sink("publish-headers-10", Work::Publish(Publish { headers: 10, ..publish(16) }));
    sink("publish-confirm-16", Work::PublishConfirm { body: 16, window: 1000 });
    for window in [10, 10_000] {
        let work = Work::PublishConfirm { body: 16, window };
        sink(&format!("publish-confirm-window-{window}"), work);
    }
    for (label, body) in sizes.into_iter().take(3) {
        sink(&format!("consume-{label}"), Work::Consume(consume(body)));
    }
    sink("consume-headers-10", Work::Consume(Consume { headers: 10, ..consume(16) }));
    sink("consume-ack-16", Work::Consume(Consume { prefetch: Some(500), ..consume(16) }));
    sink("rpc", Work::Rpc { body: 16, idle: 0 });
    for tasks in [10, 100] {
        for (suffix, own_channels) in [("", false), ("c", true)] {
            let publish = Publish { tasks, own_channels, ..publish(16) };
            sink(&format!("publishers-{tasks}{suffix}"), Work::Publish(publish));
        }
    }
    sink("channels-open-2000", Work::Publish(Publish { open: 2000, ..publish(16) }));
    for consumers in [100, 1000] {
        let work = Work::Consume(Consume { consumers, ..consume(16) });
        sink(&format!("consumers-{consumers}"), work);
    }
    for idle in [1, 100, 1000] {
        sink(&format!("consumers-idle-{idle}"), Work::Rpc { body: 16, idle });
    }
    sink("call-latency", Work::CallLatency { body: 100 << 20 });
    sink("lone", Work::Lone { body: 16 });
    sink("connections", Work::Connections);
    for count in [1, 100, 1000] {
        sink(&format!("connections-idle-{count}"), Work::IdleConnections { count });
    }
    sink("channels", Work::Channels);
    for (label, body) in sizes.into_iter().take(3) {
        sink(&format!("tls-publish-{label}"), Work::Publish(publish(body)));
        sink(&format!("tls-consume-{label}"), Work::Consume(consume(body)));
    }
    let mut broker = |name: &str, work| {
        cases.push(Case { name: name.to_owned(), work, broker: true, tls: false });
    };
    broker("broker-publish-confirm-1k", Work::PublishConfirm { body: 1 << 10, window: 1000 });
    let work = Work::Consume(Consume { prefetch: Some(500), ..consume(16) });
    broker("broker-consume-ack-16", work);
    broker("broker-rpc", Work::Rpc { body: 16, idle: 0 });
    cases
}

/// The case of this name.
#[must_use]
pub fn find(name: &str) -> Option<Case> {
    all().into_iter().find(|case| case.name == name)
}

fn publish(body: usize) -> Publish {
    Publish { body, headers: 0, tasks: 1, own_channels: false, open: 0, in_flight: 1 }
}

fn consume(body: usize) -> Consume {
    Consume { body, headers: 0, consumers: 1, prefetch: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_for_one_case() {
        let cases = all();
        for case in &cases {
            assert_eq!(find(&case.name).as_ref(), Some(case));
        }
        assert_eq!(find("publish-16").map(|case| case.work), Some(Work::Publish(publish(16))));
        assert_eq!(find("publish-17"), None);
    }
}
