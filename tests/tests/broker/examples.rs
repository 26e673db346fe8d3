//! The connector's examples, which compile under every specification, run against the broker.

use amqp_tests::broker_test;

/// An example as a module, and the test that runs it.
macro_rules! examples {
    ($($(#[doc = $doc:literal])* $test:ident $module:ident $path:literal)+) => {$(
        #[allow(dead_code, unreachable_pub, reason = "its own main is not run here")]
        #[path = $path]
        mod $module;

        #[test]
        fn $test() {
            broker_test(async |t| $module::run(&t.url()).await.map_err(|error| error.to_string()));
        }
    )+};
}

examples! {
    example_confirms_tells_what_became_of_each_message
        confirms "../../../amqp-connector/examples/confirms.rs"
    example_work_queue_has_two_workers_share_the_jobs
        work_queue "../../../amqp-connector/examples/work_queue.rs"
    example_topology_dead_letters_what_nobody_took_in_time
        topology "../../../amqp-connector/examples/topology.rs"
    example_transactions_moves_a_message_whole_or_not_at_all
        transactions "../../../amqp-connector/examples/transactions.rs"
}
