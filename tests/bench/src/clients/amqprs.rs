//! `amqprs`, as its documentation and its own benchmark use it.
//!
//! Deliveries come by `basic_consume_rx`, which costs less than a consumer object. Confirmations come to a
//! callback, which counts them here; a publisher waits for the count. A publish takes its body, properties
//! and arguments by value and ends when they are queued: 8192 of them fit, whatever their size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, BasicQosArguments, Channel,
    ConfirmSelectArguments, ConsumerMessage, QueueDeclareArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, FieldTable, FieldValue, Nack, Return};
use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use super::library::{self, Declare, Library};
use super::{Client, locked};
use crate::cases::{self, Case, HeaderValue};
use crate::context::Context;
use crate::frames;
use crate::meter::Measured;

/// The client `amqprs`.
#[derive(Clone, Copy, Debug)]
pub struct Amqprs;

impl Client for Amqprs {
    const NAME: &'static str = "amqprs";

    fn version() -> &'static str {
        locked("amqprs")
    }

    async fn run(case: Case, ctx: Context) -> Result<Measured> {
        library::run::<Self>(case, ctx).await
    }
}

/// A message to be published.
pub(super) struct Message {
    arguments: BasicPublishArguments,
    body: Vec<u8>,
    properties: BasicProperties,
}

/// A channel with confirms.
pub(super) struct Confirms {
    channel: Channel,
    published: u64,
    confirmed: Arc<Confirmed>,
}

/// How many publishes are confirmed, counted by the channel's callback.
#[derive(Default)]
struct Confirmed {
    count: AtomicU64,
    refused: AtomicBool,
    changed: Notify,
}

/// A consumer.
pub(super) struct Received {
    channel: Channel,
    messages: UnboundedReceiver<ConsumerMessage>,
    ack: bool,
}

impl Library for Amqprs {
    type Connection = Connection;
    type Channel = Channel;
    type Message = Message;
    type Confirms = Confirms;
    type Deliveries = Received;

    const ACCEPTS_WITHOUT_BOUND: bool = true;

    async fn connect(ctx: &Context) -> Result<Connection> {
        let peer = &ctx.peer;
        let mut arguments =
            OpenConnectionArguments::new(&peer.host, peer.port, &peer.user, &peer.password);
        arguments.virtual_host(&peer.vhost);
        Ok(Connection::open(&arguments).await?)
    }

    async fn disconnect(connection: Connection) -> Result<()> {
        Ok(connection.close().await?)
    }

    async fn open(connection: &Connection) -> Result<Channel> {
        Ok(connection.open_channel(None).await?)
    }

    async fn close(channel: Channel) -> Result<()> {
        Ok(channel.close().await?)
    }

    async fn declare(channel: &Channel, queue: &str, how: Declare) -> Result<u32> {
        let mut arguments = QueueDeclareArguments::new(queue);
        match how {
            Declare::Passive => {
                arguments.passive(true);
            }
            Declare::Exclusive { max_length } => {
                let mut table = FieldTable::new();
                if let Some(length) = max_length {
                    table.insert("x-max-length".try_into()?, FieldValue::I(length));
                }
                arguments.exclusive(true).auto_delete(true).arguments(table);
            }
        }
        let declared = channel.queue_declare(arguments).await?;
        Ok(declared.map_or(0, |(_, messages, _)| messages))
    }

    fn message(key: &str, body: usize, headers: usize) -> Result<Message> {
        let mut properties = BasicProperties::default();
        if headers > 0 {
            let mut table = FieldTable::new();
            for (name, value) in cases::headers(headers) {
                let value = match value {
                    HeaderValue::Text(text) => FieldValue::S(text.try_into()?),
                    HeaderValue::Number(number) => FieldValue::l(number),
                };
                table.insert(name.try_into()?, value);
            }
            properties.with_headers(table);
        }
        let arguments = BasicPublishArguments::new("", key);
        Ok(Message { arguments, body: frames::body(body), properties })
    }

    async fn publish(channel: &Channel, message: &Message) -> Result<()> {
        let Message { arguments, body, properties } = message;
        Ok(channel.basic_publish(properties.clone(), body.clone(), arguments.clone()).await?)
    }

    async fn confirms(channel: &Channel) -> Result<Confirms> {
        let confirmed = Arc::new(Confirmed::default());
        channel.register_callback(Callback(Arc::clone(&confirmed))).await?;
        channel.confirm_select(ConfirmSelectArguments::default()).await?;
        Ok(Confirms { channel: channel.clone(), published: 0, confirmed })
    }

    async fn publish_confirmed(
        confirms: &mut Confirms,
        message: &Message,
        window: usize,
    ) -> Result<()> {
        confirms.confirmed.wait(confirms.published, window).await?;
        Self::publish(&confirms.channel, message).await?;
        confirms.published += 1;
        Ok(())
    }

    async fn settle(confirms: &mut Confirms) -> Result<()> {
        confirms.confirmed.wait(confirms.published, 1).await
    }

    async fn consume(
        channel: &Channel,
        queue: &str,
        tag: &str,
        prefetch: Option<u16>,
    ) -> Result<Received> {
        if let Some(prefetch) = prefetch {
            channel.basic_qos(BasicQosArguments::new(0, prefetch, false)).await?;
        }
        let mut arguments = BasicConsumeArguments::new(queue, tag);
        arguments.manual_ack(prefetch.is_some());
        let (_, messages) = channel.basic_consume_rx(arguments).await?;
        Ok(Received { channel: channel.clone(), messages, ack: prefetch.is_some() })
    }

    async fn receive(deliveries: &mut Received) -> Result<usize> {
        let message = deliveries.messages.recv().await.context("the consumer ended")?;
        if deliveries.ack {
            let tag = message.deliver.context("a delivery without its method")?.delivery_tag();
            deliveries.channel.basic_ack(BasicAckArguments::new(tag, false)).await?;
        }
        Ok(message.content.map_or(0, |body| body.len()))
    }
}

impl Confirmed {
    /// Waits until fewer than `window` of so many publishes are unconfirmed.
    async fn wait(&self, published: u64, window: usize) -> Result<()> {
        while published - self.count.load(Ordering::Acquire) >= window as u64 {
            ensure!(!self.refused.load(Ordering::Acquire), "a publish was refused");
            self.changed.notified().await;
        }
        Ok(())
    }

    fn refuse(&self) {
        self.refused.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

struct Callback(Arc<Confirmed>);

#[async_trait]
impl ChannelCallback for Callback {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<(), amqprs::error::Error> {
        self.0.refuse();
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        // Never more than were confirmed, whatever the order of single and multiple acks.
        let count = self.0.count.load(Ordering::Relaxed);
        let count = if ack.mutiple() { count.max(ack.delivery_tag()) } else { count + 1 };
        self.0.count.store(count, Ordering::Release);
        self.0.changed.notify_one();
    }

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {
        self.0.refuse();
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}
