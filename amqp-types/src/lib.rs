//! Wire types and the protocol generated from the AMQP XML specification.
#![forbid(unsafe_code)]

// The emitted code names this crate as any user's crate does.
extern crate self as amqp_types;

pub mod content;
pub mod decimal;
pub mod error;
pub mod frame;
pub mod method;
pub mod protocol;
pub mod reflect;
#[cfg(feature = "serde")]
mod serde_impls;
pub mod short_str;
pub mod table;
pub mod timestamp;
pub mod value;
pub mod wire;

pub use amqp_spec_macro::protocol;
pub use bytes;
pub use content::Body;
pub use decimal::Decimal;
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use frame::FrameError;
pub use method::{
    AnyMethod, AnyProperties, ClientMethod, ContentMethod, Method, Properties, Protocol, Reply,
    Request, ServerMethod,
};
pub use short_str::{InvalidShortStr, ShortStr};
pub use table::{FieldArray, FieldTable};
pub use timestamp::{Timestamp, TimestampRange};
pub use value::FieldValue;
