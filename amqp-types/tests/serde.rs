//! Tables through serde and back: in text for people, and in a format that is not.

#![cfg(test)]
#![cfg(feature = "serde")]

mod support;

use amqp_types::{Decimal, FieldArray, FieldTable, FieldValue, ShortStr, Timestamp, field_table};
use proptest::prelude::*;
use serde_json::json;
use serde_test::{Configure, Token, assert_de_tokens, assert_tokens};
use support::strategies::{short_octets, table};

#[test]
fn a_table_is_readable() {
    let table = field_table! {
        "x-max-length" => 1000,
        "x-overflow" => "drop-head",
        "raw" => vec![0xff, 0x00],
        "when" => Timestamp(7),
        "price" => Decimal::new(314, 2),
        "ratio" => 0.1,
        "infinite" => f32::INFINITY,
        "list" => FieldArray::from_iter([true, false]),
        "inner" => field_table! { "k" => () },
        "x-max-length" => 1_u8,
    };
    let shown = json!([
        ["x-max-length", { "i32": 1000 }],
        ["x-overflow", { "long_string": "drop-head" }],
        ["raw", { "long_string": { "hex": "ff00" } }],
        ["when", { "timestamp": 7 }],
        ["price", { "decimal": { "scale": 2, "value": 314 } }],
        ["ratio", { "f64": "0.1" }],
        ["infinite", { "f32": "0x7f800000" }],
        ["list", { "array": [{ "bool": true }, { "bool": false }] }],
        ["inner", { "table": [["k", "void"]] }],
        ["x-max-length", { "u8": 1 }],
    ]);
    assert_eq!(serde_json::to_value(&table).unwrap(), shown);
    assert_eq!(serde_json::from_value::<FieldTable>(shown).unwrap(), table);
}

#[test]
fn numbers_may_be_written_by_hand() {
    let read = |json| serde_json::from_value::<FieldValue>(json).unwrap();
    assert_eq!(read(json!({ "f64": 0.5 })), FieldValue::F64(0.5));
    assert_eq!(read(json!({ "f32": -2 })), FieldValue::F32(-2.0));
    assert_eq!(read(json!({ "f64": 3 })), FieldValue::F64(3.0));
}

#[test]
fn what_is_no_value_is_refused() {
    for json in [
        json!({ "long_string": { "hex": "f" } }),
        json!({ "long_string": { "hex": "+f" } }),
        json!({ "long_string": { "hexadecimal": "ff" } }),
        json!({ "long_string": { "hex": "ff", "more": 1 } }),
        json!({ "long_string": {} }),
        json!({ "f64": "a half" }),
        json!({ "f64": "0xtff" }),
        json!({ "u8": 256 }),
        json!({ "u64": 1 }),
        json!("text"),
    ] {
        assert!(serde_json::from_value::<FieldValue>(json.clone()).is_err(), "{json}");
    }
    assert!(serde_json::from_value::<ShortStr>(json!("x".repeat(256))).is_err());
}

#[test]
fn not_a_number_keeps_its_bits() {
    let odd = f64::from_bits(0x7ff8_dead_beef_0001);
    let text = serde_json::to_string(&FieldValue::F64(odd)).unwrap();
    assert_eq!(text, r#"{"f64":"0x7ff8deadbeef0001"}"#);
    let FieldValue::F64(again) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
    assert_eq!(again.to_bits(), odd.to_bits());
}

#[test]
fn other_formats_get_octets_and_bits() {
    let half = 0.5_f64.to_bits();
    assert_tokens(
        &field_table! { "k" => "text", "n" => 0.5 }.compact(),
        &[
            Token::Seq { len: Some(2) },
            Token::Tuple { len: 2 },
            Token::Bytes(b"k"),
            Token::NewtypeVariant { name: "FieldValue", variant: "long_string" },
            Token::Bytes(b"text"),
            Token::TupleEnd,
            Token::Tuple { len: 2 },
            Token::Bytes(b"n"),
            Token::NewtypeVariant { name: "FieldValue", variant: "f64" },
            Token::U64(half),
            Token::TupleEnd,
            Token::SeqEnd,
        ],
    );
    // Some formats have lists of octets only.
    let octets = [Token::Seq { len: Some(1) }, Token::U8(b'k'), Token::SeqEnd];
    assert_de_tokens(&ShortStr::try_from("k").unwrap().compact(), &octets);
}

proptest! {
    #[test]
    fn tables_survive(table in table()) {
        let text = serde_json::to_string(&table).unwrap();
        prop_assert_eq!(serde_json::from_str::<FieldTable>(&text).unwrap(), table);
    }

    #[test]
    fn short_strings_survive(text in short_octets()) {
        let json = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(serde_json::from_str::<ShortStr>(&json).unwrap(), text);
    }
}
