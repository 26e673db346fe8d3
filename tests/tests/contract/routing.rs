//! Exchanges: the four types, bindings between them, alternates, and what is refused.

use amqp_connector::amqp_types::if_spec;
use amqp_connector::{
    BasicPublish, Channel, ExchangeDeclare, ExchangeDelete, FieldTable, QueueBind, ShortStr, basic,
};

use super::queues::table;
use super::side::{Side, closed, connection_closed, cut, declare, drain, publish};

contract! {
    each_type_routes_as_its_name_says,
    words_of_topics_are_matched,
    headers_are_matched_by_all_or_any,
    the_default_exchange_knows_every_queue,
    a_message_reaches_a_queue_once_whatever_the_bindings,
    an_exchange_passes_on_to_another,
    an_alternate_takes_what_nobody_takes,
    an_internal_exchange_takes_nothing_from_clients,
    an_exchange_that_deletes_itself_goes_with_its_last_binding,
    wrong_exchanges_are_refused,
    copies_go_to_the_keys_of_cc_and_bcc,
}

async fn exchange(channel: &Channel, name: &str, kind: &str) {
    channel.exchange_declare(ExchangeDeclare::new(name, kind)).await.unwrap();
}

async fn delete(channel: &Channel, name: &str) {
    channel.exchange_delete(ExchangeDelete::new(name)).await.unwrap();
}

async fn each_type_routes_as_its_name_says(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    for (kind, hit, miss) in
        [("direct", "a.b", Some("a.c")), ("fanout", "any", None), ("topic", "a.b", Some("b"))]
    {
        let name = side.name(kind);
        exchange(&channel, &name, kind).await;
        exchange(&channel, &name, kind).await;
        channel.queue_bind(QueueBind::new(&queue, &name, "a.b")).await.unwrap();
        if let Some(miss) = miss {
            publish(&channel, &name, miss, "miss").await;
        }
        publish(&channel, &name, hit, "hit").await;
        assert_eq!(drain(&channel, &queue).await, ["hit"], "{kind}");
        delete(&channel, &name).await;
    }
    connection.close().await;
}

async fn words_of_topics_are_matched(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let topic = side.name("topic");
    exchange(&channel, &topic, "topic").await;
    let patterns = ["#", "*", "a.*", "a.#", "#.b", "*.b.#", "a.#.b", "", "a..b", "#.#", "*.#.*"];
    let mut queues = Vec::new();
    for pattern in patterns {
        let queue = declare(&channel, &side.name(&format!("q{pattern}"))).await;
        channel.queue_bind(QueueBind::new(&queue, &topic, pattern)).await.unwrap();
        queues.push(queue);
    }
    let keys = ["", "a", "a.b", "b", "a.b.c", "a.x.b", "a..b", "a.", ".b", "x.b.c.d"];
    for key in keys {
        publish(&channel, &topic, key, key).await;
    }
    let expected: [&[&str]; 11] = [
        &keys,
        &["a", "b"],
        &["a.b", "a."],
        &["a", "a.b", "a.b.c", "a.x.b", "a..b", "a."],
        &["a.b", "b", "a.x.b", "a..b", ".b"],
        &["a.b", "a.b.c", ".b", "x.b.c.d"],
        &["a.b", "a.x.b", "a..b"],
        &[""],
        &["a..b"],
        &keys,
        &["a.b", "a.b.c", "a.x.b", "a..b", "a.", ".b", "x.b.c.d"],
    ];
    for ((queue, pattern), expected) in queues.iter().zip(patterns).zip(expected) {
        assert_eq!(drain(&channel, queue).await, expected, "{pattern}");
    }
    delete(&channel, &topic).await;
    connection.close().await;
}

fn headers(pairs: &[(&str, &str)]) -> FieldTable {
    pairs.iter().map(|(key, value)| (ShortStr::try_from(*key).unwrap(), *value)).collect()
}

async fn headers_are_matched_by_all_or_any(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    let name = side.name("headers");
    exchange(&channel, &name, "headers").await;
    let mut queues = Vec::new();
    for (word, arguments) in [
        ("plain", headers(&[("a", "1"), ("b", "2")])),
        ("all", headers(&[("x-match", "all"), ("a", "1"), ("b", "2")])),
        ("any", headers(&[("x-match", "any"), ("a", "1"), ("b", "2")])),
        ("none", FieldTable::new()),
    ] {
        let queue = declare(&channel, &side.name(word)).await;
        let bind = QueueBind::new(&queue, &name, "").arguments(arguments);
        channel.queue_bind(bind).await.unwrap();
        queues.push(queue);
    }
    for (body, message) in [
        ("both", headers(&[("a", "1"), ("b", "2"), ("c", "3")])),
        ("one", headers(&[("a", "1")])),
        ("other", headers(&[("a", "2"), ("b", "1")])),
    ] {
        let message = BasicPublish::new(&name, "", body).headers(message);
        drop(channel.basic_publish(message).await.unwrap());
    }
    publish(&channel, &name, "", "bare").await;
    let expected: [&[&str]; 4] =
        [&["both"], &["both"], &["both", "one"], &["both", "one", "other", "bare"]];
    for (queue, expected) in queues.iter().zip(expected) {
        assert_eq!(drain(&channel, queue).await, expected, "{queue}");
    }
    delete(&channel, &name).await;
    connection.close().await;
}

async fn the_default_exchange_knows_every_queue(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    publish(&channel, "", &queue, "a").await;
    assert_eq!(drain(&channel, &queue).await, ["a"]);
    for refused in [
        channel.queue_bind(QueueBind::new(&queue, "", "key")).await.err(),
        connection
            .channel_open()
            .await
            .unwrap()
            .exchange_delete(ExchangeDelete::new(""))
            .await
            .err(),
    ] {
        let error = refused.unwrap();
        let reason = error.close_reason().unwrap();
        let text = "ACCESS_REFUSED - operation not permitted on the default exchange".to_owned();
        assert_eq!(super::side::told(reason), (403, text));
    }
    connection.close().await;
}

async fn a_message_reaches_a_queue_once_whatever_the_bindings(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let name = side.name("x");
    exchange(&channel, &name, "topic").await;
    for pattern in ["a", "*", "#"] {
        channel.queue_bind(QueueBind::new(&queue, &name, pattern)).await.unwrap();
    }
    publish(&channel, &name, "a", "once").await;
    assert_eq!(drain(&channel, &queue).await, ["once"]);
    delete(&channel, &name).await;
    publish(&channel, "", &queue, "still there").await;
    assert_eq!(drain(&channel, &queue).await, ["still there"]);
    connection.close().await;
}

async fn an_exchange_passes_on_to_another(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    if_spec! { exchange.bind => {
        use amqp_connector::{ExchangeBind, ExchangeUnbind};
        let (one, other) = (side.name("one"), side.name("other"));
        exchange(&channel, &one, "direct").await;
        exchange(&channel, &other, "fanout").await;
        channel.queue_bind(QueueBind::new(&queue, &other, "")).await.unwrap();
        channel.exchange_bind(ExchangeBind::new(&other, &one, "k")).await.unwrap();
        // Even in a ring.
        channel.exchange_bind(ExchangeBind::new(&one, &other, "k")).await.unwrap();
        publish(&channel, &one, "k", "a").await;
        publish(&channel, &one, "x", "b").await;
        channel.exchange_unbind(ExchangeUnbind::new(&other, &one, "k")).await.unwrap();
        publish(&channel, &one, "k", "c").await;
        assert_eq!(drain(&channel, &queue).await, ["a"]);
        delete(&channel, &one).await;
        delete(&channel, &other).await;
    } else { let _ = (&channel, &queue); } }
    connection.close().await;
}

async fn an_alternate_takes_what_nobody_takes(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let (name, alternate) = (side.name("x"), side.name("alternate"));
    exchange(&channel, &alternate, "fanout").await;
    let declare = ExchangeDeclare::new(&name, "direct");
    let with = declare.clone().arguments(table("alternate-exchange", alternate.as_str()));
    channel.exchange_declare(with).await.unwrap();
    channel.queue_bind(QueueBind::new(&queue, &alternate, "")).await.unwrap();
    publish(&channel, &name, "k", "a").await;
    assert_eq!(drain(&channel, &queue).await, ["a"]);

    let other = connection.channel_open().await.unwrap();
    other.exchange_declare(declare).await.unwrap_err();
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{name}' in vhost '/': received \
         none but current is the value '{alternate}' of type 'longstr'"
    );
    assert_eq!(closed(&other).await, (406, cut(&text)));
    delete(&channel, &name).await;
    delete(&channel, &alternate).await;
    connection.close().await;
}

async fn an_internal_exchange_takes_nothing_from_clients(side: &Side<'_>) {
    let (connection, channel) = side.open().await;
    if_spec! { exchange.declare.internal => {
        let name = side.name("x");
        let declare = ExchangeDeclare::new(&name, "direct").internal(true);
        channel.exchange_declare(declare).await.unwrap();
        publish(&channel, &name, "k", "a").await;
        let text = format!("ACCESS_REFUSED - cannot publish to internal exchange '{name}' in vhost '/'");
        assert_eq!(closed(&channel).await, (403, text));
        let channel = connection.channel_open().await.unwrap();
        delete(&channel, &name).await;
    } else { let _ = &channel; } }
    connection.close().await;
}

async fn an_exchange_that_deletes_itself_goes_with_its_last_binding(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    if_spec! { exchange.declare.auto_delete => {
        let name = side.name("x");
        let declare = ExchangeDeclare::new(&name, "fanout").auto_delete(true);
        channel.exchange_declare(declare).await.unwrap();
        channel.queue_bind(QueueBind::new(&queue, &name, "")).await.unwrap();
        channel.queue_delete(amqp_connector::QueueDelete::new(&queue)).await.unwrap();
        let passive = ExchangeDeclare::new(&name, "fanout").passive(true);
        channel.exchange_declare(passive).await.unwrap_err();
        let text = format!("NOT_FOUND - no exchange '{name}' in vhost '/'");
        assert_eq!(closed(&channel).await, (404, text));
    } else { let _ = (&channel, &queue); } }
    connection.close().await;
}

async fn wrong_exchanges_are_refused(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let name = side.name("x");
    exchange(&channel, &name, "direct").await;
    channel.queue_bind(QueueBind::new(&queue, &name, "k")).await.unwrap();
    let what = format!("exchange '{name}' in vhost '/'");
    let refused = async |declare| {
        let channel = connection.channel_open().await.unwrap();
        channel.exchange_declare(declare).await.unwrap_err();
        closed(&channel).await
    };
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'type' for {what}: received 'fanout' but current is 'direct'"
    );
    assert_eq!(refused(ExchangeDeclare::new(&name, "fanout")).await, (406, text));
    let text = format!(
        "PRECONDITION_FAILED - inequivalent arg 'durable' for {what}: received 'true' but current is 'false'"
    );
    assert_eq!(refused(ExchangeDeclare::new(&name, "direct").durable(true)).await, (406, text));
    let text =
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'".to_owned();
    assert_eq!(refused(ExchangeDeclare::new("amq.mine", "direct")).await, (403, text));

    let other = connection.channel_open().await.unwrap();
    other.exchange_delete(ExchangeDelete::new(&name).if_unused(true)).await.unwrap_err();
    let text = format!("PRECONDITION_FAILED - {what} in use");
    assert_eq!(closed(&other).await, (406, text));
    delete(&channel, &name).await;
    // Hard: the connection is gone.
    channel.exchange_declare(ExchangeDeclare::new(&name, "odd")).await.unwrap_err();
    let text = "COMMAND_INVALID - unknown exchange type 'odd'".to_owned();
    assert_eq!(connection_closed(&connection).await, (503, text));
}

async fn copies_go_to_the_keys_of_cc_and_bcc(side: &Side<'_>) {
    let (connection, channel, queue) = side.queue().await;
    let (cc, bcc) = (side.name("cc"), side.name("bcc"));
    declare(&channel, &cc).await;
    declare(&channel, &bcc).await;
    let array = |key: &str| -> amqp_connector::FieldValue {
        amqp_connector::FieldValue::Array(std::iter::once(key).collect())
    };
    let headers = table("CC", array(&cc)).with(ShortStr::try_from("BCC").unwrap(), array(&bcc));
    let properties = basic::Properties { headers: Some(headers), ..Default::default() };
    let message = BasicPublish::new("", &queue, "a").properties(properties);
    drop(channel.basic_publish(message).await.unwrap());
    for queue in [&queue, &cc, &bcc] {
        let got = super::side::get(&channel, queue).await;
        let headers = got.properties.headers.clone().unwrap();
        assert_eq!((headers.contains_key("CC"), headers.contains_key("BCC")), (true, false));
        got.ack().unwrap();
    }
    connection.close().await;
}
