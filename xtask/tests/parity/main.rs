//! `docs/parity.md` names tests, and they exist.
//!
//! A test is written as its path: `broker::publishing::name` is `fn name` in `tests/tests/broker/publishing.rs`
//! (or in a file of the module's folder). The sources are read as tokens, so that comments count for nothing
//! and tests within macros are found.

mod tests_by_name;

use std::path::{Path, PathBuf};

use tests_by_name::has_test;

/// What the paths of tests begin with, and where their modules are.
const ROOTS: [(&str, &str); 6] = [
    ("broker", "tests/tests/broker"),
    ("scripted", "amqp-connector/tests/scripted"),
    ("connector", "amqp-connector/src"),
    ("allocations", "amqp-connector/tests/allocations"),
    ("types", "amqp-types/src"),
    ("types_tests", "amqp-types/tests"),
];

struct Row<'a> {
    line: usize,
    feature: &'a str,
    tests: Vec<&'a str>,
}

/// The rows of all tables but their heads: a feature, and the tests in backticks that show it.
fn rows(text: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some(cells) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            continue;
        };
        let Some((feature, tests)) = cells.rsplit_once('|') else { continue };
        let head = text.lines().nth(at + 1).is_some_and(|next| next.starts_with("|-"));
        if head || feature.starts_with('-') {
            continue;
        }
        let tests = tests.split('`').skip(1).step_by(2).collect();
        rows.push(Row { line: at + 1, feature: feature.trim(), tests });
    }
    rows
}

fn check(text: &str, root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for Row { line, feature, tests } in rows(text) {
        if tests.is_empty() {
            wrong.push(format!("line {line}: no test shows: {feature}"));
        }
        for test in tests {
            if !has_test(&ROOTS, root, test) {
                wrong.push(format!(
                    "line {line}: there is no test `{test}`, which shows: {feature}"
                ));
            }
        }
    }
    wrong
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_feature_of_the_parity_list_names_tests_that_exist() {
    let text = std::fs::read_to_string(workspace().join("docs/parity.md")).unwrap();
    let wrong = check(&text, &workspace());
    assert!(wrong.is_empty(), "docs/parity.md:\n{}", wrong.join("\n"));
    assert!(rows(&text).len() > 40, "the tables are not as they were");
}

#[test]
fn a_test_that_is_not_there_is_told_with_its_line() {
    let text = "\
| feature | shown by |
|---|---|
| one | `broker::skel::sentence_that_says_what_holds` |
| two | `broker::skel::no_such_test`, `broker::skel::sentence_that_says_what_holds` |
| three | |
";
    let wrong = check(text, &workspace());
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].starts_with("line 4: there is no test `broker::skel::no_such_test`"));
    assert_eq!(wrong[1], "line 5: no test shows: three");
}
