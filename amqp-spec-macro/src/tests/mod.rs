//! Tests of the whole pipeline, from XML text to formatted Rust.

mod errors;
mod files;
mod golden;
mod official;

use super::emit::Options;
use super::expand::expand;

/// What the macro emits, as a person would have written it.
fn formatted(text: &str, file: &str, options: &Options) -> String {
    let tokens = expand(text, file, options).expect("the specification compiles");
    prettyplease::unparse(&syn::parse2(tokens).expect("the expansion is a list of items"))
}
