//! Access tickets: the methods of a channel carry the one that was given, where there are any.

use amqp_connector::amqp_types::if_spec;

if_spec! { access => {
    use amqp_connector::protocol::{access, basic, exchange, file, queue};
    use amqp_connector::{
        AccessRequest, BasicConsume, BasicGet, BasicPublish, ExchangeDeclare, Prefetch, QueueBind,
        QueueDeclare,
    };

    use super::wire::{Wire, short};

    pub(super) async fn exchange(wire: &mut Wire) {
        request(wire, 7).await;
    }

    /// Asks for access and gets this ticket.
    async fn request(wire: &mut Wire, ticket: u16) -> amqp_connector::AccessTicket {
        let request = AccessRequest::new("/data").active(true).write(true);
        let channel = wire.channel.clone();
        let script = async {
            let expected = access::Request {
                realm: short("/data"),
                active: true,
                write: true,
                ..Default::default()
            };
            assert_eq!(wire.expect::<access::Request>().await, expected);
            wire.send(access::RequestOk { ticket }).await;
        };
        let (given, ()) = tokio::join!(channel.access_request(request), script);
        let given = given.expect("access");
        assert_eq!(given.number(), ticket);
        given
    }

    /// Sends a method of each kind and gives the tickets that they carried.
    async fn tickets(wire: &mut Wire) -> Vec<u16> {
        let channel = wire.channel.clone();
        let mut tickets = Vec::new();
        let declare = channel.exchange_declare(ExchangeDeclare::new("e", "fanout"));
        let script = async {
            tickets.push(wire.expect::<exchange::Declare>().await.ticket);
            wire.send(exchange::DeclareOk::default()).await;
        };
        tokio::join!(declare, script).0.expect("declared");
        let declare = channel.queue_declare(QueueDeclare::new("q"));
        let script = async {
            tickets.push(wire.expect::<queue::Declare>().await.ticket);
            wire.send(queue::DeclareOk::default()).await;
        };
        tokio::join!(declare, script).0.expect("declared");
        let bind = channel.queue_bind(QueueBind::new("q", "e", ""));
        let script = async {
            tickets.push(wire.expect::<queue::Bind>().await.ticket);
            wire.send(queue::BindOk::default()).await;
        };
        tokio::join!(bind, script).0.expect("bound");
        drop(channel.basic_publish(BasicPublish::new("e", "", "body")).await.expect("published"));
        tickets.push(wire.expect_content::<basic::Publish>().await.0.ticket);
        let get = channel.basic_get(BasicGet::new("q"));
        let script = async {
            tickets.push(wire.expect::<basic::Get>().await.ticket);
            wire.send(basic::GetEmpty::default()).await;
        };
        tokio::join!(get, script).0.expect("got");
        let consume = channel.basic_consume(BasicConsume::new("q", Prefetch::Unlimited).tag("c"));
        let script = async {
            wire.expect::<basic::Qos>().await;
            wire.send(basic::QosOk::default()).await;
            tickets.push(wire.expect::<basic::Consume>().await.ticket);
            wire.send(basic::ConsumeOk { consumer_tag: short("c") }).await;
        };
        let consumer = tokio::join!(consume, script).0.expect("consumed");
        drop(consumer);
        wire.expect::<basic::Cancel>().await;
        wire.send(basic::CancelOk { consumer_tag: short("c") }).await;
        channel.send(file::Publish::default()).expect("sent");
        tickets.push(wire.expect::<file::Publish>().await.ticket);
        let content = amqp_connector::protocol::stream::Publish::default();
        channel.send_content(content, Default::default(), "body").await.expect("sent");
        tickets.push(
            wire.expect_content::<amqp_connector::protocol::stream::Publish>().await.0.ticket,
        );
        tickets
    }

    #[tokio::test(start_paused = true)]
    async fn every_method_of_the_channel_carries_the_ticket_that_was_given() {
        let mut wire = Wire::open().await;
        assert_eq!(tickets(&mut wire).await, [0; 8]);
        let first = request(&mut wire, 7).await;
        assert_eq!(tickets(&mut wire).await, [7; 8]);
        request(&mut wire, 8).await;
        assert_eq!(tickets(&mut wire).await, [8; 8]);
        wire.channel.use_ticket(first);
        assert_eq!(tickets(&mut wire).await, [7; 8]);

        // One of the method's own goes before.
        wire.sent(file::Publish { ticket: 3, ..Default::default() }).await;
        wire.close().await;
    }
} else {
    use amqp_connector::{AccessRequest, ErrorKind};

    #[tokio::test(start_paused = true)]
    async fn access_is_unsupported_and_nothing_is_sent() {
        let mut wire = super::wire::Wire::open().await;
        let error = wire.channel.access_request(AccessRequest::new("/data")).await;
        assert_eq!(error.expect_err("there is none").kind(), ErrorKind::Unsupported);
        wire.peer.expect_nothing(std::time::Duration::from_secs(1)).await;
        wire.close().await;
    }
} }
