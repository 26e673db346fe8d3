//! An empty test file to copy: what it tests, in one sentence.

use amqp_tests::broker_test;

#[test]
fn sentence_that_says_what_holds() {
    broker_test(async |t| {
        // A connection of its own, to the test's own port of the broker.
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();

        // Act and assert here. `t.name("orders")` is a name that no other test has.
        assert!(channel.close_reason().is_none());

        // What is still there when the body returns is given a moment to go; then the test fails and names it.
        connection.close().await;
    });
}
