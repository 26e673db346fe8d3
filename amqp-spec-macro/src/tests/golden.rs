//! What a small specification with every construct expands to, kept in `tests/golden/golden.rs` so
//! that a change of the emission shows in review. `BLESS=1 cargo test -p amqp-spec-macro` writes it.
//! The tests of `amqp-types` compile and exercise it.

use std::path::Path;

use quote::format_ident;

use super::super::emit::Options;
use super::super::expand::surface;
use super::formatted;

const FILE: &str = "tests/golden/golden.xml";
const XML: &str = include_str!("../../tests/golden/golden.xml");

#[test]
fn the_expansion_is_as_reviewed() {
    let options = Options {
        name: "golden".to_owned(),
        if_spec: Some(format_ident!("if_golden")),
        require_spec: Some(format_ident!("require_golden")),
        ..Options::default()
    };
    let header = "// Written by `BLESS=1 cargo test -p amqp-spec-macro`; not to be edited.\n\n";
    compare("golden.rs", &(header.to_owned() + &formatted(XML, FILE, &options)));
}

#[test]
fn the_surface_is_as_reviewed() {
    compare("golden.txt", &surface(XML, FILE).unwrap());
}

fn compare(name: &str, fresh: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(fresh.lines()).position(|(kept, fresh)| kept != fresh);
    let line = differs.unwrap_or_else(|| kept.lines().count().min(fresh.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(nothing)").to_owned();
    assert!(
        kept == fresh,
        "{name}:{}: the expansion differs; `BLESS=1 cargo test -p amqp-spec-macro` accepts it\n\
         kept: {}\n now: {}",
        line + 1,
        at(&kept),
        at(fresh)
    );
}
