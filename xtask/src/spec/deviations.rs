//! amqp-types/specs/deviations.toml: where our files are meant to differ from the official ones.
//!
//! Used by `spec check` alone. An entry states the whole difference, so that it covers no other,
//! and one that matches nothing is an error.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::diff::Difference;
use crate::project;

const FILE: &str = "deviations.toml";

/// All entries of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deviations {
    #[serde(default, rename = "deviation")]
    entries: Vec<Deviation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deviation {
    /// The name of our spec.
    spec: String,
    /// The item as `spec check` prints it.
    item: String,
    /// What the official file says; absent where it has nothing.
    official: Option<String>,
    /// What ours says; absent where it has nothing.
    ours: Option<String>,
    /// Why.
    reason: String,
}

impl Deviations {
    /// Reads the file.
    pub(crate) fn read() -> Result<Self> {
        let text = project::read(&project::specs().join(FILE))?;
        Self::parse(&text).context(FILE)
    }

    fn parse(text: &str) -> Result<Self> {
        let deviations: Self = toml::from_str(text)?;
        for entry in &deviations.entries {
            if entry.reason.trim().is_empty() {
                bail!("{} {}: an entry needs its reason", entry.spec, entry.item);
            }
        }
        Ok(deviations)
    }

    /// The differences of one spec that no entry covers, and the entries that cover none.
    pub(crate) fn judge(&self, spec: &str, differences: &[Difference]) -> Vec<String> {
        let ours = || self.entries.iter().filter(|entry| entry.spec == spec);
        let unlisted = differences
            .iter()
            .filter(|difference| !ours().any(|entry| entry.covers(difference)))
            .map(|difference| format!("{difference}\n    not listed in {FILE}"));
        let unused = ours()
            .filter(|entry| !differences.iter().any(|difference| entry.covers(difference)))
            .map(|entry| format!("{FILE}: the entry for `{}` matches no difference", entry.item));
        unlisted.chain(unused).collect()
    }

    /// Entries for specs that do not exist.
    pub(crate) fn strays(&self, is_spec: impl Fn(&str) -> bool) -> Vec<String> {
        let strays = self.entries.iter().filter(|entry| !is_spec(&entry.spec));
        strays.map(|entry| format!("{FILE}: no spec of ours is named `{}`", entry.spec)).collect()
    }

    /// How many entries one spec has.
    pub(crate) fn count(&self, spec: &str) -> usize {
        self.entries.iter().filter(|entry| entry.spec == spec).count()
    }
}

impl Deviation {
    fn covers(&self, difference: &Difference) -> bool {
        self.item == difference.item
            && self.official == difference.left
            && self.ours == difference.right
    }
}

#[cfg(test)]
mod tests {
    use super::Deviations;
    use crate::spec::diff::Difference;

    const ENTRY: &str = r#"[[deviation]]
        spec = "s"
        item = "x.m id"
        official = "1"
        ours = "2"
        reason = "a broker does it""#;

    fn difference(right: &str) -> Difference {
        Difference {
            item: "x.m id".to_owned(),
            left: Some("1".to_owned()),
            right: Some(right.to_owned()),
        }
    }

    #[test]
    fn entry_covers_exactly_its_difference() {
        let deviations = Deviations::parse(ENTRY).unwrap();
        assert!(deviations.judge("s", &[difference("2")]).is_empty());
        assert_eq!(deviations.judge("s", &[difference("3")]).len(), 2);
        assert_eq!(deviations.judge("other", &[difference("2")]).len(), 1);
    }

    #[test]
    fn unused_entry_and_missing_reason_fail() {
        assert_eq!(Deviations::parse(ENTRY).unwrap().judge("s", &[]).len(), 1);
        assert!(Deviations::parse(&ENTRY.replace("a broker does it", " ")).is_err());
        assert!(Deviations::parse(&ENTRY.replace("ours", "mine")).is_err());
        assert_eq!(Deviations::parse(ENTRY).unwrap().strays(|name| name == "t").len(), 1);
    }
}
