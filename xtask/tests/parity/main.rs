//! `docs/parity.md` and `SECURITY.md` name tests for everything they list, and they exist, run and do something.
//!
//! A test is written as its path in its program: `broker::publishing::name` is what `cargo test --test broker` calls
//! `publishing::name`.

// clippy's exception for tests covers functions marked #[test], and these stand beside them.
#![allow(clippy::unwrap_used)]

mod catalogue;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use catalogue::{Tests, tests_of};

/// What the paths of tests begin with, and the root file of their program.
const PROGRAMS: [(&str, &str); 14] = [
    ("broker", "tests/tests/broker/main.rs"),
    ("scripted", "amqp-connector/tests/scripted/main.rs"),
    ("connector", "amqp-connector/src/lib.rs"),
    ("allocations", "amqp-connector/tests/allocations.rs"),
    ("held", "amqp-connector/tests/held.rs"),
    ("streams", "amqp-connector/tests/streams.rs"),
    ("futures", "xtask/tests/futures.rs"),
    ("types", "amqp-types/src/lib.rs"),
    ("bounds", "amqp-connector/tests/bounds.rs"),
    ("dialogues", "amqp-connector/tests/dialogues/main.rs"),
    ("content", "amqp-types/tests/content.rs"),
    ("describe", "amqp-types/tests/describe.rs"),
    ("properties", "amqp-types/tests/properties.rs"),
    ("unreadable", "amqp-types/tests/unreadable.rs"),
];

/// The sections of the list, and how many features each has had; it may have more.
const SECTIONS: [(&str, usize); 5] = [
    ("Specifications and limits", 21),
    ("Connection and channel", 24),
    ("Exchanges, queues and their arguments", 8),
    ("Publishing", 17),
    ("Consuming", 17),
];

struct Row<'a> {
    line: usize,
    feature: &'a str,
    tests: Vec<&'a str>,
}

/// The rows of all tables but their heads: a feature, and the tests in backticks that show it. Whatever else begins
/// like a row is complained about, so that none can be left out of the check by how it is written.
fn rows<'a>(text: &'a str, wrong: &mut Vec<String>) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in
        lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with('|'))
    {
        let is_rule = |line: &str| line.starts_with("|-");
        let in_table = |line: &&str| line.trim_start().starts_with('|');
        let after = lines.get(at + 1).is_some_and(|next| is_rule(next));
        let first = at == 0 || !lines.get(at - 1).is_some_and(in_table);
        if is_rule(line) || (after && first) {
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [feature, tests] = cells[..] else {
            wrong.push(format!("line {}: not a row of two cells", at + 1));
            continue;
        };
        let quoted: Vec<&str> = tests.split('`').collect();
        let between: String = quoted.iter().step_by(2).copied().collect();
        if between.chars().any(|c| !", ".contains(c)) || quoted.len().is_multiple_of(2) {
            wrong.push(format!("line {}: more than tests stands behind: {feature}", at + 1));
        }
        let tests = quoted.into_iter().skip(1).step_by(2).collect();
        rows.push(Row { line: at + 1, feature, tests });
    }
    rows
}

fn check(text: &str, tests: &Tests) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut features = BTreeSet::new();
    for Row { line, feature, tests: named } in rows(text, &mut wrong) {
        if feature.is_empty() || !features.insert(feature.to_lowercase()) {
            wrong.push(format!("line {line}: nothing new: {feature}"));
        }
        if named.is_empty() {
            wrong.push(format!("line {line}: no test shows: {feature}"));
        }
        for test in named {
            let why = match tests.get(test) {
                None => "there is no such test",
                Some(Some(why)) => why,
                Some(None) => continue,
            };
            wrong.push(format!("line {line}: `{test}` does not show: {feature}: {why}"));
        }
    }
    wrong
}

fn all_tests() -> Tests {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    PROGRAMS.iter().flat_map(|(name, root)| tests_of(name, &workspace.join(root))).collect()
}

fn list() -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/parity.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_feature_of_the_parity_list_names_tests_that_exist() {
    let wrong = check(&list(), &all_tests());
    assert!(wrong.is_empty(), "docs/parity.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_claim_of_the_security_page_names_tests_that_exist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../SECURITY.md");
    let text = std::fs::read_to_string(path).unwrap();
    let wrong = check(&text, &all_tests());
    assert!(wrong.is_empty(), "SECURITY.md:\n{}", wrong.join("\n"));
    for (section, least) in [("What is defended, and against whom", 14), ("Limits", 20)] {
        let begun = text.split("\n## ").find(|it| it.starts_with(section)).unwrap();
        let found = rows(begun, &mut Vec::new()).len();
        assert!(found >= least, "{section}: {found} of {least} claims");
    }
}

#[test]
fn no_feature_and_no_section_has_gone_from_the_list() {
    let text = list();
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    let counts: Vec<_> = sections
        .iter()
        .map(|section| (section.lines().next().unwrap(), rows(section, &mut Vec::new()).len()))
        .collect();
    for (name, least) in SECTIONS {
        let found = counts.iter().find(|(section, _)| *section == name).map(|(_, count)| *count);
        assert!(found >= Some(least), "{name}: {found:?} of {least} features");
    }
}

#[test]
fn what_shows_nothing_is_told_with_its_line() {
    let text = "\
| feature | shown by |
|---|---|
| one | `a::works` |
| two | `a::missing`, `a::works` |
| three | |
| four | `a::ignored` |
| five | `a::works` and more |
| one | `a::works` |
| six
|-|-|
";
    let tests = Tests::from([
        ("a::works".to_owned(), None),
        ("a::ignored".to_owned(), Some("it is ignored")),
    ]);
    let expected = [
        "line 7: more than tests stands behind: five",
        "line 9: not a row of two cells",
        "line 4: `a::missing` does not show: two: there is no such test",
        "line 5: no test shows: three",
        "line 6: `a::ignored` does not show: four: it is ignored",
        "line 8: nothing new: one",
    ];
    assert_eq!(check(text, &tests), expected);
}

#[test]
fn the_catalogue_has_tests_of_every_program() {
    let tests = all_tests();
    for (name, _) in PROGRAMS {
        let count = tests.keys().filter(|path| path.starts_with(&format!("{name}::"))).count();
        assert!(count > 0, "{name} has no tests");
    }
    assert!(tests.contains_key("broker::skel::sentence_that_says_what_holds"));
    assert!(tests.len() > 700, "{}", tests.len());
}
