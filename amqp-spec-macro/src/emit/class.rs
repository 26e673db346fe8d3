//! A class's module: the structs, the enum over them, the properties.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

use super::model::{Class, Spec};
use super::{docs, ident, method, properties, reflect};

/// The whole module.
pub(super) fn module(class: &Class, spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let doc = docs::class(class, spec);
    let name = ident(&class.module);
    let allow = odd_case(&class.name.plain);
    let methods = class.methods.iter().map(|it| method::items(it, class, spec, runtime));
    let all = all_methods(class, runtime);
    let properties =
        class.properties.as_ref().map(|it| properties::items(it, class, spec, runtime));
    quote! {
        #doc
        #allow
        pub mod #name {
            #all
            #(#methods)*
            #properties
        }
    }
}

/// Names keep their case; where that is not Rust's, the lint is silenced for that item alone.
pub(super) fn odd_case(plain: &str) -> Option<TokenStream> {
    plain.contains(|c: char| c.is_ascii_uppercase()).then(|| quote!(#[allow(non_snake_case)]))
}

/// The enum over the class's methods, which the enum over all classes delegates to.
fn all_methods(class: &Class, runtime: &TokenStream) -> TokenStream {
    let name = &class.name.spec;
    let doc = docs::doc(&[format!("Any method of class `{name}`.")]);
    let info_doc = docs::doc(&[format!("The static description of class `{name}`.")]);
    let variants: Vec<Ident> = class.methods.iter().map(|it| ident(&it.type_name)).collect();
    let variant_docs =
        class.methods.iter().map(|it| docs::doc(&[format!("`{name}.{}`.", it.name.spec)]));
    let info = reflect::class(class, runtime);
    let decode = decode(class, runtime);
    let delegates = delegates(&variants, runtime);
    quote! {
        #doc
        #[allow(clippy::large_enum_variant)]
        #[derive(Clone, Debug, PartialEq)]
        pub enum Method {
            #(#variant_docs #variants(#variants),)*
        }

        impl Method {
            #info_doc
            pub const INFO: &'static #runtime::reflect::ClassInfo = &#info;

            #decode
            #delegates
        }
    }
}

/// The function that reads the arguments of the method of a number.
fn decode(class: &Class, runtime: &TokenStream) -> TokenStream {
    let class_id = Literal::u16_unsuffixed(class.id);
    let arms = class.methods.iter().map(|method| {
        let id = Literal::u16_unsuffixed(method.id);
        let name = ident(&method.type_name);
        quote!(#id => <#name as #runtime::Method>::decode_arguments_into(place, reader))
    });
    let unknown = quote! {
        ::core::result::Result::Err(#runtime::DecodeError::new(
            #runtime::DecodeErrorKind::UnknownMethod(#class_id, method_id),
            2,
        ))
    };
    let (place, reader, body) = match class.methods.len() {
        0 => (ident("_place"), ident("_reader"), unknown),
        _ => {
            let body = quote!(match method_id { #(#arms,)* _ => #unknown, });
            (ident("place"), ident("reader"), body)
        }
    };
    quote! {
        pub(super) fn decode_into(
            #place: &mut ::core::option::Option<super::Method>,
            method_id: u16,
            #reader: &mut #runtime::wire::Reader<'_>,
        ) -> ::core::result::Result<&'static #runtime::reflect::MethodInfo, #runtime::DecodeError> {
            #body
        }
    }
}

/// The functions that do what the method at hand does.
fn delegates(variants: &[Ident], runtime: &TokenStream) -> TokenStream {
    let infos = variants.iter().map(|variant| quote!(<#variant as #runtime::Method>::INFO));
    let infos = match_self(variants, &quote!(_), infos);
    let each = |call: TokenStream| {
        let calls = variants.iter().map(|_| quote!(#runtime::Method::#call));
        match_self(variants, &quote!(method), calls)
    };
    let encodings = each(quote!(encode(method, writer)));
    let values = each(quote!(values(method)));
    let writer = if variants.is_empty() { ident("_writer") } else { ident("writer") };
    quote! {
        pub(super) fn info(&self) -> &'static #runtime::reflect::MethodInfo {
            #infos
        }

        pub(super) fn encode(
            &self,
            #writer: &mut #runtime::wire::Writer<'_>,
        ) -> ::core::result::Result<(), #runtime::EncodeError> {
            #encodings
        }

        pub(super) fn values(&self) -> ::std::vec::Vec<#runtime::reflect::Value> {
            #values
        }
    }
}

/// A match over `self` with one arm for each variant; an enum without any has nothing to match.
pub(super) fn match_self(
    variants: &[Ident],
    binding: &TokenStream,
    arms: impl Iterator<Item = TokenStream>,
) -> TokenStream {
    if variants.is_empty() {
        return quote!(match *self {});
    }
    quote!(match self { #(Self::#variants(#binding) => #arms,)* })
}
