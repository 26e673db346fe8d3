//! `amqp publish`.

use amqp_connector::amqp_types::if_spec;
use amqp_tests::broker_test;
use serde_json::json;

use super::{declare, delete, run, run_with};

#[test]
fn a_message_comes_back_with_the_properties_and_headers_that_options_gave() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        let properties = [
            "--content-type",
            "text/plain",
            "--persistent",
            "--priority",
            "3",
            "--correlation-id",
            "c",
            "--reply-to",
            "r",
            "--expiration",
            "60000",
            "--message-id",
            "m",
            "--timestamp",
            "5",
            "--type",
            "t",
            "--app-id",
            "a",
            "--user-id",
            "guest",
            "-H",
            "attempt=1",
            "-H",
            "who:str=5",
        ];
        let publish = [&["publish", "-k", &queue, "h\u{e9}llo"], &properties[..]].concat();
        assert_eq!(run(t, &publish).await.done(), "");
        let got = run(t, &["consume", &queue, "--count", "1", "--timeout", "10", "--json"]).await;
        let mut shown = got.objects().remove(0);
        shown.as_object_mut().unwrap().remove("consumer-tag").expect("a tag");
        let expected = json!({
            "exchange": "", "routing-key": queue, "redelivered": false,
            "properties": {
                "content-type": "text/plain", "delivery-mode": 2, "priority": 3, "correlation-id": "c",
                "reply-to": "r", "expiration": "60000", "message-id": "m", "timestamp": 5, "type": "t",
                "app-id": "a", "user-id": "guest", "headers": {"attempt": 1, "who": "5"},
            },
            "size": 6, "encoding": "utf-8", "body": "h\u{e9}llo",
        });
        assert_eq!(shown, expected);
        delete(t, &queue).await;
    });
}

#[test]
fn lines_of_the_input_are_messages_in_their_order() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        let input: String = (0..3000).map(|number| format!("line {number}\n")).collect();
        let ran =
            run_with(t, &["publish", "-k", &queue, "--lines", "--json"], input.as_bytes()).await;
        let told = &ran.objects()[0];
        assert_eq!((ran.code, &told["published"]), (Some(0), &json!(3000)), "{ran:?}");
        let taken = if_spec! { confirm.select => { "acked" } else { "accepted" } };
        assert_eq!(told["outcomes"][taken], 3000, "{told}");
        let got = run(t, &["consume", &queue, "--count", "3000", "--timeout", "10"]).await;
        assert_eq!(got.done(), input);
        delete(t, &queue).await;
    });
}

#[test]
fn standard_input_is_a_body_as_it_is() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        run_with(t, &["publish", "-k", &queue], b"two\nlines\n").await.done();
        let got = run(t, &["consume", &queue, "--count", "1", "--timeout", "10", "--raw"]).await;
        assert_eq!(got.done(), "two\nlines\n");
        delete(t, &queue).await;
    });
}

#[test]
fn a_large_file_and_input_of_a_given_size_are_streamed_and_arrive_whole() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        let body: String = (0..400_000).map(|number| format!("{number:07}\n")).collect();
        let path = std::env::temp_dir().join(t.name("body"));
        std::fs::write(&path, &body).unwrap();
        let from_file = run(t, &["publish", "-k", &queue, "--file", path.to_str().unwrap()]).await;
        std::fs::remove_file(&path).unwrap();
        from_file.done();
        let size = body.len().to_string();
        let publish = ["publish", "-k", &queue, "--size", &size, "--json"];
        let ran = run_with(t, &publish, body.as_bytes()).await;
        assert_eq!(ran.objects()[0]["outcomes"]["acked"], 1, "{ran:?}");
        let got = run(t, &["consume", &queue, "--count", "2", "--timeout", "20", "--raw"]).await;
        assert!(got.done() == format!("{body}{body}"), "the bodies differ");
        delete(t, &queue).await;
    });
}

#[test]
fn input_that_is_shorter_than_was_promised_is_no_message() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        let ran = run_with(t, &["publish", "-k", &queue, "--size", "100"], b"too short").await;
        ran.failed(1, &["9", "100"]);
        assert_eq!(run(t, &["get", &queue]).await.code, Some(4));
        delete(t, &queue).await;
    });
}

#[test]
fn what_can_be_routed_nowhere_is_told_with_exit_code_5() {
    broker_test(async |t| {
        let nowhere = t.name("nowhere");
        let publish = ["publish", "-k", &nowhere, "--mandatory", "lost"];
        run(t, &publish).await.failed(5, &["312"]);
        let ran = run(t, &[&publish[..], &["--json"]].concat()).await;
        let told = ran.objects();
        assert_eq!(ran.code, Some(5), "{ran:?}");
        assert_eq!(
            (&told[0]["outcome"], &told[0]["message"]["reply-code"]),
            (&json!("returned"), &json!(312))
        );
        assert_eq!(told[1]["outcomes"]["returned"], 1);
        // Nobody has asked to be told.
        assert_eq!(run(t, &["publish", "-k", &nowhere, "lost"]).await.done(), "");
    });
}

#[test]
fn an_exchange_that_is_not_there_is_told_with_exit_code_1() {
    broker_test(async |t| {
        let exchange = t.name("nosuch");
        let ran = run(t, &["publish", "--exchange", &exchange, "lost"]).await;
        ran.failed(1, &["404", &exchange]);
    });
}
