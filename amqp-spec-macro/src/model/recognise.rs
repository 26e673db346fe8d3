//! Is this a specification that the macro can compile? Looks at the root element only.
//!
//! AMQP 0-10 and 1.0 come as XML with the same root name but describe other wire formats. They are
//! refused by name, before anything in them could look like a mistake.

use super::diagnostics::Error;
use super::scope::Scope;
use super::xml::Element;
use super::{Version, xml};

/// The file's root element, or why there is nothing to compile in it.
pub(super) fn recognise(text: &str, file: &str) -> Result<Element, Vec<Error>> {
    let root = xml::parse(text, file).map_err(|error| vec![error])?;
    match refusal(&root) {
        Some(reason) => Err(vec![Error::at(file, root.position, reason)]),
        None => Ok(root),
    }
}

/// The version that the root element states.
pub(super) fn version(root: &Element, scope: &mut Scope<'_>) -> Option<Version> {
    let major = scope.number(root, "major", u8::MAX);
    let minor = scope.number(root, "minor", u8::MAX);
    let revision = match root.attribute("revision") {
        Some(_) => Some(scope.number(root, "revision", u8::MAX)?),
        None => None,
    };
    Some(Version { major: major?, minor: minor?, revision })
}

fn refusal(root: &Element) -> Option<String> {
    if root.name != "amqp" {
        return Some(format!(
            "not an AMQP specification: the root element is <{}>, not <amqp>",
            root.name
        ));
    }
    let version = |name| root.attribute(name).map(|attribute| attribute.value.trim());
    let parts = root.child_names();
    let commands = root.named("class").any(|class| {
        let parts = class.child_names();
        parts.contains("control") || parts.contains("command")
    });
    if (version("major"), version("minor")) == (Some("0"), Some("10")) || commands {
        return Some(
            "this is AMQP 0-10, which has controls and commands in sessions where 0-8 to 0-9-1 have \
             methods on channels; its wire format is another one and is not supported"
                .to_owned(),
        );
    }
    let one_zero_namespace =
        root.namespace.as_deref() == Some("http://www.amqp.org/schema/amqp.xsd");
    if version("major") == Some("1")
        || version("major").is_none() && (parts.contains("section") || one_zero_namespace)
    {
        return Some(
            "this is part of AMQP 1.0, a type system with performatives on links; it has no classes \
             or methods, shares nothing with 0-9-1 but the name, and is not supported"
                .to_owned(),
        );
    }
    None
}
