//! The connector's examples, which compile under every specification, run against the broker.

use amqp_tests::broker_test;

/// An example as a module.
macro_rules! example {
    ($module:ident, $path:literal) => {
        #[allow(dead_code, unreachable_pub, reason = "its own main is not run here")]
        #[path = $path]
        mod $module;
    };
}

example!(blocking, "../../../amqp-connector/examples/blocking.rs");
example!(confirms, "../../../amqp-connector/examples/confirms.rs");
example!(rpc, "../../../amqp-connector/examples/rpc.rs");
example!(work_queue, "../../../amqp-connector/examples/work_queue.rs");
example!(topology, "../../../amqp-connector/examples/topology.rs");
example!(transactions, "../../../amqp-connector/examples/transactions.rs");

#[test]
fn example_blocking_works_on_jobs_without_async() {
    broker_test(async |t| blocking::run(&t.url()).map_err(|error| error.to_string()));
}

#[test]
fn example_confirms_tells_what_became_of_each_message() {
    broker_test(async |t| confirms::run(&t.url()).await.map_err(|error| error.to_string()));
}

#[test]
fn example_work_queue_has_two_workers_share_the_jobs() {
    broker_test(async |t| work_queue::run(&t.url()).await.map_err(|error| error.to_string()));
}

#[test]
fn example_topology_dead_letters_what_nobody_took_in_time() {
    broker_test(async |t| topology::run(&t.url()).await.map_err(|error| error.to_string()));
}

#[test]
fn example_transactions_moves_a_message_whole_or_not_at_all() {
    broker_test(async |t| transactions::run(&t.url()).await.map_err(|error| error.to_string()));
}

#[test]
fn example_rpc_has_a_hundred_calls_in_flight_and_knows_why_others_fail() {
    broker_test(async |t| rpc::run(&t.url()).await.map_err(|error| error.to_string()));
}
