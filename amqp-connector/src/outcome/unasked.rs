//! What a peer sends unasked-for, as values: methods of its own accord, and alerts.
//!
//! Filled in by the session, given out by handles.

use amqp_types::protocol::{self, ReplyCode, Spec};
use amqp_types::{Body, ContentMethod, FieldTable, Method, Properties, ShortStr};

/// A method that the peer sent of its own accord; see [`Incoming`](crate::Incoming).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IncomingMethod {
    /// The method.
    pub method: protocol::Method,
    /// Its content, if it is a method with content.
    pub content: Option<(protocol::Properties, Body)>,
}

impl IncomingMethod {
    /// The method as its own type.
    ///
    /// # Errors
    ///
    /// If it is another one: then it is given back whole.
    pub fn into_method<M: Method<Protocol = Spec>>(self) -> Result<M, Box<Self>> {
        let Self { method, content } = self;
        M::from_any(method).map_err(|method| Box::new(Self { method, content }))
    }

    /// The method and its content as their own types.
    ///
    /// # Errors
    ///
    /// If it is another one: then it is given back whole.
    pub fn into_content<M: ContentMethod<Protocol = Spec>>(
        self,
    ) -> Result<(M, M::Properties, Body), Box<Self>> {
        let Self { method, content } = self;
        match (M::from_any(method), content) {
            (Ok(method), Some((properties, body))) => match M::Properties::from_any(properties) {
                Ok(properties) => Ok((method, properties, body)),
                Err(properties) => {
                    let content = Some((properties, body));
                    Err(Box::new(Self { method: method.into_any(), content }))
                }
            },
            (Ok(method), None) => Err(Box::new(Self { method: method.into_any(), content: None })),
            (Err(method), content) => Err(Box::new(Self { method, content })),
        }
    }
}

/// What the peer tells about a channel that goes on (`channel.alert` of 0-8); see
/// [`Event::Alerted`](crate::Event::Alerted).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Alert {
    /// What it is about, as a number.
    pub reply_code: ReplyCode,
    /// What it is about, in the peer's words.
    pub reply_text: ShortStr,
    /// More about it.
    pub details: FieldTable,
}

#[allow(dead_code, reason = "not every specification has alerts")]
impl Alert {
    pub(crate) fn new(reply_code: u16, reply_text: ShortStr, details: FieldTable) -> Self {
        Self { reply_code: ReplyCode(reply_code), reply_text, details }
    }
}
