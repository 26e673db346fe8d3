//! All tests of a test program by their paths, as `cargo test -- --list` would print them.
//!
//! The sources are read as tokens from the program's root file on, along its `mod` items: a test in a comment or
//! in a file that no module declares is none. Macros are looked through, whatever specification they ask for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The tests by path, each with the reason why it shows nothing, if there is one.
pub(crate) type Tests = BTreeMap<String, Option<&'static str>>;

/// The tests of the program with this root file, their paths begun by `name`.
pub(crate) fn tests_of(name: &str, root: &Path) -> Tests {
    let mut tests = Tests::new();
    let folder = root.parent().unwrap_or(root);
    file(root, folder, name, &mut tests);
    tests
}

/// What the attributes in front of an item say of it.
#[derive(Default)]
struct Attributes {
    test: bool,
    ignored: bool,
}

impl Attributes {
    fn add(&mut self, attribute: &Group) {
        self.test |= attribute.stream().into_iter().any(|word| word.to_string() == "test");
        self.ignored |= mentions(attribute.stream(), "ignore");
    }
}

fn mentions(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|tree| match tree {
        TokenTree::Group(group) => mentions(group.stream(), name),
        tree => tree.to_string() == name,
    })
}

/// Adds the tests of a file whose submodules are in `folder`.
fn file(path: &Path, folder: &Path, module: &str, tests: &mut Tests) {
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let tokens: TokenStream = text.parse().unwrap_or_default();
    items(tokens, folder, module, tests);
}

/// Adds the tests among the items of a module, or of what a macro is given.
fn items(tokens: TokenStream, folder: &Path, module: &str, tests: &mut Tests) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut attributes = Attributes::default();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        let next = trees.get(at + 1);
        at += 1;
        match (tree, next) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(group)))
                if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
            {
                attributes.add(group);
                at += 1;
            }
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if *word == "mod" => {
                submodule(&name.to_string(), trees.get(at + 1), folder, module, tests);
                attributes = Attributes::default();
                at += 2;
            }
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if *word == "fn" => {
                let body = trees.iter().skip(at).position(is_block).map_or(trees.len(), |n| at + n);
                if attributes.test {
                    let why = why_not(&attributes, trees.get(body));
                    let told = tests.entry(format!("{module}::{name}")).or_insert(why);
                    *told = told.or(why);
                }
                attributes = Attributes::default();
                at = body + 1;
            }
            // What a macro is made of is no test yet.
            (TokenTree::Ident(word), _) if *word == "macro_rules" => at += 3,
            (TokenTree::Group(group), _) => {
                items(group.stream(), folder, module, tests);
                if is_block(tree) {
                    attributes = Attributes::default();
                }
            }
            (TokenTree::Punct(end), _) if end.as_char() == ';' => {
                attributes = Attributes::default()
            }
            _ => {}
        }
    }
}

fn submodule(name: &str, body: Option<&TokenTree>, folder: &Path, module: &str, tests: &mut Tests) {
    let (folder, module): (PathBuf, _) = (folder.join(name), format!("{module}::{name}"));
    match body {
        Some(TokenTree::Group(body)) => items(body.stream(), &folder, &module, tests),
        _ => {
            file(&folder.with_extension("rs"), &folder, &module, tests);
            file(&folder.join("mod.rs"), &folder, &module, tests);
        }
    }
}

fn is_block(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// Why a test shows nothing.
fn why_not(attributes: &Attributes, body: Option<&TokenTree>) -> Option<&'static str> {
    let empty = match body {
        Some(TokenTree::Group(body)) => body.stream().is_empty(),
        _ => true,
    };
    match (attributes.ignored, empty) {
        (true, _) => Some("it is ignored"),
        (_, true) => Some("it does nothing"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_where_they_are_and_as_they_are() {
        let text = "
            // #[test] fn in_a_comment() {}
            /// #[test] fn in_a_doc_comment() {}
            fn helper() { #[test] fn within() { run() } }
            #[cfg(test)] fn not_even_called() { run() }
            #[tokio::test(start_paused = true)] async fn plain() { run() }
            if_spec! { a.b => { #[test] fn in_a_macro() { run() } } else {} }
            macro_rules! made { () => { #[test] fn in_a_definition() { run() } } }
            mod inner { #[test] fn in_a_module() { run() } }
            #[test] #[ignore = \"slow\"] fn ignored() { run() }
            #[test] #[cfg_attr(all(), ignore)] fn ignored_somewhere() { run() }
            #[test] fn empty() {}
        ";
        let mut tests = Tests::new();
        items(text.parse().unwrap(), Path::new(""), "root", &mut tests);
        let found: Vec<_> = tests.iter().map(|(path, why)| (path.as_str(), *why)).collect();
        let expected = [
            ("root::empty", Some("it does nothing")),
            ("root::ignored", Some("it is ignored")),
            ("root::ignored_somewhere", Some("it is ignored")),
            ("root::in_a_macro", None),
            ("root::inner::in_a_module", None),
            ("root::plain", None),
        ];
        assert_eq!(found, expected);
    }
}
