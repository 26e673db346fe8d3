//! What turns values into bodies and back: the trait, octets as they are, and text.

use amqp_types::Body;
use bytes::Bytes;

use super::CodecError;

/// Turns values into bodies, and bodies into values. One codec may do so for many types: [`Text`] for one, `Json` (feature
/// `json`) for all that serde knows.
///
/// ```
/// use amqp_connector::typed::{BodyCodec, CodecError};
/// use amqp_connector::{Body, Bytes};
///
/// /// Numbers, as eight octets.
/// struct Number;
///
/// impl BodyCodec<u64> for Number {
///     fn content_type(&self) -> Option<&str> {
///         Some("application/x-number")
///     }
///
///     fn encode(&self, value: &u64) -> Result<Bytes, CodecError> {
///         Ok(Bytes::copy_from_slice(&value.to_be_bytes()))
///     }
///
///     fn decode(&self, body: &Body, _content_type: Option<&str>) -> Result<u64, CodecError> {
///         let octets = <[u8; 8]>::try_from(&*body.to_bytes()).map_err(CodecError::decode)?;
///         Ok(u64::from_be_bytes(octets))
///     }
/// }
///
/// let body = Number.encode(&7).unwrap();
/// assert_eq!(Number.decode(&body.into(), None).unwrap(), 7);
/// assert!(Number.decode(&"seven".into(), None).is_err());
/// ```
pub trait BodyCodec<T> {
    /// The content type of what it encodes; `None` to leave that property out.
    fn content_type(&self) -> Option<&str>;

    /// The body that the value is.
    ///
    /// # Errors
    ///
    /// [`CodecError::encode`].
    fn encode(&self, value: &T) -> Result<Bytes, CodecError>;

    /// The value that a body is, whose message has this content type, if it has any. It is called with whatever anybody
    /// may publish, and must not panic.
    ///
    /// # Errors
    ///
    /// [`CodecError::decode`], and [`CodecError::content_type`] for a type that it does not know.
    fn decode(&self, body: &Body, content_type: Option<&str>) -> Result<T, CodecError>;
}

/// Bodies as they are: octets, of any content type, and published without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl BodyCodec<Bytes> for Raw {
    fn content_type(&self) -> Option<&str> {
        None
    }

    fn encode(&self, value: &Bytes) -> Result<Bytes, CodecError> {
        Ok(value.clone())
    }

    fn decode(&self, body: &Body, _content_type: Option<&str>) -> Result<Bytes, CodecError> {
        Ok(body.to_bytes())
    }
}

/// Text in UTF-8: `text/plain; charset=utf-8`. Reads every `text/*` of that charset, of US-ASCII, or of none; and a message
/// without a content type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text;

impl BodyCodec<String> for Text {
    fn content_type(&self) -> Option<&str> {
        Some("text/plain; charset=utf-8")
    }

    fn encode(&self, value: &String) -> Result<Bytes, CodecError> {
        Ok(value.clone().into())
    }

    fn decode(&self, body: &Body, content_type: Option<&str>) -> Result<String, CodecError> {
        if let Some(found) = content_type
            && !is_text(found)
        {
            return Err(CodecError::content_type(found));
        }
        String::from_utf8(body.to_bytes().into()).map_err(CodecError::decode)
    }
}

fn is_text(content_type: &str) -> bool {
    let is_known = |charset: &str| {
        let charset = charset.trim().trim_matches('"');
        ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
    };
    let (essence, parameters) = essence(content_type);
    let charset = parameters.filter(|(name, _)| name.eq_ignore_ascii_case("charset"));
    is_of(essence, "text") && charset.map(|(_, value)| value).all(is_known)
}

/// Whether `type/subtype` is of this type.
fn is_of(essence: &str, kind: &str) -> bool {
    essence.split_once('/').is_some_and(|(found, _)| found.eq_ignore_ascii_case(kind))
}

/// A MIME type's `type/subtype`, and its parameters.
pub(super) fn essence(content_type: &str) -> (&str, impl Iterator<Item = (&str, &str)>) {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let parameters = parts.filter_map(|parameter| parameter.split_once('='));
    (essence, parameters.map(|(name, value)| (name.trim(), value.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_of_any_content_type_come_as_they_are() {
        let body = Raw.encode(&Bytes::from_static(b"\xff\x00")).unwrap();
        assert_eq!(Raw.decode(&body.into(), Some("image/png")).unwrap(), &b"\xff\x00"[..]);
        assert_eq!(Raw.content_type(), None);
    }

    #[test]
    fn text_reads_what_it_writes_and_every_kind_of_text_in_its_charset() {
        let body = Body::from(Text.encode(&"Grüße".to_owned()).unwrap());
        for known in [
            None,
            Text.content_type(),
            Some("text/html"),
            Some("TEXT/plain ; Charset=\"UTF-8\""),
            Some("text/plain;charset=us-ascii"),
        ] {
            assert_eq!(Text.decode(&body, known).unwrap(), "Grüße", "{known:?}");
        }
    }

    #[test]
    fn text_refuses_other_types_other_charsets_and_what_is_not_utf_8() {
        let body = Body::from("x");
        for unknown in ["image/png", "text/plain; charset=latin1", "text", "", ";", "texts/x"] {
            let error = Text.decode(&body, Some(unknown)).unwrap_err();
            assert!(error.is_content_type(), "{unknown}: {error}");
        }
        let error = Text.decode(&Bytes::from_static(b"\xff").into(), None).unwrap_err();
        assert!(!error.is_content_type());
        assert!(std::error::Error::source(&error).is_some());
    }
}
