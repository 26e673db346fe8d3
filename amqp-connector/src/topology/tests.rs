//! What a topology is made of, and what it is in JSON.

use amqp_types::{FieldArray, FieldTable, FieldValue, ShortStr};

use super::TopologyError;
use crate::arguments::{ExchangeType, QueueType};
use crate::channel::{ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare};
use crate::outcome::{Binding, DeclaredQueue, Topology};

fn topology() -> Topology {
    let more = FieldTable::new()
        .with(
            ShortStr::from_static("x-list"),
            FieldArray::from_iter([FieldValue::F32(0.1), FieldValue::Void]),
        )
        .with(ShortStr::from_static("x-twice"), FieldValue::I64Alt(-1))
        .with(ShortStr::from_static("x-twice"), FieldValue::U8(1));
    Topology::default()
        .with_exchange(ExchangeDeclare::new("events", ExchangeType::Topic).durable(true))
        .and_then(|it| {
            it.with_exchange(ExchangeDeclare::new("audit", ExchangeType::Fanout).arguments(more))
        })
        .and_then(|it| {
            let declare = QueueDeclare::new("jobs").durable(true).queue_type(QueueType::Quorum);
            it.with_queue(declare.max_length(1000))
        })
        .and_then(|it| it.with_queue(QueueDeclare::new("log").exclusive(true)))
        .and_then(|it| it.with_exchange_binding(ExchangeBind::new("audit", "events", "#")))
        .and_then(|it| it.with_queue_binding(QueueBind::new("jobs", "events", "job.*")))
        .unwrap()
}

#[test]
fn what_is_there_twice_is_refused_by_its_name_whether_or_not_it_is_alike() {
    let again = |declare| topology().with_queue(declare).unwrap_err();
    let duplicate = again(QueueDeclare::new("log").exclusive(true));
    assert!(matches!(&duplicate, TopologyError::Duplicate(_)), "{duplicate}");
    assert!(duplicate.to_string().contains("queue \"log\""), "{duplicate}");
    let conflict = again(QueueDeclare::new("log"));
    assert!(matches!(&conflict, TopologyError::Conflict(_)), "{conflict}");

    let direct = ExchangeDeclare::new("events", ExchangeType::Direct).durable(true);
    let conflict = topology().with_exchange(direct).unwrap_err();
    assert!(matches!(&conflict, TopologyError::Conflict(_)), "{conflict}");
    let bound = topology().with_queue_binding(QueueBind::new("jobs", "events", "job.*"));
    assert!(matches!(bound, Err(TopologyError::Duplicate(_))));
    let other_key = QueueBind::new("jobs", "events", "job.#");
    assert_eq!(topology().with_queue_binding(other_key).unwrap().bindings.len(), 3);
}

#[test]
fn what_cannot_be_declared_is_refused_when_it_is_put_in() {
    let passive = topology().with_queue(QueueDeclare::new("new").passive(true)).unwrap_err();
    assert!(matches!(passive, TopologyError::Passive(_)), "{passive}");
    let unnamed = topology().with_queue(QueueDeclare::new("")).unwrap_err();
    assert!(matches!(unnamed, TopologyError::NoName(_)), "{unnamed}");
    let last = topology().with_queue_binding(QueueBind::new("", "events", "")).unwrap_err();
    assert!(matches!(last, TopologyError::NoName(_)), "{last}");
    let default = topology().with_queue_binding(QueueBind::new("jobs", "", "jobs")).unwrap_err();
    assert!(matches!(default, TopologyError::DefaultExchange(_)), "{default}");
    let default = topology().with_exchange(ExchangeDeclare::new("", "direct")).unwrap_err();
    assert!(matches!(default, TopologyError::DefaultExchange(_)), "{default}");
    let long = topology().with_queue(QueueDeclare::new("x".repeat(256))).unwrap_err();
    assert!(matches!(long, TopologyError::Invalid(_)), "{long}");
    let transient = QueueDeclare::new("t").queue_type(QueueType::Quorum);
    assert!(matches!(topology().with_queue(transient), Err(TopologyError::Invalid(_))));
}

#[test]
fn what_was_put_into_the_fields_is_looked_over_all_the_same() {
    topology().check().unwrap();
    let mut twice = topology();
    twice.queues.push(DeclaredQueue { server_named: true, ..twice.queues[1].clone() });
    assert!(matches!(twice.check(), Err(TopologyError::Conflict(_))));
    let mut twice = topology();
    twice.exchanges.push(twice.exchanges[0].clone());
    assert!(matches!(twice.check(), Err(TopologyError::Duplicate(_))));
    let mut default = topology();
    let to = default.bindings[0].destination.clone();
    default.bindings.push(Binding::new(ShortStr::EMPTY, to, ShortStr::EMPTY));
    assert!(matches!(default.check(), Err(TopologyError::DefaultExchange(_))));
}

#[cfg(feature = "serde")]
mod json {
    use serde_json::json;

    use super::*;
    use crate::outcome::Destination;

    #[test]
    fn a_topology_is_the_json_that_is_documented_and_comes_back_from_it_whole() {
        let shown = json!({
            "exchanges": [
                {"name": "events", "type": "topic", "durable": true, "auto_delete": false, "internal": false, "arguments": []},
                {"name": "audit", "type": "fanout", "durable": false, "auto_delete": false, "internal": false, "arguments": [
                    ["x-list", {"array": [{"f32": "0.1"}, "void"]}], ["x-twice", {"i64_alt": -1}], ["x-twice", {"u8": 1}],
                ]},
            ],
            "queues": [
                {"name": "jobs", "server_named": false, "durable": true, "exclusive": false, "auto_delete": false, "arguments": [
                    ["x-queue-type", {"long_string": "quorum"}], ["x-max-length", {"i64": 1000}],
                ]},
                {"name": "log", "server_named": false, "durable": false, "exclusive": true, "auto_delete": false, "arguments": []},
            ],
            "bindings": [
                {"source": "events", "destination": {"exchange": "audit"}, "routing_key": "#", "arguments": []},
                {"source": "events", "destination": {"queue": "jobs"}, "routing_key": "job.*", "arguments": []},
            ],
        });
        assert_eq!(serde_json::to_value(topology()).unwrap(), shown);
        let text = serde_json::to_string(&topology()).unwrap();
        assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), topology());
    }

    #[test]
    fn what_is_left_out_is_empty_and_what_is_not_known_is_refused() {
        let read = |json| serde_json::from_value::<Topology>(json);
        let short = json!({"queues": [{"name": "q"}], "bindings": [{"source": "x", "destination": {"queue": "q"}}]});
        let short = read(short).unwrap();
        assert_eq!(
            short.queues[0],
            DeclaredQueue { name: ShortStr::from_static("q"), ..Default::default() }
        );
        let to = Destination::Queue(ShortStr::from_static("q"));
        assert_eq!(short.bindings, [Binding::new(ShortStr::from_static("x"), to, ShortStr::EMPTY)]);
        assert_eq!(read(json!({})).unwrap(), Topology::default());

        for wrong in [
            json!({"queue": []}),
            json!({"queues": [{"name": "q", "durabel": true}]}),
            json!({"queues": [{"durable": true}]}),
            json!({"exchanges": [{"name": "x"}]}),
            json!({"queues": [{"name": "x".repeat(256)}]}),
            json!({"bindings": [{"source": "x", "destination": {"stream": "q"}}]}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
