//! [`Fault`]: why a channel or a connection is closed, in the words that RabbitMQ has for it.
//!
//! Made wherever a method is handled; turned into a close by the connection that it came on.

use amqp_types::ShortStr;

use crate::testing::broker::core::topology::Name;

/// A refusal: the code and the text of the close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: u16,
    pub(crate) text: String,
}

/// What handling a method gives.
pub(crate) type Handled<T = ()> = Result<T, Fault>;

impl Fault {
    fn new(code: u16, name: &str, text: impl AsRef<str>) -> Self {
        Self { code, text: format!("{name} - {}", text.as_ref()) }
    }

    /// Whether it closes its channel only. The broker says the same to clients of any specification, also the codes
    /// that theirs does not have.
    pub(crate) fn is_soft(&self) -> bool {
        matches!(self.code, 311..=313 | 403..=406)
    }

    /// The text of the close: as much of it as a short string holds.
    pub(crate) fn reply_text(&self) -> ShortStr {
        reply_text(&self.text)
    }

    pub(crate) fn access_refused(text: impl AsRef<str>) -> Self {
        Self::new(403, "ACCESS_REFUSED", text)
    }

    pub(crate) fn syntax(text: impl AsRef<str>) -> Self {
        Self::new(502, "SYNTAX_ERROR", text)
    }

    pub(crate) fn not_found(text: impl AsRef<str>) -> Self {
        Self::new(404, "NOT_FOUND", text)
    }

    pub(crate) fn locked(queue: &ShortStr, host: &str) -> Self {
        let text = format!(
            "cannot obtain exclusive access to locked queue '{queue}' in vhost '{host}'. It could be originally \
             declared on another connection or the exclusive property value does not match that of the original \
             declaration."
        );
        Self::new(405, "RESOURCE_LOCKED", text)
    }

    pub(crate) fn precondition(text: impl AsRef<str>) -> Self {
        Self::new(406, "PRECONDITION_FAILED", text)
    }

    pub(crate) fn frame(text: impl AsRef<str>) -> Self {
        Self::new(501, "FRAME_ERROR", text)
    }

    pub(crate) fn command_invalid(text: impl AsRef<str>) -> Self {
        Self::new(503, "COMMAND_INVALID", text)
    }

    pub(crate) fn channel(text: impl AsRef<str>) -> Self {
        Self::new(504, "CHANNEL_ERROR", text)
    }

    pub(crate) fn unexpected_frame(text: impl AsRef<str>) -> Self {
        Self::new(505, "UNEXPECTED_FRAME", text)
    }

    pub(crate) fn not_allowed(text: impl AsRef<str>) -> Self {
        Self::new(530, "NOT_ALLOWED", text)
    }

    pub(crate) fn not_implemented(text: impl AsRef<str>) -> Self {
        Self::new(540, "NOT_IMPLEMENTED", text)
    }

    /// A method that no client sends, or not here.
    pub(crate) fn unimplemented() -> Self {
        Self::command_invalid("unimplemented method")
    }

    /// A method of a connection at a time that is not its own.
    pub(crate) fn out_of_place() -> Self {
        Self::channel("unexpected method in connection state running")
    }

    /// RabbitMQ says no more of what it had not thought of.
    pub(crate) fn internal() -> Self {
        Self { code: 541, text: "INTERNAL_ERROR".to_owned() }
    }

    pub(crate) fn no_queue(name: &ShortStr, host: &str) -> Self {
        Self::not_found(format!("no queue '{name}' in vhost '{host}'"))
    }

    pub(crate) fn no_exchange(name: &ShortStr, host: &str) -> Self {
        Self::not_found(format!("no exchange '{name}' in vhost '{host}'"))
    }

    pub(crate) fn missing(name: &Name, host: &str) -> Self {
        match name {
            Name::Queue(name) => Self::no_queue(name, host),
            Name::Exchange(name) => Self::no_exchange(name, host),
        }
    }
}

/// A text as a short string: what is too long ends in dots, as RabbitMQ's does.
pub(crate) fn reply_text(text: &str) -> ShortStr {
    const DOTS: &str = "...";
    if let Ok(whole) = ShortStr::try_from(text) {
        return whole;
    }
    let mut end = ShortStr::MAX_LEN - DOTS.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let begin = text.get(..end).unwrap_or_default();
    ShortStr::try_from([begin, DOTS].concat()).unwrap_or_default()
}
