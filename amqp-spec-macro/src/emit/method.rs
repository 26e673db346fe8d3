//! A method: its struct, its codec, its traits, and the enum of its replies if there are several.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::class::odd_case;
use super::model::{Argument, Class, Field, Method, Reply, Spec, WireType};
use super::{docs, ident, reflect};

/// All items of one method.
pub(super) fn items(
    method: &Method,
    class: &Class,
    spec: &Spec,
    runtime: &TokenStream,
) -> TokenStream {
    let structure = structure(method, class, spec, runtime);
    let codec = method_trait(method, class, spec, runtime);
    let request = request(method, class, spec, runtime);
    let markers = markers(method, runtime);
    quote! {
        #structure
        #codec
        #request
        #markers
    }
}

fn structure(method: &Method, class: &Class, spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let doc = docs::method(method, class, spec);
    let name = ident(&method.type_name);
    let fields = method.fields().filter(|field| !field.reserved).map(|field| {
        let doc = docs::field(field);
        let name = ident(&field.name.value);
        let kind = field.wire.rust(runtime);
        quote!(#doc pub #name: #kind)
    });
    let allow = method.fields().find_map(|field| odd_case(&field.name.plain));
    let hidden = hidden(method, class);
    let debug = hidden.is_none().then(|| quote!(Debug,));
    quote! {
        #doc
        #allow
        #[derive(Clone, #debug Default, PartialEq)]
        pub struct #name {
            #(#fields,)*
        }

        #hidden
    }
}

/// `Debug` of a method with secrets, which are not shown.
fn hidden(method: &Method, class: &Class) -> Option<TokenStream> {
    method.fields().find(|field| field.is_secret(class))?;
    let shown = method.fields().filter(|field| !field.reserved).map(|field| {
        let place = ident(&field.name.value);
        let name = &field.name.plain;
        match (field.is_secret(class), field.wire) {
            (false, _) => quote!(.field(#name, &self.#place)),
            (true, WireType::LongStr) => {
                quote!(.field(#name, &::core::format_args!("[{} octets]", self.#place.len())))
            }
            (true, _) => quote!(.field(#name, &::core::format_args!("[hidden]"))),
        }
    });
    let (name, text) = (ident(&method.type_name), &method.type_name);
    Some(quote! {
        /// Of a secret the size alone.
        impl ::core::fmt::Debug for #name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(#text)
                    #(#shown)*
                    .finish()
            }
        }
    })
}

fn method_trait(method: &Method, class: &Class, spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let name = ident(&method.type_name);
    let spec_name = format!("{}.{}", class.name.spec, method.name.spec);
    let class_id = Literal::u16_unsuffixed(class.id);
    let method_id = Literal::u16_unsuffixed(method.id);
    let info = reflect::method(method, class, runtime);
    let encode = encode(method, runtime);
    let decode = decode(method, runtime);
    let values = values(method, runtime);
    let class_variant = ident(&class.name.type_name);
    let sole = spec.classes.iter().map(|class| class.methods.len()).sum::<usize>() == 1;
    let other = (!sole).then(|| quote!(other => ::core::result::Result::Err(other),));
    let none = (!sole).then(|| quote!(_ => ::core::option::Option::None,));
    quote! {
        impl #runtime::Method for #name {
            type Protocol = super::Spec;
            const CLASS_ID: u16 = #class_id;
            const METHOD_ID: u16 = #method_id;
            const NAME: &'static str = #spec_name;
            const INFO: &'static #runtime::reflect::MethodInfo = &#info;

            #encode
            #decode
            #values

            fn into_any(self) -> super::Method {
                super::Method::#class_variant(Method::#name(self))
            }

            fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
                match any {
                    super::Method::#class_variant(Method::#name(method)) => {
                        ::core::result::Result::Ok(method)
                    }
                    #other
                }
            }

            fn from_any_mut(any: &mut super::Method) -> ::core::option::Option<&mut Self> {
                match any {
                    super::Method::#class_variant(Method::#name(method)) => {
                        ::core::option::Option::Some(method)
                    }
                    #none
                }
            }
        }
    }
}

fn encode(method: &Method, runtime: &TokenStream) -> TokenStream {
    let writer = ident(if method.arguments.is_empty() { "_writer" } else { "writer" });
    let place = |field: &Field| {
        if field.reserved {
            return field.wire.zero(runtime);
        }
        let name = ident(&field.name.value);
        quote!(self.#name)
    };
    let writes = method.arguments.iter().map(|argument| match argument {
        Argument::One(field) => field.wire.write(&writer, &place(field)),
        Argument::Bits(run) => {
            let run = run.iter().map(place);
            quote!(#writer.bits([#(#run),*]);)
        }
    });
    quote! {
        #[inline]
        fn encode_arguments(
            &self,
            #writer: &mut #runtime::wire::Writer<'_>,
        ) -> ::core::result::Result<(), #runtime::EncodeError> {
            #(#writes)*
            ::core::result::Result::Ok(())
        }
    }
}

fn decode(method: &Method, runtime: &TokenStream) -> TokenStream {
    let reader = ident(if method.arguments.is_empty() { "_reader" } else { "reader" });
    let reads = method.arguments.iter().map(|argument| match argument {
        Argument::One(field) => {
            let name = ident(&field.name.value);
            let place = (!field.reserved).then(|| quote!(self.#name));
            field.wire.read(&reader, place.as_ref())
        }
        Argument::Bits(run) => {
            let names = run.iter().map(|field| match field.reserved {
                true => quote!(_),
                false => {
                    let name = ident(&field.name.value);
                    quote!(self.#name)
                }
            });
            quote!([#(#names),*] = #reader.bits()?;)
        }
    });
    quote! {
        fn read_arguments(
            &mut self,
            #reader: &mut #runtime::wire::Reader<'_>,
        ) -> ::core::result::Result<(), #runtime::DecodeError> {
            #(#reads)*
            ::core::result::Result::Ok(())
        }
    }
}

fn values(method: &Method, runtime: &TokenStream) -> TokenStream {
    let values = method.fields().map(|field| {
        if field.reserved {
            return field.wire.zero_value(runtime);
        }
        let name = ident(&field.name.value);
        field.wire.value(runtime, &quote!(self.#name))
    });
    quote! {
        fn values(&self) -> ::std::vec::Vec<#runtime::reflect::Value> {
            ::std::vec![#(#values),*]
        }
    }
}

/// `Request`, for a method that is answered, and its reply enum.
fn request(method: &Method, class: &Class, spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let name = ident(&method.type_name);
    let (reply, items) = match &method.reply {
        Reply::None => return TokenStream::new(),
        Reply::One(answer) => (ident(&answer.type_name), None),
        Reply::Several { type_name, .. } => {
            (ident(type_name), Some(replies(method, class, spec, runtime)))
        }
    };
    let wants_reply = method.no_wait().map(|field| {
        let field = ident(&field.name.value);
        quote! {
            fn wants_reply(&self) -> bool {
                !self.#field
            }
        }
    });
    quote! {
        #items

        impl #runtime::Request for #name {
            type Reply = #reply;
            #wants_reply
        }
    }
}

fn replies(method: &Method, class: &Class, spec: &Spec, runtime: &TokenStream) -> TokenStream {
    let Reply::Several { type_name, answers } = &method.reply else { return TokenStream::new() };
    let doc = docs::reply(method, class);
    let name = ident(type_name);
    let class_variant = ident(&class.name.type_name);
    let variants: Vec<_> = answers.iter().map(|answer| ident(&answer.variant)).collect();
    let types: Vec<_> = answers.iter().map(|answer| ident(&answer.type_name)).collect();
    let variant_docs = answers
        .iter()
        .map(|answer| docs::doc(&[format!("`{}.{}`.", class.name.spec, answer.spec)]));
    let total: usize = spec.classes.iter().map(|class| class.methods.len()).sum();
    let other =
        (total != answers.len()).then(|| quote!(other => ::core::result::Result::Err(other),));
    quote! {
        #doc
        #[allow(clippy::large_enum_variant)]
        #[derive(Clone, Debug, PartialEq)]
        pub enum #name {
            #(#variant_docs #variants(#types),)*
        }

        impl #runtime::Reply for #name {
            type Protocol = super::Spec;

            fn accepts(class_id: u16, method_id: u16) -> bool {
                #(<#types as #runtime::Reply>::accepts(class_id, method_id))||*
            }

            fn from_any(any: super::Method) -> ::core::result::Result<Self, super::Method> {
                match any {
                    #(super::Method::#class_variant(Method::#types(method)) => {
                        ::core::result::Result::Ok(Self::#variants(method))
                    })*
                    #other
                }
            }
        }
    }
}

/// Who may send the method, and whether content follows it.
fn markers(method: &Method, runtime: &TokenStream) -> TokenStream {
    let name = ident(&method.type_name);
    let client = method.from_client.then(|| quote!(impl #runtime::ClientMethod for #name {}));
    let server = method.from_server.then(|| quote!(impl #runtime::ServerMethod for #name {}));
    let content = method.content.then(|| {
        quote! {
            impl #runtime::ContentMethod for #name {
                type Properties = Properties;
            }
        }
    });
    quote!(#client #server #content)
}
