//! What the specification is, and its numbers: the items at the top of the expansion.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

use super::model::{ReplyCode, Severity, Spec, Version};
use super::{Options, docs, ident, reflect};

/// `NAME`, `VERSION`, `PROTOCOL_HEADER`, `DEFAULT_PORT`, `FRAMING`, `INFO`, `BUNDLED`.
pub(super) fn identity(spec: &Spec, options: &Options) -> TokenStream {
    let runtime = &options.runtime;
    let name = &options.name;
    let version = reflect::version(spec.version, runtime);
    let header = options.protocol_header.unwrap_or(spec.version.protocol_header());
    let [name_doc, version_doc, header_doc, port_doc] = [
        format!("What the compiled specification is called: `{name}`."),
        format!(
            "The version that the specification gives itself: {}.",
            docs::version(spec.version)
        ),
        format!("The octets by which a client opens a connection: `{}`.", docs::header(header)),
        format!("The TCP port of the protocol: {}.", spec.port),
    ]
    .map(|line| docs::doc(&[line]));
    let header = Literal::byte_string(&header);
    let port = Literal::u16_unsuffixed(spec.port);
    let framing = framing(spec, runtime);
    let info = reflect::spec(spec, runtime);
    let bundled = bundled(options);
    quote! {
        #name_doc
        pub const NAME: &str = #name;

        #version_doc
        pub const VERSION: #runtime::reflect::Version = #version;

        #header_doc
        pub const PROTOCOL_HEADER: [u8; 8] = *#header;

        #port_doc
        pub const DEFAULT_PORT: u16 = #port;

        #framing

        /// The whole specification as data.
        pub static INFO: #runtime::reflect::SpecInfo = #info;

        #bundled
    }
}

fn framing(spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let framing = spec.framing;
    let octets = [framing.method, framing.header, framing.body, framing.heartbeat, framing.end];
    let [method, header, body, heartbeat, end] = octets.map(Literal::u8_unsuffixed);
    let min_size = Literal::u32_unsuffixed(framing.min_size);
    quote! {
        /// The numbers that frames are made of.
        pub const FRAMING: #runtime::frame::Framing = #runtime::frame::Framing {
            method: #method,
            header: #header,
            body: #body,
            heartbeat: #heartbeat,
            end: #end,
            min_size: #min_size,
        };
    }
}

fn bundled(options: &Options) -> Option<TokenStream> {
    let runtime = &options.runtime;
    let list = options.bundled.iter().map(|(name, it): &(String, Version)| {
        let version = reflect::version(*it, runtime);
        let header = Literal::byte_string(&it.protocol_header());
        quote! {
            #runtime::reflect::BundledSpec {
                name: #name,
                version: #version,
                protocol_header: *#header,
            }
        }
    });
    (!options.bundled.is_empty()).then(|| {
        quote! {
            /// The specifications that this crate can be compiled with.
            pub const BUNDLED: &[#runtime::reflect::BundledSpec] = &[#(#list,)*];
        }
    })
}

/// The module of all constants.
pub(super) fn constants(spec: &Spec) -> TokenStream {
    let constants = spec.constants.iter().map(|constant| {
        let class = constant.class.as_ref().map(|class| format!(" ({class})")).unwrap_or_default();
        let place = format!("`{}:{}`", spec.file, constant.line);
        let doc = docs::doc(&[format!(
            "`{}` = {}{class}, declared in {place}.",
            constant.name.spec, constant.value
        )]);
        let name = ident(&constant.name.constant);
        let value = Literal::u32_unsuffixed(constant.value);
        quote!(#doc pub const #name: u32 = #value;)
    });
    quote! {
        /// The specification's constants.
        pub mod constants {
            #(#constants)*
        }
    }
}

/// The type of reply codes: open, so that a code of another version survives.
pub(super) fn reply_code(spec: &Spec) -> TokenStream {
    let constants = spec.reply_codes.iter().map(|code| {
        let (number, name) = (code.code, &code.name.spec);
        let doc = docs::doc(&[match code.severity {
            Severity::None => format!("{number} `{name}`: no error."),
            Severity::Soft => format!("{number} `{name}`: closes the channel."),
            Severity::Hard => format!("{number} `{name}`: closes the connection."),
        }]);
        let constant = ident(&code.name.constant);
        let number = Literal::u16_unsuffixed(code.code);
        quote!(#doc pub const #constant: Self = Self(#number);)
    });
    let questions = questions(spec);
    quote! {
        /// Why a channel or connection was closed, or a message returned.
        ///
        /// Brokers also send codes that the compiled specification does not name; those are kept as
        /// they are, and are neither soft nor hard.
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct ReplyCode(pub u16);

        impl ReplyCode {
            #(#constants)*
            #questions
        }

        impl ::core::convert::From<u16> for ReplyCode {
            fn from(code: u16) -> Self {
                Self(code)
            }
        }

        impl ::core::convert::From<ReplyCode> for u16 {
            fn from(code: ReplyCode) -> Self {
                code.0
            }
        }

        impl ::core::fmt::Debug for ReplyCode {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::write!(f, "ReplyCode({self})")
            }
        }

        impl ::core::fmt::Display for ReplyCode {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self.name() {
                    ::core::option::Option::Some(name) => ::core::write!(f, "{} {name}", self.0),
                    ::core::option::Option::None => ::core::write!(f, "{}", self.0),
                }
            }
        }
    }
}

fn questions(spec: &Spec) -> TokenStream {
    // Two names of one number: the first is the one to show.
    let mut first: Vec<&ReplyCode> = Vec::new();
    for code in &spec.reply_codes {
        if first.iter().all(|earlier| earlier.code != code.code) {
            first.push(code);
        }
    }
    let arm = |code: &ReplyCode| {
        let constant: Ident = ident(&code.name.constant);
        quote!(Self::#constant)
    };
    let patterns = first.iter().map(|code| arm(code));
    let names = first.iter().map(|code| &code.name.spec);
    let test = |severity| {
        let patterns = first.iter().filter(|code| code.severity == severity).map(|code| arm(code));
        let patterns: Vec<TokenStream> = patterns.collect();
        if patterns.is_empty() {
            quote!(false)
        } else {
            quote!(::core::matches!(self, #(#patterns)|*))
        }
    };
    let name = match first.as_slice() {
        [] => quote!(::core::option::Option::None),
        _ => quote! {
            match self {
                #(#patterns => ::core::option::Option::Some(#names),)*
                _ => ::core::option::Option::None,
            }
        },
    };
    let (soft, hard) = (test(Severity::Soft), test(Severity::Hard));
    quote! {
        /// The specification's name of the code, such as `not-found`; none for a number that it
        /// does not have.
        #[must_use]
        pub const fn name(self) -> ::core::option::Option<&'static str> {
            #name
        }

        /// Whether the code closes the channel and leaves the connection open.
        #[must_use]
        pub const fn is_soft_error(self) -> bool {
            #soft
        }

        /// Whether the code closes the connection.
        #[must_use]
        pub const fn is_hard_error(self) -> bool {
            #hard
        }
    }
}
