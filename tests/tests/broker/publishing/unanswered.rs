//! A publish that the broker does not answer while it answers others: it costs its own place in the limit and no other.

use amqp_connector::{BasicPublish, ConfirmOptions, QueueDeclare};
use amqp_tests::{EvalError, Fixture, broker_test};

use super::declare;

/// A queue whose process does nothing until this is dropped, so that nothing sent to it is answered.
struct Asleep<'a>(&'a Fixture, String);

impl<'a> Asleep<'a> {
    fn new(t: &'a Fixture, queue: &str) -> Self {
        let asleep = Self(t, queue.to_owned());
        asleep.tell("suspend").unwrap();
        asleep
    }

    fn tell(&self, what: &str) -> Result<String, EvalError> {
        let queue = &self.1;
        self.0.broker().eval(&format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)), \
             sys:{what}(amqqueue:get_pid(Q)), \"\""
        ))
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.tell("resume") {
            eprintln!("the queue sleeps on: {error}");
        }
    }
}

#[test]
fn a_queue_that_does_not_confirm_takes_no_more_of_the_limit_than_was_sent_to_it() {
    broker_test(async |t| {
        let connection = t.connect().await;
        let channel = connection.channel_open().await.unwrap();
        let (fast, slow) = (declare(t, &channel).await, t.name("slow"));
        channel.queue_declare(QueueDeclare::new(&slow).exclusive(true)).await.unwrap();
        channel.confirm_select_with(ConfirmOptions::new().unconfirmed_max(10)).await.unwrap();
        let asleep = Asleep::new(t, &slow);
        let first = channel.basic_publish(BasicPublish::new("", &slow, "x")).await.unwrap();
        for n in 0..2000 {
            let message = BasicPublish::new("", &fast, n.to_string());
            let confirmation = channel.try_basic_publish(message).unwrap();
            assert!(confirmation.await.is_acked());
        }
        assert_eq!(channel.unconfirmed(), 1);
        drop(asleep);
        assert!(first.await.is_acked());
        connection.close().await;
    });
}
