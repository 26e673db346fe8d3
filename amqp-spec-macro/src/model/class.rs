//! One `<class>` element with its content fields and methods, resolved.

use super::domains::{Domains, Resolution};
use super::names::{escape_while, spec_name};
use super::replies::{Requested, pair};
use super::scope::{Distinct, Scope};
use super::xml::Element;
use super::{Argument, Class, Field, Method, Properties, Property, Reply, WireType};

/// Names at the top of the expansion that a class's module would clash with, and the crates by whose
/// names the macro is called there.
const RESERVED_MODULES: [&str; 7] =
    ["constants", "Spec", "ReplyCode", "Method", "Properties", "amqp_types", "amqp_spec_macro"];

/// Names in each class's module that a method's struct would clash with, and the associated constant
/// that its variant would hide.
const RESERVED_TYPES: [&str; 3] = ["Method", "Properties", "INFO"];

/// Properties that one flag word holds; its lowest bit says that another word follows.
const FLAGS_PER_WORD: usize = 15;

/// Resolves the element, or complains; what is wrong in one method does not hide what is wrong in
/// another.
pub(super) fn read(element: &Element, domains: &Domains, scope: &mut Scope<'_>) -> Option<Class> {
    let name = scope.name(element)?;
    let mut scope = scope.within(format!("class {:?}", name.spec));
    let id = scope.number(element, "index", u16::MAX);
    let list = properties(element, domains, &mut scope.within(&*name.spec));
    let methods = methods(element, &name.spec, domains, &mut scope);
    let carries = !list.is_empty() || methods.iter().any(|method| method.content);
    let words = list.len().div_ceil(FLAGS_PER_WORD).max(1);
    let module = escape_while(name.value.clone(), |name| RESERVED_MODULES.contains(&name));
    Some(Class {
        module,
        id: id?,
        properties: carries.then_some(Properties { list, words }),
        methods,
        line: element.position.line,
        name,
    })
}

fn properties(element: &Element, domains: &Domains, scope: &mut Scope<'_>) -> Vec<Property> {
    let fields = fields(element, "property", domains, scope);
    let place = |(index, field)| Property {
        field,
        word: index / FLAGS_PER_WORD,
        mask: 0x8000_u16 >> (index % FLAGS_PER_WORD),
    };
    fields.into_iter().enumerate().map(place).collect()
}

fn methods(
    class: &Element,
    class_name: &str,
    domains: &Domains,
    scope: &mut Scope<'_>,
) -> Vec<Method> {
    let mut names = Distinct::new("method");
    let mut ids = Distinct::new("method");
    let (mut methods, mut requested) = (Vec::new(), Vec::new());
    for element in class.named("method") {
        let Some(method) = method(element, class_name, &mut ids, domains, scope) else { continue };
        if names.name(scope, element.position, &method.name.spec, &method.name.type_name) {
            methods.push(method);
            requested.push(Requested { element, class: class_name });
        }
    }
    pair(&mut methods, &requested, scope);
    methods
}

fn method(
    element: &Element,
    class: &str,
    ids: &mut Distinct,
    domains: &Domains,
    scope: &mut Scope<'_>,
) -> Option<Method> {
    let name = scope.name(element)?;
    let mut scope = scope.within(format!("{class}.{}", name.spec));
    let id = scope.number(element, "index", u16::MAX);
    if let Some(id) = id {
        ids.number(&mut scope, element.position, &name.spec, id);
    }
    let (from_client, from_server) = directions(element, &mut scope);
    let method = Method {
        type_name: escape_while(name.type_name.clone(), |name| RESERVED_TYPES.contains(&name)),
        id: id.unwrap_or_default(),
        arguments: packed(fields(element, "field", domains, &mut scope)),
        synchronous: scope.flag(element, "synchronous"),
        content: scope.flag(element, "content"),
        reply: Reply::None,
        from_client,
        from_server,
        line: element.position.line,
        name,
    };
    Some(method)
}

/// Whether the client and the server may send the method. `<chassis>` names who must implement it,
/// that is, who receives it; without any, either may send.
fn directions(element: &Element, scope: &mut Scope<'_>) -> (bool, bool) {
    let (mut from_client, mut from_server) = (false, false);
    for chassis in element.named("chassis") {
        let Some(name) = scope.required(chassis, "name") else { continue };
        match name.value.trim() {
            "server" => from_client = true,
            "client" => from_server = true,
            other => {
                let message = format!("chassis {other:?} is neither \"client\" nor \"server\"");
                scope.at(name.position, message);
            }
        }
    }
    if from_client || from_server { (from_client, from_server) } else { (true, true) }
}

/// The `<field>` children in file order, which is wire order.
fn fields(
    element: &Element,
    kind: &'static str,
    domains: &Domains,
    scope: &mut Scope<'_>,
) -> Vec<Field> {
    let mut names = Distinct::new(kind);
    let mut fields = Vec::new();
    for element in element.named("field") {
        let Some(name) = scope.name(element) else { continue };
        let reserved = scope.flag(element, "reserved");
        // Reserved fields have no Rust name; files number them anyhow.
        if !reserved {
            names.name(scope, element.position, &name.spec, &name.value);
        }
        let mut scope = scope.within_field(kind, &name.spec);
        if let Some((domain, wire)) = field_type(element, domains, &mut scope) {
            fields.push(Field { name, domain, wire, reserved });
        }
    }
    fields
}

fn field_type(
    element: &Element,
    domains: &Domains,
    scope: &mut Scope<'_>,
) -> Option<(String, WireType)> {
    let mut found: Option<(String, WireType)> = None;
    for what in ["domain", "type"] {
        if element.attribute(what).is_none() {
            continue;
        }
        let attribute = scope.required(element, what)?;
        let name = spec_name(&attribute.value);
        match (domains.resolve(&name), &found) {
            (Resolution::Wire(wire), None) => found = Some((name, wire)),
            (Resolution::Wire(wire), Some((_, domain))) if *domain == wire => {}
            (Resolution::Wire(_), Some((domain, _))) => {
                let message = format!("has domain {domain:?} and another type {name:?}");
                scope.at(attribute.position, message);
            }
            (Resolution::Broken, _) => return None,
            (Resolution::Unknown, _) => {
                let suggestion = domains.suggestion(&name);
                let message = format!("names unknown {what} {:?}{suggestion}", attribute.value);
                scope.at(attribute.position, message);
                return None;
            }
        }
    }
    if found.is_none() {
        scope.at(element.position, "has neither a domain nor a type");
    }
    found
}

/// Groups adjacent bits: a run of them shares octets, and any other field ends it.
fn packed(fields: Vec<Field>) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    for field in fields {
        match (field.wire, arguments.last_mut()) {
            (WireType::Bit, Some(Argument::Bits(run))) => run.push(field),
            (WireType::Bit, _) => arguments.push(Argument::Bits(vec![field])),
            _ => arguments.push(Argument::One(field)),
        }
    }
    arguments
}
