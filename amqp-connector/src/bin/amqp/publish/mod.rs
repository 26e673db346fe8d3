//! `publish`: a message, or one for each line, and what became of each.

mod source;
mod tally;

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use amqp_connector::{
    BasicPublish, BasicPublishStream, Bytes, Channel, Confirmation, Connection, Error, ErrorKind,
    Returns, basic,
};
use serde_json::json;

use crate::args::PublishArgs;
use crate::broker::Work;
use crate::fail::{Ended, Ending, Failure};
use crate::output::Progress;
use source::{Counted, Lines, Source};
use tally::Tally;

/// How many publishes are unconfirmed before the next is made.
const WINDOW: usize = 1000;
/// How long what was published is waited for after an interrupt.
const GRACE: Duration = Duration::from_secs(3);

/// Where messages go, and with what.
struct Publisher<'a> {
    channel: Channel,
    exchange: String,
    routing_key: String,
    mandatory: bool,
    properties: basic::Properties,
    pending: VecDeque<Confirmation>,
    tally: Tally<'a>,
}

pub(crate) async fn run(work: &Work, args: PublishArgs) -> Ended {
    let PublishArgs { exchange, routing_key, body, file, lines, size, mandatory, message } = args;
    // Before connecting: what cannot be read needs no broker.
    let opened = Source::open(body, file, lines, size);
    let source = work.interrupts.or(opened).await.ok_or_else(Failure::interrupted)??;
    let (connection, channel) = work.open().await?;
    let doing = match exchange.is_empty() {
        true => format!("publishing to queue {routing_key:?}"),
        false => format!("publishing to exchange {exchange:?} with routing key {routing_key:?}"),
    };
    let mut publisher = Publisher {
        channel,
        exchange,
        routing_key,
        mandatory,
        properties: message.into_properties(),
        pending: VecDeque::new(),
        tally: Tally::new(&work.output),
    };
    let ended = publisher.publish(work, &connection, source, &doing).await;
    // With it goes the channel.
    let Publisher { tally, .. } = publisher;
    connection.close().await;
    let ended = ended?;
    work.output.tell("", &json!({ "published": tally.published(), "outcomes": tally.counts() }))?;
    match tally.unknown() {
        Some(why) => Err(Failure::failed(format!("{doing}: {why}"))),
        None if ended == Ending::Done && !tally.all_taken() => Ok(Ending::NotTaken),
        None => Ok(ended),
    }
}

impl Publisher<'_> {
    async fn publish(
        &mut self,
        work: &Work,
        connection: &Connection,
        source: Source,
        doing: &str,
    ) -> Ended {
        let failure = |error: Error| Failure::of(doing, &error);
        if let Source::Stream(reader) = source {
            let streamed = self.stream(connection, reader);
            return match work.interrupts.or(streamed).await {
                Some(done) => done.map_err(failure)?.map(|()| Ending::Done),
                None => Ok(Ending::Interrupted),
            };
        }
        let confirmed = match self.channel.confirm_select().await {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::Unsupported => false,
            Err(error) => return Err(failure(error)),
        };
        let returns = (!confirmed).then(|| self.channel.returns());
        let ended = match source {
            Source::Body(body) => match work.interrupts.or(self.send(body)).await {
                Some(sent) => sent.map_err(failure)?.map(|()| Ending::Done),
                None => Ok(Ending::Interrupted),
            },
            Source::Lines(lines) => self.send_lines(work, lines, &failure).await,
            Source::Stream(_) => Ok(Ending::Done),
        };
        match &ended {
            Ok(Ending::Interrupted) => {
                // What is not confirmed by then is told as unknown, by the closing of its connection.
                let _ = tokio::time::timeout(GRACE, self.settle(returns)).await;
            }
            Ok(_) => match work.interrupts.or(self.settle(returns)).await {
                Some(settled) => settled.map_err(failure)??,
                None => return Ok(Ending::Interrupted),
            },
            Err(_) => {}
        }
        ended
    }

    async fn send_lines(
        &mut self,
        work: &Work,
        mut lines: Lines,
        failure: &impl Fn(Error) -> Failure,
    ) -> Ended {
        let mut progress = Progress::new();
        loop {
            let line = match work.interrupts.or(lines.next()).await {
                None => return Ok(Ending::Interrupted),
                Some(Ok(None)) => return Ok(Ending::Done),
                Some(Ok(Some(line))) => line,
                Some(Err(failed)) => return Err(failed),
            };
            match work.interrupts.or(self.send(line)).await {
                None => return Ok(Ending::Interrupted),
                Some(sent) => sent.map_err(failure)??,
            }
            progress.show(|| {
                format!("{} published, {} unconfirmed", self.tally.published(), self.pending.len())
            });
        }
    }

    /// Publishes. Meanwhile the outcomes of earlier ones are taken: what they hold may be the room that this one waits for.
    async fn send(&mut self, body: Bytes) -> Result<Result<(), Failure>, Error> {
        let publish = BasicPublish::new(self.exchange.as_str(), self.routing_key.as_str(), body)
            .properties(self.properties.clone())
            .mandatory(self.mandatory);
        let mut publish = pin!(self.channel.basic_publish(publish));
        let confirmation = loop {
            let Some(oldest) = self.pending.front_mut() else { break publish.await? };
            tokio::select! {
                biased;
                accepted = &mut publish => break accepted?,
                outcome = oldest => {
                    self.pending.pop_front();
                    if let Err(failed) = self.tally.count(&outcome) { return Ok(Err(failed)); }
                }
            }
        };
        self.pending.push_back(confirmation);
        match self.pending.len() > WINDOW {
            true => Ok(self.take_oldest().await),
            false => Ok(Ok(())),
        }
    }

    async fn take_oldest(&mut self) -> Result<(), Failure> {
        let Some(oldest) = self.pending.front_mut() else { return Ok(()) };
        let outcome = oldest.await;
        self.pending.pop_front();
        self.tally.count(&outcome)
    }

    /// Waits until what became of all is known.
    async fn settle(&mut self, returns: Option<Returns>) -> Result<Result<(), Failure>, Error> {
        while !self.pending.is_empty() {
            if let Err(failed) = self.take_oldest().await {
                return Ok(Err(failed));
            }
        }
        let Some(mut returns) = returns else { return Ok(Ok(())) };
        // Without confirms: the broker answers this after it has handled what came before, and what it gives back, or
        // closes the channel for, comes before the answer. Nothing is consumed here, so the limit means nothing.
        self.channel.call(basic::Qos::default()).await?;
        self.channel.close().await?;
        while let Some(returned) = returns.recv().await {
            if let Err(failed) = self.tally.came_back(&returned) {
                return Ok(Err(failed));
            }
        }
        Ok(Ok(()))
    }

    /// A large body, in a transaction: what breaks off is seen by nobody.
    async fn stream(
        &mut self,
        connection: &Connection,
        reader: Counted,
    ) -> Result<Result<(), Failure>, Error> {
        let (exchange, key) = (self.exchange.as_str(), self.routing_key.as_str());
        let publish = BasicPublishStream::new(exchange, key, reader.size())
            .properties(self.properties.clone())
            .mandatory(self.mandatory);
        let outcome = connection.publish_reader(publish, reader).await?;
        Ok(self.tally.count(&outcome))
    }
}
