//! The classes that every specification has: connection, channel, exchange, queue, basic, tx; and confirms.

use amqp_connector::amqp_types::{ClientMethod, ServerMethod, if_spec};
use amqp_connector::protocol::{basic, channel, connection, exchange, queue, tx};
use amqp_connector::testing::Peer;
use amqp_connector::{
    BasicConsume, BasicGet, BasicPublish, Bytes, ConnectError, Connection, Connector, Mechanism,
    Prefetch,
};

use crate::specs::wire::{Seen, Wire, short, table};

/// The peer's side of a handshake, with what it has sent and got.
struct Greeting {
    peer: Peer,
    seen: Seen,
}

impl Greeting {
    async fn send<M>(&mut self, method: M)
    where
        M: ServerMethod<Protocol = amqp_connector::protocol::Spec>,
    {
        self.seen.insert(("server", M::NAME));
        self.peer.send(0, method).await;
    }

    async fn expect<M>(&mut self) -> M
    where
        M: ClientMethod<Protocol = amqp_connector::protocol::Spec>,
    {
        self.seen.insert(("client", M::NAME));
        self.peer.expect_on::<M>(0).await
    }

    /// Up to the server's answer to the credentials.
    async fn start(&mut self) {
        self.peer.expect_header().await;
        let start = self.peer.start();
        self.send(start).await;
        let start_ok = self.expect::<connection::StartOk>().await;
        assert_eq!((start_ok.mechanism, start_ok.locale), (short("PLAIN"), short("en_US")));
        assert_eq!(start_ok.response, "\0guest\0guest");
    }

    /// Up to the server's answer to the wish for a virtual host.
    async fn tune(&mut self) {
        self.start().await;
        let tune = connection::Tune { channel_max: 99, frame_max: 8192, heartbeat: 60 };
        self.send(tune).await;
        let tune_ok = self.expect::<connection::TuneOk>().await;
        let agreed = connection::TuneOk { channel_max: 99, frame_max: 8192, heartbeat: 60 };
        assert_eq!(tune_ok, agreed);
        assert_eq!(self.expect::<connection::Open>().await.virtual_host, "/");
    }
}

async fn connect(
    seen: &mut Seen,
    script: impl AsyncFnOnce(&mut Greeting),
) -> (Result<Connection, ConnectError>, Greeting) {
    let (io, peer) = Peer::new();
    let mut greeting = Greeting { peer, seen: Seen::default() };
    let client =
        async { Connector::new().connect_with(io).await?.authenticate("guest", "guest").await };
    let (connection, ()) = tokio::join!(client, script(&mut greeting));
    seen.append(&mut greeting.seen);
    (connection, greeting)
}

/// The class `connection`, in handshakes that come about and in those that do not.
pub(super) async fn connection() -> Seen {
    let mut seen = Seen::default();
    let (refused, _) = connect(&mut seen, async |server| {
        server.start().await;
        let challenge = Bytes::from_static(b"who?");
        server.send(connection::Secure { challenge }).await;
        server.peer.expect_end().await;
    })
    .await;
    assert!(matches!(refused, Err(ConnectError::Sasl { .. })), "{refused:?}");
    seen.extend(challenge().await);
    if_spec! { connection.redirect => {
        let (redirected, _) = connect(&mut seen, async |server| {
            server.tune().await;
            let redirect =
                connection::Redirect { host: short("other"), known_hosts: short("other,this") };
            server.send(redirect).await;
            server.peer.expect_end().await;
        })
        .await;
        assert!(matches!(redirected, Err(ConnectError::Redirected { .. })), "{redirected:?}");
    } else {} }
    for server_closes in [true, false] {
        let (connection, mut server) = connect(&mut seen, async |server| {
            server.tune().await;
            server.send(connection::OpenOk::default()).await;
        })
        .await;
        let connection = connection.expect("open");
        control(&connection, &mut server).await;
        if server_closes {
            let reply_text = short("shutting down");
            let close = connection::Close { reply_code: 320, reply_text, ..Default::default() };
            server.send(close).await;
            server.expect::<connection::CloseOk>().await;
            assert_eq!(connection.closed().await.text(), "shutting down");
        } else {
            let script = async {
                assert_eq!(server.expect::<connection::Close>().await.reply_code, 200);
                server.send(connection::CloseOk::default()).await;
                server.peer.expect_end().await;
            };
            tokio::join!(connection.close(), script);
        }
        seen.append(&mut server.seen);
    }
    seen
}

/// A challenge that is answered, by the one mechanism here that has any.
async fn challenge() -> Seen {
    let (io, peer) = Peer::new();
    let peer = peer.mechanisms("RABBIT-CR-DEMO");
    let mut server = Greeting { peer, seen: Seen::default() };
    let connector = Connector::new().mechanisms([Mechanism::RabbitCrDemo]);
    let client = async { connector.connect_with(io).await?.authenticate("guest", "pass").await };
    let script = async {
        server.peer.greet().await;
        let challenge = Bytes::from_static(b"Please tell me your password");
        server.send(connection::Secure { challenge }).await;
        let answer = server.expect::<connection::SecureOk>().await.response;
        assert_eq!(answer, "My password is pass");
        let reply_text = short("no");
        server.send(connection::Close { reply_code: 403, reply_text, ..Default::default() }).await;
        server.expect::<connection::CloseOk>().await;
    };
    let (refused, ()) = tokio::join!(client, script);
    assert!(matches!(refused, Err(ConnectError::CredentialsRefused { .. })), "{refused:?}");
    server.seen
}

/// What goes over channel 0 of an open connection.
#[allow(unused_variables, reason = "not every specification has any of it")]
async fn control(connection: &Connection, server: &mut Greeting) {
    if_spec! { connection.blocked => {
        server.send(connection::Blocked { reason: short("low on memory") }).await;
        server.send(connection::Unblocked::default()).await;
    } else {} }
    if_spec! { connection.update_secret => {
        let script = async {
            let update = server.expect::<connection::UpdateSecret>().await;
            assert_eq!((&update.new_secret[..], update.reason), (&b"token"[..], short("expiry")));
            server.send(connection::UpdateSecretOk::default()).await;
        };
        tokio::join!(connection.update_secret("token", "expiry"), script).0.expect("updated");
    } else {} }
}

pub(super) async fn exchange(wire: &mut Wire) {
    channels(wire).await;
    exchanges(wire).await;
    queues(wire).await;
    publishing(wire).await;
    consuming(wire).await;
    getting(wire).await;
    recovering(wire).await;
    wire.call(tx::Select::default(), tx::SelectOk::default()).await;
    wire.call(tx::Commit::default(), tx::CommitOk::default()).await;
    wire.call(tx::Rollback::default(), tx::RollbackOk::default()).await;
}

async fn channels(wire: &mut Wire) {
    for server_closes in [true, false] {
        wire.saw_client::<channel::Open>();
        wire.saw_server::<channel::OpenOk>();
        let script = async {
            let (id, _) = wire.peer.expect::<channel::Open>().await;
            wire.peer.send(id, channel::OpenOk::default()).await;
            id
        };
        let (opened, id) = tokio::join!(wire.connection.channel_open(), script);
        let opened = opened.expect("open");
        assert_eq!(opened.id(), id);
        if server_closes {
            wire.saw_server::<channel::Close>();
            wire.saw_client::<channel::CloseOk>();
            wire.peer.close_channel(id, 404, "no such thing").await;
            assert_eq!(opened.closed().await.text(), "no such thing");
        } else {
            wire.saw_client::<channel::Close>();
            wire.saw_server::<channel::CloseOk>();
            let script = async {
                wire.peer.expect_on::<channel::Close>(id).await;
                wire.peer.send(id, channel::CloseOk::default()).await;
            };
            tokio::join!(opened.close(), script).0.expect("closed");
        }
    }
    for active in [false, true] {
        wire.send(channel::Flow { active }).await;
        assert_eq!(wire.expect::<channel::FlowOk>().await.active, active);
    }
    let ok = wire.call(channel::Flow { active: true }, channel::FlowOk { active: true }).await;
    assert!(ok.active);
    if_spec! { channel.alert => {
        let (reply_code, reply_text) = (313, short("slow down"));
        let mut events = wire.connection.events();
        wire.send(channel::Alert { reply_code, reply_text, details: table() }).await;
        let alert = loop {
            let event = events.recv().await.expect("not over");
            if let amqp_connector::Event::Alerted { alert, .. } = event {
                break alert;
            }
        };
        assert_eq!((alert.reply_code.0, alert.reply_text), (313, short("slow down")));
        assert_eq!(alert.details, table());
    } else {} }
}

async fn exchanges(wire: &mut Wire) {
    let declare = exchange::Declare {
        exchange: short("e"),
        r#type: short("topic"),
        durable: true,
        arguments: table(),
        ..Default::default()
    };
    wire.call(declare, exchange::DeclareOk::default()).await;
    let delete = exchange::Delete { exchange: short("e"), if_unused: true, ..Default::default() };
    wire.call(delete, exchange::DeleteOk::default()).await;
    if_spec! { exchange.bind => {
        let bind = exchange::Bind {
            destination: short("to"),
            source: short("from"),
            routing_key: short("key"),
            arguments: table(),
            ..Default::default()
        };
        wire.call(bind, exchange::BindOk::default()).await;
        let unbind = exchange::Unbind {
            destination: short("to"),
            source: short("from"),
            routing_key: short("key"),
            arguments: table(),
            ..Default::default()
        };
        wire.call(unbind, exchange::UnbindOk::default()).await;
    } else {} }
}

async fn queues(wire: &mut Wire) {
    let declare = queue::Declare {
        queue: short("q"),
        exclusive: true,
        auto_delete: true,
        arguments: table(),
        ..Default::default()
    };
    let ok = queue::DeclareOk { queue: short("q"), message_count: 7, consumer_count: 3 };
    assert_eq!(wire.call(declare, ok.clone()).await, ok);
    let bind = queue::Bind {
        queue: short("q"),
        exchange: short("e"),
        routing_key: short("key"),
        arguments: table(),
        ..Default::default()
    };
    wire.call(bind, queue::BindOk::default()).await;
    if_spec! { queue.unbind => {
        let unbind = queue::Unbind {
            queue: short("q"),
            exchange: short("e"),
            routing_key: short("key"),
            arguments: table(),
            ..Default::default()
        };
        wire.call(unbind, queue::UnbindOk::default()).await;
    } else {} }
    let purge = queue::Purge { queue: short("q"), ..Default::default() };
    let ok = wire.call(purge, queue::PurgeOk { message_count: 5 }).await;
    assert_eq!(ok.message_count, 5);
    let delete = queue::Delete { queue: short("q"), if_empty: true, ..Default::default() };
    let ok = wire.call(delete, queue::DeleteOk { message_count: 2 }).await;
    assert_eq!(ok.message_count, 2);
}

fn properties() -> basic::Properties {
    basic::Properties {
        content_type: Some(short("text/plain")),
        headers: Some(table()),
        delivery_mode: Some(2),
        ..Default::default()
    }
}

async fn publishing(wire: &mut Wire) {
    let message = || BasicPublish::new("e", "key", "body").properties(properties());
    drop(wire.channel.basic_publish(message().mandatory(true)).await.expect("accepted"));
    let (publish, came, body) = wire.expect_content::<basic::Publish>().await;
    assert_eq!((publish.exchange, publish.routing_key), (short("e"), short("key")));
    assert_eq!((publish.mandatory, came), (true, properties()));
    assert_eq!(body, b"body");
    let returned = basic::Return {
        reply_code: 312,
        reply_text: short("no route"),
        exchange: short("e"),
        routing_key: short("key"),
    };
    wire.send_content(returned, properties(), "body").await;
    let returned = wire.channel.returned().await.expect("returned");
    assert_eq!((returned.reply_code.0, returned.reply_text), (312, short("no route")));
    assert_eq!(returned.properties, properties());
    if_spec! { confirm.select => {
        use amqp_connector::Outcome;
        use amqp_connector::protocol::confirm;

        let channel = wire.channel.clone();
        let script = async {
            wire.expect::<confirm::Select>().await;
            wire.send(confirm::SelectOk::default()).await;
        };
        tokio::join!(channel.confirm_select(), script).0.expect("selected");
        let acked = channel.basic_publish(message()).await.expect("accepted");
        let nacked = channel.basic_publish(message()).await.expect("accepted");
        for _ in 0..2 {
            wire.expect_content::<basic::Publish>().await;
        }
        wire.send(basic::Ack { delivery_tag: 1, multiple: false }).await;
        wire.send(basic::Nack { delivery_tag: 2, ..Default::default() }).await;
        assert!(matches!(acked.await, Outcome::Acked));
        assert!(matches!(nacked.await, Outcome::Nacked));
    } else {} }
}

async fn consuming(wire: &mut Wire) {
    let consume = BasicConsume::new("q", Prefetch::Count(3)).tag("c").exclusive(true);
    let call = wire.channel.basic_consume(consume);
    let script = async {
        assert_eq!(wire.expect::<basic::Qos>().await.prefetch_count, 3);
        wire.send(basic::QosOk::default()).await;
        let consume = wire.expect::<basic::Consume>().await;
        assert_eq!((consume.queue, consume.consumer_tag), (short("q"), short("c")));
        assert!(consume.exclusive);
        wire.send(basic::ConsumeOk { consumer_tag: short("c") }).await;
    };
    let mut consumer = tokio::join!(call, script).0.expect("consumed");
    for delivery_tag in 1..=3 {
        let deliver = basic::Deliver {
            consumer_tag: short("c"),
            delivery_tag,
            redelivered: true,
            exchange: short("e"),
            routing_key: short("key"),
        };
        wire.send_content(deliver, properties(), "body").await;
        let delivery = consumer.recv().await.expect("delivered");
        assert_eq!((delivery.delivery_tag(), delivery.redelivered), (delivery_tag, true));
        assert_eq!((&delivery.exchange, &delivery.routing_key), (&short("e"), &short("key")));
        assert_eq!(
            (&delivery.properties, delivery.body.to_bytes()),
            (&properties(), "body".into())
        );
        match delivery_tag {
            1 => {
                delivery.ack_multiple().expect("sent");
                let ack = basic::Ack { delivery_tag: 1, multiple: true };
                assert_eq!(wire.expect::<basic::Ack>().await, ack);
            }
            2 => {
                delivery.reject(true).expect("sent");
                let reject = basic::Reject { delivery_tag: 2, requeue: true };
                assert_eq!(wire.expect::<basic::Reject>().await, reject);
            }
            _ => {
                delivery.nack(true).expect("sent");
                if_spec! { basic.nack => {
                    let nack =
                        basic::Nack { delivery_tag: 3, requeue: true, ..Default::default() };
                    assert_eq!(wire.expect::<basic::Nack>().await, nack);
                } else {
                    wire.expect::<basic::Reject>().await;
                } }
            }
        }
    }
    cancelling(wire, consumer).await;
}

async fn cancelling(wire: &mut Wire, mut consumer: amqp_connector::Consumer) {
    let script = async {
        assert_eq!(wire.expect::<basic::Cancel>().await.consumer_tag, "c");
        wire.send(basic::CancelOk { consumer_tag: short("c") }).await;
    };
    tokio::join!(consumer.cancel(), script).0.expect("cancelled");
    assert!(consumer.recv().await.is_none());
    // Where the specification lets a server cancel, it may want an answer.
    if_spec! { basic.nack => {
        wire.send(basic::Cancel { consumer_tag: short("c"), no_wait: false }).await;
        assert_eq!(wire.expect::<basic::CancelOk>().await.consumer_tag, "c");
    } else {} }
}

async fn getting(wire: &mut Wire) {
    for full in [true, false] {
        let call = wire.channel.basic_get(BasicGet::new("q").no_ack(true));
        let script = async {
            assert_eq!(wire.expect::<basic::Get>().await.queue, "q");
            match full {
                true => {
                    let got = basic::GetOk { delivery_tag: 4, ..Default::default() };
                    wire.send_content(got, properties(), "got").await;
                }
                false => wire.send(basic::GetEmpty::default()).await,
            }
        };
        let got = tokio::join!(call, script).0.expect("answered");
        assert_eq!(got.map(|got| got.body.to_bytes()), full.then(|| "got".into()));
    }
}

async fn recovering(wire: &mut Wire) {
    let call = wire.channel.basic_recover(true);
    let script = async {
        assert!(wire.expect::<basic::Recover>().await.requeue);
        if_spec! { basic.recover_ok => {
            wire.send(basic::RecoverOk::default()).await;
        } else {} }
    };
    tokio::join!(call, script).0.expect("recovered");
    if_spec! { basic.recover_async => {
        wire.sent(basic::RecoverAsync { requeue: true }).await;
    } else {} }
}

#[tokio::test(start_paused = true)]
async fn the_common_classes_go_both_ways() {
    connection().await;
    let mut wire = Wire::open().await;
    exchange(&mut wire).await;
    wire.close().await;
}
