//! Which queues a message goes to: the four types of exchanges, bindings between exchanges, alternates.
//!
//! Called for publishes and for dead letters. Changes nothing.

use std::collections::BTreeSet;

use amqp_types::{FieldTable, FieldValue, ShortStr};

use crate::testing::broker::core::fault::{Fault, Handled};
use crate::testing::broker::core::topology::policy::{text, type_name};
use crate::testing::broker::core::topology::{Binding, Kind, Name, VirtualHost};

impl VirtualHost {
    /// The queues that a message with these keys and headers reaches from an exchange, each once.
    pub(crate) fn route(
        &self,
        exchange: &ShortStr,
        keys: &[ShortStr],
        headers: Option<&FieldTable>,
    ) -> BTreeSet<ShortStr> {
        let mut queues = BTreeSet::new();
        let mut seen = BTreeSet::from([exchange.clone()]);
        let mut open = vec![exchange.clone()];
        while let Some(name) = open.pop() {
            let Some(exchange) = self.exchanges.get(&name) else { continue };
            let mut reached = self.reached(&name, exchange.kind, keys, headers);
            if reached.is_empty()
                && let Some(alternate) = &exchange.alternate
            {
                reached.push(Name::Exchange(alternate.clone()));
            }
            for destination in reached {
                match destination {
                    Name::Queue(queue) => _ = queues.insert(queue),
                    Name::Exchange(next) if seen.insert(next.clone()) => open.push(next),
                    Name::Exchange(_) => {}
                }
            }
        }
        queues
    }

    fn reached(
        &self,
        name: &ShortStr,
        kind: Kind,
        keys: &[ShortStr],
        headers: Option<&FieldTable>,
    ) -> Vec<Name> {
        if name.is_empty() {
            // The default exchange: every queue is bound to it by its name.
            let known = keys.iter().filter(|key| self.queues.contains_key(*key));
            return known.map(|key| Name::Queue(key.clone())).collect();
        }
        let takes = |binding: &&Binding| match kind {
            Kind::Fanout => true,
            Kind::Direct => keys.contains(&binding.key),
            Kind::Topic => keys.iter().any(|key| topic_matches(&binding.key, key)),
            Kind::Headers => headers_match(&binding.arguments, headers),
        };
        let bindings = self.bindings.iter().filter(|binding| binding.source == *name);
        bindings.filter(takes).map(|binding| binding.destination.clone()).collect()
    }
}

/// Words between dots; `*` is any one of them, `#` any number.
pub(crate) fn topic_matches(pattern: &ShortStr, key: &ShortStr) -> bool {
    let pattern: Vec<_> = pattern.as_bytes().split(|octet| *octet == b'.').collect();
    let key: Vec<_> = key.as_bytes().split(|octet| *octet == b'.').collect();
    // `possible[n]`: the words of the pattern so far can take the first n of the key. An empty text has no words.
    let words: &[&[u8]] = if key == [b""] { &[] } else { &key };
    let pattern: &[&[u8]] = if pattern == [b""] { &[] } else { &pattern };
    let mut possible: Vec<bool> =
        std::iter::once(true).chain(words.iter().map(|_| false)).collect();
    for part in pattern {
        let mut next = Vec::with_capacity(possible.len());
        let mut reached = false;
        for (count, here) in possible.iter().enumerate() {
            reached |= here;
            let before = count.checked_sub(1);
            next.push(match *part {
                b"#" => reached,
                part => before.is_some_and(|before| {
                    possible.get(before) == Some(&true)
                        && (part == b"*" || words.get(before) == Some(&part))
                }),
            });
        }
        possible = next;
    }
    possible.last() == Some(&true)
}

/// How the arguments of a binding are compared with a message's headers.
pub(crate) fn headers_match(arguments: &FieldTable, headers: Option<&FieldTable>) -> bool {
    let (any, with_x) = match arguments.get_str("x-match") {
        Some("any") => (true, false),
        Some("any-with-x") => (true, true),
        Some("all-with-x") => (false, true),
        _ => (false, false),
    };
    let mut wanted = arguments
        .iter()
        .filter(|(key, _)| **key != *"x-match" && (with_x || !key.as_bytes().starts_with(b"x-")));
    let holds = |(key, value): (&ShortStr, &FieldValue)| {
        let found = headers.and_then(|headers| headers.get(key));
        found.is_some_and(|found| *value == FieldValue::Void || is_alike(value, found))
    };
    if any { wanted.any(holds) } else { wanted.all(holds) }
}

/// Refuses a way of comparing that there is not.
pub(crate) fn check_headers(arguments: &FieldTable) -> Handled {
    let text = match arguments.get("x-match") {
        None => return Ok(()),
        Some(FieldValue::LongString(way)) => match way.as_str().unwrap_or_default() {
            "all" | "any" | "all-with-x" | "any-with-x" => return Ok(()),
            way => format!(
                "Invalid x-match field value <<\"{way}\">>; expected all, any, all-with-x, or any-with-x"
            ),
        },
        Some(other) => {
            let (name, value) = (type_name(other), text(other));
            format!("Invalid x-match field type {name} (value {value}); expected longstr")
        }
    };
    Err(Fault::precondition(text))
}

/// Whether a header is what a binding wants: text is, however it was sent, and a number, of whatever kind.
fn is_alike(one: &FieldValue, other: &FieldValue) -> bool {
    let bytes = || Some((one.as_bytes()?, other.as_bytes()?));
    let whole = || Some((whole(one)?, whole(other)?));
    let float = || Some((float(one)?, float(other)?));
    one == other
        || bytes().is_some_and(|(one, other)| one == other)
        || whole().is_some_and(|(one, other)| one == other)
        || (whole().is_none() && float().is_some_and(|(one, other)| one == other))
}

fn whole(value: &FieldValue) -> Option<i128> {
    let time = value.as_timestamp().map(|time| time.0.into());
    value.as_i64().map(i128::from).or(time)
}

#[allow(clippy::cast_precision_loss, reason = "compared with a number that has no more of it")]
fn float(value: &FieldValue) -> Option<f64> {
    value.as_f64().or_else(|| whole(value).map(|whole| whole as f64))
}

/// Whether two values are the same, whatever their width.
pub(crate) fn same(one: &FieldValue, other: &FieldValue) -> bool {
    one == other
        || matches!((one.as_i64(), other.as_i64()), (Some(one), Some(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> ShortStr {
        ShortStr::try_from(text).unwrap()
    }

    #[test]
    fn a_topic_takes_the_keys_that_its_words_tell() {
        for (pattern, key, takes) in [
            ("a.b", "a.b", true),
            ("a.b", "a", false),
            ("*", "a", true),
            ("*", "a.b", false),
            ("*", "", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.c", false),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("#.c", "a.b.c", true),
            ("#.c", "a.b", false),
            ("a.#.c", "a.c", true),
            ("a.#.#.c", "a.b.c", true),
            ("#.*", "", false),
            ("*.#", "a", true),
            ("a.", "a.", true),
            ("a.*", "a.", true),
        ] {
            assert_eq!(topic_matches(&text(pattern), &text(key)), takes, "{pattern} {key}");
        }
    }

    #[test]
    fn headers_are_compared_as_the_binding_s_x_match_says() {
        let table = |pairs: &[(&str, &str)]| -> FieldTable {
            pairs.iter().map(|(key, value)| (text(key), FieldValue::from(*value))).collect()
        };
        let message = table(&[("a", "1"), ("x-b", "2")]);
        for (arguments, takes) in [
            (table(&[("a", "1")]), true),
            (table(&[("a", "2")]), false),
            (table(&[("a", "1"), ("c", "1")]), false),
            (table(&[("x-match", "any"), ("a", "1"), ("c", "1")]), true),
            (table(&[("x-match", "any"), ("x-b", "2")]), false),
            (table(&[("x-match", "any-with-x"), ("x-b", "2")]), true),
            (table(&[("x-match", "all"), ("x-b", "3"), ("a", "1")]), true),
            (table(&[("x-match", "all-with-x"), ("x-b", "3"), ("a", "1")]), false),
            (table(&[]), true),
        ] {
            assert_eq!(headers_match(&arguments, Some(&message)), takes, "{arguments:?}");
        }
    }
}
