//! Ending channels and the connection: by us, by the peer, or because the transport is gone.
//!
//! Each ending has one reason, the first; whoever waits for anything of the ended channel or connection
//! gets it. Closing is idempotent and bounded. What both need to make a reason stands here.

mod channel;
mod connection;

use amqp_types::{ShortStr, protocol};

use crate::error::{CloseCause, CloseReason, Scope};

/// Nobody can ask for anything any more.
fn dropped(scope: Scope) -> CloseReason {
    CloseReason::new(scope, CloseCause::HandlesDropped, "last handle dropped")
}

/// The method that a close names.
fn blamed(class_id: u16, method_id: u16) -> Option<&'static str> {
    protocol::INFO.method_by_id(class_id, method_id).map(|method| method.full_name)
}

/// As much of `text` as a short string holds.
fn short(text: &str) -> ShortStr {
    let mut end = text.len().min(ShortStr::MAX_LEN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).and_then(|text| ShortStr::try_from(text).ok()).unwrap_or_default()
}
