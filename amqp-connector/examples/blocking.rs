//! A program without async: the connection has a thread of its own, and calls wait.
//!
//! ```text
//! cargo run --features blocking --example blocking -- [URI]
//! ```

use std::error::Error;
use std::time::Duration;

use amqp_connector::blocking::Connection;
use amqp_connector::{BasicConsume, BasicPublish, Prefetch, QueueDeclare};

fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args().nth(1);
    run(uri.as_deref().unwrap_or("amqp://guest:guest@localhost:5672/%2f"))
}

/// Publishes some jobs, and works on them until no more come.
pub fn run(uri: &str) -> Result<(), Box<dyn Error>> {
    let connection = Connection::open(uri)?;
    let channel = connection.channel_open()?;
    let queue = channel.queue_declare(QueueDeclare::new("").exclusive(true))?.queue;

    // Waits for the broker's word.
    let outcome = channel.basic_publish(BasicPublish::new("", &queue, "the first"))?;
    println!("{outcome}");
    // As fast as many go, with the broker's word for each.
    let more = (0..100).map(|number| BasicPublish::new("", &queue, format!("job {number}")));
    for outcome in channel.basic_publish_all(more)? {
        let outcome = outcome?;
        if let amqp_connector::Outcome::Nacked = outcome {
            println!("{outcome}");
        }
    }

    let mut jobs = channel.basic_consume(BasicConsume::new(&queue, Prefetch::Count(20)))?;
    let mut done = 0;
    while let Some(job) = jobs.recv_timeout(Duration::from_millis(200))? {
        job.ack()?;
        done += 1;
    }
    match jobs.handle().end() {
        None => println!("{done} jobs are done, and nothing has come for a while"),
        Some(end) => println!("{done} jobs are done: {end}"),
    }

    // Whatever has no method of its own is waited for in the same way.
    jobs.cancel()?;
    connection.wait(channel.handle().basic_qos(Prefetch::Count(1), true))??;
    drop((jobs, channel));
    connection.close()?;
    Ok(())
}
