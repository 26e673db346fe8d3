//! Support for tests without a broker.
