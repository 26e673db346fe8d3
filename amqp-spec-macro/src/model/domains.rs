//! Domains: from the names that fields use to the closed set of wire types.
//!
//! A name is looked up among the declared domains first and among the primitives second, since files
//! refer to primitives in both ways. Chains end at a primitive or at a domain that names itself.

use std::collections::{BTreeMap, BTreeSet};

use super::WireType;
use super::diagnostics::{Position, listing, nearest};
use super::names::spec_name;
use super::scope::Scope;
use super::xml::Element;

/// The primitive types. `content` is one although no file declares it: 0-9 uses it.
const PRIMITIVES: [(&str, WireType); 10] = [
    ("bit", WireType::Bit),
    ("octet", WireType::Octet),
    ("short", WireType::Short),
    ("long", WireType::Long),
    ("longlong", WireType::LongLong),
    ("shortstr", WireType::ShortStr),
    ("longstr", WireType::LongStr),
    ("timestamp", WireType::Timestamp),
    ("table", WireType::Table),
    ("content", WireType::Content),
];

/// All domains of a file, resolved.
#[derive(Debug)]
pub(super) struct Domains {
    /// By spec name; `None` for one whose declaration was complained about.
    resolved: BTreeMap<String, Option<WireType>>,
}

/// What a field's domain comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    Wire(WireType),
    /// Declared, but its declaration is wrong and has been complained about.
    Broken,
    Unknown,
}

impl Domains {
    /// Reads the `<domain>` elements of the root.
    pub(super) fn read(root: &Element, scope: &mut Scope<'_>) -> Self {
        let mut declared: BTreeMap<String, (String, Position)> = BTreeMap::new();
        for element in root.named("domain") {
            let Some(name) = scope.required(element, "name") else { continue };
            let name_at = name.position;
            let name = spec_name(&name.value);
            let mut scope = scope.within(format!("domain {name:?}"));
            let Some(kind) = scope.required(element, "type") else { continue };
            if let Some((_, first)) = declared.get(&name) {
                scope.at(name_at, format!("declared twice, first in line {}", first.line));
                continue;
            }
            declared.insert(name, (spec_name(&kind.value), kind.position));
        }
        let resolved = declared.keys().map(|name| (name.clone(), follow(name, &declared, scope)));
        Self { resolved: resolved.collect() }
    }

    /// Looks up a spec name.
    pub(super) fn resolve(&self, name: &str) -> Resolution {
        match self.resolved.get(name) {
            Some(Some(wire)) => Resolution::Wire(*wire),
            Some(None) => Resolution::Broken,
            None => primitive(name).map_or(Resolution::Unknown, Resolution::Wire),
        }
    }

    /// The end of a message about an unknown name.
    pub(super) fn suggestion(&self, name: &str) -> String {
        let declared = self.resolved.keys().map(String::as_str);
        let near = nearest(name, declared.clone().chain(PRIMITIVES.map(|(name, _)| name)));
        let near = near.map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
        format!("{near} (declared: {})", listing(declared))
    }
}

/// Where the chain that starts at `name` ends. Complains at the link that is wrong, and only for the
/// domain that has it, so that one mistake is reported once.
fn follow(
    name: &str,
    declared: &BTreeMap<String, (String, Position)>,
    scope: &mut Scope<'_>,
) -> Option<WireType> {
    let mut passed = BTreeSet::new();
    let mut path = vec![name];
    let mut link = name;
    while let Some((kind, at)) = declared.get(link) {
        if kind == link || !declared.contains_key(kind) {
            let wire = primitive(kind);
            if wire.is_none() && link == name {
                let primitives = listing(PRIMITIVES.map(|(name, _)| name));
                let message =
                    format!("type {kind:?} is neither a domain nor a primitive ({primitives})");
                scope.within(format!("domain {name:?}")).at(*at, message);
            }
            return wire;
        }
        path.push(kind);
        if !passed.insert(link) || kind == name {
            if kind == name {
                let message = format!("defined by itself: {}", path.join(" -> "));
                scope.within(format!("domain {name:?}")).at(*at, message);
            }
            return None;
        }
        link = kind;
    }
    None
}

fn primitive(name: &str) -> Option<WireType> {
    PRIMITIVES.iter().find(|(primitive, _)| *primitive == name).map(|(_, wire)| *wire)
}

#[cfg(test)]
mod tests {
    use super::super::diagnostics::Errors;
    use super::super::xml::parse;
    use super::*;

    fn read(domains: &str) -> (Domains, Vec<String>) {
        let root = parse(&format!("<amqp>\n{domains}\n</amqp>"), "x.xml").unwrap();
        let mut errors = Errors::new("x.xml");
        let domains = Domains::read(&root, &mut Scope::root(&mut errors));
        let errors = errors.or(Some(())).err().unwrap_or_default();
        (domains, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn chains_end_at_a_primitive() {
        let (domains, errors) = read(
            "<domain name='flagged' type='yes or no'/><domain name='yes or no' type='bit'/>
             <domain name='bit' type='bit'/>",
        );
        assert!(errors.is_empty());
        assert_eq!(domains.resolve("flagged"), Resolution::Wire(WireType::Bit));
        assert_eq!(domains.resolve("yes-or-no"), Resolution::Wire(WireType::Bit));
    }

    #[test]
    fn primitives_and_content_need_no_declaration() {
        let (domains, _) = read("");
        for (name, wire) in PRIMITIVES {
            assert_eq!(domains.resolve(name), Resolution::Wire(wire));
        }
        assert_eq!(domains.resolve("path"), Resolution::Unknown);
        assert_eq!(domains.suggestion("path"), " (declared: none)");
    }

    #[test]
    fn a_declared_domain_comes_before_the_primitive() {
        let (domains, _) = read("<domain name='content' type='longstr'/>");
        assert_eq!(domains.resolve("content"), Resolution::Wire(WireType::LongStr));
    }

    #[test]
    fn a_circle_is_reported_at_each_of_its_domains_and_only_there() {
        let (domains, errors) = read(
            "<domain name='a' type='b'/>\n<domain name='b' type='a'/>\n<domain name='c' type='a'/>",
        );
        assert_eq!(
            errors,
            [
                "x.xml:2:18: domain \"b\": defined by itself: b -> a -> b",
                "x.xml:3:18: domain \"a\": defined by itself: a -> b -> a",
            ]
        );
        assert_eq!(domains.resolve("c"), Resolution::Broken);
    }

    #[test]
    fn an_unknown_type_is_reported_once() {
        let (domains, errors) = read(
            "<domain name='a' type='strin'/><domain name='b' type='a'/><domain name='me' type='me'/>",
        );
        let primitives =
            "bit, octet, short, long, longlong, shortstr, longstr, timestamp, table, content";
        assert_eq!(
            errors,
            [
                format!(
                    "x.xml:2:18: domain \"a\": type \"strin\" is neither a domain nor a primitive ({primitives})"
                ),
                format!(
                    "x.xml:2:77: domain \"me\": type \"me\" is neither a domain nor a primitive ({primitives})"
                ),
            ]
        );
        assert_eq!(domains.resolve("b"), Resolution::Broken);
    }

    #[test]
    fn a_domain_is_declared_once() {
        let (_, errors) = read("<domain name='a b' type='bit'/>\n<domain name='a-b' type='bit'/>");
        assert_eq!(errors, ["x.xml:3:9: domain \"a-b\": declared twice, first in line 2"]);
    }
}
