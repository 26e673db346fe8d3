//! What the exchange costs without a client: a blocking socket and pre-encoded frames.

use anyhow::Result;

use super::{Client, locked, unsupported};
use crate::cases::Case;
use crate::context::Context;
use crate::meter::Measured;

/// What the exchange costs without a client: a blocking socket and pre-encoded frames.
#[derive(Clone, Copy, Debug)]
pub struct Floor;

impl Client for Floor {
    const NAME: &'static str = "floor";
    const BLOCKING: bool = true;

    fn version() -> &'static str {
        locked("amqp-bench")
    }

    async fn run(_case: Case, _ctx: Context) -> Result<Measured> {
        Err(unsupported("not written yet"))
    }
}
