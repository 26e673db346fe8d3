//! Wire types as tokens: the Rust type, and how the runtime crate reads, writes and shows it.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::ident;
use super::model::WireType;

impl WireType {
    /// The variant of the runtime's `WireType` and `Value`.
    pub(super) fn variant(self) -> Ident {
        ident(match self {
            Self::Bit => "Bit",
            Self::Octet => "Octet",
            Self::Short => "Short",
            Self::Long => "Long",
            Self::LongLong => "LongLong",
            Self::ShortStr => "ShortStr",
            Self::LongStr => "LongStr",
            Self::Timestamp => "Timestamp",
            Self::Table => "Table",
            Self::Content => "Content",
        })
    }

    /// The method of the runtime's `Reader` and `Writer`. A bit has none of its own; runs do.
    fn codec(self) -> Ident {
        ident(match self {
            Self::Bit => "bits",
            Self::Octet => "octet",
            Self::Short => "short",
            Self::Long => "long",
            Self::LongLong => "longlong",
            Self::ShortStr => "short_str",
            Self::LongStr => "long_str",
            Self::Timestamp => "timestamp",
            Self::Table => "table",
            Self::Content => "content",
        })
    }

    /// The type's name in the XML and the documentation.
    pub(crate) fn spec_name(self) -> &'static str {
        match self {
            Self::Bit => "bit",
            Self::Octet => "octet",
            Self::Short => "short",
            Self::Long => "long",
            Self::LongLong => "longlong",
            Self::ShortStr => "shortstr",
            Self::LongStr => "longstr",
            Self::Timestamp => "timestamp",
            Self::Table => "table",
            Self::Content => "content",
        }
    }

    /// The type of a struct's field.
    pub(super) fn rust(self, runtime: &TokenStream) -> TokenStream {
        match self {
            Self::Bit => quote!(bool),
            Self::Octet => quote!(u8),
            Self::Short => quote!(u16),
            Self::Long => quote!(u32),
            Self::LongLong => quote!(u64),
            Self::ShortStr => quote!(#runtime::ShortStr),
            Self::LongStr => quote!(#runtime::bytes::Bytes),
            Self::Timestamp => quote!(#runtime::Timestamp),
            Self::Table => quote!(#runtime::FieldTable),
            Self::Content => quote!(#runtime::wire::ContentDomain),
        }
    }

    /// Whether the Rust type is `Copy`.
    pub(super) fn is_copy(self) -> bool {
        match self {
            Self::Bit | Self::Octet | Self::Short | Self::Long | Self::LongLong => true,
            Self::Timestamp => true,
            Self::ShortStr | Self::LongStr | Self::Table | Self::Content => false,
        }
    }

    /// Whether writing can fail.
    fn may_fail(self) -> bool {
        matches!(self, Self::LongStr | Self::Table | Self::Content)
    }

    /// A statement that reads one value into `place`, or past it; not for bits.
    pub(super) fn read(self, reader: &Ident, place: Option<&TokenStream>) -> TokenStream {
        let codec = self.codec();
        match (self, place) {
            (Self::ShortStr, Some(place)) => quote!(#reader.short_str_into(&mut #place)?;),
            (_, Some(place)) => quote!(#place = #reader.#codec()?;),
            (_, None) => quote!(#reader.#codec()?;),
        }
    }

    /// The same for a property, which is an `Option`, and whose short strings may hold any octets.
    pub(super) fn read_property(
        self,
        reader: &Ident,
        place: Option<&TokenStream>,
        runtime: &TokenStream,
    ) -> TokenStream {
        let codec = self.codec();
        match (self, place) {
            (Self::ShortStr, Some(place)) => {
                quote!(#reader.short_octets_into(#place.insert(#runtime::ShortStr::EMPTY))?;)
            }
            (Self::ShortStr, None) => quote!(#reader.short_octets()?;),
            (_, Some(place)) => quote!(#place = ::core::option::Option::Some(#reader.#codec()?);),
            (_, None) => quote!(#reader.#codec()?;),
        }
    }

    /// A statement that writes the place `value`; not for bits.
    pub(super) fn write(self, writer: &Ident, value: &TokenStream) -> TokenStream {
        let value = if self.is_copy() { value.clone() } else { quote!(&#value) };
        self.write_argument(writer, &value)
    }

    /// A statement that writes `value`, a reference unless the type is `Copy`; not for bits.
    pub(super) fn write_argument(self, writer: &Ident, value: &TokenStream) -> TokenStream {
        let codec = self.codec();
        let question = self.may_fail().then(|| quote!(?));
        quote!(#writer.#codec(#value) #question;)
    }

    /// What a reserved field of this type is sent as.
    pub(super) fn zero(self, runtime: &TokenStream) -> TokenStream {
        match self {
            Self::Bit => quote!(false),
            Self::Octet | Self::Short | Self::Long | Self::LongLong => quote!(0),
            Self::ShortStr => quote!(#runtime::ShortStr::EMPTY),
            Self::LongStr => quote!(#runtime::bytes::Bytes::new()),
            Self::Timestamp => quote!(#runtime::Timestamp(0)),
            Self::Table => quote!(#runtime::FieldTable::new()),
            Self::Content => {
                quote!(<#runtime::wire::ContentDomain as ::core::default::Default>::default())
            }
        }
    }

    /// The place `value` as the runtime's `Value`.
    pub(super) fn value(self, runtime: &TokenStream, value: &TokenStream) -> TokenStream {
        let variant = self.variant();
        let clone = (!self.is_copy()).then(|| quote!(.clone()));
        quote!(#runtime::reflect::Value::#variant(#value #clone))
    }

    /// A reserved field as the runtime's `Value`.
    pub(super) fn zero_value(self, runtime: &TokenStream) -> TokenStream {
        let variant = self.variant();
        let zero = self.zero(runtime);
        quote!(#runtime::reflect::Value::#variant(#zero))
    }
}
