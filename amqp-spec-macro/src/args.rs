//! The macro's arguments: a path, then options.
//!
//! Parsing only; what a path means is the business of `source`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{LitByteStr, LitInt, LitStr, Token, braced, bracketed};

use super::diagnostics::{listing, nearest};

/// The options that there are.
const OPTIONS: [&str; 7] =
    ["override", "bundled", "if_spec", "require_spec", "crate", "name", "protocol_header"];

/// What the caller wrote.
pub(crate) struct Args {
    /// The XML file, relative to the folder of the caller's `Cargo.toml`.
    pub(crate) path: LitStr,
    /// The environment variable that may name another spec.
    pub(crate) variable: Option<String>,
    /// Specs that go by a name: name and path.
    pub(crate) bundled: Vec<(String, String)>,
    pub(crate) if_spec: Option<Ident>,
    pub(crate) require_spec: Option<Ident>,
    pub(crate) runtime: Option<TokenStream>,
    /// What the file of `path` is called.
    pub(crate) name: Option<String>,
    /// The protocol header of the file of `path`.
    pub(crate) protocol_header: Option<[u8; 8]>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self {
            path: input.parse()?,
            variable: None,
            bundled: Vec::new(),
            if_spec: None,
            require_spec: None,
            runtime: None,
            name: None,
            protocol_header: None,
        };
        let mut seen = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key = input.call(Ident::parse_any)?;
            if seen.contains(&key) {
                return Err(syn::Error::new(key.span(), format!("option `{key}` is given twice")));
            }
            input.parse::<Token![=]>()?;
            args.option(&key, input)?;
            seen.push(key);
        }
        Ok(args)
    }
}

impl Args {
    fn option(&mut self, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        match key.to_string().as_str() {
            "override" => self.variable = Some(nonempty(input)?),
            "bundled" => self.bundled = bundled(input)?,
            "if_spec" => self.if_spec = Some(input.parse()?),
            "require_spec" => self.require_spec = Some(input.parse()?),
            "crate" => self.runtime = Some(crate_path(input)?),
            "name" => self.name = Some(nonempty(input)?),
            "protocol_header" => self.protocol_header = Some(protocol_header(input)?),
            other => {
                let near = nearest(other, OPTIONS);
                let near = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
                let message =
                    format!("unknown option `{other}`{near} (there are: {})", listing(OPTIONS));
                return Err(syn::Error::new(key.span(), message));
            }
        }
        Ok(())
    }
}

fn nonempty(input: ParseStream<'_>) -> syn::Result<String> {
    let literal: LitStr = input.parse()?;
    let text = literal.value();
    if text.is_empty() {
        return Err(syn::Error::new(literal.span(), "must not be empty"));
    }
    Ok(text)
}

/// `{ "name" => "path", .. }`
fn bundled(input: ParseStream<'_>) -> syn::Result<Vec<(String, String)>> {
    let content;
    braced!(content in input);
    let mut list: Vec<(String, String)> = Vec::new();
    while !content.is_empty() {
        let name: LitStr = content.parse()?;
        content.parse::<Token![=>]>()?;
        let path = nonempty(&content)?;
        if list.iter().any(|(earlier, _)| *earlier == name.value()) {
            let message = format!("{:?} is bundled twice", name.value());
            return Err(syn::Error::new(name.span(), message));
        }
        list.push((name.value(), path));
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(list)
}

/// A path that means the same in every module of the expansion.
fn crate_path(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let start = input.span();
    let leading: Option<Token![::]> = input.parse()?;
    let mut segments: Punctuated<Ident, Token![::]> = Punctuated::new();
    loop {
        segments.push_value(input.call(Ident::parse_any)?);
        match input.parse::<Option<Token![::]>>()? {
            Some(separator) => segments.push_punct(separator),
            None => break,
        }
    }
    let from_root = leading.is_some() || segments.first().is_some_and(|first| *first == "crate");
    if !from_root {
        return Err(syn::Error::new(start, "must begin with `::` or `crate`"));
    }
    Ok(located_here(quote!(#leading #segments)))
}

/// The tokens as if the macro had made them: lints then treat all that is emitted alike.
fn located_here(tokens: TokenStream) -> TokenStream {
    let located = tokens.into_iter().map(|mut token| {
        token.set_span(token.span().located_at(Span::call_site()));
        token
    });
    located.collect::<TokenStream>().into_token_stream()
}

/// `b"AMQP...."` or `[65, 77, ..]`, eight octets.
fn protocol_header(input: ParseStream<'_>) -> syn::Result<[u8; 8]> {
    let start = input.span();
    let octets: Vec<u8> = if input.peek(syn::token::Bracket) {
        let content;
        bracketed!(content in input);
        let list = Punctuated::<LitInt, Token![,]>::parse_terminated(&content)?;
        list.iter().map(LitInt::base10_parse).collect::<syn::Result<_>>()?
    } else {
        input.parse::<LitByteStr>()?.value()
    };
    <[u8; 8]>::try_from(octets).map_err(|octets| {
        let message = format!("a protocol header has 8 octets, not {}", octets.len());
        syn::Error::new(start, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        syn::parse_str::<Args>(text).err().unwrap().to_string()
    }

    #[test]
    fn all_options() {
        let args: Args = syn::parse_str(
            r#""a.xml", override = "SPEC", bundled = { "x" => "x.xml", "y" => "y.xml" },
            if_spec = has, require_spec = needs, crate = ::a::b, name = "mine",
            protocol_header = b"AMQP\x00\x00\x09\x01","#,
        )
        .unwrap();
        assert_eq!(args.path.value(), "a.xml");
        assert_eq!(args.variable.unwrap(), "SPEC");
        assert_eq!(args.bundled[1], ("y".to_owned(), "y.xml".to_owned()));
        assert_eq!(args.if_spec.unwrap(), "has");
        assert_eq!(args.require_spec.unwrap(), "needs");
        assert_eq!(args.runtime.unwrap().to_string(), ":: a :: b");
        assert_eq!(args.name.unwrap(), "mine");
        assert_eq!(args.protocol_header, Some(*b"AMQP\x00\x00\x09\x01"));
    }

    #[test]
    fn a_header_may_be_a_list() {
        let args: Args =
            syn::parse_str(r#""a", protocol_header = [65, 77, 81, 80, 1, 1, 8, 0]"#).unwrap();
        assert_eq!(args.protocol_header, Some(*b"AMQP\x01\x01\x08\x00"));
        assert_eq!(
            error(r#""a", protocol_header = b"AMQP""#),
            "a protocol header has 8 octets, not 4"
        );
    }

    #[test]
    fn mistakes_say_what_is_possible() {
        assert_eq!(
            error(r#""a", requires_spec = x"#),
            "unknown option `requires_spec`, did you mean `require_spec`? (there are: override, \
             bundled, if_spec, require_spec, crate, name, protocol_header)"
        );
        assert_eq!(error(r#""a", name = "x", name = "y""#), "option `name` is given twice");
        assert_eq!(error(r#""a", crate = types"#), "must begin with `::` or `crate`");
        assert_eq!(error(r#""a", bundled = { "x" => "a", "x" => "b" }"#), "\"x\" is bundled twice");
    }
}
