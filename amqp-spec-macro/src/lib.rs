//! Reads an AMQP XML specification at compile time and emits typed methods and codecs.
//!
//! Users meet it as `amqp_types::protocol!`; what it emits calls into `amqp_types`.
//!
//! ```text
//! args ─► source ─► xml ─► model ─► emit ─► tokens
//!                    └───────┴─► diagnostics: all complaints of a build at once
//! ```

mod args;
mod diagnostics;
mod emit;
mod expand;
mod model;
mod source;
mod surface;
#[cfg(test)]
mod tests;
mod xml;

use std::path::PathBuf;

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use args::Args;
use diagnostics::Error;
use emit::Options;
use source::{Environment, Source};

/// Emits a protocol module's items from an AMQP XML specification.
///
/// The first argument is the XML file's path, relative to the folder of the caller's `Cargo.toml`.
/// Put the macro into a module of its own:
///
/// ```ignore
/// pub mod protocol {
///     amqp_types::protocol! { "specs/amqp0-9-1.xml" }
/// }
/// ```
///
/// Options follow after commas:
///
/// - `override = "VARIABLE"`: that environment variable, if set, names the spec to compile instead:
///   one of `bundled`, or the absolute path of an XML file.
/// - `bundled = { "name" => "path", .. }`: specs that go by a name; emits `BUNDLED`.
/// - `if_spec = name`: emits an exported macro of that name that asks what the spec has.
/// - `require_spec = name`: emits an exported macro of that name that refuses other specs.
/// - `crate = path`: where to find `amqp_types`, if not at `::amqp_types`.
/// - `name = "..."`: what the file is called; its bundled name or its file name otherwise.
/// - `protocol_header = b"AMQP...."`: for a file from whose version the header does not follow.
#[proc_macro]
pub fn protocol(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let args = match syn::parse::<Args>(input) {
        Ok(args) => args,
        Err(error) => return error.into_compile_error().into(),
    };
    let span = args.path.span();
    expand_file(args, &environment).unwrap_or_else(|errors| compile_errors(span, &errors)).into()
}

/// The environment of the crate being compiled.
fn environment(variable: Option<&str>) -> Environment {
    // Reading a variable leaves no trace for cargo; the expansion contains `option_env!` for that.
    Environment {
        folder: std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default(),
        selection: variable.and_then(std::env::var_os),
    }
}

fn expand_file(
    args: Args,
    environment: &dyn Fn(Option<&str>) -> Environment,
) -> Result<TokenStream, Vec<Error>> {
    let source = source::load(&args, &environment(args.variable.as_deref()))?;
    let mut errors = Vec::new();
    let mut bundled = Vec::new();
    for listed in &source.bundled {
        match expand::version(&listed.text, &listed.shown) {
            Ok(version) => bundled.push((listed.name.clone(), version)),
            // The file that is compiled reports for itself.
            Err(_) if listed.shown == source.shown => {}
            Err(listed) => errors.extend(listed),
        }
    }
    let Source { name, shown, text, default, tracked, .. } = source;
    let options = Options {
        name,
        protocol_header: args.protocol_header.filter(|_| default),
        if_spec: args.if_spec,
        require_spec: args.require_spec,
        variable: args.variable,
        bundled,
        tracked,
        ..match args.runtime {
            Some(runtime) => Options { runtime, ..Options::default() },
            None => Options::default(),
        }
    };
    match expand::expand(&text, &shown, &options) {
        Ok(tokens) if errors.is_empty() => Ok(tokens),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

/// One compiler error for each complaint, pointing at the path literal.
fn compile_errors(span: Span, errors: &[Error]) -> TokenStream {
    let messages = errors.iter().map(ToString::to_string);
    quote_spanned!(span=> #(::core::compile_error!(#messages);)*)
}
