//! An AMQP client for tokio.
