//! The macros by which code asks what the compiled specification has.
//!
//! They are exported `macro_rules!`, so two of one name cannot stand in a crate: hence the names are
//! the caller's choice.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

use super::diagnostics::listing;
use super::model::Spec;
use super::{Options, docs, ident};

/// How many names `require_spec!` takes.
const ALTERNATIVES: usize = 4;

/// Those macros that the options name.
pub(super) fn macros(spec: &Spec, options: &Options) -> TokenStream {
    let if_spec = options.if_spec.as_ref().map(|name| if_spec(name, spec));
    let require_spec = options.require_spec.as_ref().map(|name| require_spec(name, options));
    quote!(#if_spec #require_spec)
}

fn if_spec(name: &Ident, spec: &Spec) -> TokenStream {
    let doc = docs::doc(&[
        "Compiles one of two pieces of code by whether the compiled specification has something.",
        "",
        "Asks for `class`, `class.method`, `class.method.field`, `class.properties.name` or",
        "`constant.name`, all in snake case. The `else` may be left out. Works as an item, a",
        "statement and an expression. Reserved fields count as absent.",
        "",
        "```ignore",
        "if_spec! { basic.nack => { let how = \"nack\"; } else { let how = \"reject\"; } }",
        "```",
    ]);
    let paths = paths(spec);
    quote! {
        #doc
        #[macro_export]
        macro_rules! #name {
            #((#paths => { $($yes:tt)* } $(else { $($no:tt)* })?) => { $($yes)* };)*
            ($first:ident $(. $rest:ident)* => { $($yes:tt)* } $(else { $($no:tt)* })?) => {
                $($($no)*)?
            };
        }
    }
}

/// Everything that can be asked for and is there, as tokens with dots.
fn paths(spec: &Spec) -> Vec<TokenStream> {
    let mut paths = Vec::new();
    for class in &spec.classes {
        let of = bare(&class.name.plain);
        paths.push(quote!(#of));
        for method in &class.methods {
            let name = bare(&method.name.plain);
            paths.push(quote!(#of.#name));
            for field in method.fields().filter(|field| !field.reserved) {
                let field = bare(&field.name.plain);
                paths.push(quote!(#of.#name.#field));
            }
        }
        for property in class.properties.iter().flat_map(|properties| &properties.list) {
            if !property.field.reserved {
                let name = bare(&property.field.name.plain);
                paths.push(quote!(#of.properties.#name));
            }
        }
    }
    for constant in &spec.constants {
        let name = bare(&constant.name.plain);
        paths.push(quote!(constant.#name));
    }
    paths
}

/// A name without keyword escapes: a keyword is a fine token to match.
fn bare(plain: &str) -> Ident {
    ident(plain)
}

fn require_spec(name: &Ident, options: &Options) -> TokenStream {
    let spec = &options.name;
    let doc = docs::doc(&[
        "Refuses to compile unless the compiled specification is one of those named.",
        "",
        "An environment variable can be missing without anybody noticing; this notices.",
        "",
        "```ignore",
        "require_spec!(\"0-9-1\", \"rabbitmq\");",
        "```",
    ]);
    let accepted = (0..ALTERNATIVES).map(|before| {
        let before = before_it(before);
        let spec = Literal::string(spec);
        quote!((#($#before:literal,)* #spec $(, $rest:literal)* $(,)?) => {};)
    });
    let wrong = format!("\", but \"{spec}\" is compiled in");
    let remedies = remedies(&wrong, options);
    let unknown = unknown(options);
    quote! {
        #doc
        #[macro_export]
        macro_rules! #name {
            #(#accepted)*
            #(#remedies)*
            ($wanted:literal $(, $other:literal)* $(,)?) => {
                ::core::compile_error!(::core::concat!(
                    "this code needs the AMQP specification \"",
                    $wanted,
                    $("\" or \"", $other,)*
                    #wrong,
                    #unknown
                ));
            };
        }
    }
}

/// Names for the literals that stand before the one that matters.
fn before_it(count: usize) -> Vec<Ident> {
    (0..count).map(|index| quote::format_ident!("_{index}")).collect()
}

/// The rules that say how to get the first of the named specifications that there is.
fn remedies(wrong: &str, options: &Options) -> Vec<TokenStream> {
    let Some(variable) = &options.variable else { return Vec::new() };
    let rule = |before: usize, name: &str| {
        let before = before_it(before);
        let remedy = format!(
            "{wrong}; build with {variable}={name}, or put {variable} = \"{name}\" under [env] in \
             .cargo/config.toml"
        );
        quote! {
            (#($#before:literal,)* #name $(, $rest:literal)* $(,)?) => {
                ::core::compile_error!(::core::concat!(
                    "this code needs the AMQP specification \"",
                    #($#before, "\" or \"",)*
                    #name,
                    $("\" or \"", $rest,)*
                    #remedy
                ));
            };
        }
    };
    let names =
        || options.bundled.iter().map(|(name, _)| name).filter(|name| **name != options.name);
    (0..ALTERNATIVES).flat_map(|before| names().map(move |name| rule(before, name))).collect()
}

/// What to say if no specification goes by any of the names.
fn unknown(options: &Options) -> Option<String> {
    let path = options.variable.as_ref().map(|variable| {
        format!(
            "; the environment variable {variable} may hold the absolute path of a file so named"
        )
    });
    if options.bundled.is_empty() {
        return path;
    }
    let names = listing(options.bundled.iter().map(|(name, _)| name.as_str()));
    Some(format!(
        "; no specification that comes along is so called (there are: {names}){}",
        path.unwrap_or_default()
    ))
}
