//! The whole file: XML text to [`Spec`], or every complaint about it.

use super::diagnostics::{Error, Errors};
use super::domains::Domains;
use super::scope::{Distinct, Scope};
use super::xml::Element;
use super::{Class, Spec, Version, class, constants, recognise, unknown};

/// The port that the files give, for one that gives none.
const STANDARD_PORT: u16 = 5672;

/// Resolves a specification. `file` is the path as the user knows it: errors begin with it.
pub(crate) fn build(text: &str, file: &str) -> Result<Spec, Vec<Error>> {
    let root = recognise::recognise(text, file)?;
    let mut errors = Errors::new(file);
    let spec = resolve(&root, file, &mut Scope::root(&mut errors));
    errors.or(spec)
}

/// The version alone, for a file that is only listed.
pub(crate) fn version(text: &str, file: &str) -> Result<Version, Vec<Error>> {
    let root = recognise::recognise(text, file)?;
    let mut errors = Errors::new(file);
    let version = recognise::version(&root, &mut Scope::root(&mut errors));
    errors.or(version)
}

/// Every part is resolved, whatever is wrong with another one, so that all is reported.
fn resolve(root: &Element, file: &str, scope: &mut Scope<'_>) -> Option<Spec> {
    unknown::complain(root, scope);
    let version = recognise::version(root, scope);
    let port = match root.attribute("port") {
        Some(_) => scope.number(root, "port", u16::MAX),
        None => Some(STANDARD_PORT),
    };
    let domains = Domains::read(root, scope);
    let constants = constants::read(root, scope);
    let classes = classes(root, &domains, scope);
    Some(Spec {
        file: file.rsplit(['/', '\\']).next().unwrap_or(file).to_owned(),
        version: version?,
        port: port?,
        framing: constants.framing,
        constants: constants.list,
        reply_codes: constants.reply_codes,
        classes,
    })
}

fn classes(root: &Element, domains: &Domains, scope: &mut Scope<'_>) -> Vec<Class> {
    let mut names = Distinct::new("class");
    let mut types = Distinct::new("class");
    let mut ids = Distinct::new("class");
    let mut classes = Vec::new();
    for element in root.named("class") {
        let Some(class) = class::read(element, domains, scope) else { continue };
        let at = element.position;
        let spec = &class.name.spec;
        if names.name(scope, at, spec, &class.module)
            && types.name(scope, at, spec, &class.name.type_name)
        {
            ids.number(scope, at, spec, class.id);
            classes.push(class);
        }
    }
    if root.named("class").next().is_none() {
        scope.at(root.position, "not an AMQP specification: it has no <class>");
    }
    classes
}
