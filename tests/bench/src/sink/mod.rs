//! The peer that a client is measured against: see `bin/sink.rs`.
