//! Feeds octets from libFuzzer to `entries::method`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amqp_types_fuzz::entries::method(data));
