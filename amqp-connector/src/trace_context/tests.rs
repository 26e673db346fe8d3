//! The rules of W3C's Trace Context, by its own examples and what they forbid.

use amqp_types::field_table;

use super::*;
use crate::BasicPublish;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn parent(version: &str, flags: &str) -> String {
    format!("{version}-{TRACE}-{SPAN}-{flags}")
}

fn parsed(text: &str) -> Result<TraceContext, InvalidTraceContext> {
    text.parse()
}

#[test]
fn a_traceparent_is_read_and_written_as_the_rules_have_it() {
    let context = parsed(&parent("00", "01")).unwrap();
    assert_eq!(context.trace_id()[..4], [0x0a, 0xf7, 0x65, 0x19]);
    assert_eq!(context.span_id(), [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert!(context.is_sampled() && context.state().is_empty());
    assert_eq!(context.to_string(), parent("00", "01"));
    assert_eq!(parsed(&parent("00", "00")).unwrap().to_string(), parent("00", "00"));
}

#[test]
fn of_the_flags_only_that_of_being_sampled_is_known() {
    for (flags, sampled) in [("09", true), ("ff", true), ("02", false), ("08", false)] {
        let context = parsed(&parent("00", flags)).unwrap();
        assert_eq!(context.is_sampled(), sampled, "{flags}");
        assert_eq!(context.to_string(), parent("00", if sampled { "01" } else { "00" }));
    }
}

#[test]
fn a_later_version_may_have_more_behind_what_is_known_and_goes_on_as_ours() {
    for text in [
        parent("cc", "01"),
        format!("{}-what-the-future-will-be-like", parent("cc", "01")),
        format!("{}-", parent("01", "01")),
    ] {
        assert_eq!(parsed(&text).unwrap().to_string(), parent("00", "01"), "{text}");
    }
}

#[test]
fn what_is_not_by_the_rules_is_no_traceparent() {
    let zeros = "0".repeat(32);
    for text in [
        String::new(),
        "00".to_owned(),
        parent("ff", "01"),
        parent("0", "01"),
        parent("000", "01"),
        parent(".0", "01"),
        parent("00", "1"),
        parent("00", "0x"),
        parent("00", "0A"),
        format!("{}-", parent("00", "01")),
        format!("{}-more", parent("00", "01")),
        format!("{}.more", parent("cc", "01")),
        format!(" {}", parent("00", "01")),
        format!("00-{zeros}-{SPAN}-01"),
        format!("00-{TRACE}-{}-01", &zeros[..16]),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
        format!("00-{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}0-{}-01", &SPAN[1..]),
        format!("00-{}g-{SPAN}-01", &TRACE[1..]),
        format!("00_{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{}ä-01", &SPAN[2..]),
        format!("00-{TRACE}-{SPAN}--1"),
    ] {
        assert!(parsed(&text).is_err(), "{text}");
    }
}

#[test]
fn ids_of_zeros_mean_that_there_is_none() {
    assert!(TraceContext::new([0; 16], [1; 8], true).is_err());
    assert!(TraceContext::new([1; 16], [0; 8], true).is_err());
    let context = TraceContext::new([1; 16], [1; 8], false).unwrap();
    assert!(context.child([0; 8]).is_err());
}

#[test]
fn a_tracestate_is_a_list_of_entries_each_key_once() {
    let context = parsed(&parent("00", "01")).unwrap();
    let key = "k".repeat(256);
    let tenant = format!("0{}@{}", "t".repeat(240), "s".repeat(14));
    let many: Vec<_> = (0..32).map(|n| format!("k{n}=v")).collect();
    for state in [
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "a=1 , b=2,\tc=3",
        "a=1,,b=2",
        "a= x",
        "a_-*/0=!~;:",
        "fw529a3039@dt=FfD8",
        &format!("{key}=1"),
        &format!("{tenant}=1"),
        &format!("a={}", "v".repeat(256)),
        &many.join(","),
    ] {
        let stated = context.clone().with_state(state);
        assert_eq!(stated.as_ref().map(TraceContext::state), Ok(state));
        assert_eq!(stated.unwrap().child([9; 8]).unwrap().state(), state);
    }
    for state in [
        "a",
        "=1",
        "a=",
        "A=1",
        "0a=1",
        "a b=1",
        "a=1,a=2",
        "a=1=2",
        "a=ä",
        "a=\u{7f}",
        "@b=1",
        "a@=1",
        "a@b@c=1",
        "a@0b=1",
        &format!("{key}k=1"),
        &format!("{tenant}s=1"),
        &format!("a={}", "v".repeat(257)),
        &format!("{},more=v", many.join(",")),
    ] {
        assert!(context.clone().with_state(state).is_err(), "{state}");
    }
}

#[test]
fn it_is_two_headers_of_a_message_that_replace_those_that_are_there() {
    let context = parsed(&parent("00", "01")).unwrap();
    let stated = context.clone().with_state("a=1").unwrap();
    let publish = BasicPublish::new("", "q", "").header("mine", 1).trace_context(&stated);
    let headers = publish.clone().into_parts().1.headers.unwrap();
    let expected =
        field_table! { "mine" => 1, "traceparent" => parent("00", "01"), "tracestate" => "a=1" };
    assert_eq!(headers, expected);
    assert_eq!(TraceContext::from_headers(&headers), Some(stated));
    let headers = publish.trace_context(&context).into_parts().1.headers.unwrap();
    assert_eq!(TraceContext::from_headers(&headers), Some(context));
    assert_eq!(headers.len(), 2);
}

#[test]
fn headers_that_are_not_by_the_rules_are_as_if_they_were_not_there() {
    let of = |headers| TraceContext::from_headers(&headers);
    let good = parent("00", "01");
    assert_eq!(of(field_table! { "traceparent" => "x", "tracestate" => "a=1" }), None);
    assert_eq!(of(field_table! { "tracestate" => "a=1" }), None);
    assert_eq!(of(field_table! { "traceparent" => 5 }), None);
    let plain = parsed(&good).ok();
    assert_eq!(of(field_table! { "traceparent" => &good[..], "tracestate" => "a" }), plain);
    assert_eq!(of(field_table! { "traceparent" => &good[..], "tracestate" => true }), plain);
}
