//! The macro's own pipeline as modules of xtask, to show what it emits without a compiler.
//!
//! Included by path, because a procedural macro's crate exports nothing else. Only `spec expand`,
//! `spec surface` and `bench` call it, and suggestions take its measure of nearness; the independent reader of the XML is [`model`](super::model).
#![allow(dead_code, unused_imports, reason = "the macro uses what these commands do not")]
#![allow(unreachable_pub, missing_debug_implementations)]

#[path = "../../../../amqp-spec-macro/src/diagnostics.rs"]
mod diagnostics;
#[path = "../../../../amqp-spec-macro/src/emit/mod.rs"]
mod emit;
#[path = "../../../../amqp-spec-macro/src/expand.rs"]
mod expand;
#[path = "../../../../amqp-spec-macro/src/model/mod.rs"]
mod model;
#[path = "../../../../amqp-spec-macro/src/surface.rs"]
mod surface;
#[path = "../../../../amqp-spec-macro/src/xml.rs"]
mod xml;

use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) use diagnostics::nearest;

use anyhow::{Context as _, Result, bail};

use crate::project;

/// What `protocol!` with this file and no options expands to.
pub(crate) fn expansion(path: &Path) -> Result<syn::File> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let options = emit::Options { name, ..emit::Options::default() };
    let tokens = told(expand::expand(&project::read(path)?, &project::shown(path), &options))?;
    syn::parse2(tokens).context("the expansion is no Rust; please report this")
}

/// How long the macro's own work takes with this file: from its text to tokens.
pub(crate) fn expansion_time(path: &Path) -> Result<Duration> {
    let (text, file) = (project::read(path)?, project::shown(path));
    let options = emit::Options { name: "rabbitmq".to_owned(), ..emit::Options::default() };
    let begin = Instant::now();
    let tokens = told(expand::expand(&text, &file, &options))?;
    let time = begin.elapsed();
    drop(tokens);
    Ok(time)
}

/// One line for each method, and what else is worth reading in a review.
pub(crate) fn surface_of(path: &Path) -> Result<String> {
    told(expand::surface(&project::read(path)?, &project::shown(path)))
}

fn told<T>(result: Result<T, Vec<diagnostics::Error>>) -> Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(errors) => {
            let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
            bail!("{}", lines.join("\n"))
        }
    }
}
