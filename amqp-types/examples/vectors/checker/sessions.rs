//! Recorded sessions: every frame of both directions, and the pieces they arrived in.

use amqp_types::Protocol;
use amqp_types::content::ContentHeader;
use amqp_types::frame::{Frame, FrameKind};
use amqp_types::reflect::{DynamicMethod, DynamicProperties, Value};
use bytes::{Bytes, BytesMut};

use super::frames::is_protocol_header;
use super::json::Json;
use super::methods::{check_typed, compare, verbatim};
use super::report::{Fault, Outcome, Report};

/// Octets of a protocol header.
const HEADER: usize = 8;

/// `{"events": [{"dir","type","hex",..}], "chunks": [{"dir","hex"}]}`.
pub(crate) fn check<P: Protocol>(report: &mut Report, session: Json<'_>) {
    let events = match session.list("events") {
        Ok(events) => events.collect::<Vec<_>>(),
        Err(error) => return report.record("session", Err(Fault::Failed(error))),
    };
    for (at, event) in events.iter().enumerate() {
        let kind = event.text("type").unwrap_or("?");
        let label = format!("event {at}: {kind} {}", event.text("method").unwrap_or_default());
        if event.has("hex") {
            report.record(&label, check_event::<P>(kind, *event));
        } else if kind != "EOF" {
            report.record(&label, Err(Fault::Skipped("an event without octets".to_owned())));
        }
    }
    if session.has("chunks") {
        for direction in ["C>S", "S>C"] {
            let outcome = check_chunks::<P>(session, &events, direction);
            report.record(&format!("chunks {direction}"), outcome);
        }
    }
}

fn check_event<P: Protocol>(kind: &str, event: Json<'_>) -> Outcome {
    let octets = event.hex("hex")?;
    if kind == "protocol-header" {
        // Not compared with ours: txAMQP opens 0-9-1 with the header of 0-9.
        return is_protocol_header::<P>(&octets);
    }
    let mut buf = BytesMut::from(octets.as_ref());
    let frame = P::FRAMING.decode(&mut buf, u32::MAX).map_err(|error| error.to_string())?;
    let frame = frame.ok_or("the frame is not complete")?;
    let expected_kind = match kind {
        "method" => FrameKind::Method,
        "header" => FrameKind::Header,
        "body" => FrameKind::Body,
        "heartbeat" => FrameKind::Heartbeat,
        other => return Err(Fault::Skipped(format!("unknown event `{other}`"))),
    };
    let channel = if event.has("channel") { event.number("channel")? } else { frame.channel };
    if !buf.is_empty() || frame.kind != expected_kind || frame.channel != channel {
        return Err(format!("decodes as {frame:?}, {} octets left", buf.len()).into());
    }
    check_payload::<P>(event, &frame)?;
    let mut again = BytesMut::new();
    P::FRAMING.encode(&frame, &mut again).map_err(|error| error.to_string())?;
    compare("frame encoded", &again, &octets)
}

fn check_payload<P: Protocol>(event: Json<'_>, frame: &Frame) -> Outcome {
    match frame.kind {
        FrameKind::Method => check_method::<P>(event, &frame.payload),
        FrameKind::Header => {
            let header =
                ContentHeader::<DynamicProperties>::decode_dynamic(P::INFO, &frame.payload)
                    .map_err(|error| format!("header: {error}"))?;
            let again = verbatim(|writer| header.encode_dynamic(writer))
                .map_err(|error| error.to_string())?;
            compare("header encoded", &again, &frame.payload)
        }
        FrameKind::Body | FrameKind::Heartbeat => Ok(()),
    }
}

fn check_method<P: Protocol>(event: Json<'_>, payload: &Bytes) -> Outcome {
    let method = DynamicMethod::decode(P::INFO, payload).map_err(|error| error.to_string())?;
    let name = method.info().to_string();
    if event.has("method") && event.text("method")? != name {
        return Err(format!("decodes as {name}").into());
    }
    // `decoded` is the recorder's own rendering, where it is not a mere text: its names are
    // compared, and its plain values.
    if let Ok(decoded) = event.of("decoded")
        && let Some(fields) = decoded.0.as_object()
    {
        let ours: Vec<_> = method.fields().map(|(name, _)| name).collect();
        if fields.len() != ours.len() || ours.iter().any(|name| !fields.contains_key(*name)) {
            return Err(format!("{name} has fields {ours:?}").into());
        }
        for (field, value) in method.fields() {
            if !agrees(value, decoded.of(field)?) {
                return Err(format!("field {field} is {value:?}").into());
            }
        }
    }
    check_typed::<P>(method.info(), method.values(), payload)?;
    let again = verbatim(|writer| method.encode(writer)).map_err(|error| error.to_string())?;
    compare("method encoded", &again, payload)
}

/// Whether a value is what a plain rendering says; strings of octets and tables are not compared.
fn agrees(value: &Value, json: Json<'_>) -> bool {
    match value {
        Value::Bit(bit) => json.0.as_bool() == Some(*bit),
        Value::Octet(number) => json.integer() == Ok(*number),
        Value::Short(number) => json.integer() == Ok(*number),
        Value::Long(number) => json.integer() == Ok(*number),
        Value::LongLong(number) => json.integer() == Ok(*number),
        Value::ShortStr(text) => {
            json.0.as_str().is_none_or(|json| text.as_bytes() == json.as_bytes())
        }
        _ => true,
    }
}

/// The pieces of one direction, fed one by one, give the same frames as the events.
fn check_chunks<P: Protocol>(session: Json<'_>, events: &[Json<'_>], direction: &str) -> Outcome {
    let of_direction = |json: &Json<'_>| json.text("dir") == Ok(direction);
    let mut expected = BytesMut::new();
    for event in events.iter().filter(|event| of_direction(event) && event.has("hex")) {
        expected.extend_from_slice(&event.hex("hex")?);
    }
    let (mut buf, mut again, mut skip) = (BytesMut::new(), BytesMut::new(), 0);
    if expected.starts_with(b"AMQP") {
        skip = HEADER;
        again.extend_from_slice(expected.get(..HEADER).unwrap_or_default());
    }
    for chunk in session.list("chunks")?.filter(of_direction) {
        let octets = chunk.hex("hex")?;
        let skipped = skip.min(octets.len());
        skip -= skipped;
        buf.extend_from_slice(octets.get(skipped..).unwrap_or_default());
        while let Some(frame) =
            P::FRAMING.decode(&mut buf, u32::MAX).map_err(|error| error.to_string())?
        {
            P::FRAMING.encode(&frame, &mut again).map_err(|error| error.to_string())?;
        }
    }
    if !buf.is_empty() {
        return Err(format!("{} octets are left at the end", buf.len()).into());
    }
    compare("frames of all chunks", &again, &expected)
}
