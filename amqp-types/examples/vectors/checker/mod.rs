//! The whole tool, generic over the protocol: reads files, checks each vector, sums up.
//!
//! A vector says by its keys what it is. The specs to choose from are given by the caller; the
//! modules below hold one kind of vector each and must not know any specification by heart.

mod frames;
mod headers;
mod json;
mod malformed;
mod methods;
mod report;
mod sessions;
mod values;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use amqp_types::Protocol;

use self::json::Json;
use self::report::{Fault, Report};

/// A specification that vectors can be checked against.
#[derive(Debug)]
pub(crate) struct Spec {
    key: &'static str,
    check: Check,
}

#[derive(Debug)]
enum Check {
    With(fn(&mut Report, Json<'_>)),
    /// No XML was found, and why.
    Skip(&'static str),
    /// There is XML, but it does not compile.
    Fail(&'static str),
}

#[allow(dead_code, reason = "a caller need not have specs of every kind")]
impl Spec {
    /// A compiled protocol; the key is what vectors name it by, `*` is for all of them.
    #[must_use]
    pub(crate) fn compiled<P: Protocol>(key: &'static str) -> Self {
        Self { key, check: Check::With(check::<P>) }
    }

    /// Vectors of this key are skipped, for this reason.
    #[must_use]
    pub(crate) fn missing(key: &'static str, reason: &'static str) -> Self {
        Self { key, check: Check::Skip(reason) }
    }

    /// Vectors of this key fail, for this reason.
    #[must_use]
    pub(crate) fn broken(key: &'static str, reason: &'static str) -> Self {
        Self { key, check: Check::Fail(reason) }
    }
}

/// Checks the files and prints what came of it; fails if anything failed or nothing was checked.
pub(crate) fn run(specs: &[Spec], files: impl Iterator<Item = OsString>) -> ExitCode {
    let mut report = Report::default();
    for file in files {
        let path = Path::new(&file);
        report.begin_file(path);
        if let Err(problem) = check_file(specs, path, &mut report) {
            report.record(&problem.0, Err(Fault::Failed(problem.1)));
        }
        report.end_file();
    }
    report.finish()
}

fn check_file(specs: &[Spec], path: &Path, report: &mut Report) -> Result<(), (String, String)> {
    let problem = |what: &str, error: String| (what.to_owned(), error);
    let text = std::fs::read_to_string(path).map_err(|e| problem("reading", e.to_string()))?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| problem("the JSON", e.to_string()))?;
    for vector in json.as_array().map_or(std::slice::from_ref(&json), Vec::as_slice) {
        check_vector(specs, Json(vector), report);
    }
    Ok(())
}

fn check_vector(specs: &[Spec], vector: Json<'_>, report: &mut Report) {
    let key = vector.text("spec").unwrap_or("*");
    report.begin_spec(key);
    let spec = specs.iter().find(|spec| spec.key == key || spec.key == "*");
    let fault = match spec.map(|spec| &spec.check) {
        Some(Check::With(check)) => return check(report, vector),
        Some(Check::Skip(reason)) => Fault::Skipped(format!("spec {key}: {reason}")),
        Some(Check::Fail(reason)) => Fault::Failed(format!("spec {key}: {reason}")),
        None => Fault::Skipped("the vector names no spec".to_owned()),
    };
    report.record(&vector.label(), Err(fault));
}

fn check<P: Protocol>(report: &mut Report, vector: Json<'_>) {
    let outcome = if vector.has("events") {
        return sessions::check::<P>(report, vector);
    } else if vector.has("level") {
        malformed::check::<P>(vector)
    } else if vector.has("fields") && vector.has("method") {
        methods::check::<P>(vector)
    } else if vector.has("properties") {
        headers::check::<P>(vector)
    } else if vector.has("payload_hex") {
        frames::check::<P>(vector)
    } else if vector.text("kind") == Ok("protocol-header") {
        frames::check_protocol_header::<P>(vector)
    } else {
        Err(Fault::Skipped("a kind of vector that this tool does not know".to_owned()))
    };
    report.record(&vector.label(), outcome);
}
