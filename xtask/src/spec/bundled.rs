//! The specs this project brings, and what a user may write to name one.
//!
//! The bundled four are those of the one macro line in amqp-types (`cargo xtask check` compares);
//! dialects are further files of ours that can be compiled by path.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::package;
use crate::project;
use crate::suggest::did_you_mean;

/// A spec file of ours and the official file it is held against.
#[derive(Debug)]
pub(crate) struct Ours {
    /// What a user writes.
    pub(crate) name: &'static str,
    /// Below amqp-types/specs.
    pub(crate) file: &'static str,
    /// The folder of the package amqp-specs.
    pub(crate) official: &'static str,
}

/// Compiled in by name: `AMQP_SPEC=name`.
pub(crate) const BUNDLED: [Ours; 4] = [
    Ours { name: "0-8", file: "amqp0-8.xml", official: "0-8" },
    Ours { name: "0-9", file: "amqp0-9.xml", official: "0-9" },
    Ours { name: "0-9-1", file: "amqp0-9-1.xml", official: "0-9-1" },
    Ours { name: "rabbitmq", file: "amqp0-9-1-rabbitmq.xml", official: "0-9-1-rabbit" },
];

/// Brought along to be compiled by path.
pub(crate) const DIALECTS: [Ours; 1] =
    [Ours { name: "tx-rabbitmq-0-8", file: "dialects/tx-rabbitmq-0-8.xml", official: "0-8" }];

impl Ours {
    /// Where the file is.
    pub(crate) fn path(&self) -> PathBuf {
        project::specs().join(self.file)
    }
}

/// The bundled specs and then the dialects.
pub(crate) fn all() -> impl Iterator<Item = &'static Ours> {
    BUNDLED.iter().chain(&DIALECTS)
}

/// The file of one of ours by its name.
pub(crate) fn by_name(name: &str) -> Option<PathBuf> {
    all().find(|ours| ours.name == name).map(Ours::path)
}

/// The bundled file that has at least what an official file has.
pub(crate) fn by_official_name(key: &str) -> Option<PathBuf> {
    BUNDLED.iter().find(|ours| ours.official == key).map(Ours::path)
}

/// The file that `NAME|PATH` means: one of ours, a folder of the package amqp-specs, or a path.
pub(crate) fn resolve(name_or_path: &str) -> Result<PathBuf> {
    if let Some(path) = by_name(name_or_path).or_else(|| package::file(name_or_path)) {
        return Ok(path);
    }
    let path = PathBuf::from(name_or_path);
    if path.is_file() {
        return Ok(std::path::absolute(path)?);
    }
    let names: Vec<_> = all().map(|ours| ours.name).collect();
    bail!(
        "no spec `{name_or_path}`{} (there are: {}, or the path of an XML file)",
        did_you_mean(name_or_path, names.iter().copied()),
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn unknown_spec_suggests_the_nearest() {
        let error = resolve("rabitmq").unwrap_err().to_string();
        assert!(error.contains("did you mean `rabbitmq`?"), "{error}");
    }
}
