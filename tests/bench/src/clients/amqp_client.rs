//! CloudAMQP's `amqp-client`: its low-level interface, which its own benchmark uses.
//!
//! Bodies are `Bytes`, which it takes without a copy; a publish ends when it is queued, and the confirmation
//! is a future of its own. It registers a consumer only after its caller has woken from consume-ok and
//! drops what comes before that. Without more ado a consumer with a prefetch waits for ever if that was the
//! whole first window, so the lost deliveries are acknowledged here: see [`Received::make_up`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use amqp_client::{
    BasicProperties, Channel, Config, Confirmation, Connection, ConsumeOpts, Consumer,
    DeliverMessage, FieldValue, PublishConfirm, QueueDeclareOpts, ShortStr, Table,
};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use tokio::time::timeout;

use super::library::{self, Declare, Library};
use super::{Client, locked};
use crate::cases::{self, Case, HeaderValue};
use crate::context::Context;
use crate::frames;
use crate::meter::Measured;

/// The time after which a call has failed. It waits for the answer only after it has sent the request, and
/// with two threads may miss it.
const CALL: Duration = Duration::from_secs(10);

/// The client `amqp-client`.
#[derive(Clone, Copy, Debug)]
pub struct AmqpClient;

impl Client for AmqpClient {
    const NAME: &'static str = "amqp-client";

    fn version() -> &'static str {
        locked("amqp-client")
    }

    async fn run(case: Case, ctx: Context) -> Result<Measured> {
        library::run::<Self>(case, ctx).await
    }
}

/// A message to be published.
pub(super) struct Message {
    key: String,
    body: Bytes,
    properties: BasicProperties,
}

/// A channel with confirms, and those awaited, the oldest first.
pub(super) struct Confirms {
    channel: Arc<Channel>,
    pending: VecDeque<PublishConfirm>,
}

/// A consumer, and what is known of the deliveries that it lost.
pub(super) struct Received {
    channel: Arc<Channel>,
    consumer: Consumer,
    prefetch: Option<u16>,
    first: bool,
    lost: u64,
}

impl Library for AmqpClient {
    type Connection = Connection;
    type Channel = Arc<Channel>;
    type Message = Message;
    type Confirms = Confirms;
    type Deliveries = Received;

    const ACCEPTS_WITHOUT_BOUND: bool = false;

    async fn connect(ctx: &Context) -> Result<Connection> {
        let config = Config {
            host: ctx.peer.host.clone(),
            port: ctx.peer.port,
            username: ctx.peer.user.clone(),
            password: ctx.peer.password.clone(),
            vhost: ctx.peer.vhost.clone(),
            rpc_timeout: CALL,
            ..Config::default()
        };
        Ok(Connection::connect_with_config(config).await?)
    }

    async fn disconnect(connection: Connection) -> Result<()> {
        Ok(connection.close().await?)
    }

    async fn open(connection: &Connection) -> Result<Arc<Channel>> {
        Ok(Arc::new(connection.open_channel().await?))
    }

    async fn close(channel: Arc<Channel>) -> Result<()> {
        let channel = Arc::into_inner(channel).context("the channel is still in use")?;
        channel.close().await.context("channel.close: no answer, or it was missed")
    }

    async fn declare(channel: &Arc<Channel>, queue: &str, how: Declare) -> Result<u32> {
        let options = match how {
            Declare::Passive => QueueDeclareOpts { passive: true, ..QueueDeclareOpts::default() },
            Declare::Exclusive { max_length } => {
                let mut arguments = Table::new();
                if let Some(length) = max_length {
                    let name = ShortStr::try_from("x-max-length")?;
                    arguments.insert(name, FieldValue::LongInt(length));
                }
                let exclusive =
                    QueueDeclareOpts { exclusive: true, arguments, ..Default::default() };
                QueueDeclareOpts { auto_delete: true, ..exclusive }
            }
        };
        Ok(channel.queue_declare(queue, options).await?.message_count)
    }

    fn message(key: &str, body: usize, headers: usize) -> Result<Message> {
        let mut properties = BasicProperties::new();
        if headers > 0 {
            let mut table = Table::new();
            for (name, value) in cases::headers(headers) {
                let value = match value {
                    HeaderValue::Text(text) => FieldValue::LongStr(text.into()),
                    HeaderValue::Number(number) => FieldValue::LongLongInt(number),
                };
                table.insert(ShortStr::try_from(name)?, value);
            }
            properties.headers = Some(table);
        }
        Ok(Message { key: key.to_owned(), body: frames::body(body).into(), properties })
    }

    async fn publish(channel: &Arc<Channel>, message: &Message) -> Result<()> {
        let Message { key, body, properties } = message;
        Ok(channel.basic_publish("", key, body.clone(), properties.clone()).await?)
    }

    async fn confirms(channel: &Arc<Channel>) -> Result<Confirms> {
        channel.confirm_select().await?;
        Ok(Confirms { channel: Arc::clone(channel), pending: VecDeque::new() })
    }

    async fn publish_confirmed(
        confirms: &mut Confirms,
        message: &Message,
        window: usize,
    ) -> Result<()> {
        while confirms.pending.len() >= window {
            confirms.settle_oldest().await?;
        }
        let Message { key, body, properties } = message;
        let (body, properties) = (body.clone(), properties.clone());
        let confirm =
            confirms.channel.basic_publish_confirmed("", key, body, properties, false).await?;
        confirms.pending.push_back(confirm);
        Ok(())
    }

    async fn settle(confirms: &mut Confirms) -> Result<()> {
        while !confirms.pending.is_empty() {
            confirms.settle_oldest().await?;
        }
        Ok(())
    }

    async fn consume(
        channel: &Arc<Channel>,
        queue: &str,
        tag: &str,
        prefetch: Option<u16>,
    ) -> Result<Received> {
        if let Some(prefetch) = prefetch {
            channel.basic_qos(prefetch, false).await?;
        }
        let options = ConsumeOpts { no_ack: prefetch.is_none(), ..ConsumeOpts::default() };
        let consumer = channel.basic_consume(queue, tag, options).await?;
        let channel = Arc::clone(channel);
        Ok(Received { channel, consumer, prefetch, first: true, lost: 0 })
    }

    async fn receive(deliveries: &mut Received) -> Result<usize> {
        let delivery = match deliveries.prefetch {
            Some(prefetch) if deliveries.first => deliveries.make_up(prefetch).await?,
            _ => deliveries.consumer.next().await.context("the consumer ended")?,
        };
        if deliveries.prefetch.is_some() {
            delivery.ack()?;
        }
        Ok(delivery.body.len())
    }

    fn lost(deliveries: &Received) -> u64 {
        deliveries.lost
    }
}

impl Confirms {
    async fn settle_oldest(&mut self) -> Result<()> {
        if let Some(confirm) = self.pending.pop_front() {
            ensure!(confirm.await? == Confirmation::Acked, "a publish was refused");
        }
        Ok(())
    }
}

impl Received {
    /// The first delivery that is not lost, once those before it are acknowledged.
    async fn make_up(&mut self, prefetch: u16) -> Result<DeliverMessage> {
        self.first = false;
        let window = u64::from(prefetch);
        if let Ok(delivery) = timeout(Duration::from_millis(200), self.consumer.next()).await {
            let delivery = delivery.context("the consumer ended")?;
            self.lost = delivery.delivery_tag.saturating_sub(1);
            if self.lost > 0 {
                self.channel.basic_ack(self.lost, true)?;
            }
            return Ok(delivery);
        }
        // Nothing came: the whole window was lost, and without an acknowledgement nothing will come.
        self.lost = window;
        self.channel.basic_ack(window, true)?;
        self.consumer.next().await.context("the consumer ended")
    }
}
