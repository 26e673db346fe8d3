//! Vectors of octets that must be refused, waited with, or at least survived.

use std::collections::BTreeMap;
use std::fmt;

use amqp_types::content::{AssembleError, Assembler, ContentHeader};
use amqp_types::frame::{Frame, FrameKind};
use amqp_types::reflect::{DynamicMethod, DynamicProperties};
use amqp_types::wire::Limits;
use amqp_types::{AnyMethod, DecodeError, DecodeErrorKind, FrameError, Protocol};
use bytes::{Bytes, BytesMut};

use super::json::Json;
use super::methods::verbatim;
use super::report::{Fault, Outcome};

/// The frame-max that the vectors were made for.
const FRAME_MAX: u32 = 131_072;
/// Channels that are open in a vector of a session; 0 is the connection.
const OPEN: [u16; 3] = [0, 1, 2];

/// What came of the octets.
enum Verdict {
    Accepted,
    Incomplete,
    /// The category as vectors name it, and what our error says.
    Refused(&'static str, String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("they are accepted"),
            Self::Incomplete => f.write_str("more are awaited"),
            Self::Refused(category, error) => write!(f, "they are refused, {category}: {error}"),
        }
    }
}

/// `{"level","hex","expect","error"}`.
pub(crate) fn check<P: Protocol>(vector: Json<'_>) -> Outcome {
    let octets = vector.hex("hex")?;
    let verdict = match vector.text("level")? {
        "stream" => stream::<P>(&octets)?,
        "method" => method::<P>(&octets)?,
        "header" => header::<P>(&octets)?,
        "session" => session::<P>(&octets),
        other => return Err(Fault::Skipped(format!("unknown level `{other}`"))),
    };
    match (vector.text("expect")?, &verdict) {
        ("no-crash", _) | ("ok", Verdict::Accepted) | ("incomplete", Verdict::Incomplete) => Ok(()),
        ("error", Verdict::Refused(category, _)) => {
            let wanted = vector.text("error").unwrap_or_default();
            if same_category(category, wanted) {
                return Ok(());
            }
            Err(format!("expected error {wanted}, but {verdict}").into())
        }
        (expected @ ("error" | "ok" | "incomplete"), _) => {
            Err(format!("expected {expected}, but {verdict}").into())
        }
        (other, _) => Err(Fault::Skipped(format!("unknown expectation `{other}`"))),
    }
}

/// Whether an error of ours is what a vector calls it. A name that is none of ours asks for any
/// error; an unexpected frame can also show as one of a wrong class, channel or length.
fn same_category(ours: &str, wanted: &str) -> bool {
    const KNOWN: [&str; 16] = [
        "truncated",
        "trailing-bytes",
        "unknown-class",
        "unknown-method",
        "unexpected-class",
        "invalid-utf8",
        "unknown-table-tag",
        "nesting-too-deep",
        "unknown-property",
        "bad-weight",
        "unexpected-frame",
        "bad-frame-end",
        "frame-too-large",
        "unknown-frame-type",
        "bad-heartbeat",
        "protocol-version-refused",
    ];
    ours == wanted
        || !KNOWN.contains(&wanted)
        || (wanted == "unexpected-frame" && ours == "unexpected-class")
        || (wanted == "unexpected-class" && ours == "unexpected-frame")
}

/// All frames of a stream; an incomplete one at the end is left where it is.
fn frames<P: Protocol>(octets: &[u8]) -> Result<(Vec<Frame>, BytesMut), FrameError> {
    let mut buf = BytesMut::from(octets);
    let mut frames = Vec::new();
    while let Some(frame) = P::FRAMING.decode(&mut buf, FRAME_MAX)? {
        frames.push(frame);
    }
    Ok((frames, buf))
}

fn stream<P: Protocol>(octets: &Bytes) -> Result<Verdict, String> {
    let (frames, rest) = match frames::<P>(octets) {
        Ok(parts) => parts,
        Err(error) => return Ok(refused_frame(error)),
    };
    let taken: usize = frames.iter().map(|frame| frame.payload.len() + 8).sum();
    if octets.get(taken..) != Some(rest.as_ref()) {
        return Err("octets of an incomplete frame were taken".to_owned());
    }
    Ok(if rest.is_empty() && !frames.is_empty() { Verdict::Accepted } else { Verdict::Incomplete })
}

/// By reflection and by type, which must agree; what is accepted must survive all uses.
fn method<P: Protocol>(octets: &Bytes) -> Result<Verdict, String> {
    let dynamic = DynamicMethod::decode(P::INFO, octets);
    let typed = P::Method::decode(octets);
    if let (Ok(dynamic), Ok(typed)) = (&dynamic, &typed) {
        let (_, _) = (format!("{dynamic:?}"), format!("{typed:?}"));
        if *typed != typed.clone() && !format!("{typed:?}").contains("NaN") {
            return Err("a decoded method is not equal to its clone".to_owned());
        }
        verbatim(|writer| typed.encode(writer)).map_err(|e| e.to_string())?;
    }
    same_verdict(dynamic.err(), typed.err())
}

fn header<P: Protocol>(octets: &Bytes) -> Result<Verdict, String> {
    let dynamic = ContentHeader::<DynamicProperties>::decode_dynamic(P::INFO, octets);
    let typed = ContentHeader::<P::Properties>::decode_any(octets, Limits::DEFAULT);
    same_verdict(dynamic.err(), typed.err())
}

fn same_verdict(a: Option<DecodeError>, b: Option<DecodeError>) -> Result<Verdict, String> {
    let kind = |error: Option<DecodeError>| error.map(|error| error.kind());
    if kind(a) != kind(b) {
        return Err(format!("by reflection {a:?}, by type {b:?}"));
    }
    Ok(b.map_or(Verdict::Accepted, refused_payload))
}

/// Frames of several channels, each put together for itself.
fn session<P: Protocol>(octets: &Bytes) -> Verdict {
    let (frames, rest) = match frames::<P>(octets) {
        Ok(parts) => parts,
        Err(error) => return refused_frame(error),
    };
    let mut channels: BTreeMap<u16, Assembler<P>> = BTreeMap::new();
    for frame in frames {
        if frame.kind == FrameKind::Heartbeat {
            continue;
        }
        if !OPEN.contains(&frame.channel) {
            let told = format!("a frame of channel {}, which is not open", frame.channel);
            return Verdict::Refused("unexpected-frame", told);
        }
        if let Err(error) = channels.entry(frame.channel).or_default().push(frame) {
            return match error {
                AssembleError::Decode(error) => refused_payload(error),
                AssembleError::WrongClass { .. } => {
                    Verdict::Refused("unexpected-class", error.to_string())
                }
                error => Verdict::Refused("unexpected-frame", error.to_string()),
            };
        }
    }
    if rest.is_empty() && channels.values().all(Assembler::is_idle) {
        return Verdict::Accepted;
    }
    Verdict::Incomplete
}

fn refused_frame(error: FrameError) -> Verdict {
    let category = match error {
        FrameError::UnknownFrameType(_) => "unknown-frame-type",
        FrameError::FrameTooLarge { .. } => "frame-too-large",
        FrameError::BadFrameEnd(_) => "bad-frame-end",
        FrameError::BadHeartbeat => "bad-heartbeat",
        FrameError::ProtocolHeader(_) => "protocol-version-refused",
        _ => "other",
    };
    Verdict::Refused(category, error.to_string())
}

fn refused_payload(error: DecodeError) -> Verdict {
    let category = match error.kind() {
        DecodeErrorKind::Truncated => "truncated",
        DecodeErrorKind::TrailingBytes => "trailing-bytes",
        DecodeErrorKind::UnknownClass(_) => "unknown-class",
        DecodeErrorKind::UnknownMethod(..) => "unknown-method",
        DecodeErrorKind::UnexpectedClass => "unexpected-class",
        DecodeErrorKind::InvalidUtf8 => "invalid-utf8",
        DecodeErrorKind::UnknownTableTag(_) => "unknown-table-tag",
        DecodeErrorKind::NestingTooDeep => "nesting-too-deep",
        DecodeErrorKind::UnknownProperty => "unknown-property",
        DecodeErrorKind::BadWeight(_) => "bad-weight",
        _ => "other",
    };
    Verdict::Refused(category, error.to_string())
}
