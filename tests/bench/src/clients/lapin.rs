//! `lapin` on tokio, without TLS.
//!
//! A publish ends when it has been written to the socket, and so does an acknowledgement: awaiting each
//! means a round trip to lapin's I/O thread for each. The cases `publish-*` do that, `publish-*-64` keep 64
//! in flight. Where a case leaves it open, several are in flight too: confirmed publishes up to the window
//! of the case, acknowledgements up to [`ACKS`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, PublisherConfirm,
};

use super::library::{self, Declare, Library};
use super::{Client, locked};
use crate::cases::{self, Case, HeaderValue};
use crate::context::Context;
use crate::frames;
use crate::meter::{Measured, Meter};

/// Acknowledgements in flight.
const ACKS: usize = 64;

/// The client `lapin`.
#[derive(Clone, Copy, Debug)]
pub struct Lapin;

impl Client for Lapin {
    const NAME: &'static str = "lapin";

    fn version() -> &'static str {
        locked("lapin")
    }

    async fn run(case: Case, ctx: Context) -> Result<Measured> {
        library::run::<Self>(case, ctx).await
    }
}

/// Calls in flight.
type Pending = FuturesUnordered<Pin<Box<dyn Future<Output = Result<()>> + Send>>>;

/// A message to be published.
pub(super) struct Message {
    key: ShortString,
    body: Vec<u8>,
    properties: BasicProperties,
}

/// A channel with confirms, and those awaited.
pub(super) struct Confirms {
    channel: Arc<Channel>,
    pending: Pending,
}

/// A consumer, and its acknowledgements in flight.
pub(super) struct Received {
    consumer: Consumer,
    ack: bool,
    acks: Pending,
}

impl Library for Lapin {
    type Connection = Connection;
    type Channel = Arc<Channel>;
    type Message = Arc<Message>;
    type Confirms = Confirms;
    type Deliveries = Received;

    const ACCEPTS_WITHOUT_BOUND: bool = false;

    async fn connect(ctx: &Context) -> Result<Connection> {
        Ok(Connection::connect(&ctx.url, ConnectionProperties::default()).await?)
    }

    async fn disconnect(connection: Connection) -> Result<()> {
        Ok(connection.close(200, "OK".into()).await?)
    }

    async fn open(connection: &Connection) -> Result<Arc<Channel>> {
        Ok(Arc::new(connection.create_channel().await?))
    }

    async fn close(channel: Arc<Channel>) -> Result<()> {
        Ok(channel.close(200, "OK".into()).await?)
    }

    async fn declare(channel: &Arc<Channel>, queue: &str, how: Declare) -> Result<u32> {
        let mut options = QueueDeclareOptions::default();
        let mut arguments = FieldTable::default();
        match how {
            Declare::Passive => options.passive = true,
            Declare::Exclusive { max_length } => {
                (options.exclusive, options.auto_delete) = (true, true);
                if let Some(length) = max_length {
                    arguments.insert("x-max-length".into(), AMQPValue::LongInt(length));
                }
            }
        }
        let declared = channel.queue_declare(queue.into(), options, arguments).await?;
        Ok(declared.message_count())
    }

    fn message(key: &str, body: usize, headers: usize) -> Result<Arc<Message>> {
        let mut properties = BasicProperties::default();
        if headers > 0 {
            let mut table = FieldTable::default();
            for (name, value) in cases::headers(headers) {
                let value = match value {
                    HeaderValue::Text(text) => AMQPValue::LongString(text.into()),
                    HeaderValue::Number(number) => AMQPValue::LongLongInt(number),
                };
                table.insert(name.into(), value);
            }
            properties = properties.with_headers(table);
        }
        Ok(Arc::new(Message { key: key.into(), body: frames::body(body), properties }))
    }

    async fn publish(channel: &Arc<Channel>, message: &Arc<Message>) -> Result<()> {
        // Without confirm mode the confirmation is there already.
        message.publish(channel).await?.await?;
        Ok(())
    }

    async fn publish_in_flight(
        channel: &Arc<Channel>,
        message: &Arc<Message>,
        calls: usize,
        meter: &mut Meter,
    ) -> Result<u64> {
        let (mut pending, mut total) = (FuturesUnordered::new(), 0);
        while meter.tick() {
            if pending.len() >= calls {
                pending.next().await.transpose()?;
            }
            pending.push(Self::publish(channel, message));
            total += 1;
        }
        while pending.next().await.transpose()?.is_some() {}
        Ok(total)
    }

    async fn confirms(channel: &Arc<Channel>) -> Result<Confirms> {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Confirms { channel: Arc::clone(channel), pending: Pending::new() })
    }

    async fn publish_confirmed(
        confirms: &mut Confirms,
        message: &Arc<Message>,
        window: usize,
    ) -> Result<()> {
        while confirms.pending.len() >= window {
            confirms.pending.next().await.transpose()?;
        }
        let (channel, message) = (Arc::clone(&confirms.channel), Arc::clone(message));
        confirms.pending.push(Box::pin(async move {
            ensure!(message.publish(&channel).await?.await?.is_ack(), "a publish was refused");
            Ok(())
        }));
        Ok(())
    }

    async fn settle(confirms: &mut Confirms) -> Result<()> {
        while confirms.pending.next().await.transpose()?.is_some() {}
        Ok(())
    }

    async fn consume(
        channel: &Arc<Channel>,
        queue: &str,
        tag: &str,
        prefetch: Option<u16>,
    ) -> Result<Received> {
        if let Some(prefetch) = prefetch {
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        }
        let options =
            BasicConsumeOptions { no_ack: prefetch.is_none(), ..BasicConsumeOptions::default() };
        let arguments = FieldTable::default();
        let consumer = channel.basic_consume(queue.into(), tag.into(), options, arguments).await?;
        Ok(Received { consumer, ack: prefetch.is_some(), acks: Pending::new() })
    }

    async fn receive(deliveries: &mut Received) -> Result<usize> {
        let delivery = deliveries.consumer.next().await.context("the consumer ended")??;
        if deliveries.ack {
            if deliveries.acks.len() >= ACKS {
                deliveries.acks.next().await.transpose()?;
            }
            let acker = delivery.acker;
            deliveries.acks.push(Box::pin(async move {
                acker.ack(BasicAckOptions::default()).await?;
                Ok(())
            }));
        }
        Ok(delivery.data.len())
    }
}

impl Message {
    fn publish(&self, channel: &Channel) -> impl Future<Output = lapin::Result<PublisherConfirm>> {
        let (options, properties) = (BasicPublishOptions::default(), self.properties.clone());
        let exchange = ShortString::default();
        channel.basic_publish(exchange, self.key.clone(), options, &self.body, properties)
    }
}
