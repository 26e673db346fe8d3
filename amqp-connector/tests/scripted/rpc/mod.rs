//! Requests and replies, with the broker in memory: every call ends, for its own reason, and nothing is left of it.

mod client;
mod losses;
mod server;

use amqp_connector::rpc::{Client, ClientOptions, Request};
use amqp_connector::testing::broker::MemoryBroker;
use amqp_connector::typed::Text;
use amqp_connector::{
    BasicConsume, BasicPublish, Channel, Connection, Consumer, Delivery, Prefetch, QueueDeclare,
    ShortStr,
};

/// A connection with a client of text.
async fn open(broker: &MemoryBroker) -> (Connection, Client<Text>) {
    open_with(broker, ClientOptions::new()).await
}

async fn open_with(broker: &MemoryBroker, options: ClientOptions) -> (Connection, Client<Text>) {
    let connection = broker.connect().await.expect("a connection");
    let client = Client::open_with(&connection, options).await.expect("a client");
    (connection, client.codec(Text))
}

/// A server of another make: it knows reply-to and correlation-id, and nothing of this library.
struct Foreign {
    _connection: Connection,
    channel: Channel,
    requests: Consumer,
}

impl Foreign {
    /// One that consumes this queue.
    async fn of(broker: &MemoryBroker, queue: &str) -> Self {
        Self::on(broker, queue, false).await
    }

    async fn on(broker: &MemoryBroker, queue: &str, durable: bool) -> Self {
        let connection = broker.connect().await.expect("a connection");
        let channel = connection.channel_open().await.expect("a channel");
        channel.queue_declare(QueueDeclare::new(queue).durable(durable)).await.expect("declared");
        let consume = BasicConsume::new(queue, Prefetch::Count(100)).no_ack(true);
        let requests = channel.basic_consume(consume).await.expect("started");
        Self { _connection: connection, channel, requests }
    }

    async fn next(&mut self) -> Delivery {
        self.requests.recv().await.expect("a request")
    }

    async fn reply(&self, request: &Delivery, body: &str) {
        let reply_to = request.properties.reply_to.clone().expect("an address");
        let id = request.properties.correlation_id.clone().expect("an id");
        self.publish(reply_to, Some(id), body).await;
    }

    async fn publish(&self, reply_to: ShortStr, id: Option<ShortStr>, body: &str) {
        let mut reply = BasicPublish::new("", reply_to, body.to_owned());
        if let Some(id) = id {
            reply = reply.correlation_id(id);
        }
        drop(self.channel.basic_publish(reply).await.expect("accepted"));
    }
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body.to_bytes().to_vec()).expect("text")
}

/// A request to a queue.
fn request(queue: &str, body: &str) -> Request {
    Request::new(BasicPublish::new("", queue, body.to_owned()))
}
