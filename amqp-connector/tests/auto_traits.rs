//! What users do with handles, futures and values: send them to other threads, share them, and poll them where they are.
//! It compiles, or it fails.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use amqp_connector::protocol::{basic, tx};
use amqp_connector::rpc::{
    CallError, Client, ClientOptions, DroppedReplies, Failure, Received, Reply, Request, Server,
    ServerOptions, ServerReport,
};
use amqp_connector::typed::{CodecError, Text, TypedConsumer, TypedDelivery, Undecodable};
use amqp_connector::{
    Access, AccessRequest, AccessTicket, Acker, Address, BasicConsume, BasicGet, BasicPublish,
    BasicPublishStream, BlamedPublish, BodyStream, BrokenStream, Bytes, Call, CallWithContent,
    Channel, ChannelOpen, CloseCause, CloseReason, Completion, ConfirmCounts, ConfirmOptions,
    Confirmation, ConnectError, Connection, Connector, Consume, ConsumeStreamed, Consumer,
    ConsumerEnd, Content, Delivery, Driver, Error, ErrorKind, Event, Events, ExchangeBind,
    ExchangeDeclare, ExchangeDelete, ExchangeUnbind, Get, Greeted, Incoming, IncomingMethod,
    Initiator, Mechanism, Options, Outcome, Pace, Prefetch, Publish, QueueBind, QueueDeclare,
    QueueDelete, QueueUnbind, Recover, Recovered, Recv, RecvStreamed, Returned, Returns, Scope,
    ShutdownReport, Step, StreamConsumer, StreamFault, StreamedDelivery, TlsError, Transport,
    Tuning, UnexpectedChallenge, UnknownReason, Unsettled, UriError, WhileBlocked,
};
use futures_core::Stream;
use futures_core::stream::FusedStream;
use tokio::io::Empty;
use tokio::net::TcpStream;

const fn is_shared<T: Send + Sync + Unpin + 'static>() {}
const fn is_sent<T: Send + Unpin>() {}
const fn is_fused<T: FusedStream>() {}

#[cfg(feature = "blocking")]
const _: () = {
    is_shared::<amqp_connector::blocking::Connection>();
    is_shared::<amqp_connector::blocking::Channel>();
    is_shared::<amqp_connector::blocking::Consumer>();
};

const _: () = {
    is_shared::<Connection>();
    is_shared::<Channel>();
    is_shared::<Connector>();
    is_shared::<Greeted<TcpStream>>();
    is_shared::<Greeted<Transport>>();
    is_shared::<Options>();
    is_shared::<BasicPublish>();
    is_shared::<BasicPublishStream>();
    is_shared::<Consumer>();
    is_shared::<StreamConsumer>();
    is_shared::<Delivery>();
    is_shared::<TypedConsumer<String, Text>>();
    is_shared::<TypedDelivery<String>>();
    is_shared::<Undecodable>();
    is_shared::<CodecError>();
    is_shared::<Client<Text>>();
    is_shared::<ClientOptions>();
    is_shared::<Request>();
    is_shared::<Reply>();
    is_shared::<CallError>();
    is_shared::<Failure>();
    is_shared::<DroppedReplies>();
    is_shared::<Server>();
    is_shared::<ServerOptions>();
    is_shared::<ServerReport>();
    is_shared::<Received<String>>();
    is_shared::<StreamedDelivery>();
    is_shared::<BodyStream>();
    is_shared::<Acker>();
    is_shared::<Confirmation>();
    is_shared::<Returns>();
    is_shared::<Incoming>();
    is_shared::<Events>();

    is_shared::<Outcome>();
    is_shared::<ConfirmCounts>();
    is_shared::<Returned>();
    is_shared::<ConsumerEnd>();
    is_shared::<ShutdownReport>();
    is_shared::<Event>();
    is_shared::<Error>();
    is_shared::<ConnectError>();
    is_shared::<TlsError>();
    is_shared::<CloseReason>();
    is_shared::<UriError>();
};

const _: () = {
    is_shared::<BlamedPublish>();
    is_shared::<BrokenStream>();
    is_shared::<CloseCause>();
    is_shared::<Content>();
    is_shared::<ErrorKind>();
    is_shared::<IncomingMethod>();
    is_shared::<Initiator>();
    is_shared::<Recovered>();
    is_shared::<Scope>();
    is_shared::<Step>();
    is_shared::<StreamFault>();
    is_shared::<UnknownReason>();
};

const _: () = {
    is_shared::<AccessRequest>();
    is_shared::<AccessTicket>();
    is_shared::<Address>();
    is_shared::<BasicConsume>();
    is_shared::<BasicGet>();
    is_shared::<ConfirmOptions>();
    is_shared::<ExchangeBind>();
    is_shared::<ExchangeDeclare>();
    is_shared::<ExchangeDelete>();
    is_shared::<ExchangeUnbind>();
    is_shared::<Mechanism>();
    is_shared::<UnexpectedChallenge>();
    is_shared::<Pace>();
    is_shared::<Prefetch>();
    is_shared::<QueueBind>();
    is_shared::<QueueDeclare>();
    is_shared::<QueueDelete>();
    is_shared::<QueueUnbind>();
    is_shared::<Tuning>();
    is_shared::<Unsettled>();
    is_shared::<WhileBlocked>();
};

const _: () = {
    is_sent::<Access>();
    is_sent::<Call<tx::Select>>();
    is_sent::<CallWithContent<basic::Get>>();
    is_sent::<ChannelOpen>();
    is_sent::<Completion>();
    is_sent::<Consume>();
    is_sent::<ConsumeStreamed>();
    is_sent::<Driver<TcpStream>>();
    is_sent::<Driver<Transport>>();
    is_sent::<Get>();
    is_sent::<Publish>();
    is_sent::<Recover>();
    is_sent::<Recv<'_>>();
    is_sent::<RecvStreamed<'_>>();
};

const _: () = {
    is_fused::<Consumer>();
    is_fused::<StreamConsumer>();
    is_fused::<BodyStream>();
    is_fused::<Events>();
    is_fused::<Incoming>();
    is_fused::<Returns>();
};

fn spawns<T: Send>(_: T) {}

type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The futures that have no names.
#[allow(dead_code, reason = "it is compiled and never called")]
fn futures_of_connections_can_be_spawned(
    connection: &Connection,
    connector: &Connector,
    publish: &BasicPublishStream,
    pieces: Pieces,
    reader: Empty,
    time: Duration,
) {
    spawns(Connection::open("amqp://localhost"));
    spawns(connector.open("guest", "guest"));
    spawns(connector.connect());
    spawns(connector.connect_with(tokio::io::empty()));
    spawns(connection.close());
    spawns(connection.close_within(time));
    spawns(connection.closed());
    spawns(connection.publish_stream(publish.clone(), pieces));
    spawns(connection.publish_reader(publish.clone(), reader));
    is_watched(connection.blocked());
    spawns(connection.blocked().changed());
    spawns(connection.events().recv());
}

fn is_watched<T: Send + Sync + Unpin + 'static>(_: T) {}

/// As above, of the login.
#[allow(dead_code, reason = "it is compiled and never called")]
fn futures_of_logins_can_be_spawned(one: Greeted<TcpStream>, other: Greeted<TcpStream>) {
    spawns(one.authenticate("guest", "guest"));
    spawns(other.authenticate_with_driver("guest", "guest"));
}

/// As above, of channels.
#[allow(dead_code, reason = "it is compiled and never called")]
fn futures_of_channels_can_be_spawned(
    channel: &Channel,
    publish: &BasicPublishStream,
    pieces: Pieces,
    reader: Empty,
    time: Duration,
) {
    spawns(channel.close());
    spawns(channel.close_within(time));
    spawns(channel.closed());
    spawns(channel.flush());
    spawns(channel.returned());
    spawns(channel.returns().recv());
    spawns(channel.wait_for_confirms());
    spawns(channel.basic_publish_stream(publish.clone(), pieces));
    spawns(channel.basic_publish_reader(publish.clone(), reader));
    spawns(channel.send_content(basic::Publish::default(), Default::default(), Bytes::new()));
    if let Ok(mut incoming) = channel.incoming() {
        spawns(incoming.recv());
    }
}

/// As above, of consumers.
#[allow(dead_code, reason = "it is compiled and never called")]
fn futures_of_consumers_can_be_spawned(
    mut consumer: Consumer,
    mut streamed: StreamConsumer,
    mut body: BodyStream,
    time: Duration,
) {
    spawns(consumer.cancel());
    spawns(consumer.shutdown(time));
    spawns(streamed.cancel());
    spawns(streamed.shutdown(time));
    spawns(body.chunk());
}

/// As above, of requests and replies.
#[allow(dead_code, reason = "it is compiled and never called")]
fn futures_of_requests_can_be_spawned(
    connection: &Connection,
    client: &Client<Text>,
    request: Request,
    server: Server,
    time: Duration,
) {
    spawns(Client::open(connection));
    spawns(Client::open_with(connection, ClientOptions::new()));
    spawns(client.call::<_, _, String>("q", &String::new()));
    spawns(client.call_with::<String>(request.clone()));
    is_task(client.request(request));
    spawns(client.close());
    spawns(server.ended());
    spawns(server.shutdown(time));
    let echo = |request: Received<String>| async move { Ok::<_, Failure>(request.value) };
    is_task(Server::start(connection, ServerOptions::new("q", 1), Text, echo));
}

fn is_task<T: Send + 'static>(_: T) {}
