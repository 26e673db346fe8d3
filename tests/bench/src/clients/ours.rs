//! `amqp-connector`, the client of this project, as its documentation tells to use it.
//!
//! A publish ends when the message is accepted for sending, and its confirmation is a future of its own;
//! bodies are `Bytes`, which are not copied by cloning.

use std::collections::VecDeque;

use amqp_connector::{
    BasicConsume, BasicPublish, Bytes, Channel, Confirmation, Connection, Consumer, FieldTable,
    Initiator, Outcome, Prefetch, QueueDeclare, basic,
};
use anyhow::{Result, bail, ensure};

use super::library::{self, Declare, Library};
use super::{Client, locked};
use crate::cases::Case;
use crate::context::Context;
use crate::frames;
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
        library::run::<Self>(case, ctx).await
    }
}

/// A message to be published.
pub(super) struct Message {
    key: String,
    body: Bytes,
    properties: Option<basic::Properties>,
}

/// A channel with confirms, and those awaited, the oldest first.
pub(super) struct Confirms {
    channel: Channel,
    pending: VecDeque<Confirmation>,
}

/// A consumer.
pub(super) struct Deliveries {
    consumer: Consumer,
    acknowledge: bool,
}

impl Library for Ours {
    type Connection = Connection;
    type Channel = Channel;
    type Message = Message;
    type Confirms = Confirms;
    type Deliveries = Deliveries;

    const ACCEPTS_WITHOUT_BOUND: bool = false;
    const SPEAKS_TLS: bool = true;

    async fn connect(ctx: &Context) -> Result<Connection> {
        Ok(Connection::open(&ctx.url).await?)
    }

    async fn disconnect(connection: Connection) -> Result<()> {
        let reason = connection.close().await;
        ensure!(reason.initiator() == Initiator::Application, "it ended before: {reason}");
        Ok(())
    }

    async fn open(connection: &Connection) -> Result<Channel> {
        Ok(connection.channel_open().await?)
    }

    async fn close(channel: Channel) -> Result<()> {
        Ok(channel.close().await?)
    }

    async fn declare(channel: &Channel, queue: &str, how: Declare) -> Result<u32> {
        let queue = QueueDeclare::new(queue);
        let queue = match how {
            Declare::Passive => queue.passive(true),
            Declare::Exclusive { max_length } => {
                let mut arguments = FieldTable::default();
                if let Some(length) = max_length {
                    arguments.insert(frames::short("x-max-length"), length);
                }
                queue.exclusive(true).auto_delete(true).arguments(arguments)
            }
        };
        Ok(channel.queue_declare(queue).await?.message_count)
    }

    fn message(key: &str, body: usize, headers: usize) -> Result<Message> {
        let properties = (headers > 0).then(|| frames::properties(headers));
        Ok(Message { key: key.to_owned(), body: frames::body(body).into(), properties })
    }

    async fn publish(channel: &Channel, message: &Message) -> Result<()> {
        // Without confirms there is nothing more to know.
        drop(channel.basic_publish(message.publish()).await?);
        Ok(())
    }

    async fn confirms(channel: &Channel) -> Result<Confirms> {
        channel.confirm_select().await?;
        Ok(Confirms { channel: channel.clone(), pending: VecDeque::new() })
    }

    async fn publish_confirmed(
        confirms: &mut Confirms,
        message: &Message,
        window: usize,
    ) -> Result<()> {
        while confirms.pending.len() >= window {
            confirms.settle_oldest().await?;
        }
        let confirmation = confirms.channel.basic_publish(message.publish()).await?;
        confirms.pending.push_back(confirmation);
        Ok(())
    }

    async fn settle(confirms: &mut Confirms) -> Result<()> {
        while !confirms.pending.is_empty() {
            confirms.settle_oldest().await?;
        }
        Ok(())
    }

    async fn consume(
        channel: &Channel,
        queue: &str,
        tag: &str,
        prefetch: Option<u16>,
    ) -> Result<Deliveries> {
        let acknowledge = prefetch.is_some();
        let prefetch = prefetch.map_or(Prefetch::Unlimited, Prefetch::Count);
        let consume = BasicConsume::new(queue, prefetch).tag(tag).no_ack(!acknowledge);
        Ok(Deliveries { consumer: channel.basic_consume(consume).await?, acknowledge })
    }

    async fn receive(deliveries: &mut Deliveries) -> Result<usize> {
        let Deliveries { consumer, acknowledge } = deliveries;
        let Some(delivery) = consumer.recv().await else {
            bail!("the consumer ended: {:?}", consumer.end());
        };
        let octets = delivery.body.len();
        if *acknowledge {
            delivery.ack()?;
        }
        Ok(octets)
    }
}

impl Message {
    fn publish(&self) -> BasicPublish {
        let publish = BasicPublish::new("", self.key.as_str(), self.body.clone());
        match &self.properties {
            Some(properties) => publish.properties(properties.clone()),
            None => publish,
        }
    }
}

impl Confirms {
    async fn settle_oldest(&mut self) -> Result<()> {
        match self.pending.pop_front() {
            Some(oldest) => match oldest.await {
                Outcome::Acked => Ok(()),
                other => bail!("a message is {other:?}"),
            },
            None => Ok(()),
        }
    }
}
