//! `amqp-connector`, the client of this project, as its documentation tells to use it.

mod calls;
mod consume;
mod publish;

use amqp_connector::{Channel, Connection, QueueDeclare};
use anyhow::{Result, ensure};

use super::{Client, locked};
use crate::cases::{Case, DISCARD, Work};
use crate::context::Context;
use crate::meter::Measured;

/// `amqp-connector`.
#[derive(Clone, Copy, Debug)]
pub struct Ours;

impl Client for Ours {
    const NAME: &'static str = "ours";

    fn version() -> &'static str {
        locked("amqp-connector")
    }

    async fn run(case: Case, ctx: Context) -> Result<Measured> {
        match &case.work {
            Work::Publish(publish) => publish::without_confirms(publish, &ctx).await,
            Work::PublishConfirm { body, window } => {
                publish::with_confirms(&case, &ctx, *body, *window).await
            }
            Work::Lone { body } => publish::lone(&ctx, *body).await,
            Work::Consume(consume) => consume::consume(&case, &ctx, consume).await,
            Work::Rpc { body, idle } => consume::rpc(&case, &ctx, *body, *idle).await,
            Work::CallLatency { body } => calls::latency(&ctx, *body).await,
            Work::Connections => calls::connections(&ctx).await,
            Work::IdleConnections { count } => calls::idle_connections(&ctx, *count).await,
            Work::Channels => calls::channels(&ctx).await,
        }
    }
}

async fn connect(ctx: &Context) -> Result<Connection> {
    Ok(Connection::open(&ctx.url).await?)
}

/// How many messages the sink says have come on this connection: a call, so all that was published on the
/// channel before is on the wire and read.
async fn received(channel: &Channel) -> Result<u32> {
    let declared = channel.queue_declare(QueueDeclare::new(DISCARD).passive(true)).await?;
    Ok(declared.message_count)
}

/// The sink has received this many.
async fn has_received(channel: &Channel, messages: u64) -> Result<()> {
    let received = received(channel).await?;
    ensure!(
        u64::from(received) == messages & u64::from(u32::MAX),
        "{messages} messages were published, the sink has received {received}"
    );
    Ok(())
}
