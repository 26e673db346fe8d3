//! What brokers change in the properties of a message before they give it back.
//!
//! RabbitMQ takes the header `BCC` out and completes the address of direct reply-to. Newer ones also sort the headers, keep
//! only the first of those with equal keys, leave out a table without entries, and write an expiration anew. All of that is
//! undone by bringing what was kept and what came back to one form. A broker that gives back what those could not have written gives
//! back everything as it came, but for the first two. Called by the index and its prints.

use std::borrow::Cow;

use amqp_types::protocol::basic;
use amqp_types::wire::{Limits, Writer};
use amqp_types::{FieldTable, Properties as _, ShortStr};
use bytes::BytesMut;

/// The pseudo-queue of direct reply-to, which RabbitMQ completes by a name of its own.
const REPLY_TO: &[u8] = b"amq.rabbitmq.reply-to";
/// The header with further routing keys that RabbitMQ takes out before anybody sees the message.
const BCC: &[u8] = b"BCC";

/// The properties as they are once everything is changed that brokers may change.
pub(super) fn changed(properties: &basic::Properties) -> Cow<'_, basic::Properties> {
    let headers = properties.headers.as_ref().filter(|headers| !is_as_changed(headers));
    let expiration = properties.expiration.as_ref();
    let expiration = expiration.and_then(|text| Some((text, number(text.as_bytes())?)));
    let expiration = expiration.filter(|(text, number)| text.as_bytes() != *number);
    if headers.is_none() && expiration.is_none() {
        return Cow::Borrowed(properties);
    }
    let mut properties = properties.clone();
    if headers.is_some() {
        properties.headers = properties.headers.and_then(change);
    }
    if let Some((_, number)) = expiration {
        properties.expiration = ShortStr::try_from(number).ok();
    }
    Cow::Owned(properties)
}

/// The properties as a broker gives them back that changes only what all change.
pub(super) fn stripped(properties: &basic::Properties) -> Cow<'_, basic::Properties> {
    let is_there = |headers: &FieldTable| headers.iter().any(|(key, _)| key.as_bytes() == BCC);
    if !properties.headers.as_ref().is_some_and(is_there) {
        return Cow::Borrowed(properties);
    }
    let mut properties = properties.clone();
    properties.headers = properties
        .headers
        .map(|headers| headers.into_iter().filter(|(key, _)| key.as_bytes() != BCC).collect());
    Cow::Owned(properties)
}

/// Whether only a broker can have given these back that leaves the order of headers and their repetition, a table without entries
/// and the expiration as they are.
pub(super) fn are_as_sent(returned: &basic::Properties) -> bool {
    let headers = returned.headers.as_ref().is_some_and(|headers| {
        !is_as_changed(headers) && headers.iter().all(|(key, _)| key.as_bytes() != BCC)
    });
    let expiration = returned.expiration.as_ref().map(ShortStr::as_bytes);
    headers || expiration.is_some_and(|text| number(text).is_some_and(|number| number != text))
}

/// The properties with an address of direct reply-to as it was before it was completed, if it can have been.
pub(super) fn uncompleted(properties: &basic::Properties) -> Option<basic::Properties> {
    let reply_to = properties.reply_to.as_ref()?.as_bytes();
    let completed = reply_to.len() > REPLY_TO.len() && reply_to.starts_with(REPLY_TO);
    completed.then(|| basic::Properties {
        reply_to: ShortStr::try_from(REPLY_TO).ok(),
        ..properties.clone()
    })
}

/// Whether what was sent with these properties comes back with those, as far as is known.
pub(super) fn come_back_as(sent: &basic::Properties, returned: &basic::Properties) -> bool {
    let (sent, returned) = (changed(sent), changed(returned));
    is_written_as(&sent, &returned)
        || uncompleted(&returned).is_some_and(|returned| is_written_as(&sent, &returned))
}

/// Whether nothing tells them apart on the wire.
fn is_written_as(one: &basic::Properties, other: &basic::Properties) -> bool {
    let written = |properties| {
        let mut octets = BytesMut::new();
        write(properties, &mut octets).then_some(octets)
    };
    one == other || written(one).is_some_and(|one| written(other) == Some(one))
}

/// Writes properties as they are sent, which differs from what they are in memory: two types of value are one there. False
/// if they cannot be sent.
pub(super) fn write(properties: &basic::Properties, octets: &mut BytesMut) -> bool {
    properties.encode(&mut Writer::new(octets).with_limits(Limits::GREATEST)).is_ok()
}

fn is_as_changed(headers: &FieldTable) -> bool {
    let mut before: Option<&ShortStr> = None;
    !headers.is_empty()
        && headers.iter().all(|(key, _)| {
            let behind =
                before.replace(key).is_none_or(|before| before.as_bytes() < key.as_bytes());
            behind && key.as_bytes() != BCC
        })
}

/// In one go: a peer may repeat a header thousands of times.
fn change(headers: FieldTable) -> Option<FieldTable> {
    let mut entries: Vec<_> =
        headers.into_iter().filter(|(key, _)| key.as_bytes() != BCC).collect();
    entries.sort_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
    entries.dedup_by(|(later, _), (first, _)| later == first);
    (!entries.is_empty()).then(|| FieldTable::from(entries))
}

/// The digits of a number without those that change nothing.
fn number(text: &[u8]) -> Option<&[u8]> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros.min(digits.len() - 1)..)
}
