//! The client `amqp-client`.

use anyhow::Result;

use super::{Client, locked, unsupported};
use crate::cases::Case;
use crate::context::Context;
use crate::meter::Measured;

/// The client `amqp-client`.
#[derive(Clone, Copy, Debug)]
pub struct AmqpClient;

impl Client for AmqpClient {
    const NAME: &'static str = "amqp-client";

    fn version() -> &'static str {
        locked("amqp-client")
    }

    async fn run(_case: Case, _ctx: Context) -> Result<Measured> {
        Err(unsupported("not written yet"))
    }
}
