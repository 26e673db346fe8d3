//! `amqp-connector`, the client of this project.

use anyhow::Result;

use super::{Client, locked, unsupported};
use crate::cases::Case;
use crate::context::Context;
use crate::meter::Measured;

/// `amqp-connector`, the client of this project.
#[derive(Clone, Copy, Debug)]
pub struct Ours;

impl Client for Ours {
    const NAME: &'static str = "ours";

    fn version() -> &'static str {
        locked("amqp-connector")
    }

    async fn run(_case: Case, _ctx: Context) -> Result<Measured> {
        Err(unsupported("not written yet"))
    }
}
