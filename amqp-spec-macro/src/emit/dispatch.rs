//! The enums over all classes, which know a method or a content header by its numbers, and the
//! marker type that stands for the protocol.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;

use super::class::match_self;
use super::model::{Class, Spec};
use super::{docs, ident, reflect};

/// `Spec`, `Method` and `Properties`.
pub(super) fn all(spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let marker = marker(runtime);
    let methods = methods(spec, runtime);
    let properties = properties(spec, runtime);
    quote!(#marker #methods #properties)
}

fn marker(runtime: &TokenStream) -> TokenStream {
    let shorthand = reflect::shorthand(runtime);
    quote! {
        /// The protocol that this module describes, for generic code.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct Spec;

        impl #runtime::Protocol for Spec {
            type Method = Method;
            type Properties = Properties;
            const INFO: &'static #runtime::reflect::SpecInfo = &INFO;
            const FRAMING: #runtime::frame::Framing = FRAMING;
        }

        #shorthand
    }
}

fn methods(spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let variants: Vec<Ident> = spec.classes.iter().map(|it| ident(&it.name.type_name)).collect();
    let modules: Vec<Ident> = spec.classes.iter().map(|it| ident(&it.module)).collect();
    let ids = spec.classes.iter().map(|class| Literal::u16_unsuffixed(class.id));
    let docs = spec.classes.iter().map(class_doc);
    let each = |call: TokenStream| {
        let calls = variants.iter().map(|_| quote!(method.#call));
        match_self(&variants, &quote!(method), calls)
    };
    let infos = each(quote!(info()));
    let encodings = each(quote!(encode(writer)));
    let values = each(quote!(values()));
    let place = ident(if variants.is_empty() { "_place" } else { "place" });
    quote! {
        /// Any method of the protocol.
        #[allow(clippy::large_enum_variant)]
        #[derive(Clone, Debug, PartialEq)]
        pub enum Method {
            #(#docs #variants(#modules::Method),)*
        }

        impl #runtime::AnyMethod for Method {
            type Protocol = Spec;

            fn info(&self) -> &'static #runtime::reflect::MethodInfo {
                #infos
            }

            fn decode_into(
                #place: &mut ::core::option::Option<Self>,
                reader: &mut #runtime::wire::Reader<'_>,
            ) -> ::core::result::Result<&'static #runtime::reflect::MethodInfo, #runtime::DecodeError>
            {
                let class_id = reader.short()?;
                let method_id = reader.short()?;
                match class_id {
                    #(#ids => #modules::Method::decode_into(place, method_id, reader),)*
                    unknown => ::core::result::Result::Err(#runtime::DecodeError::new(
                        #runtime::DecodeErrorKind::UnknownClass(unknown),
                        0,
                    )),
                }
            }

            fn encode(
                &self,
                writer: &mut #runtime::wire::Writer<'_>,
            ) -> ::core::result::Result<(), #runtime::EncodeError> {
                #encodings
            }

            fn values(&self) -> ::std::vec::Vec<#runtime::reflect::Value> {
                #values
            }
        }
    }
}

fn properties(spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let classes: Vec<&Class> =
        spec.classes.iter().filter(|class| class.properties.is_some()).collect();
    let variants: Vec<Ident> = classes.iter().map(|it| ident(&it.name.type_name)).collect();
    let modules: Vec<Ident> = classes.iter().map(|it| ident(&it.module)).collect();
    let docs = classes.iter().map(|class| class_doc(class));
    let infos = modules.iter().map(|module| quote!(#module::Method::INFO));
    let infos = match_self(&variants, &quote!(_), infos);
    let each = |call: TokenStream| {
        let calls = variants.iter().map(|_| quote!(#runtime::Properties::#call));
        match_self(&variants, &quote!(properties), calls)
    };
    let encodings = each(quote!(encode(properties, writer)));
    let values = each(quote!(values(properties)));
    let decode = decode_properties(spec, runtime);
    let writer = ident(if classes.is_empty() { "_writer" } else { "writer" });
    quote! {
        /// The properties of any class's content.
        #[allow(clippy::large_enum_variant)]
        #[derive(Clone, Debug, PartialEq)]
        pub enum Properties {
            #(#docs #variants(#modules::Properties),)*
        }

        impl #runtime::AnyProperties for Properties {
            type Protocol = Spec;

            fn class_id(&self) -> u16 {
                self.info().id
            }

            fn info(&self) -> &'static #runtime::reflect::ClassInfo {
                #infos
            }

            #decode

            fn encode(
                &self,
                #writer: &mut #runtime::wire::Writer<'_>,
            ) -> ::core::result::Result<(), #runtime::EncodeError> {
                #encodings
            }

            fn values(
                &self,
            ) -> ::std::vec::Vec<::core::option::Option<#runtime::reflect::Value>> {
                #values
            }
        }
    }
}

/// Tells a class without content from a class that the protocol does not have.
fn decode_properties(spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let error = |kind: TokenStream| {
        quote! {
            ::core::result::Result::Err(#runtime::DecodeError::new(
                #runtime::DecodeErrorKind::#kind,
                0,
            ))
        }
    };
    let unexpected = error(quote!(UnexpectedClass));
    let unknown = error(quote!(UnknownClass(unknown)));
    let arms = spec.classes.iter().map(|class| {
        let id = Literal::u16_unsuffixed(class.id);
        let module = ident(&class.module);
        match class.properties {
            Some(_) => quote! {
                #id => <#module::Properties as #runtime::Properties>::decode_into(place, reader)
            },
            None => quote!(#id => #unexpected),
        }
    });
    let some = spec.classes.iter().any(|class| class.properties.is_some());
    let (place, reader) = match some {
        true => (ident("place"), ident("reader")),
        false => (ident("_place"), ident("_reader")),
    };
    quote! {
        fn decode_into(
            #place: &mut ::core::option::Option<Self>,
            class_id: u16,
            #reader: &mut #runtime::wire::Reader<'_>,
        ) -> ::core::result::Result<(), #runtime::DecodeError> {
            match class_id {
                #(#arms,)*
                unknown => #unknown,
            }
        }
    }
}

fn class_doc(class: &Class) -> TokenStream {
    docs::doc(&[format!("Of class `{}`.", class.name.spec)])
}
