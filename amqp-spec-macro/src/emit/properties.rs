//! A class's content properties: the struct and its codec.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote;
use syn::LitInt;

use super::class::odd_case;
use super::model::{Class, Properties, Property, Spec, WireType};
use super::{docs, ident};

/// All items of one class's properties.
pub(super) fn items(
    properties: &Properties,
    class: &Class,
    spec: &Spec,
    runtime: &TokenStream,
) -> TokenStream {
    let structure = structure(properties, class, spec, runtime);
    let setters = setters(properties, runtime);
    let class_id = Literal::u16_unsuffixed(class.id);
    let encode = encode(properties, runtime);
    let decode = decode(properties, runtime);
    let values = values(properties, runtime);
    let variant = ident(&class.name.type_name);
    let sole = spec.classes.iter().filter(|class| class.properties.is_some()).count() == 1;
    let other = (!sole).then(|| quote!(other => ::core::result::Result::Err(other),));
    let none = (!sole).then(|| quote!(_ => ::core::option::Option::None,));
    quote! {
        #structure
        #setters

        impl #runtime::Properties for Properties {
            type Protocol = super::Spec;
            const CLASS_ID: u16 = #class_id;
            const INFO: &'static #runtime::reflect::ClassInfo = Method::INFO;

            #encode
            #decode
            #values

            fn into_any(self) -> super::Properties {
                super::Properties::#variant(self)
            }

            fn from_any(any: super::Properties) -> ::core::result::Result<Self, super::Properties> {
                match any {
                    super::Properties::#variant(properties) => {
                        ::core::result::Result::Ok(properties)
                    }
                    #other
                }
            }

            fn from_any_mut(any: &mut super::Properties) -> ::core::option::Option<&mut Self> {
                match any {
                    super::Properties::#variant(properties) => {
                        ::core::option::Option::Some(properties)
                    }
                    #none
                }
            }
        }
    }
}

fn structure(
    properties: &Properties,
    class: &Class,
    spec: &Spec,
    runtime: &TokenStream,
) -> TokenStream {
    let doc = docs::properties(properties, class, spec);
    let fields = sent(properties).map(|Property { field, .. }| {
        let doc = docs::field(field);
        let name = ident(&field.name.value);
        let kind = field.wire.rust(runtime);
        match field.wire {
            WireType::Bit => quote!(#doc pub #name: #kind),
            _ => quote!(#doc pub #name: ::core::option::Option<#kind>),
        }
    });
    let allow = sent(properties).find_map(|property| odd_case(&property.field.name.plain));
    quote! {
        #doc
        #allow
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Properties {
            #(#fields,)*
        }
    }
}

/// A method for each property that sets it, so that one can follow the other: `with_priority(9)`. It takes
/// the field's own type.
fn setters(properties: &Properties, runtime: &TokenStream) -> Option<TokenStream> {
    let setters = sent(properties).map(|Property { field, .. }| {
        let doc = docs::setter(field);
        let (name, kind) = (ident(&field.name.value), field.wire.rust(runtime));
        let setter = ident(&format!("with_{}", field.name.plain));
        let value = match field.wire {
            WireType::Bit => quote!(#name),
            _ => quote!(::core::option::Option::Some(#name)),
        };
        quote! {
            #doc
            #[inline]
            #[must_use]
            pub fn #setter(mut self, #name: #kind) -> Self {
                self.#name = #value;
                self
            }
        }
    });
    let allow = sent(properties).find_map(|property| odd_case(&property.field.name.plain));
    let any = sent(properties).next().is_some();
    any.then(|| {
        quote! {
            #allow
            impl Properties {
                #(#setters)*
            }
        }
    })
}

/// The properties that are not reserved.
fn sent(properties: &Properties) -> impl Iterator<Item = &Property> {
    properties.list.iter().filter(|property| !property.field.reserved)
}

/// Each property is looked at once: its flag is kept, and the flag words are written in the end into the
/// room left for them.
fn encode(properties: &Properties, runtime: &TokenStream) -> TokenStream {
    let writer = ident("writer");
    let flags = flag_idents(properties);
    let words = Literal::usize_unsuffixed(properties.words);
    let variables = flags.iter().enumerate().map(|(word, flags)| {
        let another = u16::from(word + 1 < properties.words);
        let another = Literal::u16_unsuffixed(another);
        let changes = sent(properties).any(|property| property.word == word);
        let mutable = changes.then(|| quote!(mut));
        quote!(let #mutable #flags: u16 = #another;)
    });
    let writes = sent(properties).map(|property| {
        let Property { field, word, .. } = property;
        let (name, mask, flags) = (ident(&field.name.value), mask(property), flags.get(*word));
        if field.wire == WireType::Bit {
            return quote! {
                if self.#name {
                    #flags |= #mask;
                }
            };
        }
        let place = if field.wire.is_copy() { quote!(self.#name) } else { quote!(&self.#name) };
        let write = field.wire.write_argument(&writer, &quote!(value));
        quote! {
            if let ::core::option::Option::Some(value) = #place {
                #flags |= #mask;
                #write
            }
        }
    });
    quote! {
        #[inline]
        fn encode(
            &self,
            writer: &mut #runtime::wire::Writer<'_>,
        ) -> ::core::result::Result<(), #runtime::EncodeError> {
            let place = writer.begin_flags::<#words>();
            #(#variables)*
            #(#writes)*
            writer.end_flags(place, [#(#flags),*]);
            ::core::result::Result::Ok(())
        }
    }
}

/// The variables that hold the flag words.
fn flag_idents(properties: &Properties) -> Vec<Ident> {
    (0..properties.words).map(|word| ident(&format!("flags_{word}"))).collect()
}

fn mask(property: &Property) -> LitInt {
    LitInt::new(&format!("{:#06x}", property.mask), Span::call_site())
}

fn decode(properties: &Properties, runtime: &TokenStream) -> TokenStream {
    let reader = ident("reader");
    let flags = flag_idents(properties);
    let reads = properties.list.iter().zip(flag_words(properties, &flags));
    let reads = reads.map(|(property, flags)| read(property, flags, &reader, runtime));
    let declared = Literal::usize_unsuffixed(properties.list.len());
    let flags = if properties.list.is_empty() { quote!([_]) } else { quote!([#(#flags),*]) };
    quote! {
        fn read(
            &mut self,
            #reader: &mut #runtime::wire::Reader<'_>,
        ) -> ::core::result::Result<(), #runtime::DecodeError> {
            let #flags = #reader.property_flags(#declared)?;
            #(#reads)*
            ::core::result::Result::Ok(())
        }
    }
}

/// For each property the variable that holds its flag word.
fn flag_words<'a>(
    properties: &'a Properties,
    flags: &'a [Ident],
) -> impl Iterator<Item = Option<&'a Ident>> {
    properties.list.iter().map(|property| flags.get(property.word))
}

fn read(
    property: &Property,
    flags: Option<&Ident>,
    reader: &Ident,
    runtime: &TokenStream,
) -> TokenStream {
    let field = &property.field;
    let mask = mask(property);
    let present = quote!(#flags & #mask != 0);
    let name = ident(&field.name.value);
    let place = (!field.reserved).then(|| quote!(self.#name));
    // A bit has no value besides its flag.
    if field.wire == WireType::Bit {
        return place.map(|place| quote!(#place = #present;)).unwrap_or_default();
    }
    let read = field.wire.read_property(reader, place.as_ref(), runtime);
    quote!(if #present { #read })
}

fn values(properties: &Properties, runtime: &TokenStream) -> TokenStream {
    let values = properties.list.iter().map(|Property { field, .. }| {
        let name = ident(&field.name.value);
        let variant = field.wire.variant();
        let value = quote!(#runtime::reflect::Value::#variant);
        match field.wire {
            _ if field.reserved => quote!(::core::option::Option::None),
            WireType::Bit => quote!(self.#name.then_some(#value(true))),
            kind if kind.is_copy() => quote!(self.#name.map(#value)),
            _ => quote!(self.#name.clone().map(#value)),
        }
    });
    quote! {
        fn values(&self) -> ::std::vec::Vec<::core::option::Option<#runtime::reflect::Value>> {
            ::std::vec![#(#values),*]
        }
    }
}
