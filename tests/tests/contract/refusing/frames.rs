//! Frames that no client may send, or not here: by a client that is none.
//!
//! What RabbitMQ answers with a broken connection, or with words of its own language, is compared by its code, or not.

use amqp_connector::amqp_types::frame::FrameKind;
use amqp_connector::amqp_types::wire::Writer;
use amqp_connector::amqp_types::{self, AnyMethod as _, Method as _};
use amqp_connector::protocol::{
    FRAMING, Method, PROTOCOL_HEADER, Spec, basic, channel, connection, queue,
};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::side::{SOON, Side};

contract! {
    a_method_at_the_wrong_place_ends_the_connection,
    a_content_that_is_interrupted_ends_the_connection,
    octets_that_make_no_method_end_the_connection,
    channels_are_counted_whatever_their_numbers,
}

trait Transport: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Transport for T {}

/// A connection with channel 1 open.
struct Client(Box<dyn Transport>);

impl Client {
    async fn open(side: &Side<'_>) -> Self {
        let io: Box<dyn Transport> = match side {
            Side::Memory(broker) => Box::new(broker.transport()),
            Side::RabbitMq(fixture) => {
                let address = (fixture.host(), fixture.port());
                Box::new(TcpStream::connect(address).await.unwrap())
            }
        };
        let mut client = Self(io);
        client.0.write_all(&PROTOCOL_HEADER).await.unwrap();
        client.read().await;
        let start_ok = connection::StartOk {
            mechanism: "PLAIN".try_into().unwrap(),
            response: Bytes::from_static(b"\0guest\0guest"),
            locale: "en_US".try_into().unwrap(),
            ..Default::default()
        };
        client.0.write_all(&on(0, start_ok)).await.unwrap();
        client.read().await;
        let tune = connection::TuneOk { channel_max: 5, frame_max: 4096, heartbeat: 0 };
        client.0.write_all(&on(0, tune)).await.unwrap();
        let open = connection::Open { virtual_host: "/".try_into().unwrap(), ..Default::default() };
        client.0.write_all(&on(0, open)).await.unwrap();
        client.read().await;
        client.0.write_all(&on(1, channel::Open::default())).await.unwrap();
        client.read().await;
        client
    }

    async fn read(&mut self) -> Method {
        let mut head = [0; 7];
        timeout(SOON, self.0.read_exact(&mut head)).await.expect("in time").unwrap();
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut rest = vec![0; usize::try_from(size).unwrap() + 1];
        self.0.read_exact(&mut rest).await.unwrap();
        rest.pop();
        Method::decode(&rest.into()).unwrap()
    }

    /// Sends this, and gives the close that it costs: its code, its text, and which method it blames.
    async fn cost(side: &Side<'_>, octets: &[BytesMut]) -> (u16, String, (u16, u16)) {
        let mut client = Self::open(side).await;
        client.0.write_all(&octets.concat()).await.unwrap();
        let told = client.read().await;
        let Method::Connection(connection::Method::Close(close)) = told else { panic!("{told:?}") };
        client.0.write_all(&on(0, connection::CloseOk::default())).await.unwrap();
        (close.reply_code, close.reply_text.to_string(), (close.class_id, close.method_id))
    }
}

fn frame(kind: FrameKind, channel: u16, payload: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    FRAMING.put(kind, channel, payload, &mut frame).unwrap();
    frame
}

fn payload(method: impl amqp_types::Method<Protocol = Spec>) -> BytesMut {
    let mut payload = BytesMut::new();
    let mut writer = Writer::new(&mut payload);
    method.into_any().encode(&mut writer).unwrap();
    writer.finish();
    payload
}

fn on(channel: u16, method: impl amqp_types::Method<Protocol = Spec>) -> BytesMut {
    frame(FrameKind::Method, channel, &payload(method))
}

fn ids<M: amqp_types::Method>() -> (u16, u16) {
    (M::INFO.class_id, M::INFO.method_id)
}

fn header(class: u16, weight: u16, size: u64, rest: &[u8]) -> BytesMut {
    let mut payload = [class.to_be_bytes(), weight.to_be_bytes()].concat();
    payload.extend(size.to_be_bytes());
    payload.extend(rest);
    frame(FrameKind::Header, 1, &payload)
}

fn body() -> BytesMut {
    frame(FrameKind::Body, 1, b"ab")
}

fn publish() -> BytesMut {
    on(1, basic::Publish::default())
}

fn flow() -> BytesMut {
    on(1, channel::Flow { active: true, ..Default::default() })
}

async fn a_method_at_the_wrong_place_ends_the_connection(side: &Side<'_>) {
    let unimplemented = (503, "COMMAND_INVALID - unimplemented method");
    let out_of_place = (504, "CHANNEL_ERROR - unexpected method in connection state running");
    let not_open = (504, "CHANNEL_ERROR - expected 'channel.open'");
    for (octets, expected, blamed) in [
        (on(2, queue::Declare::default()), not_open, ids::<queue::Declare>()),
        (on(1, channel::CloseOk::default()), unimplemented, ids::<channel::CloseOk>()),
        (on(1, queue::DeclareOk::default()), unimplemented, ids::<queue::DeclareOk>()),
        (on(1, basic::GetEmpty::default()), unimplemented, ids::<basic::GetEmpty>()),
        (on(1, connection::Close::default()), unimplemented, ids::<connection::Close>()),
        (on(0, channel::Open::default()), out_of_place, ids::<channel::Open>()),
        (on(0, connection::Open::default()), out_of_place, ids::<connection::Open>()),
        (on(0, connection::CloseOk::default()), out_of_place, ids::<connection::CloseOk>()),
    ] {
        let (code, text) = expected;
        assert_eq!(Client::cost(side, &[octets]).await, (code, text.to_owned(), blamed));
    }
}

async fn a_content_that_is_interrupted_ends_the_connection(side: &Side<'_>) {
    let class = basic::Publish::INFO.class_id;
    let other = queue::Declare::INFO.class_id;
    let no_method = "expected method frame, got non method frame instead".to_owned();
    let no_header =
        format!("expected content header for class {class}, got non content header frame instead");
    let no_body = "expected content body, got non content body frame instead".to_owned();
    let other_class =
        format!("expected content header for class {class}, got one for class {other} instead");
    let blamed = ids::<basic::Publish>();
    for (octets, text, blamed) in [
        (vec![header(class, 0, 2, &[0, 0])], no_method.clone(), (0, 0)),
        (vec![body()], no_method, (0, 0)),
        (vec![publish(), body()], no_header.clone(), blamed),
        (vec![publish(), flow()], no_header.clone(), blamed),
        (vec![publish(), header(class, 1, 2, &[0, 0])], no_header, blamed),
        (vec![publish(), header(class, 0, 2, &[0, 0]), flow()], no_body, blamed),
        (vec![publish(), header(other, 0, 2, &[0, 0])], other_class, blamed),
    ] {
        let text = format!("UNEXPECTED_FRAME - {text}");
        assert_eq!(Client::cost(side, &octets).await, (505, text, blamed));
    }
}

async fn octets_that_make_no_method_end_the_connection(side: &Side<'_>) {
    let class = basic::Publish::INFO.class_id;
    let purge = || payload(queue::Purge { queue: "qq".try_into().unwrap(), ..Default::default() });
    let mut short = purge();
    short.truncate(8);
    let mut long = purge();
    long.extend([9]);
    let mut no_text = purge();
    let place = no_text.windows(2).position(|two| two == b"qq").unwrap();
    no_text[place] = 0xFF;
    let mut no_end = flow();
    *no_end.last_mut().unwrap() = 0;
    let mut no_kind = flow();
    no_kind[0] = 77;
    let mut huge = BytesMut::new();
    huge.extend([1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]);
    for (octets, code) in [
        (vec![frame(FrameKind::Method, 1, &short)], 501),
        (vec![frame(FrameKind::Method, 1, &long)], 501),
        (vec![frame(FrameKind::Method, 1, &no_text)], 501),
        (vec![frame(FrameKind::Method, 1, &[])], 501),
        (vec![frame(FrameKind::Heartbeat, 0, &[1])], 501),
        (vec![no_end], 501),
        (vec![no_kind], 501),
        (vec![huge], 501),
        (vec![frame(FrameKind::Method, 1, &[0; 4200])], 501),
        (vec![publish(), header(class, 0, 2, &[0, 0, 1]), body()], 541),
        (vec![publish(), header(class, 0, 2, &[0x80, 0]), body()], 541),
    ] {
        let (told, text, _) = Client::cost(side, &octets).await;
        assert_eq!(told, code, "{text}");
    }
}

async fn channels_are_counted_whatever_their_numbers(side: &Side<'_>) {
    let mut client = Client::open(side).await;
    for number in [5000, u16::MAX, 6, 2] {
        client.0.write_all(&on(number, channel::Open::default())).await.unwrap();
        let answer = client.read().await;
        assert!(matches!(answer, Method::Channel(channel::Method::OpenOk(_))), "{answer:?}");
    }
    client.0.write_all(&on(3, channel::Open::default())).await.unwrap();
    let told = client.read().await;
    let Method::Connection(connection::Method::Close(close)) = told else { panic!("{told:?}") };
    let text =
        "NOT_ALLOWED - number of channels opened (5) has reached the negotiated channel_max (5)";
    assert_eq!((close.reply_code, &*close.reply_text.to_string()), (530, text));
    client.0.write_all(&on(0, connection::CloseOk::default())).await.unwrap();
}
