//! Why a value has no body, or a body is no value.

use std::error::Error;
use std::fmt;

/// What a codec says of a value or body that it can make nothing of.
pub struct CodecError {
    what: What,
}

#[derive(Debug)]
enum What {
    ContentType(Box<str>),
    Encode(Box<dyn Error + Send + Sync>),
    Decode(Box<dyn Error + Send + Sync>),
}

impl CodecError {
    /// The message's content type is not one that the codec reads.
    pub fn content_type(found: &str) -> Self {
        Self { what: What::ContentType(found.into()) }
    }

    /// The value cannot be encoded.
    pub fn encode(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { what: What::Encode(source.into()) }
    }

    /// The body is not of the type that was asked for.
    pub fn decode(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { what: What::Decode(source.into()) }
    }

    /// Whether the body was not looked at, since its content type is another one.
    #[must_use]
    pub fn is_content_type(&self) -> bool {
        matches!(self.what, What::ContentType(_))
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::ContentType(found) => write!(f, "the codec does not read content type {found:?}"),
            What::Encode(source) => write!(f, "the value cannot be encoded: {source}"),
            What::Decode(source) => write!(f, "the body cannot be decoded: {source}"),
        }
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.what {
            What::ContentType(_) => None,
            What::Encode(source) | What::Decode(source) => Some(&**source),
        }
    }
}
