//! What users do with handles, futures and values: send them to other threads, share them, and poll them where they are.
//! It compiles, or it fails.

use amqp_connector::protocol::{basic, tx};
use amqp_connector::{
    Access, Acker, BasicPublish, BasicPublishStream, BodyStream, Call, CallWithContent, Channel,
    ChannelOpen, CloseReason, Completion, ConfirmCounts, Confirmation, ConnectError, Connection,
    Connector, Consume, ConsumeStreamed, Consumer, ConsumerEnd, Delivery, Driver, Error, Event,
    Events, Get, Greeted, Incoming, Options, Outcome, Publish, Recover, Recv, RecvStreamed,
    Returned, Returns, ShutdownReport, StreamConsumer, StreamedDelivery,
};
use futures_core::stream::FusedStream;
use tokio::net::TcpStream;

const fn is_shared<T: Send + Sync + Unpin>() {}
const fn is_sent<T: Send + Unpin>() {}
const fn is_fused<T: FusedStream>() {}

const _: () = {
    is_shared::<Connection>();
    is_shared::<Channel>();
    is_shared::<Connector>();
    is_shared::<Greeted<TcpStream>>();
    is_shared::<Options>();
    is_shared::<BasicPublish>();
    is_shared::<BasicPublishStream>();
    is_shared::<Consumer>();
    is_shared::<StreamConsumer>();
    is_shared::<Delivery>();
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
    is_shared::<CloseReason>();
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
    is_sent::<Get>();
    is_sent::<Publish>();
    is_sent::<Recover>();
    is_sent::<Recv<'_>>();
    is_sent::<RecvStreamed<'_>>();
};

const _: () = {
    is_fused::<Consumer>();
    is_fused::<StreamConsumer>();
    is_fused::<Events>();
    is_fused::<Incoming>();
    is_fused::<Returns>();
};

/// The futures of `async fn`s, which have no names.
#[allow(dead_code, reason = "it is compiled and never called")]
fn futures_of_operations_can_be_spawned(connection: &Connection, channel: &Channel) {
    fn spawns<T: Send>(_: T) {}
    spawns(connection.close());
    spawns(connection.closed());
    spawns(channel.close());
    spawns(channel.closed());
    spawns(channel.flush());
    spawns(channel.returned());
    spawns(channel.wait_for_confirms());
    spawns(Connection::open("amqp://localhost"));
    spawns(Connector::new().open("guest", "guest"));
}
