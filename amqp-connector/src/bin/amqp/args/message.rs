//! The options of a message's properties.

use amqp_connector::amqp_types::{InvalidShortStr, Timestamp};
use amqp_connector::{ShortStr, basic};

use super::Entry;

/// The properties of what is published.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Properties")]
pub(crate) struct MessageArgs {
    /// The MIME type of the body
    #[arg(long, value_parser = short)]
    content_type: Option<ShortStr>,
    /// The MIME encoding of the body
    #[arg(long, value_parser = short)]
    content_encoding: Option<ShortStr>,
    /// A header, typed as the arguments of `declare queue` are; may be repeated
    #[arg(long = "header", short = 'H', value_name = "KEY=VALUE")]
    headers: Vec<Entry>,
    /// Have it outlive a restart of the broker, in a durable queue
    #[arg(long, short)]
    persistent: bool,
    /// The priority, in a queue that has priorities
    #[arg(long)]
    priority: Option<u8>,
    /// What the message belongs to, mostly the request that it answers
    #[arg(long, value_parser = short)]
    correlation_id: Option<ShortStr>,
    /// The queue that replies go to
    #[arg(long, value_parser = short)]
    reply_to: Option<ShortStr>,
    /// How long it may wait in a queue, in milliseconds
    #[arg(long, value_name = "MILLISECONDS")]
    expiration: Option<u32>,
    /// A name for the message
    #[arg(long, value_parser = short)]
    message_id: Option<ShortStr>,
    /// When it was made, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<u64>,
    /// What kind of message it is
    #[arg(long = "type", value_parser = short)]
    message_type: Option<ShortStr>,
    /// The user who publishes; RabbitMQ refuses another one than who is logged in
    #[arg(long, value_parser = short)]
    user_id: Option<ShortStr>,
    /// The application that publishes
    #[arg(long, value_parser = short)]
    app_id: Option<ShortStr>,
}

impl MessageArgs {
    pub(crate) fn into_properties(self) -> basic::Properties {
        let headers = (!self.headers.is_empty()).then(|| Entry::table(self.headers));
        basic::Properties {
            content_type: self.content_type,
            content_encoding: self.content_encoding,
            headers,
            delivery_mode: self.persistent.then_some(2),
            priority: self.priority,
            correlation_id: self.correlation_id,
            reply_to: self.reply_to,
            expiration: self
                .expiration
                .map(|time| ShortStr::try_from(time.to_string()).unwrap_or_default()),
            message_id: self.message_id,
            timestamp: self.timestamp.map(Timestamp),
            r#type: self.message_type,
            user_id: self.user_id,
            app_id: self.app_id,
            ..Default::default()
        }
    }
}

/// A text of up to 255 octets.
fn short(text: &str) -> Result<ShortStr, InvalidShortStr> {
    ShortStr::try_from(text)
}
