//! [`Incoming`] and [`Complete`]: what frames were put together to, moved out or still in its place.
//!
//! Made by the assembler, taken apart by its caller.

use super::Body;
use crate::method::Protocol;

/// What an [`Assembler`](super::Assembler) gives out.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Short-lived: a receiver takes it apart at once.
pub enum Incoming<P: Protocol> {
    /// A method without content.
    Method(P::Method),
    /// A method with its content.
    Content {
        /// The method.
        method: P::Method,
        /// The properties, of the method's class.
        properties: P::Properties,
        /// The body, as long as its header said.
        body: Body,
    },
}

/// What a frame completed, still where it was put together. The receiver takes what it needs; the
/// rest is dropped when the channel's next method comes.
#[derive(Debug)]
pub struct Complete<'a, P: Protocol> {
    /// The method; it is there.
    pub method: &'a mut Option<P::Method>,
    /// The content that came with it, if the method is one with content.
    pub content: Option<Content<'a, P>>,
}

/// Properties and body of a [`Complete`] content.
#[derive(Debug)]
pub struct Content<'a, P: Protocol> {
    /// The properties, of the method's class; they are there.
    pub properties: &'a mut Option<P::Properties>,
    /// The body, as long as its header said.
    pub body: &'a mut Body,
}

impl<P: Protocol> Complete<'_, P> {
    /// All of it, moved out. `None` only if the method or the properties were taken already.
    #[inline]
    #[must_use]
    pub fn take(self) -> Option<Incoming<P>> {
        match self.content {
            None => self.method.take().map(Incoming::Method),
            Some(content) => match (self.method.take(), content.properties.take()) {
                (Some(method), Some(properties)) => {
                    let body = std::mem::take(content.body);
                    Some(Incoming::Content { method, properties, body })
                }
                _ => None,
            },
        }
    }
}

// Not derived: that would ask it of `P`, which is but a name.
impl<P: Protocol> PartialEq for Incoming<P> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Method(one), Self::Method(other)) => one == other,
            (
                Self::Content { method, properties, body },
                Self::Content { method: other_method, properties: others, body: other_body },
            ) => method == other_method && properties == others && body == other_body,
            _ => false,
        }
    }
}
