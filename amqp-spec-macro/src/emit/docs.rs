//! Documentation, composed from the model: no sentence of anybody's specification is in it.

use proc_macro2::TokenStream;
use quote::quote;

use super::model::{Answer, Class, Field, Method, Properties, Reply, Spec};

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
        facts.push("carries content".to_owned());
    }
    let requests: Vec<String> = class
        .methods
        .iter()
        .filter(|request| request.reply.answers().iter().any(|it| it.spec == method.name.spec))
        .map(|request| link(&request.type_name))
        .collect();
    if !requests.is_empty() {
        facts.push(format!("answers {}", requests.join(", ")));
    }
    facts.push(answered(method));
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

/// For a struct's field: the spec's name, its type, and the domain if that has a name of its own.
pub(super) fn field(field: &Field) -> TokenStream {
    let (name, kind) = (&field.name.spec, field.wire.spec_name());
    doc(&[if field.domain == kind {
        format!("`{name}`: {kind}.")
    } else {
        format!("`{name}`: {kind} (domain `{}`).", field.domain)
    }])
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
    let declared = declared(spec, class.line);
    doc(&[format!("Class `{name}`, number {id}."), String::new(), declared])
}
