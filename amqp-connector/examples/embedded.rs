//! The session of `demo.rs` without RabbitMQ: the broker in memory, from the crate's support for tests, listens on a
//! loopback port.
//!
//! ```text
//! cargo run --example embedded
//! ```

use std::error::Error;
use std::process::ExitCode;

use amqp_connector::testing::broker::MemoryBroker;

#[allow(dead_code, unreachable_pub, reason = "its own main is not run here")]
#[path = "demo.rs"]
mod demo;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts a broker and runs the session with it.
pub async fn run() -> Result<(), Box<dyn Error>> {
    let broker = MemoryBroker::start();
    let address = broker.listen("127.0.0.1:0").await?;
    demo::run([address.ip().to_string(), address.port().to_string()].into_iter()).await
}
