//! The resolved specification to Rust tokens. One file for each kind of item that comes out.
//!
//! Emission is total: whatever the model holds can be emitted, so nothing here returns an error,
//! looks anything up by name, or knows AMQP beyond the model. What it emits is thin: the octets are
//! handled by the hand-written `wire` module of the runtime crate.
//!
//! Emitted paths start at `::core`, `::std`, the runtime crate or the class's own module, because a
//! spec may well have a method called `ok`, `option` or `string`.

mod capability;
mod class;
mod constants;
mod dispatch;
mod docs;
mod method;
mod properties;
mod reflect;
mod wire;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use super::{diagnostics, model};
use model::{Spec, Version};

/// What the expansion depends on besides the specification.
#[derive(Debug)]
pub(crate) struct Options {
    /// What the spec is called: `NAME`, and what `require_spec!` compares with.
    pub(crate) name: String,
    /// Path of the crate that has `wire`, `reflect` and the traits.
    pub(crate) runtime: TokenStream,
    /// Instead of the header that follows from the version.
    pub(crate) protocol_header: Option<[u8; 8]>,
    /// The name of the capability macro, if one is wanted.
    pub(crate) if_spec: Option<Ident>,
    /// The name of the checking macro, if one is wanted.
    pub(crate) require_spec: Option<Ident>,
    /// The environment variable that selects another spec, if any does.
    pub(crate) variable: Option<String>,
    /// Name and version of each specification to choose from.
    pub(crate) bundled: Vec<(String, Version)>,
    /// Absolute paths whose change must cause another expansion.
    pub(crate) tracked: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "spec".to_owned(),
            runtime: quote!(::amqp_types),
            protocol_header: None,
            if_spec: None,
            require_spec: None,
            variable: None,
            bundled: Vec::new(),
            tracked: Vec::new(),
        }
    }
}

/// All items of a protocol module.
pub(crate) fn emit(spec: &Spec, options: &Options) -> TokenStream {
    let runtime = &options.runtime;
    let tracking = tracking(options);
    let identity = constants::identity(spec, options);
    let constants = constants::constants(spec);
    let reply_codes = constants::reply_code(spec);
    let dispatch = dispatch::all(spec, runtime);
    let classes = spec.classes.iter().map(|class| class::module(class, spec, runtime));
    let capability = capability::macros(spec, options);
    quote! {
        #tracking
        #identity
        #constants
        #reply_codes
        #dispatch
        #(#classes)*
        #capability
    }
}

/// Reading a file in a macro leaves no trace for cargo; these lines do.
fn tracking(options: &Options) -> TokenStream {
    let files = options.tracked.iter();
    let variable = options.variable.iter();
    quote! {
        #(const _: &[u8] = ::core::include_bytes!(#files);)*
        #(const _: ::core::option::Option<&str> = ::core::option_env!(#variable);)*
    }
}

/// An identifier that the model made.
fn ident(name: &str) -> Ident {
    match name.strip_prefix("r#") {
        Some(raw) => Ident::new_raw(raw, Span::call_site()),
        None => Ident::new(name, Span::call_site()),
    }
}
