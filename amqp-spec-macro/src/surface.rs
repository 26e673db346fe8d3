//! The specification as readable lines, one for each method: what a review of a spec looks at.

use std::fmt::Write;

use super::model::{Argument, Class, Field, Method, Spec};

/// The whole surface, each line ended. Field names are the spec's; a run of bits stands in brackets,
/// a reserved field in parentheses.
pub(crate) fn surface(spec: &Spec) -> String {
    let mut out = String::new();
    let version = spec.version;
    let revision = version.revision.map(|revision| format!("-{revision}")).unwrap_or_default();
    let header = version.protocol_header().map(|octet| format!("{octet:02x}")).join(" ");
    line(&mut out, format_args!("version {}-{}{revision}", version.major, version.minor));
    line(&mut out, format_args!("header {header}"));
    line(&mut out, format_args!("port {}", spec.port));
    let framing = spec.framing;
    line(
        &mut out,
        format_args!(
            "framing method={} header={} body={} heartbeat={} end={} min-size={}",
            framing.method,
            framing.header,
            framing.body,
            framing.heartbeat,
            framing.end,
            framing.min_size
        ),
    );
    for constant in &spec.constants {
        let class = constant.class.as_ref().map(|class| format!(" {class}")).unwrap_or_default();
        line(&mut out, format_args!("constant {} = {}{class}", constant.name.spec, constant.value));
    }
    for class in &spec.classes {
        class_lines(&mut out, class);
    }
    out
}

fn class_lines(out: &mut String, class: &Class) {
    let name = &class.name.spec;
    line(out, format_args!("class {name} {}", class.id));
    if let Some(properties) = &class.properties {
        let list: Vec<String> =
            properties.list.iter().map(|property| field(&property.field)).collect();
        let words = properties.words;
        line(out, format_args!("properties {name} words={words}: {}", list.join(" ")));
    }
    for method in &class.methods {
        line(out, format_args!("{}", method_line(method, class)));
    }
}

fn method_line(method: &Method, class: &Class) -> String {
    let mut text = format!("{}.{} {}.{}", class.name.spec, method.name.spec, class.id, method.id);
    text += match (method.from_client, method.from_server) {
        (true, false) => " client",
        (false, true) => " server",
        _ => " both",
    };
    if method.synchronous {
        text += " synchronous";
    }
    if method.content {
        text += " content";
    }
    text += ":";
    for argument in &method.arguments {
        text += " ";
        match argument {
            Argument::One(one) => text += &field(one),
            Argument::Bits(run) => {
                let run: Vec<String> = run.iter().map(field).collect();
                text = text + "[" + &run.join(" ") + "]";
            }
        }
    }
    let answers: Vec<&str> =
        method.reply.answers().iter().map(|answer| answer.spec.as_str()).collect();
    if !answers.is_empty() {
        text = text + " -> " + &answers.join(" | ");
    }
    text
}

fn field(field: &Field) -> String {
    let text = format!("{}:{}", field.name.spec, field.wire.spec_name());
    if field.reserved { format!("({text})") } else { text }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}
