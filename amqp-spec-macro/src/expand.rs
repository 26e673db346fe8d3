//! The pipeline without a compiler around it: XML text in, tokens or every complaint out.
//!
//! `lib` calls it for the macro, the tests call it for everything else. It and the modules it uses
//! (`diagnostics`, `xml`, `model`, `emit`, `surface`) name neither `proc_macro` nor the file system,
//! and reach one another by relative paths, so that a tool can include them as modules of its own.

use proc_macro2::TokenStream;

use super::diagnostics::Error;
use super::emit::{self, Options};
use super::model::{Version, build};
use super::surface;

/// Expands a specification. `file` is the path that errors begin with.
pub(crate) fn expand(text: &str, file: &str, options: &Options) -> Result<TokenStream, Vec<Error>> {
    build::build(text, file).map(|spec| emit::emit(&spec, options))
}

/// The specification as lines to read: see [`surface`](surface::surface).
#[allow(dead_code, reason = "for tools and tests; the macro itself has no use for it")]
pub(crate) fn surface(text: &str, file: &str) -> Result<String, Vec<Error>> {
    build::build(text, file).map(|spec| surface::surface(&spec))
}

/// The version that a specification gives itself, whatever else is wrong with it.
pub(crate) fn version(text: &str, file: &str) -> Result<Version, Vec<Error>> {
    build::version(text, file)
}
