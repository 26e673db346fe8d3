//! What `docs/observing.md` lists is what the sources emit: spans and events of `tracing`, with level and fields.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation ends its test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Name or message, level, names of the fields.
type Emitted = (String, String, Vec<String>);

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/observing.md");

/// The texts of all source files; what is behind `cfg(test)` at a file's end emits nothing.
fn sources(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Programs are not the library.
            if !path.ends_with("bin") {
                sources(&path, texts);
            }
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            texts.push(text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned());
        }
    }
}

/// The arguments of a macro from behind its opening parenthesis on, split at its own commas.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut arguments = vec![String::new()];
    for letter in text.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '{' | '[' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => break,
            ')' | '}' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        arguments.last_mut().unwrap().push(letter);
    }
    arguments.iter().map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}

/// What the macros of this text emit: events are named by their message, spans by their name.
fn emitted_by(text: &str, spans: bool) -> Vec<Emitted> {
    let mut found = Vec::new();
    for (at, path) in text.match_indices("tracing::") {
        let Some((name, rest)) = text[at + path.len()..].split_once("!(") else { continue };
        let level = match (name.strip_suffix("_span"), spans) {
            (Some(level), true) => level,
            (None, false) => name,
            _ => continue,
        };
        if !["error", "warn", "info", "debug", "trace"].contains(&level) {
            continue;
        }
        let (texts, fields): (Vec<_>, Vec<_>) =
            arguments(rest).into_iter().partition(|it| it.starts_with('"'));
        let [text] = &texts[..] else { panic!("no text of its own: tracing::{name}!({rest:.80}") };
        let fields = fields.iter().filter(|it| !it.starts_with("parent:")).map(|field| {
            let name = field.split('=').next().unwrap().trim();
            name.trim_start_matches(['%', '?']).to_owned()
        });
        found.push((text.trim_matches('"').to_owned(), level.to_owned(), fields.collect()));
    }
    found
}

/// The rows of the table below this heading.
fn listed(page: &str, heading: &str) -> Vec<Emitted> {
    let section = page.split(heading).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let mut next = || cells.next().unwrap().replace('`', "");
        let (name, level, fields) = (next(), next(), next());
        let fields = fields.split(", ").filter(|it| !it.is_empty()).map(str::to_owned);
        (name, level, fields.collect())
    })
    .collect()
}

fn compare(heading: &str, spans: bool) {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let emitted: BTreeSet<_> = texts.iter().flat_map(|text| emitted_by(text, spans)).collect();
    let page = fs::read_to_string(PAGE).unwrap();
    let rows = listed(&page, heading);
    let listed: BTreeSet<_> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), listed.len(), "a row is there twice");
    let missing: Vec<_> = emitted.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&emitted).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/observing.md, {heading}: not listed: {missing:#?}\nnot emitted: {stale:#?}"
    );
}

#[test]
fn every_span_is_listed_with_its_level_and_fields() {
    compare("## Spans", true);
}

#[test]
fn every_event_is_listed_with_its_level_and_fields() {
    compare("## Events", false);
}

#[test]
fn a_macro_is_read_as_it_is_written() {
    let text = r#"tracing::warn!(parent: &a.b, channel, %error, at.x = f(1, "a,)"), "a, (text");"#;
    let fields = ["channel", "error", "at.x"].map(str::to_owned).to_vec();
    assert_eq!(emitted_by(text, false), [("a, (text".to_owned(), "warn".to_owned(), fields)]);
    assert_eq!(emitted_by(text, true), []);
}
