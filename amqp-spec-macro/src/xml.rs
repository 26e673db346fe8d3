//! XML text to a tree of elements that know their place in the file.
//!
//! The only file that names the XML library. It knows nothing of AMQP: what an element means is the
//! model's business. Called by `model::build`.

use std::collections::BTreeSet;

use super::diagnostics::{Error, Position};

/// Elements deeper than this are dropped: `amqp / class / method / field` is all that is read, and
/// a hostile nesting must not exhaust the compiler's stack.
const DEPTH: usize = 4;

/// An element. Text, comments and processing instructions are gone.
#[derive(Debug)]
pub(crate) struct Element {
    /// The local name, without a namespace prefix.
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) children: Vec<Self>,
    pub(crate) position: Position,
}

/// An attribute, its value with entities resolved.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) position: Position,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The children of that name, in file order.
    pub(crate) fn named<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The names that occur among the children, once each.
    pub(crate) fn child_names(&self) -> BTreeSet<&str> {
        self.children.iter().map(|child| child.name.as_str()).collect()
    }
}

/// Reads a document; `file` is only named in the error.
pub(crate) fn parse(text: &str, file: &str) -> Result<Element, Error> {
    // A document type declaration is common in published specs; nothing outside the file is read.
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).map_err(|error| {
        let at = error.pos();
        let message = error.to_string();
        let message = message.strip_suffix(&format!(" at {at}")).unwrap_or(&message);
        let position = match error {
            // The library has no place for what is missing at the end.
            roxmltree::Error::UnclosedRootNode
            | roxmltree::Error::NoRootNode
            | roxmltree::Error::UnexpectedEndOfStream => Lines::new(text).position(text.len()),
            _ => Position { line: widen(at.row), column: widen(at.col) },
        };
        Error::at(file, position, format!("malformed XML: {message}"))
    })?;
    Ok(convert(document.root_element(), &Lines::new(text), DEPTH))
}

fn convert(node: roxmltree::Node<'_, '_>, lines: &Lines<'_>, depth: usize) -> Element {
    let attributes = node
        .attributes()
        .map(|attribute| Attribute {
            name: attribute.name().to_owned(),
            value: attribute.value().to_owned(),
            position: lines.position(attribute.range().start),
        })
        .collect();
    let children = match depth.checked_sub(1) {
        Some(depth) => {
            let elements = node.children().filter(|child| child.is_element());
            elements.map(|child| convert(child, lines, depth)).collect()
        }
        None => Vec::new(),
    };
    Element {
        name: node.tag_name().name().to_owned(),
        namespace: node.tag_name().namespace().map(str::to_owned),
        attributes,
        children,
        position: lines.position(node.range().start),
    }
}

/// Byte offsets to lines and columns.
struct Lines<'a> {
    text: &'a str,
    /// Where each line starts: ascending, the first one 0.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(offset, _)| offset + 1)).collect();
        Self { text, starts }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied();
        let before = self.text.get(start.unwrap_or(0)..offset).unwrap_or("");
        Position { line, column: before.chars().count() + 1 }
    }
}

fn widen(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_attributes_know_their_place() {
        let root =
            parse("<!-- é -->\n<amqp\n  major='0'><!-- ключ --><class/></amqp>", "f").unwrap();
        assert_eq!(root.position, Position { line: 2, column: 1 });
        let major = root.attribute("major").unwrap();
        assert_eq!((major.value.as_str(), major.position), ("0", Position { line: 3, column: 3 }));
        assert_eq!(root.children[0].position, Position { line: 3, column: 26 });
    }

    #[test]
    fn malformed_xml_names_the_place() {
        let error = parse("<amqp>\n  <class>\n</amqp>", "specs/x.xml").unwrap_err();
        assert_eq!(
            error.to_string(),
            "specs/x.xml:3:1: malformed XML: expected 'class' tag, not 'amqp'"
        );
        assert_eq!(
            parse("", "x.xml").unwrap_err().to_string(),
            "x.xml:1:1: malformed XML: the document does not have a root node"
        );
    }

    #[test]
    fn a_file_cut_short_is_wrong_at_its_end() {
        let place = |text| {
            let error = parse(text, "f").unwrap_err();
            assert!(error.message.starts_with("malformed XML: "), "{error}");
            error.position.map(|at| (at.line, at.column))
        };
        assert_eq!(place("<amqp>\n  <class>"), Some((2, 10)));
        assert_eq!(place("<amqp>\n  <class/>\n"), Some((3, 1)));
        assert_eq!(place("<amqp>\n  <class na"), Some((2, 12)));
        assert_eq!(place("<amqp>\n  <class name='é"), Some((2, 17)));
        assert_eq!(place("<amqp>\n  <class/><!-- ключ"), Some((2, 20)));
        assert_eq!(place("<amqp><class/></amqp"), Some((1, 21)));
        assert_eq!(place("<!-- nothing -->"), Some((1, 17)));
    }

    #[test]
    fn a_document_type_and_a_byte_order_mark_are_accepted() {
        let text =
            "\u{feff}<?xml version='1.0'?><!DOCTYPE amqp SYSTEM 'amqp.dtd'><amqp major='8'/>";
        assert_eq!(parse(text, "f").unwrap().attribute("major").unwrap().value, "8");
    }

    #[test]
    fn deep_nesting_is_cut_off() {
        let text = format!("{}{}", "<a>".repeat(500), "</a>".repeat(500));
        let mut element = &parse(&text, "f").unwrap();
        let mut depth = 0;
        while let Some(child) = element.children.first() {
            (element, depth) = (child, depth + 1);
        }
        assert_eq!(depth, DEPTH);
    }
}
