//! The facts of an AMQP XML file, read independently of the macro.
//!
//! `spec check`, `spec diff` and `spec list` compare and print these. It is a second reader on
//! purpose and must never share code with amqp-spec-macro: a mistake in one of the two shows.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use roxmltree::{Document, Node};

use crate::project;

/// A class/method-framed specification.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) major: u8,
    pub(crate) minor: u8,
    pub(crate) revision: Option<u8>,
    pub(crate) port: String,
    pub(crate) constants: Vec<Constant>,
    pub(crate) classes: Vec<Class>,
}

#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) value: u32,
    pub(crate) class: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) id: u16,
    pub(crate) handler: Option<String>,
    pub(crate) properties: Vec<Field>,
    pub(crate) methods: Vec<Method>,
}

#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) id: u16,
    pub(crate) synchronous: bool,
    pub(crate) content: bool,
    pub(crate) responses: Vec<String>,
    pub(crate) from_client: bool,
    pub(crate) from_server: bool,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The primitive it comes down to, or the word no domain declares (0-9's `content`).
    pub(crate) wire_type: String,
    /// What the file says, where that is no primitive.
    pub(crate) domain: Option<String>,
    pub(crate) reserved: bool,
}

const PRIMITIVES: [&str; 9] =
    ["bit", "octet", "short", "long", "longlong", "shortstr", "longstr", "timestamp", "table"];

impl Spec {
    /// Reads an XML file; `Err` says in which file and where something is wrong.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(&project::read(path)?).with_context(|| project::shown(path))
    }

    /// Reads the text of an XML file.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let document = Document::parse(text)?;
        let root = document.root_element();
        if root.tag_name().name() != "amqp" || root.attribute("major").is_none() {
            bail!("no <amqp major=.. minor=..> at its root");
        }
        let domains = children(root, "domain")
            .map(|node| Ok((name(node)?, normal(required(node, "type")?))))
            .collect::<Result<Domains>>()?;
        Ok(Self {
            major: number(root, "major")?,
            minor: number(root, "minor")?,
            revision: root.attribute("revision").map(|_| number(root, "revision")).transpose()?,
            port: root.attribute("port").unwrap_or("none").to_owned(),
            constants: children(root, "constant").map(constant).collect::<Result<_>>()?,
            classes: children(root, "class")
                .map(|node| class(node, &domains))
                .collect::<Result<_>>()?,
        })
    }

    /// The eight octets that open a connection.
    pub(crate) fn protocol_header(&self) -> [u8; 8] {
        let [a, m, q, p] = *b"AMQP";
        match self.revision {
            Some(revision) => [a, m, q, p, 0, self.major, self.minor, revision],
            None => [a, m, q, p, 1, 1, self.major, self.minor],
        }
    }

    /// `8-0` or `0-9-1`.
    pub(crate) fn version(&self) -> String {
        let revision = self.revision.map(|revision| format!("-{revision}")).unwrap_or_default();
        format!("{}-{}{revision}", self.major, self.minor)
    }

    /// How many methods all classes have together.
    pub(crate) fn method_count(&self) -> usize {
        self.classes.iter().map(|class| class.methods.len()).sum()
    }
}

impl Constant {
    /// Value and class as one text.
    pub(crate) fn describe(&self) -> String {
        match &self.class {
            Some(class) => format!("{} {class}", self.value),
            None => self.value.to_string(),
        }
    }
}

impl Method {
    /// `client`, `server` or `client, server`: who may send it.
    pub(crate) fn senders(&self) -> &'static str {
        match (self.from_client, self.from_server) {
            (true, true) => "client, server",
            (true, false) => "client",
            (false, true) => "server",
            (false, false) => "either (no chassis)",
        }
    }

    /// Everything about the method as one text.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("id {}, from {}", self.id, self.senders());
        if self.synchronous {
            text.push_str(", synchronous");
        }
        if self.content {
            text.push_str(", content");
        }
        if !self.responses.is_empty() {
            text.push_str(&format!(", replies {}", self.responses.join(" | ")));
        }
        let fields: Vec<_> = self.fields.iter().map(Field::describe).collect();
        text.push_str(&format!(", fields ({})", fields.join(", ")));
        text
    }
}

impl Field {
    /// `exchange: shortstr [exchange-name]`.
    pub(crate) fn describe(&self) -> String {
        let domain = self.domain.as_ref().map(|domain| format!(" [{domain}]")).unwrap_or_default();
        let reserved = if self.reserved { " reserved" } else { "" };
        format!("{}: {}{domain}{reserved}", self.name, self.wire_type)
    }
}

type Domains = BTreeMap<String, String>;

fn constant(node: Node<'_, '_>) -> Result<Constant> {
    let class = node.attribute("class").map(normal);
    Ok(Constant { name: name(node)?, value: number(node, "value")?, class })
}

fn class(node: Node<'_, '_>, domains: &Domains) -> Result<Class> {
    let name = name(node)?;
    let methods = children(node, "method").map(|node| method(node, domains));
    Ok(Class {
        id: number(node, "index")?,
        handler: node.attribute("handler").map(str::to_owned),
        properties: fields(node, domains)?,
        methods: methods.collect::<Result<_>>().with_context(|| format!("class {name}"))?,
        name,
    })
}

fn method(node: Node<'_, '_>, domains: &Domains) -> Result<Method> {
    // <chassis name="server"/>: the server must implement it, so the client sends it.
    let implemented_by =
        |side| children(node, "chassis").any(|node| node.attribute("name") == Some(side));
    Ok(Method {
        name: name(node)?,
        id: number(node, "index")?,
        synchronous: node.attribute("synchronous") == Some("1"),
        content: node.attribute("content") == Some("1"),
        responses: children(node, "response").map(name).collect::<Result<_>>()?,
        from_client: implemented_by("server"),
        from_server: implemented_by("client"),
        fields: fields(node, domains)?,
    })
}

fn fields(node: Node<'_, '_>, domains: &Domains) -> Result<Vec<Field>> {
    children(node, "field").map(|node| field(node, domains)).collect()
}

fn field(node: Node<'_, '_>, domains: &Domains) -> Result<Field> {
    let name = name(node)?;
    let said = node.attribute("domain").or_else(|| node.attribute("type"));
    let said = normal(said.with_context(|| format!("field {name} has no type"))?);
    let wire_type = resolve(&said, domains).with_context(|| format!("field {name}"))?;
    let domain = (said != wire_type).then_some(said);
    Ok(Field { name, wire_type, domain, reserved: node.attribute("reserved") == Some("1") })
}

/// Follows a chain of domains to a primitive; a domain named like its own type ends it.
fn resolve(said: &str, domains: &Domains) -> Result<String> {
    let mut word = said;
    for _ in 0..=domains.len() {
        match domains.get(word) {
            Some(next) if next != word => word = next,
            _ => return Ok(word.to_owned()),
        }
    }
    if PRIMITIVES.contains(&word) {
        return Ok(word.to_owned());
    }
    bail!("domain {said} goes round in a circle")
}

fn children<'a, 'i>(
    node: Node<'a, 'i>,
    tag: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> + use<'a, 'i> {
    node.children().filter(move |child| child.tag_name().name() == tag)
}

fn name(node: Node<'_, '_>) -> Result<String> {
    required(node, "name").map(normal)
}

/// 0-8 writes names with spaces, the later versions with hyphens.
fn normal(text: &str) -> String {
    text.trim().replace(' ', "-")
}

fn required<'a>(node: Node<'a, '_>, attribute: &str) -> Result<&'a str> {
    let tag = node.tag_name().name();
    node.attribute(attribute).with_context(|| format!("<{tag}> without {attribute}"))
}

fn number<T: std::str::FromStr>(node: Node<'_, '_>, attribute: &str) -> Result<T> {
    let text = required(node, attribute)?;
    let tag = node.tag_name().name();
    text.trim().parse().ok().with_context(|| format!("<{tag} {attribute}=\"{text}\">: no number"))
}

#[cfg(test)]
mod tests {
    use super::Spec;

    #[test]
    fn domains_are_followed_to_a_primitive() {
        let spec = Spec::parse(
            r#"<amqp major="1" minor="2"><domain name="bit" type="bit"/>
            <domain name="a" type="b c"/><domain name="b-c" type="bit"/>
            <class name="x" index="1"><method name="y" index="2">
            <field name="f" domain="a"/><field name="g" type="shortstr" reserved="1"/>
            <field name="h" domain="content"/></method></class></amqp>"#,
        )
        .unwrap();
        let method = &spec.classes[0].methods[0];
        assert_eq!(
            method.describe(),
            "id 2, from either (no chassis), fields (f: bit [a], g: shortstr reserved, h: content)"
        );
    }

    #[test]
    fn circular_domain_is_an_error() {
        let error = Spec::parse(
            r#"<amqp major="1" minor="2"><domain name="a" type="b"/><domain name="b" type="a"/>
            <class name="x" index="1"><field name="f" domain="a"/></class></amqp>"#,
        )
        .unwrap_err();
        assert!(format!("{error:#}").contains("circle"), "{error:#}");
    }

    #[test]
    fn header_follows_from_the_version() {
        let header = |text| Spec::parse(text).unwrap().protocol_header();
        assert_eq!(header(r#"<amqp major="8" minor="0"/>"#), *b"AMQP\x01\x01\x08\x00");
        assert_eq!(header(r#"<amqp major="0" minor="9" revision="1"/>"#), *b"AMQP\x00\x00\x09\x01");
    }
}
