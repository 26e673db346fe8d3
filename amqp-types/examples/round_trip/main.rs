//! Sends every method of the compiled specification through the codec and back.
//!
//! ```text
//! AMQP_SPEC=0-8 cargo run -p amqp-types --example round_trip
//! ```
//!
//! An example of reflection: `harness` knows no method, it asks the specification which there are.
//! `cargo xtask spec check` compiles it next to every official file.

mod harness;

use std::process::ExitCode;

use amqp_types::protocol;

fn main() -> ExitCode {
    let mut run = harness::Run::of::<protocol::Spec>(protocol::NAME);
    run.all::<protocol::Spec>();
    run.finish()
}
