//! AMQP 0-8, 0-9 and 0-9-1 as octets and types, without any I/O.
//!
//! The protocol is compiled from the XML specification: each method is a struct in
//! [`mod@protocol`], [`protocol::Method`] is the enum of them all, and `AMQP_SPEC=0-8 cargo build`
//! compiles another version. What the XML does not say is written by hand: the [`wire`] encodings,
//! [`frame`]s, [`content`]s, and field tables. The crate has no runtime and no socket, so it serves
//! connectors, proxies and analysers alike.
//!
//! # Reading a captured frame
//!
//! ```
//! use amqp_types::AnyMethod as _;
//! use amqp_types::protocol::{self, Method, connection};
//! use amqp_types::reflect::Described;
//! use bytes::BytesMut;
//!
//! let mut captured = BytesMut::from(
//!     &b"\x01\0\0\0\0\0\x0c\0\x0a\0\x1e\x07\xff\0\x02\0\0\0\x3c\xce"[..],
//! );
//! let frame = protocol::FRAMING.decode(&mut captured, 131_072)?.expect("a whole frame");
//!
//! // As a type ...
//! let method = Method::decode(&frame.payload)?;
//! if let Method::Connection(connection::Method::Tune(tune)) = &method {
//!     assert_eq!((tune.channel_max, tune.frame_max, tune.heartbeat), (2047, 131_072, 60));
//! }
//!
//! // ... or, for a tool that shows any frame, by the names of the specification.
//! let shown = Described::new(&protocol::INFO, (&frame).into()).to_string();
//! assert_eq!(shown, "connection.tune channel-max=2047 frame-max=131072 heartbeat=60");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Frames that carry a content are put together by a [`content::Assembler`] per channel.
//!
//! # Writing a frame
//!
//! A payload is written straight into the outgoing buffer. Fields that are not named are zero, and
//! `..Default::default()` keeps the code compiling under every version.
//!
//! ```
//! use amqp_types::frame::FrameKind;
//! use amqp_types::protocol::{FRAMING, queue};
//! use amqp_types::wire::Writer;
//! use amqp_types::{Method as _, field_table, short_str};
//! use bytes::BytesMut;
//!
//! let declare = queue::Declare {
//!     queue: short_str!("orders"),
//!     durable: true,
//!     arguments: field_table! { "x-max-length" => 1000 },
//!     ..Default::default()
//! };
//! let mut out = BytesMut::new();
//! let start = FRAMING.begin(&mut out, FrameKind::Method, 1);
//! declare.encode(&mut Writer::new(&mut out))?;
//! FRAMING.end(&mut out, start)?;
//! assert_eq!(out[..7], [1, 0, 1, 0, 0, 0, out.len() as u8 - 8]);
//! # Ok::<(), amqp_types::EncodeError>(())
//! ```
//!
//! # Other specifications
//!
//! [`protocol!`] compiles any XML file of the specification's form into a module of your own:
//!
//! ```
//! mod old {
//!     amqp_types::protocol! { "specs/amqp0-8.xml" }
//! }
//!
//! assert_eq!(old::PROTOCOL_HEADER, *b"AMQP\x01\x01\x08\x00");
//! ```
//!
//! The path is relative to the crate's `Cargo.toml`.
//!
//! # Trust
//!
//! Octets from a peer never cause a panic: whatever is malformed is a [`DecodeError`], with its
//! place, or a [`FrameError`]. Tables are held to [`Limits`](wire::Limits), and no length makes
//! room before its octets are there. A strict [`Writer`](wire::Writer) sends only values that every
//! broker reads.
//!
//! # Features
//!
//! - `serde`: `Serialize` and `Deserialize` for [`ShortStr`], [`FieldTable`], [`FieldValue`] and
//!   what is in them. Nothing is lost: order, duplicate keys, types, and octets that are no text.

#![forbid(unsafe_code)]

// The emitted code names this crate as any user's crate does.
extern crate self as amqp_types;

pub mod content;
mod decimal;
mod error;
pub mod frame;
mod long_str;
mod method;
mod octets;
pub mod protocol;
pub mod reflect;
#[cfg(feature = "serde")]
mod serde_impls;
mod short_str;
mod table;
mod timestamp;
mod value;
pub mod wire;

pub use amqp_spec_macro::protocol;
pub use bytes;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use content::Body;
pub use decimal::Decimal;
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use frame::FrameError;
pub use long_str::LongStr;
pub use method::{
    AnyMethod, AnyProperties, ClientMethod, ContentMethod, Method, Properties, Protocol, Reply,
    Request, ServerMethod,
};
pub use short_str::{InvalidShortStr, ShortStr};
pub use table::{FieldArray, FieldTable, TableEntries};
pub use timestamp::{Timestamp, TimestampRange};
pub use value::FieldValue;
