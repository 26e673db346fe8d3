//! The bodies of the fuzz targets. They live among the tests of `amqp-types`, so that every test
//! run executes them too.

#[path = "../../tests/fuzz_entries/mod.rs"]
pub mod entries;
