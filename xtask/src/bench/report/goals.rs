//! The goals as `goals.toml` has them; `judge` says which of them a run meets.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::super::catalogue;
use super::super::results::Measure;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Goals {
    pub(super) codec: CodecGoal,
    pub(super) memory: Memory,
    #[serde(rename = "goal")]
    pub(super) goals: Vec<Goal>,
}

/// Bounds in KiB for all cases but some.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    pub(super) peak: f64,
    pub(super) growth: f64,
    pub(super) except: BTreeMap<String, String>,
}

/// A bound for some operations of the codec, as a part of what amq-protocol takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CodecGoal {
    pub(super) operations: Vec<String>,
    pub(super) at_most: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Goal {
    pub(super) case: String,
    #[serde(default = "two")]
    pub(super) workers: u8,
    pub(super) measure: Measure,
    #[serde(default, deserialize_with = "against")]
    pub(super) against: Against,
    pub(super) at_least: Option<f64>,
    pub(super) at_most: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Against {
    Peer,
    RustPeer,
    Raw,
    Floor,
    /// Ourselves in another case.
    Case(String),
    /// The figure as it is.
    #[default]
    Nothing,
}

fn two() -> u8 {
    2
}

fn against<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Against, D::Error> {
    let word = String::deserialize(deserializer)?;
    Ok(match (word.as_str(), word.strip_prefix("case:")) {
        ("peer", _) => Against::Peer,
        ("rust-peer", _) => Against::RustPeer,
        ("raw", _) => Against::Raw,
        ("floor", _) => Against::Floor,
        (_, Some(case)) => Against::Case(case.to_owned()),
        _ => return Err(serde::de::Error::custom(format!("against = {word:?}"))),
    })
}

impl Goals {
    pub(crate) fn read() -> Result<Self> {
        let goals: Self = toml::from_str(include_str!("goals.toml")).context("goals.toml")?;
        let is_case = |name: &str| catalogue::CASES.iter().any(|case| case.name == name);
        for goal in &goals.goals {
            let other = match &goal.against {
                Against::Case(other) => other,
                _ => &goal.case,
            };
            if !is_case(&goal.case) || !is_case(other) {
                bail!("goals.toml: no case {} or {other}", goal.case);
            }
            if goal.at_least.is_some() == goal.at_most.is_some() {
                bail!("goals.toml: {} needs one of at-least and at-most", goal.case);
            }
        }
        if let Some(unknown) = goals.memory.except.keys().find(|name| !is_case(name)) {
            bail!("goals.toml: no case {unknown}");
        }
        Ok(goals)
    }

    /// The cases whose memory is not bounded, each with the reason.
    pub(crate) fn unbounded(&self) -> impl Iterator<Item = (&str, &str)> {
        self.memory.except.iter().map(|(case, reason)| (&**case, &**reason))
    }
}
