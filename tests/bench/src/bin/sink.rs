//! The peer that a client is measured against; see `amqp_bench::sink`.

fn main() {}
