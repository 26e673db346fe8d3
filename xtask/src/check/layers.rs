//! Who may know whom: between the crates, and inside each.
//!
//! The rules are tables; a break is told with file, line and reason. What counts is code: comments,
//! docs and tests may speak of anything.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::source::{self, Source};
use crate::project::{self, Dependency};
use crate::spec::{bundled, model};

/// Which of our crates a crate may depend on. macro <- types <- connector <- tests; xtask alone.
const CRATES: [(&str, &[&str]); 5] = [
    ("amqp-spec-macro", &[]),
    ("amqp-types", &["amqp-spec-macro"]),
    ("amqp-connector", &["amqp-types"]),
    ("amqp-tests", &["amqp-types", "amqp-connector"]),
    ("xtask", &[]),
];

/// Words that must not stand in the code of some files.
struct Forbidden {
    /// Files whose path begins so, from the workspace's root.
    within: &'static str,
    /// But not these.
    except: &'static [&'static str],
    words: &'static [&'static str],
    /// Longer paths that begin with such a word and may stand there.
    unless: &'static [&'static str],
    reason: &'static str,
}

const FORBIDDEN: [Forbidden; 5] = [
    Forbidden {
        within: "amqp-spec-macro/src/",
        except: &["amqp-spec-macro/src/xml.rs"],
        words: &["roxmltree"],
        unless: &[],
        reason: "only xml.rs knows the XML library",
    },
    Forbidden {
        within: "amqp-types/src/",
        except: &[],
        words: &["tokio", "async", "await", "Future", "std::net", "std::fs", "std::thread"],
        unless: &[],
        reason: "amqp-types is bytes and values: no async, no I/O",
    },
    Forbidden {
        within: "amqp-types/src/",
        except: &[],
        words: &["Instant", "SystemTime::now"],
        unless: &[],
        reason: "amqp-types has no clock",
    },
    Forbidden {
        within: "amqp-connector/src/session/",
        except: &[],
        words: &["tokio", "tokio_util", "async", "await", "std::net", "std::thread"],
        // A point in time as a value; tests with a made-up clock need tokio's.
        unless: &["tokio::time::Instant"],
        reason: "the session is the protocol without I/O",
    },
    Forbidden {
        within: "amqp-connector/src/session/",
        except: &[],
        words: &["Instant::now", "SystemTime"],
        unless: &[],
        reason: "the session is told the time, it has no clock",
    },
];

/// Which modules of the connector a module of it may know.
enum Known {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

/// handles -> session <- driver. Modules that are not listed (how to reach a broker, what ties it
/// all together) may know any.
const CONNECTOR: [(&str, Known); 22] = [
    ("error", Known::Only(&["error"])),
    ("options", Known::Only(&["error", "options"])),
    ("outcome", Known::Only(&["error", "outcome"])),
    ("arguments", Known::Only(&["arguments", "error"])),
    ("session", Known::Only(&["session", "error", "options", "outcome", "measure"])),
    ("shared", Known::Only(&["session", "shared", "error", "options", "turn", "measure"])),
    ("codec", Known::Only(&["codec", "error", "tap"])),
    ("tap", Known::Only(&["tap"])),
    ("measure", Known::Only(&["measure"])),
    ("trace_context", Known::Only(&["trace_context", "consumer"])),
    (
        "driver",
        Known::Only(&["driver", "codec", "session", "shared", "error", "options", "measure"]),
    ),
    ("channel", DRIVER_SIDE),
    ("connection", DRIVER_SIDE),
    ("call", DRIVER_SIDE),
    ("handle", DRIVER_SIDE),
    ("consumer", DRIVER_SIDE),
    ("publish", DRIVER_SIDE),
    ("watch", DRIVER_SIDE),
    // On top of the handles, by what they offer to everybody.
    ("typed", Known::Only(&["typed", "consumer", "publish"])),
    ("blocking", Known::AllBut(&["session", "shared", "driver", "codec", "recovery", "call"])),
    ("topology", Known::Only(&["topology", "channel", "connection", "error", "outcome"])),
    (
        "rpc",
        Known::AllBut(&["session", "shared", "driver", "codec", "connect", "recovery", "call"]),
    ),
];

/// What handles must not know: octets move behind the session.
const DRIVER_SIDE: Known = Known::AllBut(&["driver", "codec"]);

/// All rules.
pub(crate) fn check() -> Result<String> {
    let mut breaks = crates()?;
    let mut count = 0;
    for member in ["amqp-spec-macro", "amqp-types", "amqp-connector"] {
        for source in source::of_member(member)? {
            breaks.extend(FORBIDDEN.iter().flat_map(|rule| rule.breaks(&source)));
            breaks.extend(connector_layers(&source));
            count += 1;
        }
    }
    breaks.extend(version_neutral()?);
    breaks.extend(bundled_as_compiled()?);
    if breaks.is_empty() {
        return Ok(format!("{count} files"));
    }
    bail!("{}", breaks.join("\n"))
}

impl Forbidden {
    fn breaks(&self, source: &Source) -> Vec<String> {
        if !source.path.starts_with(self.within) || self.except.contains(&source.path.as_str()) {
            return Vec::new();
        }
        let lines = |word: &&'static str| {
            let word = *word;
            let unless = self.unless.iter().flat_map(|path| source.lines_with(path));
            let unless: Vec<_> = unless.collect();
            let lines = source.lines_with(word).into_iter();
            lines.filter(move |line| !unless.contains(line)).map(move |line| (word, line))
        };
        let found = self.words.iter().flat_map(lines);
        found
            .map(|(word, line)| format!("{}:{line}: `{word}`: {}", source.path, self.reason))
            .collect()
    }
}

/// Dependencies between our crates, development ones too.
fn crates() -> Result<Vec<String>> {
    let mut breaks = Vec::new();
    for package in project::metadata(["--no-deps"])?.packages {
        let name = package.name.as_str();
        let Some((_, allowed)) = CRATES.iter().find(|(own, _)| *own == name) else {
            breaks.push(format!("{name}: a crate that the layers do not know (check/layers.rs)"));
            continue;
        };
        for dependency in &package.dependencies {
            let other = dependency.name.as_str();
            let is_ours = CRATES.iter().any(|(own, _)| *own == other);
            if is_ours && !allowed.contains(&other) && !is_dev_loop(name, dependency) {
                breaks.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    Ok(breaks)
}

/// For its tests a crate may depend on itself, to turn a feature on; and the macro's own need the
/// crate that its output names.
fn is_dev_loop(name: &str, dependency: &Dependency) -> bool {
    let other = dependency.name.as_str();
    let is_loop = name == other || (name, other) == ("amqp-spec-macro", "amqp-types");
    is_loop && dependency.kind.as_deref() == Some("dev")
}

/// The rules of [`CONNECTOR`] for one file.
fn connector_layers(source: &Source) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix("amqp-connector/src/") else { return Vec::new() };
    let module = inside.split(['/', '.']).next().unwrap_or(inside);
    let Some((_, known)) = CONNECTOR.iter().find(|(listed, _)| *listed == module) else {
        return Vec::new();
    };
    let allowed = |other: &str| match known {
        Known::Only(modules) => modules.contains(&other),
        Known::AllBut(modules) => !modules.contains(&other),
    };
    let wrong = source.uses().into_iter().filter(|(other, _)| !allowed(other));
    wrong
        .map(|(other, line)| {
            let path = &source.path;
            format!("{path}:{line}: `crate::{other}`: {module} must not know it")
        })
        .collect()
}

/// The connector holds no class or method number and no version's name.
fn version_neutral() -> Result<Vec<String>> {
    let mut pairs = BTreeSet::new();
    for ours in bundled::all() {
        for class in model::Spec::read(&ours.path())?.classes {
            let ids = class.methods.iter().map(|method| (class.id, method.id));
            pairs.extend(ids.map(|(class, method)| (class.to_string(), method.to_string())));
        }
    }
    let mut breaks = Vec::new();
    for source in source::of_member("amqp-connector")? {
        breaks.extend(numbers(&source, &pairs));
        breaks.extend(names(&source));
    }
    Ok(breaks)
}

/// A class's number beside a method's, or any number where an id is meant.
fn numbers(source: &Source, pairs: &BTreeSet<(String, String)>) -> Vec<String> {
    const IDS: [&str; 4] = ["class_id", "method_id", "CLASS_ID", "METHOD_ID"];
    let mut lines = Vec::new();
    for window in source.tokens.windows(3) {
        if let [a, sign, b] = window
            && sign.text == ","
            && pairs.contains(&(a.text.clone(), b.text.clone()))
        {
            lines.push(b.line);
        }
    }
    for (at, token) in source.tokens.iter().enumerate() {
        let mut next = source.tokens.iter().skip(at + 1);
        let is_sign = |text: &str| [":", "=", "!", "<", ">"].contains(&text);
        let operand = next.find(|token| !is_sign(&token.text));
        let is_number = |text: &str| text != "0" && text.starts_with(|c: char| c.is_ascii_digit());
        if IDS.contains(&token.text.as_str()) && operand.is_some_and(|b| is_number(&b.text)) {
            lines.push(token.line);
        }
    }
    let path = &source.path;
    lines
        .into_iter()
        .map(|line| format!("{path}:{line}: a class or method number; the spec brings them"))
        .collect()
}

fn names(source: &Source) -> Vec<String> {
    let is_name = |text: &str| {
        let text = text.trim_matches('"');
        bundled::BUNDLED.iter().any(|ours| ours.name == text)
    };
    let found = source.tokens.iter().filter(|token| token.text.starts_with('"'));
    found
        .filter(|token| is_name(&token.text))
        .map(|token| {
            let (path, line, text) = (&source.path, token.line, &token.text);
            format!("{path}:{line}: a version's name, {text}; amqp_types::BUNDLED has them")
        })
        .collect()
}

/// The names and files that xtask lists are those that the macro line of amqp-types has.
fn bundled_as_compiled() -> Result<Vec<String>> {
    const LINE: &str = "amqp-types/src/protocol.rs";
    let source = Source::read(&project::root().join(Path::new(LINE))).context("the macro line")?;
    let literals: BTreeSet<String> = source
        .tokens
        .iter()
        .filter_map(|token| Some(token.text.strip_prefix('"')?.strip_suffix('"')?.to_owned()))
        .collect();
    let mut breaks = Vec::new();
    for ours in &bundled::BUNDLED {
        for wanted in [ours.name.to_owned(), format!("specs/{}", ours.file)] {
            if !literals.contains(&wanted) {
                breaks.push(format!("{LINE} does not bundle \"{wanted}\""));
            }
        }
    }
    Ok(breaks)
}

#[cfg(test)]
mod tests {
    use super::{FORBIDDEN, connector_layers, names, numbers};
    use crate::check::source::Source;

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path.to_owned(), text).unwrap()
    }

    #[test]
    fn forbidden_word_is_told_with_its_line() {
        let bad = source("amqp-connector/src/session/x.rs", "use bytes::Bytes;\nuse tokio::net;");
        let told: Vec<_> = FORBIDDEN.iter().flat_map(|rule| rule.breaks(&bad)).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("amqp-connector/src/session/x.rs:2: `tokio`"), "{told:?}");
        let good = source("amqp-connector/src/session/x.rs", "use tokio::time::Instant;");
        assert!(FORBIDDEN.iter().all(|rule| rule.breaks(&good).is_empty()));
    }

    #[test]
    fn session_must_not_know_handles_or_driver() {
        let text = "use crate::{driver::Driver, error::Error};\nuse crate::session::Outbox;";
        assert_eq!(connector_layers(&source("amqp-connector/src/session/x.rs", text)).len(), 1);
        assert!(connector_layers(&source("amqp-connector/src/connect/x.rs", text)).is_empty());
        assert_eq!(connector_layers(&source("amqp-connector/src/channel/x.rs", text)).len(), 1);
        assert_eq!(connector_layers(&source("amqp-connector/src/codec.rs", text)).len(), 2);
    }

    #[test]
    fn ids_and_version_names_are_found() {
        let pairs = [("60".to_owned(), "40".to_owned())].into();
        let found = |text| numbers(&source("x.rs", text), &pairs).len();
        assert_eq!(found("f(60, 40)"), 1);
        assert_eq!(found("if class_id == 60 {}"), 1);
        assert_eq!(found("S { class_id: 60 }"), 1);
        assert_eq!(found("f(61, 40); S { class_id: 0 }"), 0);
        assert_eq!(names(&source("x.rs", r#"f("0-9-1", "0-9-1 is a version")"#)).len(), 1);
    }
}
