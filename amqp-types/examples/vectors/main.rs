//! Checks this crate's codec against files of byte-exact vectors.
//!
//! ```text
//! AMQP_SPEC=0-9-1 cargo run -p amqp-types --example vectors -- methods-0-9-1.json
//! ```
//!
//! It is also an example of code that is generic over the protocol: `checker` knows none, and
//! `cargo xtask vectors` compiles it next to any number of specifications.

mod checker;

use std::process::ExitCode;

use amqp_types::protocol;

fn main() -> ExitCode {
    checker::run(&[checker::Spec::compiled::<protocol::Spec>("*")], std::env::args_os().skip(1))
}
