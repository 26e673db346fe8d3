//! The dialogue of requests and replies: a client and a server on one connection.

use std::time::Duration;

use amqp_connector::rpc::{
    CallError, Client, ClientOptions, Failure, Received, Request, Server, ServerOptions,
};
use amqp_connector::typed::Raw;
use amqp_connector::{BasicPublish, Bytes, Connection, QueueDelete};
use tokio::join;

use super::dialogues::{SHUTDOWN, with_messages};
use super::run::{CALL, CLOSE, Failed, Walk, Walked};
use super::transport::Tap;

/// A call's deadline.
const REPLY: Duration = Duration::from_secs(10);
/// Several calls, each with its deadline: two channels, confirms, prefetch, the consumer.
const START: Duration = Duration::from_secs(100);

async fn echo(request: Received<Bytes>) -> Result<Bytes, Failure> {
    Ok(request.value)
}

async fn start(walk: &Walk, connection: &Connection) -> Walked<Server> {
    let starting = Server::start(connection, ServerOptions::new("q", 2), Raw, echo);
    Ok(walk.within("rpc::Server::start", START, starting).await?)
}

/// A call that fails has one of the reasons that there are, and the dialogue goes on.
fn note<T>(walk: &Walk, ended: Result<T, CallError>) {
    match ended {
        Ok(_) => walk.note("reply:", "Ok"),
        Err(error) => walk.note("reply:", error),
    }
}

/// Opening, calling, returning, closing; and a server that is shut down, and another whose queue is deleted.
pub(crate) async fn asking(walk: &Walk, tap: Tap) -> Walked {
    let (connection, channel) = with_messages(walk, tap).await?;
    let server = start(walk, &connection).await?;
    let by_queue = Client::open_with(&connection, ClientOptions::new().timeout(REPLY));
    let client = walk.within("rpc::Client::open_with", START, by_queue).await?;
    let second = walk.within("rpc::Client::open", START, Client::open(&connection)).await?;
    let request = |queue| Request::new(BasicPublish::new("", queue, "x")).within(REPLY);
    let octets = Bytes::from_static(b"x");
    let (called, with, asked, returned) = join!(
        walk.within("rpc::Client::call", REPLY, client.call::<_, _, Bytes>("q", &octets)),
        walk.within("rpc::Client::call_with", REPLY, client.call_with::<Bytes>(request("q"))),
        walk.within("rpc::Client::request", REPLY, second.request(request("q"))),
        walk.within("rpc::Client::request", REPLY, second.request(request("nowhere"))),
    );
    note(walk, called);
    note(walk, with);
    note(walk, asked);
    note(walk, returned);
    let report = walk.within("rpc::Server::shutdown", SHUTDOWN, server.shutdown(SHUTDOWN)).await;
    walk.note("shutdown is complete:", report.is_complete());
    walk.within("rpc::Client::close", CLOSE, client.close()).await?;
    drop(second);

    let server = start(walk, &connection).await?;
    walk.within("Call", CALL, channel.queue_delete(QueueDelete::new("q"))).await?;
    walk.note("server:", walk.ends("rpc::Server::ended", server.ended()).await);
    if connection.close_reason().is_some() {
        return Err(Failed::Over);
    }
    Ok(())
}
