//! Every public future of the connector was polled and dropped by some test.
//!
//! `amqp-connector/tests/futures.tsv` is the register: the path of a future, and the tests that poll it a number
//! of times and drop it. Here it is compared with what rustdoc lists: async functions, functions that return
//! `impl Future`, and types that implement it. Needs cargo only.

// clippy's exception for tests covers functions marked #[test], and these stand beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is for tests only: its futures run in the peer, not in a user's program.
const LEFT_OUT: &str = "testing";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The register: for each future the tests that drop it, as `kind::module::name`.
fn register() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(project().join("amqp-connector/tests/futures.tsv")).unwrap();
    let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut register = BTreeMap::new();
    for row in rows {
        let (future, tests) = row.split_once('\t').unwrap_or_else(|| panic!("no tab: {row}"));
        let tests = tests.split(' ').map(ToOwned::to_owned).collect();
        assert!(register.insert(future.to_owned(), tests).is_none(), "twice: {future}");
    }
    register
}

/// Makes the documentation; gives where it is.
fn document() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("futures");
    let docs = target.join("doc/amqp_connector");
    // What is not documented any more must not be found.
    let _ = fs::remove_dir_all(&docs);
    let output = Command::new(env!("CARGO"))
        .args(["doc", "--quiet", "--package", "amqp-connector", "--no-deps", "--all-features"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(project())
        .env_remove("AMQP_SPEC")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    docs
}

/// The pages of a folder and those in it, with the path of the item that each documents.
fn pages(folder: &Path, module: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != LEFT_OUT {
                pages(&path, &format!("{module}{name}::"), found);
            }
        } else if let Some(item) = name.strip_suffix(".html")
            && let Some((_, item)) = item.split_once('.')
        {
            found.push((format!("{module}{item}"), fs::read_to_string(path).unwrap()));
        }
    }
}

/// The texts of the elements `<tag ..>..</tag>` whose attributes contain `class`, without markup.
fn texts(html: &str, tag: &str, class: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag} "), format!("</{tag}>"));
    let elements = html.split(&open).skip(1);
    elements
        .filter_map(|element| {
            let (attributes, rest) = element.split_once('>')?;
            let (content, _) = rest.split_once(&close)?;
            attributes.contains(class).then(|| plain(content))
        })
        .collect()
}

fn plain(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, rest)| rest));
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The name in the signature of a function that gives a future.
fn future_function(signature: &str) -> Option<String> {
    let (before, after) = signature.split_once("fn ")?;
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    // Bounds may have results of their own. rustdoc puts no space before them.
    let after = after.split_once("where ").map_or(after, |(after, _)| after);
    let result = after.rsplit_once("-> ").map_or("", |(_, result)| result);
    let given = before.contains("async ") || result.trim_start().starts_with("impl Future");
    (before.contains("pub ") && given).then_some(name)
}

/// Every public future by its path within the crate.
fn documented() -> BTreeSet<String> {
    let mut found = Vec::new();
    pages(&document(), "", &mut found);
    let mut futures = BTreeSet::new();
    for (item, html) in found {
        for tag in ["h4", "pre"] {
            let class = if tag == "h4" { "code-header" } else { "item-decl" };
            let names = texts(&html, tag, class);
            futures.extend(names.iter().filter_map(|text| future_function(text)).map(|name| {
                match tag {
                    "h4" => format!("{item}::{name}"),
                    _ => item.clone(),
                }
            }));
        }
        let implemented = texts(&html, "h3", "code-header").iter().any(|text| {
            text.starts_with("impl")
                && text.split_once(" Future for ").is_some_and(|(_, rest)| {
                    item.rsplit("::").next().is_some_and(|name| rest.starts_with(name))
                })
        });
        if implemented {
            futures.insert(item);
        }
    }
    futures
}

/// Whether a test function of this path exists.
fn exists(test: &str) -> bool {
    let mut parts: Vec<&str> = test.split("::").collect();
    let (Some(name), Some(root)) = (parts.pop(), parts.first().copied()) else { return false };
    let tests = match root {
        "scripted" => project().join("amqp-connector/tests"),
        "broker" => project().join("tests/tests"),
        _ => return false,
    };
    let path = parts.iter().fold(tests, |path, part| path.join(part));
    let file = match path.with_extension("rs") {
        file if file.exists() => file,
        _ => path.join("mod.rs"),
    };
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split(&format!("fn {name}(")).next().is_some_and(|before| {
        before.len() < text.len() && before.trim_end_matches("async ").ends_with("]\n")
    }) || text.contains(&format!("]\n    fn {name}("))
        || text.contains(&format!("]\n    async fn {name}("))
}

#[test]
fn every_public_future_is_in_the_register_and_so_are_the_tests_that_drop_it() {
    let (register, documented) = (register(), documented());
    assert!(documented.len() > 20, "rustdoc's pages look different now: {documented:?}");
    let missing: Vec<_> = documented.iter().filter(|it| !register.contains_key(*it)).collect();
    let gone: Vec<_> = register.keys().filter(|it| !documented.contains(*it)).collect();
    let tests = register.values().flatten().collect::<BTreeSet<_>>();
    let unknown: Vec<_> = tests.into_iter().filter(|test| !exists(test)).collect();
    assert!(
        missing.is_empty() && gone.is_empty() && unknown.is_empty(),
        "amqp-connector/tests/futures.tsv:\n\
         futures that no test is named for: {missing:#?}\n\
         futures that do not exist: {gone:#?}\n\
         tests that do not exist: {unknown:#?}"
    );
}

#[test]
fn signatures_of_futures_are_told_from_others() {
    let name = |signature| future_function(signature);
    assert_eq!(name("pub async fn close(&self) -> Arc<CloseReason>").as_deref(), Some("close"));
    assert_eq!(name("pub fn a<R>(r: R) -> impl Future<Output = R>").as_deref(), Some("a"));
    assert_eq!(name("pub fn b(f: impl Future<Output = ()>) -> u8"), None);
    assert_eq!(name("pub fn c(&self) -> Call<R>"), None);
    let bound = "pub fn d<F>(f: F) -> impl Future<Output = ()>where F: Fn() -> u8,";
    assert_eq!(name(bound).as_deref(), Some("d"));
    assert_eq!(plain("<a href=\"x\">Vec</a>&lt;u8&gt;\n  <b>x</b>"), "Vec<u8> x");
}

#[test]
fn tests_are_found_by_their_path() {
    assert!(exists("scripted::cancellation::a_call_can_be_dropped"));
    assert!(exists("broker::closing::abort_leaves_nothing"));
    assert!(!exists("scripted::cancellation::survives"), "it is no test");
    assert!(!exists("scripted::cancellation::no_such_test"));
    assert!(!exists("elsewhere::x"));
}
