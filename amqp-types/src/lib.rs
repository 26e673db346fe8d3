//! Wire types and the protocol generated from the AMQP XML specification.
