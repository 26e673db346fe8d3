//! Static descriptions: the runtime's `SpecInfo`, `ClassInfo`, `MethodInfo` and `FieldInfo`.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::ident;
use super::model::{Class, Constant, Field, Method, Spec, Version};

/// An expression of type `SpecInfo`.
pub(super) fn spec(spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let classes = spec.classes.iter().map(|class| ident(&class.module));
    let constants = spec.constants.iter().map(|it| constant(it, runtime));
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

fn constant(constant: &Constant, runtime: &TokenStream) -> TokenStream {
    let name = &constant.name.spec;
    let value = Literal::u32_unsuffixed(constant.value);
    let class = match &constant.class {
        Some(class) => quote!(::core::option::Option::Some(#class)),
        None => quote!(::core::option::Option::None),
    };
    quote!(#runtime::reflect::ConstantInfo { name: #name, value: #value, class: #class })
}

/// An expression of type `ClassInfo`, for the class's module.
pub(super) fn class(class: &Class, runtime: &TokenStream) -> TokenStream {
    let name = &class.name.spec;
    let id = Literal::u16_unsuffixed(class.id);
    let properties = class.properties.iter().flat_map(|properties| &properties.list);
    let properties = properties.map(|property| field(&property.field, runtime));
    let methods = class.methods.iter().map(|method| ident(&method.type_name));
    quote! {
        #runtime::reflect::ClassInfo {
            name: #name,
            id: #id,
            properties: &[#(#properties,)*],
            methods: &[#(<#methods as #runtime::Method>::INFO,)*],
        }
    }
}

/// An expression of type `MethodInfo`.
pub(super) fn method(method: &Method, class: &Class, runtime: &TokenStream) -> TokenStream {
    let (class_name, name) = (&class.name.spec, &method.name.spec);
    let class_id = Literal::u16_unsuffixed(class.id);
    let method_id = Literal::u16_unsuffixed(method.id);
    let fields = method.fields().map(|it| field(it, runtime));
    let responses = method.reply.answers().iter().map(|answer| &answer.spec);
    let Method { synchronous, content, from_client, from_server, .. } = method;
    quote! {
        #runtime::reflect::MethodInfo {
            class: #class_name,
            name: #name,
            class_id: #class_id,
            method_id: #method_id,
            fields: &[#(#fields,)*],
            synchronous: #synchronous,
            content: #content,
            responses: &[#(#responses,)*],
            from_client: #from_client,
            from_server: #from_server,
        }
    }
}

fn field(field: &Field, runtime: &TokenStream) -> TokenStream {
    let (name, domain, reserved) = (&field.name.spec, &field.domain, field.reserved);
    let wire_type = field.wire.variant();
    quote! {
        #runtime::reflect::FieldInfo {
            name: #name,
            wire_type: #runtime::reflect::WireType::#wire_type,
            domain: #domain,
            reserved: #reserved,
        }
    }
}
