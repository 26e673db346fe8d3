//! The client `amqprs`.

use anyhow::Result;

use super::{Client, locked, unsupported};
use crate::cases::Case;
use crate::context::Context;
use crate::meter::Measured;

/// The client `amqprs`.
#[derive(Clone, Copy, Debug)]
pub struct Amqprs;

impl Client for Amqprs {
    const NAME: &'static str = "amqprs";

    fn version() -> &'static str {
        locked("amqprs")
    }

    async fn run(_case: Case, _ctx: Context) -> Result<Measured> {
        Err(unsupported("not written yet"))
    }
}
