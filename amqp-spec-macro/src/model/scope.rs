//! Reading attributes and keeping names apart, with complaints that say where in the spec one is.
//!
//! Used by every other file of the model's construction.

use std::collections::HashMap;

use super::diagnostics::{Errors, Position};
use super::names::Name;
use super::xml::{Attribute, Element};

/// The error list together with the place that its messages begin with, such as `queue.declare: `.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    errors: &'a mut Errors,
    place: String,
    /// Whether `place` already is the sentence's subject.
    subject: bool,
}

impl<'a> Scope<'a> {
    /// The top of the file: messages begin with nothing.
    pub(super) fn root(errors: &'a mut Errors) -> Self {
        Self { errors, place: String::new(), subject: false }
    }

    /// A scope whose messages begin with `place`.
    pub(super) fn within(&mut self, place: impl Into<String>) -> Scope<'_> {
        Scope { errors: self.errors, place: place.into() + ": ", subject: false }
    }

    /// A scope for one field: messages go on after its name.
    pub(super) fn within_field(&mut self, kind: &str, name: &str) -> Scope<'_> {
        let place = format!("{}{kind} {name:?} ", self.place);
        Scope { errors: self.errors, place, subject: true }
    }

    pub(super) fn at(&mut self, position: Position, message: impl AsRef<str>) {
        self.errors.at(position, format!("{}{}", self.place, message.as_ref()));
    }

    /// The element's `name`, resolved.
    pub(super) fn name(&mut self, element: &Element) -> Option<Name> {
        let attribute = self.required(element, "name")?;
        Name::new(&attribute.value).map_err(|reason| self.at(attribute.position, reason)).ok()
    }

    /// An attribute that must be there and not be empty.
    pub(super) fn required<'e>(
        &mut self,
        element: &'e Element,
        name: &str,
    ) -> Option<&'e Attribute> {
        let subject = if self.subject { String::new() } else { format!("<{}> ", element.name) };
        let Some(attribute) = element.attribute(name) else {
            self.at(element.position, format!("{subject}has no attribute {name:?}"));
            return None;
        };
        if attribute.value.trim().is_empty() {
            self.at(attribute.position, format!("{subject}has an empty attribute {name:?}"));
            return None;
        }
        Some(attribute)
    }

    /// A number from 0 to `max`, decimal or with `0x`, in an attribute that must be there.
    pub(super) fn number<T>(&mut self, element: &Element, name: &str, max: T) -> Option<T>
    where
        T: TryFrom<u64> + Into<u64> + Copy,
    {
        let attribute = self.required(element, name)?;
        let text = attribute.value.trim();
        let number = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse::<u64>(),
        };
        let number = number.ok().and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            let max: u64 = max.into();
            let message = format!("{name}={text:?} is not a number from 0 to {max}");
            self.at(attribute.position, message);
        }
        number
    }

    /// Whether the element is marked with that attribute: `1` or nothing in all known files.
    pub(super) fn flag(&mut self, element: &Element, name: &str) -> bool {
        let Some(attribute) = element.attribute(name) else { return false };
        match attribute.value.trim() {
            "1" | "true" => true,
            "" | "0" | "false" => false,
            other => {
                let message = format!("{name}={other:?} is neither \"1\" nor \"0\"");
                self.at(attribute.position, message);
                false
            }
        }
    }
}

/// Names or numbers of which each may be had once.
#[derive(Debug)]
pub(super) struct Distinct {
    /// What they belong to: `field`, `method`, ...
    kind: &'static str,
    /// Key to the claimant's spec name and line.
    taken: HashMap<String, (String, usize)>,
}

impl Distinct {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, taken: HashMap::new() }
    }

    /// Claims an identifier for a spec name.
    pub(super) fn name(
        &mut self,
        scope: &mut Scope<'_>,
        at: Position,
        spec: &str,
        rust: &str,
    ) -> bool {
        self.claim(rust.to_owned(), spec, at.line).is_none_or(|(earlier, line)| {
            let kind = self.kind;
            scope.at(
                at,
                if earlier == spec {
                    format!("{kind} {spec:?} is declared twice, first in line {line}")
                } else {
                    format!(
                        "{kind} {spec:?} and the earlier {earlier:?} (line {line}) are both {rust:?} in Rust"
                    )
                },
            );
            false
        })
    }

    /// Claims a number for a spec name.
    pub(super) fn number(&mut self, scope: &mut Scope<'_>, at: Position, spec: &str, number: u16) {
        if let Some((earlier, line)) = self.claim(number.to_string(), spec, at.line) {
            let kind = self.kind;
            let message = format!(
                "{kind} {spec:?} has the number {number}, which {earlier:?} (line {line}) has already"
            );
            scope.at(at, message);
        }
    }

    fn claim(&mut self, key: String, spec: &str, line: usize) -> Option<(String, usize)> {
        if let Some(earlier) = self.taken.get(&key) {
            return Some(earlier.clone());
        }
        self.taken.insert(key, (spec.to_owned(), line));
        None
    }
}
