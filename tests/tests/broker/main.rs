//! The tests that need a broker: `cargo xtask test` runs them under every spec.
//!
//! One program with a module per subject; `skel` is an empty one to copy. What holds for every spec stands
//! here once, and what a spec lacks is left out with `if_spec!`.

// clippy's exception for tests covers functions marked #[test], and these stand beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod arguments;
mod article;
mod blocking;
mod calls;
mod cancellation;
mod channels;
mod cli;
mod closing;
mod consuming;
mod contents;
mod crowds;
mod examples;
mod faults;
mod heartbeats;
mod leaks;
mod life;
mod limits;
amqp_connector::amqp_types::if_spec! { confirm.select => {
    mod measuring;
} else {} }
mod observing;
mod opening;
mod poison;
mod publishing;
mod quotas;
mod recover;
mod recovery;
mod recovery_bodies;
mod recovery_limits;
mod recovery_streams;
mod recovery_topology;
mod reopening;
amqp_connector::amqp_types::if_spec! { confirm.select => {
    mod republishing;
} else {} }
mod rpc;
mod shutdown;
mod skel;
mod stream_ending;
mod stream_reading;
mod streaming;
mod tls;
mod topology;
mod topology_value;
mod typed;
