//! Requests with no-wait, all that the specification has: they never wait and never shift replies.

use amqp_connector::amqp_types::AnyMethod;
use amqp_connector::amqp_types::reflect::{DynamicMethod, MethodInfo, Value};
use amqp_connector::amqp_types::wire::Writer;
use amqp_connector::protocol::{self, Method, basic, queue};
use amqp_connector::testing::{Event, send_any};
use amqp_connector::{ErrorKind, ShortStr, testing};
use bytes::BytesMut;

use crate::support::{channel, close_clean, resolves};

/// The name of the method's no-wait field, which the specifications spell in two ways.
fn no_wait_field(info: &MethodInfo) -> Option<&'static str> {
    let mut fields = info.fields.iter();
    fields.find(|field| field.name.replace('-', "") == "nowait").map(|field| field.name)
}

/// Every request of the specification that a channel's user may send with no-wait.
fn requests() -> Vec<&'static MethodInfo> {
    let methods = protocol::INFO.classes.iter().flat_map(|class| class.methods.iter().copied());
    methods
        .filter(|info| info.from_client && !info.content && no_wait_field(info).is_some())
        .collect()
}

/// The request with names where it has fields for them.
fn request(info: &'static MethodInfo, no_wait: bool, name: &str) -> Method {
    let mut method = DynamicMethod::new(info);
    let field = no_wait_field(info).expect("it has one");
    method.set(field, Value::Bit(no_wait)).expect("a bit");
    for field in ["queue", "consumer-tag", "exchange"] {
        let name = ShortStr::try_from(name).expect("short");
        if info.fields.iter().any(|it| it.name == field) {
            method.set(field, Value::ShortStr(name)).expect("a name");
        }
    }
    let mut payload = BytesMut::new();
    method.encode(&mut Writer::new(&mut payload)).expect("encodes");
    <Method as AnyMethod>::decode(&payload.freeze()).expect("decodes")
}

#[tokio::test(start_paused = true)]
async fn every_request_with_no_wait_leaves_the_replies_to_the_calls() {
    let requests = requests();
    assert!(requests.len() >= 7, "{requests:?}");
    for info in requests {
        let (connection, channel, mut peer) = channel().await;
        let id = channel.id();
        let sent = request(info, true, "x");
        // Before a call, and behind one that is not answered yet.
        send_any(&channel, &sent).unwrap_or_else(|error| panic!("{}: {error}", info.full_name));
        let first = channel.queue_purge("a");
        let second = channel.queue_purge("b");
        let script = async {
            expect(&mut peer, id, &sent).await;
            peer.expect_on::<queue::Purge>(id).await;
            peer.expect_on::<queue::Purge>(id).await;
            peer.send(id, queue::PurgeOk { message_count: 1 }).await;
            peer.send(id, queue::PurgeOk { message_count: 2 }).await;
        };
        let calls = async { tokio::join!(first, second) };
        let ((first, second), ()) =
            resolves(info.full_name, async { tokio::join!(calls, script) }).await;
        assert_eq!(first.expect("a reply").message_count, 1, "{}", info.full_name);
        assert_eq!(second.expect("a reply").message_count, 2, "{}", info.full_name);
        assert_eq!(testing::leftovers(&connection).calls, 0);

        let third = channel.queue_purge("c");
        let third = tokio::spawn(third);
        peer.expect_on::<queue::Purge>(id).await;
        send_any(&channel, &sent).expect("sent");
        expect(&mut peer, id, &sent).await;
        peer.send(id, queue::PurgeOk { message_count: 3 }).await;
        let third = resolves("the third", third).await.expect("no panic").expect("a reply");
        assert_eq!(third.message_count, 3, "{}", info.full_name);
        drop(channel);
        peer.expect::<protocol::channel::Close>().await;
        close_clean(connection, &mut peer).await;
    }
}

async fn expect(peer: &mut testing::Peer, id: u16, sent: &Method) {
    match peer.next().await {
        Ok(Event::Method { channel, method }) => assert_eq!((channel, &method), (id, sent)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_that_is_answered_can_be_sent_without_waiting() {
    let (_connection, channel, mut peer) = channel().await;
    for info in requests() {
        let refused = send_any(&channel, &request(info, false, "x"));
        let error = refused.expect_err(info.full_name);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{}: {error}", info.full_name);
    }
    peer.expect_nothing(std::time::Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_only_the_reply_would_name_is_refused_before_any_octet() {
    let (_connection, channel, mut peer) = channel().await;
    let declare = queue::Declare { no_wait: true, exclusive: true, ..Default::default() };
    let refused = [
        channel.send(declare),
        channel.send(basic::Consume { no_wait: true, ..Default::default() }),
        channel.send(basic::Cancel { no_wait: true, ..Default::default() }),
    ];
    for refused in refused {
        assert_eq!(refused.expect_err("nobody would know").kind(), ErrorKind::Invalid);
    }
    // Those of other classes that have a consumer's tag, too.
    for info in requests() {
        let tagged = info.fields.iter().any(|field| field.name == "consumer-tag");
        if tagged {
            let refused = send_any(&channel, &request(info, true, ""));
            assert_eq!(refused.expect_err(info.full_name).kind(), ErrorKind::Invalid);
        }
    }
    peer.expect_nothing(std::time::Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_with_no_wait_is_no_call() {
    let (_connection, channel, mut peer) = channel().await;
    let declare = queue::Declare { no_wait: true, ..Default::default() };
    let error = channel.call(declare).await.expect_err("nothing answers it");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    peer.expect_nothing(std::time::Duration::from_secs(1)).await;
}
