//! A connection with one channel and its peer, and what has gone over it.
//!
//! Each function lets one side send and the other one check that it is what was sent.

use std::collections::BTreeSet;

use amqp_connector::amqp_types::{ClientMethod, ContentMethod, Method, Request, ServerMethod};
use amqp_connector::protocol::Spec;
use amqp_connector::testing::Peer;
use amqp_connector::{Channel, Connection, Incoming};

use crate::support::{close_clean, connection, open};

/// Who sent which method.
pub(super) type Seen = BTreeSet<(&'static str, &'static str)>;

pub(super) struct Wire {
    pub(super) connection: Connection,
    pub(super) channel: Channel,
    pub(super) peer: Peer,
    seen: Seen,
}

#[allow(dead_code, reason = "which of these are needed depends on the specification")]
impl Wire {
    pub(super) async fn open() -> Self {
        let (connection, mut peer) = connection().await;
        let channel = open(&connection, &mut peer).await;
        Self { connection, channel, peer, seen: Seen::default() }
    }

    /// Closes the connection, which leaves nothing; gives what was seen.
    pub(super) async fn close(mut self) -> Seen {
        close_clean(self.connection, &mut self.peer).await;
        self.seen
    }

    pub(super) fn saw_client<M: ClientMethod>(&mut self) {
        self.seen.insert(("client", M::NAME));
    }

    pub(super) fn saw_server<M: ServerMethod>(&mut self) {
        self.seen.insert(("server", M::NAME));
    }

    /// The peer gets a method of the client's.
    pub(super) async fn expect<M>(&mut self) -> M
    where
        M: ClientMethod<Protocol = Spec>,
    {
        self.saw_client::<M>();
        self.peer.expect_on::<M>(self.channel.id()).await
    }

    /// The peer gets a method of the client's with its content.
    pub(super) async fn expect_content<M>(&mut self) -> (M, M::Properties, Vec<u8>)
    where
        M: ClientMethod<Protocol = Spec> + ContentMethod,
    {
        self.saw_client::<M>();
        let (method, properties, body) = self.peer.expect_content::<M>(self.channel.id()).await;
        (method, properties, body.to_bytes().to_vec())
    }

    /// The peer sends a method.
    pub(super) async fn send<M>(&mut self, method: M)
    where
        M: ServerMethod<Protocol = Spec>,
    {
        self.saw_server::<M>();
        self.peer.send(self.channel.id(), method).await;
    }

    /// The peer sends a method with content.
    pub(super) async fn send_content<M>(&mut self, method: M, properties: M::Properties, body: &str)
    where
        M: ServerMethod<Protocol = Spec> + ContentMethod,
    {
        self.saw_server::<M>();
        self.peer.send_content(self.channel.id(), method, properties, body).await;
    }

    /// The client calls, the peer gets that very request and answers.
    pub(super) async fn call<R, A>(&mut self, request: R, answer: A) -> R::Reply
    where
        R: Request<Protocol = Spec> + ClientMethod,
        A: ServerMethod<Protocol = Spec>,
    {
        let call = self.channel.call(request.clone());
        let script = async {
            assert_eq!(self.expect::<R>().await, request);
            self.send(answer).await;
        };
        let (reply, ()) = tokio::join!(call, script);
        reply.expect("answered")
    }

    /// The client sends a method that has no answer, and the peer gets that very one.
    pub(super) async fn sent<M>(&mut self, method: M)
    where
        M: Method<Protocol = Spec> + ClientMethod,
    {
        self.channel.send(method.clone()).expect("sent");
        assert_eq!(self.expect::<M>().await, method);
    }

    /// The client sends a content, and the peer gets that very one.
    pub(super) async fn content_sent<M>(&mut self, method: M, properties: M::Properties, body: &str)
    where
        M: ContentMethod<Protocol = Spec> + ClientMethod,
    {
        let sent = self.channel.send_content(method.clone(), properties.clone(), body.to_owned());
        sent.await.expect("sent");
        let (came, came_properties, came_body) = self.expect_content::<M>().await;
        assert_eq!((came, came_properties), (method, properties));
        assert_eq!(came_body, body.as_bytes());
    }

    /// The peer sends a method unasked-for, and the client gets that very one.
    pub(super) async fn unasked<M>(&mut self, incoming: &mut Incoming, method: M)
    where
        M: ServerMethod<Protocol = Spec>,
    {
        self.send(method.clone()).await;
        let came = incoming.recv().await.expect("the channel is open");
        assert!(came.content.is_none());
        assert_eq!(came.into_method::<M>().expect("the same"), method);
    }

    /// The peer sends a content unasked-for, and the client gets that very one.
    pub(super) async fn content_unasked<M>(
        &mut self,
        incoming: &mut Incoming,
        method: M,
        properties: M::Properties,
        body: &str,
    ) where
        M: ServerMethod<Protocol = Spec> + ContentMethod,
    {
        self.send_content(method.clone(), properties.clone(), body).await;
        let came = incoming.recv().await.expect("the channel is open");
        let (came, came_properties, came_body) = came.into_content::<M>().expect("the same");
        assert_eq!((came, came_properties), (method, properties));
        assert_eq!(came_body.to_bytes(), body);
    }
}

/// A short string of a literal.
pub(super) fn short(text: &'static str) -> amqp_connector::ShortStr {
    amqp_connector::ShortStr::from_static(text)
}

/// A table that is not empty.
pub(super) fn table() -> amqp_connector::FieldTable {
    amqp_connector::FieldTable::new().with(short("key"), "value").with(short("number"), 7_i32)
}
