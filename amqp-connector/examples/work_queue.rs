//! A work queue: two workers share the jobs, and each holds one at a time.
//!
//! ```text
//! cargo run --example work_queue -- [URI]
//! ```

use std::error::Error;

use amqp_connector::{BasicConsume, BasicPublish, Connection, Consumer, Prefetch, QueueDeclare};

const JOBS: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("amqp://guest:guest@localhost:5672/%2f")).await
}

/// Sends jobs to a queue, and waits until its workers have done them.
pub async fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    let connection = Connection::open(uri).await?;
    let channel = connection.channel_open().await?;
    let queue = channel.queue_declare(QueueDeclare::new("").exclusive(true)).await?.queue;

    let (done, mut results) = tokio::sync::mpsc::channel(JOBS);
    for name in ["one", "two"] {
        // A channel of its own: what goes wrong on one does not touch the other.
        let channel = connection.channel_open().await?;
        let consume = BasicConsume::new(&queue, Prefetch::Count(1));
        tokio::spawn(work(name, channel.basic_consume(consume).await?, done.clone()));
    }
    drop(done);

    for number in 0..JOBS {
        let _confirmation =
            channel.basic_publish(BasicPublish::new("", &queue, format!("job {number}"))).await?;
    }
    let mut count = 0;
    while count < JOBS {
        let result = results.recv().await.ok_or("the workers have ended")?;
        println!("{result}");
        count += 1;
    }
    // It ends the workers' consumers, too.
    connection.close().await;
    Ok(())
}

async fn work(name: &str, mut jobs: Consumer, done: tokio::sync::mpsc::Sender<String>) {
    while let Some(job) = jobs.recv().await {
        let what = String::from_utf8_lossy(&job.body.to_bytes()).into_owned();
        // Only now: a job whose worker dies goes to the other one.
        match job.ack() {
            Ok(()) => drop(done.send(format!("{name} did {what}")).await),
            Err(error) => println!("{what} comes again: {error}"),
        }
    }
    println!("{name} ends: {:?}", jobs.end().map(ToString::to_string));
}
