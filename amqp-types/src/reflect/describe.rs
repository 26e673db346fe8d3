//! [`Described`]: a frame in the words of a specification, for people who look at what passes.
//!
//! For analysers, taps and logs. What a peer proves itself by is never shown, and nothing of any length
//! in full. Reads by description, so that it is right for any specification, and slower than the
//! emitted types.

use std::fmt;

use super::{DynamicMethod, DynamicProperties, MethodInfo, SpecInfo, Value};
use crate::content::ContentHeader;
use crate::frame::{FrameKind, FrameRef};
use crate::wire::Payload;
use crate::{DecodeError, FieldValue};

/// Fields of methods that hold what a peer proves itself by.
const SECRETS: [&str; 3] = ["response", "new-secret", "challenge"];
/// The class of those methods.
const SECRETIVE: &str = "connection";

/// A frame in the words of a specification; [`Display`](fmt::Display) is one line.
///
/// ```
/// use amqp_types::protocol::{FRAMING, INFO};
/// use amqp_types::reflect::Described;
/// use bytes::BytesMut;
///
/// let mut captured = BytesMut::from(
///     &b"\x01\0\0\0\0\0\x0c\0\x0a\0\x1e\x07\xff\0\x02\0\0\0\x3c\xce\x03\0\x05\0\0\0\x02hi\xce"[..],
/// );
/// let mut frames = FRAMING.split(&mut captured, 131_072)?.expect("two whole frames");
/// let mut lines = Vec::new();
/// while let Some(frame) = frames.next_frame() {
///     lines.push(format!("{} {}", frame.channel, Described::new(&INFO, frame)));
/// }
/// assert_eq!(lines, [
///     "0 connection.tune channel-max=2047 frame-max=131072 heartbeat=60",
///     "5 body size=2 \"hi\"",
/// ]);
/// # Ok::<(), amqp_types::FrameError>(())
/// ```
///
/// A method is its name and its fields, a content header is `header`, the class, the body's size and
/// the properties that are there, a body is its first octets. Of reserved fields only those are shown that are not
/// zero. Text is quoted and escaped, so that nothing in it can pass for anything else, or command a
/// terminal; what is longer than the [limit](Self::with_limit) is cut, and its size shown. Secrets (the
/// client's answers in authentication, and what they answer) are shown as their size alone.
///
/// Numbers in tables have their type behind them if it is not the common one, 32 bits signed: `5_i64`. A byte
/// array is `x"..."`, a timestamp `@` and its seconds.
///
/// `Debug` shows no secret either.
#[derive(Clone, Debug)]
pub struct Described<'a> {
    frame: FrameRef<'a>,
    meaning: Meaning<'a>,
    limit: usize,
}

/// What a frame means.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Meaning<'a> {
    /// A method.
    Method(DynamicMethod),
    /// The header of a content.
    Header(ContentHeader<DynamicProperties>),
    /// A part of a body.
    Body(Payload<'a>),
    /// A sign of life.
    Heartbeat,
    /// A method or header that cannot be read.
    Malformed(DecodeError),
}

impl<'a> Described<'a> {
    /// How many octets of a body or string are shown if nothing else is said.
    pub const LIMIT: usize = 64;

    /// Reads the frame by this specification, such as [`INFO`](crate::protocol::INFO), with the default
    /// [`Limits`](crate::wire::Limits) on tables.
    #[must_use]
    pub fn new(spec: &SpecInfo, frame: FrameRef<'a>) -> Self {
        let meaning = match frame.kind {
            FrameKind::Method => DynamicMethod::decode(spec, frame.payload)
                .map_or_else(Meaning::Malformed, Meaning::Method),
            FrameKind::Header => ContentHeader::decode_dynamic(spec, frame.payload)
                .map_or_else(Meaning::Malformed, Meaning::Header),
            FrameKind::Body => Meaning::Body(frame.payload),
            FrameKind::Heartbeat => Meaning::Heartbeat,
        };
        Self { frame, meaning, limit: Self::LIMIT }
    }

    /// Shows so many octets of each body and string at most.
    #[must_use]
    pub const fn with_limit(mut self, octets: usize) -> Self {
        self.limit = octets;
        self
    }

    /// What it means, to show it otherwise. Mind [`MethodInfo::is_secret`].
    #[must_use]
    pub const fn meaning(&self) -> &Meaning<'a> {
        &self.meaning
    }

    /// The frame.
    #[must_use]
    pub const fn frame(&self) -> FrameRef<'a> {
        self.frame
    }

    /// The method's full name, or `header`, `body`, `heartbeat`; of a method that cannot be read `method`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match (&self.meaning, self.frame.kind) {
            (Meaning::Method(method), _) => method.info().full_name,
            (_, FrameKind::Method) => "method",
            (_, FrameKind::Header) => "header",
            (_, FrameKind::Body) => "body",
            (_, FrameKind::Heartbeat) => "heartbeat",
        }
    }

    fn fmt_method(&self, method: &DynamicMethod, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = method.info();
        for (field, value) in info.fields.iter().zip(method.values()) {
            if field.reserved && *value == Value::zero(field.wire_type) {
                continue;
            }
            write!(f, " {}=", field.name)?;
            match (value, info.is_secret(field.name)) {
                (Value::LongStr(octets), true) => write!(f, "[{} octets]", octets.len())?,
                (_, true) => f.write_str("[hidden]")?,
                (_, false) => self.fmt_value(value, f)?,
            }
        }
        Ok(())
    }

    fn fmt_header(
        &self,
        header: &ContentHeader<DynamicProperties>,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        write!(f, " {} body-size={}", header.properties.info().name, header.body_size)?;
        for (name, value) in header.properties.fields() {
            write!(f, " {name}=")?;
            self.fmt_value(value, f)?;
        }
        Ok(())
    }

    fn fmt_value(&self, value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match value {
            Value::Bit(value) => write!(f, "{value}"),
            Value::Octet(value) => write!(f, "{value}"),
            Value::Short(value) => write!(f, "{value}"),
            Value::Long(value) => write!(f, "{value}"),
            Value::LongLong(value) => write!(f, "{value}"),
            Value::ShortStr(text) => self.fmt_octets("", text.as_bytes(), f),
            Value::LongStr(octets) => self.fmt_octets("", octets, f),
            Value::Timestamp(time) => write!(f, "@{time}"),
            Value::Table(table) => self.fmt_table(table.iter(), f),
            Value::Content(content) => write!(f, "{content:?}"),
        }
    }

    fn fmt_table<'t>(
        &self,
        entries: impl Iterator<Item = (&'t crate::ShortStr, &'t FieldValue)>,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        f.write_str("{")?;
        for (at, (key, value)) in entries.enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            self.fmt_octets("", key.as_bytes(), f)?;
            f.write_str(": ")?;
            self.fmt_field(value, f)?;
        }
        f.write_str("}")
    }

    fn fmt_field(&self, value: &FieldValue, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match value {
            FieldValue::Bool(value) => write!(f, "{value}"),
            FieldValue::I8(value) => write!(f, "{value}_i8"),
            FieldValue::U8(value) => write!(f, "{value}_u8"),
            FieldValue::I16(value) => write!(f, "{value}_i16"),
            FieldValue::U16(value) => write!(f, "{value}_u16"),
            FieldValue::I32(value) => write!(f, "{value}"),
            FieldValue::U32(value) => write!(f, "{value}_u32"),
            FieldValue::I64(value) | FieldValue::I64Alt(value) => write!(f, "{value}_i64"),
            FieldValue::F32(value) => write!(f, "{value}_f32"),
            FieldValue::F64(value) => write!(f, "{value}_f64"),
            FieldValue::Decimal(value) => write!(f, "{value}_decimal"),
            FieldValue::LongString(octets) => self.fmt_octets("", octets, f),
            FieldValue::ByteArray(octets) => self.fmt_octets("x", octets, f),
            FieldValue::Array(values) => {
                f.write_str("[")?;
                for (at, value) in values.into_iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    self.fmt_field(value, f)?;
                }
                f.write_str("]")
            }
            FieldValue::Timestamp(time) => write!(f, "@{time}"),
            FieldValue::Table(table) => self.fmt_table(table.iter(), f),
            FieldValue::Void => f.write_str("void"),
        }
    }

    /// Quoted; no more than the limit, and then the size.
    fn fmt_octets(&self, mark: &str, octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = octets.get(..self.limit).unwrap_or(octets);
        match std::str::from_utf8(shown) {
            _ if !mark.is_empty() => write!(f, "{mark}\"{}\"", shown.escape_ascii())?,
            Ok(text) => write!(f, "{text:?}")?,
            // A character that is cut through is no reason to show the rest as octets.
            Err(error) if error.error_len().is_none() && shown.len() < octets.len() => {
                let whole = shown.get(..error.valid_up_to()).unwrap_or_default();
                write!(f, "{:?}", String::from_utf8_lossy(whole))?;
            }
            Err(_) => write!(f, "b\"{}\"", shown.escape_ascii())?,
        }
        match shown.len() < octets.len() {
            true => write!(f, "... [{} octets]", octets.len()),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match &self.meaning {
            Meaning::Method(method) => self.fmt_method(method, f),
            Meaning::Header(header) => self.fmt_header(header, f),
            Meaning::Body(octets) => {
                write!(f, " size={} ", octets.len())?;
                self.fmt_octets("", octets, f)
            }
            Meaning::Heartbeat => Ok(()),
            // Its octets could be a secret's.
            Meaning::Malformed(error) => {
                write!(f, " of {} octets cannot be read: {error}", self.frame.payload.len())
            }
        }
    }
}

impl MethodInfo {
    /// Whether the field of this name holds what a peer proves itself by, or may: it has no place in a log, and `Debug` of
    /// a method shows its size at most.
    #[must_use]
    pub fn is_secret(&self, field: &str) -> bool {
        self.class == SECRETIVE && SECRETS.contains(&field)
    }
}
