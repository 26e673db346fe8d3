//! Messages that come back otherwise than they were kept: changed by the broker, or written in another way than they were given.

use amqp_types::{FieldArray, FieldTable, FieldValue, ShortStr};

use super::super::*;
use super::pairing::{answer, give_back, headers, mandatory, outcomes, publish, ready};

#[test]
fn a_header_that_the_broker_takes_out_hides_nothing() {
    let (mut bench, key) = ready();
    publish(&mut bench, key, mandatory(headers(&[("n", 1), ("BCC", 7), ("m", 1)]), "same"));
    publish(&mut bench, key, mandatory(headers(&[("BCC", 7), ("n", 2)]), "same"));
    give_back(&mut bench, key, &headers(&[("n", 2)]), "same");
    answer(&mut bench, key, 2, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=2), "ar");
}

#[test]
fn an_address_for_replies_that_the_broker_completes_hides_nothing() {
    let (mut bench, key) = ready();
    let reply_to = |text: &str| basic::Properties::default().with_reply_to(short(text));
    publish(&mut bench, key, mandatory(reply_to("amq.rabbitmq.reply-to"), "one"));
    publish(&mut bench, key, mandatory(reply_to("amq.rabbitmq.reply-to"), "two"));
    publish(&mut bench, key, mandatory(reply_to("elsewhere"), "two"));
    give_back(&mut bench, key, &reply_to("amq.rabbitmq.reply-to.g2dkABByYWJiaXQ"), "two");
    answer(&mut bench, key, 3, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=3), "ara");
}

#[test]
fn what_differed_only_in_what_the_broker_took_out_is_not_guessed() {
    let (mut bench, key) = ready();
    publish(&mut bench, key, mandatory(headers(&[("n", 1), ("BCC", 7)]), "same"));
    publish(&mut bench, key, mandatory(headers(&[("n", 1), ("BCC", 8)]), "same"));
    publish(&mut bench, key, mandatory(headers(&[("n", 2), ("BCC", 8)]), "same"));
    give_back(&mut bench, key, &headers(&[("n", 1)]), "same");
    answer(&mut bench, key, 3, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=3), "uua");
}

#[test]
fn what_the_broker_took_out_of_one_and_another_never_had_is_not_guessed() {
    let (mut bench, key) = ready();
    publish(&mut bench, key, mandatory(headers(&[("n", 1)]), "same"));
    publish(&mut bench, key, mandatory(headers(&[("n", 1), ("BCC", 7)]), "same"));
    give_back(&mut bench, key, &headers(&[("n", 1)]), "same");
    answer(&mut bench, key, 2, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=2), "uu");
}

#[test]
fn a_change_that_nobody_knows_of_is_paired_by_the_body_where_that_is_certain() {
    let (mut bench, key) = ready();
    for (n, body) in [(1, "one"), (1, "two"), (1, "three"), (2, "three"), (3, "four"), (3, "four")] {
        publish(&mut bench, key, mandatory(headers(&[("n", n)]), body));
    }
    let stamped = headers(&[("n", 1), ("timestamp_in_ms", 5)]);
    give_back(&mut bench, key, &stamped, "two");
    answer(&mut bench, key, 2, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=2), "ar");
    give_back(&mut bench, key, &stamped, "three");
    answer(&mut bench, key, 4, true, true);
    assert_eq!(outcomes(&mut bench, key, 3..=4), "uu", "two have this body");
    give_back(&mut bench, key, &stamped, "four");
    answer(&mut bench, key, 6, true, true);
    assert_eq!(outcomes(&mut bench, key, 5..=6), "ra", "two have this body and are equal");
}

fn value(value: FieldValue) -> basic::Properties {
    basic::Properties::default().with_headers(FieldTable::new().with(short("value"), value))
}

fn nested(value: FieldValue) -> FieldValue {
    let table = FieldTable::new().with(short("k"), value);
    FieldValue::Array(FieldArray::from(vec![FieldValue::Void, FieldValue::Table(table)]))
}

#[test]
fn values_that_are_written_alike_are_equal() {
    let (mut bench, key) = ready();
    for depth in 0..3 {
        let nest = |it: FieldValue| (0..depth).fold(it, |it, _| nested(it));
        let kept = [nest(FieldValue::I64Alt(7)), nest(FieldValue::I64(7))].map(value);
        let first = publish(&mut bench, key, mandatory(kept[0].clone(), "same"));
        publish(&mut bench, key, mandatory(kept[1].clone(), "same"));
        publish(&mut bench, key, mandatory(kept[0].clone(), "same"));
        publish(&mut bench, key, mandatory(value(nest(FieldValue::I64(8))), "same"));
        // Of three that nothing tells apart on the wire two come back, and brokers may write them either way.
        give_back(&mut bench, key, &kept[1], "same");
        give_back(&mut bench, key, &kept[0], "same");
        for tag in [first, first + 2, first + 1, first + 3] {
            answer(&mut bench, key, tag, false, true);
        }
        assert_eq!(outcomes(&mut bench, key, first..=first + 3), "rara", "depth {depth}");
    }
}

#[test]
fn a_value_that_is_never_sent_is_a_change_that_nobody_knows_of() {
    let (mut bench, key) = ready();
    let headers = |it: f64| value(FieldValue::F64(it));
    publish(&mut bench, key, mandatory(headers(1.0), "one"));
    publish(&mut bench, key, mandatory(headers(2.0), "two"));
    publish(&mut bench, key, mandatory(headers(3.0), "two"));
    give_back(&mut bench, key, &headers(f64::NAN), "two");
    answer(&mut bench, key, 3, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=3), "auu");
}

/// Headers of these keys, in this order.
fn keys(keys: &[&str]) -> basic::Properties {
    headers(&keys.iter().map(|key| (*key, 1)).collect::<Vec<_>>())
}

#[test]
fn headers_that_the_broker_sorts_hide_nothing() {
    let (mut bench, key) = ready();
    publish(&mut bench, key, mandatory(keys(&["z", "b", "BCC", "a"]), "same"));
    publish(&mut bench, key, mandatory(keys(&["z", "c", "BCC", "a"]), "same"));
    publish(&mut bench, key, mandatory(headers(&[("z", 1), ("c", 1), ("a", 2)]), "same"));
    // Of equal keys the first is left.
    let twice = headers(&[("z", 1), ("c", 1), ("a", 3), ("z", 2)]);
    publish(&mut bench, key, mandatory(twice, "same"));
    give_back(&mut bench, key, &keys(&["a", "c", "z"]), "same");
    give_back(&mut bench, key, &headers(&[("a", 3), ("c", 1), ("z", 1)]), "same");
    answer(&mut bench, key, 4, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=4), "arar");
}

#[test]
fn what_differs_only_in_the_order_of_headers_is_not_guessed() {
    let (mut bench, key) = ready();
    publish(&mut bench, key, mandatory(keys(&["a", "b"]), "same"));
    publish(&mut bench, key, mandatory(keys(&["b", "a"]), "same"));
    publish(&mut bench, key, mandatory(keys(&["b", "c"]), "same"));
    give_back(&mut bench, key, &keys(&["a", "b"]), "same");
    answer(&mut bench, key, 3, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=3), "uua");
}

#[test]
fn a_table_without_entries_may_come_back_as_none() {
    let (mut bench, key) = ready();
    let id = |properties: basic::Properties, id: &str| properties.with_message_id(short(id));
    let none = basic::Properties::default();
    publish(&mut bench, key, mandatory(id(headers(&[]), "1"), "same"));
    publish(&mut bench, key, mandatory(id(headers(&[]), "2"), "same"));
    publish(&mut bench, key, mandatory(id(headers(&[("BCC", 1)]), "3"), "same"));
    give_back(&mut bench, key, &id(none.clone(), "2"), "same");
    give_back(&mut bench, key, &id(none, "3"), "same");
    answer(&mut bench, key, 3, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=3), "arr");
}

#[test]
fn an_expiration_that_the_broker_writes_as_a_number_hides_nothing() {
    let (mut bench, key) = ready();
    let expiration = |text: &str| basic::Properties::default().with_expiration(short(text));
    for text in ["007", "+8", "000", "soon", "", "9", "00"] {
        publish(&mut bench, key, mandatory(expiration(text), "same"));
    }
    for text in ["8", "soon", "", "9"] {
        give_back(&mut bench, key, &expiration(text), "same");
    }
    answer(&mut bench, key, 6, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=6), "ararrr");
    publish(&mut bench, key, mandatory(expiration("0"), "same"));
    give_back(&mut bench, key, &expiration("0"), "same");
    answer(&mut bench, key, 8, true, true);
    assert_eq!(outcomes(&mut bench, key, 7..=8), "uu", "either may be the one");
}

#[test]
fn every_property_tells_messages_apart() {
    let text = || Some(short("x"));
    let all = [
        basic::Properties { content_type: text(), ..Default::default() },
        basic::Properties { content_encoding: text(), ..Default::default() },
        basic::Properties { delivery_mode: Some(2), ..Default::default() },
        basic::Properties { delivery_mode: Some(0), ..Default::default() },
        basic::Properties { priority: Some(2), ..Default::default() },
        basic::Properties { correlation_id: text(), ..Default::default() },
        basic::Properties { reply_to: text(), ..Default::default() },
        basic::Properties { expiration: text(), ..Default::default() },
        basic::Properties { message_id: text(), ..Default::default() },
        basic::Properties { message_id: Some(ShortStr::EMPTY), ..Default::default() },
        basic::Properties { timestamp: Some(amqp_types::Timestamp(0)), ..Default::default() },
        basic::Properties { r#type: text(), ..Default::default() },
        basic::Properties { user_id: text(), ..Default::default() },
        basic::Properties { app_id: text(), ..Default::default() },
        basic::Properties { reserved: text(), ..Default::default() },
        basic::Properties::default(),
        value(FieldValue::F64(0.0)),
        value(FieldValue::F64(-0.0)),
        value(FieldValue::Table(FieldTable::new())),
        value(FieldValue::Array(FieldArray::new())),
        value(FieldValue::Void),
    ];
    for expected in 0..all.len() {
        let (mut bench, key) = ready();
        for properties in &all {
            publish(&mut bench, key, mandatory(properties.clone(), "same"));
        }
        give_back(&mut bench, key, &all[expected], "same");
        let last = u64::try_from(all.len()).unwrap();
        answer(&mut bench, key, last, true, true);
        let told = outcomes(&mut bench, key, 1..=last);
        assert_eq!((told.find('r'), told.matches('a').count()), (Some(expected), all.len() - 1));
    }
}

/// Pairs that a broker which rewrites what it gives back makes equal: the first is as it would be.
fn made_equal() -> [[basic::Properties; 2]; 4] {
    let expiration = |text: &str| basic::Properties::default().with_expiration(short(text));
    [
        [keys(&["a", "b"]), keys(&["b", "a"])],
        [headers(&[("a", 1)]), headers(&[("a", 1), ("a", 2)])],
        [basic::Properties::default(), headers(&[])],
        [expiration("600000"), expiration("0600000")],
    ]
}

#[test]
fn a_broker_that_gives_back_what_none_that_rewrites_could_is_taken_at_its_word() {
    for [plain, odd] in made_equal() {
        let (mut bench, key) = ready();
        for _ in 0..3 {
            publish(&mut bench, key, mandatory(plain.clone(), "same"));
            publish(&mut bench, key, mandatory(odd.clone(), "same"));
        }
        give_back(&mut bench, key, &odd, "same");
        give_back(&mut bench, key, &plain, "same");
        answer(&mut bench, key, 6, true, true);
        assert_eq!(outcomes(&mut bench, key, 1..=6), "arraaa", "{odd:?}");
        // Also once all that was under way is answered.
        publish(&mut bench, key, mandatory(odd.clone(), "same"));
        publish(&mut bench, key, mandatory(plain.clone(), "same"));
        give_back(&mut bench, key, &plain, "same");
        answer(&mut bench, key, 8, true, true);
        assert_eq!(outcomes(&mut bench, key, 7..=8), "ar", "{odd:?}");
    }
}

#[test]
fn what_came_back_before_it_was_known_that_the_broker_does_not_rewrite_stays_in_doubt() {
    for [plain, odd] in made_equal() {
        let (mut bench, key) = ready();
        publish(&mut bench, key, mandatory(plain.clone(), "same"));
        publish(&mut bench, key, mandatory(odd.clone(), "same"));
        give_back(&mut bench, key, &plain, "same");
        publish(&mut bench, key, mandatory(plain.clone(), "same"));
        give_back(&mut bench, key, &odd, "same");
        give_back(&mut bench, key, &plain, "same");
        publish(&mut bench, key, mandatory(odd.clone(), "same"));
        answer(&mut bench, key, 4, true, true);
        assert_eq!(outcomes(&mut bench, key, 1..=4), "urra", "{odd:?}");
    }
}

#[test]
fn a_header_that_every_broker_takes_out_is_not_guessed_by_one_that_does_not_rewrite() {
    let (mut bench, key) = ready();
    publish(&mut bench, key, mandatory(keys(&["b", "a"]), "same"));
    publish(&mut bench, key, mandatory(keys(&["b", "BCC", "a"]), "same"));
    publish(&mut bench, key, mandatory(keys(&["a", "b"]), "same"));
    publish(&mut bench, key, mandatory(keys(&["BCC", "z", "y"]), "same"));
    give_back(&mut bench, key, &keys(&["b", "a"]), "same");
    give_back(&mut bench, key, &keys(&["z", "y"]), "same");
    answer(&mut bench, key, 4, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=4), "uuar");
}

#[test]
fn an_address_that_the_broker_completes_hides_nothing_where_it_does_not_rewrite() {
    let (mut bench, key) = ready();
    let reply_to = |it: basic::Properties, text: &str| it.with_reply_to(short(text));
    for odd in [keys(&["b", "a"]), keys(&["a", "b"])] {
        publish(&mut bench, key, mandatory(reply_to(odd, "amq.rabbitmq.reply-to"), "same"));
    }
    let completed = reply_to(keys(&["b", "a"]), "amq.rabbitmq.reply-to.g2dkAB");
    give_back(&mut bench, key, &completed, "same");
    answer(&mut bench, key, 2, true, true);
    assert_eq!(outcomes(&mut bench, key, 1..=2), "ra");
}
