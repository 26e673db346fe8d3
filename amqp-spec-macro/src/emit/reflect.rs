//! Static descriptions: the runtime's `SpecInfo`, `ClassInfo`, `MethodInfo` and `FieldInfo`.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::ident;
use super::model::{Class, Constant, Field, Method, Spec, Version};

/// Functions that keep the descriptions to a line for each field and constant. They are private to
/// the expansion, on its marker type, where no name of a specification can meet theirs.
pub(super) fn shorthand(runtime: &TokenStream) -> TokenStream {
    quote! {
        #[allow(dead_code)]
        impl Spec {
            const fn field(
                name: &'static str,
                wire_type: #runtime::reflect::WireType,
                domain: &'static str,
            ) -> #runtime::reflect::FieldInfo {
                #runtime::reflect::FieldInfo { name, wire_type, domain, reserved: false }
            }

            const fn reserved(
                name: &'static str,
                wire_type: #runtime::reflect::WireType,
                domain: &'static str,
            ) -> #runtime::reflect::FieldInfo {
                #runtime::reflect::FieldInfo { name, wire_type, domain, reserved: true }
            }

            const fn constant(name: &'static str, value: u32) -> #runtime::reflect::ConstantInfo {
                #runtime::reflect::ConstantInfo { name, value, class: ::core::option::Option::None }
            }

            const fn error(
                name: &'static str,
                value: u32,
                class: &'static str,
            ) -> #runtime::reflect::ConstantInfo {
                let class = ::core::option::Option::Some(class);
                #runtime::reflect::ConstantInfo { name, value, class }
            }
        }
    }
}

/// An expression of type `SpecInfo`.
pub(super) fn spec(spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let classes = spec.classes.iter().map(|class| ident(&class.module));
    let constants = spec.constants.iter().map(constant);
    quote! {
        #runtime::reflect::SpecInfo {
            name: NAME,
            version: VERSION,
            protocol_header: PROTOCOL_HEADER,
            port: DEFAULT_PORT,
            classes: &[#(#classes::Method::INFO,)*],
            constants: &[#(#constants,)*],
        }
    }
}

/// An expression of type `Version`.
pub(super) fn version(version: Version, runtime: &TokenStream) -> TokenStream {
    let major = Literal::u8_unsuffixed(version.major);
    let minor = Literal::u8_unsuffixed(version.minor);
    let revision = match version.revision.map(Literal::u8_unsuffixed) {
        Some(revision) => quote!(::core::option::Option::Some(#revision)),
        None => quote!(::core::option::Option::None),
    };
    quote!(#runtime::reflect::Version { major: #major, minor: #minor, revision: #revision })
}

fn constant(constant: &Constant) -> TokenStream {
    let name = &constant.name.spec;
    let value = Literal::u32_unsuffixed(constant.value);
    match &constant.class {
        Some(class) => quote!(Spec::error(#name, #value, #class)),
        None => quote!(Spec::constant(#name, #value)),
    }
}

/// An expression of type `ClassInfo`, for the class's module.
pub(super) fn class(class: &Class, runtime: &TokenStream) -> TokenStream {
    let name = &class.name.spec;
    let id = Literal::u16_unsuffixed(class.id);
    let properties = class.properties.iter().flat_map(|properties| &properties.list);
    let properties = fields(properties.map(|property| &property.field), runtime);
    let methods = class.methods.iter().map(|method| ident(&method.type_name));
    quote! {
        #runtime::reflect::ClassInfo {
            name: #name,
            id: #id,
            properties: #properties,
            methods: &[#(<#methods as #runtime::Method>::INFO,)*],
        }
    }
}

/// An expression of type `MethodInfo`.
pub(super) fn method(method: &Method, class: &Class, runtime: &TokenStream) -> TokenStream {
    let (class_name, name) = (&class.name.spec, &method.name.spec);
    let full_name = format!("{class_name}.{name}");
    let class_id = Literal::u16_unsuffixed(class.id);
    let method_id = Literal::u16_unsuffixed(method.id);
    let fields = fields(method.fields(), runtime);
    let responses = method.reply.answers().iter().map(|answer| &answer.spec);
    let Method { synchronous, content, from_client, from_server, .. } = method;
    quote! {
        #runtime::reflect::MethodInfo {
            class: #class_name,
            name: #name,
            full_name: #full_name,
            class_id: #class_id,
            method_id: #method_id,
            fields: #fields,
            synchronous: #synchronous,
            content: #content,
            responses: &[#(#responses,)*],
            from_client: #from_client,
            from_server: #from_server,
        }
    }
}

/// An expression of type `&'static [FieldInfo]`. The import, local to it, is for legibility.
fn fields<'a>(fields: impl Iterator<Item = &'a Field>, runtime: &TokenStream) -> TokenStream {
    let fields: Vec<TokenStream> = fields
        .map(|field| {
            let (name, domain) = (&field.name.spec, &field.domain);
            let wire_type = field.wire.variant();
            let make = ident(if field.reserved { "reserved" } else { "field" });
            quote!(super::Spec::#make(#name, WireType::#wire_type, #domain))
        })
        .collect();
    if fields.is_empty() {
        return quote!(&[]);
    }
    quote!({
        use #runtime::reflect::WireType;
        &[#(#fields,)*]
    })
}
