//! What the macro does not read: skipped if it is something else, refused if it looks misspelt.
//!
//! Published files carry much that means nothing here (`doc`, `rule`, `label`, ..). But a `<feild>`
//! that vanished would change the layout of every message, and nobody would hear of it.

use super::diagnostics::nearest;
use super::scope::Scope;
use super::xml::Element;

/// The attributes and the children of each element that are read: element, attributes, children.
const READ: [(&str, &[&str], &[&str]); 8] = [
    ("amqp", &["major", "minor", "revision", "port"], &["constant", "domain", "class"]),
    ("constant", &["name", "value", "class"], &[]),
    ("domain", &["name", "type"], &[]),
    ("class", &["name", "index"], &["field", "method"]),
    ("method", &["name", "index", "synchronous", "content"], &["chassis", "response", "field"]),
    ("field", &["name", "domain", "type", "reserved"], &[]),
    ("chassis", &["name"], &[]),
    ("response", &["name"], &[]),
];

/// Words that are near one that is read, but mean something of their own.
const OTHER: [&str; 1] = ["version"];

/// Complains about each element and attribute whose name is nearly one that would be read there.
pub(super) fn complain(element: &Element, scope: &mut Scope<'_>) {
    let Some((_, attributes, children)) = READ.iter().find(|(name, ..)| *name == element.name)
    else {
        return;
    };
    for attribute in &element.attributes {
        let name = attribute.name.as_str();
        if attributes.contains(&name) || OTHER.contains(&name) {
            continue;
        }
        // An attribute that is there need not be looked for under another name.
        let missing = attributes.iter().copied().filter(|it| element.attribute(it).is_none());
        if let Some(near) = nearest(name, missing) {
            let message = format!(
                "<{}> has an unknown attribute {name:?}, did you mean {near:?}?",
                element.name
            );
            scope.at(attribute.position, message);
        }
    }
    for child in &element.children {
        if children.contains(&child.name.as_str()) {
            complain(child, scope);
        } else if let Some(near) = nearest(&child.name, children.iter().copied()) {
            let (name, parent) = (&child.name, &element.name);
            let message = format!("unknown element <{name}> in <{parent}>, did you mean <{near}>?");
            scope.at(child.position, message);
        }
    }
}
