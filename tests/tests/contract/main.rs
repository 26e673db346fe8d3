//! The contract of the in-memory broker: each test runs against it and against RabbitMQ, and what differs fails.
//!
//! A test is written once, as an async function of a [`Side`](side::Side), and listed in its module's `contract!`.
//! What a specification lacks is left out with `if_spec!`.

// clippy's exception for tests covers functions marked #[test], and these stand beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

/// Makes two tests of each function: `in_memory` and `rabbitmq`.
macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn in_memory() {
                crate::side::in_memory(async |side| super::$name(side).await);
            }

            #[test]
            fn rabbitmq() {
                crate::side::rabbitmq(async |side| super::$name(side).await);
            }
        })*
    };
}

/// As `contract`, of what all connections of a broker feel.
macro_rules! contract_alone {
    ($($name:ident),* $(,)?) => {
        $(mod $name {
            #[test]
            fn in_memory() {
                crate::side::in_memory(async |side| super::$name(side).await);
            }

            #[test]
            fn rabbitmq() {
                crate::side::rabbitmq_alone(async |side| super::$name(side).await);
            }
        })*
    };
}

mod blocking;
mod connecting;
mod consuming;
mod dead_letters;
mod matching;
mod publishing;
mod queues;
mod refusing;
mod routing;
mod settling;
mod side;
