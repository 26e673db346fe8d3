//! Documentation, composed from the model: no sentence of anybody's specification is in it.

use proc_macro2::TokenStream;
use quote::quote;

use super::model::{Answer, Class, Field, Method, Properties, Reply, Spec, Version};

/// One `#[doc]` attribute for each line.
pub(super) fn doc(lines: &[impl AsRef<str>]) -> TokenStream {
    let lines = lines.iter().map(|line| match line.as_ref() {
        "" => String::new(),
        text => format!(" {text}"),
    });
    quote!(#(#[doc = #lines])*)
}

/// For a method's struct: who sends it, what it carries, what answers it, where it is declared.
pub(super) fn method(method: &Method, class: &Class, spec: &Spec) -> TokenStream {
    let name = format!("{}.{}", class.name.spec, method.name.spec);
    let mut facts = vec![sender(method).to_owned()];
    if method.content {
        facts.push(format!("carries content with {}", link("Properties")));
    }
    let requests: Vec<String> = class
        .methods
        .iter()
        .filter(|request| request.reply.answers().iter().any(|it| it.spec == method.name.spec))
        .map(|request| link(&request.type_name))
        .collect();
    match (requests.as_slice(), &method.reply) {
        ([], _) => facts.push(answered(method)),
        (requests, reply) => {
            facts.push(format!("answers {}", requests.join(", ")));
            if !matches!(reply, Reply::None) {
                facts.push(answered(method));
            }
        }
    }
    let summary =
        format!("`{name}`: class {}, method {}; {}.", class.id, method.id, facts.join("; "));
    let mut lines = vec![summary, String::new(), declared(spec, method.line)];
    let reserved: Vec<String> = method
        .fields()
        .filter(|field| field.reserved)
        .map(|field| format!("`{}`", field.name.spec))
        .collect();
    if !reserved.is_empty() {
        lines.push(String::new());
        lines.push(format!("Reserved fields, sent as zero: {}.", reserved.join(", ")));
    }
    let doc = doc(&lines);
    quote!(#doc #[doc(alias = #name)])
}

fn sender(method: &Method) -> &'static str {
    match (method.from_client, method.from_server) {
        (true, false) => "sent by the client",
        (false, true) => "sent by the server",
        _ => "sent by either peer",
    }
}

fn answered(method: &Method) -> String {
    let answer = |answer: &Answer| link(&answer.type_name);
    let replies = match &method.reply {
        Reply::None => return "no reply".to_owned(),
        Reply::One(one) => format!("answered by {}", answer(one)),
        Reply::Several { type_name, answers } => {
            let answers: Vec<String> = answers.iter().map(answer).collect();
            format!("answered by {} ([`{type_name}`])", answers.join(" or "))
        }
    };
    match method.no_wait() {
        Some(_) => format!("{replies}, unless `no_wait` is set"),
        None => replies,
    }
}

/// A link that stays unambiguous where the type is called `Ok` or `Vec`.
fn link(type_name: &str) -> String {
    format!("[`{type_name}`](struct@{type_name})")
}

fn declared(spec: &Spec, line: usize) -> String {
    format!("Declared in `{}:{line}`.", spec.file)
}

/// For a struct's field: the spec's name, its type, and the domain if that says more.
pub(super) fn field(field: &Field) -> TokenStream {
    let (name, kind) = (&field.name.spec, field.wire.spec_name());
    doc(&[if field.domain == kind || field.domain == *name {
        format!("`{name}`: {kind}.")
    } else {
        format!("`{name}`: {kind} (domain `{}`).", field.domain)
    }])
}

/// For the method that sets a property.
pub(super) fn setter(field: &Field) -> TokenStream {
    doc(&[format!("Sets `{}`.", field.name.spec)])
}

/// For a reply enum.
pub(super) fn reply(method: &Method, class: &Class) -> TokenStream {
    doc(&[format!("What answers `{}.{}`.", class.name.spec, method.name.spec)])
}

/// For a class's properties.
pub(super) fn properties(properties: &Properties, class: &Class, spec: &Spec) -> TokenStream {
    let name = &class.name.spec;
    let summary = match properties.list.len() {
        0 => format!("Content of class `{name}` has no properties."),
        count => format!("The {count} content properties of class `{name}`, each optional."),
    };
    doc(&[summary, String::new(), declared(spec, class.line)])
}

/// For a class's module.
pub(super) fn class(class: &Class, spec: &Spec) -> TokenStream {
    let (name, id) = (&class.name.spec, class.id);
    let methods = count(class.methods.len(), "method", "methods");
    let properties = class.properties.as_ref().map(|properties| properties.list.len());
    let content = match properties {
        None | Some(0) => String::new(),
        Some(number) => format!(", content with {}", count(number, "property", "properties")),
    };
    let summary = format!("Class `{name}`, number {id}: {methods}{content}.");
    doc(&[summary, String::new(), declared(spec, class.line)])
}

fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// A version as people write it: `0-9-1`.
pub(super) fn version(version: Version) -> String {
    let Version { major, minor, revision } = version;
    let revision = revision.map(|revision| format!("-{revision}")).unwrap_or_default();
    format!("{major}-{minor}{revision}")
}

/// A protocol header as people write it: `AMQP 0 0 9 1`.
pub(super) fn header(octets: [u8; 8]) -> String {
    let mut text = String::new();
    for octet in octets {
        match octet.is_ascii_graphic() {
            true => text.push(char::from(octet)),
            false => text += &format!(" {octet}"),
        }
    }
    text
}
