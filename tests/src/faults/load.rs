//! Publishers and consumers at a steady rate, while faults are inflicted, and the accounts in between.

use std::time::Duration;

use amqp_connector::amqp_types::if_spec;
use amqp_connector::arguments::{QueueArguments, QueueType};
use amqp_connector::{BasicConsume, Channel, Consumer, Prefetch, QueueDeclare, QueueDelete};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::{Books, Client};
use super::ledger::{Ledger, Seen, Totals};
use super::nodes::Node;
use super::publishing::{self, Task};

/// How long outcomes and messages may be missing when nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(90);
/// By when a client has noticed what the broker has: two heartbeats and much that can delay it.
const NOTICED: Duration = Duration::from_secs(30);

/// What a load is like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the names of its queues and connections begin with.
    pub prefix: String,
    /// How many connections publish.
    pub publishers: usize,
    /// How many of those have the connector publish again what was unanswered at a loss, where there are confirms.
    pub republishers: usize,
    /// How many connections consume.
    pub consumers: usize,
    /// Messages in a second, of all publishers.
    pub rate: u32,
    /// Whether the queue is a quorum queue, with a replica on each node.
    pub quorum: bool,
    /// Whether some messages go to a queue that is full.
    pub rejecting: bool,
}

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    nodes: Vec<Node>,
    /// Those that publish, then those that consume.
    clients: Vec<Client>,
    channel: Channel,
    queue: String,
    full: Option<String>,
    books: Books,
    publishing: Vec<JoinHandle<Result<(), String>>>,
    consuming: Vec<JoinHandle<()>>,
}

impl Load {
    /// Declares the queues, starts the consumers and the publishers. Nothing is published before a [`round`](Self::round).
    ///
    /// # Errors
    ///
    /// If the broker does not let it.
    pub async fn start(nodes: &[Node], plan: &Plan) -> Result<Self, String> {
        let books = Books::new(Ledger::new(plan.consumers));
        let mut clients = Vec::new();
        for number in 0..plan.publishers + plan.consumers {
            let consumer = number.checked_sub(plan.publishers);
            let name = format!("{}client {number}", plan.prefix);
            clients.push(Client::connect(&name, nodes, number, &books, consumer).await?);
        }
        let first = clients.first().ok_or("a load without clients")?;
        let channel = first.connection.channel_open().await.map_err(|error| error.to_string())?;
        let queue = format!("{}wanted", plan.prefix);
        let kind = if plan.quorum { QueueType::Quorum } else { QueueType::Classic };
        declare(&channel, &queue, QueueArguments::new().queue_type(kind)).await?;
        let full = match plan.rejecting {
            true => fill(&channel, format!("{}full", plan.prefix)).await?,
            false => None,
        };
        let mut load = Self {
            nodes: nodes.to_vec(),
            clients,
            channel,
            queue,
            full,
            books,
            publishing: Vec::new(),
            consuming: Vec::new(),
        };
        load.start_tasks(plan).await.map_err(|error| error.to_string())?;
        Ok(load)
    }

    async fn start_tasks(&mut self, plan: &Plan) -> amqp_connector::Result<()> {
        let task = Task {
            queue: self.queue.clone(),
            full: self.full.clone(),
            nowhere: format!("{}nowhere", plan.prefix),
            rate: plan.rate.div_ceil(u32::try_from(plan.publishers.max(1)).unwrap_or(1)),
            republish: 0,
            books: self.books.clone(),
        };
        for (number, client) in self.clients.iter().enumerate() {
            let connection = client.connection.clone();
            if let Some(consumer) = number.checked_sub(plan.publishers) {
                let channel = connection.channel_open().await?;
                let consume = BasicConsume::new(&self.queue, Prefetch::Count(100));
                let consumed = channel.basic_consume(consume).await?;
                self.consuming.push(tokio::spawn(read(consumed, consumer, self.books.clone())));
            } else {
                let republish = if number < plan.republishers { u16::MAX } else { 0 };
                let task = Task { republish, ..task.clone() };
                self.publishing.push(tokio::spawn(publishing::publish(connection, task)));
            }
        }
        Ok(())
    }

    /// Publishes while `faults` run, then waits until every outcome has come and every message is consumed, and judges
    /// the round. What may not be is in the [`ledger`](Self::ledger).
    pub async fn round(&self, faults: impl Future<Output = Result<(), String>>) {
        self.books.lock().open();
        let ended = faults.await;
        self.books.lock().pause();
        if let Err(error) = ended {
            self.books.lock().fault(format!("a fault could not be inflicted: {error}"));
        }
        if let Err(missing) = self.settle().await {
            self.books.lock().fault(missing);
        }
        self.books.lock().close();
    }

    async fn settle(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let mut asked = "not asked for".to_owned();
        loop {
            let (outcomes, messages) = self.books.lock().missing();
            if (outcomes, messages) == (0, 0) {
                asked = self.in_queue().await;
                if asked == "0 0 " {
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "after {} s {outcomes} outcomes and {messages} messages are missing; in the queue: {asked}",
                    PATIENCE.as_secs()
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What is ready and what is unsettled in the queue, as text, by the first node that says.
    async fn in_queue(&self) -> String {
        let question = format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{}\">>)),
             [io_lib:format(\"~b \", [N])
                 || {{_, N}} <- rabbit_amqqueue:info(Q, [messages_ready, messages_unacknowledged])]",
            self.queue
        );
        self.ask(&question).await.unwrap_or_else(|error| error)
    }

    /// Waits until every connection is back, also those that are still to notice that their link is silent.
    async fn recovered(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        for client in &self.clients {
            while let Err(error) = round_trip(client).await {
                if Instant::now() > deadline {
                    return Err(format!("a connection does not come back: {error}"));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        // The events come a moment later.
        loop {
            let Totals { losses, interrupted, recoveries, .. } = self.books.lock().totals();
            if losses == interrupted + recoveries {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{losses} losses, {interrupted} of them in a recovery, and {recoveries} recoveries"
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks the nodes in turn until one answers.
    pub(super) async fn ask(&self, question: &str) -> Result<String, String> {
        let mut refused = "no node".to_owned();
        for node in &self.nodes {
            match node.broker().eval_async(question).await {
                Ok(answer) => return Ok(answer),
                Err(error) => refused = error.to_string(),
            }
        }
        Err(refused)
    }

    /// The node that the queue's leader is on: for a queue that has none, the first.
    pub(super) async fn leader(&self) -> Result<Node, String> {
        let question = format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{}\">>)),
             io_lib:format(\"~s\", [proplists:get_value(leader, rabbit_amqqueue:info(Q, [leader]))])",
            self.queue
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let [node] = &self.nodes[..] {
                return Ok(node.clone());
            }
            let leader = self.ask(&question).await;
            let named = leader.as_ref().ok().map(String::as_str);
            if let Some(node) = self.nodes.iter().find(|node| Some(node.name()) == named) {
                return Ok(node.clone());
            }
            if Instant::now() > deadline {
                return Err(format!("no leader: {leader:?}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// The books, for a look.
    pub fn ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        let mut ledger = self.books.lock();
        ledger.settle_doubts(NOTICED);
        look(&mut ledger)
    }

    /// Ends all of it, and removes the queues. Gives the totals.
    ///
    /// # Errors
    ///
    /// What there was that may not be.
    pub async fn end(self) -> Result<Totals, String> {
        if let Err(error) = self.recovered().await {
            self.books.lock().fault(error);
        }
        let Self { clients, channel, queue, full, books, publishing, consuming, .. } = self;
        for queue in [Some(queue), full].into_iter().flatten() {
            if let Err(error) = channel.queue_delete(QueueDelete::new(&queue)).await {
                books.lock().fault(format!("deleting {queue}: {error}"));
            }
        }
        for client in clients {
            client.close().await;
        }
        for task in publishing {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => books.lock().fault(error),
                Err(error) => books.lock().fault(error.to_string()),
            }
        }
        for task in consuming {
            if let Err(error) = task.await {
                books.lock().fault(error.to_string());
            }
        }
        let ledger = books.lock();
        match ledger.faults() {
            ([], _) => Ok(ledger.totals()),
            (faults, more) => {
                Err(format!("{}\nand {more} more\n{:?}", faults.join("\n"), ledger.totals()))
            }
        }
    }
}

async fn round_trip(client: &Client) -> amqp_connector::Result<()> {
    client.connection.channel_open().await?.close().await
}

async fn declare(channel: &Channel, queue: &str, arguments: QueueArguments) -> Result<(), String> {
    let arguments = arguments.into_table().map_err(|error| error.to_string())?;
    let declare = QueueDeclare::new(queue).durable(true).arguments(arguments);
    let declared = channel.queue_declare(declare).await;
    declared.map(drop).map_err(|error| format!("declaring {queue}: {error}"))
}

if_spec! { confirm.select => {
    use amqp_connector::BasicPublish;
    use amqp_connector::arguments::Overflow;

    /// A queue that is full, and rejects what comes.
    async fn fill(channel: &Channel, queue: String) -> Result<Option<String>, String> {
        let arguments = QueueArguments::new().max_length(1).overflow(Overflow::RejectPublish);
        declare(channel, &queue, arguments).await?;
        channel.confirm_select().await.map_err(|error| error.to_string())?;
        let message = BasicPublish::new("", &queue, "full").persistent();
        let published = channel.basic_publish(message).await.map_err(|error| error.to_string())?;
        match published.await {
            outcome if outcome.is_acked() => Ok(Some(queue)),
            outcome => Err(format!("filling {queue}: {outcome}")),
        }
    }
} else {
    /// Without confirms nobody is told of a rejection.
    async fn fill(_: &Channel, _: String) -> Result<Option<String>, String> {
        Ok(None)
    }
} }

/// Consumes until the consumer ends.
async fn read(mut consumer: Consumer, number: usize, books: Books) {
    let (mut epoch, mut last) = (0, None);
    while let Some(delivery) = consumer.recv().await {
        if last.replace(delivery.epoch()) != Some(delivery.epoch()) {
            epoch += 1;
        }
        // Before the ack: whatever is lost after this is counted after it.
        let losses = books.lock().losses(number);
        let (redelivered, id) = (delivery.redelivered, publishing::read(&delivery.body.to_bytes()));
        let acked = delivery.ack().is_ok();
        let mut ledger = books.lock();
        match id {
            Some(id) => {
                ledger.seen(id, Seen { consumer: number, epoch, losses, redelivered, acked });
            }
            None => ledger.fault("a message is not as it was published".to_owned()),
        }
    }
    let end = consumer.end().map(|end| format!("{end:?}")).unwrap_or_default();
    // Its queue is deleted, or its connection closed, at the end of the load.
    books.lock().ended(number, end);
}
