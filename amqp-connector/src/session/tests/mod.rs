//! Tests of the session with frames and a made-up clock.
