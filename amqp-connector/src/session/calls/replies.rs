//! Which requests have a reply, and which make no sense without one.

use amqp_types::AnyMethod;
use amqp_types::protocol::{self, Method, queue};
use amqp_types::reflect::{FieldInfo, MethodInfo, Value};

use crate::error::{Error, Result};

/// Whether the peer answers this very request.
pub(in crate::session) fn is_answered(request: &Method) -> bool {
    let no_wait = |(field, value): (&FieldInfo, Value)| {
        field.name.replace('-', "") == "nowait" && value == Value::Bit(true)
    };
    has_reply(request.info()) && !request.info().fields.iter().zip(request.values()).any(no_wait)
}

/// Whether such a request has a reply. `basic.recover` of 0-9-1 names no response, and has one.
pub(in crate::session) fn has_reply(info: &MethodInfo) -> bool {
    let ok = |method: &&'static MethodInfo| method.name.strip_suffix("-ok") == Some(info.name);
    !info.responses.is_empty()
        || protocol::INFO.class(info.class).is_some_and(|class| class.methods.iter().any(ok))
}

/// Refuses a request with no-wait whose effect only its reply would tell of: what the server is to name.
pub(in crate::session) fn refuse_unlearnable(request: &Method) -> Result<()> {
    if let Method::Queue(queue::Method::Declare(declare)) = request
        && declare.queue.is_empty()
    {
        return Err(Error::invalid("nobody would learn the name of a queue declared with no-wait"));
    }
    let nameless = |(field, value): (&FieldInfo, Value)| {
        field.name == "consumer-tag" && matches!(value, Value::ShortStr(tag) if tag.is_empty())
    };
    let info = request.info();
    if has_reply(info) && info.fields.iter().zip(request.values()).any(nameless) {
        return Err(Error::invalid("a consumer without a reply needs a tag of its own"));
    }
    Ok(())
}
