//! Which method answers which: `<response>` elements to references.
//!
//! Works on the methods of one class after all of them are known.

use super::diagnostics::{listing, nearest};
use super::names::escape_while;
use super::scope::Scope;
use super::xml::Element;
use super::{Answer, Method, Name, Reply};

/// The methods that a `<method>` element names as its responses, unresolved.
pub(super) struct Requested<'e> {
    pub(super) element: &'e Element,
    pub(super) class: &'e str,
}

/// Gives each method its reply. `methods` and `elements` run in parallel.
pub(super) fn pair(methods: &mut [Method], requested: &[Requested<'_>], scope: &mut Scope<'_>) {
    let mut found: Vec<Vec<Answer>> = methods
        .iter()
        .zip(requested)
        .map(|(method, requested)| declared(method, requested, methods, scope))
        .collect();
    let named: Vec<String> = found.iter().flatten().map(|answer| answer.spec.clone()).collect();
    for (method, answers) in methods.iter().zip(&mut found) {
        if answers.is_empty() {
            answers.extend(implied(method, methods, &named));
        }
    }
    let types: Vec<String> = methods.iter().map(|method| method.type_name.clone()).collect();
    for (method, answers) in methods.iter_mut().zip(found) {
        method.reply = match <[Answer; 1]>::try_from(answers) {
            Ok([answer]) => Reply::One(answer),
            Err(answers) if answers.is_empty() => Reply::None,
            Err(answers) => Reply::Several {
                type_name: escape_while(format!("{}Reply", method.type_name), |name| {
                    types.iter().any(|taken| taken == name)
                }),
                answers: with_distinct_variants(answers),
            },
        };
    }
}

/// The `<response>` elements, resolved within the class.
fn declared(
    method: &Method,
    requested: &Requested<'_>,
    methods: &[Method],
    scope: &mut Scope<'_>,
) -> Vec<Answer> {
    let mut scope = scope.within(format!("{}.{}", requested.class, method.name.spec));
    let mut answers: Vec<Answer> = Vec::new();
    for element in requested.element.named("response") {
        let Some(name) = scope.name(element) else { continue };
        let Some(found) = methods.iter().find(|method| method.name.plain == name.plain) else {
            let names = methods.iter().map(|method| method.name.spec.as_str());
            let near = nearest(&name.spec, names.clone());
            let near = near.map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
            scope.at(
                element.position,
                format!(
                    "the response {:?} is no method of the class{near} (it has: {})",
                    name.spec,
                    listing(names)
                ),
            );
            continue;
        };
        if answers.iter().any(|answer| answer.spec == found.name.spec) {
            scope.at(element.position, format!("the response {:?} is named twice", name.spec));
            continue;
        }
        answers.push(answer(method, found));
    }
    answers
}

/// A request that names no response is answered by its class's `<name>-ok`, if that is nobody's
/// response and travels the other way: brokers do send `basic.recover-ok`, whatever 0-9-1 omits.
fn implied(method: &Method, methods: &[Method], named: &[String]) -> Option<Answer> {
    let ok = format!("{}-ok", method.name.spec);
    let found = methods.iter().find(|candidate| candidate.name.spec == ok)?;
    let comes_back =
        method.from_client && found.from_server || method.from_server && found.from_client;
    (comes_back && !named.contains(&ok)).then(|| answer(method, found))
}

fn answer(request: &Method, reply: &Method) -> Answer {
    let prefix = format!("{}-", request.name.spec);
    let rest = reply.name.spec.strip_prefix(&prefix).and_then(|rest| Name::new(rest).ok());
    Answer {
        spec: reply.name.spec.clone(),
        type_name: reply.type_name.clone(),
        variant: rest.map_or_else(|| reply.name.type_name.clone(), |rest| rest.type_name),
    }
}

/// Shortened names may coincide (`get` answered by `get-ok` and `ok`); the full ones do not.
fn with_distinct_variants(mut answers: Vec<Answer>) -> Vec<Answer> {
    let mut variants: Vec<&str> = answers.iter().map(|answer| answer.variant.as_str()).collect();
    variants.sort_unstable();
    if variants.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        for answer in &mut answers {
            answer.variant = answer.type_name.clone();
        }
    }
    answers
}
