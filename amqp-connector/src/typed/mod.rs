//! Messages as values: a [`BodyCodec`] between bodies and a program's own types.
//!
//! A layer on [`BasicPublish`], [`Delivery`] and [`Consumer`], by their public operations; nothing below knows of it, and
//! nothing of it runs for messages that are handled as octets. A codec is asked in the task that publishes or reads, and
//! never under a lock.
//!
//! ```no_run
//! # async fn run(channel: amqp_connector::Channel) -> Result<(), Box<dyn std::error::Error>> {
//! use amqp_connector::typed::Text;
//! use amqp_connector::{BasicConsume, BasicPublish, Prefetch};
//!
//! let message = BasicPublish::encoded("", "jobs", &Text, &"the work".to_owned())?;
//! channel.basic_publish(message).await?.await;
//!
//! let consume = BasicConsume::new("jobs", Prefetch::Count(10));
//! let mut jobs = channel.basic_consume(consume).await?.typed::<String, _>(Text);
//! while let Some(job) = jobs.recv().await {
//!     match job {
//!         Ok(job) => {
//!             println!("{}", job.value);
//!             job.delivery.ack()?;
//!         }
//!         Err(undecodable) => {
//!             eprintln!("{undecodable}");
//!             undecodable.into_delivery().reject(false)?;
//!         }
//!     }
//! }
//! # Ok(()) }
//! ```

mod codec;
mod consumer;
mod error;
#[cfg(feature = "json")]
mod json;

pub use codec::{BodyCodec, Raw, Text};
pub use consumer::{OnUndecodable, TypedConsumer, TypedDelivery, Undecodable};
pub use error::CodecError;
#[cfg(feature = "json")]
pub use json::Json;

use amqp_types::{InvalidShortStr, ShortStr};

use crate::consumer::{Consumer, Delivery};
use crate::publish::BasicPublish;

impl BasicPublish {
    /// A message whose body is a value, encoded, and whose content type is the codec's.
    ///
    /// # Errors
    ///
    /// What the codec says of a value that it cannot encode.
    pub fn encoded<E, K, T, C>(
        exchange: E,
        routing_key: K,
        codec: &C,
        value: &T,
    ) -> Result<Self, CodecError>
    where
        E: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
        K: TryInto<ShortStr, Error: Into<InvalidShortStr>>,
        C: BodyCodec<T>,
    {
        let publish = Self::new(exchange, routing_key, codec.encode(value)?);
        Ok(match codec.content_type() {
            Some(content_type) => publish.content_type(content_type),
            None => publish,
        })
    }
}

impl Delivery {
    /// The value that its body is.
    ///
    /// # Errors
    ///
    /// What the codec says of a body that is none, or of a content type that is not its own. The delivery stays as it is.
    pub fn decode<T, C: BodyCodec<T>>(&self, codec: &C) -> Result<T, CodecError> {
        let content_type = match &self.properties.content_type {
            // One that is no text is no codec's.
            Some(found) => Some(found.as_str().map_err(CodecError::decode)?),
            None => None,
        };
        codec.decode(&self.body, content_type)
    }
}

impl Consumer {
    /// The same consumer, whose deliveries are read as values.
    pub fn typed<T, C: BodyCodec<T>>(self, codec: C) -> TypedConsumer<T, C> {
        TypedConsumer::new(self, codec)
    }
}
