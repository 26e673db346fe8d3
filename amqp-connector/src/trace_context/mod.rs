//! [`TraceContext`]: to which trace a message belongs, by the rules of W3C's Trace Context, in its headers.
//!
//! Feature `trace-context`. Whoever sends puts it there, whoever receives finds it; nothing else here looks at it, and a
//! message without one is as it was. `state` holds the rules of `tracestate`. Strict: what is not by the rules is not
//! there, since to guess would tie together what does not belong together.

mod state;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use amqp_types::{FieldTable, ShortStr};

use crate::consumer::{Delivery, StreamedDelivery};

const PARENT: ShortStr = ShortStr::from_static("traceparent");
const STATE: ShortStr = ShortStr::from_static("tracestate");
/// Octets of a `traceparent` of version 00; later ones may only have more behind them.
const PARENT_LEN: usize = 55;
const SAMPLED: u8 = 1;

/// The place of a message in a distributed trace: which trace, and which span of it the message comes from.
///
/// ```
/// use amqp_connector::{BasicPublish, TraceContext};
///
/// let incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let context: TraceContext = incoming.parse()?;
/// let context = context.child([7; 8])?;
/// let publish = BasicPublish::new("", "jobs", "the work").trace_context(&context);
/// # drop(publish);
/// assert_eq!(context.to_string(), "00-0af7651916cd43dd8448eb211c80319c-0707070707070707-01");
/// # Ok::<(), amqp_connector::InvalidTraceContext>(())
/// ```
///
/// The receiver finds it by [`Delivery::trace_context`]. It is two headers of the message, `traceparent` and, if there is
/// a state, `tracestate`, as OpenTelemetry's libraries for AMQP write them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    sampled: bool,
    /// As the rules have it, or empty.
    state: String,
}

/// A trace context that is not by the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTraceContext(&'static str);

impl fmt::Display for InvalidTraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no trace context: {}", self.0)
    }
}

impl Error for InvalidTraceContext {}

impl TraceContext {
    /// A context of these ids.
    ///
    /// # Errors
    ///
    /// If one of them is all zeros, which means that there is none.
    pub fn new(
        trace_id: [u8; 16],
        span_id: [u8; 8],
        sampled: bool,
    ) -> Result<Self, InvalidTraceContext> {
        if trace_id == [0; 16] {
            return Err(InvalidTraceContext("the trace's id is zero"));
        }
        if span_id == [0; 8] {
            return Err(InvalidTraceContext("the span's id is zero"));
        }
        Ok(Self { trace_id, span_id, sampled, state: String::new() })
    }

    /// The same trace with this `tracestate`: what the vendors that take part in it have to say.
    ///
    /// # Errors
    ///
    /// If it is not by the rules: a list of at most 32 `key=value`, each key once.
    pub fn with_state(mut self, state: &str) -> Result<Self, InvalidTraceContext> {
        state::check(state)?;
        state.trim_matches(state::BLANKS).clone_into(&mut self.state);
        Ok(self)
    }

    /// The same trace, in a span of this id.
    ///
    /// # Errors
    ///
    /// If the id is all zeros.
    pub fn child(&self, span_id: [u8; 8]) -> Result<Self, InvalidTraceContext> {
        let Self { state, .. } = self.clone();
        Ok(Self { state, ..Self::new(self.trace_id, span_id, self.sampled)? })
    }

    /// The id of the trace.
    #[must_use]
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The id of the span that the message comes from.
    #[must_use]
    pub const fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// Whether whoever sent it may have recorded the trace.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// What vendors have to say, as `tracestate` has it; empty if nothing.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The context in a message's headers, if there is one by the rules. A `tracestate` that is not by them is passed
    /// over, as they demand.
    #[must_use]
    pub fn from_headers(headers: &FieldTable) -> Option<Self> {
        let context: Self = headers.get_str(&PARENT)?.parse().ok()?;
        match headers.get_str(&STATE).map(|state| context.clone().with_state(state)) {
            Some(Ok(stated)) => Some(stated),
            _ => Some(context),
        }
    }

    /// Puts it into a message's headers, in place of one that is there.
    pub fn write_to(&self, headers: &mut FieldTable) {
        headers.set(PARENT, self.to_string());
        headers.remove(&STATE);
        if !self.state.is_empty() {
            headers.set(STATE, self.state.clone());
        }
    }
}

/// As the header `traceparent` has it.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace_id.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str("-")?;
        self.span_id.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        write!(f, "-{:02x}", if self.sampled { SAMPLED } else { 0 })
    }
}

/// Reads a header `traceparent`, of this version of the rules or a later one.
impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    fn from_str(text: &str) -> Result<Self, InvalidTraceContext> {
        let octets = text.as_bytes();
        let (known, more) = octets
            .split_at_checked(PARENT_LEN)
            .ok_or(InvalidTraceContext("traceparent is too short"))?;
        let mut parts = known.split(|octet| *octet == b'-');
        let mut part = || parts.next().ok_or(InvalidTraceContext("traceparent lacks a part"));
        let [version] = hex::<1>(part()?)?;
        let (trace_id, span_id, [flags]) =
            (hex::<16>(part()?)?, hex::<8>(part()?)?, hex::<1>(part()?)?);
        match (version, more.first()) {
            (0xff, _) => return Err(InvalidTraceContext("there is no version ff")),
            (_, None) => {}
            (1.., Some(b'-')) => {}
            _ => return Err(InvalidTraceContext("traceparent is too long")),
        }
        Self::new(trace_id, span_id, flags & SAMPLED != 0)
    }
}

/// So many octets, as the same number of pairs of digits in lower case.
fn hex<const N: usize>(text: &[u8]) -> Result<[u8; N], InvalidTraceContext> {
    const WRONG: InvalidTraceContext =
        InvalidTraceContext("traceparent has a wrong digit or length");
    let digit = |octet: u8| match octet {
        b'0'..=b'9' => Ok(octet - b'0'),
        b'a'..=b'f' => Ok(octet - b'a' + 10),
        _ => Err(WRONG),
    };
    if text.len() != 2 * N {
        return Err(WRONG);
    }
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = *pair else { return Err(WRONG) };
        *octet = digit(high)? << 4 | digit(low)?;
    }
    Ok(octets)
}

impl Delivery {
    /// To which trace the message belongs, if it says so by the rules of W3C's Trace Context.
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::from_headers(self.properties.headers.as_ref()?)
    }
}

impl StreamedDelivery {
    /// To which trace the message belongs, if it says so by the rules of W3C's Trace Context.
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::from_headers(self.properties.headers.as_ref()?)
    }
}
