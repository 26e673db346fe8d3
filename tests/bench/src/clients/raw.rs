//! The machine's ceiling: pre-encoded frames in large writes, reads that count frames.

use anyhow::Result;

use super::{Client, locked, unsupported};
use crate::cases::Case;
use crate::context::Context;
use crate::meter::Measured;

/// The machine's ceiling: pre-encoded frames in large writes, reads that count frames.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl Client for Raw {
    const NAME: &'static str = "raw";
    const BLOCKING: bool = true;

    fn version() -> &'static str {
        locked("amqp-bench")
    }

    async fn run(_case: Case, _ctx: Context) -> Result<Measured> {
        Err(unsupported("not written yet"))
    }
}
