//! Feeds octets from libFuzzer to `entries::frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amqp_types_fuzz::entries::frame(data));
