//! The example `vectors` must see every kind of disagreement: a checker that passes all is worth
//! nothing.

#![cfg(test)]

#[path = "../examples/vectors/checker/mod.rs"]
mod checker;

use std::process::ExitCode;

use amqp_types::protocol;
use serde_json::{Value, json};

/// A method that is the same in every version.
fn tune() -> Value {
    json!({
        "spec": "any", "class": "connection", "method": "tune", "class_id": 10, "method_id": 30,
        "kind": "typical", "hex": "000a001e07ff00020000003c",
        "fields": [
            {"name": "channel-max", "type": "short", "value": 2047},
            {"name": "frame-max", "type": "long", "value": 131_072},
            {"name": "heartbeat", "type": "short", "value": 60},
        ],
    })
}

fn header() -> Value {
    json!({
        "spec": "any", "class": "basic", "class_id": 60, "weight": 0, "body_size": 5,
        "properties": [{"name": "content-type", "type": "shortstr", "value": "a"}],
        "hex": "003c0000000000000000000580000161",
    })
}

fn frame() -> Value {
    json!({
        "spec": "any", "channel": 1, "frame_type": 3, "frame_type_name": "frame-body",
        "payload_hex": "61", "hex": "0300010000000161ce",
    })
}

fn malformed() -> Value {
    json!({
        "spec": "any", "level": "method", "hex": "000a001e07", "expect": "error",
        "error": "truncated",
    })
}

fn session() -> Value {
    json!({
        "spec": "any",
        "events": [
            {"dir": "S>C", "type": "method", "channel": 0, "method": "connection.tune",
             "hex": "0100000000000c000a001e07ff00020000003cce",
             "decoded": {"channel-max": 2047, "frame-max": 131_072, "heartbeat": 60}},
            {"dir": "S>C", "type": "EOF"},
        ],
        "chunks": [
            {"dir": "S>C", "hex": "0100000000000c000a00"},
            {"dir": "S>C", "hex": "1e07ff00020000003cce"},
        ],
    })
}

/// Whether a file with this one vector passes.
fn passes(json: &Value) -> bool {
    let name = format!("amqp-vectors-{}-{:?}", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, json.to_string()).unwrap();
    let specs = [checker::Spec::compiled::<protocol::Spec>("any")];
    let code = checker::run(&specs, std::iter::once(file.clone().into_os_string()));
    std::fs::remove_file(file).unwrap();
    code == ExitCode::SUCCESS
}

/// The vector with another value at a JSON pointer.
fn with(mut vector: Value, pointer: &str, value: Value) -> Value {
    *vector.pointer_mut(pointer).unwrap() = value;
    vector
}

#[test]
fn right_vectors_pass() {
    for vector in [tune(), header(), frame(), malformed(), session()] {
        assert!(passes(&json!([vector])), "{vector}");
    }
}

#[test]
fn every_wrong_value_of_a_method_fails() {
    for (pointer, wrong) in [
        ("/class_id", json!(11)),
        ("/method_id", json!(31)),
        ("/method", json!("tune-ok")),
        ("/hex", json!("000a001e07ff00020000003d")),
        ("/hex", json!("000a001e07ff00020000003c00")),
        ("/hex", json!("000a001e07ff0002000000")),
        ("/hex", json!("no hex")),
        ("/fields/0/name", json!("frame-max")),
        ("/fields/0/type", json!("long")),
        ("/fields/0/value", json!(2048)),
        ("/fields/0/value", json!(65_536)),
        ("/fields/1/value", json!(1.5)),
        ("/fields", json!([])),
    ] {
        assert!(!passes(&with(tune(), pointer, wrong.clone())), "{pointer} {wrong}");
    }
}

#[test]
fn every_wrong_value_of_a_header_fails() {
    for (pointer, wrong) in [
        ("/class_id", json!(61)),
        ("/body_size", json!(6)),
        ("/properties/0/name", json!("reply-to")),
        ("/properties/0/type", json!("longstr")),
        ("/properties/0/value", json!("b")),
        ("/properties", json!([])),
        ("/hex", json!("003c0000000000000000000580000162")),
    ] {
        assert!(!passes(&with(header(), pointer, wrong.clone())), "{pointer} {wrong}");
    }
    // A flag word more than needed may be read, but we do not write it.
    assert!(!passes(&with(header(), "/hex", json!("003c00000000000000000005800100000161"))));
}

#[test]
fn every_wrong_value_of_a_frame_fails() {
    for (pointer, wrong) in [
        ("/channel", json!(2)),
        ("/frame_type", json!(2)),
        ("/frame_type_name", json!("frame-header")),
        ("/payload_hex", json!("62")),
        ("/hex", json!("0300010000000161cf")),
        ("/hex", json!("0300010000000161ce00")),
    ] {
        assert!(!passes(&with(frame(), pointer, wrong.clone())), "{pointer} {wrong}");
    }
}

#[test]
fn every_wrong_expectation_fails() {
    for (pointer, wrong) in [
        ("/expect", json!("ok")),
        ("/expect", json!("incomplete")),
        ("/error", json!("trailing-bytes")),
        ("/hex", json!("000a001e07ff00020000003c")),
    ] {
        assert!(!passes(&with(malformed(), pointer, wrong.clone())), "{pointer} {wrong}");
    }
}

#[test]
fn every_wrong_value_of_a_session_fails() {
    for (pointer, wrong) in [
        ("/events/0/method", json!("connection.tune-ok")),
        ("/events/0/channel", json!(1)),
        ("/events/0/type", json!("body")),
        ("/events/0/decoded/heartbeat", json!(61)),
        ("/events/0/hex", json!("0100000000000c000a001e07ff00020000003ccf")),
        ("/chunks/1/hex", json!("1e07ff00020000003dce")),
        ("/chunks/1/hex", json!("1e07ff00020000003c")),
    ] {
        assert!(!passes(&with(session(), pointer, wrong.clone())), "{pointer} {wrong}");
    }
}

#[test]
fn nothing_checked_is_a_failure() {
    for nothing in [json!([]), json!({"hello": 1}), json!([{"spec": "other", "kind": "x"}, 7])] {
        assert!(!passes(&nothing), "{nothing}");
    }
}

#[test]
fn unknown_keys_do_not_disturb() {
    let mut vector = tune();
    vector["new"] = json!({"a": [null]});
    assert!(passes(&vector));
}
