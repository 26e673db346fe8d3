//! The client `lapin`.

use anyhow::Result;

use super::{Client, locked, unsupported};
use crate::cases::Case;
use crate::context::Context;
use crate::meter::Measured;

/// The client `lapin`.
#[derive(Clone, Copy, Debug)]
pub struct Lapin;

impl Client for Lapin {
    const NAME: &'static str = "lapin";

    fn version() -> &'static str {
        locked("lapin")
    }

    async fn run(_case: Case, _ctx: Context) -> Result<Measured> {
        Err(unsupported("not written yet"))
    }
}
