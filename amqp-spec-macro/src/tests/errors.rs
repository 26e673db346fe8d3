//! Each complaint about a specification, with its exact words and place.

use super::super::emit::Options;
use super::super::expand::{expand, surface};

/// The complaints about a root element with these contents, which begin in line 2.
fn complaints(contents: &str) -> Vec<String> {
    about(&format!("<amqp major='0' minor='9' port='5672'>\n{contents}\n</amqp>"))
}

fn about(text: &str) -> Vec<String> {
    let errors = expand(text, "specs/x.xml", &Options::default()).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

/// The complaints about a method with these contents, in line 4.
fn in_method(contents: &str) -> Vec<String> {
    complaints(&format!(
        "<domain name='queue-name' type='shortstr'/>\n<class name='queue' index='50'>\n\
         <method name='declare' index='10'>{contents}</method>\n\
         <method name='declare-ok' index='11'/></class>"
    ))
}

#[test]
fn a_good_file_has_none() {
    assert_eq!(in_method(""), [""; 0]);
}

#[test]
fn all_complaints_of_a_file_come_at_once_in_its_order() {
    let list = complaints(
        "<constant name='a' value='x'/>\n<domain name='d' type='nope'/>\n\
         <class name='c' index='1'>\n<method name='m' index='70000'/>\n\
         <method name='n' index='1'><field name='f'/></method></class>",
    );
    let places: Vec<&str> = list.iter().map(|text| &text[..15]).collect();
    assert_eq!(
        places,
        ["specs/x.xml:2:2", "specs/x.xml:3:1", "specs/x.xml:5:1", "specs/x.xml:6:2"]
    );
}

#[test]
fn unknown_domains_and_types() {
    assert_eq!(
        in_method("<field name='queue' domain='queue nam'/>"),
        [
            "specs/x.xml:4:55: queue.declare: field \"queue\" names unknown domain \"queue nam\", did you \
          mean \"queue-name\"? (declared: queue-name)"
        ]
    );
    assert_eq!(
        in_method("<field name='queue' type='zzz'/>"),
        ["specs/x.xml:4:55: queue.declare: field \"queue\" names unknown type \"zzz\" (declared: \
          queue-name)"]
    );
    assert_eq!(
        complaints("<class name='c' index='1'><field name='p' type='x'/></class>"),
        ["specs/x.xml:2:43: c: property \"p\" names unknown type \"x\" (declared: none)"]
    );
}

#[test]
fn fields_without_one_type() {
    assert_eq!(
        in_method("<field name='a'/><field name='b' type='bit' domain='octet'/>"),
        [
            "specs/x.xml:4:35: queue.declare: field \"a\" has neither a domain nor a type",
            "specs/x.xml:4:68: queue.declare: field \"b\" has domain \"octet\" and another type \"bit\"",
        ]
    );
    assert_eq!(
        in_method("<field name='b' type=' '/>"),
        ["specs/x.xml:4:51: queue.declare: field \"b\" has an empty attribute \"type\""]
    );
    assert_eq!(in_method("<field name='b' type='bit' domain='bit'/>"), [""; 0]);
}

#[test]
fn names_that_are_missing_empty_or_none() {
    assert_eq!(
        complaints("<class index='1'/><class name='' index='2'/><class name='--' index='3'/>"),
        [
            "specs/x.xml:2:1: <class> has no attribute \"name\"",
            "specs/x.xml:2:26: <class> has an empty attribute \"name\"",
            "specs/x.xml:2:52: a Rust name cannot be made of \"--\": no letter, no digit",
        ]
    );
    assert_eq!(
        complaints(
            "<class name='c' index='1'><method index='1'/><method name=' ' index='1'/></class>"
        ),
        [
            "specs/x.xml:2:27: class \"c\": <method> has no attribute \"name\"",
            "specs/x.xml:2:54: class \"c\": <method> has an empty attribute \"name\"",
        ]
    );
    assert_eq!(
        in_method("<field type='bit'/><field name='é' type='bit'/>"),
        [
            "specs/x.xml:4:35: queue.declare: <field> has no attribute \"name\"",
            "specs/x.xml:4:61: queue.declare: a Rust name cannot be made of \"é\": 'é' is not ASCII",
        ]
    );
    assert_eq!(
        complaints("<class name='c' index='1'/><domain type='bit'/><domain name='d'/>"),
        [
            "specs/x.xml:2:28: <domain> has no attribute \"name\"",
            "specs/x.xml:2:48: domain \"d\": <domain> has no attribute \"type\"",
        ]
    );
}

#[test]
fn names_that_are_taken() {
    assert_eq!(
        in_method("<field name='no wait' type='bit'/>\n<field name='nowait' type='bit'/>"),
        [
            "specs/x.xml:5:1: queue.declare: field \"nowait\" and the earlier \"no-wait\" (line 4) are both \"no_wait\" in \
          Rust"
        ]
    );
    assert_eq!(
        in_method("<field name='a' type='bit'/><field name='a' type='bit'/>"),
        ["specs/x.xml:4:63: queue.declare: field \"a\" is declared twice, first in line 4"]
    );
    assert_eq!(
        complaints(
            "<class name='c' index='1'><method name='a-b' index='1'/>\n<method name='aB' index='2'/>\n\
             <method name='a b' index='3'/></class>"
        ),
        [
            "specs/x.xml:3:1: class \"c\": method \"aB\" and the earlier \"a-b\" (line 2) are both \"AB\" in Rust",
            "specs/x.xml:4:1: class \"c\": method \"a-b\" is declared twice, first in line 2",
        ]
    );
    assert_eq!(
        complaints(
            "<class name='c' index='1'/>\n<class name='c' index='2'/><class name='C' index='3'/>"
        ),
        [
            "specs/x.xml:3:1: class \"c\" is declared twice, first in line 2",
            "specs/x.xml:3:28: class \"C\" and the earlier \"c\" (line 2) are both \"C\" in Rust",
        ]
    );
    assert_eq!(
        complaints(
            "<class name='c' index='1'/><constant name='a b' value='1'/>\n<constant name='A-b' value='2'/>"
        ),
        [
            "specs/x.xml:3:1: constant \"A-b\" and the earlier \"a-b\" (line 2) are both \"A_B\" in Rust"
        ]
    );
}

#[test]
fn reserved_fields_may_share_a_name() {
    assert_eq!(
        in_method(
            "<field name='r' type='bit' reserved='1'/><field name='r' type='bit' reserved='1'/>"
        ),
        [""; 0]
    );
}

#[test]
fn numbers() {
    assert_eq!(
        complaints(
            "<class name='c'/><class name='d' index='x'/><class name='e' index='65536'/>\
             <class name='f' index='-1'/><class name='g' index=''/>"
        ),
        [
            "specs/x.xml:2:1: class \"c\": <class> has no attribute \"index\"",
            "specs/x.xml:2:34: class \"d\": index=\"x\" is not a number from 0 to 65535",
            "specs/x.xml:2:61: class \"e\": index=\"65536\" is not a number from 0 to 65535",
            "specs/x.xml:2:92: class \"f\": index=\"-1\" is not a number from 0 to 65535",
            "specs/x.xml:2:120: class \"g\": <class> has an empty attribute \"index\"",
        ]
    );
    assert_eq!(
        complaints(
            "<class name='c' index='7'><method name='a' index='1'/><method name='b' index='1'/>\
             <method name='m'/></class>\n<class name='d' index='7'/>"
        ),
        [
            "specs/x.xml:2:55: c.b: method \"b\" has the number 1, which \"a\" (line 2) has already",
            "specs/x.xml:2:83: c.m: <method> has no attribute \"index\"",
            "specs/x.xml:3:1: class \"d\" has the number 7, which \"c\" (line 2) has already",
        ]
    );
    assert_eq!(
        about(
            "<amqp major='x' minor='256' revision='' port='99999'><class name='c' index='1'/></amqp>"
        ),
        [
            "specs/x.xml:1:7: major=\"x\" is not a number from 0 to 255",
            "specs/x.xml:1:17: minor=\"256\" is not a number from 0 to 255",
            "specs/x.xml:1:29: <amqp> has an empty attribute \"revision\"",
            "specs/x.xml:1:41: port=\"99999\" is not a number from 0 to 65535",
        ]
    );
}

#[test]
fn constants() {
    assert_eq!(
        complaints(
            "<class name='c' index='1'/><constant name='x'/><constant name='y' value='4294967296'/>\n\
             <constant name='z' value='65536' class='soft-error'/>\n\
             <constant name='frame-end' value='256'/>\n<constant name='frame-body' value='8'/>"
        ),
        [
            "specs/x.xml:2:28: constant \"x\": <constant> has no attribute \"value\"",
            "specs/x.xml:2:67: constant \"y\": value=\"4294967296\" is not a number from 0 to 4294967295",
            "specs/x.xml:3:1: constant \"z\": 65536 is over 65535, which a reply code cannot be",
            "specs/x.xml:4:1: constant \"frame-end\": 256 is over 255, but it is one octet",
            "specs/x.xml:5:1: \"frame-body\" and \"frame-heartbeat\" are both 8: frames could not be told apart",
        ]
    );
}

#[test]
fn responses() {
    assert_eq!(
        in_method("<response name='declare-k'/><response/>"),
        [
            "specs/x.xml:4:35: queue.declare: the response \"declare-k\" is no method of the class, did \
             you mean \"declare-ok\"? (it has: declare, declare-ok)",
            "specs/x.xml:4:63: queue.declare: <response> has no attribute \"name\"",
        ]
    );
    assert_eq!(
        in_method("<response name='declare-ok'/><response name='declare ok'/>"),
        ["specs/x.xml:4:64: queue.declare: the response \"declare-ok\" is named twice"]
    );
}

#[test]
fn markers() {
    assert_eq!(
        in_method(
            "<chassis name='broker'/><chassis/><field name='f' type='bit' reserved='maybe'/>"
        ),
        [
            "specs/x.xml:4:44: queue.declare: chassis \"broker\" is neither \"client\" nor \"server\"",
            "specs/x.xml:4:59: queue.declare: <chassis> has no attribute \"name\"",
            "specs/x.xml:4:96: queue.declare: reserved=\"maybe\" is neither \"1\" nor \"0\"",
        ]
    );
}

#[test]
fn files_that_are_no_specification() {
    assert_eq!(
        about("<html/>"),
        ["specs/x.xml:1:1: not an AMQP specification: the root element is <html>, not <amqp>"]
    );
    assert_eq!(
        about("<amqp major='0' minor='9'/>"),
        ["specs/x.xml:1:1: not an AMQP specification: it has no <class>"]
    );
    assert_eq!(
        about("<amqp/>"),
        [
            "specs/x.xml:1:1: <amqp> has no attribute \"major\"",
            "specs/x.xml:1:1: <amqp> has no attribute \"minor\"",
            "specs/x.xml:1:1: not an AMQP specification: it has no <class>",
        ]
    );
    assert_eq!(
        about("<amqp major='0' minor='9'><class</amqp>"),
        ["specs/x.xml:1:33: malformed XML: expected a whitespace not '<'"]
    );
}

#[test]
fn other_versions_are_refused_by_name() {
    let reason = |text| about(text).join("\n").split(',').next().unwrap_or_default().to_owned();
    assert_eq!(reason("<amqp major='0' minor='10'/>"), "specs/x.xml:1:1: this is AMQP 0-10");
    assert_eq!(
        reason("<amqp major='3' minor='3'><class><control/></class></amqp>"),
        "specs/x.xml:1:1: this is AMQP 0-10"
    );
    for one_zero in [
        "<amqp name='transport' xmlns='http://www.amqp.org/schema/amqp.xsd'/>",
        "<amqp name='x'><section/></amqp>",
        "<amqp major='1' minor='0'/>",
    ] {
        assert_eq!(reason(one_zero), "specs/x.xml:1:1: this is part of AMQP 1.0");
    }
}

#[test]
fn what_is_unknown_and_like_nothing_known_is_skipped() {
    let text = "<amqp major='8' minor='0' comment='x' version='8' xmlns:o='urn:o'><doc/><odd><class/></odd>\
                <class name='c' index='1' label='x' o:name='d'><doc/><rule name='r'><test/></rule>\
                <method name='m' index='2' deprecated='1'><assert check='x'><value/></assert>\
                <chassis name='server' implement='MUST'/><chassis name='client' note='x'/>\
                <field name='f' type='bit' label='x'><see/><assert/></field></method></class></amqp>";
    let surface = surface(text, "x.xml").unwrap();
    assert_eq!(
        surface.lines().skip(3).collect::<Vec<_>>()[1..],
        ["class c 1", "c.m 1.2 both: [f:bit]"]
    );
}

#[test]
fn what_is_nearly_known_is_refused() {
    assert_eq!(
        in_method(
            "<feild name='f' type='bit'/><respons name='declare-ok'/><chasis name='server'/>"
        ),
        [
            "specs/x.xml:4:35: unknown element <feild> in <method>, did you mean <field>?",
            "specs/x.xml:4:63: unknown element <respons> in <method>, did you mean <response>?",
            "specs/x.xml:4:91: unknown element <chasis> in <method>, did you mean <chassis>?",
        ]
    );
    assert_eq!(
        in_method(
            "<field name='f' type='bit' domian='x' resrved='1'/>\n<field name='g' domian='octet'/>"
        ),
        [
            "specs/x.xml:4:62: <field> has an unknown attribute \"domian\", did you mean \"domain\"?",
            "specs/x.xml:4:73: <field> has an unknown attribute \"resrved\", did you mean \"reserved\"?",
            "specs/x.xml:5:1: queue.declare: field \"g\" has neither a domain nor a type",
            "specs/x.xml:5:17: <field> has an unknown attribute \"domian\", did you mean \"domain\"?",
        ]
    );
    assert_eq!(
        complaints(
            "<class name='c' index='1'>\n<methud name='m' index='1'/>\n\
             <method name='n' index='2' synchronus='1' contents='1'/></class>\n\
             <constnat name='x' value='1'/><domian name='d' type='bit'/>\n\
             <constant name='y' value='1' clas='soft-error'/><Class name='d' index='2'/>"
        ),
        [
            "specs/x.xml:3:1: unknown element <methud> in <class>, did you mean <method>?",
            "specs/x.xml:4:28: <method> has an unknown attribute \"synchronus\", did you mean \"synchronous\"?",
            "specs/x.xml:4:43: <method> has an unknown attribute \"contents\", did you mean \"content\"?",
            "specs/x.xml:5:1: unknown element <constnat> in <amqp>, did you mean <constant>?",
            "specs/x.xml:5:31: unknown element <domian> in <amqp>, did you mean <domain>?",
            "specs/x.xml:6:30: <constant> has an unknown attribute \"clas\", did you mean \"class\"?",
            "specs/x.xml:6:49: unknown element <Class> in <amqp>, did you mean <class>?",
        ]
    );
    assert_eq!(
        about("<amqp major='0' minor='9' revison='1'><class name='c' index='1'/></amqp>"),
        [
            "specs/x.xml:1:27: <amqp> has an unknown attribute \"revison\", did you mean \"revision\"?"
        ]
    );
}
