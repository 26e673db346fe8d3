//! The machine's ceiling: pre-encoded frames in large writes, and reads of which only the frames are counted.
//!
//! Over TLS it is a bare stream of rustls with the same octets. No client can be faster with this peer; cases that wait for answers have no such ceiling, see
//! [`floor`](super::floor).

use anyhow::Result;

use super::transport::{Blocking, BlockingTls};
use super::{Client, floor, locked, unsupported};
use crate::cases::{Case, Work};
use crate::context::Context;
use crate::meter::Measured;

/// Octets of a write, unless one message has more.
const WRITE: usize = 256 << 10;

/// The ceiling.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl Client for Raw {
    const NAME: &'static str = "raw";
    const BLOCKING: bool = true;

    fn version() -> &'static str {
        locked("amqp-bench")
    }

    async fn run(case: Case, ctx: Context) -> Result<Measured> {
        match &case.work {
            Work::Publish(publish) if case.tls => {
                floor::without_confirms::<BlockingTls>(publish, &ctx, WRITE)
            }
            Work::Consume(consume) if case.tls => {
                floor::consume::<BlockingTls>(&case, &ctx, consume)
            }
            Work::Publish(publish) => floor::without_confirms::<Blocking>(publish, &ctx, WRITE),
            Work::Consume(consume) if consume.prefetch.is_none() => {
                floor::consume::<Blocking>(&case, &ctx, consume)
            }
            _ => Err(unsupported("it has no answers to wait for")),
        }
    }
}
