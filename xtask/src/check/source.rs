//! Rust source as a list of tokens with their lines: no comments, no docs, no tests.
//!
//! The layering rules are about code; a sentence that mentions tokio breaks none.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use proc_macro2::{TokenStream, TokenTree};

use crate::project;

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    pub(crate) tokens: Vec<Token>,
}

/// A word, sign, bracket or literal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Source {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let shown = project::shown(path).replace('\\', "/");
        Self::parse(shown.clone(), &project::read(path)?).with_context(|| shown)
    }

    /// Reads a text as if it were the file of this path.
    pub(crate) fn parse(path: String, text: &str) -> Result<Self> {
        let stream: TokenStream = text.parse().map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Ok(Self { path, tokens })
    }

    /// The lines in which a path such as `std::net` stands, whole words only. Names gathered in
    /// braces (`use std::{net, fs}`) are found by their last word alone; rules name crates and
    /// modules, for which [`Self::uses`] looks into the braces.
    pub(crate) fn lines_with(&self, wanted: &str) -> Vec<usize> {
        let words: Vec<String> = split(wanted);
        let found = self
            .tokens
            .windows(words.len())
            .filter(|window| window.iter().zip(&words).all(|(token, word)| token.text == *word));
        found.filter_map(|window| window.first()).map(|token| token.line).collect()
    }

    /// Which modules stand right after `crate::`, in braces too, with their lines.
    pub(crate) fn uses(&self) -> Vec<(&str, usize)> {
        let mut found = Vec::new();
        for (at, window) in self.tokens.windows(4).enumerate() {
            let [a, b, c, d] = window else { continue };
            if (a.text.as_str(), b.text.as_str(), c.text.as_str()) != ("crate", ":", ":") {
                continue;
            }
            if d.text == "{" {
                found.extend(self.in_braces(at + 4));
            } else {
                found.push((d.text.as_str(), d.line));
            }
        }
        found
    }

    /// The first word of each item of a `use` group that begins at a token.
    fn in_braces(&self, from: usize) -> Vec<(&str, usize)> {
        let mut found = Vec::new();
        let (mut depth, mut fresh) = (0_u32, true);
        for token in self.tokens.iter().skip(from) {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth == 0 => break,
                "}" => depth -= 1,
                "," if depth == 0 => fresh = true,
                word if depth == 0 && fresh => {
                    found.push((word, token.line));
                    fresh = false;
                }
                _ => {}
            }
        }
        found
    }
}

/// The library of a member: all files of its `src` but those of unit tests.
pub(crate) fn of_member(member: &str) -> Result<Vec<Source>> {
    let files = files(&project::root().join(member).join("src"))?;
    files.iter().map(|path| Source::read(path)).collect()
}

/// All Rust files below a folder, sorted; without `tests.rs` and `tests/`, which
/// `#[cfg(test)] mod tests;` brings in.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", project::shown(folder)))?;
    for entry in entries {
        let path = entry?.path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn split(path: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, word) in path.split("::").enumerate() {
        if at > 0 {
            words.extend([":".to_owned(), ":".to_owned()]);
        }
        words.push(word.to_owned());
    }
    words
}

fn flatten(stream: TokenStream, out: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    let mut skip_item = false;
    while let Some(tree) = trees.next() {
        if is_sign(&tree, '#')
            && let Some(attribute) = attribute(trees.peek())
        {
            trees.next();
            skip_item |= attribute == "cfg(test)";
            continue;
        }
        if skip_item {
            // An item ends with its braces or its semicolon.
            skip_item = !is_sign(&tree, ';') && !is_braces(&tree);
            continue;
        }
        let line = tree.span().start().line;
        let push = |out: &mut Vec<Token>, text: &str| {
            out.push(Token { text: text.to_owned(), line });
        };
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(&group);
                push(out, open);
                flatten(group.stream(), out);
                push(out, close);
            }
            other => push(out, &other.to_string()),
        }
    }
}

/// The text of an attribute without blanks, if the tree after a `#` is one.
fn attribute(tree: Option<&TokenTree>) -> Option<String> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == proc_macro2::Delimiter::Bracket => {
            Some(group.stream().to_string().replace(' ', ""))
        }
        _ => None,
    }
}

fn is_sign(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_braces(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace)
}

fn brackets(group: &proc_macro2::Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        proc_macro2::Delimiter::Parenthesis => ("(", ")"),
        proc_macro2::Delimiter::Brace => ("{", "}"),
        proc_macro2::Delimiter::Bracket => ("[", "]"),
        proc_macro2::Delimiter::None => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    const TEXT: &str = r#"
//! tokio in a doc
// tokio in a comment
use crate::{driver::Driver, session::{self, Session}};
/// tokio
fn f() { std::net::connect("tokio"); crate::codec::x() }
#[cfg(test)]
mod tests {
    use tokio::x;
}
#[cfg(test)]
use tokio::y;
struct S;
"#;

    #[test]
    fn comments_docs_strings_and_tests_are_no_code() {
        let source = Source::parse("a.rs".to_owned(), TEXT).unwrap();
        assert!(source.lines_with("tokio").is_empty());
        assert_eq!(source.lines_with("std::net"), [6]);
        assert_eq!(source.lines_with("S"), [13]);
    }

    #[test]
    fn modules_of_the_crate_are_found_in_braces_too() {
        let source = Source::parse("a.rs".to_owned(), TEXT).unwrap();
        assert_eq!(source.uses(), [("driver", 4), ("session", 4), ("codec", 6)]);
    }
}
