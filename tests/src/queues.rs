//! How many messages a queue has, and whose they are; the tests of the broker ask it, and wait by it.
//!
//! RabbitMQ's queue is a process that answers a question before it looks at what came earlier: a passive `queue.declare`
//! overtakes publishes, acks and what goes back, even those of its own channel. What a channel had got by `basic.get`, or
//! of a consumer that was cancelled, goes back after the `close-ok`. So a count that is asked for once may be one of an
//! earlier moment, and whoever expects one waits for it. (`basic.get`, `queue.purge` and `queue.delete` wait their turn
//! behind what the same channel did before.)

use std::fmt::{self, Display};
use std::time::Duration;

use amqp_connector::{Channel, QueueDeclare};
use tokio::time::Instant;

use crate::fixture::Fixture;

/// How long a count may take to become what it has to be.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two questions: the broker's queue answers them before it does its work.
const PAUSE: Duration = Duration::from_millis(2);

/// The messages of a queue at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Those that are ready for whoever asks.
    pub ready: u32,
    /// Those that were delivered and not settled.
    pub unsettled: u32,
}

impl Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages ready and {} unsettled", self.ready, self.unsettled)
    }
}

/// How many messages are ready, by a passive declare. Exact only if nothing is on its way to the queue any more: after
/// confirms or a commit of what was published.
///
/// # Panics
///
/// If the broker refuses it.
#[allow(clippy::panic)] // A test whose channel is closed is over.
#[track_caller]
pub fn depth(channel: &Channel, queue: &str) -> impl Future<Output = u32> {
    let declared = channel.queue_declare(QueueDeclare::new(queue).passive(true));
    let queue = queue.to_owned();
    async move {
        let declared = declared.await;
        declared.unwrap_or_else(|error| panic!("declaring {queue}: {error}")).message_count
    }
}

/// Waits until so many messages are ready.
///
/// # Panics
///
/// If there are others for half a minute, with how many there are; and as [`depth`].
#[allow(clippy::panic)] // See above.
pub async fn await_depth(channel: &Channel, queue: &str, wanted: u32) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let there = depth(channel, queue).await;
        if there == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{queue} has {there} messages ready, not {wanted}");
        tokio::time::sleep(PAUSE).await;
    }
}

impl Fixture {
    /// What a queue has, by asking the broker from outside: both numbers are of the same moment.
    ///
    /// # Panics
    ///
    /// If there is no such queue, or no way to ask.
    #[allow(clippy::panic)] // See above.
    pub async fn messages(&self, queue: &str) -> Messages {
        let question = format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)),
             [io_lib:format(\"~b \", [N])
                 || {{_, N}} <- rabbit_amqqueue:info(Q, [messages_ready, messages_unacknowledged])]"
        );
        let answer = self.eval(&question).await;
        let told = answer.unwrap_or_else(|error| panic!("the messages of {queue}: {error}"));
        let mut numbers = told.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(ready)), Some(Ok(unsettled))) => Messages { ready, unsettled },
            _ => panic!("the messages of {queue}: {told:?}"),
        }
    }

    /// Waits until a queue has so many messages ready and so many unsettled. Of messages that were acked or given back
    /// this tells for certain what has become of them, as none can be in neither number.
    ///
    /// # Panics
    ///
    /// If it has others for half a minute, with what it has; and as [`messages`](Self::messages).
    pub async fn await_messages(&self, queue: &str, ready: u32, unsettled: u32) {
        let wanted = Messages { ready, unsettled };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let there = self.messages(queue).await;
            if there == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{queue} has {there}, not {wanted}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
