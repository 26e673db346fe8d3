//! Constants: the frame layout's numbers and the reply codes.

use super::diagnostics::Position;
use super::names::spec_name;
use super::scope::{Distinct, Scope};
use super::xml::Element;
use super::{Constant, Framing, ReplyCode, Severity};

/// The numbers that every version of AMQP has used, for files that declare no constants.
const STANDARD: Framing =
    Framing { method: 1, header: 2, body: 3, heartbeat: 8, end: 206, min_size: 4096 };

/// What a file's constants come to.
pub(super) struct Constants {
    pub(super) list: Vec<Constant>,
    pub(super) reply_codes: Vec<ReplyCode>,
    pub(super) framing: Framing,
}

/// Reads the `<constant>` elements of the root.
pub(super) fn read(root: &Element, scope: &mut Scope<'_>) -> Constants {
    let mut distinct = Distinct::new("constant");
    let mut constants = Constants { list: Vec::new(), reply_codes: Vec::new(), framing: STANDARD };
    for element in root.named("constant") {
        let Some(name) = scope.name(element) else { continue };
        let unique = distinct.name(scope, element.position, &name.spec, &name.constant);
        let mut scope = scope.within(format!("constant {:?}", name.spec));
        let Some(value) = scope.number(element, "value", u32::MAX) else { continue };
        let class = element.attribute("class").map(|class| spec_name(&class.value));
        let class = class.filter(|class| !class.is_empty());
        if !unique {
            continue;
        }
        let line = element.position.line;
        let severity = severity(class.as_deref());
        if severity != Severity::None || name.spec.starts_with("reply-") {
            match u16::try_from(value) {
                Ok(code) => {
                    constants.reply_codes.push(ReplyCode { name: name.clone(), code, severity })
                }
                Err(_) => scope.at(
                    element.position,
                    format!("{value} is over 65535, which a reply code cannot be"),
                ),
            }
        }
        constants.list.push(Constant { name, value, class, line });
    }
    constants.framing = framing(&constants.list, root.position, scope);
    constants
}

fn severity(class: Option<&str>) -> Severity {
    match class {
        Some("soft-error") => Severity::Soft,
        Some("hard-error") => Severity::Hard,
        _ => Severity::None,
    }
}

fn framing(constants: &[Constant], at: Position, scope: &mut Scope<'_>) -> Framing {
    let find = |name: &str| constants.iter().find(|constant| constant.name.spec == name);
    let mut octet = |name: &str, standard: u8| match find(name) {
        None => standard,
        Some(constant) => u8::try_from(constant.value).unwrap_or_else(|_| {
            let message =
                format!("constant {name:?}: {} is over 255, but it is one octet", constant.value);
            scope.at(Position { line: constant.line, ..at }, message);
            standard
        }),
    };
    let framing = Framing {
        method: octet("frame-method", STANDARD.method),
        header: octet("frame-header", STANDARD.header),
        body: octet("frame-body", STANDARD.body),
        heartbeat: octet("frame-heartbeat", STANDARD.heartbeat),
        end: octet("frame-end", STANDARD.end),
        min_size: find("frame-min-size").map_or(STANDARD.min_size, |constant| constant.value),
    };
    let types = [
        ("frame-method", framing.method),
        ("frame-header", framing.header),
        ("frame-body", framing.body),
        ("frame-heartbeat", framing.heartbeat),
    ];
    for (index, (name, number)) in types.iter().enumerate() {
        let earlier = types.iter().take(index).find(|(_, earlier)| earlier == number);
        if let Some((earlier, _)) = earlier {
            let line = find(name).or_else(|| find(earlier)).map_or(at.line, |found| found.line);
            let message = format!(
                "{earlier:?} and {name:?} are both {number}: frames could not be told apart"
            );
            scope.at(Position { line, ..at }, message);
        }
    }
    framing
}
