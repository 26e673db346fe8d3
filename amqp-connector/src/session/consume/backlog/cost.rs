//! What contents that wait for the user cost in memory: what their budgets count.
//!
//! A body counts its octets. It may be a part of the buffer that it was read into, but those are few and shared: the codec
//! sees to that, and to copying where they would be many. Properties count what they take, which is up to some forty times
//! what they had on the wire. Called wherever contents wait: for consumers, for whoever asks for returns, for publishers.

use amqp_types::protocol::basic;
use amqp_types::{Body, FieldTable, ShortStr};

/// What the octets of a message cost in memory, about, beside the sizes of the values themselves.
pub(in crate::session) fn content_cost(properties: &basic::Properties, body: &Body) -> usize {
    usual_cost(properties, body) + strings_cost(properties)
}

/// The same without long strings among the properties other than headers, which are bounded and rare: for every delivery
/// to look at each of them would cost more than it is worth.
#[inline]
pub(super) fn usual_cost(properties: &basic::Properties, body: &Body) -> usize {
    body.len() + properties.headers.as_ref().map_or(0, FieldTable::heap_size)
}

/// What strings take that are too long to stand inside their values.
fn strings_cost(properties: &basic::Properties) -> usize {
    let cost = |string: &Option<ShortStr>| string.as_ref().map_or(0, ShortStr::heap_size);
    cost(&properties.content_type)
        + cost(&properties.content_encoding)
        + cost(&properties.correlation_id)
        + cost(&properties.reply_to)
        + cost(&properties.expiration)
        + cost(&properties.message_id)
        + cost(&properties.r#type)
        + cost(&properties.user_id)
        + cost(&properties.app_id)
}

#[cfg(test)]
mod tests {
    use amqp_types::content::ContentHeader;
    use amqp_types::wire::Writer;
    use amqp_types::{FieldArray, FieldValue, field_table};
    use bytes::BytesMut;

    use super::*;

    /// As they are after they were read.
    fn read(properties: basic::Properties) -> basic::Properties {
        let mut octets = BytesMut::new();
        let mut writer = Writer::new(&mut octets);
        ContentHeader { body_size: 0, properties }.encode(&mut writer).unwrap();
        writer.finish();
        let payload = octets.freeze();
        let header: ContentHeader<basic::Properties> = ContentHeader::decode(&payload).unwrap();
        header.properties
    }

    #[test]
    fn properties_count_what_they_take() {
        let long = |n: usize| Some(ShortStr::try_from("x".repeat(n)).unwrap());
        let voids = vec![FieldValue::Void; 1000];
        let table = |value: FieldValue| Some(field_table! { "k" => value });
        let nested: FieldTable =
            (0..500).map(|_| (ShortStr::EMPTY, field_table! { "k" => true })).collect();
        let entries: FieldTable = (0..1000).map(|_| (ShortStr::EMPTY, FieldValue::Void)).collect();
        for properties in [
            basic::Properties { message_id: long(255), reply_to: long(255), ..Default::default() },
            basic::Properties { headers: Some(entries), ..Default::default() },
            basic::Properties { headers: Some(nested), ..Default::default() },
            basic::Properties {
                headers: table(FieldArray::from(voids).into()),
                ..Default::default()
            },
            basic::Properties { headers: table("x".repeat(9000).into()), ..Default::default() },
        ] {
            let mut kept = None;
            let read = allocation_counter::measure(|| kept = Some(read(properties.clone())));
            let counted = content_cost(&kept.unwrap(), &Body::new());
            let taken = usize::try_from(read.bytes_current).unwrap();
            assert!(counted >= taken - taken / 50 && counted <= taken, "{counted} of {taken}");
        }
    }
}
