//! `amqp consume` and `amqp get`.

use std::process::Stdio;

use amqp_tests::broker_test;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{LONG, Ran, amqp, declare, delete, run, run_with};

/// So many messages: `1`, `2`, ..
async fn fill(t: &amqp_tests::Fixture, queue: &str, count: u32) {
    let input: String = (1..=count).map(|number| format!("{number}\n")).collect();
    run_with(t, &["publish", "-k", queue, "--lines"], input.as_bytes()).await.done();
    t.await_messages(queue, count, 0).await;
}

async fn interrupt(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
}

async fn end_of(child: Child) -> Ran {
    Ran::of(tokio::time::timeout(LONG, child.wait_with_output()).await.expect("it hangs").unwrap())
}

#[test]
fn an_empty_queue_is_exit_code_4_for_get_and_in_time_for_consume() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        for arguments in [&["get", &queue][..], &["consume", &queue, "--timeout", "0.2"]] {
            let ran = run(t, arguments).await;
            assert_eq!((ran.code, &*ran.output, &*ran.errors), (Some(4), "", ""), "{arguments:?}");
        }
        fill(t, &queue, 2).await;
        let ran = run(t, &["consume", &queue, "--timeout", "0.2", "--count", "3"]).await;
        assert_eq!((ran.code, &*ran.output), (Some(4), "1\n2\n"), "fewer than were asked for");
        fill(t, &queue, 1).await;
        assert_eq!(run(t, &["consume", &queue, "--timeout", "0.2"]).await.done(), "1\n");
        delete(t, &queue).await;
    });
}

#[test]
fn messages_are_acknowledged_requeued_rejected_or_forgotten_as_is_said() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        fill(t, &queue, 5).await;
        for command in [&["get", &queue, "--count", "3"][..], &["consume", &queue, "--count", "3"]]
        {
            assert_eq!(run(t, &[command, &["--requeue"]].concat()).await.done(), "1\n2\n3\n");
            t.await_messages(&queue, 5, 0).await;
        }
        assert_eq!(run(t, &["get", &queue, "--no-ack"]).await.done(), "1\n");
        assert_eq!(run(t, &["get", &queue, "--reject"]).await.done(), "2\n");
        assert_eq!(run(t, &["consume", &queue, "--count", "1"]).await.done(), "3\n");
        t.await_messages(&queue, 2, 0).await;
        assert_eq!(run(t, &["get", &queue, "--count", "9", "--ack"]).await.done(), "4\n5\n");
        run(t, &["get", &queue, "--ack", "--requeue"]).await.failed_usage();
        delete(t, &queue).await;
    });
}

#[test]
fn a_body_that_is_no_text_is_printed_as_it_is_and_in_json_as_base64() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        run_with(t, &["publish", "-k", &queue], b"\xff\0\x01").await.done();
        t.await_messages(&queue, 1, 0).await;
        let ran = run(t, &["get", &queue, "--requeue", "--json"]).await;
        let shown = &ran.objects()[0];
        let body = (&shown["size"], &shown["encoding"], &shown["body"]);
        assert_eq!(body, (&json!(3), &json!("base64"), &json!("/wAB")));
        t.await_messages(&queue, 1, 0).await;
        let raw = amqp(t, &["get", &queue, "--raw"]).output().await.unwrap();
        assert_eq!((raw.status.code(), &*raw.stdout), (Some(0), &b"\xff\0\x01"[..]));
        delete(t, &queue).await;
    });
}

#[test]
fn an_interrupt_gives_back_what_is_held_and_ends_with_130() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        fill(t, &queue, 3).await;
        let mut child = amqp(t, &["consume", &queue, "--requeue"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for expected in ["1", "2", "3"] {
            assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(expected));
        }
        interrupt(&child).await;
        let ran = end_of(child).await;
        assert_eq!((ran.code, &*ran.errors), (Some(130), ""));
        t.await_messages(&queue, 3, 0).await;
        delete(t, &queue).await;
    });
}

#[test]
fn a_reader_that_goes_away_costs_no_message() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        let mut child = amqp(t, &["consume", &queue]).spawn().unwrap();
        drop(child.stdout.take());
        run(t, &["publish", "-k", &queue, "kept"]).await.done();
        let ran = end_of(child).await;
        assert_eq!((ran.code, &*ran.errors), (Some(0), ""), "nothing is wrong");
        t.await_messages(&queue, 1, 0).await;
        delete(t, &queue).await;
    });
}

#[test]
fn consume_follows_what_comes_until_its_queue_is_deleted() {
    broker_test(async |t| {
        let queue = declare(t, "queue").await;
        let mut child =
            amqp(t, &["consume", &queue, "--verbose"]).stdin(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for word in ["one", "two"] {
            run(t, &["publish", "-k", &queue, word, "--type", word]).await.done();
            let heading = lines.next_line().await.unwrap().unwrap();
            assert!(heading.contains(&format!("type=\"{word}\"")), "{heading}");
            assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(word));
        }
        amqp_connector::amqp_types::if_spec! { confirm.select => {
            delete(t, &queue).await;
            end_of(child).await.failed(1, &["cancelled", &queue]);
        } else {
            // Nobody is told of this there.
            interrupt(&child).await;
            assert_eq!(end_of(child).await.code, Some(130));
            delete(t, &queue).await;
        } }
    });
}
